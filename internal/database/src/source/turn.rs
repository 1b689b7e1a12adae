//! Turns at the writer: first come, first served, each waiting until its own deadline at most.
//!
//! A turn is given back, or handed over: [`Turn::hand_over`] gives it to the next in line in one step with finding
//! that there is one, so whoever relies on the next one knows that they will come. Who was given a turn cannot leave
//! any more, whatever their deadline.
//!
//! Whoever waits may leave a job in the line that anybody can do. Whoever has the turn then may borrow it
//! ([`Turn::borrow_job`]), and the other is woken when it is given back. First come is whoever entered the line first.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::sync::{Condvar, Deadline, Mutex};

/// The line of those who wait for their turn.
pub(super) struct Turns<J> {
    line: Mutex<Line<J>>,
}

struct Line<J> {
    is_taken: bool,
    waiting: VecDeque<Arc<Place<J>>>,
}

/// A place in the line.
struct Place<J> {
    stage: Mutex<Stage<J>>,
    came: Condvar,
}

/// What has become of a place.
enum Stage<J> {
    /// It is in the line, with or without a job.
    InLine(Option<J>),
    /// Whoever has the turn does its job.
    Lent,
    /// Its job is back.
    Back(J),
    /// It was given the turn.
    Given,
}

/// What came of waiting.
pub(super) enum Came<'a, J> {
    /// The turn; nobody has done the job.
    Turn(Turn<'a, J>),
    /// The job, from whoever had it.
    Job(J),
}

/// The right to be the only one, until it is dropped or handed over.
pub(super) struct Turn<'a, J> {
    turns: &'a Turns<J>,
    is_mine: bool,
}

/// The job of one who waits, and who has it back when this is dropped.
pub(super) struct Borrowed<J> {
    place: Arc<Place<J>>,
    job: Option<J>,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Self { line: Mutex::new(Line { is_taken: false, waiting: VecDeque::new() }) }
    }
}

impl<J> Turns<J> {
    /// The turn, where nobody has it.
    pub(super) fn try_take(&self) -> Option<Turn<'_, J>> {
        let is_taken = mem::replace(&mut self.line.lock().is_taken, true);
        (!is_taken).then(|| self.turn())
    }

    /// Waits for a turn, or until somebody has had the job; `None` where neither came before the deadline.
    pub(super) fn wait(&self, deadline: Deadline, job: Option<J>) -> Option<Came<'_, J>> {
        let place = {
            let mut line = self.line.lock();
            if !mem::replace(&mut line.is_taken, true) {
                return Some(Came::Turn(self.turn()));
            }
            let place = Arc::new(Place { stage: Mutex::new(Stage::InLine(job)), came: Condvar::default() });
            line.waiting.push_back(Arc::clone(&place));
            place
        };
        let mut stage = place.stage.lock();
        while matches!(*stage, Stage::InLine(_)) {
            if place.came.wait_until(&mut stage, deadline).timed_out() && matches!(*stage, Stage::InLine(_)) {
                drop(stage);
                if self.leave(&place) {
                    return None;
                }
                // It was called at this very moment.
                stage = place.stage.lock();
                break;
            }
        }
        loop {
            match mem::replace(&mut *stage, Stage::Lent) {
                Stage::Given => return Some(Came::Turn(self.turn())),
                Stage::Back(job) => return Some(Came::Job(job)),
                not_yet => *stage = not_yet,
            }
            place.came.wait(&mut stage);
        }
    }

    /// Leaves the line; `false` where the place is not in it any more.
    fn leave(&self, place: &Arc<Place<J>>) -> bool {
        let mut line = self.line.lock();
        let index = line.waiting.iter().position(|waiting| Arc::ptr_eq(waiting, place));
        index.and_then(|index| line.waiting.remove(index)).is_some()
    }

    fn turn(&self) -> Turn<'_, J> {
        Turn { turns: self, is_mine: true }
    }
}

impl<J> Turn<'_, J> {
    /// Gives the turn to the next in line if more than `others` wait; else gives it back to the caller.
    pub(super) fn hand_over(mut self, others: usize) -> Option<Self> {
        let next = {
            let mut line = self.turns.line.lock();
            if line.waiting.len() > others { line.waiting.pop_front() } else { None }
        };
        let Some(next) = next else { return Some(self) };
        self.is_mine = false;
        next.tell(Stage::Given);
        None
    }

    /// The job of the next in line, who leaves the line with it; `None` where the next one has left none.
    pub(super) fn borrow_job(&self) -> Option<Borrowed<J>> {
        let mut line = self.turns.line.lock();
        let place = Arc::clone(line.waiting.front()?);
        let job = {
            let mut stage = place.stage.lock();
            let Stage::InLine(job) = &mut *stage else { return None };
            let job = job.take()?;
            *stage = Stage::Lent;
            job
        };
        line.waiting.pop_front();
        Some(Borrowed { place, job: Some(job) })
    }
}

impl<J> Borrowed<J> {
    pub(super) fn job(&mut self) -> &mut J {
        self.job.as_mut().expect("it is given back only when this is dropped")
    }
}

impl<J> Place<J> {
    fn tell(&self, stage: Stage<J>) {
        *self.stage.lock() = stage;
        self.came.notify_one();
    }
}

impl<J> Drop for Borrowed<J> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.place.tell(Stage::Back(job));
        }
    }
}

impl<J> Drop for Turn<'_, J> {
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
            next.tell(Stage::Given);
        }
    }
}
