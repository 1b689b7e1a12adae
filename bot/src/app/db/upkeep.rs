//! `bot db check`, `verify` and `migrate`: whether the files of databases are well, and bringing them up to date.

use std::ops::ControlFlow;

use config::Config;
use database::maintenance::{CheckOptions, CheckReport, FileReport, Finding, Severity};
use database::{ChatId, SourceConfig};
use serde::Serialize;

use super::{Db, PATIENCE, ask, of_source, tell, verified};
use crate::app::{AppError, Outcome};
use crate::cli::{CheckArgs, UpkeepCommand, VerifyArgs};
use crate::control::protocol::Command;
use crate::control::report::State;
use crate::control::upkeep::{MigrateOutcome, Migrated, Versions};
use crate::databases::{self, Reached, upkeep};
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;
use crate::text::table::{Column, table};
use crate::transport::signals::{HangUp, StopSignals};

/// What `bot db migrate --json` prints.
#[derive(Serialize)]
struct Migrations {
    sources: Vec<Migrated>,
}

/// Has the bot that runs open a source.
fn open_by_bot(config: &Config, source: &SourceConfig) -> Result<(), AppError> {
    // A bot answers one question a connection.
    let Some(client) = databases::bot_in(&config.database.data_dir)? else {
        return Err(AppError::Failed("the bot ended meanwhile; do it again".to_owned()));
    };
    let command = Command::Retry { source: source.name.to_string() };
    ask(client, command, PATIENCE + source.timeout, of_source).map(drop)
}

impl Db {
    pub(super) fn upkeep(&self, config: &Config, command: &UpkeepCommand) -> Result<Outcome, AppError> {
        match command {
            UpkeepCommand::Check(what) => self.check(config, *what),
            UpkeepCommand::Verify(what) => self.verify(config, what),
            UpkeepCommand::Migrate => self.migrate(config),
            UpkeepCommand::Backup(what) => self.backup(config, what),
            UpkeepCommand::Restore(what) => self.restore(config, what),
        }
    }

    fn check(&self, config: &Config, what: CheckArgs) -> Result<Outcome, AppError> {
        let mut options = CheckOptions::default();
        options.least_free = what.least_free.saturating_mul(1 << 20);
        let report = upkeep::check(&config.database, options)?;
        self.tell(&report, |report| checked(report, tell::columns()))?;
        Ok(if report.is_fine() { Outcome::Done } else { Outcome::DoneInPart })
    }

    fn verify(&self, config: &Config, what: &VerifyArgs) -> Result<Outcome, AppError> {
        let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
        let chats: Vec<ChatId> = what.chats.iter().copied().map(ChatId).collect();
        let bar = self.bar();
        let mut progress = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message("chats are read");
            if signals.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = upkeep::verify(&config.database, &chats, &mut progress);
        bar.finish_and_clear();
        let report = report?;
        self.tell(&report, |report| verified::verified(report, tell::columns()))?;
        Ok(if report.is_fine() { Outcome::Done } else { Outcome::DoneInPart })
    }

    fn migrate(&self, config: &Config) -> Result<Outcome, AppError> {
        let mut sources = Vec::new();
        match databases::reach(&config.database)? {
            Reached::Bot(_) => {
                let looked = databases::look(&config.database)?.sources;
                let is_absent = |source: &SourceConfig| {
                    looked.iter().any(|found| found.name == source.name.as_str() && found.state == State::Absent)
                };
                for source in config.database.sources.values() {
                    sources.push(upkeep::migrated(source, || match is_absent(source) {
                        true => Ok(()),
                        false => open_by_bot(config, source).map_err(|error| error.to_string()),
                    }));
                }
            }
            // Where a process is in charge that cannot be asked, the lock says so.
            Reached::Nobody | Reached::Mute(_) => upkeep::migrate(config, &mut |one| sources.push(one))?,
        }
        let has_failed = |one: &Migrated| one.outcome == MigrateOutcome::Failed;
        let (failed, all) = (sources.iter().filter(|one| has_failed(one)).count(), sources.len());
        self.tell(&Migrations { sources }, |report| migrated(&report.sources, tell::columns()))?;
        Ok(match failed {
            0 => Outcome::Done,
            failed if failed == all => Outcome::Failed,
            _ => Outcome::DoneInPart,
        })
    }
}

