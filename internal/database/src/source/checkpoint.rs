//! Checkpoints: what is in the log is moved into the file, by one thread for all databases of the process.
//!
//! Left to SQLite, the writer would do it itself after every thousandth page, and wait for the disk twice each time.
//! Here a commit only looks at how long the log has become. Where it is long enough the thread moves what it can
//! without holding up anybody (`PASSIVE`), on a connection that it opens for that and closes again.
//!
//! The log begins anew from its start only when all of it has been moved and nobody reads it. While there are writes
//! without a pause that never happens by itself. So where the log is long and little is left to be moved, or where it
//! has reached its cap, the next commit does it (`RESTART`), with readers waited for a moment only. A reader that stays
//! makes the log grow beyond the cap, and the attempts rare.
//!
//! A commit that finds no room on the disk does it at once, and gives back what the log had taken.

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, InterruptHandle};

use super::connection::{self, Link, micros};
use super::file::FileId;
use super::left::{Content, LogNeeded};
use super::snapshot::Commits;
use crate::route::SourceName;

/// The log is moved each time it has grown by so many pages (of 4 KB).
const STEP: u32 = 4_000;
/// With so many pages in it, it is to begin anew once little is left to be moved.
const ENOUGH: u32 = 24_000;
/// So few pages are moved in a moment.
const LITTLE: u32 = 500;
/// With so many pages in it, it is to begin anew whatever is left.
const CAP: u32 = 32_000;
/// How often it is moved in a row so that little is left.
const ROUNDS: u32 = 5;
/// How many bytes of the log's file are kept once it has begun anew.
pub(super) const KEPT_BYTES: u32 = CAP * 4_096;
/// How long readers are waited for when it is to begin anew: nobody can write meanwhile.
const WAIT_FOR_READERS: Duration = Duration::from_millis(20);
/// How long it is left alone where readers did not come to an end.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// How long closing waits for a checkpoint to break off, and how often it tells it so.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);
const TELL_EVERY: Duration = Duration::from_millis(5);

/// What a log begins with, and what each page in it begins with, in bytes (<https://sqlite.org/fileformat.html#walformat>).
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// The smallest page that a database can have.
const LEAST_PAGE: u32 = 512;

/// The logs that are to be moved, in order.
static DUE: Mutex<Due> = Mutex::new(Due { logs: VecDeque::new(), has_thread: false });
static ADDED: Condvar = Condvar::new();

struct Due {
    logs: VecDeque<Arc<Log>>,
    has_thread: bool,
}

/// The log of one database.
pub(super) struct Log {
    name: SourceName,
    path: PathBuf,
    file: FileId,
    /// The file when it was last found in its place (only moving the log changes it), and how many pages the log had.
    seen: Mutex<Option<(Content, u32)>>,
    /// How many pages it had after the last commit of this process.
    pages: AtomicU32,
    /// How many it had when it was moved last.
    moved_at: AtomicU32,
    /// By how much it has to grow until it is moved again.
    step: AtomicU32,
    /// The next commit lets it begin anew.
    may_restart: AtomicBool,
    /// Until when readers are left alone, in [`micros`].
    pause_until: AtomicU64,
    progress: Mutex<Progress>,
    ended: Condvar,
    /// What is committed to the file.
    pub(super) commits: Arc<Commits>,
}

#[derive(Default)]
struct Progress {
    stage: Stage,
    /// Breaks off the checkpoint that runs.
    interrupt: Option<InterruptHandle>,
    is_closed: bool,
    /// Whether the last attempt failed, and somebody was told.
    has_failed: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Due,
    Running,
}

/// What a checkpoint says: whether somebody was in its way, how many pages are in the log, how many of them are moved.
struct Found {
    is_busy: bool,
    pages: u32,
    moved: u32,
}

impl Log {
    pub(super) fn new(name: SourceName, path: PathBuf, file: FileId) -> Arc<Self> {
        Arc::new(Self {
            name,
            path,
            file,
            seen: Mutex::default(),
            pages: AtomicU32::new(0),
            moved_at: AtomicU32::new(0),
            step: AtomicU32::new(STEP),
            may_restart: AtomicBool::new(false),
            pause_until: AtomicU64::new(0),
            progress: Mutex::default(),
            ended: Condvar::new(),
            commits: Commits::to(file),
        })
    }

    /// Whether the path still leads to the file, at which this looks. A write is answered after that.
    pub(super) fn is_in_place(&self) -> bool {
        // Held meanwhile: of two that look, the one that comes later has seen more.
        let mut seen = self.seen.lock();
        let pages = self.pages();
        let found = fs::metadata(&self.path).ok().filter(|found| FileId::from(found) == self.file);
        if let Some(found) = &found {
            *seen = Content::of(found).map(|content| (content, pages));
        }
        found.is_some()
    }

