//! The log beside a database: moved into the file in the background, bounded, and gone in the end.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use database::{DatabaseWrapper, Durability, ErrorKind, Route, SourceConfig, params};

use crate::child::{Child, say};
use crate::support::{Scratch, open, sqlite};

/// About a hundred pages.
const BIG: usize = 400_000;
const MEGABYTE: u64 = 1 << 20;

/// Where a commit waits for nothing, the log grows fastest.
fn open_fast(path: &Path) -> DatabaseWrapper {
    let config = SourceConfig { durability: Durability::Normal, ..SourceConfig::new(path) };
    DatabaseWrapper::open(&config).unwrap()
}

fn log_length(scratch: &Scratch) -> u64 {
    std::fs::metadata(scratch.file("bot.db-wal")).map_or(0, |found| found.len())
}

/// How long this thread has had a processor or waited for one: what else has passed it was held up for.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().take(2).map(|nanos| nanos.parse::<u64>().unwrap()).sum())
}

/// Writes a hundred pages over and over again, and answers how long one such write was held up at most.
fn write_pages(db: &DatabaseWrapper, times: usize) -> Duration {
    // Of what is equal SQLite writes nothing.
    let values = ["x", "y"].map(|letter| letter.repeat(BIG));
    let write = |time: usize| {
        let (start, busy_before) = (Instant::now(), busy());
        db.set_setting("big", &values[time % 2]).unwrap();
        start.elapsed().saturating_sub(busy() - busy_before)
    };
    (0..times).map(write).max().unwrap_or_default()
}

/// Reads one moment for as long as the closure takes.
fn read(db: &DatabaseWrapper, mut stays: impl FnMut()) {
    let read = db.read("test.stays", Route::Shared, |tx| {
        tx.snapshot()?;
        let sum = || tx.value::<i64>("settings", "SELECT SUM(length(value)) FROM settings", params![]);
        let before = sum()?;
        stays();
        assert_eq!(sum()?, before);
        Ok(())
    });
    read.unwrap();
}

/// Waits for what another thread does.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// What this process has open of a folder.
fn open_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(folder)).map(|target| target.display().to_string()).collect()
}

#[test]
fn under_writes_without_a_pause_and_reads_the_log_is_moved_and_begins_anew() {
    // 800 MB are written each time. How far the log gets depends on when the thread that moves it gets a processor, and
    // after an attempt that readers were in the way of it leaves them alone for a second: so not each time.
    let mut runs = (0..4).map(|_| longest_log_beside_readers());
    assert!(runs.any(|longest| longest < 500 * MEGABYTE));
}

fn longest_log_beside_readers() -> u64 {
    let scratch = Scratch::in_memory();
    let db = open_fast(&scratch.file("bot.db"));
    let mut longest = 0;
    let goes_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while goes_on.load(Ordering::Relaxed) {
                read(&db, || std::thread::park_timeout(Duration::from_millis(2)));
                std::thread::park_timeout(Duration::from_millis(8));
            }
        });
        for _ in 0..200 {
            write_pages(&db, 10);
            longest = longest.max(log_length(&scratch));
        }
        goes_on.store(false, Ordering::Relaxed);
    });
    db.close();
    assert_eq!(scratch.names(), ["bot.db"]);
    longest
}

#[test]
fn a_reader_that_stays_lets_the_log_grow_and_holds_up_no_writer() {
    // It may also be held up by a thread of its own that has no processor just then, though not each time.
    let mut runs = (0..5).map(|_| writes_beside_a_reader());
    assert!(runs.any(|longest| longest < Duration::from_millis(50)));
}

