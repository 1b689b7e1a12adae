//! Opening a source: by one thread, for everybody who waits, each until their own deadline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::door::{Door, Failure, Opener, Opening, Room, State, Why};
use super::eviction::NoRoom;
use super::{Database, OpenError, Source, file, threads};
use crate::error::ErrorKind;

/// How long a failure to open is answered without another try.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// How much sooner than its callers an opening gives up at most.
const TO_TELL: Duration = Duration::from_millis(500);

/// What a caller waited for whose time is over.
enum Waited {
    /// Others had to make room: no failure of the source.
    ForRoom,
    /// The source's own file.
    ForTheDisk,
}

impl Source {
    /// The database, opened by this call or another; waits until the deadline at most.
    pub(super) fn wait_open(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Database>, ErrorKind> {
        let Door { state, changed, opener, .. } = &self.door;
        let _wanted = self.door.wanted();
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
                State::Opening(_) | State::Closing(_) => {
                    waited = matches!(*state, State::Opening(_));
                    if changed.wait_until(&mut state, deadline).timed_out() {
                        match self.waited_for(&mut state) {
                            None => {}
                            Some(Waited::ForRoom) => return Err(ErrorKind::Busy { waited: self.config.timeout }),
                            Some(Waited::ForTheDisk) => {
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
                    }
                }
                now @ (State::Closed | State::Failed(_)) => {
                    let Some(opener) = opener else { return Err(ErrorKind::Closed) };
                    let earlier = match std::mem::replace(now, State::Closed) {
                        State::Failed(failure) => Some(failure),
                        _ => None,
                    };
                    let opening = Opening { earlier: earlier.clone(), ..Opening::default() };
                    let attempt = Arc::clone(&opening.attempt);
                    *now = State::Opening(opening);
                    let (source, opener, before) = (Arc::clone(self), Arc::clone(opener), earlier.clone());
                    // On a thread of its own: a disk that does not answer must not hold up callers beyond their
                    // deadlines.
                    if let Err(error) = threads::run(move || source.open_now(&*opener, &attempt, before)) {
                        let reason = format!("no thread can be started to open it: {error}");
                        *now = State::Failed(self.failed(reason, earlier.as_ref(), Some(Instant::now())));
                        waited = true;
                    }
                }
            }
        }
    }

    /// What a caller waited for whose time is over; `None` where it need not wait any more.
    fn waited_for(&self, state: &mut State) -> Option<Waited> {
        let timeout = self.config.timeout;
        match state {
            State::Opening(Opening { room: Room::Had, .. }) => Some(Waited::ForTheDisk),
            // Its own disk has had less time than it may take.
            State::Closing(since) | State::Opening(Opening { room: Room::Made(since), .. })
                if since.elapsed() >= timeout =>
            {
                Some(Waited::ForTheDisk)
            }
            State::Opening(Opening { room: Room::Wanted(since), earlier, .. }) => {
                // Whoever was to make room does not come back: perhaps the disk of another source does not answer.
                if since.elapsed() >= timeout {
                    *state = match earlier.take() {
                        Some(failure) => State::Failed(Failure { until: Some(Instant::now()), ..failure }),
                        None => State::Closed,
                    };
                    self.door.changed.notify_all();
                }
                Some(Waited::ForRoom)
            }
            // It was closed for others just now, and there is no time left to open it.
            State::Closed | State::Closing(_) | State::Opening(_) => Some(Waited::ForRoom),
            _ => None,
        }
    }

    /// Opens the database and tells whoever waits for it.
    fn open_now(self: &Arc<Self>, opener: &dyn Opener, attempt: &Arc<()>, earlier: Option<Failure>) {
        // Those who wait are told that another process had it, rather than that it could not be opened in their time.
        let timeout = self.config.timeout;
        let in_time = || Instant::now() + timeout - (timeout / 5).min(TO_TELL);
        let mut deadline = in_time();
        let is_closed = earlier.as_ref().is_none_or(|failure| wait_closed(&failure.old, deadline));
        let budget = opener.budget();
        let permit = match self.room(budget.as_ref(), attempt, deadline) {
            Ok(None) => Ok(None),
            Ok(Some(permit)) => {
                deadline = in_time();
                Ok(Some(permit))
            }
            // Somebody else tries it by now.
            Err(NoRoom::GivenUp) => return,
            Err(NoRoom::NotInTime) => Err(OpenError::Locked { path: self.config.path.clone(), waited: timeout }),
        };
        let left = *self.door.left.lock();
        let opened = catch_unwind(AssertUnwindSafe(|| {
            if !is_closed {
                let detail =
                    "calls that are under way still use the file that was there before; it is tried again".into();
                return Err(OpenError::Other { path: self.config.path.clone(), detail });
            }
            let permit = permit?;
            left.map_or(Ok(()), |left| file::refuse_log_of(left, &self.config.path))?;
            let mut database = match self.as_left(opener, deadline) {
                Some(database) => database,
                None => opener.open(&self.config, deadline)?,
            };
            if let Some((budget, _)) = budget {
                database.count_against(budget, permit);
            }
            Ok(database)
        }));
        let opened = opened.map(|opened| opened.map_err(|error| self.unless_run_out(error)));
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
        let is_open = matches!(opened, Ok(Ok(_)));
        *state = match opened {
            Ok(Ok(database)) => {
                if earlier.is_some() {
                    tracing::info!(source = %self.name(), "a source is available again");
                }
                *self.door.left.lock() = None;
                *self.door.rest.lock() = None;
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
        drop(state);
        if is_open {
            self.may_give_way();
        }
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
pub(super) fn wait_closed(old: &Weak<()>, deadline: Instant) -> bool {
    while old.strong_count() > 0 && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    old.strong_count() == 0
}
