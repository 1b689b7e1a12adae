//! Connections on loan: how many are opened, who waits, and what is not lent again.

use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

use super::*;

/// Readers of a new file, and the folder that it is in.
fn readers(most: usize) -> (tempfile::TempDir, Readers) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let made = rusqlite::Connection::open(&path).unwrap();
    made.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7);").unwrap();
    let file = FileId::of(&path).unwrap();
    (folder, Readers::new(path, file, most))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn read(readers: &Readers) -> i64 {
    let Ok(reader) = readers.take(soon()) else { panic!("no reader") };
    let Ok(link) = reader.link() else { panic!("no connection") };
    // While it is lent: others find all slots taken.
    thread::yield_now();
    link.connection.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn whoever_waits_is_served_however_many_want_the_few_there_are() {
    let (_folder, readers) = readers(2);
    let began = Instant::now();
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(read(&readers), 7);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((done.into_inner(), readers.open_now()), (4_000, 2));
    // A wake-up that is lost costs 30 seconds.
    assert!(began.elapsed() < Duration::from_secs(29));
    assert_eq!(readers.slots.waiting.load(Ordering::Relaxed), 0);
}

#[test]
fn one_caller_at_a_time_needs_one_connection_whatever_thread_it_is_on() {
    let (_folder, readers) = readers(4);
    for slot in [0, 3, 2, 9] {
        LAST.set(slot);
        assert_eq!(read(&readers), 7);
        thread::scope(|scope| assert_eq!(scope.spawn(|| read(&readers)).join().unwrap(), 7));
    }
    assert_eq!(readers.open_now(), 1);
}

#[test]
fn a_connection_given_back_in_a_transaction_is_not_lent_again() {
    let (_folder, readers) = readers(1);
    let Ok(reader) = readers.take(soon()) else { panic!("no reader") };
    let Ok(link) = reader.link() else { panic!("no connection") };
    link.connection.execute_batch("BEGIN").unwrap();
    drop(reader);
    assert_eq!(readers.open_now(), 0);
    assert_eq!(read(&readers), 7);
}

#[test]
fn who_cannot_open_one_leaves_the_place_to_the_next() {
    let (folder, readers) = readers(1);
    let (path, away) = (folder.path().join("a.db"), folder.path().join("away.db"));
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(readers.take(soon()), Err(NoReader::Replaced)));
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(read(&readers), 7);
}

#[test]
fn closing_waits_for_what_is_lent_and_ends_the_waiting() {
    let (_folder, readers) = readers(1);
    let Ok(lent) = readers.take(soon()) else { panic!("no reader") };
    thread::scope(|scope| {
        let waiting = scope.spawn(|| matches!(readers.take(soon()), Err(NoReader::Closed)));
        while readers.slots.waiting.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let closing = scope.spawn(|| readers.close(soon()));
        while !readers.slots.is_closed.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        assert!(!closing.is_finished());
        drop(lent);
        assert!(waiting.join().unwrap());
        closing.join().unwrap();
    });
    assert_eq!(readers.open_now(), 0);
    assert!(matches!(readers.take(soon()), Err(NoReader::Closed)));
}
