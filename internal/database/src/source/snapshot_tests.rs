//! Snapshots that reads leave open: that they are, that nothing is missed in them, and that none stays.

use std::ops::ControlFlow;
use std::thread;

use super::*;
use crate::error::ErrorKind;
use crate::params;
use crate::source::Database;
use crate::source::writer_tests::{open, soon};

const COUNT: &str = "SELECT value FROM settings WHERE key = 'count'";

fn count(database: &Database) -> i64 {
    count_by(database, begun_now(database))
}

/// The deadline of a read that begins now.
fn begun_now(database: &Database) -> Instant {
    Instant::now() + database.timeout
}

/// The same with this deadline. Of reads with the same one each takes it that no time has passed.
fn count_by(database: &Database, deadline: Instant) -> i64 {
    let count = database.read("test.count", deadline, |tx| tx.value::<String>("settings", COUNT, params![])).unwrap();
    count.map_or(0, |count| count.parse().unwrap())
}

fn set(database: &Database, count: i64) {
    let set = |tx: &mut crate::source::WriteTx<'_>| {
        let sql = "INSERT INTO settings (key, value) VALUES ('count', ?1)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        tx.execute(sql, params![count.to_string()])
    };
    database.write("test.set", soon(), None, set).unwrap();
}

/// Whether a connection is in a snapshot that nobody uses at the moment.
fn is_kept(database: &Database) -> bool {
    database.readers.slots.all.iter().any(|slot| slot.kept.since.load(Ordering::SeqCst) != 0)
}

/// Reads until a snapshot is left open.
fn until_kept(database: &Database, read: impl Fn(&Database) -> i64) {
    let until = soon();
    while !is_kept(database) {
        assert!(Instant::now() < until, "no snapshot is left open");
        read(database);
    }
}

/// Whether the log can be emptied within a second: nobody reads an earlier moment.
fn can_be_emptied(folder: &tempfile::TempDir) -> bool {
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.busy_timeout(Duration::from_secs(1)).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap() == 0
}

#[test]
fn one_that_nobody_uses_any_more_is_left_soon() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    for round in 0..5 {
        set(&database, round);
        until_kept(&database, count);
        assert!(can_be_emptied(&folder), "round {round}");
        let until = soon();
        while is_kept(&database) {
            assert!(Instant::now() < until, "it stays");
            thread::yield_now();
        }
        assert_eq!(database.readers.open_now(), 1, "no other connection was opened for that");
    }
}

#[test]
fn what_is_written_is_seen_by_the_next_read_also_through_the_file_opened_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let (database, again) = (open(&folder, "a.db"), open(&folder, "a.db"));
    for number in 1..200 {
        let (writes, reads) = if number % 2 == 0 { (&database, &again) } else { (&again, &database) };
        let now = begun_now(reads);
        until_kept(reads, |reads| count_by(reads, now));
        set(writes, number);
        assert_eq!((count_by(reads, now), count_by(writes, now)), (number, number));
    }
}

#[test]
fn commits_to_a_file_are_under_way_until_the_last_one_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let commits = &database.log.commits;
    let before = commits.count();
    let (one, other) = (commits.under_way(), commits.under_way());
    assert!(!is_quiet(commits.count()));
    drop(one);
    assert!(!is_quiet(commits.count()));
    commits.done();
    drop(other);
    assert!(is_quiet(commits.count()) && commits.count() > before);
}

#[test]
fn what_a_read_writes_before_its_first_statement_is_seen_by_that() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    for number in 1..50 {
        let now = begun_now(&database);
        until_kept(&database, |database| count_by(database, now));
        let found = database.read("test.writes", now, |tx| {
            set(&database, number);
            tx.value::<String>("settings", COUNT, params![])
        });
        assert_eq!(found.unwrap(), Some(number.to_string()));
    }
}

#[test]
fn no_read_misses_what_was_answered_or_seen_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let (answered, seen, kept) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (stop, now) = (AtomicBool::new(false), begun_now(&database));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let least = answered.load(Ordering::SeqCst).max(seen.load(Ordering::SeqCst));
                    let found = count_by(&database, now).unsigned_abs();
                    assert!(found >= least, "{found} was read after {least}");
                    seen.fetch_max(found, Ordering::SeqCst);
                    kept.fetch_add(u64::from(is_kept(&database)), Ordering::Relaxed);
                }
            });
        }
        for number in 1..=400_i64 {
            set(&database, number);
            answered.store(number.unsigned_abs(), Ordering::SeqCst);
            thread::park_timeout(Duration::from_micros(700));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(kept.into_inner() > 0, "no snapshot was left open");
}

#[test]
fn what_another_process_writes_is_seen_within_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    for number in 1..50_i64 {
        set(&database, 0);
        until_kept(&database, count);
        other.execute("UPDATE settings SET value = ?1 WHERE key = 'count'", [number.to_string()]).unwrap();
        let written = Instant::now();
        // What began so much later sees it. (It goes on reading meanwhile.)
        loop {
            let is_later = written.elapsed() > Duration::from_micros(LONGEST + 100);
            let found = count(&database);
            if found == number {
                break;
            }
            assert!(!is_later, "{number} is not seen");
        }
    }
}

#[test]
fn what_is_read_in_several_statements_and_what_fails_leaves_the_connection_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    set(&database, 1);
    for _ in 0..20 {
        until_kept(&database, count);
        let both = database.read("test.both", soon(), |tx| {
            tx.snapshot()?;
            let first = tx.value::<String>("settings", COUNT, params![])?;
            Ok((first, tx.value::<String>("settings", COUNT, params![])?))
        });
        assert_eq!(both.unwrap(), (Some("1".to_owned()), Some("1".to_owned())));
        until_kept(&database, count);
        let failed = database.read("test.fails", soon(), |tx| {
            tx.scan(COUNT, params![], |_| Err(database.context("test.fails").error(ErrorKind::NotFound)))?;
            Ok(ControlFlow::<()>::Continue(()))
        });
        assert!(matches!(failed.unwrap_err().kind(), ErrorKind::NotFound));
        assert!(!is_kept(&database));
        until_kept(&database, count);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            database.read("test.panics", soon(), |_| -> crate::Result<()> { std::panic::resume_unwind(Box::new(())) })
        }));
        assert!(panicked.is_err());
        assert_eq!((count(&database), database.readers.open_now()), (1, 1));
    }
}