/// What became of sources that were to be brought up to date, for people.
fn migrated(sources: &[Migrated], terminal: Option<usize>) -> String {
    let columns = [
        Column::Left("SOURCE"),
        Column::Left("STATE"),
        Column::Right("FROM"),
        Column::Right("TO"),
        Column::Left("PATH"),
    ];
    let row = |one: &Migrated| {
        let version = |versions: Option<Versions>| versions.map_or_else(|| "-".to_owned(), |found| found.to_string());
        vec![one.source.clone(), one.outcome.to_string(), version(one.from), version(one.to), one.path.clone()]
    };
    let mut text = table(&columns, &sources.iter().map(row).collect::<Vec<_>>(), terminal);
    for one in sources {
        if let Some(error) = &one.error {
            text.push_str(&format!("\n{} failed: {}\n", one.source, sanitize_line(error)));
        }
    }
    text
}

/// What a check found, for people.
fn checked(report: &CheckReport, terminal: Option<usize>) -> String {
    let columns = [
        Column::Left("SOURCE"),
        Column::Left("FOUND"),
        Column::Right("CHATS"),
        Column::Right("VERSION"),
        Column::Left("JOURNAL"),
        Column::Left("MODE"),
        Column::Right("SIZE"),
        Column::Right("FREE"),
        Column::Left("PATH"),
    ];
    let dash = || "-".to_owned();
    let mib = |bytes: u64| format!("{} MiB", thousands(bytes >> 20));
    let row = |file: &FileReport| {
        let source = if file.stand_in { format!("{} (stand-in)", file.source) } else { file.source.clone() };
        vec![
            source,
            worst(report, file).to_owned(),
            file.chats.map_or_else(dash, thousands),
            file.version.map_or_else(dash, |version| version.to_string()),
            file.journal_mode.clone().unwrap_or_else(dash),
            file.permissions.clone().unwrap_or_else(dash),
            file.bytes.map_or_else(dash, |bytes| format!("{} KiB", thousands(bytes.div_ceil(1024)))),
            file.free_bytes.map_or_else(dash, mib),
            file.path.clone(),
        ]
    };
    let mut text = table(&columns, &report.files.iter().map(row).collect::<Vec<_>>(), terminal);
    text.push('\n');
    text.extend(report.findings.iter().map(finding));
    let bad = report.findings.iter().filter(|finding| finding.severity != Severity::Note).count() as u64;
    text.push_str(&match bad {
        0 => "Nothing is wrong.\n".to_owned(),
        bad => format!("{} found.\n", counted(bad, "thing that is wrong was", "things that are wrong were")),
    });
    text
}

/// The worst that was found of a file, in a word.
fn worst(report: &CheckReport, file: &FileReport) -> &'static str {
    let of_file = |finding: &&Finding| match &finding.path {
        Some(path) => *path == file.path,
        None => finding.source == file.source && !file.stand_in,
    };
    let worst = report.findings.iter().filter(of_file).map(|finding| finding.severity).min();
    match worst {
        None | Some(Severity::Note) if file.readable => "ok",
        None | Some(Severity::Note) => "absent",
        Some(severity) => severity.as_str(),
    }
}

/// What was found, in a line.
pub(super) fn finding(finding: &Finding) -> String {
    let Finding { severity, source, path, what, remedy, .. } = finding;
    let path = path.as_ref().filter(|path| !what.contains(path.as_str()));
    let path = path.map_or_else(String::new, |path| format!("{path}: "));
    let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    sanitize_line(&format!("{severity}: {source}: {path}{what}{remedy}")).into_owned() + "\n"
}
