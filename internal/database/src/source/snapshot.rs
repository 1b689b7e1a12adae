//! Snapshots that a read leaves open for the next one on the same connection.
//!
//! What a read sees is a snapshot, and beginning and ending one costs SQLite as much as looking for a row: two locks of the
//! system, and a lock of the process that all connections to the file share, for which threads wait. So while reads follow
//! each other closely and nothing is written, a connection stays in the snapshot that it has. It is left
//!
//! - by the next read, where anything was committed to the file, or is being committed, since before it was begun
//!   ([`Commits`]): a read sees what was answered before it, and what any other read has seen before it;
//! - by the next read, once it is as old as [`LONGEST`]: what another process writes is seen that much later at most;
//! - by a thread that looks for those that nobody has used for a while ([`sweep`](Slots::sweep)): a snapshot keeps the log
//!   from beginning anew.
//!
//! Of databases that are only read, which others write, none is left open.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::{Link, micros};
use super::file::FileId;
use super::readers::{Slot, Slots};
use super::writer::run;

/// How old a snapshot becomes at most, in microseconds. Reads that come less often than this leave none open.
const LONGEST: u64 = 500;
/// So many reads follow each other with nothing committed between before the next one leaves its snapshot open: beginning
/// and ending it by statements of its own costs something too.
const FEWEST: u32 = 3;
/// A snapshot that is older than this, in microseconds, is used by nobody, and is left by the thread.
const UNUSED: u64 = 2_000;
/// How often the thread looks, as long as there is any.
const EVERY: Duration = Duration::from_millis(5);
/// How long the thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// What has been committed to the files that are open. One file may be open twice, with settings of before and of now.
static FILES: Mutex<BTreeMap<FileId, Weak<Commits>>> = Mutex::new(BTreeMap::new());

/// Those who may have left a snapshot open.
static WATCHED: Mutex<Watched> = Mutex::new(Watched { slots: Vec::new(), has_thread: false });
static ADDED: Condvar = Condvar::new();

struct Watched {
    slots: Vec<Arc<Slots>>,
    has_thread: bool,
}

/// How often this process has committed to a file, and how many commits are under way: one of each time that it is open.
pub(super) struct Commits {
    file: FileId,
    /// Those under way, and [`DONE`] for each that is done.
    count: AtomicU64,
}

/// What a commit that is done counts.
const DONE: u64 = 1 << 16;

/// That a commit is under way, until this is dropped.
pub(super) struct UnderWay<'a>(&'a Commits);

impl Commits {
    /// Those to a file.
    pub(super) fn to(file: FileId) -> Arc<Self> {
        let mut files = FILES.lock();
        let known = files.get(&file).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let commits = Arc::new(Self { file, count: AtomicU64::new(0) });
            files.insert(file, Arc::downgrade(&commits));
            commits
        })
    }

    /// From now on no read goes on in an earlier snapshot: others may see what is committed before it is answered.
    pub(super) fn under_way(&self) -> UnderWay<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }

    /// Something was committed of which nobody said that it was under way.
    pub(super) fn done(&self) {
        if is_quiet(self.count()) {
            self.count.fetch_add(DONE, Ordering::SeqCst);
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

/// Whether no commit is under way.
fn is_quiet(count: u64) -> bool {
    count.is_multiple_of(DONE)
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_add(DONE - 1, Ordering::SeqCst);
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        if let Entry::Occupied(known) = FILES.lock().entry(self.file)
            && known.get().strong_count() == 0
        {
            known.remove();
        }
    }
}

/// What a connection that reads is in between two reads, and what its last ones were like. Changed by whoever has it.
#[derive(Default)]
pub(super) struct Kept {
    /// Since when it has been in a snapshot that a read has left open, in [`micros`]; 0 for none.
    since: AtomicU64,
    /// What was [counted](Commits) when it read last, and when that was, in [`micros`].
    count: AtomicU64,
    at: AtomicU64,
    /// How many reads there were before that one with nothing committed between, each soon after the other.
    in_a_row: AtomicU32,
    /// Whether the connection is locked, for a moment, only to leave its snapshot.
    pub(super) is_swept: AtomicBool,
}

/// How a read comes to its snapshot.
#[derive(Clone, Copy)]
pub(super) struct Entrance<'a> {
    pub(super) slots: &'a Arc<Slots>,
    pub(super) slot: &'a Slot,
    /// What is committed to the file.
    pub(super) commits: &'a Commits,
    /// When the read was begun, in [`micros`].
    pub(super) now: u64,
}

