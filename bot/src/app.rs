//! From the command line to the work: opens the database, runs a command on it, closes it, says how it went.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use database::{ChatId, DatabaseWrapper, OpenError, SourceConfig, SystemClock, UserId};

use crate::cli::{Cli, Command, ImportArgs, SpeakerArgs};
use crate::handlers::{Bot, Identity};
use crate::import;
use crate::logging;
use crate::message::MessageIds;
use crate::transport::console::{Console, ConsoleError, Ended, Speaker};
use crate::transport::signals::StopSignals;

/// The name of the database file in the data folder.
const FILE: &str = "bot.db";
/// The name of the file that keeps what was typed.
const HISTORY: &str = "console_history";
/// Who speaks, and where, unless it is said otherwise.
const DEFAULT_ID: i64 = 1;
/// The bot's own id in the console: no platform gives it to anybody.
const BOT: UserId = UserId(0);

/// How the program ends, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    Misused,
    /// Some of what was asked for could not be done; the report says what.
    DoneInPart,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Misused => 2,
            Outcome::DoneInPart => 3,
        })
    }
}

/// Why the program could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("cannot create the data folder {path}: {error}; create it, or name another with --data-dir")]
    DataDir { path: PathBuf, error: io::Error },
    #[error("cannot open the database: {0}")]
    Open(#[from] OpenError),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.verbose, cli.quiet);
    run(&cli)
        .unwrap_or_else(|error| {
            say(&format!("error: {error}"));
            match error {
                AppError::Open(OpenError::InvalidPath { .. } | OpenError::InvalidSetting { .. }) => Outcome::Misused,
                _ => Outcome::Failed,
            }
        })
        .into()
}

fn run(cli: &Cli) -> Result<Outcome, AppError> {
    match &cli.command {
        None => console(cli, &cli.speaker),
        Some(Command::Run(speaker) | Command::Console(speaker)) => console(cli, &speaker.clone().or(&cli.speaker)),
        Some(Command::Import(what)) => import_files(cli, what),
    }
}

fn console(cli: &Cli, who: &SpeakerArgs) -> Result<Outcome, AppError> {
    let signals = StopSignals::watch(Console::is_interactive()).map_err(AppError::Signals)?;
    let db = open(cli)?;
    let ids = Arc::new(MessageIds::system());
    let clock = Arc::new(SystemClock);
    let identity = Identity { user: BOT, name: "Switchyard".to_owned(), username: String::new() };
    let bot = Bot::new(db.clone(), Arc::clone(&ids), clock.clone(), identity);
    let speaker = Speaker {
        chat: ChatId(who.chat.unwrap_or(DEFAULT_ID)),
        user: UserId(who.user.unwrap_or(DEFAULT_ID)),
        user_name: who.name.clone().unwrap_or_default(),
        username: None,
    };
    if Console::is_interactive() && !cli.quiet {
        say("Type a message, /help for what I can be asked, :help for the console's own commands.");
    }
    let console = Console::new(&bot, &ids, &*clock, &signals, speaker).with_history(cli.data_dir.join(HISTORY));
    let report = console.run(&mut anstream::stdout(), &mut anstream::stderr());
    db.close();
    let report = report?;
    if let Ended::Signal(signal) = report.ended {
        tracing::info!(signal, "stopped");
    }
    Ok(if report.failed == 0 { Outcome::Done } else { Outcome::DoneInPart })
}

fn import_files(cli: &Cli, what: &ImportArgs) -> Result<Outcome, AppError> {
    let signals = StopSignals::watch(true).map_err(AppError::Signals)?;
    let db = open(cli)?;
    let options = import::Options { again: what.again, progress_bar: !cli.quiet };
    let mut failed = 0;
    let mut output = Ok(());
    for file in &what.files {
        let report = import::import(&db, file, &options, &|| signals.received().is_some());
        output = output.and(write!(anstream::stdout(), "{report}"));
        if let Some(error) = &report.error {
            say(&format!("error: {}: {error}", file.display()));
            failed += 1;
        }
        if report.error.as_ref().is_some_and(import::ImportError::is_stop) {
            break;
        }
    }
    db.close();
    output.map_err(AppError::Output)?;
    Ok(match failed {
        0 => Outcome::Done,
        failed if failed == what.files.len() => Outcome::Failed,
        _ => Outcome::DoneInPart,
    })
}

/// Opens the database in the data folder, and says where that is and what is new.
fn open(cli: &Cli) -> Result<DatabaseWrapper, AppError> {
    let folder = &cli.data_dir;
    let made_folder = !folder.exists();
    if made_folder {
        // What people say is nobody else's business.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| AppError::DataDir { path: folder.clone(), error })?;
    }
    let path = folder.join(FILE);
    let made_file = fs::metadata(&path).map_or(true, |found| found.len() == 0);
    let db = DatabaseWrapper::open(&SourceConfig::new(&path))?;
    if !cli.quiet {
        let path = absolute(&path);
        say(&match made_file {
            true => format!("Created the database {}.", path.display()),
            false => format!("Using the database {}.", path.display()),
        });
    }
    Ok(db)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Tells something that is no result.
fn say(text: &str) {
    // Where even that fails there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}
