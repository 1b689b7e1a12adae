//! Copies by SQLite's backup interface: page by page, of one moment, compared with that moment afterwards.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::migrate::{self, Identity};
use crate::source::Moment;

/// How many pages are copied between two looks at whether to go on.
const PAGES: i32 = 1024;
/// How long locks of others are waited for, and how often they are tried.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Told of so many pages of so many; answers whether to go on.
pub(super) type Tell<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// How many rows each table has.
pub(super) type Rows = BTreeMap<String, u64>;

/// Why there is no copy.
pub(super) enum CopyError {
    Sqlite(rusqlite::Error),
    /// Whoever was told did not want to go on.
    BrokenOff,
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Writes what a connection sees into another, as one transaction there.
pub(super) fn pour(from: &Connection, to: &mut Connection, tell: &mut Tell<'_>) -> Result<(), CopyError> {
    let backup = Backup::new(from, to)?;
    if tell(0, 0).is_break() {
        return Err(CopyError::BrokenOff);
    }
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => deadline = Instant::now() + PATIENCE,
            _ if Instant::now() < deadline => std::thread::park_timeout(PAUSE),
            _ => return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None).into()),
        }
        let progress = backup.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or_default();
        let (total, left) = (pages(progress.pagecount), pages(progress.remaining));
        if tell(total.saturating_sub(left), total).is_break() {
            return Err(CopyError::BrokenOff);
        }
    }
}

/// Copies a moment into an empty file, which keeps no log: it is all there is, and can be read anywhere. It is on disk
/// then.
pub(super) fn copy(moment: &Moment, target: &Path, tell: &mut Tell<'_>) -> Result<(), CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(target, flags)?;
    copy.execute_batch("PRAGMA cache_size = -8000; PRAGMA mmap_size = 0; PRAGMA synchronous = FULL;")?;
    pour(moment.connection(), &mut copy, tell)?;
    let mode: String = copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        let error = ffi::Error { code: ErrorCode::Unknown, extended_code: ffi::SQLITE_ERROR };
        return Err(rusqlite::Error::SqliteFailure(error, Some(format!("the copy keeps a log: {mode}"))).into());
    }
    copy.close().map_err(|(_, error)| error.into())
}

/// A database that is only read, without looking at whether it is one of ours.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// What is wrong with what a connection sees: not whole, of another identity, or with other rows than it should have.
pub(super) fn difference(
    found: &Connection,
    identity: &Identity,
    rows: Option<&Rows>,
) -> rusqlite::Result<Option<String>> {
    let verdict: String = found.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    if migrate::identity(found)? != *identity {
        return Ok(Some("its identity is another".to_owned()));
    }
    let Some(rows) = rows else { return Ok(None) };
    let has = count(found)?;
    let differs = |(table, should): (&String, &u64)| {
        let has = has.get(table).copied().unwrap_or_default();
        (has != *should).then(|| format!("it has {has} rows in {table} instead of {should}"))
    };
    Ok(rows.iter().find_map(differs).or_else(|| (has.len() != rows.len()).then(|| "it has other tables".to_owned())))
}

/// How many rows each table has.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<Rows> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> = connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let rows = |table: String| {
        let sql = format!("SELECT COUNT(*) FROM \"{}\"", table.replace('"', "\"\""));
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        Ok((table, rows.unsigned_abs()))
    };
    tables.into_iter().map(rows).collect()
}
