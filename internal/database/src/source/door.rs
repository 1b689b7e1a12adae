//! Whether a source's database is open, and its being opened: by one thread, for everybody who waits.
//!
//! A `OnceCell` would not do: of five callers each would wait for a failure of its own, one after the other, and what
//! is open could not be closed again.

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
    /// Not open. What was open before may still be in the hands of calls that are under way.
    Closed(Weak<()>),
    Opening,
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
    /// Until when it is not tried again.
    until: Instant,
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
        let state = Mutex::new(State::Closed(Weak::new()));
        let (open, left) = (RwLock::new(None), Mutex::new(None));
        Self { kept: None, open, state, changed: Condvar::new(), left, opener: Some(opener) }
    }

    /// The database, where it is opened once and never given up.
    pub(super) fn kept(&self) -> Option<&Arc<Database>> {
        self.kept.as_ref()
    }

    pub(super) fn open_now(&self) -> Option<Arc<Database>> {
        self.open.read().clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.read().is_some()
    }

    pub(super) fn health(&self) -> Health {
        match &*self.state.lock() {
            State::Opening => Health::Opening,
            State::Open => Health::Open,
            State::Failed(Failure { why: Why::Unavailable(reason), since, .. }) => {
                Health::Unavailable { reason: reason.clone(), since: *since }
            }
            State::Closed(_) | State::Shut | State::Failed(_) => Health::Closed,
        }
    }

    /// Takes a database out of use whose file is no longer the one that was opened. What is opened next has to be
    /// looked at like any other file.
    pub(super) fn give_up(&self, database: &Arc<Database>) {
        if self.opener.is_none() {
            return;
        }
        let mut state = self.state.lock();
        let mut open = self.open.write();
        if matches!(*state, State::Open) && open.as_ref().is_some_and(|now| Arc::ptr_eq(now, database)) {
            *open = None;
            *self.left.lock() = Some(database.left());
            *state = State::Closed(Arc::downgrade(&database.in_use));
        }
    }

    /// Forgets a failure: the next call tries again at once.
    pub(super) fn forget_failure(&self) {
        let mut state = self.state.lock();
        if let State::Failed(failure) = &mut *state {
            failure.until = Instant::now();
        }
    }

    /// Lets nobody in any more and closes what is open. Waits for a database that is being opened until the deadline;
    /// one that is open only later is closed then.
    pub(super) fn shut(&self, deadline: Instant) {
        let mut state = self.state.lock();
        while matches!(*state, State::Opening) && !self.changed.wait_until(&mut state, deadline).timed_out() {}
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
                State::Failed(failure) if waited || Instant::now() < failure.until => {
                    return Err(failure.why.clone().into());
                }
                State::Opening => {
                    waited = true;
                    if changed.wait_until(&mut state, deadline).timed_out() && matches!(*state, State::Opening) {
                        let (path, timeout) = (self.config.path.display(), self.config.timeout);
                        let reason = format!("{path} could not be opened within {timeout:.1?}");
                        return Err(ErrorKind::SourceUnavailable { reason });
                    }
                }
                now @ (State::Closed(_) | State::Failed(_)) => {
                    let Some(opener) = opener else { return Err(ErrorKind::Closed) };
                    let before = std::mem::replace(now, State::Opening);
                    let (source, opener) = (Arc::clone(self), Arc::clone(opener));
                    // On a thread of its own: a disk that does not answer must not hold up callers beyond their
                    // deadlines.
                    let thread = std::thread::Builder::new().name(format!("opens {}", self.name()));
                    if let Err(error) = thread.spawn(move || source.open_now(&*opener, before)) {
                        *now = State::Failed(Failure {
                            why: Why::Unavailable(format!("no thread can be started to open it: {error}")),
                            since: SystemTime::now(),
                            until: Instant::now(),
                        });
                        waited = true;
                    }
                }
            }
        }
    }

    /// Opens the database and tells whoever waits for it.
    fn open_now(&self, opener: &dyn Opener, before: State) {
        let earlier = match before {
            State::Closed(old) => {
                self.wait_closed(&old);
                None
            }
            State::Failed(failure) => Some(failure),
            State::Opening | State::Open | State::Shut => None,
        };
        // Those who wait are told that another process had it, rather than that it could not be opened in their time.
        let timeout = self.config.timeout;
        let deadline = Instant::now() + timeout - (timeout / 5).min(TO_TELL);
        let left = *self.door.left.lock();
        let opened = catch_unwind(AssertUnwindSafe(|| {
            left.map_or(Ok(()), |left| file::refuse_log_of(left, &self.config.path))?;
            opener.open(&self.config, deadline)
        }));
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
                State::Failed(Failure { why: Why::Busy(waited), since: SystemTime::now(), until: Instant::now() })
            }
            Ok(Err(error)) => State::Failed(self.failed(error.to_string(), earlier.as_ref())),
            Err(_) => State::Failed(self.failed("opening it panicked".to_owned(), earlier.as_ref())),
        };
        self.door.changed.notify_all();
    }

    /// Waits for the calls that still use a database whose file is gone: as long as one has it open, SQLite would mix
    /// up its log with the next one's.
    fn wait_closed(&self, old: &Weak<()>) {
        let deadline = Instant::now() + self.config.timeout;
        while old.strong_count() > 0 && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// A failure, told once for each reason.
    fn failed(&self, reason: String, earlier: Option<&Failure>) -> Failure {
        let told = earlier.is_some_and(|earlier| matches!(&earlier.why, Why::Unavailable(known) if *known == reason));
        if !told {
            tracing::warn!(source = %self.name(), reason, "a source is unavailable; the others go on");
        }
        let since = earlier.map_or_else(SystemTime::now, |earlier| earlier.since);
        Failure { why: Why::Unavailable(reason), since, until: Instant::now() + FAILED_FOR }
    }
}
