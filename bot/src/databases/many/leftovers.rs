//! Writes that wait or were kept aside, and rows in files that do not own them: of a bot that runs, and of the files.

use config::Config;
use database::maintenance::UnfinishedMove;
use database::multi::{self, Clear, Control};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, Form, Missing, Options, SourceName};

use super::{Following, Many, unknown};
use crate::control::Operator as _;
use crate::control::leftovers::{
    Clearing, JournalCounts, JournalEntry, JournalReport, Lacking, SetAsideReport, Settle, SettledReport, Stray,
    StraysReport, Unfinished,
};
use crate::control::protocol::{Fault, FaultKind};
use crate::control::report::{Ownerless, ServedBy};
use crate::databases::DatabasesError;

impl Many {
    pub(super) fn told_journal(&self, source: Option<&SourceName>, most: usize) -> Result<JournalReport, Fault> {
        let report = self.control.journal(source, most).map_err(|error| self.fault(&error))?;
        Ok(journal(report, true))
    }

    pub(super) fn settled(&self, source: &SourceName, what: &Settle) -> Result<SettledReport, Fault> {
        let failed = |error: database::Error| self.fault(&error);
        let (settled, still) = match what {
            Settle::Retry => {
                let multi::SettledWrites { settled, still, .. } = self.control.retry_parked(source).map_err(failed)?;
                (settled, still)
            }
            Settle::Drop(id) if self.control.drop_parked(source, id).map_err(failed)? => (1, Vec::new()),
            Settle::Drop(_) => {
                let what =
                    format!("no write of this id was kept aside at {source}; `bot db journal {source}` lists them");
                return Err(Fault::new(FaultKind::Failed, what));
            }
        };
        let still = still.into_iter().map(entry).collect();
        Ok(SettledReport { source: source.to_string(), settled, still })
    }

    pub(super) fn was_set_aside(&self, source: &SourceName) -> Result<SetAsideReport, Fault> {
        let file = self.control.set_aside(source).map_err(|error| self.fault(&error))?;
        Ok(SetAsideReport { source: source.to_string(), file: file.map(|file| file.display().to_string()) })
    }

    pub(super) fn cleared(&self, what: Clearing, running: bool) -> Result<StraysReport, Fault> {
        let what = match what {
            Clearing { only_here: Some(chat), .. } => Clear::AllOf(ChatId(chat)),
            Clearing { different: true, .. } => Clear::AtHome,
            Clearing { .. } => Clear::Same,
        };
        let report = self.control.clear_strays(what);
        let report = report.map_err(|error| Fault::new(FaultKind::Failed, error.to_string()))?;
        let strays = report.cleared.into_iter().map(|one| {
            let multi::Cleared { stray: found, deleted, only_here, different, why, .. } = one;
            Stray { deleted, only_here, different, why, ..stray(found) }
        });
        let (strays, missing) = (strays.collect(), lacking(report.missing));
        Ok(StraysReport { running, cleared: true, strays, unfinished: Vec::new(), missing })
    }
}

pub(in crate::databases) fn look_at_journal(
    config: &DatabaseConfig,
    source: Option<&SourceName>,
    most: usize,
) -> Result<JournalReport, DatabasesError> {
    has_sources(config, source)?;
    Ok(journal(multi::look_at_journal(config, source, most), false))
}

pub(in crate::databases) fn look_at_strays(config: &DatabaseConfig) -> Result<StraysReport, DatabasesError> {
    has_sources(config, None)?;
    Ok(strays(multi::look_at_strays(config), false))
}

pub(in crate::databases) fn settle(
    config: &Config,
    source: &SourceName,
    what: &Settle,
) -> Result<SettledReport, DatabasesError> {
    has_sources(&config.database, Some(source))?;
    Ok(in_charge(config, |many| many.settle(source, what))??)
}

pub(in crate::databases) fn set_aside(config: &Config, source: &SourceName) -> Result<SetAsideReport, DatabasesError> {
    has_sources(&config.database, Some(source))?;
    Ok(in_charge(config, |many| many.was_set_aside(source))??)
}

