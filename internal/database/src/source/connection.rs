//! Opening SQLite connections, all with the same settings.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OpenFlags};

use super::budget::Permit;
use super::checkpoint::KEPT_BYTES;
use super::config::Durability;
use super::prepared::Prepared;
use super::row::KnownColumns;
use super::snapshot::Commits;
use super::writer::run;

/// Statements kept ready on each connection.
const STATEMENT_CACHE: usize = 128;
/// How many steps of SQLite's machine pass between two looks at the clock: well under a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;
/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

/// How long a lock that is taken is left alone, try after try, in milliseconds; the last one again and again. (SQLite's
/// own way of waiting.)
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// A connection whose statements end at a deadline.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// What its cached statements call their columns.
    pub(super) columns: KnownColumns,
    /// That they are prepared once.
    pub(super) prepared: Box<Prepared>,
    /// What its next commit survives; `None` where that is not known.
    durability: Cell<Option<Durability>>,
    limits: Arc<Limits>,
    /// Of a connection that reads: whether it is in a snapshot that an earlier read has left open.
    pub(super) in_snapshot: Cell<bool>,
    writing: Option<Box<Writing>>,
    /// What it counts, where that is not counted with the source. (Given back last, when it is closed.)
    _permit: Option<Permit>,
}

/// What a connection that writes has besides.
struct Writing {
    /// Whether it is lent for a read now.
    only_reads: Arc<AtomicBool>,
    /// What counts its commits.
    commits: Option<Arc<Commits>>,
}

/// Until when a connection may take, in [`micros`]. SQLite is told once where to look, rather than by every call.
struct Limits {
    /// When statements are stopped.
    statements: AtomicU64,
    /// Until when locks are waited for.
    locks: AtomicU64,
}

impl Link {
    /// Statements that run past the deadline are stopped from now on, and locks are waited for until then.
    pub(super) fn until(&self, deadline: Instant) {
        self.until_micros(micros(deadline));
    }

    /// The same, in [`micros`].
    pub(super) fn until_micros(&self, deadline: u64) {
        self.limits.statements.store(deadline, Ordering::Relaxed);
        self.limits.locks.store(deadline, Ordering::Relaxed);
    }

    /// Begins a transaction whose commit survives this, whatever the last one's did. It holds the lock for writing from the
    /// beginning: one that begins by reading could not become a writer later, whatever the timeout.
    pub(super) fn begin(&self, durability: Durability) -> rusqlite::Result<()> {
        self.make_durable(durability)?;
        run(self, "BEGIN IMMEDIATE")
    }

    /// Commits the open transaction. Reads that begin before that is done begin with a snapshot of their own.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        let commits = self.writing.as_ref().and_then(|writing| writing.commits.as_ref());
        let _under_way = commits.map(|commits| commits.under_way());
        run(self, "COMMIT")
    }

    /// What commits from now on survive. Not within a transaction.
    pub(super) fn make_durable(&self, durability: Durability) -> rusqlite::Result<()> {
        if self.durability.replace(None) != Some(durability) {
            make_durable(&self.connection, durability)?;
        }
        self.durability.set(Some(durability));
        Ok(())
    }

    /// Statements run to their end from now on.
    pub(super) fn without_deadline(&self) {
        self.limits.statements.store(NEVER, Ordering::Relaxed);
    }

    /// Locks are waited for so long from now on.
    pub(super) fn wait_for_locks(&self, patience: Duration) {
        self.limits.locks.store(micros(Instant::now() + patience), Ordering::Relaxed);
    }

    /// The same, which counts as much as this until it is closed.
    pub(super) fn counting(self, permit: Option<Permit>) -> Self {
        Self { _permit: permit, ..self }
    }

    /// Runs a cached statement with these values, and answers how many rows it changed.
    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.execute(values)?;
        self.prepared.used(&self.connection, sql, &statement);
        Ok(rows)
    }

    /// From now on it may prepare only what a reader may, or again anything.
    pub(super) fn only_reads(&self, only: bool) {
        if let Some(Writing { only_reads, .. }) = self.writing.as_deref() {
            only_reads.store(only, Ordering::Relaxed);
        }
    }

    /// Whether what is prepared may be a write all the same, since it was prepared for one.
    pub(super) fn may_write(&self) -> bool {
        self.writing.is_some()
    }

    /// Has its commits counted.
    pub(super) fn count_commits(&mut self, commits: &Arc<Commits>) {
        if let Some(writing) = &mut self.writing {
            writing.commits = Some(Arc::clone(commits));
        }
    }

    /// The connection alone. It has no deadline, and waits so long for each lock.
    pub(super) fn into_connection(self, timeout: Duration) -> rusqlite::Result<Connection> {
        self.without_deadline();
        self.connection.busy_timeout(timeout)?;
        Ok(self.connection)
    }
}

impl Limits {
    fn statement_is_over(&self) -> bool {
        micros(Instant::now()) > self.statements.load(Ordering::Relaxed)
    }

    /// Waits a little for a lock, for the time of that number; `false` where there is no time left.
    fn wait_for_lock(&self, tried: i32) -> bool {
        let left = self.locks.load(Ordering::Relaxed).saturating_sub(micros(Instant::now()));
        if left == 0 {
            return false;
        }
        let pause = usize::try_from(tried).ok().and_then(|tried| PAUSES.get(tried)).unwrap_or(&100);
        std::thread::park_timeout(Duration::from_micros(left.min(pause * 1_000)));
        true
    }
}

