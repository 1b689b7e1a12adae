//! A write as a value: its statements with their parameters, and the conditions between them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::value::Value;
use super::write::alters_schema;
use crate::error::ErrorKind;
use crate::route::Route;

/// A write that was made, as it can be kept and made again elsewhere.
///
/// Made again, it is judged by the rows it meets there: a `require` that fails makes all of it a no-op, and the body
/// of an `only_if` runs where its condition holds *there*, whatever it was when the write was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The method, as `room.method`.
    pub op: String,
    /// Where the rows belong.
    pub route: Route,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

/// Told of every write that was committed, source by source in the order of the commits. The next write of the source
/// waits meanwhile, so it must not write itself.
pub type WriteObserver = Arc<dyn Fn(&Operation) + Send + Sync>;

/// One step of an [`Operation`]. Statements are numbered from 0 in the order they stand, those in bodies included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A statement.
    Execute {
        /// The statement's text, with numbered parameters.
        sql: String,
        /// Its parameters.
        params: Vec<Value>,
    },
    /// The statement of that number has changed a row; else the operation is as if it had never been.
    Require {
        /// The statement's number.
        changed: u32,
        /// What the caller is told otherwise.
        otherwise: Refusal,
    },
    /// Steps that are taken only where the statement of that number has changed a row.
    OnlyIf {
        /// The statement's number.
        changed: u32,
        /// The steps.
        then: Vec<Self>,
    },
}

impl Step {
    /// Whether it changes what tables there are, or would where its condition holds.
    pub(super) fn alters_schema(&self) -> bool {
        match self {
            Self::Execute { sql, .. } => alters_schema(sql),
            Self::Require { .. } => false,
            Self::OnlyIf { then, .. } => then.iter().any(Self::alters_schema),
        }
    }
}

/// What a caller is told when a required change did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The row is already there.
    Duplicate,
    /// The row is not there. Where a database stands in for another for a while, it may refuse what the other will take
    /// when it is back. Where that matters to the caller, let an update match nothing instead.
    NotFound,
}

impl From<Refusal> for ErrorKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Duplicate => Self::Duplicate,
            Refusal::NotFound => Self::NotFound,
        }
    }
}

/// How many rows a statement changed: opaque, since a write must not act on what it finds except through
/// [`WriteTx::require`](crate::WriteTx::require) and [`WriteTx::only_if`](crate::WriteTx::only_if), which are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    pub(crate) statement: u32,
    pub(crate) rows: u64,
}

/// A sum of changed rows, which the caller learns once they are committed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally(pub(crate) u64);

impl Tally {
    /// Counts the rows that a statement changed.
    pub fn add(&mut self, changed: Changed) {
        self.0 += changed.rows;
    }
}
