//! No way to answer callers, but what SQLite does for as many messages where nobody has to be answered, woken or waited
//! for: one thread, one connection, a commit for sixteen. What a call takes says nothing here, since the commit is in one
//! of sixteen.

use contest::{Caller, Failure, Job, Outcome, Tasks, Work};
use rusqlite::Connection;

use crate::rusqlite_calls::{insert, open};

/// What many callers want to store, stored by one thread: a message of each in every transaction.
struct Together {
    connection: Connection,
    /// What each of them wants to store.
    wanted: Vec<Tasks>,
}

impl Together {
    fn store(&self, task: usize) -> rusqlite::Result<bool> {
        let (caller, number) = (task % self.wanted.len(), task / self.wanted.len());
        let Tasks::Save(messages) = &self.wanted[caller] else { return Ok(false) };
        if caller == 0 {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        }
        let is_new = insert(&self.connection, &messages[number])?;
        if caller == self.wanted.len() - 1 {
            self.connection.prepare_cached("COMMIT")?.raw_execute()?;
        }
        Ok(is_new)
    }
}

impl Caller for Together {
    fn load(&mut self, _first: Tasks) {}

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        match self.store(task) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Other("the message is there already".to_owned())),
            Err(error) => Err(Failure::of(error)),
        }
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT").expect("what is left is committed");
        }
    }
}

/// Runs the job of as many callers as connections are named, on one thread and one connection.
pub(crate) fn together(job: &Job) -> Outcome {
    assert_eq!((job.work, job.callers), (Work::Save, 1));
    let wanted = Job { callers: job.connections, ..job.clone() };
    contest::run(job, |_| Together {
        connection: open(&job.path, job.durability).expect("the file is a database"),
        wanted: (0..job.connections as u64).map(|caller| Tasks::of(&wanted, caller)).collect(),
    })
}