    /// What the log holds of answered writes that is not in the file; `None` where there is nothing. For whoever closes
    /// the last connection.
    pub(super) fn needed(&self, link: &Link) -> Option<LogNeeded> {
        let is_gone = !self.is_in_place();
        let (content, pages) = (*self.seen.lock())?;
        match look(&link.connection) {
            // With fewer pages than were answered it has begun anew, once all were moved, with a write that found the
            // file gone. Such a write may also have been added to the others.
            Ok(found) if !found.is_busy && (found.pages < pages || pages <= found.moved) => return None,
            // Where that cannot be found out, all of it may be needed.
            _ if pages == 0 => return None,
            _ => {}
        }
        let page = link.connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(LEAST_PAGE);
        let bytes = LOG_HEADER + u64::from(pages) * (FRAME_HEADER + u64::from(page));
        Some(LogNeeded { content, gone_at: is_gone.then(SystemTime::now), pages, bytes })
    }

    /// How many pages it has, as far as that is known.
    pub(super) fn pages(&self) -> u32 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Learns the log's length, and from each commit of the connection, which makes no checkpoints by itself any more.
    /// What is in it from before is looked for where it is not known.
    pub(super) fn watch(self: &Arc<Self>, link: &mut Link, known: Option<u32>) -> rusqlite::Result<()> {
        let pages = match known {
            Some(pages) => pages,
            None => {
                // What sets the journal mode goes on reading until the next statement ends.
                link.connection.pragma_query_value(None, "schema_version", |_| Ok(()))?;
                pages(link)?
            }
        };
        self.pages.store(pages, Ordering::Relaxed);
        self.is_in_place();
        link.count_commits(&self.commits);
        let log = Arc::clone(self);
        link.connection.wal_hook(Some(move |_: &mut _, pages| {
            log.commits.done();
            log.pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
    }

    /// Looks after the log once a commit is done, for whoever has the writer.
    pub(super) fn committed(self: &Arc<Self>, link: &Link) {
        let pages = self.pages.load(Ordering::Relaxed);
        let mut moved_at = self.moved_at.load(Ordering::Relaxed);
        if pages < moved_at {
            // It has begun anew.
            moved_at = 0;
            self.moved_at.store(0, Ordering::Relaxed);
        }
        if self.may_restart.load(Ordering::Relaxed) && self.may_restart.swap(false, Ordering::Relaxed) {
            self.begin_anew(link, "PRAGMA wal_checkpoint(RESTART)");
        } else if pages - moved_at >= self.step.load(Ordering::Relaxed) {
            self.request();
        }
    }

    /// Makes room where a write found none, for whoever has the writer: the log itself may be what fills the disk.
    pub(super) fn found_no_room(&self, link: &Link) {
        if self.may_wait() && link.connection.is_autocommit() {
            self.begin_anew(link, "PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    /// Moves the little that is left and lets the log begin anew with the next write.
    fn begin_anew(&self, link: &Link, pragma: &str) {
        link.wait_for_locks(WAIT_FOR_READERS);
        let found = checkpoint(&link.connection, pragma);
        if let Ok(Found { is_busy: false, .. }) = found {
            self.begins_anew();
            return;
        }
        self.pause_until.store(micros(Instant::now() + PAUSE), Ordering::Relaxed);
        if let Err(error) = found {
            self.failed(&error);
        }
    }

    /// All of it is in the file now.
    pub(super) fn begins_anew(&self) {
        self.pages.store(0, Ordering::Relaxed);
        self.moved_at.store(0, Ordering::Relaxed);
        self.is_in_place();
    }

    /// Whether readers may be waited for again.
    fn may_wait(&self) -> bool {
        micros(Instant::now()) >= self.pause_until.load(Ordering::Relaxed)
    }

    /// Asks the thread to move the log.
    fn request(self: &Arc<Self>) {
        let mut progress = self.progress.lock();
        if progress.is_closed || progress.stage != Stage::Idle {
            return;
        }
        let mut due = DUE.lock();
        if !due.has_thread {
            if let Err(error) = std::thread::Builder::new().name("checkpoints".into()).spawn(work) {
                // Tried again once it has grown further.
                self.moved_at.store(self.pages.load(Ordering::Relaxed), Ordering::Relaxed);
                tracing::warn!(source = %self.name, %error, "no thread can be started to move logs into their files");
                return;
            }
            due.has_thread = true;
        }
        progress.stage = Stage::Due;
        due.logs.push_back(Arc::clone(self));
        ADDED.notify_one();
    }

    /// Ends the checkpoints of this log for good, and waits for the one that runs.
    pub(super) fn close(&self) {
        let deadline = Instant::now() + CLOSE_WITHIN;
        let mut progress = self.progress.lock();
        progress.is_closed = true;
        while progress.stage == Stage::Running && Instant::now() < deadline {
            // Again and again: it may not have begun yet.
            if let Some(interrupt) = &progress.interrupt {
                interrupt.interrupt();
            }
            self.ended.wait_for(&mut progress, TELL_EVERY);
        }
    }

    /// Moves the log, where it is still wanted.
    fn run(&self) {
        {
            let mut progress = self.progress.lock();
            progress.stage = if progress.is_closed { Stage::Idle } else { Stage::Running };
            if progress.is_closed {
                return;
            }
        }
        let moved = catch_unwind(AssertUnwindSafe(|| self.move_it()));
        let mut progress = self.progress.lock();
        progress.interrupt = None;
        progress.stage = Stage::Idle;
        let is_closed = progress.is_closed;
        drop(progress);
        self.ended.notify_all();
        match moved {
            Ok(Ok(())) => self.progress.lock().has_failed = false,
            Ok(Err(_)) if is_closed => {}
            Ok(Err(error)) => self.failed(&error),
            Err(_) => tracing::error!(source = %self.name, "moving the log into the file panicked"),
        }
    }

    fn move_it(&self) -> rusqlite::Result<()> {
        let before = self.pages.load(Ordering::Relaxed);
        // Whatever comes of it: no more attempts than the log has steps.
        self.moved_at.store(before, Ordering::Relaxed);
        if !self.is_in_place() {
            return Ok(());
        }
        let link = connection::checkpointer(&self.path)?;
        {
            let mut progress = self.progress.lock();
            // A file that took its place must not get the log of the old one.
            if progress.is_closed || !self.is_in_place() {
                return Ok(());
            }
            progress.interrupt = Some(link.connection.get_interrupt_handle());
        }
        let mut round = 0;
        let (found, left, is_held) = loop {
            round += 1;
            let before = self.pages.load(Ordering::Relaxed);
            let found = checkpoint(&link.connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
            // What it says of the log's length is from when it began.
            let left = found.pages.max(self.pages.load(Ordering::Relaxed)).saturating_sub(found.moved);
            // A reader that holds much of it back is not worth waiting for.
            let is_held = found.moved < before && left >= STEP;
            let is_ready = found.pages < ENOUGH || left <= LITTLE || round == ROUNDS;
            if is_ready || is_held || self.progress.lock().is_closed {
                break (found, left, is_held);
            }
        };
        self.is_in_place();
        self.moved_at.store(found.pages, Ordering::Relaxed);
        // The longer it is, the longer it takes to look it through.
        self.step.store(if is_held { STEP.max(found.pages / 4) } else { STEP }, Ordering::Relaxed);
        let is_long = found.pages >= ENOUGH && left <= LITTLE || found.pages >= CAP;
        if is_long && !is_held && self.may_wait() {
            self.may_restart.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Tells of the first of a row of failures. Nothing is lost by one: the log is read as long as it is not moved.
    fn failed(&self, error: &rusqlite::Error) {
        if !std::mem::replace(&mut self.progress.lock().has_failed, true) {
            tracing::warn!(source = %self.name, %error, "the log could not be moved into the file and grows");
        }
    }
}

/// The thread: moves one log after the other.
fn work() {
    loop {
        let mut due = DUE.lock();
        while due.logs.is_empty() {
            if ADDED.wait_for(&mut due, IDLE).timed_out() && due.logs.is_empty() {
                due.has_thread = false;
                return;
            }
        }
        let next = due.logs.pop_front();
        drop(due);
        next.iter().for_each(|log| log.run());
    }
}

/// How many pages there are in the log of a connection that is not reading.
pub(super) fn pages(link: &Link) -> rusqlite::Result<u32> {
    look(&link.connection).map(|found| found.pages)
}

/// Looks how much there is to be moved.
fn look(connection: &Connection) -> rusqlite::Result<Found> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn checkpoint(connection: &Connection, pragma: &str) -> rusqlite::Result<Found> {
    connection.query_row(pragma, [], |row| {
        // Negative where there is no log, or where it could not be looked at.
        let pages = |index| row.get(index).map(|pages: i64| u32::try_from(pages).unwrap_or(0));
        Ok(Found { is_busy: row.get(0)?, pages: pages(1)?, moved: pages(2)? })
    })
}
