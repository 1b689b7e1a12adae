//! Sources that are closed for others and opened again, where something is different by then.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::budget::WRITER;
use super::super::file::beside;
use super::super::{Left, SourceConfig, test_opener};
use super::*;
use crate::error::{ErrorKind, Result};
use crate::params;

const LONG: Duration = Duration::from_secs(30);
const INSERT: &str = "INSERT INTO settings (key, value, created_at, updated_at) VALUES (?1, 'x', '', '')";

/// Opens files within a budget, and counts that.
struct Counting {
    budget: Arc<Budget>,
    opened: AtomicU32,
    /// What happens when a file is to be opened as it was left, and whether it may be.
    meanwhile: Mutex<fn(&Path) -> bool>,
}

impl Opener for Counting {
    fn open(
        &self,
        config: &SourceConfig,
        left: Option<&Left>,
        deadline: Instant,
    ) -> std::result::Result<Database, OpenError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        test_opener::Plain::default().open(config, left, deadline)
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        Some((Arc::clone(&self.budget), Stays::WhileThereIsRoom))
    }

    fn takes_as_left(&self, config: &SourceConfig) -> bool {
        let meanwhile = *self.meanwhile.lock();
        meanwhile(&config.path)
    }
}

/// An opener with room for one source, and so many sources.
fn with_room_for_one(folder: &Path, count: usize, timeout: Duration) -> (Arc<Counting>, Vec<Arc<Source>>) {
    let (budget, opened, meanwhile) =
        (Budget::of(WRITER), AtomicU32::new(0), Mutex::new((|_| true) as fn(&Path) -> bool));
    let opener = Arc::new(Counting { budget, opened, meanwhile });
    let source = |number: usize| {
        let config = SourceConfig { timeout, ..SourceConfig::new(folder.join(format!("{number}.db"))) };
        Arc::new(Source::lazy(config, Arc::clone(&opener) as Arc<dyn Opener>))
    };
    let sources = (0..count).map(source).collect();
    (opener, sources)
}

/// How many of our settings a source has.
fn count(source: &Arc<Source>) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM settings WHERE value = 'x'";
    let count = source.read_by("test.count", Instant::now() + LONG, |tx| tx.value("settings", sql, params![]));
    count.map(Option::unwrap_or_default)
}

fn set(source: &Arc<Source>, key: &str) {
    source.write("test.set", None, |tx| tx.execute(INSERT, params![key]).map(drop)).unwrap();
}

/// Another process writes.
fn write_from_elsewhere(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute(INSERT, ["elsewhere"]).unwrap();
}

#[test]
fn one_that_is_closed_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (opener, sources) = with_room_for_one(folder.path(), 2, LONG);
    let why = || sources.iter().map(|source| source.why_closed()).collect::<Vec<_>>();
    let harmless = |why: &str| Some(Ok(why.to_owned()));
    let unused = harmless("not needed yet; its file is not there");
    assert_eq!(why(), [unused.clone(), unused.clone()]);
    set(&sources[0], "before");
    assert_eq!(why(), [None, unused]);
    assert_eq!(count(&sources[1]).unwrap(), 0);
    assert_eq!(why(), [harmless("others needed the room"), None]);
    // With other settings it has not been open, and what was left there is no sign of it.
    let again = |path: &Path, readonly| {
        let config = SourceConfig { readonly, ..SourceConfig::new(path) };
        Source::lazy(config, Arc::clone(&opener) as Arc<dyn Opener>)
    };
    let path = &sources[0].config().path;
    let altered = again(path, false);
    altered.follows(&sources[0]);
    assert!(altered.door.left.lock().is_some());
    assert_eq!(altered.why_closed(), harmless("not needed yet"));
    sources[0].while_closed("test.closed", || ()).unwrap();
    assert_eq!(sources[0].why_closed(), harmless("not needed yet"));
    // What cannot be made is to be mended; what is only read is not made.
    let nowhere = folder.path().join("nowhere/0.db");
    let mended = again(&nowhere, false).why_closed().unwrap().unwrap_err();
    assert!(mended.contains("nowhere does not exist; create it"), "{mended}");
    assert_eq!(again(&nowhere, true).why_closed(), harmless("not needed yet; its file is not there"));
    sources.iter().for_each(|source| source.close());
}

