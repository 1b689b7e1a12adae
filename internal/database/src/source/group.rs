//! Writes, from the caller's closure to the commit.
//!
//! Callers take turns in one transaction, each running its own closure on its own thread: whoever has done its part
//! hands the turn over to the next in line, until one of them commits for all (group commit by hand-over). What the next
//! in line have delegated is made before, by whoever has the turn ([`delegated`](super::delegated)). A part that its own
//! caller makes is a savepoint, so one that fails is undone alone; one that is made for another is not, unless such have
//! failed lately. Nobody is answered before the commit: neither who wrote, nor who was refused because of what another
//! member wrote.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::batch::Outcome;
use super::config::Durability;
use super::context::{self, Context};
use super::database::Database;
use super::delegated::{Admit, Delegated};
use super::displaced::Displaced;
use super::operation::WriteObserver;
use super::part::{Attempt, answer};
use super::write::WriteTx;
use super::writer::{Held, Open, Seat, SeatOrPart, State};
use crate::error::{ErrorKind, Result};
use crate::route::Route;

/// Under "normal", where a commit waits for nothing, a batch is committed when it was handed over to a third as many as
/// wait for their turn. Those who are answered take a while to wake up and come again, and the line must not run empty
/// meanwhile: then whoever happens to run goes on alone, while the others sleep. (Of what is delegated the more the better:
/// nobody has to wake up for it.)
const WAITING_FOR_EACH: usize = 3;
/// A batch is committed at the latest when it has this many members, whoever waits.
const MOST_MEMBERS: usize = 128;
/// A batch is committed at the latest by the first member that finds it this old.
pub(super) const OLDEST: Duration = Duration::from_millis(10);
/// Under "normal" whoever has committed goes on with what was delegated meanwhile, so many times: the next one would have
/// to wake up first. (Under "full", where each commit waits for the disk, it is answered at once.)
const FURTHER: usize = 4;

/// What is to be kept of a write besides its rows.
pub(crate) struct Recorder<'a> {
    /// Told of it after the commit.
    pub(crate) observer: Option<&'a WriteObserver>,
    /// Where the write is made in the place of a source that is away: it is also noted in this file's journal.
    pub(crate) displaced: Option<&'a Displaced>,
    /// What the write is called.
    pub(crate) op: &'a str,
    /// Where its rows belong.
    pub(crate) route: Route,
}

/// A call that writes.
pub(super) struct Call<'a> {
    pub(super) context: Context<'a>,
    pub(super) deadline: Instant,
    pub(super) recorder: Option<&'a Recorder<'a>>,
    /// Where others may make it: what they ask before.
    pub(super) delegate: Option<&'a dyn Fn() -> Option<Admit>>,
    /// Whether it is made for another, who has delegated it.
    pub(super) is_for_another: bool,
}

