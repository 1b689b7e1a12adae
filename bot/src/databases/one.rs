//! The databases in a build for one: the only source, whichever form the configuration has.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use config::{Config, Layers};
use database::maintenance::{BackupProgress, Finding, RestoreOutcome, Site};
use database::{ChatId, DatabaseConfig, Form, SourceName};

use super::upkeep::{Migrated, Restore, migrate_one, restore_one};
use super::{DatabasesError, Opened, Reached, look_at_one, only_source, open_one};
use crate::control::client::Client;
use crate::control::leftovers::{Clearing, JournalReport, SetAsideReport, Settle, SettledReport, StraysReport};
use crate::control::moves::{MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::Accept;
use crate::control::report::{RouteReport, SourceReport, StatusReport};
use crate::transport::signals::StopSignals;

/// What runs beside one file: nothing.
pub(super) struct Running;

pub(super) fn open(config: &Config) -> Result<Opened, DatabasesError> {
    open_one(&config.database, only_source(&config.database)?)
}

pub(super) fn can_run(config: &DatabaseConfig) -> Result<(), DatabasesError> {
    only_source(config).map(drop)
}

pub(super) fn can_reload(_: &DatabaseConfig) -> bool {
    false
}

pub(super) fn reach(_: &DatabaseConfig) -> Result<Reached, DatabasesError> {
    Ok(Reached::Nobody)
}

pub(super) fn bot_in(_: &Path) -> Result<Option<Client>, DatabasesError> {
    Ok(None)
}

pub(super) fn look(config: &DatabaseConfig) -> Result<StatusReport, DatabasesError> {
    Ok(look_at_one(config, only_source(config)?))
}

pub(super) fn look_for(config: &DatabaseConfig, chat: ChatId) -> Result<RouteReport, DatabasesError> {
    Ok(RouteReport::only(chat, &only_source(config)?.name))
}

pub(super) fn adopt(config: &Config, _: &SourceName, _: Accept) -> Result<SourceReport, DatabasesError> {
    Err(not_here(&config.database))
}

pub(super) fn move_chats(
    config: &Config,
    _: &MoveRequest,
    _: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
) -> Result<MovesReport, DatabasesError> {
    Err(not_here(&config.database))
}

pub(super) fn seal(_: &Path, _: Option<&Path>) -> Result<PathBuf, DatabasesError> {
    Err(DatabasesError::NotBuilt)
}

pub(super) fn look_at_journal(
    config: &DatabaseConfig,
    _: Option<&SourceName>,
    _: usize,
) -> Result<JournalReport, DatabasesError> {
    Err(not_here(config))
}

pub(super) fn settle(config: &Config, _: &SourceName, _: &Settle) -> Result<SettledReport, DatabasesError> {
    Err(not_here(&config.database))
}

pub(super) fn set_aside(config: &Config, _: &SourceName) -> Result<SetAsideReport, DatabasesError> {
    Err(not_here(&config.database))
}

pub(super) fn look_at_strays(config: &DatabaseConfig) -> Result<StraysReport, DatabasesError> {
    Err(not_here(config))
}

pub(super) fn clear_strays(config: &Config, _: Clearing) -> Result<StraysReport, DatabasesError> {
    Err(not_here(&config.database))
}

/// Why what is there for sources alone cannot be done.
fn not_here(config: &DatabaseConfig) -> DatabasesError {
    match only_source(config) {
        Err(error) => error,
        Ok(_) if config.form == Form::SingleFile => DatabasesError::OneFile,
        Ok(_) => DatabasesError::NotBuilt,
    }
}

pub(super) fn site(config: &DatabaseConfig) -> Result<Site, DatabasesError> {
    Ok(Site::of_file(config, only_source(config)?))
}

pub(super) fn stray_findings(_: &DatabaseConfig) -> Vec<Finding> {
    Vec::new()
}

pub(super) fn migrate(config: &Config, tell: &mut dyn FnMut(Migrated)) -> Result<(), DatabasesError> {
    migrate_one(only_source(&config.database)?, tell);
    Ok(())
}

pub(super) fn restore(
    config: &DatabaseConfig,
    what: &Restore<'_>,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Vec<RestoreOutcome>, DatabasesError> {
    restore_one(only_source(config)?, what, tell)
}

impl Running {
    pub(super) fn beside_one_file() -> Self {
        Self
    }

    pub(super) fn follow(&self, _: Layers, _: &Config, _: &StopSignals) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn stop(self) {}
}
