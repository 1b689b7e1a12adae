//! The proof on a real export of full size: that the import is fast, exact, small in memory and not to be spoilt by being
//! killed, and that the bot's answers are fast on the largest chat.
//!
//! ```text
//! cargo run --release -p tests --features multi-source --bin full-size -- EXPORT [--rounds N]
//! ```
//!
//! (Without the feature there is no import into several sources.)
//!
//! `EXPORT` is a `result.json` as Telegram Desktop writes it, plain or compressed. What is found is printed as Markdown;
//! the exit code is 1 where a limit is broken. Everything is done in a temporary folder (`TMPDIR`), which needs room for
//! about twenty times the export.

mod answers;
mod file;
mod imports;
mod report;
#[cfg(feature = "multi-source")]
mod spread;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use report::Report;

/// Anything that keeps the proof from being made.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const IMPORT_LIMIT: Duration = Duration::from_secs(20);
const MEMORY_LIMIT: u64 = 10_000_000;
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// How many times as long the longer export is.
const TIMES: u64 = 10;
/// How often each question is asked.
const QUESTIONS: usize = 200;

fn main() -> ExitCode {
    // The same program is the bot, where it started itself as one.
    if std::env::var_os(imports::AS_BOT).is_some() {
        return bot::app::main();
    }
    let Some((export, rounds)) = arguments() else {
        eprint(&"usage: full-size EXPORT [--rounds N]");
        return ExitCode::from(2);
    };
    match prove(export, rounds) {
        Ok(report) => {
            report.print();
            if report.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprint(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(PathBuf, u32)> {
    let (mut export, mut rounds) = (None, 20);
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--rounds") => rounds = args.next()?.to_str()?.parse().ok()?,
            _ if export.is_none() => export = Some(PathBuf::from(arg)),
            _ => return None,
        }
    }
    Some((export?, rounds))
}

fn prove(export: PathBuf, rounds: u32) -> Result<Report> {
    let export = std::path::absolute(export)?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::default();

    eprint(&"counting what is in the file");
    let chats = file::count(&export)?;
    eprint(&"importing into a fresh database");
    let fresh = imports::run(&export, &folder.path().join("fresh"))?;
    report.time("import of the whole file", fresh.took, IMPORT_LIMIT);
    imports::compare(&chats, &fresh.database, &mut report)?;
    imports::kill_and_go_on(&export, &fresh, folder.path(), rounds, &mut report)?;

    #[cfg(feature = "multi-source")]
    spread::compare(&export, &chats, folder.path(), &mut report)?;

    eprint(&format!("measuring the memory that it and an export {TIMES} times as long need"));
    let mut peaks = Vec::new();
    for times in [1, TIMES] {
        let path = folder.path().join("made.json");
        let bytes = file::write_times(&export, &path, times)?;
        let done = imports::run(&path, &folder.path().join("made"))?;
        let messages: u64 = chats.iter().map(|chat| chat.messages).sum();
        imports::expect_messages(&done.database, messages * times, &mut report)?;
        report.memory(&format!("peak with {times} times the export, {} MB", bytes / 1_000_000), done.peak, None);
        report.note(&format!("import of {times} times the export"), &format!("{:.1} s", done.took.as_secs_f64()));
        peaks.push(done.peak);
        std::fs::remove_file(&path)?;
        std::fs::remove_dir_all(folder.path().join("made"))?;
    }
    report.memory("peak with the file itself", fresh.peak, None);
    report.memory("growth of the peak", peaks[1].saturating_sub(peaks[0]), Some(MEMORY_LIMIT));

    if let Some(largest) = chats.iter().max_by_key(|chat| chat.messages) {
        eprint(&format!("asking in the chat {} with {} messages", largest.id, largest.messages));
        answers::time(&fresh.database, largest.id, &mut report)?;
    }
    Ok(report)
}

/// Tells how far the proof is.
fn eprint(text: &dyn std::fmt::Display) {
    use std::io::Write as _;
    // Where even that fails there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
