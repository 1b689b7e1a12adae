//! The journal: what was written in the place of a source that was away, noted in the same transaction, so that it can
//! be made again at home, in order and once.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::OptionalExtension as _;

use super::Source;
use super::config::Durability;
use super::connection::Link;
use super::context::Context;
use super::database::Database;
use super::displaced::Displaced;
use super::operation::Operation;
use super::row::{BadColumn, FromRow, Row};
use super::write::WriteTx;
use super::writer::run;
use crate::error::{Error, ErrorKind, Result};
use crate::params;

/// The writes that wait for a source (`?1`) after a number (`?2`), in order, so many (`?3`) at most.
pub(crate) const NOTED_AFTER: &str = "SELECT seq, episode, operation FROM switchyard_journal
     WHERE source = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

/// A write that waits to be made at home.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    /// Its number: they are made in this order.
    pub(crate) seq: i64,
    /// The absence that it was made in.
    pub(crate) episode: String,
    /// The write as it is kept: JSON of an [`Operation`].
    pub(crate) operation: String,
}

impl FromRow for Noted {
    const TABLE: &'static str = "switchyard_journal";
    const KEY: &'static [&'static str] = &["seq"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { seq: row.get("seq")?, episode: row.get("episode")?, operation: row.get("operation")? })
    }
}

/// How far the writes of an absence were handed home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    episode: String,
    pub(crate) seq: i64,
}

impl Handed {
    pub(crate) fn to(last: &Noted) -> Self {
        Self { episode: last.episode.clone(), seq: last.seq }
    }

    /// Refuses where not all of them are there: another state of the file was put in the place of the one that they were
    /// made in.
    fn refuse_less(&self, link: &Link, context: &Context<'_>) -> Result<()> {
        if last_made(link, &self.episode).map_err(|error| context.sqlite(&error))? >= self.seq {
            return Ok(());
        }
        let reason = "an earlier state of its file was put back while writes were made there; they are made again";
        Err(context.error(ErrorKind::SourceUnavailable { reason: reason.to_owned() }))
    }
}

/// Notes a write, in its own transaction.
pub(super) fn note(tx: &mut WriteTx<'_>, displaced: &Displaced, operation: &Operation) -> Result<()> {
    let kept = serde_json::to_string(operation).map_err(|error| tx.malformed(error.to_string()))?;
    tx.execute(
        "INSERT INTO switchyard_journal (source, episode, op, operation) VALUES (?1, ?2, ?3, ?4)",
        params![displaced.home.as_str(), &*displaced.episode, operation.op, kept],
    )
    .map(drop)
}

/// What became of one write at home.
pub(super) enum Made {
    /// It is made, or was refused as it would have been at home.
    Settled,
    /// It cannot be made: it is kept aside, with the reason.
    Parked(String),
}

impl Database {
    /// Makes noted writes here, each whole or not at all, and remembers the last one in the same transaction: all of
    /// them, or none. Those that came before are passed over. `check` is asked once nobody else can write here, and
    /// refuses all; so does a file that has less than was handed to it before. Answers how many had to be kept aside.
    pub(crate) fn make_noted(
        &self,
        noted: &[Noted],
        before: Option<&Handed>,
        check: &dyn Fn() -> Result<()>,
        deadline: Instant,
    ) -> Result<u64> {
        const OP: &str = "journal.make_noted";
        let context = self.context(OP);
        self.on_writer(OP, deadline, |link| {
            let failed = |error: rusqlite::Error| context.sqlite(&error);
            check()?;
            // On disk before the only other copy is removed, whatever is said of other writes.
            link.begin(Durability::Full).map_err(failed)?;
            // All of it has to come home, however long it takes.
            link.without_deadline();
            before.map_or(Ok(()), |before| before.refuse_less(link, &context))?;
            let mut parked = 0;
            for episode in noted.chunk_by(|one, next| one.episode == next.episode) {
                let (name, Some(end)) = (&episode[0].episode, episode.last()) else { continue };
                let last = last_made(link, name).map_err(failed)?;
                for one in episode.iter().filter(|one| one.seq > last) {
                    if let Made::Parked(reason) = make(link, context, one)? {
                        park(link, one, &reason).map_err(failed)?;
                        parked += 1;
                    }
                }
                remember(link, name, end.seq.max(last)).map_err(failed)?;
            }
            link.commit().map_err(failed)?;
            // Not in a file that nobody will find again.
            self.look(&context)?;
            Ok(parked)
        })
    }

