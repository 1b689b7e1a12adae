//! When files that changed are to be read, and when what they say is to be acted on: once they stay as they are.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::reading::{Reading, alike};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From one look at the files to the next where nothing happens.
    pub(super) poll: Duration,
    /// The same while a change waits for quiet.
    pub(super) pending: Duration,
    /// The shortest time between two looks, however often the system tells of changes.
    pub(super) least: Duration,
    /// How long nothing may have changed when the files are read. Mostly that ends the matter: a comment was changed, or
    /// only a time.
    pub(super) short: Duration,
    /// How long nothing may have changed when news is acted on. All news waits for it, also what loses no chat and no
    /// source: that part of a file which changes least may be the only one that is written yet.
    pub(super) long: Duration,
}

impl Pace {
    /// A change that the system does not tell of is in force after `poll + long` and the time that reading takes, which
    /// leaves some of the 3 s that are promised.
    pub(super) const STEADY: Self = Self {
        poll: Duration::from_secs(1),
        pending: Duration::from_millis(100),
        least: Duration::from_millis(50),
        short: Duration::from_millis(300),
        long: Duration::from_millis(1500),
    };
}

/// What the system says of a file without opening it. One that was written to, replaced or moved has another stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    There {
        device: u64,
        inode: u64,
        size: u64,
        /// Seconds and nanoseconds. A writer can set it to what it was before.
        modified: (i64, i64),
        /// Seconds and nanoseconds. Nobody can set it, but a rename leaves it alone on some file systems.
        changed: (i64, i64),
    },
    Absent(io::ErrorKind),
}

impl Stamp {
    pub(super) fn of(file: &Path) -> Self {
        match fs::metadata(file) {
            Ok(found) => Self::There {
                device: found.dev(),
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            Err(error) => Self::Absent(error.kind()),
        }
    }
}

/// A change on its way from being seen to being acted on.
#[derive(Debug)]
pub(super) struct Changes {
    pace: Pace,
    seen: Vec<Stamp>,
    /// Since when the files have been as they are, where that has not been dealt with yet.
    since: Option<Instant>,
    /// What they said at the first reading after that, where it was news.
    first: Option<Reading>,
}

impl Changes {
    /// Nothing is known of the files: they are read after a short quiet, and so is what they became between the start's
    /// own reading and the first look.
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, seen: Vec::new(), since: None, first: None }
    }

    /// Notes how the files are. Where that is another way than before, they have to be quiet from now on.
    pub(super) fn note(&mut self, now: Instant, stamps: Vec<Stamp>) {
        if self.seen != stamps {
            self.seen = stamps;
            self.begin(now);
        }
    }

    /// From now on the files have to be quiet.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
        self.first = None;
    }

    /// When the files are to be read, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        let quiet = if self.first.is_some() { self.pace.long } else { self.pace.short };
        self.since.map(|since| since + quiet)
    }

    /// When the files are to be looked at next.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        match self.due() {
            Some(due) => due.min(now + self.pace.pending),
            None => now + self.pace.poll,
        }
    }

    /// Takes what was read when it was due and is news; gives it back where it is to be acted on, which is when it was
    /// read twice.
    pub(super) fn consider(&mut self, now: Instant, reading: Reading) -> Option<Reading> {
        match self.first.take() {
            Some(first) if alike(&first, &reading) => {
                self.since = None;
                return Some(reading);
            }
            // The clock of a file system can be too coarse to show a write.
            Some(_) => self.since = Some(now),
            None => {}
        }
        self.first = Some(reading);
        None
    }

    /// What was read is no news: nothing is to be done.
    pub(super) fn settle(&mut self) {
        self.since = None;
        self.first = None;
    }
}
