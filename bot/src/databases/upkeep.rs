//! Looking after the files of databases, in either build.

use std::ops::ControlFlow;
use std::path::Path;

use config::Config;
use database::maintenance::{
    self, BackupOptions, BackupProgress, BackupReport, BackupSet, CheckOptions, CheckReport, RestoreOptions,
    RestoreOutcome, VerifyReport,
};
use database::{
    ChatId, Clock as _, Contents, DatabaseConfig, DatabaseWrapper, Found, SourceConfig, SourceName, SystemClock,
};

use super::{DatabasesError, sources};
pub use crate::control::upkeep::{MigrateOutcome, Migrated, Versions};

/// What is put back.
pub struct Restore<'a> {
    /// A folder that a backup made, or a database file.
    pub from: &'a Path,
    /// The sources; all that there are copies of where none is named.
    pub sources: &'a [SourceName],
    /// Whether chats may lose their rows.
    pub even_so: bool,
}

impl Restore<'_> {
    pub(super) fn options(&self) -> RestoreOptions {
        let mut options = RestoreOptions::default();
        (options.sources, options.even_so) = (self.sources.to_vec(), self.even_so);
        options
    }
}

/// Checks the files. Changes nothing.
///
/// # Errors
/// This build cannot work on them.
pub fn check(config: &DatabaseConfig, options: CheckOptions) -> Result<CheckReport, DatabasesError> {
    let site = sources::site(config)?;
    let mut report = maintenance::check(&site, options);
    report.findings.extend(sources::stray_findings(config));
    report.findings.sort();
    Ok(report)
}

/// Reads chats row by row, all where none is named. Changes nothing.
///
/// # Errors
/// This build cannot work on them, or `tell` broke it off.
pub fn verify(
    config: &DatabaseConfig,
    chats: &[ChatId],
    tell: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<VerifyReport, DatabasesError> {
    Ok(maintenance::verify(&sources::site(config)?, chats, tell)?)
}

/// Copies the files into a folder, whoever uses them meanwhile.
///
/// # Errors
/// Nothing could be copied, or written there.
pub fn backup(
    config: &DatabaseConfig,
    folder: &Path,
    options: &BackupOptions,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<BackupReport, DatabasesError> {
    let site = sources::site(config)?;
    Ok(maintenance::backup(&site, folder, options, SystemClock.now(), tell)?)
}

/// Puts backups back, where no bot runs on sources by name: takes the data folder meanwhile.
///
/// # Errors
/// A process is in charge, the backup is none of these databases, or chats would lose their rows. Nothing was changed.
pub fn restore(
    config: &DatabaseConfig,
    what: &Restore<'_>,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Vec<RestoreOutcome>, DatabasesError> {
    sources::restore(config, what, tell)
}

/// Opens one source after the other, which brings them up to date, while no bot runs on sources by name: takes the data
/// folder meanwhile. Tells of each.
///
/// # Errors
/// A process is in charge.
pub fn migrate(config: &Config, tell: &mut dyn FnMut(Migrated)) -> Result<(), DatabasesError> {
    sources::migrate(config, tell)
}

/// Puts a backup of one file back.
pub(super) fn restore_one(
    source: &SourceConfig,
    what: &Restore<'_>,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Vec<RestoreOutcome>, DatabasesError> {
    let set = BackupSet::open(what.from, Some(&source.name))?;
    let restored = maintenance::restore_file(source, &set, &what.options(), SystemClock.now(), tell)?;
    Ok(vec![RestoreOutcome::done(restored)])
}

/// Brings one file up to date.
pub(super) fn migrate_one(source: &SourceConfig, tell: &mut dyn FnMut(Migrated)) {
    tell(migrated(source, || match DatabaseWrapper::open(source) {
        Ok(db) => {
            db.close();
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }));
}

/// What becomes of a source that is opened so.
pub fn migrated(source: &SourceConfig, open: impl FnOnce() -> Result<(), String>) -> Migrated {
    let before = database::look(source);
    let path = before.path.display().to_string();
    let of = |outcome, from, to, error| Migrated { source: source.name.to_string(), path, outcome, from, to, error };
    let from = match before.found {
        // One that was there before is missing: opening it says so, and makes none.
        Found::Nothing => None,
        Found::Database(contents) => Some(versions(&contents)),
        _ => None,
    };
    if source.readonly {
        return match database::look(source).found {
            Found::Unusable { reason } => of(MigrateOutcome::Failed, None, None, Some(reason)),
            _ => of(MigrateOutcome::ReadOnly, from, from, None),
        };
    }
    if let Err(error) = open() {
        return of(MigrateOutcome::Failed, from, None, Some(error));
    }
    match database::look(source).found {
        Found::Database(contents) => {
            let to = Some(versions(&contents));
            let outcome = if to == from { MigrateOutcome::Current } else { MigrateOutcome::Migrated };
            of(outcome, from, to, None)
        }
        Found::Unusable { reason } => of(MigrateOutcome::Failed, from, None, Some(reason)),
        _ => of(MigrateOutcome::Absent, None, None, None),
    }
}

fn versions(contents: &Contents) -> Versions {
    Versions { version: contents.version, additions: contents.additions }
}
