//! Whether a source's database is open, and how it comes to be. The opening itself stands in [`opening`](super::opening),
//! closing one for another in [`eviction`](super::eviction).
//!
//! A `OnceCell` would not do: of five callers each would wait for a failure of its own, one after the other, and what
//! is open could not be closed again.

mod closed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex, RwLock};

use super::budget::Budget;
use super::left::Left;
use super::rest::{Rest, Trace};
use super::{Database, OpenError, SourceConfig};
use crate::error::ErrorKind;

/// Opens the database of a source.
pub(crate) trait Opener: Send + Sync {
    /// Opens it, waiting for other processes until the deadline; what was open before and is left there is not opened
    /// without its log. Whatever goes wrong, the file stays as it was.
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError>;

    /// The source is unavailable, told once for each time. Answers whether somebody sees to its being opened again;
    /// else callers try.
    fn failed(&self, _config: &SourceConfig) -> bool {
        false
    }

    /// Whether opening it would make its file: there is none, and one may be made. Opens and makes nothing.
    fn would_make(&self, _config: &SourceConfig) -> Result<bool, OpenError> {
        Ok(false)
    }

    /// What the source's connections count against, and whether it can be closed for others to have room.
    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        None
    }

    /// Whether a file that was closed for others, and that nobody has touched since, may be opened without a look.
    fn takes_as_left(&self, _config: &SourceConfig) -> bool {
        true
    }
}

/// Whether a source stays open once it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Whatever others need: opening them needs it.
    Always,
    /// Until others need the room.
    WhileThereIsRoom,
}

/// Whether a source is open, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It was not needed yet, or is open no more, as when others needed the room; the next call opens it.
    Closed,
    /// It is being opened.
    Opening,
    /// It is open.
    Open,
    /// It cannot be opened.
    Unavailable {
        /// Why, and what to do.
        reason: String,
        /// Since when.
        since: SystemTime,
    },
}

pub(super) struct Door {
    /// The database that is opened once: looked at by every read, without a lock or a count that all share.
    kept: Option<Arc<Database>>,
    /// The open database: looked at by every other call.
    pub(super) open: RwLock<Option<Arc<Database>>>,
    /// How it comes to be open.
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    /// What was open and was given up, or closed for others, until something is open again.
    pub(super) left: Mutex<Option<Left>>,
    /// What it has on disk since it was closed for others.
    pub(super) rest: Mutex<Option<Rest>>,
    /// Whether it is not open since it was closed for others.
    pub(super) gave_way: AtomicBool,
    /// Whether it was used since somebody last looked for one to close.
    pub(super) was_used: AtomicBool,
    /// How many callers wait for it to be open, or have just begun to.
    pub(super) waiting: AtomicUsize,
    /// Whether somebody asks for room to open it: one caller at a time, and nobody while it is open. Changed only while
    /// the state is locked.
    is_asking: AtomicBool,
    /// Whether it is among those that may be closed for others.
    pub(super) is_listed: AtomicBool,
    /// `None` for what is opened once, before it is used.
    pub(super) opener: Option<Arc<dyn Opener>>,
}

pub(super) enum State {
    Closed,
    /// It is being opened, perhaps after it had failed.
    Opening(Opening),
    Open,
    /// It is being closed for others to have room, since then.
    Closing(Instant),
    Failed(Failure),
    Shut,
}

/// An attempt at opening it.
pub(super) struct Opening {
    /// How it failed before.
    pub(super) earlier: Option<Failure>,
    pub(super) since: Instant,
}

impl Opening {
    pub(super) fn now(earlier: Option<Failure>) -> Self {
        Self { earlier, since: Instant::now() }
    }
}

/// A failure to open.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) why: Why,
    /// Since when it has failed, try after try.
    pub(super) since: SystemTime,
    /// Until when callers do not try again; `None` where somebody else does.
    pub(super) until: Option<Instant>,
    /// The file that it failed with; `None` where there was none.
    pub(super) file: Option<Trace>,
}

impl Failure {
    /// One that says nothing against the source: the next call tries again at once.
    pub(super) fn passing(why: Why, earlier: Option<&Self>) -> Self {
        let since = earlier.map_or_else(SystemTime::now, |earlier| earlier.since);
        Self { why, since, until: Some(Instant::now()), file: None }
    }
}

#[derive(Clone)]
pub(super) enum Why {
    /// Another process held it all the time: no failure of the source, and tried again by the next call.
    Busy(Duration),
    /// Its disk has no room for what opening it writes: no failure of the source either.
    Full,
    /// It cannot be opened now, or was given up.
    Unavailable(String),
    /// It cannot be opened, since what is there is no good.
    Lost(String),
}

impl Why {
    /// Whether it is a failure of the source.
    fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Lost(_))
    }

    /// What is told of it; `None` where it passes by itself.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Busy(_) => None,
            // It lasts until somebody makes room, and all calls fail meanwhile.
            Self::Full => Some("its disk has no room for what opening it writes; make room"),
            Self::Unavailable(reason) | Self::Lost(reason) => Some(reason),
        }
    }
}

impl From<Why> for ErrorKind {
    fn from(why: Why) -> Self {
        match why {
            Why::Busy(waited) => Self::Busy { waited },
            Why::Full => Self::DiskFull,
            Why::Unavailable(reason) | Why::Lost(reason) => Self::SourceUnavailable { reason },
        }
    }
}

