//! Runs the benchmarks' contenders in turns, each in a process of its own, and prints what came of it as Markdown.
//!
//! ```text
//! cargo run --release --manifest-path tests/benches/peers/Cargo.toml -- [OPTION]... [ROW]...
//! cargo run --release --manifest-path tests/benches/peers/Cargo.toml -- instructions
//! ```
//!
//! Without the name of a row all are run, which takes half an hour. `--list` names the rows. The exit code is 1 where a
//! contender gave a wrong answer or lost a write; a figure below its floor fails nothing.
//!
//! - `--quick`: little data and short turns, which only shows that everything works, in some minutes
//! - `--turns N`: so many turns
//! - `--calls N`: so many calls of each task, in the rows that count calls and not time (`many`, `many-long`)
//! - `--scratch DIR`: where the files are made
//! - `--priority`: contenders go before whatever else the machine does (wants root): on a busy machine a
//!   single thread that waits for the disk is not woken before the next tick of the scheduler otherwise

mod hosts;
mod instructions;
mod machine;
mod rows;
mod table;
mod turns;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use hosts::Hosts;

/// Anything that keeps the benchmarks from being run.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line says.
struct Arguments {
    quick: bool,
    turns: Option<usize>,
    calls: Option<usize>,
    scratch: Option<PathBuf>,
    list: bool,
    priority: bool,
    rows: Vec<String>,
}

fn main() -> ExitCode {
    let done = arguments().and_then(|arguments| run(&arguments));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Arguments> {
    let (turns, calls, scratch) = Default::default();
    let mut arguments =
        Arguments { quick: false, turns, calls, scratch, list: false, priority: false, rows: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => arguments.quick = true,
            "--priority" => arguments.priority = true,
            "--list" => arguments.list = true,
            "--turns" => arguments.turns = Some(words.next().ok_or("--turns wants a number")?.parse()?),
            "--calls" => arguments.calls = Some(words.next().ok_or("--calls wants a number")?.parse()?),
            "--scratch" => arguments.scratch = Some(words.next().ok_or("--scratch wants a folder")?.into()),
            other if other.starts_with('-') => return Err(format!("unknown option {other}").into()),
            row => arguments.rows.push(row.to_owned()),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<bool> {
    let mut rows = rows::all(arguments.quick);
    for row in &mut rows {
        row.calls = row.calls.map(|usual| arguments.calls.unwrap_or(usual));
    }
    if arguments.list {
        let names: Vec<_> = rows.iter().map(|row| format!("{:16} {}\n", row.name, row.title)).collect();
        std::io::stdout().write_all(names.concat().as_bytes())?;
        return Ok(true);
    }
    let is_known = |name: &&String| name.as_str() != "instructions" && rows.iter().all(|row| row.name != name.as_str());
    if let Some(unknown) = arguments.rows.iter().find(is_known) {
        return Err(format!("no row is called {unknown}; --list names them").into());
    }
    let hosts = Hosts::build(arguments.scratch.clone(), arguments.priority)?;
    let mut out = std::io::stdout();
    if arguments.rows.iter().any(|name| name == "instructions") {
        out.write_all(instructions::count(&hosts)?.as_bytes())?;
        return Ok(true);
    }
    let mut summary = table::Summary::default();
    let mut is_right = true;
    for row in rows.iter().filter(|row| arguments.rows.is_empty() || arguments.rows.iter().any(|name| name == row.name))
    {
        let turns = arguments.turns.unwrap_or(if arguments.quick { 2 } else { row.turns });
        let results = turns::run(&hosts, row, turns)?;
        is_right &= results.is_right();
        out.write_all(table::detail(row, &results).as_bytes())?;
        summary.add(row, &results);
    }
    out.write_all(summary.print().as_bytes())?;
    Ok(is_right)
}

/// Says something to whoever waits.
fn tell(text: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
