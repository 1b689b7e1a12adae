//! Steering a running bot from outside: what can be asked and done, the lines that carry it, and the socket they go
//! through.
//!
//! Whoever opened the databases is an [`Operator`]. Handlers ask it for `/status` and `/route`; the [`server`] asks it for
//! whoever speaks through the socket, which is what `bot db` does as a [`client`].

pub mod client;
pub mod leftovers;
pub mod moves;
pub mod protocol;
pub mod report;
pub mod server;
mod socket;
pub mod upkeep;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use database::{ChatId, DatabaseWrapper, Route, SourceName};

use moves::{MoveRequest, MoveStep, MovesReport};

use leftovers::{Clearing, JournalReport, SetAsideReport, Settle, SettledReport, StraysReport};
use protocol::{Accept, Fault, FaultKind};
use report::{ReloadReport, RouteReport, ServedBy, SourceReport, StatusReport};

/// What only whoever opened the databases knows of them and can do with them.
pub trait Operator: Send + Sync {
    /// The databases as they are now.
    fn status(&self) -> StatusReport;

    /// Which source a chat is in, and why.
    fn route(&self, chat: ChatId) -> RouteReport;

    /// Opens a source now, however short ago that failed.
    ///
    /// # Errors
    /// There is no such source, or it cannot be opened.
    fn retry(&self, source: &SourceName) -> Result<SourceReport, Fault>;

    /// Goes on without the stand-in of a source, which is damaged or lost.
    ///
    /// # Errors
    /// There is no such source, nothing stands in for it, or what does is well.
    fn set_aside(&self, _: &SourceName) -> Result<SetAsideReport, Fault> {
        Err(one_file())
    }

    /// Accepts another file in the place of the one that a source had, and opens it.
    ///
    /// # Errors
    /// There is no such source, or it cannot be opened all the same.
    fn adopt(&self, source: &SourceName, what: Accept) -> Result<SourceReport, Fault>;

    /// Reads the configuration and goes over to what it says. One that is refused is an outcome, not an error.
    ///
    /// # Errors
    /// The configuration is not followed.
    fn reload(&self) -> Result<ReloadReport, Fault>;

    /// The databases that cannot be used now. Asked often: looks at no file.
    fn outages(&self) -> Vec<Outage> {
        Vec::new()
    }

    /// What waits for sources that are away, and what was kept aside: of each so many at most.
    ///
    /// # Errors
    /// There is no such source, or there are no sources by name.
    fn journal(&self, _source: Option<&SourceName>, _most: usize) -> Result<JournalReport, Fault> {
        Err(one_file())
    }

    /// Deals with what was kept aside at a source.
    ///
    /// # Errors
    /// There is no such source, or it cannot be written now.
    fn settle(&self, _source: &SourceName, _what: &Settle) -> Result<SettledReport, Fault> {
        Err(one_file())
    }

    /// The rows of chats in files that do not own them.
    ///
    /// # Errors
    /// There are no sources by name.
    fn strays(&self) -> Result<StraysReport, Fault> {
        Err(one_file())
    }

    /// Moves chats. `tell` is told of every step and may break the move off.
    ///
    /// # Errors
    /// It is not known which chats are meant, or there are no sources by name.
    fn move_chats(
        &self,
        _what: &MoveRequest,
        _tell: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
    ) -> Result<MovesReport, Fault> {
        Err(one_file())
    }

    /// Deletes those of them that are the same at home, and others where that is wanted.
    ///
    /// # Errors
    /// The default source cannot be read, or there are no sources by name.
    fn clear_strays(&self, _what: Clearing) -> Result<StraysReport, Fault> {
        Err(one_file())
    }

    /// Puts a source's backup back; also where chats that were moved since lose their rows, if that is wanted.
    ///
    /// # Errors
    /// There is no such source, the backup is none of it, or it cannot be written.
    fn restore(&self, _source: &SourceName, _from: &Path, _even_so: bool) -> Result<upkeep::Restored, Fault> {
        Err(one_file())
    }
}

/// A database that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The source.
    pub source: String,
    /// Why, and what to do, where that is known.
    pub reason: Option<String>,
    /// For how long.
    pub lasted: Duration,
    /// Who serves its chats meanwhile.
    pub served_by: Option<ServedBy>,
}

/// The operator of databases of which nothing more is known than the wrapper tells: one file.
pub struct Plain {
    db: DatabaseWrapper,
}

impl Plain {
    /// The operator of what is behind this wrapper.
    pub fn new(db: DatabaseWrapper) -> Self {
        Self { db }
    }
}

impl Operator for Plain {
    fn status(&self) -> StatusReport {
        let sources = self.db.sources().iter().map(|source| SourceReport::of(source, true, 0)).collect();
        StatusReport { running: true, process: Some(std::process::id()), sources, ..StatusReport::default() }
    }

    fn route(&self, chat: ChatId) -> RouteReport {
        // Fails for sources that are asked for by name only.
        let source = self.db.source_of(Route::Chat(chat)).unwrap_or_else(|_| SourceName::primary());
        RouteReport { running: true, ..RouteReport::only(chat, &source) }
    }

    fn retry(&self, _: &SourceName) -> Result<SourceReport, Fault> {
        Err(one_file())
    }

    fn adopt(&self, _: &SourceName, _: Accept) -> Result<SourceReport, Fault> {
        Err(one_file())
    }

    fn reload(&self) -> Result<ReloadReport, Fault> {
        Err(one_file())
    }
}

fn one_file() -> Fault {
    Fault::new(FaultKind::OneFile, "there is one database file, without sources by name; see [database.sources.NAME]")
}

/// A path as it is told: absolute, whatever folder the program is in.
pub(crate) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