impl Entrance<'_> {
    /// Has the connection, which is that of the slot, go on in the snapshot that it is in where that is as good as a new one;
    /// or begins one, for this read and those that follow, where they come often.
    ///
    /// # Errors
    /// It is in an earlier one and cannot leave that.
    #[inline]
    pub(super) fn enter(&self, link: &Link) -> rusqlite::Result<()> {
        let Self { slots, slot, commits, now } = *self;
        let kept = &slot.kept;
        // Before anything is read: what is committed from now on makes it an old one.
        let count = commits.count();
        let is_same = is_quiet(count) && count == kept.count.load(Ordering::Relaxed);
        let is_soon = is_within(LONGEST, kept.at.load(Ordering::Relaxed), now);
        kept.count.store(count, Ordering::Relaxed);
        kept.at.store(now, Ordering::Relaxed);
        if link.in_snapshot.get() {
            if is_same && is_within(LONGEST, kept.since.load(Ordering::Relaxed), now) {
                return Ok(());
            }
            leave(slot, link)?;
        }
        let before = kept.in_a_row.load(Ordering::Relaxed);
        let in_a_row = if is_same && is_soon { before.saturating_add(1) } else { 0 };
        kept.in_a_row.store(in_a_row, Ordering::Relaxed);
        if in_a_row >= FEWEST && run(link, "BEGIN").is_ok() {
            link.in_snapshot.set(true);
            // Either this sees that nobody looks after these any more, or whoever stops to sees this.
            kept.since.store(now.max(1), Ordering::SeqCst);
            if !slots.is_watched.load(Ordering::SeqCst) && !slots.watch() {
                leave(slot, link)?;
            }
        }
        Ok(())
    }
}

impl Slots {
    /// Has the thread look after these; answers whether there is one.
    #[cold]
    fn watch(self: &Arc<Self>) -> bool {
        let mut watched = WATCHED.lock();
        if !watched.has_thread {
            if let Err(error) = std::thread::Builder::new().name("snapshots".into()).spawn(work) {
                tracing::debug!(%error, "no thread can be started to leave snapshots");
                return false;
            }
            watched.has_thread = true;
        }
        if !self.is_watched.swap(true, Ordering::SeqCst) {
            watched.slots.push(Arc::clone(self));
            ADDED.notify_one();
        }
        true
    }

    /// Leaves the snapshots that nobody has used for a while, and answers whether any is left.
    fn sweep(&self) -> bool {
        let now = micros(Instant::now());
        let mut is_any_left = false;
        for slot in &self.all {
            let begun = slot.kept.since.load(Ordering::SeqCst);
            if begun == 0 {
                continue;
            }
            if is_within(UNUSED, begun, now) {
                is_any_left = true;
                continue;
            }
            slot.kept.is_swept.store(true, Ordering::SeqCst);
            match slot.link.try_lock() {
                None => is_any_left = true,
                Some(link) => {
                    // One that cannot be left is given up with its connection.
                    let _ = link.as_ref().map(|link| leave(slot, link));
                    slot.kept.since.store(0, Ordering::Relaxed);
                    self.give_back(slot, link);
                }
            }
            slot.kept.is_swept.store(false, Ordering::SeqCst);
        }
        is_any_left
    }
}

/// Leaves the snapshot that a connection is in between two reads, where it is in one.
///
/// # Errors
/// It stays in it. Whoever gives the connection back finds that.
pub(super) fn leave(slot: &Slot, link: &Link) -> rusqlite::Result<()> {
    if !link.in_snapshot.replace(false) {
        return Ok(());
    }
    slot.kept.since.store(0, Ordering::Relaxed);
    run(link, "ROLLBACK")
}

/// Whether so many microseconds have passed at most. (A moment that seems to come later was that of a call with another
/// deadline than is usual.)
fn is_within(most: u64, since: u64, now: u64) -> bool {
    since <= now && now - since <= most
}

/// The thread: looks for snapshots that nobody uses any more.
fn work() {
    loop {
        let mut watched = WATCHED.lock();
        while watched.slots.is_empty() {
            if ADDED.wait_for(&mut watched, IDLE).timed_out() && watched.slots.is_empty() {
                watched.has_thread = false;
                return;
            }
        }
        let slots = std::mem::take(&mut watched.slots);
        drop(watched);
        std::thread::park_timeout(EVERY);
        for slots in slots {
            // Before it looks: whoever leaves one open behind its back has it watched again.
            slots.is_watched.store(false, Ordering::SeqCst);
            match catch_unwind(AssertUnwindSafe(|| slots.sweep())) {
                Ok(false) => {}
                Ok(true) => drop(slots.watch()),
                Err(_) => tracing::error!("looking for snapshots that nobody uses panicked"),
            }
        }
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
