//! `bot db journal` and `bot db strays`: what waits and what was kept aside, and rows in files that do not own them.

use super::{Db, PATIENCE, Whom, ask, tell, who_runs};
use crate::app::{AppError, Outcome};
use crate::cli::{JournalArgs, StraysArgs};
use crate::control::leftovers::{Clearing, JournalReport, Lacking, Settle, SettledReport, StraysReport, Unfinished};
use crate::control::protocol::{Answer, Command};
use crate::databases;
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;
use crate::text::table::{Column, table};

/// How much longer a bot may take that reads or compares files as a whole.
const LONG: u32 = 60;

impl Db {
    pub(super) fn journal(&self, whom: Whom<'_>, what: &JournalArgs) -> Result<Outcome, AppError> {
        let JournalArgs { source, limit, retry, drop } = what;
        match (source, drop) {
            (Some(source), Some(id)) => return self.settle(whom, source, Settle::Drop(id.clone())),
            (Some(source), None) if *retry => return self.settle(whom, source, Settle::Retry),
            _ => {}
        }
        let report = match whom {
            Whom::Bot(client, wait) => {
                let command = Command::Journal { source: source.as_ref().map(ToString::to_string), most: *limit };
                let fits = |answer| if let Answer::Journal(report) = answer { Some(report) } else { None };
                ask(client, command, PATIENCE + wait, fits)?
            }
            Whom::Files(config, mute) => {
                let report = databases::look_at_journal(&config.database, source.as_ref(), *limit)?;
                self.say(&format!("{} This is what the files show.", who_runs(config, mute)));
                report
            }
        };
        self.tell(&report, |report| journal(report, tell::columns()))?;
        Ok(if report.missing.is_empty() { Outcome::Done } else { Outcome::DoneInPart })
    }

    fn settle(&self, whom: Whom<'_>, source: &database::SourceName, what: Settle) -> Result<Outcome, AppError> {
        let report = match whom {
            Whom::Bot(client, wait) => {
                let fits = |answer| if let Answer::Settled(report) = answer { Some(report) } else { None };
                ask(client, Command::Settle { source: source.to_string(), what }, PATIENCE + wait, fits)?
            }
            // Where a process is in charge that cannot be asked, the lock says so.
            Whom::Files(config, _) => databases::settle(config, source, &what)?,
        };
        self.tell(&report, |report| settled(report, tell::columns()))?;
        Ok(match (report.settled, report.still.is_empty()) {
            (_, true) => Outcome::Done,
            (0, false) => Outcome::Failed,
            (_, false) => Outcome::DoneInPart,
        })
    }

    pub(super) fn strays(&self, whom: Whom<'_>, what: StraysArgs) -> Result<Outcome, AppError> {
        let StraysArgs { clear, different, only_here } = what;
        let clearing = Clearing { different, only_here };
        let report = match whom {
            Whom::Bot(client, wait) => {
                let fits = |answer| if let Answer::Strays(report) = answer { Some(report) } else { None };
                let command = if clear { Command::ClearStrays(clearing) } else { Command::Strays };
                ask(client, command, PATIENCE + wait * LONG, fits)?
            }
            Whom::Files(config, _) if clear => databases::clear_strays(config, clearing)?,
            Whom::Files(config, mute) => {
                let report = databases::look_at_strays(&config.database)?;
                self.say(&format!("{} This is what the files show.", who_runs(config, mute)));
                report
            }
        };
        self.tell(&report, |report| strays(report, only_here, tell::columns()))?;
        Ok(if report.is_whole() { Outcome::Done } else { Outcome::DoneInPart })
    }
}

/// What waits and what was kept aside.
fn journal(report: &JournalReport, terminal: Option<usize>) -> String {
    let JournalReport { counts, entries, missing, .. } = report;
    let mut text = String::new();
    for one in counts {
        let (waiting, parked) = (thousands(one.waiting), thousands(one.parked));
        text.push_str(&format!("{}: {waiting} waiting to come home, {parked} kept aside.\n", one.source));
    }
    if counts.is_empty() {
        text.push_str(match missing.is_empty() {
            true => "Nothing waits, and nothing was kept aside.\n",
            false => "Nothing is known to wait or to be kept aside; not everything could be read:\n",
        });
    }
    if !entries.is_empty() {
        text.push('\n');
        text.push_str(&entries_table(entries, terminal));
    }
    let all: u64 = counts.iter().map(|one| one.waiting + one.parked).sum();
    let untold = all.saturating_sub(entries.len() as u64);
    if untold > 0 {
        text.push_str(&format!("({} more; --limit shows them)\n", thousands(untold)));
    }
    text + &lacking(missing)
}

