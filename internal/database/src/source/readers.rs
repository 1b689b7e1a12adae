//! The connections that reads use, opened when first needed, on the caller's thread.
//!
//! Each stands in a slot behind a lock of its own. A caller looks first into the slot where it found one last, so that
//! callers who read side by side touch nothing in common. Another connection is opened only where all open ones are in
//! use: few that are used much keep more of what they have read in the processors' caches than many.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::budget::{Budget, Permit, READER};
use super::connection::{self, Link};
use super::file::FileId;
use super::snapshot::{self, Commits, Entrance, Kept};

thread_local! {
    /// The slot where this thread found a connection last, of whatever database.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Of the reads that ask for one more connection in vain every so many-th has others give way for it: what is cold does
/// without.
const OFTEN: usize = 16;
/// How long whoever leaves a snapshot in a connection's place is waited for.
const SWEPT_WITHIN: Duration = Duration::from_millis(1);

/// A bounded set of read-only connections.
pub(super) struct Readers {
    path: PathBuf,
    file: FileId,
    pub(super) slots: Arc<Slots>,
    /// What connections count against, and whether the first one is counted with the source.
    budget: Option<(Arc<Budget>, First)>,
    /// How often room for another one was asked for in vain.
    in_vain: AtomicUsize,
}

/// The places of a set, and those who wait for one.
pub(super) struct Slots {
    pub(super) all: Box<[Slot]>,
    is_closed: AtomicBool,
    /// How many callers wait for a connection; they do so with `line`.
    waiting: AtomicUsize,
    line: Mutex<()>,
    returned: Condvar,
    /// Whether somebody looks for snapshots that are open and not used.
    pub(super) is_watched: AtomicBool,
}

/// Whether a set has room for one connection in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// It is counted with the source: reads have nowhere else to go.
    Counted,
    /// Like the others. Without it reads go on the writer's connection.
    Spare,
}

/// A place for a connection, alone in its part of the processors' caches.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Slot {
    /// Locked by whoever has the connection.
    pub(super) link: Mutex<Option<Link>>,
    /// Whether there is one, or one is being opened. Changed only under the lock.
    is_open: AtomicBool,
    pub(super) kept: Kept,
}

/// Why no connection was to be had.
pub(super) enum NoReader {
    /// All were in use until the deadline.
    Busy,
    /// All there are are in use, and there is no room for another.
    NoRoom,
    /// The source was closed.
    Closed,
    /// The path leads to another file by now.
    Replaced,
    /// A new one could not be opened.
    Sqlite(rusqlite::Error),
}

/// How a permit for one more connection is asked for.
type Ask = fn(&Arc<Budget>, u64) -> Option<Permit>;

/// A slot to oneself, and what a connection that is still to be opened in it counts.
type Place<'a> = (Reader<'a>, Option<Permit>);

