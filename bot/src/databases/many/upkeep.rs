//! The files of many databases, for whoever looks after them: with a bot that runs, and with none.

use std::ops::ControlFlow;
use std::path::Path;

use config::Config;
use database::maintenance::{BackupProgress, BackupSet, Finding, RestoreOutcome, Site};
use database::multi;
use database::{Clock as _, DatabaseConfig, Form, Found, SourceName, SystemClock};

use super::Many;
use super::leftovers::in_charge;
use crate::control::protocol::{Fault, FaultKind};
use crate::control::upkeep::Restored;
use crate::databases::upkeep::{MigrateOutcome, Migrated, Restore, migrate_one, migrated, restore_one};
use crate::databases::{DatabasesError, only_source};

pub(in crate::databases) fn site(config: &DatabaseConfig) -> Result<Site, DatabasesError> {
    match config.form {
        Form::Sources => Ok(multi::site(config)),
        _ => Ok(Site::of_file(config, only_source(config)?)),
    }
}

pub(in crate::databases) fn stray_findings(config: &DatabaseConfig) -> Vec<Finding> {
    match config.form {
        Form::Sources => multi::stray_findings(config),
        _ => Vec::new(),
    }
}

pub(in crate::databases) fn migrate(config: &Config, tell: &mut dyn FnMut(Migrated)) -> Result<(), DatabasesError> {
    let databases = &config.database;
    if databases.form != Form::Sources {
        migrate_one(only_source(databases)?, tell);
        return Ok(());
    }
    // Looked at before they are opened: the default one is with the data folder.
    let before = multi::look(databases).sources;
    in_charge(config, |many| {
        for source in before {
            let Some(settings) = databases.sources.get(&source.name) else { continue };
            let mut report = match source.look.found {
                Found::Nothing => migrated(settings, || Ok(())),
                _ => {
                    migrated(settings, || many.control.retry(&source.name).map_err(|error| many.fault(&error).message))
                }
            };
            if let (Found::Database(contents), Some(from)) = (&source.look.found, &mut report.from) {
                (from.version, from.additions) = (contents.version, contents.additions);
                if report.outcome == MigrateOutcome::Current && report.from != report.to {
                    report.outcome = MigrateOutcome::Migrated;
                }
            }
            tell(report);
        }
    })
}

pub(in crate::databases) fn restore(
    config: &DatabaseConfig,
    what: &Restore<'_>,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Vec<RestoreOutcome>, DatabasesError> {
    if config.form != Form::Sources {
        return restore_one(only_source(config)?, what, tell);
    }
    let source = if let [source] = what.sources { Some(source) } else { None };
    let set = BackupSet::open(what.from, source)?;
    Ok(multi::restore(config, &set, &what.options(), SystemClock.now(), tell)?)
}

impl Many {
    pub(super) fn put_back(&self, source: &SourceName, from: &Path, even_so: bool) -> Result<Restored, Fault> {
        use database::maintenance::MaintenanceError;
        let restore = || {
            let set = BackupSet::open(from, Some(source))?;
            self.control.restore(source, &set, even_so, SystemClock.now(), &mut |_| ControlFlow::Continue(()))
        };
        restore().map_err(|error| {
            let kind = match &error {
                MaintenanceError::NoSource { .. } => FaultKind::UnknownSource,
                MaintenanceError::DefaultSource { .. } | MaintenanceError::InUse { .. } => FaultKind::NotNow,
                _ => FaultKind::Failed,
            };
            Fault::new(kind, error.to_string())
        })
    }
}
