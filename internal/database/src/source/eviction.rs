//! Closing a source so that others have room, and opening it again: nobody is to notice but by the time it takes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::budget::{self, Budget, Leaving, Permit, Tenant, WRITER};
use super::door::{Opener, Room, State, Stays};
use super::{Database, OpenError, Source};

/// Why there is no room for a source.
pub(super) enum NoRoom {
    /// All who have some were in use until the deadline.
    NotInTime,
    /// Nobody waits for this attempt any more.
    GivenUp,
}

impl Source {
    /// Room for the source's connections, which others make where there is none. `None` for a source that counts
    /// nothing.
    pub(super) fn room(
        &self,
        budget: Option<&(Arc<Budget>, Stays)>,
        attempt: &Arc<()>,
        deadline: Instant,
    ) -> Result<Option<Permit>, NoRoom> {
        let Some((budget, Stays::WhileThereIsRoom)) = budget else { return Ok(None) };
        if let Some(permit) = budget.room_now(WRITER) {
            return Ok(Some(permit));
        }
        self.has_room(attempt, Room::Wanted(Instant::now()))?;
        let permit = budget.room(WRITER, deadline);
        // Whatever came of it: from here on it goes its way.
        self.has_room(attempt, Room::Made(Instant::now()))?;
        permit.map(Some).ok_or(NoRoom::NotInTime)
    }

    /// Tells callers what an attempt waits for.
    fn has_room(&self, attempt: &Arc<()>, room: Room) -> Result<(), NoRoom> {
        let mut state = self.door.state.lock();
        self.door.opening(&mut state, attempt).map(|opening| opening.room = room).ok_or(NoRoom::GivenUp)
    }

    /// Opens the database as this process has left it, where nobody has touched it since.
    pub(super) fn as_left(&self, opener: &dyn Opener, deadline: Instant) -> Option<Database> {
        let rest = (*self.door.rest.lock())?;
        if !rest.is_untouched(&self.config.path) || !opener.takes_as_left(&self.config) {
            return None;
        }
        let reopened = Database::reopen(&self.config, deadline, &rest);
        reopened.inspect_err(|error| tracing::debug!(source = %self.name(), %error, "it is looked at as at first")).ok()
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
    pub(super) fn may_give_way(self: &Arc<Self>) {
        if let Some((budget, Stays::WhileThereIsRoom)) = self.budget()
            && !self.door.is_listed.swap(true, Ordering::AcqRel)
        {
            let weak = Arc::downgrade(self);
            budget.enter(weak);
        }
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        self.door.opener.as_ref()?.budget()
    }

    /// Closes it, and leaves what there is on disk.
    fn make_way(&self, mut database: Database) -> Option<Permit> {
        let rest = catch_unwind(AssertUnwindSafe(|| database.rest()));
        if rest.is_err() {
            tracing::error!(source = %self.name(), "closing it for others panicked");
        }
        let permit = database.permit.take();
        drop(database);
        *self.door.rest.lock() = rest.ok().flatten();
        tracing::debug!(source = %self.name(), "a source is closed, so that others can be opened");
        let mut state = self.door.state.lock();
        if matches!(*state, State::Closing(_)) {
            *state = State::Closed;
        }
        self.door.changed.notify_all();
        permit
    }

    /// Moves the log into the file where the source was closed without that: for the end.
    pub(super) fn tidy(&self, deadline: Instant) {
        let Some(rest) = self.door.rest.lock().take() else { return };
        let permit = match self.budget() {
            Some((budget, Stays::WhileThereIsRoom)) => budget.room(WRITER, deadline).map(Some),
            _ => Some(None),
        };
        let Some(_permit) = permit else {
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
                door.is_listed.store(false, Ordering::Release);
                *state = State::Closing(Instant::now());
                drop((open, state));
                Leaving::Now(Box::new(move || self.make_way(database)))
            }
        }
    }
}
