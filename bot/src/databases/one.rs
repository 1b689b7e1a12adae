//! The databases in a build for one: the only source, whichever form the configuration has.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use config::{Config, Layers};
use database::{ChatId, DatabaseConfig, SourceName};

use super::{DatabasesError, Opened, Reached, look_at_one, only_source, open_one};
use crate::control::client::Client;
use crate::control::leftovers::{JournalReport, Settle, SettledReport, StraysReport};
use crate::control::moves::{MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::Accept;
use crate::control::report::{RouteReport, SourceReport, StatusReport};
use crate::transport::signals::StopSignals;

/// What runs beside one file: nothing.
pub(super) struct Running;

pub(super) fn open(config: &Config) -> Result<Opened, DatabasesError> {
    open_one(&config.database, only_source(&config.database)?)
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

pub(super) fn adopt(_: &Config, _: &SourceName, _: Accept) -> Result<SourceReport, DatabasesError> {
    Err(DatabasesError::OneFile)
}

pub(super) fn move_chats(
    _: &Config,
    _: &MoveRequest,
    _: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
) -> Result<MovesReport, DatabasesError> {
    Err(DatabasesError::OneFile)
}

pub(super) fn seal(_: &Path, _: Option<&Path>) -> Result<PathBuf, DatabasesError> {
    Err(DatabasesError::NotBuilt)
}

pub(super) fn look_at_journal(
    _: &DatabaseConfig,
    _: Option<&SourceName>,
    _: usize,
) -> Result<JournalReport, DatabasesError> {
    Err(DatabasesError::OneFile)
}

pub(super) fn settle(_: &Config, _: &SourceName, _: &Settle) -> Result<SettledReport, DatabasesError> {
    Err(DatabasesError::OneFile)
}

pub(super) fn look_at_strays(_: &DatabaseConfig) -> Result<StraysReport, DatabasesError> {
    Err(DatabasesError::OneFile)
}

pub(super) fn clear_strays(_: &Config, _: bool) -> Result<StraysReport, DatabasesError> {
    Err(DatabasesError::OneFile)
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
