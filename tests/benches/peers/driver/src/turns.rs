//! Contenders in turns: all of them once, then all of them again, so that what the machine does meanwhile hits all alike.

use contest::{CHATS, Job, Outcome, Work};

use crate::hosts::{Host, Hosts};
use crate::machine::Machine;
use crate::rows::{Entrant, Row};
use crate::{Result, tell};

/// What came of a row: for each entrant, turn by turn.
pub(crate) struct Results {
    pub(crate) of: Vec<Vec<Outcome>>,
    /// Answers that were wrong, writes that were lost.
    pub(crate) faults: Vec<String>,
    /// Which share of the processors other programs used meanwhile, in hundredths.
    pub(crate) others: u64,
}

impl Results {
    pub(crate) fn is_right(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Runs a row.
pub(crate) fn run(hosts: &Hosts, row: &Row, turns: usize) -> Result<Results> {
    let mut results = Results { of: vec![Vec::new(); row.entrants.len()], faults: Vec::new(), others: 0 };
    let before = Machine::now();
    let keeps = matches!(row.work, Work::Setting | Work::Message | Work::Newest | Work::Cross | Work::Many);
    for turn in 1..=turns {
        for (number, entrant) in row.entrants.iter().enumerate() {
            let place = if keeps { format!("kept-{}-{}", entrant.stored, entrant.size) } else { "fresh".to_owned() };
            let job = if keeps && hosts.is_made(&place) {
                job(hosts, row, entrant, &place)?
            } else {
                make(hosts, row, entrant, &place)?
            };
            let outcome = hosts.run_with(entrant.allocator, entrant.host, &job)?;
            let Outcome { busy, failed, .. } = outcome;
            let rate = outcome.rate();
            tell(&format!("{} {turn}/{turns}: {}: {rate:.0}/s, {busy} busy, {failed} failed", row.name, entrant.label));
            if let Some(text) = &outcome.first_failure {
                results.faults.push(format!("{}: {failed} calls failed, the first: {text}", entrant.label));
            }
            if matches!(row.work, Work::Save | Work::Import) {
                check(hosts, row, entrant, &job, &outcome, &mut results.faults)?;
            }
            if !keeps {
                hosts.clear(&place)?;
            }
            results.of[number].push(outcome);
        }
    }
    results.others = Machine::now().others_since(before);
    hosts.clear_all()?;
    Ok(results)
}

/// Whether every write that was answered is in the file, once, and counted.
fn check(
    hosts: &Hosts,
    row: &Row,
    entrant: &Entrant,
    job: &Job,
    outcome: &Outcome,
    faults: &mut Vec<String>,
) -> Result<()> {
    let found = hosts.run(Host::Ours, &Job { contender: "count".to_owned(), ..job.clone() })?;
    let before = entrant.stored * if row.work == Work::Import { 1 } else { CHATS };
    let answered = outcome.acknowledged;
    if found.ops != before + answered || found.acknowledged != answered {
        let (stored, counted) = (found.ops - before, found.acknowledged);
        let label = &entrant.label;
        faults.push(format!("{label}: {answered} writes were answered, {stored} stored, {counted} counted"));
    }
    Ok(())
}

/// The job of an entrant, its files made.
pub(crate) fn make(hosts: &Hosts, row: &Row, entrant: &Entrant, place: &str) -> Result<Job> {
    hosts.place(place)?;
    let job = job(hosts, row, entrant, place)?;
    // The chat that is read, if it is read routed, is in a file of a folder.
    let path = if row.work == Work::Setting { hosts.folder(place) } else { job.path.clone() };
    hosts.run(Host::Ours, &Job { contender: "prepare".to_owned(), path, ..job.clone() })?;
    Ok(job)
}

fn job(hosts: &Hosts, row: &Row, entrant: &Entrant, place: &str) -> Result<Job> {
    let folder = hosts.folder(place);
    let path = match row.work {
        Work::Cross | Work::Many => folder,
        Work::Setting if entrant.contender == "ours" => folder,
        Work::Setting => folder.join("source-0.db"),
        Work::Save | Work::Message | Work::Newest | Work::Import => folder.join("bot.db"),
    };
    Ok(Job {
        contender: entrant.contender.to_owned(),
        work: row.work,
        durability: row.durability,
        callers: entrant.callers.unwrap_or(row.callers),
        connections: entrant.connections,
        path,
        warm_ms: row.warm_ms,
        measure_ms: row.measure_ms,
        pause_us: row.pause_us,
        calls: row.calls,
        stored: entrant.stored,
        size: entrant.size,
    })
}