/// Microseconds since the first connection was opened.
pub(super) fn micros(moment: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    whole_micros(moment.saturating_duration_since(*START))
}

/// A duration in microseconds. (`as_micros` counts in 128 bits, which every call would pay for.)
pub(super) fn whole_micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}

/// A connection that writes.
pub(super) fn writer(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    let mut link = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)?;
    // Once, as for readers: which of the two it is at the moment is looked up.
    let reads = Arc::new(AtomicBool::new(false));
    link.writing = Some(Box::new(Writing { only_reads: Arc::clone(&reads), commits: None }));
    link.connection.authorizer(Some(move |context: AuthContext<'_>| {
        if reads.load(Ordering::Relaxed) { only_reads(context) } else { Authorization::Allow }
    }))?;
    link.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Deleted text is overwritten, and a REPLACE fires the delete triggers that moves rely on.
    link.connection.execute_batch("PRAGMA secure_delete=ON; PRAGMA recursive_triggers=ON;")?;
    // A log that has grown long, behind a reader that stayed, is cut once it begins anew.
    link.connection.pragma_update(None, "journal_size_limit", KEPT_BYTES)?;
    Ok(link)
}

/// A connection for what is no database perhaps: its content is to be another's.
pub(super) fn overwriter(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)
}

/// A connection that moves the log into the file, and waits for nobody.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Link> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, Duration::ZERO)
}

/// A connection that cannot write, whatever statement it is given, and is no way to other databases or to settings.
pub(super) fn reader(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    let mut link = look(path, timeout)?;
    // Once, before any statement is cached: setting it lets those that are expire.
    link.connection.authorizer(Some(only_reads))?;
    Ok(link)
}

/// What a statement of a read may be made of. That the connection is opened for reading protects the file; this also
/// keeps others from being attached, made by `VACUUM INTO` or filled as temporary tables.
fn only_reads(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive | AuthAction::Transaction { .. } => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
            Authorization::Allow
        }
        // What debug builds ask to know whether the schema has changed.
        AuthAction::Pragma { pragma_name: "schema_version", pragma_value: None } => Authorization::Allow,
        // What a move asks for a table's columns.
        AuthAction::Pragma { pragma_name: "table_info", .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// A connection that looks at a file of which nothing may change.
pub(super) fn look(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, timeout)
}

/// A connection that takes a file for one that nobody writes: it looks at no log and takes no lock.
pub(super) fn at_rest(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// Write-ahead logging, so that readers and the writer do not wait for each other; kept in the file. `false` where the
/// file system does not allow it.
pub(super) fn use_wal(connection: &Connection, durability: Durability, deadline: Instant) -> rusqlite::Result<bool> {
    let mode: String = retry_while_busy(deadline, || {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
    })?;
    make_durable(connection, durability)?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// What an answered write of the connection survives.
pub(super) fn make_durable(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Leaves the log where it is when the last connection closes, rather than move it into the file and take it away.
pub(super) fn leave_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
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

/// A connection with the settings that all have.
pub(super) fn open(path: &Path, mode: OpenFlags, timeout: Duration) -> rusqlite::Result<Link> {
    // No URI names: a path is a path. Each connection has one user at a time, so SQLite's own mutex is not needed.
    let mut connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let limits = Arc::new(Limits { statements: AtomicU64::new(NEVER), locks: AtomicU64::new(0) });
    let waiting = Arc::clone(&limits);
    connection.busy_handler(Some(move |tried| waiting.wait_for_lock(tried)))?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Without it a cached statement is prepared again whenever a bound value might change the plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let watching = Arc::clone(&limits);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || watching.statement_is_over()))?;
    let (columns, prepared) = (KnownColumns::default(), Box::default());
    let durability = Cell::default();
    let link = Link {
        connection,
        columns,
        prepared,
        durability,
        limits,
        in_snapshot: Cell::new(false),
        writing: None,
        _permit: None,
    };
    link.wait_for_locks(timeout);
    // 8 MB of cache; no memory mapping, since a file cut short by another process would kill this one.
    link.connection.execute_batch("PRAGMA cache_size=-8000; PRAGMA mmap_size=0;")?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_refuses_whatever_is_no_reading_even_without_a_look_at_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let link =
            open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, Duration::ZERO).unwrap();
        link.connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
        let reader = reader(&path, Duration::ZERO).unwrap().connection;
        let other = other.display();
        for sql in [
            "INSERT INTO t VALUES (2)",
            "WITH x AS (SELECT 1) DELETE FROM t",
            "CREATE TEMP TABLE u (x)",
            "CREATE TEMP VIEW v AS SELECT 1",
            "PRAGMA query_only",
            "PRAGMA user_version=1",
            "SELECT * FROM pragma_user_version",
            "SAVEPOINT s",
            "ANALYZE",
            "DETACH main",
            &format!("ATTACH '{other}' AS b"),
            &format!("VACUUM INTO '{other}'"),
        ] {
            let refused = reader.execute_batch(sql).expect_err(sql);
            assert_eq!(
                refused.sqlite_error_code(),
                Some(rusqlite::ErrorCode::AuthorizationForStatementDenied),
                "{sql}"
            );
        }
        let all = "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
                   SELECT length(x) FROM t, n; ROLLBACK;";
        reader.execute_batch(all).unwrap();
        assert!(!folder.path().join("b.db").exists());
    }
}