/// What a call does in its transaction.
pub(super) type Closure<'a> = &'a mut dyn FnMut(&mut WriteTx<'_>) -> Result<()>;

impl Database {
    /// Runs a write and answers after its commit. Where a recording is wanted, the observer is told before the next
    /// write can begin.
    pub(crate) fn write<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        recorder: Option<&Recorder<'_>>,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut value = None;
        let call = Call { context: self.context(op), deadline, recorder, delegate: None, is_for_another: false };
        self.write_call(&call, &mut |tx| {
            value = Some(f(tx)?);
            Ok(())
        })?;
        Ok(value.expect("what is committed was made"))
    }

    /// The same for a write that others may make from its steps, if they may where that is asked of them.
    pub(crate) fn write_delegated(
        &self,
        op: &'static str,
        deadline: Instant,
        recorder: Option<&Recorder<'_>>,
        admit: &dyn Fn() -> Option<Admit>,
        f: Closure<'_>,
    ) -> Result<()> {
        let (context, delegate) = (self.context(op), Some(admit));
        self.write_call(&Call { context, deadline, recorder, delegate, is_for_another: false }, f)
    }

    fn write_call(&self, call: &Call<'_>, f: Closure<'_>) -> Result<()> {
        let displaced = call.displaced();
        let mut is_second = false;
        loop {
            if displaced.is_some_and(|displaced| !displaced.pass(call.deadline)) {
                return Err(self.busy(&call.context));
            }
            // Once over it stays so: whoever waited need not wait for this file's writer too.
            if displaced.is_some_and(Displaced::is_over) {
                return Err(call.context.error(ErrorKind::Moved));
            }
            match self.attempt(call, is_second, f) {
                Attempt::Ended(answer) => return answer,
                Attempt::Lost(error) if is_second => return Err(error),
                Attempt::Lost(_) => is_second = true,
                Attempt::Fenced => {}
                Attempt::Panicked(panic) => resume_unwind(panic),
            }
        }
    }

    /// One attempt at a write; `alone` in a transaction of its own, that no other member can undo.
    fn attempt(&self, call: &Call<'_>, alone: bool, f: Closure<'_>) -> Attempt {
        let delegated = || if alone { None } else { Delegated::record(call, f) };
        let mut seat = match self.writer.take_or_delegate(call.deadline, delegated) {
            None => return Attempt::Ended(Err(self.busy(&call.context))),
            Some(SeatOrPart::Seat(seat)) => seat,
            Some(SeatOrPart::Part(Delegated { part, .. })) => {
                // Where whoever had it panicked it was not made.
                return part
                    .map_or_else(|| Attempt::Lost(self.busy(&call.context)), |part| answer(&call.context, part));
            }
        };
        if alone && let Err(panic) = self.commit(seat.state()) {
            drop(seat);
            return Attempt::Panicked(panic);
        }
        // Looked at again where it counts, with the writer in hand.
        if call.displaced().is_some_and(Displaced::is_fenced) {
            let told = self.commit(seat.state());
            drop(seat);
            return told.map_or_else(Attempt::Panicked, |()| Attempt::Fenced);
        }
        let part = self.part(seat.state(), call, f);
        // Who has nothing to wait for is not kept for others either.
        if !alone && part.waits() {
            self.make_delegated(&mut seat, Instant::now());
        }
        if let Some(open) = &seat.state().open
            && !alone
            && open.takes_members()
        {
            let enough = match self.durability {
                // The more of them share the wait for the disk, the better.
                Durability::Full => 0,
                Durability::Normal => WAITING_FOR_EACH * open.members.saturating_sub(open.delegated.len()),
            };
            // The next in line goes on in the open transaction.
            match seat.hand_over(enough) {
                None => return answer(&call.context, part),
                Some(kept) => seat = kept,
            }
        }
        let mut told = self.commit(seat.state());
        if !alone && part.waits() && self.durability == Durability::Normal {
            told = told.and_then(|()| self.go_on(&mut seat));
        }
        drop(seat);
        match told {
            Err(panic) => Attempt::Panicked(panic),
            Ok(()) => answer(&call.context, part),
        }
    }

    /// Makes and commits what others delegate meanwhile, as long as there is something; but nobody is kept for long.
    pub(super) fn go_on(&self, seat: &mut Seat<'_>) -> std::thread::Result<()> {
        let begun = Instant::now();
        for _ in 0..FURTHER {
            self.make_delegated(seat, begun);
            if seat.state().open.is_none() {
                break;
            }
            self.commit(seat.state())?;
        }
        Ok(())
    }

    /// Commits the open transaction, if there is one, and tells its members. Fails with the observer's panic.
    pub(super) fn commit(&self, state: &mut State) -> std::thread::Result<()> {
        let (Some(open), Held::Open(link)) = (&mut state.open, &state.connection) else { return Ok(()) };
        let outcome = match link.commit() {
            Ok(()) if self.is_in_place() => Outcome::Committed,
            Ok(()) => Outcome::Replaced,
            // Without room the log has no commit, so this much is known.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Outcome::Full,
            Err(error) => Outcome::Unknown(context::describe(&error)),
        };
        let mut told = Ok(());
        if let (Outcome::Committed, Some(observer)) = (&outcome, &open.observer) {
            for operation in &open.recorded {
                // Each for itself: one that the observer cannot bear does not keep it from knowing the others.
                told = told.and(catch_unwind(AssertUnwindSafe(|| observer(operation))));
            }
        }
        // Before the turn is given back: whoever is woken by this is in line again when the next batch begins.
        open.batch.publish(outcome.clone());
        drop(state.open.take());
        if outcome == Outcome::Committed {
            self.log.committed(link);
            return told;
        }
        state.lose();
        if let (Outcome::Full, Held::Open(link)) = (outcome, &state.connection) {
            self.log.found_no_room(link);
        }
        told
    }
}

impl<'a> Call<'a> {
    pub(super) fn displaced(&self) -> Option<&'a Displaced> {
        self.recorder.and_then(|recorder| recorder.displaced)
    }
}

impl Open {
    /// Whether there may be further members.
    fn takes_members(&self) -> bool {
        self.members < MOST_MEMBERS && self.since.elapsed() < OLDEST
    }
}

impl State {
    /// Whether the open transaction may have further members, or a new one would have its first.
    pub(super) fn takes_members(&self) -> bool {
        self.open.as_ref().is_none_or(Open::takes_members)
    }
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "group_tests.rs"]
mod tests;
