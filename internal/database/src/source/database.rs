//! An open database: its file, its one writer and its readers.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, ErrorKind, Result};
use crate::migrate::{self, Identity};
use crate::params;
use crate::route::SourceName;

use super::config::Durability;
use super::connection::{self, Link, micros};
use super::context::{self, Context};
use super::file::{FileId, Left};
use super::operation::Step;
use super::read::ReadTx;
use super::readers::{NoReader, Readers};
use super::write::WriteTx;

/// How often reads look whether the file is still the one that was opened, in microseconds. (Each commit looks too.)
const LOOK_EVERY: u64 = 100_000;

/// How long rewriting a file takes at most.
const LONGEST: Duration = Duration::from_secs(86_400);

/// An open database.
pub(crate) struct Database {
    pub(super) name: SourceName,
    pub(super) path: PathBuf,
    pub(super) timeout: Duration,
    pub(super) file: FileId,
    /// Its log, where it had one from the beginning.
    pub(super) log: Option<FileId>,
    /// When the file was last looked at, in [`micros`].
    pub(super) looked: AtomicU64,
    pub(super) durability: Durability,
    pub(super) writer: Mutex<Writer>,
    pub(super) readers: Readers,
}

/// The one connection that writes.
pub(super) enum Writer {
    Open(Link),
    /// It could not end a transaction and was given up.
    Broken,
    /// The database is only read.
    None,
    /// The same, and had no log beside it: one that reading made is taken away again.
    NoneTidy,
    Closed,
}

impl Database {
    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        let writer = self.writer.try_lock().is_none_or(|writer| matches!(*writer, Writer::Open(_)));
        usize::from(writer) + self.readers.open_now()
    }

    /// Runs a read on a connection that cannot write.
    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        if micros(Instant::now()).saturating_sub(self.looked.load(Ordering::Relaxed)) >= LOOK_EVERY {
            self.look(&context)?;
        }
        let reader = self.readers.take(deadline).map_err(|none| self.no_reader(none, &context))?;
        let link = reader.link().map_err(|none| self.no_reader(none, &context))?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        f(&ReadTx::new(&link.connection, context))
    }

    /// Runs a read on the writer's connection.
    pub(crate) fn read_as_writer<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let mut writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = self.link(&mut writer, &context, deadline)?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        f(&ReadTx::new(&link.connection, context))
    }

    /// Runs a write in a transaction of its own and answers after the commit. Where the recorded steps are wanted,
    /// they are given before the next write can begin.
    pub(crate) fn write<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        on_commit: Option<&dyn Fn(Vec<Step>)>,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let mut writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = self.link(&mut writer, &context, deadline)?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        let outcome = self.transact(&link.connection, context, on_commit, f);
        if !link.connection.is_autocommit() && run(&link.connection, "ROLLBACK").is_err() {
            // Closing the connection ends the transaction for certain; the next call opens another.
            *writer = Writer::Broken;
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
            if connection.is_autocommit() {
                let detail = "a statement ended the transaction".to_owned();
                return Err(context.error(ErrorKind::OutcomeUnknown { detail }));
            }
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

    /// The file and the log that were opened.
    pub(super) fn left(&self) -> Left {
        Left { file: self.file, log: self.log }
    }

    /// Which file this is.
    pub(crate) fn file_id(&self) -> FileId {
        self.file
    }

    /// What the file says of itself.
    pub(crate) fn identity(&self, deadline: Instant) -> Result<Identity> {
        let context = self.context("identity.identity");
        let reader = self.readers.take(deadline).map_err(|none| self.no_reader(none, &context))?;
        let link = reader.link().map_err(|none| self.no_reader(none, &context))?;
        migrate::identity(&link.connection).map_err(|error| context.sqlite(&error))
    }

    /// Lets the file say this of itself.
    pub(crate) fn set_identity(&self, deadline: Instant, identity: &Identity) -> Result<()> {
        if self.identity(deadline)? == *identity {
            return Ok(());
        }
        self.write("identity.set_identity", deadline, None, |tx| {
            for (key, value) in [("uuid", &identity.uuid), ("installation", &identity.installation)] {
                tx.execute(
                    "INSERT INTO switchyard_meta (key, value) SELECT ?1, ?2 WHERE ?2 IS NOT NULL
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    params![key, value],
                )?;
            }
            Ok(())
        })
    }

    /// Moves what is in the log into the file and empties the log, and answers whether that was possible: others that
    /// read an earlier moment hold it back.
    pub(crate) fn checkpoint(&self, op: &'static str, deadline: Instant) -> Result<bool> {
        let context = self.context(op);
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let mut writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = self.link(&mut writer, &context, deadline)?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let held_back: bool =
            link.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| context.sqlite(&error))?;
        Ok(!held_back)
    }

    /// Rewrites the whole file, so that nothing of what was deleted is left in it. Waits for the writer until the
    /// deadline, and takes as long as it takes.
    pub(crate) fn vacuum(&self, op: &'static str, deadline: Instant) -> Result<()> {
        let context = self.context(op);
        let busy = || context.error(ErrorKind::Busy { waited: self.timeout });
        let mut writer = self.writer.try_lock_until(deadline).ok_or_else(busy)?;
        let link = self.link(&mut writer, &context, deadline)?;
        let vacuum = || {
            link.until(Instant::now() + LONGEST)?;
            link.connection.execute_batch("VACUUM")
        };
        vacuum().map_err(|error| context.sqlite(&error))
    }

    /// Ends all use of the database: waits for the calls under way, then moves what is in the log into the file.
    pub(crate) fn close(&self) {
        self.readers.close();
        let link = match std::mem::replace(&mut *self.writer.lock(), Writer::Closed) {
            Writer::Open(link) => link,
            Writer::NoneTidy if FileId::of(&self.path) == Some(self.file) => {
                return connection::tidy(&self.path, self.timeout);
            }
            Writer::NoneTidy | Writer::Broken | Writer::None | Writer::Closed => return,
        };
        let checkpoint = || {
            // Readers in other processes are not waited for: what they hold back is moved by whoever comes next.
            link.connection.busy_timeout(Duration::ZERO)?;
            link.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        };
        if let Err(error) = checkpoint() {
            tracing::debug!(source = %self.name, %error, "the log is left for the next start");
        }
    }

    /// The writer's connection; a new one where the last had to be given up.
    fn link<'w>(&self, writer: &'w mut Writer, context: &Context<'_>, deadline: Instant) -> Result<&'w Link> {
        if let Writer::Broken = writer {
            self.look(context)?;
            let reopened = connection::writer(&self.path, self.timeout).and_then(|link| {
                connection::use_wal(&link.connection, self.durability, deadline)?;
                Ok(link)
            });
            *writer = Writer::Open(reopened.map_err(|error| context.sqlite(&error))?);
            self.look(context)?;
        }
        match writer {
            Writer::Open(link) => Ok(link),
            Writer::None | Writer::NoneTidy => Err(context.error(ErrorKind::ReadOnly)),
            Writer::Broken | Writer::Closed => Err(context.error(ErrorKind::Closed)),
        }
    }

    fn no_reader(&self, none: NoReader, context: &Context<'_>) -> Error {
        match none {
            NoReader::Busy => context.error(ErrorKind::Busy { waited: self.timeout }),
            NoReader::Closed => context.error(ErrorKind::Closed),
            NoReader::Replaced => context.error(ErrorKind::FileReplaced),
            NoReader::Sqlite(error) => context.sqlite(&error),
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
