//! A batch: writes of several callers in one transaction, which all learn at once what became of it.

use std::sync::Arc;

use super::sync::{Condvar, Mutex};

/// What became of a batch's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is committed.
    Committed,
    /// It is committed, into a file that is no longer where it was.
    Replaced,
    /// Nothing of it is kept, since the disk is full.
    Full,
    /// Nothing of it is kept: each member may run again by itself.
    Lost,
    /// It is not known whether it was kept.
    Unknown(String),
}

/// The place where the members of a batch wait for its outcome.
#[derive(Default)]
pub(super) struct Batch {
    outcome: Mutex<Option<Outcome>>,
    known: Condvar,
}

impl Batch {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Tells every member, once.
    pub(super) fn publish(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.known.notify_all();
    }

    /// Waits until the outcome is known.
    pub(super) fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.lock();
        loop {
            match &*outcome {
                Some(outcome) => return outcome.clone(),
                None => self.known.wait(&mut outcome),
            }
        }
    }
}