/// A connection on loan.
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    slot: &'a Slot,
    link: Option<MutexGuard<'a, Option<Link>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, file: FileId, most: usize) -> Self {
        Self { path, file, slots: Slots::new(most), budget: None, in_vain: AtomicUsize::new(0) }
    }

    /// Lets connections that are opened from now on count.
    pub(super) fn count_against(&mut self, budget: Arc<Budget>, first: First) {
        self.budget = Some((budget, first));
    }

    /// Lends a connection, waiting until the deadline where all are in use; or says that there is no room for one where
    /// the read can go elsewhere.
    #[inline]
    pub(super) fn take(&self, deadline: Instant) -> Result<Reader<'_>, NoReader> {
        match self.slots.all.get(LAST.get()).and_then(|slot| self.lend(slot)) {
            Some(reader) => reader.opened(deadline),
            None => self.search(deadline, Budget::spare),
        }
    }

    /// The same for whoever must not wait for the writer, since others wait for them.
    #[cold]
    pub(super) fn take_at_once(&self, deadline: Instant) -> Result<Reader<'_>, NoReader> {
        self.search(deadline, Budget::overdraw)
    }

    /// Looks for a connection in all slots, and opens one where none is free.
    fn search(&self, deadline: Instant, room: Ask) -> Result<Reader<'_>, NoReader> {
        let (reader, permit) = match self.find(room) {
            Err(NoReader::Busy) => self.wait(deadline, room),
            found => found,
        }?;
        reader.made(permit, deadline)
    }

    /// Waits for one that nobody uses.
    #[cold]
    fn wait(&self, deadline: Instant, room: Ask) -> Result<Place<'_>, NoReader> {
        let mut line = self.slots.line.lock();
        self.slots.waiting.fetch_add(1, Ordering::Relaxed);
        let found = loop {
            // Either this sees what was given back, or whoever gave it back sees that somebody waits.
            fence(Ordering::SeqCst);
            match self.find(room) {
                Err(NoReader::Busy) => {}
                found => break found,
            }
            if self.slots.returned.wait_until(&mut line, deadline).timed_out() {
                break self.find(room);
            }
        };
        self.slots.waiting.fetch_sub(1, Ordering::Relaxed);
        drop(line);
        found
    }

    /// A slot that nobody uses: one with a connection, else one where none was opened yet, and what that counts. Fails
    /// with [`NoReader::Busy`] where one has to be waited for.
    fn find(&self, room: Ask) -> Result<Place<'_>, NoReader> {
        let free = |place| Some((place, self.lend(&self.slots.all[place])?));
        let places = 0..self.slots.all.len();
        if let Some((place, reader)) = places.clone().find_map(free) {
            LAST.set(place);
            return Ok((reader, None));
        }
        let new = |place| Some((place, self.reader(&self.slots.all[place])?));
        let (found, permit) = match &self.budget {
            None => (places.clone().find_map(new), None),
            Some((_, First::Counted)) if let Some(first) = new(0) => (Some(first), None),
            // Before any slot is taken: others would wait for whoever has one, and not be told that nobody does.
            Some((budget, first)) => match (room(budget, READER).or_else(|| self.earned(budget)), first) {
                (None, First::Spare) => return Err(NoReader::NoRoom),
                // The first one is in use: it has to do.
                (None, First::Counted) => return Err(NoReader::Busy),
                (permit, _) => (places.clone().find_map(new), permit),
            },
        };
        let (place, reader) = found.ok_or(NoReader::Busy)?;
        LAST.set(place);
        Ok((reader, permit))
    }

    /// Room for another connection where that was asked for often enough.
    fn earned(&self, budget: &Arc<Budget>) -> Option<Permit> {
        let asked = self.in_vain.fetch_add(1, Ordering::Relaxed) + 1;
        let is_its_turn = asked.is_multiple_of(OFTEN) && self.open_now() < self.slots.all.len();
        if is_its_turn { budget.earned(READER) } else { None }
    }

    /// A slot's connection, where it has one that nobody uses.
    #[inline]
    fn lend<'a>(&'a self, slot: &'a Slot) -> Option<Reader<'a>> {
        if !slot.is_open.load(Ordering::Relaxed) {
            return None;
        }
        self.reader(slot)
    }

    #[inline]
    fn reader<'a>(&'a self, slot: &'a Slot) -> Option<Reader<'a>> {
        let locked = slot.link.try_lock().or_else(|| slot.after_sweep());
        locked.map(|link| Reader { readers: self, slot, link: Some(link) })
    }

    /// Opens one more connection, on the file that the others are on. A database that took its place would be read as
    /// if it were the old one, and by the old one's log.
    fn open(&self, deadline: Instant) -> Result<Link, NoReader> {
        let is_the_same = || FileId::of(&self.path) == Some(self.file);
        if !is_the_same() {
            return Err(NoReader::Replaced);
        }
        let timeout = deadline.saturating_duration_since(Instant::now());
        let opened = connection::reader(&self.path, timeout).map_err(NoReader::Sqlite);
        // Again: it may have been replaced in between.
        if is_the_same() { opened } else { Err(NoReader::Replaced) }
    }

    /// How many connections are open, idle and lent ones together.
    pub(super) fn open_now(&self) -> usize {
        self.slots.all.iter().filter(|slot| slot.is_open.load(Ordering::Relaxed)).count()
    }

    /// Closes all connections and lends no more. Waits until the deadline at most for those that are lent; one that comes
    /// back later is closed then.
    pub(super) fn close(&self, deadline: Instant) {
        // Before any slot is locked: whoever has one afterwards sees it.
        self.slots.is_closed.store(true, Ordering::SeqCst);
        for slot in &self.slots.all {
            let Some(mut link) = slot.link.try_lock_until(deadline) else { continue };
            slot.is_open.store(false, Ordering::Relaxed);
            let closing = link.take();
            drop(link);
            drop(closing);
        }
        let _line = self.slots.line.lock();
        self.slots.returned.notify_all();
    }
}