    /// Refuses where not all of this is there any more, or the file is not the one that was opened.
    fn holds(&self, handed: &[Handed], op: &'static str, deadline: Instant) -> Result<()> {
        let context = self.context(op);
        self.on_writer(op, deadline, |link| {
            handed.iter().try_for_each(|handed| handed.refuse_less(link, &context))?;
            self.look(&context)
        })
    }
}

impl Source {
    /// Makes noted writes here, each once; answers how many had to be kept aside. `before` is what was handed to it
    /// before, and has to be there. `check` is asked once nobody else can write here, and refuses all.
    pub(crate) fn make_noted(
        self: &Arc<Self>,
        noted: &[Noted],
        before: Option<&Handed>,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<u64> {
        self.on_database("journal.make_noted", |database, deadline| database.make_noted(noted, before, check, deadline))
    }

    /// Does this where all that was handed to the source is there, in the file that it was made in. Meanwhile the file
    /// cannot be closed to be put back.
    ///
    /// # Errors
    /// Something of it is not there, or the source is not well; nothing was done.
    pub(crate) fn with_all_of<T>(
        self: &Arc<Self>,
        handed: &[Handed],
        op: &'static str,
        f: impl FnOnce() -> T,
    ) -> Result<T> {
        self.on_database(op, |database, deadline| {
            database.holds(handed, op, deadline)?;
            Ok(f())
        })
    }
}

/// Makes one write whole or not at all, within the transaction that is open.
pub(super) fn make(link: &Link, context: Context<'_>, noted: &Noted) -> Result<Made> {
    let connection = &link.connection;
    let failed = |error: rusqlite::Error| context.sqlite(&error);
    let operation: Operation = match serde_json::from_str(&noted.operation) {
        Ok(operation) => operation,
        Err(error) => {
            // (The error's own words would quote what was written.)
            let place = format!("line {}, column {}", error.line(), error.column());
            return Ok(Made::Parked(format!("it is not understood ({place})")));
        }
    };
    run(link, "SAVEPOINT noted").map_err(failed)?;
    let made = WriteTx::new(link, context, false).replay(&operation.steps);
    if connection.is_autocommit() {
        // The transaction is gone with all that was made in it: a full disk does that.
        return Err(made.err().unwrap_or_else(|| context.error(ErrorKind::OutcomeUnknown { detail: "ended".into() })));
    }
    let settled = match made {
        Ok(()) => Made::Settled,
        Err(error) => {
            run(link, "ROLLBACK TO noted").map_err(failed)?;
            settle(error)?
        }
    };
    run(link, "RELEASE noted").map_err(failed)?;
    Ok(settled)
}

/// What a failure means: a refusal is what home would have answered too; what will always fail is kept aside; with
/// anything else the source is not well, and all of it waits.
fn settle(error: Error) -> Result<Made> {
    match error.kind() {
        ErrorKind::Duplicate | ErrorKind::NotFound => Ok(Made::Settled),
        ErrorKind::Constraint { .. } | ErrorKind::Statement { .. } | ErrorKind::BadValue { .. } => {
            Ok(Made::Parked(error.kind().to_string()))
        }
        _ => Err(error),
    }
}

fn last_made(link: &Link, episode: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM switchyard_made WHERE episode = ?1";
    let mut statement = link.connection.prepare_cached(sql)?;
    let last = statement.query_row([episode], |row| row.get(0)).optional();
    link.prepared.used(&link.connection, sql, &statement);
    last.map(Option::unwrap_or_default)
}

fn remember(link: &Link, episode: &str, seq: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO switchyard_made (episode, seq) VALUES (?1, ?2)
               ON CONFLICT (episode) DO UPDATE SET seq = excluded.seq";
    link.execute(sql, (episode, seq)).map(drop)
}

fn park(link: &Link, noted: &Noted, reason: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO switchyard_parked (episode, seq, operation, reason) VALUES (?1, ?2, ?3, ?4)";
    link.execute(sql, (&noted.episode, noted.seq, &noted.operation, reason)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::ffi;

    use super::*;

    #[test]
    fn only_what_fails_for_its_own_reasons_is_kept_aside() {
        let name = "community".parse().unwrap();
        let context = Context { op: "test.settle", source: &name, timeout: Duration::ZERO };
        let settled = |code: i32| settle(context.sqlite(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)));
        let own = [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR, ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH];
        for code in own {
            assert!(matches!(settled(code), Ok(Made::Parked(_))), "{code} is the write's own");
        }
        let passing = [
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_INTERRUPT,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_SCHEMA,
            ffi::SQLITE_ABORT,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CORRUPT,
        ];
        for code in passing {
            assert!(settled(code).is_err(), "{code} passes, and all of it waits");
        }
    }
}
