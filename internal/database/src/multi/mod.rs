//! Many databases behind one wrapper: the cargo feature `multi-source`.
//!
//! [`DatabaseWrapper::open_multi`] gives the wrapper that handlers use, and a [`Control`] for whoever runs the bot.

mod absence;
mod arrived;
mod backoff;
mod closing;
mod condition;
mod connection_manager;
mod control;
mod counters;
mod datasource_router;
#[cfg(test)]
mod datasource_router_tests;
mod departed;
mod earlier;
mod gate;
mod healer;
mod homecoming;
mod identity;
mod identity_default;
mod journal_report;
mod lines;
mod lock;
mod look;
mod looking;
mod outages;
mod parked;
mod particulars;
mod places;
mod reaper;
mod registry;
mod reload;
mod relocate;
mod restoring;
mod routes;
mod said;
mod seal;
mod set_aside;
mod site;
mod standin;
mod standin_files;

pub use control::{Control, RouteReport, SourceReport, Status};
pub use counters::Counts;
pub use datasource_router::Why;
pub use journal_report::{JournalEntry, JournalReport, look_at_journal};
pub use lock::{Owner, in_charge};
pub use look::{Overview, SourceLook, look};
pub use outages::Outage;
pub use parked::SettledWrites;
pub use particulars::Particulars;
pub use registry::Adopt;
pub use reload::{Change, PassedOver, ReloadError, Rerouted};
pub use relocate::{
    ChatThere, Clear, Cleared, ClearedStrays, Difference, MappingChange, MoveError, MoveOptions, MovePlan, MoveReport,
    Progress, Stage, Stray, Strays, Unlike, look_at_strays,
};
pub use restoring::{RestoreOptions, restore};
pub use seal::{SealError, seal};
pub use site::{site, stray_findings};
pub use standin::{ServedBy, ownerless};

use std::sync::Arc;

use crate::aliases::Aliases;
use crate::config::DatabaseConfig;
use crate::route::SourceName;
use crate::source::OpenError;
use crate::wrapper::{DatabaseWrapper, Options};

use datasource_router::DataSourceRouter;
use lock::DataDirLock;

impl DatabaseWrapper {
    /// Opens many databases: takes the lock of the data directory (which has to be there), and opens the default
    /// source; any other is opened when it is needed first. A source that cannot be opened, the default one too, is
    /// told of in the log and in [`Control::status`]; calls on it fail with
    /// [`SourceUnavailable`](crate::ErrorKind::SourceUnavailable), and nothing is made in its place.
    ///
    /// # Errors
    /// The configuration is contradictory, or another process is in charge of the data directory.
    pub fn open_multi(config: &DatabaseConfig, options: Options) -> Result<(Self, Control), OpenError> {
        check(config)?;
        let lock = DataDirLock::take(&config.data_dir)?;
        let aliases = Arc::new(Aliases::default());
        let router = DataSourceRouter::new(config, lock, &options.clock, &aliases);
        let db = Self::over(Box::new(Arc::clone(&router)), options, aliases);
        let control = Control::new(router, db.clone());
        control.learn()?;
        control.heal_what_was_left();
        Ok((db, control))
    }
}

/// A configuration that was put together by hand may be contradictory.
fn check(config: &DatabaseConfig) -> Result<(), OpenError> {
    let wrong = |setting, given: &SourceName, allowed| {
        Err(OpenError::InvalidSetting { setting, given: format!("`{given}`"), allowed })
    };
    match config.sources.get(&config.default_source) {
        None => return wrong("default_source", &config.default_source, "the name of a source"),
        Some(default) if default.readonly => {
            return wrong("default_source", &config.default_source, "a source that is not read-only");
        }
        Some(_) => {}
    }
    if let Some((name, _)) = config.sources.iter().find(|(name, source)| **name != source.name) {
        return wrong("name", name, "the name under which the source stands");
    }
    match config.chat_mapping.values().find(|name| !config.sources.contains_key(*name)) {
        Some(name) => wrong("chat_mapping", name, "the name of a source"),
        None => Ok(()),
    }
}
