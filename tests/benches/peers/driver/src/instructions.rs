//! Instructions of one call, counted by valgrind's callgrind: the same on every machine of a kind, however busy.

use std::fmt::Write;
use std::process::Command;

use contest::Job;

use crate::hosts::Hosts;
use crate::rows::{self, Row};
use crate::{Result, tell, turns};

/// What is counted.
struct Counted {
    row: &'static str,
    /// What is to be said beside the row's title.
    note: &'static str,
    /// How many calls the shorter of two runs makes, and how many the longer: the difference leaves out the start.
    calls: [usize; 2],
    aim: &'static str,
}

/// All that is counted. So few writes that the log stays below the thousandth page, where SQLite's own checkpoints begin
/// for one contender and not for the other; and so many that they do.
const COUNTED: [Counted; 6] = [
    Counted { row: "save-durable-1", note: ", before any checkpoint", calls: [20, 120], aim: "1.05" },
    Counted { row: "save-durable-1", note: ", checkpoints of rusqlite's included", calls: [100, 1_100], aim: "1.05" },
    Counted { row: "setting-1", note: "", calls: [100, 600], aim: "1.10" },
    Counted { row: "message-1", note: "", calls: [100, 600], aim: "-" },
    Counted { row: "newest", note: ", of 1,000,000", calls: [100, 600], aim: "-" },
    Counted { row: "import", note: " (a batch)", calls: [2, 8], aim: "-" },
];

/// Counts, and answers a table.
pub(crate) fn count(hosts: &Hosts) -> Result<String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is needed (Debian: apt-get install valgrind)".into());
    }
    let mut table = "| one call | ours | rusqlite | ratio | floor | aim |\n|---|--:|--:|--:|--:|--:|\n".to_owned();
    let rows = rows::all(false);
    for Counted { row: name, note, calls, aim } in &COUNTED {
        let Some(row) = rows.iter().find(|row| row.name == *name) else { continue };
        let ours = of_one_call(hosts, row, "ours", *calls)?;
        let rusqlite = of_one_call(hosts, row, "rusqlite", *calls)?;
        let ratio = ours as f64 / rusqlite as f64;
        let title = row.title;
        let _ = writeln!(table, "| {title}{note} | {ours} | {rusqlite} | {ratio:.3} | - | {aim} |");
    }
    Ok(table)
}

fn of_one_call(hosts: &Hosts, row: &Row, contender: &str, both: [usize; 2]) -> Result<u64> {
    let found = row.entrants.iter().find(|entrant| entrant.contender == contender);
    let entrant = found.ok_or("the row has no such contender")?;
    let mut counted = Vec::new();
    for calls in both {
        let job = turns::make(hosts, row, entrant, "fresh")?;
        let job = Job { calls: Some(calls), callers: 1, ..job };
        let (program, argument) = hosts.command(entrant.host, &job)?;
        let profile = hosts.folder("fresh").join("callgrind.out");
        let output = Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(program)
            .arg(argument)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find_map(|line| line.split("Collected :").nth(1));
        let number = line.and_then(|number| number.trim().parse::<u64>().ok());
        counted.push(number.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind failed: {said}"))?);
        tell(&format!("{}: {contender}: {calls} calls", row.name));
    }
    Ok((counted[1] - counted[0]) / (both[1] - both[0]) as u64)
}