#[test]
fn one_that_cannot_be_opened_as_it_was_left_is_looked_at_as_at_first() {
    type Case = (&'static str, fn(&Path) -> bool, u32, i64);
    let cases: [Case; 4] = [
        ("as it was left", |_| true, 0, 1),
        ("it may not be", |_| false, 1, 1),
        ("asking panics", |_| panic!("as it is to"), 1, 1),
        (
            "somebody writes at the last moment",
            |path| {
                write_from_elsewhere(path);
                true
            },
            1,
            2,
        ),
    ];
    for (name, meanwhile, looked_at, rows) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (opener, sources) = with_room_for_one(folder.path(), 2, LONG);
        set(&sources[0], "before");
        assert_eq!(count(&sources[1]).unwrap(), 0);
        assert!(!sources[0].is_open() && sources[0].door.rest.lock().is_some(), "{name}");
        *opener.meanwhile.lock() = meanwhile;
        let before = opener.opened.load(Ordering::Relaxed);
        assert_eq!(count(&sources[0]).unwrap(), rows, "{name}");
        assert_eq!(opener.opened.load(Ordering::Relaxed) - before, looked_at, "{name}");
        *opener.meanwhile.lock() = |_| true;
        set(&sources[0], "after");
        sources.iter().for_each(|source| source.close());
        drop(sources);
        assert_eq!(opener.budget.used(), 0, "{name}");
    }
}

#[test]
fn one_that_is_closed_for_good_gives_its_room_to_those_that_are_closed_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (opener, sources) = with_room_for_one(folder.path(), 2, Duration::from_secs(2));
    set(&sources[0], "before");
    set(&sources[1], "before");
    // The one that was closed for the other has its log still.
    for source in sources.iter().rev() {
        source.close();
    }
    assert_eq!(opener.budget.used(), 0);
    let logs = [0, 1].map(|number| beside(&folder.path().join(format!("{number}.db")), "-wal").exists());
    assert_eq!(logs, [false, false]);
}

#[test]
fn a_log_is_left_for_the_next_start_where_others_have_all_the_room_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_, sources) = with_room_for_one(folder.path(), 2, Duration::from_millis(300));
    set(&sources[0], "before");
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let log = beside(&sources[0].config().path, "-wal");
    std::thread::scope(|scope| {
        let using = scope.spawn(|| {
            let goes = goes;
            sources[1].read_by("test.using", Instant::now() + LONG, |_| {
                begun.send(()).unwrap();
                assert!(goes.recv().is_err());
                Ok(())
            })
        });
        begins.recv_timeout(LONG).unwrap();
        sources[0].close();
        assert!(log.metadata().unwrap().len() > 0);
        let error = count(&sources[0]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
        drop(go);
        using.join().unwrap().unwrap();
    });
    sources[1].close();
    let (_, again) = with_room_for_one(folder.path(), 1, LONG);
    assert_eq!(count(&again[0]).unwrap(), 1);
    again[0].close();
    assert!(!log.exists());
}

#[test]
fn one_that_failed_before_it_had_to_give_way_gives_way_again_once_it_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let (_, sources) = with_room_for_one(folder.path(), 3, LONG);
    let path = |name: &str| folder.path().join(name);
    set(&sources[0], "before");
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(path(&format!("0.db{suffix}")), path(&format!("away.db{suffix}"))).unwrap();
    }
    sources[0].notice_replaced();
    // It has given its room back; of these two one has to give way to the other.
    assert_eq!([&sources[1], &sources[2]].map(|source| count(source).unwrap()), [0, 0]);
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(path(&format!("away.db{suffix}")), path(&format!("0.db{suffix}"))).unwrap();
    }
    assert_eq!([&sources[0], &sources[1]].map(|source| count(source).unwrap()), [1, 0]);
    assert!(!sources[0].is_open());
    sources.iter().for_each(|source| source.close());
}
