//! One database: its file, its one writer and its readers.

mod config;
mod connection;
mod context;
mod file;
mod open;
mod open_error;
mod operation;
mod read;
mod readers;
mod row;
mod value;
mod write;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, ErrorKind, Result};
use crate::route::SourceName;

pub use config::{Durability, OnUnavailable, SourceConfig};
pub use open_error::OpenError;
pub use operation::{Changed, Operation, Refusal, Step, Tally};
pub use read::ReadTx;
pub use row::{BadColumn, FromRow, Row};
pub use value::{FromValue, ToValue, Value, ValueRef};
pub use write::WriteTx;

pub(crate) use file::create as create_private;

use connection::{Link, micros};
use context::Context;
use file::FileId;
use readers::{NoReader, Readers};

/// How often reads look whether the file is still the one that was opened, in microseconds. (Each commit looks too.)
const LOOK_EVERY: u64 = 100_000;

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
}

/// An open database.
pub(crate) struct Source {
    name: SourceName,
    path: PathBuf,
    timeout: Duration,
    file: FileId,
    /// When the file was last looked at, in [`micros`].
    looked: AtomicU64,
    writer: Mutex<Option<Link>>,
    readers: Readers,
}

impl Source {
    pub(crate) fn name(&self) -> &SourceName {
        &self.name
    }

    /// The source as it is now.
    pub(crate) fn status(&self) -> SourceStatus {
        let length = |path: &Path| std::fs::metadata(path).map(|found| found.len());
        let log = length(&file::beside(&self.path, "-wal")).unwrap_or_default();
        let bytes = length(&self.path).ok().map(|file| file + log);
        SourceStatus { name: self.name.clone(), path: self.path.clone(), bytes }
    }

    /// Runs a read on a connection that cannot write.
    pub(crate) fn read<T>(&self, op: &'static str, f: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        let context = self.context(op);
        let deadline = Instant::now() + self.timeout;
        if micros(Instant::now()).saturating_sub(self.looked.load(Ordering::Relaxed)) >= LOOK_EVERY {
            self.look(&context)?;
        }
        let no_reader = |none| match none {
            NoReader::Busy => context.error(ErrorKind::Busy { waited: self.timeout }),
            NoReader::Closed => context.error(ErrorKind::Closed),
            NoReader::Replaced => context.error(ErrorKind::FileReplaced),
            NoReader::Sqlite(error) => context.sqlite(&error),
        };
        let reader = self.readers.take(deadline).map_err(no_reader)?;
        let link = reader.link().map_err(no_reader)?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        f(&ReadTx::new(&link.connection, context))
    }

    /// Runs a read on the writer's connection.
    pub(crate) fn read_as_writer<T>(&self, op: &'static str, f: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        let context = self.context(op);
        let deadline = Instant::now() + self.timeout;
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = writer.as_ref().ok_or_else(|| context.error(ErrorKind::Closed))?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        f(&ReadTx::new(&link.connection, context))
    }

    /// Runs a write in a transaction of its own and answers after the commit. Where the recorded steps are wanted,
    /// they are given before the next write can begin.
    pub(crate) fn write<T>(
        &self,
        op: &'static str,
        on_commit: Option<&dyn Fn(Vec<Step>)>,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let Some(_writing) = Writing::begin() else {
            return Err(context.error(ErrorKind::NestedWrite));
        };
        let deadline = Instant::now() + self.timeout;
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let mut writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = writer.as_ref().ok_or_else(|| context.error(ErrorKind::Closed))?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        let outcome = self.transact(&link.connection, context, on_commit, f);
        if !link.connection.is_autocommit() && run(&link.connection, "ROLLBACK").is_err() {
            // Closing the connection ends the transaction for certain.
            *writer = None;
        }
        drop(writer);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a write from BEGIN to COMMIT. A failure, or a panic, may leave the transaction open.
    fn transact<T>(
        &self,
        connection: &Connection,
        context: Context<'_>,
        on_commit: Option<&dyn Fn(Vec<Step>)>,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> std::thread::Result<Result<T>> {
        catch_unwind(AssertUnwindSafe(|| {
            // IMMEDIATE: a transaction that begins by reading could not become a writer later, whatever the timeout.
            run(connection, "BEGIN IMMEDIATE").map_err(|error| context.sqlite(&error))?;
            let mut tx = WriteTx::new(connection, context, on_commit.is_some());
            let answer = f(&mut tx)?;
            let steps = tx.into_recording();
            run(connection, "COMMIT").map_err(|error| match error.sqlite_error_code() {
                // Without room the log has no commit, so this much is known.
                Some(ErrorCode::DiskFull) => context.sqlite(&error),
                _ => unknown(&context, &error),
            })?;
            self.look(&context)?;
            if let (Some(on_commit), Some(steps)) = (on_commit, steps) {
                on_commit(steps);
            }
            Ok(answer)
        }))
    }

    /// Ends all use of the database: waits for the calls under way, then moves what is in the log into the file.
    pub(crate) fn close(&self) {
        self.readers.close();
        let Some(link) = self.writer.lock().take() else { return };
        if let Err(error) = link.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::debug!(source = %self.name, %error, "the log is left for the next start");
        }
    }

    fn context<'a>(&'a self, op: &'static str) -> Context<'a> {
        Context { op, source: &self.name, timeout: self.timeout }
    }

    /// Whether the path still leads to the file that was opened. SQLite alone would go on answering, from a file that
    /// nobody will find again.
    fn look(&self, context: &Context<'_>) -> Result<()> {
        if FileId::of(&self.path) == Some(self.file) {
            self.looked.store(micros(Instant::now()), Ordering::Relaxed);
            Ok(())
        } else {
            Err(context.error(ErrorKind::FileReplaced))
        }
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// Any other error at COMMIT leaves open whether the write was kept.
fn unknown(context: &Context<'_>, error: &rusqlite::Error) -> Error {
    context.error(ErrorKind::OutcomeUnknown { detail: context::describe(error) })
}

/// Marks this thread as being inside a write.
struct Writing;

impl Writing {
    fn begin() -> Option<Self> {
        (!WRITING.replace(true)).then_some(Self)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}
