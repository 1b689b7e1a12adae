//! The commands that work on the databases.

use std::io::{self, Write};
use std::sync::Arc;

use config::{Config, Layers};
use database::{ChatId, Route, SourceName, SystemClock, UserId};

use super::{AppError, Outcome, open, say};
use crate::cli::{Cli, ImportArgs, SpeakerArgs};
use crate::databases::{self, Opened};
use crate::handlers::{Bot, Identity};
use crate::import;
use crate::message::MessageIds;
use crate::transport::console::{Console, Ended, Speaker};
use crate::transport::json::Json;
use crate::transport::signals::{HangUp, StopSignals};

/// The name of the file that keeps what was typed.
const HISTORY: &str = "console_history";
/// Who speaks, and where, unless it is said otherwise.
const DEFAULT_ID: i64 = 1;
/// The bot's own id in the console: no platform gives it to anybody.
const BOT: UserId = UserId(0);

pub(super) fn console(cli: &Cli, layers: Layers, config: &Config, who: &SpeakerArgs) -> Result<Outcome, AppError> {
    if who.user.map(UserId) == Some(BOT) {
        return Err(AppError::Misused("--user 0 is the bot itself; speak as another"));
    }
    let (signals, opened) = start(cli, layers, config)?;
    let ids = Arc::new(MessageIds::system());
    let bot = bot(config, &opened, &ids);
    let speaker = Speaker {
        chat: ChatId(who.chat.unwrap_or(DEFAULT_ID)),
        user: UserId(who.user.unwrap_or(DEFAULT_ID)),
        user_name: who.name.clone().unwrap_or_default(),
        username: None,
    };
    if Console::is_interactive() && !cli.quiet {
        say("Type a message, /help for what I can be asked, :help for the console's own.");
    }
    let history = config.database.data_dir.join(HISTORY);
    let console = Console::new(&bot, &ids, &SystemClock, &signals, speaker).with_history(history);
    let report = console.run(&mut anstream::stdout(), &mut anstream::stderr());
    opened.close();
    let report = report?;
    Ok(outcome(report.ended, report.failed))
}

pub(super) fn json(cli: &Cli, layers: Layers, config: &Config) -> Result<Outcome, AppError> {
    let (signals, opened) = start(cli, layers, config)?;
    let ids = Arc::new(MessageIds::system());
    let bot = bot(config, &opened, &ids);
    let db = &opened.db;
    // Fails for sources that are asked for by name only.
    let source_of = |chat| db.source_of(Route::Chat(chat)).unwrap_or_else(|_| SourceName::primary());
    // Not through `anstream`: what goes out is for programs, unchanged.
    let report = Json::new(&bot, &source_of, &ids, &SystemClock, &signals).run(&mut io::stdout());
    opened.close();
    let report = report?;
    tracing::info!(answered = report.answered, failed = report.failed, "the session ended");
    Ok(outcome(report.ended, report.failed))
}

/// Watches for signals, opens the databases, and follows the configuration where that is possible.
fn start(cli: &Cli, layers: Layers, config: &Config) -> Result<(StopSignals, Opened), AppError> {
    let hang_up = match Console::is_interactive() {
        true => HangUp::Stops,
        false if databases::can_reload(&config.database) => HangUp::Reloads,
        false => HangUp::Untouched,
    };
    let signals = StopSignals::watch(hang_up).map_err(AppError::Signals)?;
    let opened = open(cli, config)?;
    if let Err(error) = opened.follow(layers, config, &signals) {
        opened.close();
        return Err(error.into());
    }
    Ok((signals, opened))
}

fn bot(config: &Config, opened: &Opened, ids: &Arc<MessageIds>) -> Bot {
    let identity = Identity { user: BOT, name: config.bot.name.clone(), username: String::new() };
    Bot::new(opened.db.clone(), Arc::clone(ids), Arc::new(SystemClock), identity)
        .owned_by(config.bot.owners.clone())
        .with_operator(Arc::clone(&opened.operator))
}

fn outcome(ended: Ended, failed: u64) -> Outcome {
    if let Ended::Signal(signal) = ended {
        tracing::info!(signal, "stopped");
    }
    if failed == 0 { Outcome::Done } else { Outcome::DoneInPart }
}

pub(super) fn import(cli: &Cli, config: &Config, what: &ImportArgs) -> Result<Outcome, AppError> {
    let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
    let opened = open(cli, config)?;
    let options = import::Options { again: what.again, progress_bar: !cli.quiet };
    let mut failed = 0;
    let mut output = Ok(());
    for file in &what.files {
        let report = import::import(&opened.db, file, &options, &|| signals.received().is_some());
        output = output.and(write!(anstream::stdout(), "{report}"));
        if let Some(error) = &report.error {
            say(&format!("error: {}: {error}", file.display()));
            failed += 1;
        }
        if report.error.as_ref().is_some_and(import::ImportError::is_stop) {
            break;
        }
    }
    opened.close();
    output.map_err(AppError::Output)?;
    Ok(match failed {
        0 => Outcome::Done,
        failed if failed == what.files.len() => Outcome::Failed,
        _ => Outcome::DoneInPart,
    })
}
