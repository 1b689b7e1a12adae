//! A member's part in a transaction: how it is made, and undone where it fails; and what its caller is answered.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, Outcome};
use super::context::Context;
use super::database::Database;
use super::displaced::Displaced;
use super::group::{Call, Closure, Recorder};
use super::journal;
use super::operation::{Operation, WriteObserver};
use super::write::WriteTx;
use super::writer::{Held, Open, State, run};
use crate::error::{Error, ErrorKind, Result};

/// Of the parts that are made for others so many are savepoints again after one that failed halfway.
const CAREFUL: u32 = 1_000;

/// How one attempt at a write ended.
pub(super) enum Attempt {
    /// For good.
    Ended(Result<()>),
    /// The transaction was lost through another member, or at the commit; nothing is kept.
    Lost(Error),
    /// No write may be made in the place of a source that is coming home at this moment: nothing was begun.
    Fenced,
    Panicked(Box<dyn Any + Send>),
}

/// What became of a member's own part, and the batch whose outcome it has to wait for.
pub(super) struct Part {
    pub(super) end: End,
    pub(super) batch: Option<Arc<Batch>>,
}

pub(super) enum End {
    Done,
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
}

impl Part {
    /// Whether its caller has to wait for an outcome.
    pub(super) fn waits(&self) -> bool {
        self.batch.is_some()
    }

    /// A part that failed for reasons that have to do with no other member.
    pub(super) fn failed(error: Error) -> Self {
        Self { end: End::Failed(error), batch: None }
    }

    /// A part whose closure failed. What it failed for may be what earlier members wrote, which nobody has committed
    /// yet; then it is no answer before their commit.
    pub(super) fn refused(error: Error, earlier: Option<Arc<Batch>>) -> Self {
        let may_be_their_doing = matches!(
            error.kind(),
            ErrorKind::Duplicate | ErrorKind::NotFound | ErrorKind::Constraint { .. } | ErrorKind::DiskFull
        );
        Self { end: End::Failed(error), batch: earlier.filter(|_| may_be_their_doing) }
    }
}

/// What is undone where a part fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// The transaction, of which it is the first.
    First,
    /// Its savepoint.
    Savepoint,
    /// Where it has changed anything, the transaction: all members make theirs again, each by itself. Copies of pages that a
    /// savepoint takes are saved by that.
    Nothing,
}

