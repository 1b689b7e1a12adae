//! Closing what may be the last connection to a file: one at a time.
//!
//! Whoever closes the last connection has SQLite take the log away. It finds out by asking for the file alone, which
//! it keeps a share of until it is closed (`sqlite3WalClose`). Of two that close in the same moment, as where a source
//! got other settings just before the end, each finds the other, and the log would stay.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::Link;
use super::file::FileId;

/// The files of which a connection is being closed.
static CLOSING: Mutex<Vec<FileId>> = Mutex::new(Vec::new());
static CLOSED: Condvar = Condvar::new();

/// How long another one is waited for: on a disk that does not answer, a log that stays is the least of it.
const WITHIN: Duration = Duration::from_secs(60);

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

/// Closes a connection to a file, after this was done with it, while nobody else closes one to the same file.
pub(super) fn close<T>(file: FileId, link: Link, before: impl FnOnce(&Link) -> T) -> T {
    let _alone = Alone::with(file);
    let answer = before(&link);
    drop(link);
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::super::file::beside;
    use super::super::writer_tests::{keys, open, set};

    #[test]
    fn of_those_that_close_in_the_same_moment_one_takes_the_log_away() {
        const AT_ONCE: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let log = beside(&folder.path().join("a.db"), "-wal");
        for round in 0..200 {
            let all: Vec<_> = (0..AT_ONCE).map(|_| open(&folder, "a.db")).collect();
            set(&all[round % AT_ONCE], &format!("{round:03}")).unwrap();
            assert_eq!(keys(&all[0]).len(), round + 1);
            assert!(log.exists());
            let together = Barrier::new(AT_ONCE);
            thread::scope(|scope| {
                for database in &all {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        database.close();
                    });
                }
            });
            assert!(!log.exists(), "round {round}");
        }
    }
}
