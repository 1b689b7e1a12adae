//! A source's file that somebody wants to themselves while it is opened, has failed, is in use, or is closed for good.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::Mutex;

use super::*;
use crate::params;
use crate::source::door::Opener;
use crate::source::{Database, Health, Left, OpenError, SourceConfig, test_opener};

const LONG: Duration = Duration::from_secs(30);

/// Opens files: at once, or when they may, having told that they are about to be.
#[derive(Default)]
struct Plain(Mutex<Option<(Sender<()>, Receiver<()>)>>);

impl Opener for Plain {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        if let Some((begun, goes)) = self.0.lock().take() {
            begun.send(()).unwrap();
            assert!(goes.recv().is_err(), "it goes when the other end is dropped");
        }
        test_opener::Plain::default().open(config, left, deadline)
    }
}

fn source(folder: &Path, timeout: Duration, opener: Plain) -> Arc<Source> {
    let config = SourceConfig { timeout, ..SourceConfig::new(folder.join("a.db")) };
    Arc::new(Source::lazy(config, Arc::new(opener)))
}

/// How many settings there are.
fn read(source: &Arc<Source>) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM settings";
    let count = source.read_by("test.read", Instant::now() + LONG, |tx| tx.value("settings", sql, params![]));
    count.map(Option::unwrap_or_default)
}

/// Has a source's file to itself.
fn while_closed(source: &Arc<Source>, f: impl FnOnce()) -> Result<()> {
    let f: Box<dyn FnOnce() + '_> = Box::new(f);
    source.while_closed("test.closed", f)
}

fn must_not_be_done() {
    panic!("the file is not to be had");
}

#[test]
fn it_is_left_to_whoever_is_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel();
    let source = source(folder.path(), Duration::from_secs(1), Plain(Mutex::new(Some((begun, goes)))));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(&source));
        begins.recv_timeout(LONG).unwrap();
        let error = while_closed(&source, must_not_be_done).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
        drop(go);
        reading.join().unwrap().unwrap();
    });
    source.close();
}

#[test]
fn one_that_was_never_open_is_opened_by_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), LONG, Plain::default());
    while_closed(&source, || assert!(!source.config.path.exists(), "nobody opens it for this")).unwrap();
    assert_eq!(source.health(), Health::Closed);
    read(&source).unwrap();
    source.close();
}

#[test]
fn one_that_a_call_uses_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), Duration::from_millis(200), Plain::default());
    let within = source.read_by("test.using", Instant::now() + LONG, |_| {
        let error = while_closed(&source, must_not_be_done).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
        assert_eq!(source.health(), Health::Open);
        read(&source)
    });
    assert_eq!(within.unwrap(), read(&source).unwrap());
    source.close();
}

#[test]
fn one_that_failed_is_not_touched_while_a_call_still_uses_what_was_open_before() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), Duration::from_secs(1), Plain::default());
    let before = read(&source).unwrap();
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let put = |from: &str, to: &str| {
        for suffix in ["", "-wal", "-shm"] {
            let [from, to] = [from, to].map(|name| folder.path().join(format!("{name}{suffix}")));
            std::fs::rename(from, to).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let using = scope.spawn(|| {
            let goes = goes;
            source.read_by("test.using", Instant::now() + LONG, |_| {
                begun.send(()).unwrap();
                assert!(goes.recv().is_err());
                Ok(())
            })
        });
        begins.recv_timeout(LONG).unwrap();
        put("a.db", "away.db");
        source.notice_replaced();
        let error = while_closed(&source, must_not_be_done).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
        assert!(matches!(source.health(), Health::Unavailable { .. }), "it is what it was: {:?}", source.health());
        drop(go);
        using.join().unwrap().unwrap();
    });
    while_closed(&source, || put("away.db", "a.db")).unwrap();
    assert_eq!(source.health(), Health::Closed, "nobody waits until it is tried again");
    assert_eq!(read(&source).unwrap(), before);
    source.close();
}

#[test]
fn one_that_is_closed_for_good_meanwhile_stays_closed() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), Duration::from_millis(100), Plain::default());
    read(&source).unwrap();
    while_closed(&source, || source.close()).unwrap();
    let error = read(&source).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
    let error = while_closed(&source, must_not_be_done).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
}

#[test]
fn where_that_panics_calls_are_let_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), LONG, Plain::default());
    let before = read(&source).unwrap();
    let was_open = AtomicBool::new(true);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        while_closed(&source, || {
            was_open.store(source.is_open(), Ordering::Relaxed);
            panic!("as it is to");
        })
    }));
    assert!(panicked.is_err() && !was_open.into_inner());
    assert_eq!(read(&source).unwrap(), before);
    source.close();
}