impl Database {
    /// Runs a call's part: in a new transaction, or as a member of the open one. Afterwards the connection is in a
    /// transaction exactly if there are members.
    pub(super) fn part(&self, state: &mut State, call: &Call<'_>, f: Closure<'_>) -> Part {
        let Call { context, deadline, recorder, .. } = call;
        // The turn may have come at the last moment. It has to be taken, for whoever relies on it; nothing is begun.
        if Instant::now() >= *deadline {
            return Part::failed(self.busy(context));
        }
        let displaced = call.displaced();
        if displaced.is_some_and(Displaced::is_over) {
            return Part::failed(context.error(ErrorKind::Moved));
        }
        let link = match self.link(&mut state.connection, context, *deadline) {
            Ok(link) => link,
            Err(error) => return Part::failed(error),
        };
        let connection = &link.connection;
        let guard = match state.open {
            None => Guard::First,
            Some(_) if call.is_for_another && state.careful == 0 => Guard::Nothing,
            Some(_) => Guard::Savepoint,
        };
        state.careful = state.careful.saturating_sub(u32::from(call.is_for_another));
        link.until(*deadline);
        let begun = match guard {
            // Who is there only for others waits for no other process.
            Guard::First if call.is_for_another => {
                link.wait_for_locks(Duration::ZERO);
                let begun = link.begin(self.durability);
                link.until(*deadline);
                begun
            }
            Guard::First => link.begin(self.durability),
            Guard::Savepoint => run(link, "SAVEPOINT part"),
            Guard::Nothing => Ok(()),
        };
        let before = connection.total_changes();
        if let Err(error) = begun {
            if connection.is_autocommit() != (guard == Guard::First) {
                state.lose();
            }
            return Part::failed(context.sqlite(&error));
        }
        let ran =
            catch_unwind(AssertUnwindSafe(|| {
                let mut tx = WriteTx::new(link, *context, recorder.is_some());
                let failed = |error: rusqlite::Error| context.sqlite(&error);
                if displaced.is_some() {
                    tx = tx.elsewhere();
                    run(link, "SAVEPOINT made").map_err(failed)?;
                }
                f(&mut tx)?;
                if call.delegate.is_some() {
                    tx.check_nothing_failed()?;
                }
                let refused = tx.take_refusal();
                if refused.is_some() {
                    run(link, "ROLLBACK TO made").map_err(failed)?;
                }
                let operation = recorder.zip(tx.take_recording()).map(|(Recorder { op, route, .. }, steps)| {
                    Operation { op: (*op).to_owned(), route: *route, steps }
                });
                if let (Some(displaced), Some(operation)) = (displaced, &operation) {
                    // Whoever it belongs to judges by rows of its own, whatever is refused here.
                    run(link, "RELEASE made").map_err(failed)?;
                    journal::note(&mut tx, displaced, operation)?;
                }
                Ok::<_, Error>((operation, refused))
            }));
        // The deadline is that of the caller's statements. What follows is done for others too.
        link.without_deadline();
        let earlier = state.open.as_ref().map(|open| Arc::clone(&open.batch));
        if connection.is_autocommit() {
            // The transaction is gone, with every member's part: a full disk or an interruption does that.
            state.lose();
            if let (Ok(Err(error)), Held::Open(link)) = (&ran, &state.connection)
                && matches!(error.kind(), ErrorKind::DiskFull)
            {
                self.log.found_no_room(link);
            }
            return match ran {
                // No statement runs outside of it: nothing was kept.
                Ok(Ok(_)) => Part::failed(context.transaction_gone()),
                Ok(Err(error)) => Part::refused(error, earlier),
                Err(panic) => Part { end: End::Panicked(panic), batch: None },
            };
        }
        match ran {
            Ok(Ok((operation, refused))) => {
                if guard == Guard::Savepoint
                    && let Err(error) = run(link, "RELEASE part")
                {
                    let error = context.sqlite(&error);
                    state.lose();
                    return Part::failed(error);
                }
                let observed = operation.filter(|_| refused.is_none());
                let batch = Some(join(state, recorder.and_then(|recorder| recorder.observer), observed));
                let end = match refused {
                    None => End::Done,
                    Some(refusal) => End::Failed(context.error(refusal.into())),
                };
                Part { end, batch }
            }
            Ok(Err(error)) => {
                undo(state, guard, before);
                Part::refused(error, earlier)
            }
            Err(panic) => {
                undo(state, guard, before);
                Part { end: End::Panicked(panic), batch: None }
            }
        }
    }
}

/// What the caller is answered, once the outcome of the batch is known.
pub(super) fn answer(context: &Context<'_>, Part { end, batch }: Part) -> Attempt {
    let ended = match end {
        End::Done => Ok(()),
        End::Failed(error) => Err(error),
        End::Panicked(panic) => return Attempt::Panicked(panic),
    };
    match batch.map(|batch| batch.wait()) {
        None | Some(Outcome::Committed) => Attempt::Ended(ended),
        Some(Outcome::Replaced) => Attempt::Ended(Err(context.error(ErrorKind::FileReplaced))),
        Some(Outcome::Full) => Attempt::Lost(context.error(ErrorKind::DiskFull)),
        Some(Outcome::Lost) => Attempt::Lost(context.error(ErrorKind::Busy { waited: context.timeout })),
        Some(Outcome::Unknown(detail)) => Attempt::Ended(Err(context.error(ErrorKind::OutcomeUnknown { detail }))),
    }
}

/// Makes the part that was just done one of the open transaction's members.
fn join(state: &mut State, observer: Option<&WriteObserver>, operation: Option<Operation>) -> Arc<Batch> {
    let open = state.open.get_or_insert_with(|| Open {
        batch: Batch::new(),
        members: 0,
        since: Instant::now(),
        recorded: Vec::new(),
        observer: None,
        delegated: Vec::new(),
    });
    open.members += 1;
    if let (Some(observer), Some(operation)) = (observer, operation) {
        open.recorded.push(operation);
        open.observer = Some(Arc::clone(observer));
    }
    Arc::clone(&open.batch)
}

/// Undoes a part that failed. `before` is how many rows the connection had changed when it began.
fn undo(state: &mut State, guard: Guard, before: u64) {
    let Held::Open(link) = &state.connection else { return };
    let is_undone = match guard {
        Guard::First => run(link, "ROLLBACK").is_ok(),
        Guard::Savepoint => run(link, "ROLLBACK TO part").and_then(|()| run(link, "RELEASE part")).is_ok(),
        // (A statement that fails is undone by SQLite.)
        Guard::Nothing => link.connection.total_changes() == before,
    };
    if !is_undone {
        state.lose();
        if guard == Guard::Nothing {
            state.careful = CAREFUL;
        }
    }
}
