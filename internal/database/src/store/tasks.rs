//! Tasks that wait for their time. They are shared: what a task says about a chat is ids, never text.

use crate::error::Result;
use crate::models::DelayedTask;
use crate::route::Route;
use crate::source::Refusal;
use crate::{DatabaseWrapper, params};

macro_rules! select_tasks {
    ($rest:literal) => {
        concat!("SELECT id, delayed_ts, function, kwargs, is_done, created_at, updated_at FROM delayed_tasks ", $rest)
    };
}

impl DatabaseWrapper {
    /// Adds a task: when it is due (seconds since 1970-01-01 00:00:00 UTC), what is to be done, and with what (JSON).
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where there is one of this id: nothing is changed. The source cannot
    /// be written.
    pub fn add_delayed_task(&self, id: &str, delayed_ts: i64, function: &str, kwargs: &str) -> Result<()> {
        let now = self.now();
        self.write_delegated("tasks.add_delayed_task", Route::Shared, |tx| {
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

    /// Drops tasks; those that are not there are passed over.
    ///
    /// # Errors
    /// The source cannot be written: none is dropped.
    pub fn delete_delayed_tasks(&self, ids: &[&str]) -> Result<()> {
        self.write_delegated("tasks.delete_delayed_tasks", Route::Shared, |tx| {
            for id in ids {
                tx.execute("DELETE FROM delayed_tasks WHERE id = ?1", params![id])?;
            }
            Ok(())
        })
    }

    /// A task, or `None` where there is none of this id.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_delayed_task(&self, id: &str) -> Result<Option<DelayedTask>> {
        self.read("tasks.get_delayed_task", Route::Shared, |tx| {
            tx.query_one(select_tasks!("WHERE id = ?1"), params![id])
        })
    }

    /// All tasks whose ids begin so, done or not, in the order of their times.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_delayed_tasks_of(&self, prefix: &str) -> Result<Vec<DelayedTask>> {
        self.read("tasks.get_delayed_tasks_of", Route::Shared, |tx| {
            tx.query(select_tasks!("WHERE substr(id, 1, length(?1)) = ?1 ORDER BY delayed_ts, id"), params![prefix])
        })
    }

    /// Tasks whose ids begin so, that are not done and due by a moment (seconds since 1970-01-01 00:00:00 UTC), those
    /// due first in front: at most so many, from behind one where one is given.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_due_delayed_tasks(
        &self,
        prefix: &str,
        by: i64,
        behind: Option<&DelayedTask>,
        limit: u32,
    ) -> Result<Vec<DelayedTask>> {
        let (ts, id) = behind.map_or((i64::MIN, ""), |task| (task.delayed_ts, task.id.as_str()));
        self.read("tasks.get_due_delayed_tasks", Route::Shared, |tx| {
            tx.query(
                select_tasks!(
                    "WHERE NOT is_done AND delayed_ts <= ?2 AND substr(id, 1, length(?1)) = ?1
                       AND (delayed_ts > ?3 OR (delayed_ts = ?3 AND id > ?4))
                     ORDER BY delayed_ts, id
                     LIMIT ?5"
                ),
                params![prefix, by, ts, id, limit],
            )
        })
    }

    /// The tasks that are not done, those due first in front.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_pending_delayed_tasks(&self) -> Result<Vec<DelayedTask>> {
        self.read("tasks.get_pending_delayed_tasks", Route::Shared, |tx| {
            tx.query(select_tasks!("WHERE NOT is_done ORDER BY delayed_ts, id"), params![])
        })
    }
}
