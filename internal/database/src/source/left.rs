//! A database that was open: what has to be found on disk when it is opened again.
//!
//! Whoever puts a database back puts its file and its log there one after the other. Opened in between, the file would be
//! taken as if nothing stood in the log; and the log, put beside it a moment later, would be taken away with the one that
//! was made instead. So it is remembered of a database whose log was left whether anything stands there alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::file::{FileId, log_of};
use super::open_error::OpenError;

/// A database that was open.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    file: FileId,
    /// Its log, where it had one from the beginning.
    log: Option<FileId>,
    needed: Needed,
    /// Whether calls that are under way still use it.
    in_use: Weak<()>,
}

/// What a database's log holds alone, known once its last connection is about to be closed; nothing before, and where all
/// of it is in the file.
pub(super) type Needed = Arc<OnceLock<LogNeeded>>;

/// That the log of a file holds what the file does not.
#[derive(Debug)]
pub(super) struct LogNeeded {
    /// The file as it was seen last: whoever moves the log into it changes it.
    pub(super) content: Content,
    /// Where the file was gone by then: when nobody of this process could write to it any more.
    pub(super) gone_at: Option<SystemTime>,
    /// How many pages of the log there have to be, and how many bytes these take.
    pub(super) pages: u32,
    pub(super) bytes: u64,
}

/// What changes whenever somebody writes a file, and stays the same where it is moved, to another disk perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    length: u64,
    modified: SystemTime,
}

impl Content {
    pub(super) fn of(found: &Metadata) -> Option<Self> {
        Some(Self { length: found.len(), modified: found.modified().ok()? })
    }
}

/// The files that databases of this process have open for writing: their logs, and how many have them.
static OPEN: Mutex<BTreeMap<FileId, (FileId, usize)>> = Mutex::new(BTreeMap::new());

/// That a file is open with a log: nobody opens it with another one meanwhile, which SQLite would take for the same.
pub(super) struct OpenLog(FileId);

impl OpenLog {
    pub(super) fn of(file: FileId, log: FileId) -> Self {
        OPEN.lock().entry(file).or_insert((log, 0)).1 += 1;
        Self(file)
    }

    /// Refuses a file that is open, as by a source with earlier settings, with a log that is not there now.
    pub(super) fn check(path: &Path) -> Result<(), OpenError> {
        let Some(file) = FileId::of(path) else { return Ok(()) };
        let log = log_of(path);
        let is_missing = OPEN.lock().get(&file).is_some_and(|(open, _)| FileId::of(&log) != Some(*open));
        unless_missing(is_missing, path, log)
    }
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = OPEN.lock().entry(self.0) {
            open.get_mut().1 -= 1;
            if open.get().1 == 0 {
                open.remove();
            }
        }
    }
}

impl Left {
    pub(super) fn new(file: FileId, log: Option<FileId>, needed: &Needed, in_use: &Arc<()>) -> Self {
        Self { file, log, needed: Arc::clone(needed), in_use: Arc::downgrade(in_use) }
    }

    /// Waits for the calls that still use it, and answers whether they have ended: as long as one has it open, SQLite would
    /// mix up its log with the next one's.
    pub(super) fn wait_closed(&self, deadline: Instant) -> bool {
        while self.in_use.strong_count() > 0 && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.in_use.strong_count() == 0
    }

    /// Refuses what is there now where it is not to be opened: a file with its predecessor's log, or without its own.
    pub(super) fn check(&self, path: &Path) -> Result<(), OpenError> {
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        let log = log_of(path);
        let found = fs::metadata(&log).ok().filter(|found| found.len() > 0);
        let is_as_left = self.is_as_left(&file);
        let is_of_this = found.as_ref().is_some_and(|found| Some(FileId::from(found)) == self.log);
        if is_of_this && FileId::from(&file) != self.file && !is_as_left {
            return Err(OpenError::ForeignLog { path: path.to_owned(), log });
        }
        let bytes = found.map_or(0, |found| found.len());
        let is_missing = is_as_left && self.needed.get().is_some_and(|needed| bytes < needed.bytes);
        unless_missing(is_missing, path, log)
    }

    /// The same of a log with so many pages, as SQLite sees it: where somebody looks at the file since before the log was
    /// there, it sees none.
    pub(super) fn check_pages(&self, path: &Path, pages: u32) -> Result<(), OpenError> {
        let is_missing = self.needed.get().is_some_and(|needed| pages < needed.pages) && self.is_still_at(path);
        unless_missing(is_missing, path, log_of(path))
    }

    /// Whether the path leads to the database as it was left: nobody has written to the file since.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| self.is_as_left(&found))
    }

    fn is_as_left(&self, found: &Metadata) -> bool {
        let (Some(needed), Some(content)) = (self.needed.get(), Content::of(found)) else { return false };
        // The same file may have been written after it was seen, while its log was being moved into it.
        let was_written = |gone_at| {
            let Content { length, modified } = needed.content;
            content.length >= length && (modified..=gone_at).contains(&content.modified)
        };
        content == needed.content || FileId::from(found) == self.file && needed.gone_at.is_some_and(was_written)
    }
}

fn unless_missing(is_missing: bool, path: &Path, log: PathBuf) -> Result<(), OpenError> {
    if is_missing { Err(OpenError::LogMissing { path: path.to_owned(), log }) } else { Ok(()) }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "left_tests.rs"]
mod tests;