fn writes_beside_a_reader() -> Duration {
    let scratch = Scratch::in_memory();
    let db = open_fast(&scratch.file("bot.db"));
    write_pages(&db, 1);
    // One that has seen nothing of the log holds back all of it.
    let mut longest = Duration::ZERO;
    read(&db, || longest = write_pages(&db, 500));
    assert!(log_length(&scratch) > 180 * MEGABYTE, "{}", log_length(&scratch));
    // Of readers that come and go, each holds back a little.
    let goes_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while goes_on.load(Ordering::Relaxed) {
                read(&db, || std::thread::park_timeout(Duration::from_millis(100)));
            }
        });
        longest = longest.max(write_pages(&db, 500));
        goes_on.store(false, Ordering::Relaxed);
    });
    // Once they are gone, the log begins anew and its file is cut.
    wait_until("the log is cut", || {
        longest = longest.max(write_pages(&db, 10));
        log_length(&scratch) <= 140 * MEGABYTE
    });
    longest
}

#[test]
fn closing_waits_for_no_checkpoint_and_leaves_only_the_file() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    for round in 0..20 {
        let db = open_fast(&path);
        // Enough for a checkpoint, which may be anywhere when the database is closed.
        write_pages(&db, 41 + round);
        db.close();
        assert_eq!(scratch.names(), ["bot.db"]);
        assert_eq!(open_files(scratch.path()), [""; 0]);
    }
    assert_eq!(open(&path).get_setting("big").unwrap().map(|value| value.len()), Some(BIG));
}

#[test]
fn what_was_written_a_little_has_no_connection_more_and_what_was_written_much_one_file_at_most() {
    let scratch = Scratch::in_memory();
    let db = open_fast(&scratch.file("bot.db"));
    db.set_setting("small", "x").unwrap();
    assert_eq!(open_files(scratch.path()).len(), 3, "{:?}", open_files(scratch.path()));
    write_pages(&db, 50);
    let moved = || sqlite(&scratch.file("bot.db")).query_row("PRAGMA wal_checkpoint", [], |row| row.get::<_, i64>(0));
    // SQLite keeps the file that a connection had until nobody has a lock on it, for the next one to use.
    wait_until("it is moved", || moved() == Ok(0) && open_files(scratch.path()).len() <= 5);
    for _ in 0..20 {
        write_pages(&db, 50);
    }
    wait_until("files are closed", || open_files(scratch.path()).len() <= 5);
    db.close();
    assert_eq!(open_files(scratch.path()), [""; 0]);
}

#[test]
fn a_file_that_is_removed_is_not_kept_open_and_one_in_its_place_is_left_alone() {
    let scratch = Scratch::in_memory();
    let (path, other) = (scratch.file("bot.db"), scratch.file("other.db"));
    let db = open(&other);
    db.set_setting("whose", "the other's").unwrap();
    db.close();
    let db = open_fast(&path);
    write_pages(&db, 39);
    std::fs::rename(&other, &path).unwrap();
    for letter in ["x", "y"].repeat(25) {
        // Each is in the old file's log, and long enough for a checkpoint every now and then.
        let error = db.set_setting("big", &letter.repeat(BIG)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FileReplaced));
    }
    db.close();
    assert_eq!(open_files(scratch.path()), [""; 0]);
    let db = open(&path);
    assert_eq!(db.get_setting("whose").unwrap().as_deref(), Some("the other's"));
    assert_eq!(db.get_setting("big").unwrap(), None);
}

#[test]
fn room_that_the_log_has_taken_is_given_back_where_a_write_finds_none() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=32m none {folder}; \"$0\" \"$@\"");
    let child = Child::start_in_namespace(&script, &["overfill", folder].map(OsStr::new));
    insta::assert_snapshot!(child.answer(), @"test.overfill on source `primary`: the disk is full: free some space; nothing was changed");
}

/// Writes more than there is room for, on a disk that has nothing else.
pub(crate) fn overfill(folder: &Path) {
    let path = folder.join("bot.db");
    open(&path).close();
    let db = open(&path);
    let full = db.write("test.overfill", Route::Shared, |tx| {
        tx.execute("INSERT INTO settings (key, value) VALUES ('big', zeroblob(40000000))", params![]).map(drop)
    });
    let log = std::fs::metadata(folder.join("bot.db-wal")).unwrap().len();
    assert!(log < MEGABYTE, "{log}");
    db.set_setting("small", "x").unwrap();
    say(&full.unwrap_err().to_string());
}
