//! Whether a source's database is open, and its being opened: by one thread, for everybody who waits.
//!
//! A `OnceCell` would not do: of five callers each would wait for a failure of its own, one after the other, and what
//! is open could not be closed again.

mod closed;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex, RwLock};

use super::file::{self, Left};
use super::{Database, OpenError, Source, SourceConfig};
use crate::error::ErrorKind;

/// How long a failure to open is answered without another try.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// How much sooner than its callers an opening gives up at most.
const TO_TELL: Duration = Duration::from_millis(500);

/// Opens the database of a source.
pub(crate) trait Opener: Send + Sync {
    /// Opens it, waiting for other processes until the deadline. Whatever goes wrong, the file stays as it was.
    fn open(&self, config: &SourceConfig, deadline: Instant) -> Result<Database, OpenError>;

    /// The source is unavailable, told once for each time. Answers whether somebody sees to its being opened again;
    /// else callers try.
    fn failed(&self, _config: &SourceConfig) -> bool {
        false
    }
}

/// Whether a source is open, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It was not needed yet, or is open no more; the next call opens it.
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
    open: RwLock<Option<Arc<Database>>>,
    /// How it comes to be open.
    state: Mutex<State>,
    changed: Condvar,
    /// What was open and was given up, until something is open again.
    left: Mutex<Option<Left>>,
    /// `None` for what is opened once, before it is used.
    opener: Option<Arc<dyn Opener>>,
}

enum State {
    Closed,
    /// It is being opened, perhaps after it had failed.
    Opening(Option<Failure>),
    Open,
    Failed(Failure),
    Shut,
}

/// A failure to open.
#[derive(Clone)]
struct Failure {
    why: Why,
    /// Since when it has failed, try after try.
    since: SystemTime,
    /// Until when callers do not try again; `None` where somebody else does.
    until: Option<Instant>,
    /// What was open before may still be in the hands of calls that are under way.
    old: Weak<()>,
}

#[derive(Clone)]
enum Why {
    /// Another process held it all the time: no failure of the source, and tried again by the next call.
    Busy(Duration),
    Unavailable(String),
}

impl From<Why> for ErrorKind {
    fn from(why: Why) -> Self {
        match why {
            Why::Busy(waited) => Self::Busy { waited },
            Why::Unavailable(reason) => Self::SourceUnavailable { reason },
        }
    }
}

impl Door {
    pub(super) fn opened(database: Database) -> Self {
        let kept = Some(Arc::new(database));
        let open = RwLock::new(kept.clone());
        Self {
            kept,
            open,
            state: Mutex::new(State::Open),
            changed: Condvar::new(),
            left: Mutex::new(None),
            opener: None,
        }
    }

    pub(super) fn closed(opener: Arc<dyn Opener>) -> Self {
        let (open, left) = (RwLock::new(None), Mutex::new(None));
        let state = Mutex::new(State::Closed);
        Self { kept: None, open, state, changed: Condvar::new(), left, opener: Some(opener) }
    }

    /// The database, where it is opened once and never given up.
    pub(super) fn kept(&self) -> Option<&Arc<Database>> {
        self.kept.as_ref()
    }

    /// For what is never opened.
    pub(super) fn refusing(reason: String) -> Self {
        let failure =
            Failure { why: Why::Unavailable(reason), since: SystemTime::now(), until: None, old: Weak::new() };
        let (open, state, left) = (RwLock::new(None), Mutex::new(State::Failed(failure)), Mutex::new(None));
        Self { kept: None, open, state, changed: Condvar::new(), left, opener: None }
    }

    pub(super) fn open_now(&self) -> Option<Arc<Database>> {
        self.open.read().clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().is_some()
    }

    /// Whether somebody is opening it.
    pub(super) fn is_opening(&self) -> bool {
        matches!(*self.state.lock(), State::Opening(_))
    }

    pub(super) fn health(&self) -> Health {
        match &*self.state.lock() {
            State::Open => Health::Open,
            // One that is only tried again is not well yet.
            State::Failed(Failure { why: Why::Unavailable(reason), since, .. })
            | State::Opening(Some(Failure { why: Why::Unavailable(reason), since, .. })) => {
                Health::Unavailable { reason: reason.clone(), since: *since }
            }
            State::Opening(_) => Health::Opening,
            State::Closed | State::Shut | State::Failed(_) => Health::Closed,
        }
    }

    /// Takes a database out of use that failed; `false` where that was done already. Callers wait until
    /// [`fail`](Self::fail) says how it goes on. What is opened next has to be looked at like any other file.
    fn give_up(&self, database: &Arc<Database>) -> bool {
        let mut state = self.state.lock();
        let mut open = self.open.write();
        let is_this = matches!(*state, State::Open) && open.as_ref().is_some_and(|now| Arc::ptr_eq(now, database));
        if is_this {
            *open = None;
            *self.left.lock() = Some(database.left());
            *state = State::Opening(None);
        }
        is_this
    }

    /// Tells whoever waits that it cannot be used.
    fn fail(&self, failure: Failure) {
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
        while matches!(*state, State::Opening(_)) && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        *state = State::Shut;
        self.changed.notify_all();
        drop(state);
        // It stays where it is: calls find it closed.
        if let Some(database) = self.open_now() {
            database.close();
        }
    }
}

