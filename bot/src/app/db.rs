//! `bot db`: looking at the databases, and steering the bot that runs on them through its control socket.
//!
//! Where no bot runs, looking reads the files and changes nothing, and `adopt` does the work itself.

mod backup;
mod leftovers;
mod moving;
mod tell;
mod upkeep;
mod verified;

use std::time::Duration;

use config::{Config, ConfigError, Layers};
use database::{ChatId, Form, SourceConfig, SourceName};
use serde::Serialize;

use super::{AppError, Outcome, print, say};
use crate::cli::{Cli, DbArgs, DbCommand};
use crate::control::absolute;
use crate::control::client::Client;
use crate::control::protocol::{Accept, Answer, Command};
use crate::control::report::{ReloadOutcome, SourceReport, State, StatusReport};
use crate::databases::{self, DatabasesError, Reached};

/// How long a bot may take to answer, besides what it waits for a database.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(cli: &Cli, layers: &Layers, config: &Config, what: &DbArgs) -> Result<Outcome, AppError> {
    let db = Db { quiet: cli.quiet, json: what.json, layers: layers.clone() };
    if let DbCommand::Seal { file, copy } = &what.command {
        return db.seal(file, copy.as_deref());
    }
    if let DbCommand::Upkeep(command) = &what.command {
        return db.upkeep(config, command);
    }
    let whom = match databases::reach(&config.database)? {
        Reached::Bot(client) => Whom::Bot(client, longest(config)),
        Reached::Nobody => Whom::Files(config, None),
        Reached::Mute(process) => Whom::Files(config, Some(process)),
    };
    db.run(whom, &what.command)
}

/// The same where the configuration is wrong, which a bot that runs may answer; otherwise nobody does.
pub(super) fn run_on_wrong(cli: &Cli, layers: &Layers, error: ConfigError, what: &DbArgs) -> Result<Outcome, AppError> {
    let db = Db { quiet: cli.quiet, json: what.json, layers: layers.clone() };
    match (&what.command, databases::bot_in(&layers.data_dir_at_best())) {
        (DbCommand::Seal { file, copy }, _) => db.seal(file, copy.as_deref()),
        (DbCommand::Upkeep(_), _) => Err(error.into()),
        (command, Ok(Some(client))) => db.run(Whom::Bot(client, SourceConfig::DEFAULT_TIMEOUT), command),
        _ => Err(error.into()),
    }
}

/// Whom to ask about the databases.
enum Whom<'a> {
    /// The bot that runs; and how long a call may wait for a database.
    Bot(Client, Duration),
    /// The files; and the process that is in charge but cannot be asked, where there is one and it told which.
    Files(&'a Config, Option<Option<u32>>),
}

/// How what is found is told, and where the configuration is read from.
struct Db {
    quiet: bool,
    json: bool,
    layers: Layers,
}

impl Db {
    fn run(&self, whom: Whom<'_>, command: &DbCommand) -> Result<Outcome, AppError> {
        match command {
            DbCommand::Status => self.status(whom),
            DbCommand::Route { chat } => self.route(whom, ChatId(*chat)),
            DbCommand::Retry { source, set_aside: false } => self.retry(whom, source),
            DbCommand::Retry { source, set_aside: true } => self.set_aside(whom, source),
            DbCommand::Adopt { source, new } => {
                self.adopt(whom, source, if *new { Accept::New } else { Accept::Present })
            }
            DbCommand::Reload => self.reload(whom),
            DbCommand::Move(what) => self.move_chats(whom, what),
            DbCommand::Journal(what) => self.journal(whom, what),
            DbCommand::Strays(what) => self.strays(whom, *what),
            DbCommand::Seal { file, copy } => self.seal(file, copy.as_deref()),
            DbCommand::Upkeep(command) => match whom {
                Whom::Files(config, _) => self.upkeep(config, command),
                Whom::Bot(..) => Err(AppError::Misused("this is done with the files, which the configuration names")),
            },
        }
    }

    fn status(&self, whom: Whom<'_>) -> Result<Outcome, AppError> {
        let (report, heading, outcome) = match whom {
            Whom::Bot(client, _) => {
                let fits = |answer| if let Answer::Status(report) = answer { Some(report) } else { None };
                let report = ask(client, Command::Status, PATIENCE, fits)?;
                let process = report.process.map_or_else(String::new, |process| format!(" (process {process})"));
                let heading = format!("The bot{process} runs on {}.", report.data_dir);
                (report, heading, Outcome::Done)
            }
            Whom::Files(config, mute) => {
                let heading = format!("{} This is what the files show.", who_runs(config, mute));
                let configuration = config.files.iter().map(|file| absolute(file)).collect();
                let looked = databases::look(&config.database)?;
                let report = StatusReport { process: mute.flatten(), configuration, ..looked };
                let is_whole = mute.is_none() && report.sources.iter().all(|source| source.state != State::Unusable);
                let outcome = if is_whole { Outcome::Done } else { Outcome::DoneInPart };
                (report, heading, outcome)
            }
        };
        self.tell(&report, |report| tell::status(report, &heading, tell::columns()))?;
        Ok(outcome)
    }