impl Slot {
    /// Takes the connection out of use. It is closed once its slot is free.
    #[cold]
    fn give_up(&self, link: &mut Option<Link>) -> Option<Box<Link>> {
        self.is_open.store(false, Ordering::Relaxed);
        link.take().map(Box::new)
    }

    /// Its lock, where whoever has it gives it back in a moment. (Another connection would be opened otherwise.)
    #[cold]
    fn after_sweep(&self) -> Option<MutexGuard<'_, Option<Link>>> {
        if self.kept.is_swept.load(Ordering::SeqCst) { self.link.try_lock_for(SWEPT_WITHIN) } else { None }
    }
}

impl Reader<'_> {
    /// The same, with its connection open.
    #[inline]
    fn opened(self, deadline: Instant) -> Result<Self, NoReader> {
        if self.readers.slots.is_closed.load(Ordering::Relaxed) {
            return Err(NoReader::Closed);
        }
        if self.link.as_ref().is_some_and(|link| link.is_none()) {
            // It was given up just now.
            let readers = self.readers;
            drop(self);
            return readers.search(deadline, Budget::spare);
        }
        Ok(self)
    }

    /// The same, with a connection opened where there is none.
    fn made(mut self, permit: Option<Permit>, deadline: Instant) -> Result<Self, NoReader> {
        if self.readers.slots.is_closed.load(Ordering::Relaxed) {
            return Err(NoReader::Closed);
        }
        if let Some(link) = &mut self.link
            && link.is_none()
        {
            self.slot.is_open.store(true, Ordering::Relaxed);
            **link = Some(self.readers.open(deadline)?.counting(permit));
        }
        Ok(self)
    }

    /// The connection, in no snapshot.
    pub(super) fn link(&self) -> Result<&Link, NoReader> {
        let link = self.link_as_it_is()?;
        snapshot::leave(self.slot, link).map_err(NoReader::Sqlite)?;
        Ok(link)
    }

    /// The connection, perhaps in a snapshot that an earlier read has left open. Nothing is read before
    /// [`entrance`](Self::entrance).
    #[inline]
    pub(super) fn link_as_it_is(&self) -> Result<&Link, NoReader> {
        self.link.as_ref().and_then(|link| link.as_ref()).ok_or(NoReader::Closed)
    }

    /// How a read that was begun then (in [`micros`](connection::micros)) comes to its snapshot.
    #[inline]
    pub(super) fn entrance<'r>(&'r self, commits: &'r Commits, now: u64) -> Entrance<'r> {
        Entrance { slots: &self.readers.slots, slot: self.slot, commits, now }
    }

    /// Leaves the snapshot where one is open.
    pub(super) fn leave(&self) {
        if let Ok(link) = self.link_as_it_is() {
            // If it cannot be left, the connection is given up.
            let _ = snapshot::leave(self.slot, link);
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.readers.slots.give_back(self.slot, link);
        }
    }
}

impl Slots {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            all: (0..count).map(|_| Slot::default()).collect(),
            is_closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            line: Mutex::new(()),
            returned: Condvar::new(),
            is_watched: AtomicBool::new(false),
        })
    }

    /// Ends having a place, and tells whoever waits for one.
    pub(super) fn give_back(&self, slot: &Slot, mut link: MutexGuard<'_, Option<Link>>) {
        let mut surplus = match &*link {
            Some(sound) if sound.connection.is_autocommit() != sound.in_snapshot.get() => None,
            // One that could not even end its transaction is not lent again, nor is one that could not be opened.
            _ => slot.give_up(&mut link),
        };
        if self.is_closed.load(Ordering::SeqCst) {
            // While its slot is locked: whoever closes all waits for that, and has to close the writer last, which takes
            // the log away.
            drop(surplus.take().or_else(|| slot.give_up(&mut link)));
        }
        drop(link);
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // Whoever counts as waiting holds this lock until it really waits.
            let _line = self.line.lock();
            self.returned.notify_one();
        }
        drop(surplus);
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
