//! What the programs of the contenders do alike: read the job, print what came of it.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use crate::job::{Job, Outcome};

/// The `main` of a host: its one argument is a job, what it prints is the outcome, both as JSON.
pub fn main(run: impl FnOnce(&Job) -> Result<Outcome, Box<dyn Error>>) -> ExitCode {
    let answer = || -> Result<String, Box<dyn Error>> {
        let text = std::env::args().nth(1).ok_or("usage: HOST JOB (the driver starts this program)")?;
        let job: Job = serde_json::from_str(&text)?;
        Ok(serde_json::to_string(&run(&job)?)?)
    };
    match answer() {
        Ok(text) => {
            // The driver reads it; where it is gone there is nobody to tell.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