    fn route(&self, whom: Whom<'_>, chat: ChatId) -> Result<Outcome, AppError> {
        let report = match whom {
            Whom::Bot(client, _) => {
                let fits = |answer| if let Answer::Route(report) = answer { Some(report) } else { None };
                ask(client, Command::Route { chat: chat.0 }, PATIENCE, fits)?
            }
            Whom::Files(config, mute) => {
                if config.database.form == Form::Sources {
                    self.say(&format!("{} By the configuration and the files:", who_runs(config, mute)));
                }
                databases::look_for(&config.database, chat)?
            }
        };
        self.tell(&report, tell::route)?;
        Ok(if report.certain { Outcome::Done } else { Outcome::DoneInPart })
    }

    fn retry(&self, whom: Whom<'_>, source: &SourceName) -> Result<Outcome, AppError> {
        let (client, wait) = the_bot(whom, "A bot opens its databases when it starts.")?;
        let report = ask(client, Command::Retry { source: source.to_string() }, PATIENCE + wait, of_source)?;
        self.tell(&report, tell::source)?;
        Ok(Outcome::Done)
    }

    fn set_aside(&self, whom: Whom<'_>, source: &SourceName) -> Result<Outcome, AppError> {
        let report = match whom {
            Whom::Bot(client, wait) => {
                let fits = |answer| if let Answer::SetAside(report) = answer { Some(report) } else { None };
                ask(client, Command::SetAside { source: source.to_string() }, PATIENCE + wait, fits)?
            }
            Whom::Files(config, _) => databases::set_aside(config, source)?,
        };
        self.tell(&report, tell::set_aside)?;
        Ok(Outcome::Done)
    }

    fn adopt(&self, whom: Whom<'_>, source: &SourceName, accept: Accept) -> Result<Outcome, AppError> {
        let config = self.layers.load().ok();
        let settings = config.as_ref().and_then(|config| config.database.sources.get(source));
        let is_made = accept == Accept::New && settings.is_some_and(|settings| databases::is_new(&settings.path));
        let report = match whom {
            Whom::Bot(client, wait) => {
                ask(client, Command::Adopt { source: source.to_string(), accept }, PATIENCE + wait, of_source)?
            }
            // Where a process is in charge that cannot be asked, the lock says so.
            Whom::Files(config, _) => databases::adopt(config, source, accept)?,
        };
        self.tell(&report, |report| tell::adopted(report, is_made))?;
        Ok(Outcome::Done)
    }

    fn reload(&self, whom: Whom<'_>) -> Result<Outcome, AppError> {
        let (client, _) = the_bot(whom, "A bot reads its configuration when it starts.")?;
        let fits = |answer| if let Answer::Reload(report) = answer { Some(report) } else { None };
        let report = ask(client, Command::Reload, PATIENCE, fits)?;
        self.tell(&report, tell::reload)?;
        Ok(if report.outcome == ReloadOutcome::Refused { Outcome::Failed } else { Outcome::Done })
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Prints a report, for programs or for people.
    fn tell<T: Serialize>(&self, report: &T, for_people: impl FnOnce(&T) -> String) -> Result<(), AppError> {
        if !self.json {
            return print(&for_people(report));
        }
        let line = serde_json::to_string(report).map_err(|error| AppError::Output(error.into()))?;
        print(&format!("{line}\n"))
    }
}

/// The bot that runs, for what only that can do.
fn the_bot(whom: Whom<'_>, otherwise: &str) -> Result<(Client, Duration), AppError> {
    match whom {
        Whom::Bot(client, wait) => Ok((client, wait)),
        Whom::Files(config, _) if !databases::can_reload(&config.database) => Err(DatabasesError::OneFile.into()),
        Whom::Files(config, None) => Err(AppError::Failed(format!("{} {otherwise}", who_runs(config, None)))),
        Whom::Files(config, mute) => Err(AppError::Failed(who_runs(config, mute))),
    }
}

/// What is known of bots where none can be asked, in a sentence or two.
fn who_runs(config: &Config, mute: Option<Option<u32>>) -> String {
    let folder = config.database.data_dir.display();
    match mute {
        None if config.database.form == Form::SingleFile => {
            "One file needs no lock, so whether a bot runs on it is not known.".to_owned()
        }
        None => format!("No bot runs on {folder}."),
        Some(process) => {
            let process = process.map_or_else(|| "A process".to_owned(), |process| format!("Process {process}"));
            format!(
                "{process} is in charge of {folder} and cannot be asked: it is a command at work such as `bot db move`, a bot \
                 that starts or ends, or one without a control socket."
            )
        }
    }
}

/// How long a call may wait for a database at most.
fn longest(config: &Config) -> Duration {
    config.database.sources.values().map(|source| source.timeout).max().unwrap_or_default()
}

/// The source that was asked for.
fn of_source(answer: Answer) -> Option<SourceReport> {
    if let Answer::Source(report) = answer { Some(report) } else { None }
}

/// Asks the bot and takes the answer that fits the question.
fn ask<T>(
    client: Client,
    command: Command,
    wait: Duration,
    fits: impl FnOnce(Answer) -> Option<T>,
) -> Result<T, AppError> {
    match client.ask(command, wait).map_err(DatabasesError::Client)? {
        Answer::Error(fault) => Err(DatabasesError::Refused(fault).into()),
        answer => fits(answer).ok_or_else(|| AppError::Failed("the bot answered another question".to_owned())),
    }
}