impl Source {
    /// The database, opened by this call or another; waits until the deadline at most.
    pub(super) fn wait_open(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Database>, ErrorKind> {
        let Door { state, changed, opener, .. } = &self.door;
        let mut state = state.lock();
        let mut waited = false;
        loop {
            match &mut *state {
                State::Open => return self.door.open_now().ok_or(ErrorKind::Closed),
                State::Shut => return Err(ErrorKind::Closed),
                // Whoever waited for an attempt has its outcome; whoever comes later may make another one.
                State::Failed(failure) if waited || failure.until.is_none_or(|until| Instant::now() < until) => {
                    return Err(failure.why.clone().into());
                }
                State::Opening(_) => {
                    waited = true;
                    if changed.wait_until(&mut state, deadline).timed_out() && matches!(*state, State::Opening(_)) {
                        drop(state);
                        // Whoever stands in need not wait for it any longer.
                        if let Some(opener) = opener {
                            opener.failed(&self.config);
                        }
                        let (path, timeout) = (self.config.path.display(), self.config.timeout);
                        let reason = format!("{path} could not be opened within {timeout:.1?}");
                        return Err(ErrorKind::SourceUnavailable { reason });
                    }
                }
                now @ (State::Closed | State::Failed(_)) => {
                    let Some(opener) = opener else { return Err(ErrorKind::Closed) };
                    let earlier = match std::mem::replace(now, State::Opening(None)) {
                        State::Failed(failure) => Some(failure),
                        _ => None,
                    };
                    *now = State::Opening(earlier.clone());
                    let (source, opener, before) = (Arc::clone(self), Arc::clone(opener), earlier.clone());
                    // On a thread of its own: a disk that does not answer must not hold up callers beyond their
                    // deadlines.
                    let thread = std::thread::Builder::new().name(format!("opens {}", self.name()));
                    if let Err(error) = thread.spawn(move || source.open_now(&*opener, before)) {
                        let reason = format!("no thread can be started to open it: {error}");
                        *now = State::Failed(self.failed(reason, earlier.as_ref(), Some(Instant::now())));
                        waited = true;
                    }
                }
            }
        }
    }

    /// Opens the database and tells whoever waits for it.
    fn open_now(&self, opener: &dyn Opener, earlier: Option<Failure>) {
        // Those who wait are told that another process had it, rather than that it could not be opened in their time.
        let timeout = self.config.timeout;
        let deadline = Instant::now() + timeout - (timeout / 5).min(TO_TELL);
        let is_closed = earlier.as_ref().is_none_or(|failure| wait_closed(&failure.old, deadline));
        let left = *self.door.left.lock();
        let opened = catch_unwind(AssertUnwindSafe(|| {
            if !is_closed {
                let detail =
                    "calls that are under way still use the file that was there before; it is tried again".into();
                return Err(OpenError::Other { path: self.config.path.clone(), detail });
            }
            left.map_or(Ok(()), |left| file::refuse_log_of(left, &self.config.path))?;
            opener.open(&self.config, deadline)
        }));
        // Callers may go on, elsewhere perhaps, as soon as they are told: whoever has to know does before.
        let is_failure =
            matches!(&opened, Ok(Err(error)) if !matches!(error, OpenError::Locked { .. })) || opened.is_err();
        let is_seen_to = is_failure && opener.failed(&self.config);
        let until = (!is_seen_to).then(|| Instant::now() + FAILED_FOR);
        let mut state = self.door.state.lock();
        if matches!(*state, State::Shut) {
            drop(state);
            if let Ok(Ok(database)) = opened {
                database.close();
            }
            return;
        }
        *state = match opened {
            Ok(Ok(database)) => {
                if earlier.is_some() {
                    tracing::info!(source = %self.name(), "a source is available again");
                }
                *self.door.left.lock() = None;
                *self.door.open.write() = Some(Arc::new(database));
                State::Open
            }
            Ok(Err(OpenError::Locked { waited, .. })) => {
                let old = earlier.map_or_else(Weak::new, |earlier| earlier.old);
                let (since, until) = (SystemTime::now(), Some(Instant::now()));
                State::Failed(Failure { why: Why::Busy(waited), since, until, old })
            }
            Ok(Err(error)) => State::Failed(self.failed(error.to_string(), earlier.as_ref(), until)),
            Err(_) => State::Failed(self.failed("opening it panicked".to_owned(), earlier.as_ref(), until)),
        };
        self.door.changed.notify_all();
    }

    /// A failure, told once for each reason.
    fn failed(&self, reason: String, earlier: Option<&Failure>, until: Option<Instant>) -> Failure {
        let told = earlier.is_some_and(|earlier| matches!(&earlier.why, Why::Unavailable(known) if *known == reason));
        if !told {
            tracing::warn!(source = %self.name(), reason, "a source is unavailable; the others go on");
        }
        let since = earlier.map_or_else(SystemTime::now, |earlier| earlier.since);
        let old = earlier.map_or_else(Weak::new, |earlier| earlier.old.clone());
        Failure { why: Why::Unavailable(reason), since, until, old }
    }

    /// Takes the source for unavailable, since an open database failed.
    pub(super) fn gave_up(&self, database: &Arc<Database>, reason: &str) {
        let Some(opener) = &self.door.opener else { return };
        if self.door.give_up(database) {
            tracing::warn!(source = %self.name(), reason, "a source is unavailable; the others go on");
            // Whoever stands in does so before anybody is told.
            let is_seen_to = opener.failed(&self.config);
            let until = (!is_seen_to).then(Instant::now);
            let (why, old) = (Why::Unavailable(reason.to_owned()), Arc::downgrade(&database.in_use));
            self.door.fail(Failure { why, since: SystemTime::now(), until, old });
        }
    }
}

/// Waits for the calls that still use a database whose file is gone, and answers whether they have ended: as long as one
/// has it open, SQLite would mix up its log with the next one's.
fn wait_closed(old: &Weak<()>, deadline: Instant) -> bool {
    while old.strong_count() > 0 && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    old.strong_count() == 0
}
