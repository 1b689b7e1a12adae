//! A source: a name, its settings, and the database behind it once that is open.
//!
//! [`Source`] knows when the database is opened, who opens it and who waits; [`Database`] is the open one.

mod alone;
mod batch;
mod budget;
mod capture;
mod checkpoint;
mod cold;
mod config;
mod connection;
mod context;
mod database;
mod delegated;
mod displaced;
mod door;
mod eviction;
mod file;
mod group;
mod held;
mod journal;
mod last;
mod left;
mod look;
mod moment;
mod open;
mod open_error;
mod opening;
mod operation;
mod parked;
mod part;
mod prepared;
mod probe;
mod read;
mod readers;
mod rest;
mod row;
mod snapshot;
mod sync;
#[cfg(test)]
mod test_opener;
mod turn;
mod value;
mod write;
mod writer;
#[cfg(test)]
mod writer_tests;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::params;
use crate::route::SourceName;

pub use config::{Durability, OnUnavailable, SourceConfig};
pub use door::Health;
pub use look::{Contents, Found, Look, look};
pub use open_error::OpenError;
pub use operation::{Changed, Operation, Refusal, Step, Tally, WriteObserver};
pub use read::ReadTx;
pub use row::{BadColumn, FromRow, Row};
pub use value::{FromValue, ToValue, Value, ValueRef};
pub use write::WriteTx;

pub(crate) use budget::Budget;
pub(crate) use capture::{Capture, ChangedRow, Noticed, Stored, Watched};
pub(crate) use context::describe;
pub(crate) use database::Database;
pub(crate) use delegated::Admit;
pub(crate) use displaced::{Displaced, Raised};
pub(crate) use door::{Opener, Stays};
pub(crate) use file::{
    FileId, at_rest, beside, can_be_made, create as create_private, create_new, folder_of, free_bytes, may_write,
};
pub(crate) use group::Recorder;
pub(crate) use held::Held;
pub(crate) use journal::{Handed, NOTED_AFTER, Noted};
pub(crate) use left::Left;
pub(crate) use look::{Seen, look_closer};
pub(crate) use moment::{Moment, to_be_overwritten};
pub(crate) use open::{Facts, for_reading, for_reading_at_rest};
pub(crate) use parked::{Aside, Tried};
pub(crate) use value::same;

use door::Door;

thread_local! {
    /// Whether this thread is inside a write: another one would wait for it for ever.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// A source as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// What it is called.
    pub name: SourceName,
    /// Its file, absolute.
    pub path: PathBuf,
    /// How many bytes the file has, its log included; `None` where it cannot be looked at.
    pub bytes: Option<u64>,
    /// Whether it is only read.
    pub readonly: bool,
    /// Whether it is open, and why not.
    pub health: Health,
    /// How many connections to it are open, and how many there may be.
    pub connections: (usize, usize),
}

/// A source.
pub(crate) struct Source {
    config: SourceConfig,
    door: Door,
}

impl Source {
    /// A source whose database is open, and stays open until it is closed for good.
    pub(crate) fn opened(config: SourceConfig, database: Database) -> Self {
        Self { config, door: Door::opened(database) }
    }

    /// A source whose database is opened when it is needed first.
    pub(crate) fn lazy(config: SourceConfig, opener: Arc<dyn Opener>) -> Self {
        Self { config, door: Door::closed(opener) }
    }

    /// A source that cannot be used, for this reason, and is never opened.
    pub(crate) fn refusing(config: SourceConfig, reason: String) -> Self {
        Self { config, door: Door::refusing(reason) }
    }

