//! Tests of who opens a source and for how long others wait: more sources than there is room for, and callers whose time
//! was spent elsewhere.

use std::sync::atomic::{AtomicU32, Ordering};

use super::super::{Budget, Left, SourceConfig, test_opener};
use super::*;
use crate::params;

/// Opens files as they come once the disk has room, within a budget, and counts what is said to be unavailable.
struct Plain {
    budget: Arc<Budget>,
    stays: Stays,
    /// How long the disk takes.
    pause: Duration,
    /// How many times it has no room yet.
    full: AtomicU32,
    failed: AtomicU32,
}

impl Default for Plain {
    fn default() -> Self {
        let (budget, stays, pause) = (Budget::of_process(), Stays::WhileThereIsRoom, Duration::ZERO);
        Self { budget, stays, pause, full: AtomicU32::new(0), failed: AtomicU32::new(0) }
    }
}

impl Opener for Plain {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        std::thread::park_timeout(self.pause);
        if self.full.load(Ordering::Relaxed) > 0 {
            self.full.fetch_sub(1, Ordering::Relaxed);
            return Err(OpenError::DiskFull { path: config.path.clone() });
        }
        test_opener::Plain::default().open(config, left, deadline)
    }

    fn failed(&self, _config: &SourceConfig) -> bool {
        self.failed.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        Some((Arc::clone(&self.budget), self.stays))
    }
}

/// So many sources, of which so many have room at a time, each with this timeout.
fn sources(count: usize, slots: u64, timeout: Duration) -> (tempfile::TempDir, Arc<Plain>, Vec<Arc<Source>>) {
    sources_on_disk(count, slots, timeout, Duration::ZERO)
}

/// The same on a disk that takes so long each time.
fn sources_on_disk(
    count: usize,
    slots: u64,
    timeout: Duration,
    pause: Duration,
) -> (tempfile::TempDir, Arc<Plain>, Vec<Arc<Source>>) {
    let folder = tempfile::tempdir().unwrap();
    let opener = Arc::new(Plain { budget: Budget::of(slots * WRITER), pause, ..Plain::default() });
    let source = |number: usize| {
        let config = SourceConfig { timeout, ..SourceConfig::new(folder.path().join(format!("{number}.db"))) };
        Arc::new(Source::lazy(config, Arc::clone(&opener) as Arc<dyn Opener>))
    };
    let sources = (0..count).map(source).collect();
    (folder, opener, sources)
}

fn read(source: &Arc<Source>, deadline: Instant) -> crate::Result<i64> {
    let count = source
        .read_by("test.read", deadline, |tx| tx.value::<i64>("settings", "SELECT COUNT(*) FROM settings", params![]));
    count.map(Option::unwrap_or_default)
}

