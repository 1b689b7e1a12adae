//! Opening a source: by one thread, for everybody who waits, each until their own deadline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::MutexGuard;

use super::budget::{Permit, WRITER};
use super::door::{Door, Failure, Opener, Opening, State, Stays, Why};
use super::rest::Trace;
use super::{Database, OpenError, Source, SourceConfig, can_be_made};
use crate::error::ErrorKind;

/// How long a failure to open is answered without another try.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// How much sooner than its callers an opening gives up at most.
const TO_TELL: Duration = Duration::from_millis(500);

impl Source {
    /// The database, opened by this call or another; waits until the deadline at most.
    pub(super) fn wait_open(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Database>, ErrorKind> {
        let Door { state, changed, opener, .. } = &self.door;
        let _wanted = self.door.wanted();
        let busy = || ErrorKind::Busy { waited: self.config.timeout };
        let mut room = None;
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
                    // Nobody keeps room for a source while they wait for it.
                    room = None;
                    waited = matches!(*state, State::Opening(_));
                    if changed.wait_until(&mut state, deadline).timed_out()
                        && let Some(is_overdue) = self.is_overdue(&state)
                    {
                        drop(state);
                        if !is_overdue {
                            return Err(busy());
                        }
                        // Whoever stands in need not wait for it any longer.
                        if let Some(opener) = opener {
                            opener.failed(&self.config);
                        }
                        let (path, timeout) = (self.config.path.display(), self.config.timeout);
                        let reason = format!("{path} could not be opened within {timeout:.1?}");
                        return Err(ErrorKind::SourceUnavailable { reason });
                    }
                }
                // There is no time left to open it.
                State::Closed | State::Failed(_) if room.is_none() && Instant::now() >= deadline => return Err(busy()),
                // Another stands in line for room and will open it. Where that one's time is over first, the next one does.
                State::Closed | State::Failed(_) if room.is_none() && self.door.is_asking() => {
                    changed.wait_until(&mut state, deadline);
                }
                now @ (State::Closed | State::Failed(_)) => {
                    let Some(opener) = opener else { return Err(ErrorKind::Closed) };
                    let Some(permit) = room.take() else {
                        let _asking = self.door.ask();
                        room = Some(MutexGuard::unlocked(&mut state, || self.room(deadline)).ok_or_else(busy)?);
                        continue;
                    };
                    let earlier = match std::mem::replace(now, State::Closed) {
                        State::Failed(failure) => Some(failure),
                        _ => None,
                    };
                    *now = State::Opening(Opening::now(earlier.clone()));
                    let permit = match MutexGuard::unlocked(&mut state, || self.as_left(&**opener, permit, deadline)) {
                        Ok(()) => continue,
                        Err(permit) => permit,
                    };
                    let (source, opener, before) = (Arc::clone(self), Arc::clone(opener), earlier.clone());
                    // On a thread of its own: a disk that does not answer must not hold up callers beyond their
                    // deadlines.
                    let thread = std::thread::Builder::new().name(format!("opens {}", self.name()));
                    if let Err(error) = thread.spawn(move || source.open_now(&*opener, permit, before.as_ref())) {
                        let reason = format!("no thread can be started to open it: {error}");
                        let until = Some(Instant::now());
                        let failure = self.failed(Why::Unavailable(reason), earlier.as_ref(), until, None);
                        MutexGuard::unlocked(&mut state, || self.door.fail(failure));
                        waited = true;
                    }
                }
            }
        }
    }

    /// Whether the source's own disk has had all the time that it may take, where a caller's time is over: callers may
    /// have spent theirs elsewhere. `None` where nothing is waited for any more.
    fn is_overdue(&self, state: &State) -> Option<bool> {
        match state {
            State::Opening(Opening { since, .. }) => Some(since.elapsed() >= self.time_to_open()),
            State::Closing(since) => Some(since.elapsed() >= self.config.timeout),
            _ => None,
        }
    }

    /// How long an opening may take. Those who wait from its beginning are told then that another process had it, rather
    /// than that it could not be opened in their time.
    fn time_to_open(&self) -> Duration {
        let timeout = self.config.timeout;
        timeout - (timeout / 5).min(TO_TELL)
    }

    /// Whether it is unavailable, and there is another file by now, or the same one was changed since.
    pub(crate) fn is_changed_since_it_failed(&self) -> bool {
        self.door.failed_with().is_some_and(|file| file != Trace::at(&self.config.path))
    }

    /// Why it is not open though it has not failed; `Err` where something is to be mended: another process keeps the file
    /// locked, or there is none and none can be made. `None` where it is open, or has failed. Looks at the path alone.
    pub(crate) fn why_closed(&self) -> Option<Result<String, String>> {
        let why = match &*self.door.state.lock() {
            State::Closed | State::Closing(_) if self.door.gave_way.load(Ordering::Relaxed) => "others needed the room",
            State::Closed => "not needed yet",
            State::Failed(Failure { why: Why::Busy(waited), .. }) => {
                let waited =
                    format!("another process kept the file locked for {waited:.1?}; the next call tries again");
                return Some(Err(waited));
            }
            _ => return None,
        };
        let SourceConfig { path, readonly, .. } = &self.config;
        let is_there = path.try_exists();
        if !readonly
            && !matches!(is_there, Ok(true))
            && let Err(error) = can_be_made(path)
        {
            return Some(Err(error.to_string()));
        }
        let missing = if matches!(is_there, Ok(false)) { "; its file is not there" } else { "" };
        Some(Ok(format!("{why}{missing}")))
    }

    /// Room for the source's connections, where they count.
    pub(super) fn room(&self, deadline: Instant) -> Option<Option<Permit>> {
        match self.budget() {
            Some((budget, Stays::WhileThereIsRoom)) => budget.room(WRITER, deadline).map(Some),
            _ => Some(None),
        }
    }

    /// Opens the database and tells whoever waits for it.
    fn open_now(self: &Arc<Self>, opener: &dyn Opener, permit: Option<Permit>, earlier: Option<&Failure>) {
        let deadline = Instant::now() + self.time_to_open();
        // Before it is tried: what comes later is a change.
        let file = Trace::at(&self.config.path);
        let left = self.door.left.lock().clone();
        let is_closed = left.as_ref().is_none_or(|left| left.wait_closed(deadline));
        let opened = catch_unwind(AssertUnwindSafe(|| {
            if !is_closed {
                let detail =
                    "calls that are under way still use the file that was there before; it is tried again".into();
                return Err(OpenError::Other { path: self.config.path.clone(), detail });
            }
            opener.open(&self.config, left.as_ref(), deadline)
        }));
        let opened = opened.map(|opened| opened.map_err(|error| self.unless_run_out(error)));
        // Callers may go on, elsewhere perhaps, as soon as they are told: whoever has to know does before.
        let is_failure = !matches!(&opened, Ok(Ok(_) | Err(OpenError::Locked { .. } | OpenError::DiskFull { .. })));
        let is_seen_to = is_failure && opener.failed(&self.config);
        let until = (!is_seen_to).then(|| Instant::now() + FAILED_FOR);
        let failed = match opened {
            Ok(Ok(database)) => {
                if earlier.is_some() {
                    tracing::info!(source = %self.name(), "a source is available again");
                }
                return self.opened_now(database, permit);
            }
            Ok(Err(OpenError::Locked { waited, .. })) => Failure::passing(Why::Busy(waited), earlier),
            Ok(Err(error @ OpenError::DiskFull { .. })) => {
                // Once for as long as it lasts: every call tries.
                if earlier.is_none_or(|earlier| !matches!(earlier.why, Why::Full)) {
                    tracing::error!(source = %self.name(), %error, "a source cannot be opened for want of room; each call tries again");
                }
                Failure::passing(Why::Full, earlier)
            }
            Ok(Err(error)) => {
                let why = if error.is_lost() { Why::Lost } else { Why::Unavailable };
                self.failed(why(error.to_string()), earlier, until, file)
            }
            Err(_) => self.failed(Why::Unavailable("opening it panicked".to_owned()), earlier, until, file),
        };
        // Before anybody tries again.
        drop(permit);
        self.door.fail(failed);
    }

    /// The database is open from now on.
    pub(super) fn opened_now(self: &Arc<Self>, mut database: Database, permit: Option<Permit>) {
        let budget = self.budget();
        if let Some((budget, _)) = &budget {
            database.count_against(Arc::clone(budget), permit);
        }
        let mut state = self.door.state.lock();
        if matches!(*state, State::Shut) {
            drop(state);
            database.close();
            return;
        }
        *self.door.left.lock() = None;
        *self.door.rest.lock() = None;
        self.door.gave_way.store(false, Ordering::Relaxed);
        *self.door.open.write() = Some(Arc::new(database));
        *state = State::Open;
        self.door.changed.notify_all();
        drop(state);
        if let Some((budget, Stays::WhileThereIsRoom)) = budget {
            self.may_give_way(&budget);
        }
    }

    /// A failure, told once for each reason.
    fn failed(&self, why: Why, earlier: Option<&Failure>, until: Option<Instant>, file: Option<Trace>) -> Failure {
        let reason = why.reason();
        if earlier.is_none_or(|earlier| earlier.why.reason() != reason) {
            tracing::warn!(source = %self.name(), reason, "a source is unavailable; the others go on");
        }
        let since = earlier.map_or_else(SystemTime::now, |earlier| earlier.since);
        Failure { why, since, until, file }
    }

    /// Takes the source for unavailable, since an open database failed.
    pub(super) fn gave_up(&self, database: &Arc<Database>, reason: &str) {
        let Some(opener) = &self.door.opener else { return };
        if self.door.give_up(database) {
            tracing::warn!(source = %self.name(), reason, "a source is unavailable; the others go on");
            // Whoever stands in does so before anybody is told.
            let is_seen_to = opener.failed(&self.config);
            let until = (!is_seen_to).then(Instant::now);
            let (why, file) = (Why::Unavailable(reason.to_owned()), Trace::at(&self.config.path));
            self.door.fail(Failure { why, since: SystemTime::now(), until, file });
        }
    }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "opening_tests.rs"]
mod tests;
