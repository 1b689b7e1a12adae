//! The host of the contenders that are built on rusqlite 0.40, and of diesel, which wants the same version of SQLite.

mod diesel_pool;
#[path = "../../contest/rusqlite.rs"]
mod rusqlite_calls;
mod threads;
mod tokios;

use std::process::ExitCode;

fn main() -> ExitCode {
    contest::main(|job| {
        let outcome = match job.contender.as_str() {
            "rusqlite-0.40" => threads::rusqlite(job),
            "r2d2_sqlite" => threads::r2d2(job)?,
            "diesel" => diesel_pool::diesel(job)?,
            "deadpool-sqlite" => tokios::deadpool(job)?,
            "tokio-rusqlite" => tokios::tokio_rusqlite(job)?,
            other => return Err(format!("no contender is called `{other}`").into()),
        };
        Ok(contest::Outcome { sqlite: rusqlite::version().to_owned(), ..outcome })
    })
}
