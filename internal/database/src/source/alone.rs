//! A write that shares its transaction with nobody: it is answered after its own commit, whatever others in line do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Durability;
use super::connection;
use super::context;
use super::database::Database;
use super::write::WriteTx;
use super::writer::run;
use super::{Source, Writing};
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
        let Some(_writing) = Writing::begin() else {
            return Err(self.error(op, ErrorKind::NestedWrite));
        };
        if self.config.readonly {
            return Err(self.error(op, ErrorKind::ReadOnly));
        }
        let database = self.database(op, deadline)?;
        self.noticed(&database, database.write_alone(op, deadline, f))
    }

    /// Makes certain that all that was answered is on disk, whatever the durability is.
    pub(crate) fn sync(self: &Arc<Self>, op: &'static str) -> Result<()> {
        if self.config.durability == Durability::Full || self.config.readonly {
            return Ok(());
        }
        self.write_alone(op, Instant::now() + self.config.timeout, |tx| {
            // It changes nothing and is written all the same.
            tx.execute("UPDATE switchyard_meta SET value = value WHERE key = 'schema'", params![]).map(drop)
        })
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

impl Database {
    fn write_alone<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        self.on_writer(op, deadline, |link| {
            let connection = &link.connection;
            let failed = |error: rusqlite::Error| context.sqlite(&error);
            let is_lax = self.durability == Durability::Normal;
            if is_lax {
                connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
            }
            let written = (|| {
                run(connection, "BEGIN IMMEDIATE").map_err(failed)?;
                let answer = f(&mut WriteTx::new(link, context, false))?;
                if connection.is_autocommit() {
                    return Err(context.transaction_gone());
                }
                link.without_deadline();
                match run(connection, "COMMIT") {
                    Ok(()) if self.is_in_place() => Ok(answer),
                    Ok(()) => Err(context.error(ErrorKind::FileReplaced)),
                    Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                        Err(context.error(ErrorKind::DiskFull))
                    }
                    Err(error) => Err(context.error(ErrorKind::OutcomeUnknown { detail: context::describe(&error) })),
                }
            })();
            if !connection.is_autocommit() {
                // Not within a transaction, where the setting below would not count.
                run(connection, "ROLLBACK").map_err(failed)?;
            }
            if is_lax {
                connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
            }
            if written.is_ok() {
                self.log.committed(link);
            }
            written
        })
    }
}
