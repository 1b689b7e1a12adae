//! Writes that other callers make.
//!
//! A write is blind, so it can be recorded without a database, and made from its steps by anybody. Whoever finds the
//! writer taken leaves its write in the line; whoever has the writer makes, after its own part, those of the next in
//! line, each as a member of the open transaction. So these are woken once, when it is committed, and nobody has to wake up
//! in between for the next part to be made. (Known as flat combining: Hendler, Incze, Shavit and
//! Tzafrir, SPAA 2010.)
//!
//! Not delegated is what is made in the place of a source that is away, and what answers more than that it is made. Who
//! delegates and comes to the front of the line while nobody takes its part makes it itself.

use std::time::Instant;

use super::database::Database;
use super::group::{Call, Closure, OLDEST, Recorder};
use super::operation::{Step, WriteObserver};
use super::part::{End, Part};
use super::turn::Borrowed;
use super::write::WriteTx;
use super::writer::Seat;
use crate::error::{ErrorKind, Result};
use crate::route::Route;

/// Whether the source may still be written for whoever delegates; asked where the part is made.
pub(crate) type Admit = Box<dyn Fn() -> Result<()> + Send>;

/// A part that others may make.
pub(super) struct Delegated {
    op: &'static str,
    deadline: Instant,
    kept: Option<Kept>,
    admit: Option<Admit>,
    steps: Vec<Step>,
    /// What became of it, once somebody made it.
    pub(super) part: Option<Part>,
}

/// What is to be kept of it besides its rows.
struct Kept {
    observer: Option<WriteObserver>,
    route: Route,
}

impl Delegated {
    /// Records a call's part, where it may be delegated. `None` too where its closure fails: it is run in its turn.
    pub(super) fn record(call: &Call<'_>, f: Closure<'_>) -> Option<Self> {
        let admit = call.delegate.filter(|_| call.displaced().is_none())?;
        let kept = call.recorder.map(|Recorder { observer, route, .. }| {
            let observer = observer.cloned();
            Kept { observer, route: *route }
        });
        let mut tx = WriteTx::only_recorded(call.context);
        f(&mut tx).ok()?;
        // What changes the schema is undone by its savepoint or not at all: no count of changed rows tells of it.
        let steps = tx.take_recording().filter(|steps| !steps.iter().any(Step::alters_schema))?;
        Some(Self { op: call.context.op, deadline: call.deadline, kept, admit: admit(), steps, part: None })
    }

    /// Makes the part, and answers whether it was made. Where it would begin a transaction and cannot at once, its caller
    /// is the one to wait.
    fn make(&mut self, database: &Database, seat: &mut Seat<'_>) -> bool {
        let is_first = seat.state().open.is_none();
        let Self { op, deadline, kept, admit, steps, .. } = self;
        let recorder = kept.as_ref().map(|Kept { observer, route }| {
            let (observer, displaced) = (observer.as_ref(), None);
            Recorder { observer, displaced, op, route: *route }
        });
        let (context, recorder) = (database.context(op), recorder.as_ref());
        let call = Call { context, deadline: *deadline, recorder, delegate: None, is_for_another: true };
        let part = database.part(seat.state(), &call, &mut |tx| {
            admit.as_ref().map_or(Ok(()), |admit| admit())?;
            tx.replay(steps)
        });
        let is_busy = matches!(&part.end, End::Failed(error) if matches!(error.kind(), ErrorKind::Busy { .. }));
        self.part = Some(part).filter(|_| !(is_first && is_busy));
        self.part.is_some()
    }

    fn waits(&self) -> bool {
        self.part.as_ref().is_some_and(Part::waits)
    }
}

impl Database {
    /// Makes what the next in line have delegated, as long as the transaction takes further members, and for a while: not
    /// all become members, and whoever does this has a caller of its own.
    pub(super) fn make_delegated(&self, seat: &mut Seat<'_>, begun: Instant) {
        let mut is_made = true;
        while is_made
            && begun.elapsed() < OLDEST
            && seat.state().takes_members()
            && let Some(mut borrowed) = seat.borrow_delegated()
        {
            is_made = borrowed.job().make(self, seat);
            give_back(borrowed, seat);
        }
    }
}

/// Gives a part back that was made: once its outcome is known, where its caller has to wait for one.
fn give_back(mut borrowed: Borrowed<Delegated>, seat: &mut Seat<'_>) {
    if borrowed.job().waits()
        && let Some(open) = &mut seat.state().open
    {
        open.delegated.push(borrowed);
    }
}

#[cfg(test)]
#[path = "delegated_tests.rs"]
mod tests;
