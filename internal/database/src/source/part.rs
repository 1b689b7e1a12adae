//! A member's part in a transaction: what became of it, and what its caller is answered.

use std::any::Any;
use std::sync::Arc;

use super::batch::{Batch, Outcome};
use super::context::Context;
use crate::error::{Error, ErrorKind, Result};

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
