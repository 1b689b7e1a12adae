//! Tasks that wait for their time.

use serde::Serialize;

use super::from_row;
use crate::time::Timestamp;

/// A task that is to be done at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DelayedTask {
    /// The task.
    pub id: String,
    /// When it is due, in seconds since 1970-01-01 00:00:00 UTC.
    pub delayed_ts: i64,
    /// What is to be done.
    pub function: String,
    /// With what, as JSON.
    pub kwargs: String,
    /// Whether it was done.
    pub is_done: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

from_row!(
    DelayedTask, "delayed_tasks", key: ["id"],
    id, delayed_ts, function, kwargs, is_done, created_at, updated_at,
);
