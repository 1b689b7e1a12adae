//! From the command line to the work: reads the configuration, runs a command, says how it went.

mod db;
mod program;
mod run;
mod show;

use std::io::{self, Write};
use std::process::ExitCode;

use config::{Config, ConfigError, DEFAULT_FILE, Layers};

use crate::cli::{Cli, Command, ConfigArgs, ConfigCommand, ConsoleArgs};
use crate::control::absolute;
use crate::databases::{self, DatabasesError, Opened};
use crate::logging;
use crate::transport::console::ConsoleError;
use crate::transport::json::JsonError;

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
    #[error("the configuration is wrong:\n{0}")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Databases(#[from] DatabasesError),
    #[error("{0}")]
    Misused(&'static str),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("{0}")]
    Failed(String),
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::of_process();
    run(&cli)
        .unwrap_or_else(|error| {
            say(&format!("error: {error}"));
            match error {
                AppError::Config(_) | AppError::Misused(_) => Outcome::Misused,
                AppError::Databases(error) if error.is_misuse() => Outcome::Misused,
                _ => Outcome::Failed,
            }
        })
        .into()
}

fn run(cli: &Cli) -> Result<Outcome, AppError> {
    match &cli.command {
        Some(Command::Completions { shell }) => return program::completions(*shell),
        Some(Command::Man { folder }) => return program::man(folder.as_deref()),
        _ => {}
    }
    let layers = Layers::of_process(cli.config.clone(), cli.data_dir.clone());
    let config = match (layers.load(), &cli.command) {
        // A bot that runs goes on with what the configuration said before, and can be asked about that.
        (Err(error), Some(Command::Db(what))) => return db::run_on_wrong(cli, &layers, error, what),
        (Err(error), Some(Command::Config(ConfigArgs { json: true, .. }))) => return show::wrong(&error),
        (loaded, _) => loaded?,
    };
    logging::start(config.log, cli.verbose, cli.quiet);
    if !cli.quiet && !config.passed_over.is_empty() {
        say(&format!(
            "Passed over in the environment: {} (the names of settings have two underscores, as SWITCHYARD_LOG__LEVEL).",
            config.passed_over.join(", ")
        ));
    }
    match &cli.command {
        None => run::console(cli, layers, &config, &cli.speaker),
        Some(Command::Console(console)) if console.json => {
            if cli.speaker.is_told() {
                return Err(AppError::Misused(
                    "--chat, --user and --name do not go with --json: each line says its own",
                ));
            }
            run::json(cli, layers, &config)
        }
        Some(Command::Run(speaker) | Command::Console(ConsoleArgs { speaker, .. })) => {
            run::console(cli, layers, &config, &speaker.clone().or(&cli.speaker))
        }
        Some(Command::Import(what)) => run::import(cli, &config, what),
        Some(Command::Config(ConfigArgs { json, command: ConfigCommand::Check })) => show::check(&config, *json),
        Some(Command::Config(ConfigArgs { json, command: ConfigCommand::Show })) => show::show(&config, *json),
        Some(Command::Db(what)) => db::run(cli, &layers, &config, what),
        // These are about the program alone, and done above.
        Some(Command::Completions { .. } | Command::Man { .. }) => Ok(Outcome::Done),
    }
}

/// Opens the databases, and says which configuration and which databases that are and what is new.
fn open(cli: &Cli, config: &Config) -> Result<Opened, AppError> {
    let opened = databases::open(config)?;
    if !cli.quiet {
        if config.files.is_empty() {
            say(&format!("Using built-in defaults (no {DEFAULT_FILE} here)."));
        }
        for file in &config.files {
            say(&format!("Using the configuration {}.", absolute(file)));
        }
        opened.notes.iter().for_each(|note| say(note));
    }
    Ok(opened)
}

/// Prints a result.
fn print(text: &str) -> Result<(), AppError> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(AppError::Output)
}

/// Tells something that is no result.
fn say(text: &str) {
    // Where even that fails there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{text}");
}
