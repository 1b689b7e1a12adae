//! Closing what may be the last connection to a file: one at a time.
//!
//! Whoever closes the last connection has SQLite take the log away. It finds out by asking for the file alone, which
//! it keeps a share of until it is closed (`sqlite3WalClose`). Of two that close in the same moment, as where a source
//! got other settings just before the end, each finds the other, and the log would stay.
//!
//! A database closes its writer last, so it is writers that this is about, and what takes an empty log away where
//! everything is only read. Connections that are opened for a look and closed again may still be found; then the log
//! stays, with all that it holds in the file.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::Link;
use super::file::FileId;

/// The files of which a connection is being closed.
static CLOSING: Mutex<Vec<FileId>> = Mutex::new(Vec::new());
static CLOSED: Condvar = Condvar::new();

/// How long another one is waited for. Closing takes next to no time, but on a disk that does not answer; and there a
/// log that stays is the least of it.
const WITHIN: Duration = Duration::from_secs(5);

/// That nobody else of this process closes a connection to a file meanwhile.
struct Alone(FileId);

impl Alone {
    fn with(file: FileId) -> Option<Self> {
        let deadline = Instant::now() + WITHIN;
        let mut closing = CLOSING.lock();
        while closing.contains(&file) {
            if CLOSED.wait_until(&mut closing, deadline).timed_out() {
                return None;
            }
        }
        closing.push(file);
        Some(Self(file))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        CLOSING.lock().retain(|file| *file != self.0);
        CLOSED.notify_all();
    }
}

/// Does this while nobody else closes a connection to the same file.
pub(super) fn alone<T>(file: FileId, f: impl FnOnce() -> T) -> T {
    let _alone = Alone::with(file);
    f()
}

/// Closes a connection to a file while nobody else closes one to the same.
pub(super) fn close(file: FileId, link: Link) {
    alone(file, || drop(link));
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::super::Database;
    use super::super::file::beside;
    use super::super::writer_tests::{keys, open, set};
    use super::*;

    /// Opens a file several times, writes to it and ends all of it in the same moment, over and over: no log may stay.
    fn end_together(end: fn(Database)) {
        const AT_ONCE: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let log = beside(&folder.path().join("a.db"), "-wal");
        for round in 0..200 {
            let all = [(); AT_ONCE].map(|()| open(&folder, "a.db"));
            set(&all[round % AT_ONCE], &format!("{round:03}")).unwrap();
            assert_eq!(keys(&all[0]).len(), round + 1);
            assert!(log.exists());
            let together = Barrier::new(AT_ONCE);
            thread::scope(|scope| {
                for database in all {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        end(database);
                    });
                }
            });
            assert!(!log.exists(), "round {round}");
        }
    }

    #[test]
    fn of_those_that_close_in_the_same_moment_one_takes_the_log_away() {
        end_together(|database| database.close());
    }

    #[test]
    fn databases_that_are_dropped_in_the_same_moment_leave_no_log_either() {
        end_together(drop);
    }

    #[test]
    fn one_that_does_not_end_is_waited_for_in_vain_and_not_by_other_files() {
        let (file, other) = (FileId { device: 0, inode: 1 }, FileId { device: 0, inode: 2 });
        let held = Alone::with(file).unwrap();
        let begun = Instant::now();
        assert!(Alone::with(other).is_some());
        assert!(begun.elapsed() < WITHIN);
        assert!(Alone::with(file).is_none());
        assert!(begun.elapsed() >= WITHIN);
        drop(held);
        assert!(Alone::with(file).is_some());
    }
}
