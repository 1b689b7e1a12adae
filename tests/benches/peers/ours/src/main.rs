//! The host of this project's database crate and of rusqlite alone, both with the same SQLite. It also makes the files
//! for all contenders, and looks at them afterwards.

mod check;
mod crowd;
mod many;
mod ours;
mod prepare;
#[path = "../../contest/rusqlite.rs"]
mod rusqlite_calls;
#[path = "../../contest/rusqlite_threads.rs"]
mod rusqlite_threads;
mod together;

use std::process::ExitCode;

fn main() -> ExitCode {
    contest::main(|job| {
        let outcome = match job.contender.as_str() {
            "ours" => ours::run(job)?,
            "rusqlite" => rusqlite_threads::rusqlite(job),
            "rusqlite, together" => together::together(job),
            "ours, all at a time" | "ours, one after the other" => many::cross(job)?,
            "ours, many" | "rusqlite, a connection a call" | "rusqlite, a connection a call, log left" => {
                crowd::crowd(job)?
            }
            "prepare" => prepare::prepare(job)?,
            "count" => check::count(job)?,
            other => return Err(format!("no contender is called `{other}`").into()),
        };
        Ok(contest::Outcome { sqlite: rusqlite::version().to_owned(), ..outcome })
    })
}
