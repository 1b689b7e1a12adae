//! Opening SQLite connections, all with the same settings.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint::KEPT_BYTES;
use super::config::Durability;
use super::file;

/// Statements kept ready on each connection.
const STATEMENT_CACHE: usize = 128;
/// How many steps of SQLite's machine pass between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;
/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

/// A connection whose statements end at a deadline.
pub(super) struct Link {
    pub(super) connection: Connection,
    deadline: Arc<AtomicU64>,
}

impl Link {
    /// Statements that run past the deadline are stopped from now on, and locks are waited for until then.
    pub(super) fn until(&self, deadline: Instant) -> rusqlite::Result<()> {
        self.deadline.store(micros(deadline), Ordering::Relaxed);
        self.connection.busy_timeout(deadline.saturating_duration_since(Instant::now()))
    }

    /// Statements run to their end from now on.
    pub(super) fn without_deadline(&self) {
        self.deadline.store(NEVER, Ordering::Relaxed);
    }
}

/// Microseconds since the first connection was opened.
pub(super) fn micros(moment: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(moment.saturating_duration_since(*START).as_micros()).unwrap_or(NEVER)
}

/// A connection that writes.
pub(super) fn writer(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    let link = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)?;
    link.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Deleted text is overwritten, and a REPLACE fires the delete triggers that moves rely on.
    link.connection.execute_batch("PRAGMA secure_delete=ON; PRAGMA recursive_triggers=ON;")?;
    // A log that has grown long, behind a reader that stayed, is cut once it begins anew.
    link.connection.pragma_update(None, "journal_size_limit", KEPT_BYTES)?;
    Ok(link)
}

/// A connection that moves the log into the file, and waits for nobody.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Link> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, Duration::ZERO)
}

/// A connection that cannot write, whatever statement it is given.
pub(super) fn reader(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, timeout)
}

/// A connection that looks at a file before it is known to be the bot's: it changes nothing.
///
/// Where no log is beside the file it may write all the same, as far as SQLite is concerned: only so it can roll back
/// what a killed process left half written, and takes the log that it makes away again.
pub(super) fn probe(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    if file::beside(path, "-wal").exists() {
        return reader(path, timeout);
    }
    let link = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)?;
    link.connection.execute_batch("PRAGMA query_only=ON")?;
    Ok(link)
}

/// Write-ahead logging, so that readers and the writer do not wait for each other; kept in the file. `false` where the
/// file system does not allow it.
pub(super) fn use_wal(connection: &Connection, durability: Durability, deadline: Instant) -> rusqlite::Result<bool> {
    let mode: String = retry_while_busy(deadline, || {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
    })?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// Some of SQLite's locks are refused at once whatever the busy timeout says: changing the journal mode is one.
pub(super) fn retry_while_busy<T>(
    deadline: Instant,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    loop {
        match attempt() {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn open(path: &Path, mode: OpenFlags, timeout: Duration) -> rusqlite::Result<Link> {
    // No URI names: a path is a path. Each connection has one user at a time, so SQLite's own mutex is not needed.
    let mut connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Without it a cached statement is prepared again whenever a bound value might change the plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // 8 MB of cache; no memory mapping, since a file cut short by another process would kill this one.
    connection.execute_batch("PRAGMA cache_size=-8000; PRAGMA mmap_size=0;")?;
    let deadline = Arc::new(AtomicU64::new(NEVER));
    let watched = Arc::clone(&deadline);
    let is_over = move || micros(Instant::now()) > watched.load(Ordering::Relaxed);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_over))?;
    Ok(Link { connection, deadline })
}
