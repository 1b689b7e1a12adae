//! The contenders whose callers are threads.

use std::error::Error;

use contest::{Caller, Failure, Job, Outcome, Tasks, sql};
use r2d2_sqlite::SqliteConnectionManager;

use super::rusqlite_calls::{configure, flags, perform};

#[path = "../../contest/rusqlite_threads.rs"]
mod rusqlite_threads;
pub(crate) use rusqlite_threads::rusqlite;

type Pool = r2d2::Pool<SqliteConnectionManager>;

struct R2d2<'a> {
    pool: &'a Pool,
    tasks: Tasks,
}

impl Caller for R2d2<'_> {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = tasks;
    }

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        let mut connection = self.pool.get().map_err(Failure::of)?;
        perform(&mut connection, &self.tasks, task)
    }
}

pub(crate) fn r2d2(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let durability = job.durability;
    let manager = SqliteConnectionManager::file(&job.path)
        .with_flags(flags())
        .with_init(move |connection| configure(connection, durability));
    let size = u32::try_from(job.connections)?;
    let pool = Pool::builder().max_size(size).connection_timeout(sql::TIMEOUT).build(manager)?;
    Ok(contest::run(job, |_| R2d2 { pool: &pool, tasks: Tasks::Newest(Vec::new()) }))
}
