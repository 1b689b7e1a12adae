//! `bot db`: looking at the databases, and steering the bot that runs on them through its control socket.
//!
//! Where no bot runs, looking reads the files and changes nothing, and `adopt` does the work itself.

mod tell;

use std::time::Duration;

use config::Config;
use database::{ChatId, SourceName};
use serde::Serialize;

use super::{AppError, Outcome, print, say};
use crate::cli::{Cli, DbArgs, DbCommand};
use crate::control::absolute;
use crate::control::client::Client;
use crate::control::protocol::{Accept, Answer, Command};
use crate::control::report::{ReloadOutcome, State, StatusReport};
use crate::databases::{self, DatabasesError, Reached};

/// How long a bot may take to answer, besides what it waits for a database.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(cli: &Cli, config: &Config, what: &DbArgs) -> Result<Outcome, AppError> {
    let db = Db { config, quiet: cli.quiet, json: what.json };
    match &what.command {
        DbCommand::Status => db.status(),
        DbCommand::Route { chat } => db.route(ChatId(*chat)),
        DbCommand::Retry { source } => db.retry(source),
        DbCommand::Adopt { source, new } => db.adopt(source, if *new { Accept::New } else { Accept::Present }),
        DbCommand::Reload => db.reload(),
    }
}

/// The databases of a configuration, and how what is found is told.
struct Db<'a> {
    config: &'a Config,
    quiet: bool,
    json: bool,
}

impl Db<'_> {
    fn status(&self) -> Result<Outcome, AppError> {
        let (report, outcome) = match databases::reach(&self.config.database)? {
            Reached::Bot(client) => (
                ask(client, Command::Status, PATIENCE, |answer| match answer {
                    Answer::Status(report) => Some(report),
                    _ => None,
                })?,
                Outcome::Done,
            ),
            Reached::Nobody => self.look(None)?,
            Reached::Mute(process) => {
                self.say_mute(process);
                (self.look(process)?.0, Outcome::DoneInPart)
            }
        };
        let single = self.config.database.form == database::Form::SingleFile;
        self.tell(&report, |report| tell::status(report, single, tell::columns()))?;
        Ok(outcome)
    }

    /// What the files show, and whether all of them could be looked at.
    fn look(&self, process: Option<u32>) -> Result<(StatusReport, Outcome), AppError> {
        let configuration = self.config.files.iter().map(|file| absolute(file)).collect();
        let report = StatusReport { process, configuration, ..databases::look(&self.config.database)? };
        let is_whole = report.sources.iter().all(|source| source.state != State::Unusable);
        Ok((report, if is_whole { Outcome::Done } else { Outcome::DoneInPart }))
    }

    fn route(&self, chat: ChatId) -> Result<Outcome, AppError> {
        let report = match databases::reach(&self.config.database)? {
            Reached::Bot(client) => ask(client, Command::Route { chat: chat.0 }, PATIENCE, |answer| match answer {
                Answer::Route(report) => Some(report),
                _ => None,
            })?,
            Reached::Nobody => {
                if databases::can_reload(&self.config.database) {
                    self.say(&format!("{} By the configuration and the files:", self.no_bot()));
                }
                databases::look_for(&self.config.database, chat)?
            }
            Reached::Mute(process) => {
                self.say_mute(process);
                databases::look_for(&self.config.database, chat)?
            }
        };
        self.tell(&report, tell::route)?;
        Ok(if report.certain { Outcome::Done } else { Outcome::DoneInPart })
    }

    fn retry(&self, source: &SourceName) -> Result<Outcome, AppError> {
        let client = self.bot("it opens its databases when it starts")?;
        let command = Command::Retry { source: source.to_string() };
        let report = ask(client, command, PATIENCE + self.longest(), |answer| match answer {
            Answer::Source(report) => Some(report),
            _ => None,
        })?;
        self.tell(&report, tell::source)?;
        Ok(Outcome::Done)
    }

    fn adopt(&self, source: &SourceName, accept: Accept) -> Result<Outcome, AppError> {
        let report = match databases::reach(&self.config.database)? {
            Reached::Bot(client) => {
                let command = Command::Adopt { source: source.to_string(), accept };
                ask(client, command, PATIENCE + self.longest(), |answer| match answer {
                    Answer::Source(report) => Some(report),
                    _ => None,
                })?
            }
            // Where a process is in charge that cannot be asked, the lock says so.
            Reached::Nobody | Reached::Mute(_) => databases::adopt(self.config, source, accept)?,
        };
        self.tell(&report, tell::source)?;
        Ok(Outcome::Done)
    }

    fn reload(&self) -> Result<Outcome, AppError> {
        let client = self.bot("it reads its configuration when it starts")?;
        let report = ask(client, Command::Reload, PATIENCE, |answer| match answer {
            Answer::Reload(report) => Some(report),
            _ => None,
        })?;
        self.tell(&report, tell::reload)?;
        Ok(if report.outcome == ReloadOutcome::Refused { Outcome::Failed } else { Outcome::Done })
    }

    /// The bot that runs, for what only that can do.
    fn bot(&self, why_not: &str) -> Result<Client, AppError> {
        match databases::reach(&self.config.database)? {
            Reached::Bot(client) => Ok(client),
            Reached::Nobody if !databases::can_reload(&self.config.database) => Err(DatabasesError::OneFile.into()),
            Reached::Nobody => Err(AppError::Failed(format!("{} {why_not}", self.no_bot().replace('.', ";")))),
            Reached::Mute(process) => Err(AppError::Failed(self.mute(process))),
        }
    }

    /// How long a call may wait for a database at most.
    fn longest(&self) -> Duration {
        self.config.database.sources.values().map(|source| source.timeout).max().unwrap_or_default()
    }

    fn no_bot(&self) -> String {
        format!("No bot runs on {}.", self.config.database.data_dir.display())
    }

    fn mute(&self, process: Option<u32>) -> String {
        let who = process.map_or_else(|| "a process".to_owned(), |process| format!("process {process}"));
        let folder = self.config.database.data_dir.display();
        format!(
            "{who} is in charge of {folder} and cannot be asked; it is starting or ending, or has no control socket"
        )
    }

    fn say_mute(&self, process: Option<u32>) {
        self.say(&format!("{}. The files:", self.mute(process)));
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