impl Door {
    pub(super) fn opened(database: Database) -> Self {
        let kept = Some(Arc::new(database));
        Self { open: RwLock::new(kept.clone()), kept, ..Self::new(State::Open, None) }
    }

    pub(super) fn closed(opener: Arc<dyn Opener>) -> Self {
        Self::new(State::Closed, Some(opener))
    }

    fn new(state: State, opener: Option<Arc<dyn Opener>>) -> Self {
        Self {
            kept: None,
            open: RwLock::new(None),
            state: Mutex::new(state),
            changed: Condvar::new(),
            left: Mutex::new(None),
            rest: Mutex::new(None),
            gave_way: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            is_asking: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            opener,
        }
    }

    /// The database, where it is opened once and never given up.
    pub(super) fn kept(&self) -> Option<&Arc<Database>> {
        self.kept.as_ref()
    }

    /// For what is never opened.
    pub(super) fn refusing(reason: String) -> Self {
        let why = Why::Unavailable(reason);
        let failure = Failure { why, since: SystemTime::now(), until: None, file: None };
        Self::new(State::Failed(failure), None)
    }

    pub(super) fn open_now(&self) -> Option<Arc<Database>> {
        self.open.read().clone()
    }

    /// The open database, for a call: it counts as used.
    #[inline]
    pub(super) fn open_for_use(&self) -> Option<Arc<Database>> {
        // Looked at first: all callers share it, and a store takes it out of the other processors' caches.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
        self.open_now()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().is_some()
    }

    /// Whether somebody is opening it.
    pub(super) fn is_opening(&self) -> bool {
        matches!(*self.state.lock(), State::Opening(_))
    }

    /// Whether the last attempt at opening it found that what is there is no good.
    pub(super) fn is_lost(&self) -> bool {
        matches!(&*self.state.lock(), State::Failed(Failure { why: Why::Lost(_), .. }))
    }

    /// The file that it failed with the last time, where it is unavailable.
    pub(super) fn failed_with(&self) -> Option<Option<Trace>> {
        match &*self.state.lock() {
            State::Failed(failure) | State::Opening(Opening { earlier: Some(failure), .. })
                if failure.why.is_outage() && self.opener.is_some() =>
            {
                Some(failure.file)
            }
            _ => None,
        }
    }

    pub(super) fn health(&self) -> Health {
        match &*self.state.lock() {
            State::Open => Health::Open,
            // One that is only tried again is not well yet.
            State::Failed(Failure { why, since, .. })
            | State::Opening(Opening { earlier: Some(Failure { why, since, .. }), .. })
                if let Some(reason) = why.reason() =>
            {
                Health::Unavailable { reason: reason.to_owned(), since: *since }
            }
            State::Opening(_) => Health::Opening,
            State::Closed | State::Closing(_) | State::Shut | State::Failed(_) => Health::Closed,
        }
    }

    /// Takes a database out of use that failed; `false` where that was done already. Callers wait until
    /// [`fail`](Self::fail) says how it goes on. What is opened next has to be looked at like any other file.
    pub(super) fn give_up(&self, database: &Arc<Database>) -> bool {
        let mut state = self.state.lock();
        let mut open = self.open.write();
        let is_this = matches!(*state, State::Open) && open.as_ref().is_some_and(|now| Arc::ptr_eq(now, database));
        if is_this {
            *open = None;
            *self.left.lock() = Some(database.give_up());
            *state = State::Opening(Opening::now(None));
        }
        is_this
    }

    /// Tells whoever waits that it cannot be used.
    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.state.lock();
        if matches!(*state, State::Opening(_)) {
            *state = State::Failed(failure);
        }
        self.changed.notify_all();
    }

    /// Lets the next call try again at once.
    pub(super) fn forget_failure(&self) {
        let mut state = self.state.lock();
        if let State::Failed(failure) = &mut *state {
            failure.until = Some(Instant::now());
        }
    }

    /// Lets nobody in any more and closes what is open. Waits for a database that is being opened until the deadline;
    /// one that is open only later is closed then.
    pub(super) fn shut(&self, deadline: Instant) {
        let mut state = self.state.lock();
        while matches!(*state, State::Opening(_) | State::Closing(_))
            && !self.changed.wait_until(&mut state, deadline).timed_out()
        {}
        *state = State::Shut;
        self.changed.notify_all();
        drop(state);
        // It stays where it is: calls find it closed.
        if let Some(database) = self.open_now() {
            database.close();
        }
    }

    /// Whether somebody asks for room to open it.
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking.load(Ordering::Relaxed)
    }

    /// The caller asks for room to open it, until this is dropped; both while the state is locked.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.is_asking.store(true, Ordering::Relaxed);
        Asking(self)
    }

    /// Somebody wants it open: as long as this is there it is not closed for others.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Wanted(self)
    }
}

/// That somebody wants a source open.
pub(super) struct Wanted<'a>(&'a Door);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// That somebody asks for room to open a source.
pub(super) struct Asking<'a>(&'a Door);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.is_asking.store(false, Ordering::Relaxed);
        // They wait for the opening from now on, or one of them asks.
        self.0.changed.notify_all();
    }
}
