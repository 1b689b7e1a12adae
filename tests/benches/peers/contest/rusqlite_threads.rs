//! rusqlite without a pool: a connection for each caller, or one behind a mutex.

use contest::{Caller, Failure, Job, Outcome, Tasks};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::rusqlite_calls::{open, perform};

enum Held<'a> {
    Own(Connection),
    Shared(&'a Mutex<Connection>),
}

struct Rusqlite<'a> {
    held: Held<'a>,
    tasks: Tasks,
}

impl Caller for Rusqlite<'_> {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = tasks;
    }

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        match &mut self.held {
            Held::Own(connection) => perform(connection, &self.tasks, task),
            Held::Shared(connection) => perform(&mut connection.lock(), &self.tasks, task),
        }
    }
}

/// Runs the job: callers share one connection where the job says one, else each has its own.
pub(crate) fn rusqlite(job: &Job) -> Outcome {
    let connect = || open(&job.path, job.durability).expect("the file is a database");
    let tasks = || Tasks::Newest(Vec::new());
    if job.connections == 1 && job.callers > 1 {
        let shared = Mutex::new(connect());
        contest::run(job, |_| Rusqlite { held: Held::Shared(&shared), tasks: tasks() })
    } else {
        contest::run(job, |_| Rusqlite { held: Held::Own(connect()), tasks: tasks() })
    }
}