fn entries_table(entries: &[crate::control::leftovers::JournalEntry], terminal: Option<usize>) -> String {
    let columns = [
        Column::Left("SOURCE"),
        Column::Left("ID"),
        Column::Left("WRITTEN (UTC)"),
        Column::Right("CHAT"),
        Column::Left("WHAT"),
        Column::Left("STATE"),
    ];
    let dash = || "-".to_owned();
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            let state =
                entry.reason.as_ref().map_or_else(|| "waits".to_owned(), |reason| format!("kept aside: {reason}"));
            vec![
                entry.source.clone(),
                sanitize_line(&entry.id).into_owned(),
                entry.at.clone().unwrap_or_else(dash),
                entry.chat.map_or_else(dash, |chat| chat.to_string()),
                if entry.op.is_empty() { "(not understood)".to_owned() } else { sanitize_line(&entry.op).into_owned() },
                sanitize_line(&state).into_owned(),
            ]
        })
        .collect();
    table(&columns, &rows, terminal)
}

/// What came of dealing with what was kept aside.
fn settled(report: &SettledReport, terminal: Option<usize>) -> String {
    let SettledReport { source, settled, still } = report;
    let mut text = format!("{source}: {} dealt with.\n", counted(*settled, "write", "writes"));
    if !still.is_empty() {
        text.push_str("These cannot be made, and stay aside:\n\n");
        text.push_str(&entries_table(still, terminal));
    }
    text
}

/// The rows in files that do not own them; of one chat where only those were meant.
fn strays(report: &StraysReport, only_of: Option<i64>, terminal: Option<usize>) -> String {
    let StraysReport { cleared, strays, unfinished, missing, .. } = report;
    if strays.is_empty() {
        let whose = only_of.map_or_else(|| "chats that live".to_owned(), |chat| format!("chat {chat} that lives"));
        return format!("No database has rows of {whose} in another.\n") + &lacking(missing);
    }
    let mut columns = vec![
        Column::Left("SOURCE"),
        Column::Right("CHAT"),
        Column::Left("LIVES IN"),
        Column::Left("TABLE"),
        Column::Right("ROWS"),
    ];
    if *cleared {
        columns.extend([Column::Right("DELETED"), Column::Right("ONLY HERE"), Column::Right("DIFFERENT")]);
    }
    let rows: Vec<_> = strays
        .iter()
        .map(|stray| {
            let mut row = vec![
                stray.source.clone(),
                stray.chat.to_string(),
                stray.home.clone(),
                stray.table.clone(),
                thousands(stray.rows),
            ];
            if *cleared {
                row.extend([stray.deleted, stray.only_here, stray.different].map(thousands));
            }
            row
        })
        .collect();
    let mut text = table(&columns, &rows, terminal);
    let mut told = Vec::new();
    for stray in strays {
        if let Some(why) = &stray.why {
            let line = format!("{}, chat {}: {}\n", stray.source, stray.chat, sanitize_line(why));
            if !told.contains(&line) {
                told.push(line);
            }
        }
    }
    if !told.is_empty() {
        text.push_str("\nWhat stays:\n");
        text.extend(told);
    }
    if !unfinished.is_empty() {
        text.push('\n');
    }
    text.extend(unfinished.iter().map(|Unfinished { chat, what, remedy, .. }| {
        format!("{}\n", sanitize_line(&format!("Chat {chat}: {what}; {remedy}")))
    }));
    text + &lacking(missing)
}

fn lacking(missing: &[Lacking]) -> String {
    let line = |lacking: &Lacking| format!("Incomplete: {}: {}\n", lacking.source, sanitize_line(&lacking.reason));
    missing.iter().map(line).collect()
}
