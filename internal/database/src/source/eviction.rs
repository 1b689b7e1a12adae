//! Closing a source so that others have room, and opening it again: nobody is to notice but by the time it takes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::budget::{self, Budget, Leaving, Permit, Tenant};
use super::door::{Opener, State, Stays};
use super::{Database, OpenError, Source};

impl Source {
    /// Opens the database as this process has left it, where nobody has touched it since. Gives the permit back where
    /// that cannot be.
    ///
    /// On the thread of a caller: what is done to a file that is known so well is what any call does to a database that
    /// is open, and no disk is waited for otherwise.
    pub(super) fn as_left(
        self: &Arc<Self>,
        opener: &dyn Opener,
        permit: Option<Permit>,
        deadline: Instant,
    ) -> Result<(), Option<Permit>> {
        let Some(rest) = *self.door.rest.lock() else { return Err(permit) };
        let reopen = || {
            let is_known = rest.is_untouched(&self.config.path) && opener.takes_as_left(&self.config);
            is_known.then(|| Database::reopen(&self.config, deadline, &rest))
        };
        match catch_unwind(AssertUnwindSafe(reopen)) {
            Ok(Some(Ok(database))) => {
                self.opened_now(database, permit);
                return Ok(());
            }
            Ok(Some(Err(error))) => tracing::debug!(source = %self.name(), %error, "it is looked at as at first"),
            Ok(None) => {}
            Err(_) => tracing::error!(source = %self.name(), "opening it again panicked"),
        }
        Err(permit)
    }

    /// What failed while the process had no descriptor left failed for that.
    pub(super) fn unless_run_out(&self, error: OpenError) -> OpenError {
        if matches!(error, OpenError::Locked { .. }) || !budget::has_run_out() {
            return error;
        }
        tracing::error!(source = %self.name(), %error, "the process has no descriptors left; allow it more (`ulimit -n`)");
        OpenError::Locked { path: self.config.path.clone(), waited: self.config.timeout }
    }

    /// From now on it may be closed for others.
    pub(super) fn may_give_way(self: &Arc<Self>, budget: &Budget) {
        if !self.door.is_listed.swap(true, Ordering::AcqRel) {
            let tenant = Arc::downgrade(self);
            budget.enter(tenant);
        }
    }

    /// What its connections count against.
    pub(super) fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        self.door.opener.as_ref()?.budget()
    }

    /// Closes it, and leaves what there is on disk.
    fn make_way(&self, mut database: Database) {
        let rest = catch_unwind(AssertUnwindSafe(|| database.rest()));
        if rest.is_err() {
            tracing::error!(source = %self.name(), "closing it for others panicked");
        }
        let permit = database.permit.get_mut().take();
        drop(database);
        *self.door.rest.lock() = rest.ok().flatten();
        tracing::debug!(source = %self.name(), "a source is closed, so that others can be opened");
        let mut state = self.door.state.lock();
        if matches!(*state, State::Closing(_)) {
            *state = State::Closed;
        }
        self.door.changed.notify_all();
        drop(state);
        // Last: whoever has room from now on finds that it is.
        drop(permit);
    }

    /// Moves the log into the file where the source was closed without that: for the end.
    pub(super) fn tidy(&self, deadline: Instant) {
        let Some(rest) = self.door.rest.lock().take() else { return };
        let Some(_permit) = self.room(deadline) else {
            tracing::debug!(source = %self.name(), "the log is left for the next start");
            return;
        };
        if rest.is_untouched(&self.config.path)
            && let Ok(database) = Database::reopen(&self.config, deadline, &rest)
        {
            database.close();
        }
    }
}

impl Tenant for Source {
    fn was_used(&self) -> bool {
        self.door.was_used.swap(false, Ordering::Relaxed)
    }

    fn leave(self: Arc<Self>) -> Leaving {
        let door = &self.door;
        // Whoever has one of the locks uses it, or is about to.
        let Some(mut state) = door.state.try_lock() else { return Leaving::InUse };
        if !matches!(*state, State::Open) {
            door.is_listed.store(false, Ordering::Release);
            return Leaving::Gone;
        }
        let Some(mut open) = door.open.try_write().filter(|_| door.waiting.load(Ordering::Acquire) == 0) else {
            return Leaving::InUse;
        };
        let Some(database) = open.take() else { return Leaving::InUse };
        match Arc::try_unwrap(database) {
            Err(in_use) => {
                *open = Some(in_use);
                Leaving::InUse
            }
            Ok(database) => {
                *door.left.lock() = Some(database.left());
                door.gave_way.store(true, Ordering::Relaxed);
                door.is_listed.store(false, Ordering::Release);
                *state = State::Closing(Instant::now());
                drop((open, state));
                Leaving::Now(Box::new(move || self.make_way(database)))
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "eviction_tests.rs"]
mod tests;