    pub(crate) fn name(&self) -> &SourceName {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// Whether its database is open, so that a read begins at once.
    pub(crate) fn is_open(&self) -> bool {
        self.door.is_open()
    }

    /// Whether it is open, and why not. Looks at no file.
    pub(crate) fn health(&self) -> Health {
        self.door.health()
    }

    /// Whether somebody is opening it, for the first time or again.
    pub(crate) fn is_opening(&self) -> bool {
        self.door.is_opening()
    }

    /// The source as it is now.
    pub(crate) fn status(&self) -> SourceStatus {
        let SourceConfig { name, path, readonly, max_connections, .. } = &self.config;
        let open = self.door.open_now().map_or(0, |database| database.connections());
        SourceStatus {
            name: name.clone(),
            path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            bytes: file::bytes(path),
            readonly: *readonly,
            health: self.door.health(),
            connections: (open, *max_connections),
        }
    }

    /// Runs a read on a connection that cannot write.
    pub(crate) fn read<T>(self: &Arc<Self>, op: &'static str, f: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        self.read_by(op, Instant::now() + self.config.timeout, f)
    }

    /// Runs a read that is part of a call which began then: what others have waited counts.
    pub(crate) fn read_since<T>(
        self: &Arc<Self>,
        op: &'static str,
        began: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.read_by(op, began + self.config.timeout, f)
    }

    /// The same with a deadline of the caller's.
    pub(crate) fn read_by<T>(
        self: &Arc<Self>,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.refuse_nested_read(op)?;
        if let Some(database) = self.door.kept() {
            return database.read(op, deadline, f);
        }
        let database = self.database(op, deadline)?;
        self.noticed(&database, database.read(op, deadline, f))
    }

    /// A read inside a write would be acted on.
    #[inline]
    pub(crate) fn refuse_nested_read(&self, op: &'static str) -> Result<()> {
        if WRITING.get() { Err(self.error(op, ErrorKind::NestedRead)) } else { Ok(()) }
    }

    /// Runs a read on the writer's connection.
    pub(crate) fn read_as_writer<T>(
        self: &Arc<Self>,
        op: &'static str,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.on_database(op, |database, deadline| database.read_as_writer(op, deadline, f))
    }

    /// Runs a write and answers after its commit. Where a recording is wanted, the observer is told before the next
    /// write can begin.
    pub(crate) fn write<T>(
        self: &Arc<Self>,
        op: &'static str,
        recorder: Option<&Recorder<'_>>,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.write_by(op, Instant::now() + self.config.timeout, recorder, f)
    }

    /// The open database for a write of this thread, which is in no other write as long as the mark is there.
    fn begin_to_write(self: &Arc<Self>, op: &'static str, deadline: Instant) -> Result<(Writing, Arc<Database>)> {
        let Some(writing) = Writing::begin() else {
            return Err(self.error(op, ErrorKind::NestedWrite));
        };
        if self.config.readonly {
            return Err(self.error(op, ErrorKind::ReadOnly));
        }
        Ok((writing, self.database(op, deadline)?))
    }

    /// The same with a deadline of the caller's.
    pub(crate) fn write_by<T>(
        self: &Arc<Self>,
        op: &'static str,
        deadline: Instant,
        recorder: Option<&Recorder<'_>>,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.writing(op, deadline, |database| database.write(op, deadline, recorder, f))
    }

    /// Runs a write that others may make from its steps, if they may where that is asked of them.
    pub(crate) fn write_delegated(
        self: &Arc<Self>,
        op: &'static str,
        recorder: Option<&Recorder<'_>>,
        admit: &dyn Fn() -> Option<Admit>,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + self.config.timeout;
        self.writing(op, deadline, |database| database.write_delegated(op, deadline, recorder, admit, &mut f))
    }

    /// Runs this on the open database, as a write of this thread, and learns from how it ended.
    fn writing<T>(
        self: &Arc<Self>,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&Database) -> Result<T>,
    ) -> Result<T> {
        let (_writing, database) = self.begin_to_write(op, deadline)?;
        let answer = f(&database);
        if let Err(error) = &answer
            && matches!(error.kind(), ErrorKind::ReadOnly)
        {
            // Not so configured: a disk that fails is often made so by the system.
            self.gave_up(&database, "its file cannot be written any more");
        }
        self.noticed(&database, answer)
    }

    /// Whether its file is not there yet, so that whoever opens it makes it. Opens and makes nothing.
    pub(crate) fn would_be_made(&self, op: &'static str) -> Result<bool> {
        match &self.door.opener {
            Some(opener) if !self.is_open() => opener
                .would_make(&self.config)
                .map_err(|error| self.error(op, ErrorKind::SourceUnavailable { reason: error.to_string() })),
            _ => Ok(false),
        }
    }

    /// Moves what is in the log into the file and empties the log; `false` where another process holds that back.
    pub(crate) fn checkpoint(self: &Arc<Self>, op: &'static str) -> Result<bool> {
        let deadline = Instant::now() + self.config.timeout;
        self.database(op, deadline)?.checkpoint(op, deadline)
    }

    /// Rewrites the file, so that nothing of what was deleted is left in it.
    pub(crate) fn vacuum(self: &Arc<Self>, op: &'static str) -> Result<()> {
        self.on_database(op, |database, deadline| database.vacuum(op, deadline))
    }

    /// Takes the place of a source with the same file and other settings: what that has left there has to be found.
    pub(crate) fn follows(&self, before: &Self) {
        if self.config.path == before.config.path {
            *self.door.left.lock() = before.door.left.lock().clone();
        }
    }