/// Threads read from sources at random, so many times each. Answers how many calls failed.
fn crowd(count: usize, slots: u64, threads: u64, rounds: u32, timeout: Duration) -> u32 {
    let (_folder, opener, sources) = sources(count, slots, timeout);
    let failed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 1..=threads {
            let (sources, failed) = (&sources, &failed);
            scope.spawn(move || {
                let mut state = thread;
                for _ in 0..rounds {
                    // (Knuth's multiplier.)
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let source = &sources[(state >> 33) as usize % count];
                    if read(source, Instant::now() + timeout).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    sources.iter().for_each(|source| source.close());
    drop(sources);
    assert_eq!((opener.budget.used(), opener.failed.load(Ordering::Relaxed)), (0, 0));
    failed.into_inner()
}

#[test]
fn callers_who_want_the_same_source_stand_in_line_once() {
    assert_eq!(crowd(8, 4, 16, 60, Duration::from_secs(10)), 0);
}

#[test]
fn whoever_waits_for_anothers_place_in_line_takes_it_over_where_that_ones_time_is_over() {
    let (_folder, opener, sources) = sources(1, 1, Duration::from_secs(30));
    let permit = opener.budget.room(WRITER, Instant::now()).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| read(&sources[0], Instant::now() + Duration::from_millis(200)));
        while !sources[0].door.is_asking() {
            std::thread::yield_now();
        }
        let second = scope.spawn(|| read(&sources[0], Instant::now() + Duration::from_secs(30)));
        let error = first.join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
        drop(permit);
        second.join().unwrap().unwrap();
    });
    sources[0].close();
}

#[test]
fn a_source_that_is_read_much_has_readers_however_many_others_are_open() {
    let timeout = Duration::from_secs(10);
    let (folder, opener, sources) = sources(40, 24, timeout);
    let read_all = |sources: &[Arc<Source>]| {
        sources.iter().for_each(|source| assert!(read(source, Instant::now() + timeout).is_ok()));
    };
    read_all(&sources);
    let connections = |source: &Source| source.status().connections.0;
    read_all(&sources[..1]);
    assert_eq!(connections(&sources[0]), 1, "one that is cold is read on its writer");
    let began = Instant::now();
    while connections(&sources[0]) < 2 && began.elapsed() < timeout {
        read_all(&sources[..1]);
    }
    assert_eq!(connections(&sources[0]), 2);
    // The default source, which stays open and has one reader of its own.
    let stays = Plain { budget: Arc::clone(&opener.budget), stays: Stays::Always, ..Plain::default() };
    let default = Arc::new(Source::lazy(SourceConfig::new(folder.path().join("default.db")), Arc::new(stays)));
    let began = Instant::now();
    while connections(&default) < 3 && began.elapsed() < timeout {
        let outer = default.read("test.outer", |_| {
            // While the one reader is in use.
            drop(read(&default, Instant::now() + Duration::from_millis(2)));
            Ok(())
        });
        outer.unwrap();
    }
    assert_eq!(connections(&default), 3);
    sources.iter().chain([&default]).for_each(|source| source.close());
}

#[test]
fn who_comes_with_no_time_left_is_told_that_it_is_busy_and_the_source_is_not_taken_for_one_that_is_down() {
    let timeout = Duration::from_secs(30);
    let (_folder, opener, sources) = sources_on_disk(2, 2, timeout, Duration::from_millis(300));
    // None at all, and not enough.
    for (source, left) in sources.iter().zip([Duration::ZERO, Duration::from_millis(50)]) {
        let error = read(source, Instant::now() + left).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    }
    // Nobody would wait for the first one. The second is opened all the same.
    assert_eq!([sources[0].is_opening(), sources[1].is_opening()], [false, true]);
    sources.iter().for_each(|source| assert!(read(source, Instant::now() + timeout).is_ok()));
    assert_eq!(opener.failed.load(Ordering::Relaxed), 0);
    sources.iter().for_each(|source| source.close());
}

#[test]
fn a_source_is_down_where_its_disk_has_had_all_the_time_there_is() {
    let timeout = Duration::from_secs(2);
    let (_folder, opener, sources) = sources_on_disk(1, 1, timeout, Duration::from_secs(3));
    let error = read(&sources[0], Instant::now() + timeout).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
    assert_eq!(opener.failed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_source_whose_disk_is_full_is_not_taken_for_one_that_is_down_and_each_call_tries_again() {
    let timeout = Duration::from_secs(30);
    let (_folder, opener, sources) = sources(1, 1, timeout);
    let source = &sources[0];
    opener.full.store(2, Ordering::Relaxed);
    for _ in 0..2 {
        let error = read(source, Instant::now() + timeout).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DiskFull), "{error}");
        let health = source.health();
        assert!(
            matches!(&health, super::super::Health::Unavailable { reason, .. } if reason.contains("make room")),
            "{health:?}"
        );
    }
    read(source, Instant::now() + timeout).unwrap();
    assert_eq!(opener.failed.load(Ordering::Relaxed), 0);
    source.close();
}
