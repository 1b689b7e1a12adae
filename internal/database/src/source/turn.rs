//! Turns at the writer: first come, first served, each waiting until its own deadline at most.
//!
//! A turn is given back, or handed over: [`Turn::hand_over`] gives it to the next in line in one step with finding
//! that there is one, so whoever relies on the next one knows that they will come. Who was given a turn cannot leave
//! any more, whatever their deadline.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sync::{Condvar, Deadline, Mutex};

/// The line of those who wait for their turn.
#[derive(Default)]
pub(super) struct Turns {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    is_taken: bool,
    waiting: VecDeque<Arc<Place>>,
}

/// A place in the line.
#[derive(Default)]
struct Place {
    is_given: Mutex<bool>,
    given: Condvar,
}

/// The right to be the only one, until it is dropped or handed over.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    is_mine: bool,
}

impl Turns {
    /// Waits for a turn; `None` where it did not come before the deadline.
    pub(super) fn wait(&self, deadline: Deadline) -> Option<Turn<'_>> {
        let place = {
            let mut line = self.line.lock();
            if !line.is_taken {
                line.is_taken = true;
                return Some(Turn { turns: self, is_mine: true });
            }
            let place = Arc::new(Place::default());
            line.waiting.push_back(Arc::clone(&place));
            place
        };
        let mut is_given = place.is_given.lock();
        while !*is_given {
            if place.given.wait_until(&mut is_given, deadline).timed_out() && !*is_given {
                drop(is_given);
                return self.leave(&place);
            }
        }
        Some(Turn { turns: self, is_mine: true })
    }

    /// Leaves the line; where the turn came at this very moment it is taken.
    fn leave(&self, place: &Arc<Place>) -> Option<Turn<'_>> {
        let mut line = self.line.lock();
        match line.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, place)) {
            Some(index) => {
                line.waiting.remove(index);
                None
            }
            None => Some(Turn { turns: self, is_mine: true }),
        }
    }
}

impl Turn<'_> {
    /// Gives the turn to the next in line if more than `others` wait; else gives it back to the caller.
    pub(super) fn hand_over(mut self, others: usize) -> Option<Self> {
        let next = {
            let mut line = self.turns.line.lock();
            if line.waiting.len() > others { line.waiting.pop_front() } else { None }
        };
        let Some(next) = next else { return Some(self) };
        self.is_mine = false;
        next.give();
        None
    }
}

impl Place {
    fn give(&self) {
        *self.is_given.lock() = true;
        self.given.notify_one();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_mine {
            return;
        }
        let next = {
            let mut line = self.turns.line.lock();
            let next = line.waiting.pop_front();
            line.is_taken = next.is_some();
            next
        };
        if let Some(next) = next {
            next.give();
        }
    }
}