    /// Whether it could not be opened the last time since what is there is no good: damaged, missing, or another file.
    pub(crate) fn is_lost(&self) -> bool {
        self.door.is_lost()
    }

    /// Looks at a source that failed: opens it, has SQLite look for damage, and begins to write.
    pub(crate) fn look(self: &Arc<Self>) -> Result<()> {
        const OP: &str = "source.look";
        self.door.forget_failure();
        let database = self.database(OP, Instant::now() + self.config.timeout)?;
        let answer = database.look_for_damage(OP).and_then(|verdict| match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(self.error(OP, ErrorKind::Damaged { detail: verdict })),
        });
        self.noticed(&database, answer)?;
        if self.config.readonly {
            return Ok(());
        }
        self.write(OP, None, write_nothing)
    }

    /// Deals with the writes that were kept aside here.
    pub(crate) fn settle_parked(self: &Arc<Self>, what: &dyn Fn(&Noted) -> Aside) -> Result<Vec<Tried>> {
        const OP: &str = "parked.settle_parked";
        if self.config.readonly {
            return Err(self.error(OP, ErrorKind::ReadOnly));
        }
        self.on_database(OP, |database, deadline| database.settle_parked(what, deadline))
    }

    /// The writes that were kept aside here.
    pub(crate) fn all_parked(self: &Arc<Self>) -> Result<Vec<Noted>> {
        self.on_database("parked.all_parked", Database::all_parked)
    }

    /// Why a write is kept aside here, if it is.
    pub(crate) fn why_parked(self: &Arc<Self>, noted: &Noted) -> Result<Option<String>> {
        self.on_database("parked.why_parked", |database, deadline| database.why_parked(noted, deadline))
    }

    /// Runs this while nobody writes, with everything committed that was written before.
    pub(crate) fn while_nobody_writes<T>(self: &Arc<Self>, op: &'static str, f: impl FnOnce() -> T) -> Result<T> {
        let deadline = Instant::now() + self.config.timeout;
        self.database(op, deadline)?.while_nobody_writes(op, deadline, f)
    }

    /// Ends all use of the database for good: waits for the calls under way, then moves what is in the log into the
    /// file.
    pub(crate) fn close(&self) {
        let deadline = Instant::now() + self.config.timeout;
        self.door.shut(deadline);
        self.tidy(deadline);
    }

    /// Does this with the database, by the deadline of a call that begins now.
    fn on_database<T>(
        self: &Arc<Self>,
        op: &'static str,
        f: impl FnOnce(&Database, Instant) -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.config.timeout;
        let database = self.database(op, deadline)?;
        self.noticed(&database, f(&database, deadline))
    }

    /// The open database, opened where it is not; waits until the deadline at most.
    #[inline]
    fn database(self: &Arc<Self>, op: &'static str, deadline: Instant) -> Result<Arc<Database>> {
        if let Some(database) = self.door.open_for_use() {
            return Ok(database);
        }
        self.wait_open(deadline).map_err(|kind| self.error(op, kind))
    }

    /// Gives up a database whose file is no longer at its path, before a call finds that out.
    pub(crate) fn notice_replaced(&self) {
        if let Some(database) = self.door.open_now()
            && !database.is_in_place()
            && let Some(reason) = self.error("source.notice_replaced", ErrorKind::FileReplaced).outage()
        {
            self.gave_up(&database, &reason);
        }
    }

    /// Takes the source for unavailable where the answer says so.
    fn noticed<T>(&self, database: &Arc<Database>, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && let Some(reason) = error.outage()
            && !budget::has_run_out()
        {
            self.gave_up(database, &reason);
        }
        answer
    }

    fn error(&self, op: &'static str, kind: ErrorKind) -> Error {
        Error::new(op, &self.config.name, kind)
    }
}

/// A connection that looks at a file and changes nothing; `None` where there is nothing to look at.
pub(crate) fn probe(path: &Path, timeout: std::time::Duration) -> Option<rusqlite::Connection> {
    matches!(file::look_readonly(path), Ok(()))
        .then(|| probe::probe(path, timeout).and_then(|link| link.into_connection(timeout)).ok())
        .flatten()
}

/// A write that is let through and leaves the file as it is: SQLite compares the bytes of an update, and touches no page.
fn write_nothing(tx: &mut WriteTx<'_>) -> Result<()> {
    tx.execute("UPDATE switchyard_meta SET value = value WHERE key = 'schema'", params![]).map(drop)
}

/// Marks this thread as being inside a write.
struct Writing;

impl Writing {
    fn begin() -> Option<Self> {
        // Lazily: one that is made is also dropped, and would end the outer one's mark.
        (!WRITING.replace(true)).then(|| Self)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}