pub(in crate::databases) fn clear_strays(config: &Config, what: Clearing) -> Result<StraysReport, DatabasesError> {
    has_sources(&config.database, None)?;
    Ok(in_charge(config, |many| many.cleared(what, false))??)
}

/// Takes the data folder meanwhile.
pub(super) fn in_charge<T>(config: &Config, f: impl FnOnce(&Many) -> T) -> Result<T, DatabasesError> {
    let databases = &config.database;
    if !databases.data_dir.is_dir() {
        return Err(DatabasesError::NoDataDir(databases.data_dir.clone()));
    }
    let (db, control) = DatabaseWrapper::open_multi(databases, Options::default())?;
    let answer = f(&Many { control, files: Vec::new(), following: Following::default() });
    db.close();
    Ok(answer)
}

/// Refuses where there are no sources by name, or not this one.
pub(super) fn has_sources(config: &DatabaseConfig, source: Option<&SourceName>) -> Result<(), DatabasesError> {
    if config.form == Form::SingleFile {
        return Err(DatabasesError::OneFile);
    }
    match source {
        Some(source) if !config.sources.contains_key(source) => {
            Err(unknown(source.as_str(), config.sources.keys()).into())
        }
        _ => Ok(()),
    }
}

/// The files that stood in for sources which are not configured any more.
pub(super) fn ownerless(config: &DatabaseConfig) -> Vec<Ownerless> {
    let told = |(name, path): (SourceName, std::path::PathBuf)| Ownerless {
        source: name.to_string(),
        path: path.display().to_string(),
    };
    multi::ownerless(config).into_iter().map(told).collect()
}

/// Who serves a source's chats, as it is told.
pub(super) fn served_by(by: multi::ServedBy) -> ServedBy {
    match by {
        multi::ServedBy::Default => ServedBy::Default,
        _ => ServedBy::StandIn,
    }
}

pub(super) fn told_strays(control: &Control) -> StraysReport {
    strays(control.strays(), true)
}

fn journal(report: multi::JournalReport, running: bool) -> JournalReport {
    let counts = report.counts.into_iter().map(|(source, (waiting, parked))| JournalCounts {
        source: source.to_string(),
        waiting,
        parked,
    });
    JournalReport {
        running,
        counts: counts.collect(),
        entries: report.entries.into_iter().map(entry).collect(),
        missing: lacking(report.missing),
    }
}

fn entry(entry: multi::JournalEntry) -> JournalEntry {
    let multi::JournalEntry { source, id, op, chat, at, reason, .. } = entry;
    let (chat, at) = (chat.map(|chat| chat.0), at.map(|at| at.to_string()));
    JournalEntry { source: source.to_string(), id, op, chat, at, reason }
}

fn strays(strays: multi::Strays, running: bool) -> StraysReport {
    let multi::Strays { found, moves, missing, .. } = strays;
    let unfinished = |one: &UnfinishedMove| {
        let home = found.iter().find(|stray| stray.chat == one.chat).map_or("", |stray| stray.home.as_str());
        let (source, what, remedy) = (one.left_in().to_owned(), one.leftovers(), one.remedy(home));
        Unfinished { source, chat: one.chat.0, what, remedy }
    };
    let unfinished = moves.iter().map(unfinished).collect();
    let strays = found.into_iter().map(stray).collect();
    StraysReport { running, cleared: false, strays, unfinished, missing: lacking(missing) }
}

fn stray(stray: multi::Stray) -> Stray {
    let multi::Stray { source, chat, home, table, rows, .. } = stray;
    Stray {
        source: source.to_string(),
        chat: chat.0,
        home: home.to_string(),
        table: table.to_owned(),
        rows,
        deleted: 0,
        only_here: 0,
        different: 0,
        why: None,
    }
}

fn lacking(missing: Vec<Missing>) -> Vec<Lacking> {
    missing.into_iter().map(|Missing { source, reason }| Lacking { source: source.to_string(), reason }).collect()
}
