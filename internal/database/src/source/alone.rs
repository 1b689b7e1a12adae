//! A write that shares its transaction with nobody: it is answered after its own commit, whatever others in line do, and what
//! that survives is its own affair.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Source;
use super::config::Durability;
use super::connection;
use super::context;
use super::database::Database;
use super::write::WriteTx;
use super::writer::run;
use crate::error::{ErrorKind, Result};
use crate::params;

/// How long readers are waited for while nobody can write, at a time.
const WAIT_FOR_READERS: Duration = Duration::from_millis(15);

impl Source {
    /// Runs a write in a transaction of its own, and answers when it is on disk, whatever the durability is: with it all
    /// that was committed before. Waits for the writer until the deadline.
    pub(crate) fn write_alone<T>(
        self: &Arc<Self>,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let (_writing, database) = self.begin_to_write(op, deadline)?;
        let written = database.write_alone(op, deadline, Durability::Full, f);
        self.noticed(&database, written.map(|(answer, _)| answer))
    }

    /// The same without waiting for the disk: a power loss undoes it, unless something came after it that is on disk. Answers
    /// too for how long it kept others from writing.
    pub(crate) fn write_unsynced<T>(
        self: &Arc<Self>,
        op: &'static str,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<(T, Duration)> {
        let deadline = Instant::now() + self.config.timeout;
        let (_writing, database) = self.begin_to_write(op, deadline)?;
        self.noticed(&database, database.write_alone(op, deadline, Durability::Normal, f))
    }

    /// Makes certain that all that was written is on disk, whatever the durability is.
    pub(crate) fn sync(self: &Arc<Self>, op: &'static str) -> Result<()> {
        if self.config.readonly {
            return Ok(());
        }
        self.write_alone(op, Instant::now() + self.config.timeout, write_the_same)
    }

    /// Moves what is in the log into the file and empties the log, keeping others from writing for a moment only; `false`
    /// where somebody was in the way, and it may be tried again.
    pub(crate) fn empty_log(self: &Arc<Self>, op: &'static str) -> Result<bool> {
        let database = self.database(op, Instant::now() + self.config.timeout)?;
        // Most of it beside whoever writes.
        if let Ok(link) = connection::checkpointer(&database.path) {
            let _ = link.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        match database.checkpoint(op, Instant::now() + WAIT_FOR_READERS) {
            Err(error) if matches!(error.kind(), ErrorKind::Busy { .. } | ErrorKind::TimedOut { .. }) => Ok(false),
            emptied => emptied,
        }
    }
}

/// A write that changes nothing, and is written all the same, so that there is something to sync. (An update to the same value
/// is not.)
fn write_the_same(tx: &mut WriteTx<'_>) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO switchyard_meta (key, value)
               SELECT key, value FROM switchyard_meta WHERE key = 'schema'";
    tx.execute(sql, params![]).map(drop)
}

impl Database {
    fn write_alone<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        durability: Durability,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<(T, Duration)> {
        let context = self.context(op);
        self.on_writer(op, deadline, |link| {
            let begun = Instant::now();
            let connection = &link.connection;
            link.begin(durability).map_err(|error| context.sqlite(&error))?;
            let answer = f(&mut WriteTx::new(link, context, false))?;
            if connection.is_autocommit() {
                return Err(context.transaction_gone());
            }
            link.without_deadline();
            match link.commit() {
                Ok(()) if self.is_in_place() => {
                    self.log.committed(link);
                    Ok((answer, begun.elapsed()))
                }
                Ok(()) => Err(context.error(ErrorKind::FileReplaced)),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                    if connection.is_autocommit() || run(link, "ROLLBACK").is_ok() {
                        self.log.found_no_room(link);
                    }
                    Err(context.error(ErrorKind::DiskFull))
                }
                Err(error) => Err(context.error(ErrorKind::OutcomeUnknown { detail: context::describe(&error) })),
            }
        })
    }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "alone_tests.rs"]
mod tests;
