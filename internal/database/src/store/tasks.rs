//! Tasks that wait for their time. They are shared: what a task says about a chat is ids, never text.

use crate::error::Result;
use crate::models::DelayedTask;
use crate::route::Route;
use crate::source::Refusal;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// Adds a task: when it is due (seconds since 1970-01-01 00:00:00 UTC), what is to be done, and with what (JSON).
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where there is one of this id: nothing is changed. The source cannot
    /// be written.
    pub fn add_delayed_task(&self, id: &str, delayed_ts: i64, function: &str, kwargs: &str) -> Result<()> {
        let now = self.now();
        self.write("tasks.add_delayed_task", Route::Shared, |tx| {
            let inserted = tx.execute(
                "INSERT INTO delayed_tasks (id, delayed_ts, function, kwargs, is_done, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, FALSE, ?5, ?5)
                 ON CONFLICT (id) DO NOTHING",
                params![id, delayed_ts, function, kwargs, now],
            )?;
            tx.require(inserted, Refusal::Duplicate)
        })
    }

    /// Says of a task whether it is done; one that is not there is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_delayed_task(&self, id: &str, is_done: bool) -> Result<()> {
        self.execute(
            "tasks.update_delayed_task",
            Route::Shared,
            "UPDATE delayed_tasks SET is_done = ?2, updated_at = ?3 WHERE id = ?1",
            params![id, is_done, self.now()],
        )
    }

    /// The tasks that are not done, those due first in front.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_pending_delayed_tasks(&self) -> Result<Vec<DelayedTask>> {
        self.read("tasks.get_pending_delayed_tasks", Route::Shared, |tx| {
            tx.query(
                "SELECT id, delayed_ts, function, kwargs, is_done, created_at, updated_at
                 FROM delayed_tasks
                 WHERE NOT is_done
                 ORDER BY delayed_ts, id",
                params![],
            )
        })
    }
}
