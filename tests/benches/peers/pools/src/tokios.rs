//! The contenders whose callers are tasks of tokio.

use std::error::Error;
use std::sync::Arc;

use contest::{AsyncCaller, Failure, Job, Outcome, Tasks, sql};
use deadpool_sqlite::{Config, Hook, HookError, Pool, Runtime};

use super::rusqlite_calls::{configure, open, perform};

struct Deadpool {
    pool: Pool,
    tasks: Arc<Tasks>,
}

impl AsyncCaller for Deadpool {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = Arc::new(tasks);
    }

    async fn call(&mut self, task: usize) -> Result<(), Failure> {
        let connection = self.pool.get().await.map_err(Failure::of)?;
        let tasks = Arc::clone(&self.tasks);
        connection.interact(move |connection| perform(connection, &tasks, task)).await.map_err(Failure::of)?
    }
}

pub(crate) fn deadpool(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let durability = job.durability;
    runtime()?.block_on(async {
        let prepare = Hook::async_fn(move |connection, _| {
            Box::pin(async move {
                let configured = connection.interact(move |connection| configure(connection, durability)).await;
                configured.map_err(|error| HookError::message(error.to_string()))?.map_err(HookError::Backend)
            })
        });
        let pool = Config::new(&job.path)
            .builder(Runtime::Tokio1)?
            .max_size(job.connections)
            .wait_timeout(Some(sql::TIMEOUT))
            .post_create(prepare)
            .build()?;
        let none = Arc::new(Tasks::Newest(Vec::new()));
        let caller = |_| Deadpool { pool: pool.clone(), tasks: Arc::clone(&none) };
        Ok(contest::run_async(job, (0..job.callers).map(caller).collect()).await)
    })
}

struct TokioRusqlite {
    connection: tokio_rusqlite::Connection,
    tasks: Arc<Tasks>,
}

impl AsyncCaller for TokioRusqlite {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = Arc::new(tasks);
    }

    async fn call(&mut self, task: usize) -> Result<(), Failure> {
        let tasks = Arc::clone(&self.tasks);
        let answer =
            self.connection.call(move |connection| Ok::<_, rusqlite::Error>(perform(connection, &tasks, task)));
        answer.await.map_err(Failure::of)?
    }
}

pub(crate) fn tokio_rusqlite(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    runtime()?.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..job.connections {
            connections.push(tokio_rusqlite::Connection::from(open(&job.path, job.durability)?));
        }
        let caller = |number: usize| TokioRusqlite {
            connection: connections[number % connections.len()].clone(),
            tasks: Arc::new(Tasks::Newest(Vec::new())),
        };
        Ok(contest::run_async(job, (0..job.callers).map(caller).collect()).await)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
