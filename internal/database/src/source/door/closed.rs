//! Having a source's file to oneself for a while: it is closed, nobody opens it, and its calls wait.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Opening, State, Stays};
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;

/// How often it is looked whether the calls under way have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Source {
    /// Does this while the database is closed. Calls that come meanwhile wait as for a database that is being opened,
    /// within their timeout, and the first of them opens it afterwards.
    ///
    /// # Errors
    /// It is being opened, or calls that are under way do not end in time; nothing was done. Or it was closed for good.
    pub(crate) fn while_closed<T>(self: &Arc<Self>, op: &'static str, f: impl FnOnce() -> T) -> Result<T> {
        let door = &self.door;
        // Not all the time that callers have who come meanwhile: they would take the source for one that is down.
        let deadline = Instant::now() + self.config.timeout / 2;
        let busy = || Error::new(op, self.name(), ErrorKind::Busy { waited: self.config.timeout / 2 });
        let mut state = door.state.lock();
        let is_changing = |state: &State| matches!(state, State::Opening(_) | State::Closing(_));
        while is_changing(&state) {
            if door.changed.wait_until(&mut state, deadline).timed_out() && is_changing(&state) {
                return Err(busy());
            }
        }
        if matches!(*state, State::Shut) || door.opener.is_none() {
            return Err(Error::new(op, self.name(), ErrorKind::Closed));
        }
        let before = match std::mem::replace(&mut *state, State::Opening(Opening::now(None))) {
            State::Failed(failure) => Some(failure),
            _ => None,
        };
        let database = door.open.write().take();
        drop(state);
        let has_ended = match &database {
            Some(database) => {
                while Arc::strong_count(database) > 1 && Instant::now() < deadline {
                    std::thread::park_timeout(LOOK_EVERY);
                }
                Arc::strong_count(database) == 1
            }
            None => {
                let left = door.left.lock().clone();
                left.is_none_or(|left| left.wait_closed(deadline))
            }
        };
        if !has_ended {
            let then = match (&database, before) {
                (Some(_), _) => State::Open,
                (None, Some(failure)) => State::Failed(failure),
                (None, None) => State::Closed,
            };
            self.open_again(then, database);
            return Err(busy());
        }
        if let Some(database) = database {
            database.close();
        }
        let answer = catch_unwind(AssertUnwindSafe(f));
        // What was put there has nothing to do with what was left; where nothing was, it still has to be found.
        door.left.lock().take_if(|left| !left.is_still_at(&self.config.path));
        *door.rest.lock() = None;
        door.gave_way.store(false, Ordering::Relaxed);
        self.open_again(State::Closed, None);
        match answer {
            Ok(answer) => Ok(answer),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Lets callers in again, unless it was closed for good meanwhile.
    fn open_again(self: &Arc<Self>, then: State, database: Option<Arc<super::Database>>) {
        let mut state = self.door.state.lock();
        if matches!(*state, State::Shut) {
            drop(state);
            if let Some(database) = database {
                database.close();
            }
            return;
        }
        *self.door.open.write() = database;
        let is_open = matches!(then, State::Open);
        *state = then;
        self.door.changed.notify_all();
        drop(state);
        if let Some((budget, Stays::WhileThereIsRoom)) = self.budget().filter(|_| is_open) {
            self.may_give_way(&budget);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "closed_tests.rs"]
mod tests;
