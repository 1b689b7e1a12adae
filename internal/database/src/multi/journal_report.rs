//! What waits to be made at home, and what was kept aside there: told without a word of what somebody wrote.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use rusqlite::types::ValueRef as Stored;

use super::control::Control;
use super::standin::{ServedBy, can_come_home, ownerless};
use super::standin_files;
use crate::config::DatabaseConfig;
use crate::error::Result;
use crate::gathered::Missing;
use crate::ids::ChatId;
use crate::params;
use crate::route::{Route, SourceName};
use crate::source::{Found, Operation, ReadTx, SourceConfig, Step, Value, look_closer};
use crate::sources::{Topology as _, unknown_source};
use crate::time::Timestamp;

/// A write that waits for its source to come back, or that could not be made there and was kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The source that it belongs to.
    pub source: SourceName,
    /// What it is called among all of the source: the beginning of the absence's name, and its number in that.
    pub id: String,
    /// The method that wrote, as `room.method`; empty where the entry cannot be read.
    pub op: String,
    /// The chat whose rows it is about; `None` where it is about none, or the entry cannot be read.
    pub chat: Option<ChatId>,
    /// The latest moment among what was written: for most methods that of the write. `None` where there is none.
    pub at: Option<Timestamp>,
    /// Why it was kept aside; `None` where it waits.
    pub reason: Option<String>,
}

/// What waits and what was kept aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalReport {
    /// The writes: those that wait in the order in which they will be made, then those that were kept aside in the
    /// order in which they were; source by source, so many of each at most.
    pub entries: Vec<JournalEntry>,
    /// How many there are of each source that has any: that wait, and that were kept aside.
    pub counts: BTreeMap<SourceName, (u64, u64)>,
    /// The sources of which not everything could be read, and why.
    pub missing: Vec<Missing>,
    /// Why what stands in for a source could not be read, so that it is not known how much waits.
    pub(super) unread: BTreeMap<SourceName, String>,
}

/// How far the journals of each absence were made at a source.
pub(super) type Made = HashMap<String, i64>;

impl Control {
    /// What waits for the sources that are away, and what was kept aside at those that are open or can be opened: so
    /// many of each at most.
    ///
    /// # Errors
    /// A source was named, and there is none of this name. One that cannot be read is named in the answer.
    pub fn journal(&self, source: Option<&SourceName>, most: usize) -> Result<JournalReport> {
        const OP: &str = "multi.journal";
        let table = self.router.table();
        if let Some(name) = source
            && table.named(name.as_str()).is_none()
        {
            return Err(unknown_source(&*table, OP, name.as_str()));
        }
        let mut report = JournalReport::default();
        let mut made_at = HashMap::new();
        for (place, home) in table.sources.iter().enumerate() {
            let name = home.name();
            if source.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let away = table.away_of(place);
            let mut made = Made::new();
            // One that is away and closed is not opened for this.
            if away.is_none() || home.is_open() {
                let read = home.read(OP, |tx| {
                    tx.snapshot()?;
                    Ok((read_made(tx)?, parked(tx, name, most)?))
                });
                made = report.take(name, read.map(|(made, (count, entries))| (made, (0, count), entries)));
            } else {
                report.lack(name, "it is away; what was kept aside there before is not listed");
            }
            if let Some(away) = away {
                // Older than what stands in for it, where that is another.
                let earlier = table.sources.first().filter(|default| away.by == ServedBy::StandIn && default.is_open());
                for file in earlier.into_iter().chain([&away.serving]) {
                    let read = file.read(OP, |tx| {
                        tx.snapshot()?;
                        waiting(tx, name, &made, most)
                    });
                    report.take(name, read.map(|(count, entries)| (Made::new(), (count, 0), entries)));
                }
            }
            made_at.insert(name.clone(), made);
        }
        let config = self.router.with_plan(|plan| plan.config.clone());
        report.add_left_files(&config, source, &made_at, most);
        Ok(report.sorted())
    }
}

/// The same while no bot runs, as the files show it. Changes nothing.
pub fn look_at_journal(config: &DatabaseConfig, source: Option<&SourceName>, most: usize) -> JournalReport {
    const OP: &str = "look.journal";
    let mut report = JournalReport::default();
    let wanted = |name: &SourceName| source.is_none_or(|wanted| wanted == name);
    let mut made = HashMap::new();
    for settings in config.sources.values().filter(|settings| wanted(&settings.name)) {
        let (seen, name) = (look_closer(settings), &settings.name);
        if let Found::Unusable { reason } = &seen.look.found {
            report.lack(name, reason);
        }
        let read = seen.read(OP, |tx| {
            tx.snapshot()?;
            Ok((read_made(tx)?, parked(tx, name, most)?))
        });
        if let Some(read) = read {
            let of_source = report.take(name, read.map(|(made, (count, entries))| (made, (0, count), entries)));
            made.insert(name.clone(), of_source);
        }
    }
    let none = Made::new();
    let made_at = |name: &SourceName| made.get(name).unwrap_or(&none);
    if let Some(default) = config.sources.get(&config.default_source) {
        let seen = look_closer(default);
        for name in config.sources.keys().filter(|name| wanted(name)) {
            if let Some(read) = seen.read(OP, |tx| {
                tx.snapshot()?;
                waiting(tx, name, made_at(name), most)
            }) {
                report.take(name, read.map(|(count, entries)| (Made::new(), (count, 0), entries)));
            }
        }
    }
    // Of a stand-in that cannot come home it is told below.
    for (name, settings) in standin_files::all(config) {
        if !wanted(&name) || can_come_home(config, &name).is_none() {
            continue;
        }
        let seen = look_closer(&settings);
        if let Found::Unusable { reason } = &seen.look.found {
            report.lack(&name, reason);
            report.unread.insert(name.clone(), reason.clone());
        }
        if let Some(read) = seen.read(OP, |tx| {
            tx.snapshot()?;
            waiting(tx, &name, made_at(&name), most)
        }) {
            if let Err(error) = &read {
                report.unread.insert(name.clone(), error.kind().to_string());
            }
            report.take(&name, read.map(|(count, entries)| (Made::new(), (count, 0), entries)));
        }
    }
    report.add_left_files(config, source, &made, most);
    report.sorted()
}

impl JournalReport {
    /// Takes what was read of a source, or notes that it could not be; answers how far its journals were made.
    fn take(&mut self, name: &SourceName, read: Result<(Made, (u64, u64), Vec<JournalEntry>)>) -> Made {
        match read {
            Ok((made, (waiting, parked), entries)) => {
                if waiting + parked > 0 {
                    let counts = self.counts.entry(name.clone()).or_default();
                    *counts = (counts.0 + waiting, counts.1 + parked);
                }
                self.entries.extend(entries);
                made
            }
            Err(error) => {
                self.lack(name, &error.kind().to_string());
                Made::new()
            }
        }
    }

    fn lack(&mut self, name: &SourceName, reason: &str) {
        self.missing.push(Missing { source: name.clone(), reason: reason.to_owned() });
    }

    /// Adds the stand-ins of sources that are not configured any more, or not so that something can be written there: what
    /// is in them waits for that. Names those that were set aside.
    fn add_left_files(
        &mut self,
        config: &DatabaseConfig,
        source: Option<&SourceName>,
        made_at: &HashMap<SourceName, Made>,
        most: usize,
    ) {
        let wanted = |name: &SourceName| source.is_none_or(|wanted| wanted == name);
        for name in config.sources.keys().filter(|name| wanted(name)) {
            for file in standin_files::all_aside(config, name) {
                let file = file.display();
                self.lack(name, &format!("what only {file} holds, which stood in for it, was set aside"));
            }
        }
        let none = Made::new();
        for (name, path) in ownerless(config).into_iter().filter(|(name, _)| wanted(name)) {
            let made = made_at.get(&name).unwrap_or(&none);
            let seen = look_closer(&SourceConfig { name: name.clone(), ..SourceConfig::new(&path) });
            let read = seen.read("look.ownerless", |tx| {
                tx.snapshot()?;
                waiting(tx, &name, made, most)
            });
            if let Some(read) = read {
                self.take(&name, read.map(|(count, entries)| (Made::new(), (count, 0), entries)));
            }
            let (what, remedy) = match config.sources.get(&name) {
                None => ("not configured", "configure it again"),
                Some(settings) if settings.readonly => ("only read", "configure it so that it can be written"),
                Some(_) => ("the default source", "let another be that"),
            };
            self.lack(&name, &format!("it is {what}, and {} holds writes of its chats; {remedy}", path.display()));
        }
    }

    fn sorted(mut self) -> Self {
        self.entries
            .sort_by(|one, other| (&one.source, one.reason.is_some()).cmp(&(&other.source, other.reason.is_some())));
        self.missing.sort_by(|one, other| (&one.source, &one.reason).cmp(&(&other.source, &other.reason)));
        self
    }
}

/// How far the journals of each absence were made in this file.
pub(super) fn read_made(tx: &ReadTx<'_>) -> Result<Made> {
    let mut made = Made::new();
    if tx.has_table("switchyard_made")? {
        tx.scan_stored("SELECT episode, seq FROM switchyard_made", &[], |row| {
            made.insert(row.get(0)?, row.get(1)?);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(made)
}

/// How many writes of a source wait in this file, those that are made at home already not counted.
pub(super) fn count_waiting(tx: &ReadTx<'_>, name: &SourceName, made: &Made) -> Result<u64> {
    count_after_done(tx, name, made).map(|(count, _)| count)
}

/// The same, and the number up to which they are made at home.
fn count_after_done(tx: &ReadTx<'_>, name: &SourceName, made: &Made) -> Result<(u64, i64)> {
    if !tx.has_table("switchyard_journal")? {
        return Ok((0, 0));
    }
    let done = done(tx, name, made)?;
    let sql = "SELECT COUNT(*) FROM switchyard_journal WHERE source = ?1 AND seq > ?2";
    let count: Option<u64> = tx.value("switchyard_journal", sql, params![name.as_str(), done])?;
    Ok((count.unwrap_or_default(), done))
}

/// How many writes were kept aside in this file.
pub(super) fn count_parked(tx: &ReadTx<'_>) -> Result<u64> {
    if !tx.has_table("switchyard_parked")? {
        return Ok(0);
    }
    let sql = "SELECT COUNT(*) FROM switchyard_parked";
    tx.value("switchyard_parked", sql, params![]).map(Option::unwrap_or_default)
}

/// The number up to which a source's writes in this file are made at home: they are made in order.
fn done(tx: &ReadTx<'_>, name: &SourceName, made: &Made) -> Result<i64> {
    let mut done = 0;
    if !made.is_empty() {
        let sql = "SELECT DISTINCT episode FROM switchyard_journal WHERE source = ?1";
        tx.scan_stored(sql, &[Stored::Text(name.as_str().as_bytes())], |row| {
            done = done.max(made.get(&row.get::<_, String>(0)?).copied().unwrap_or_default());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(done)
}

fn waiting(tx: &ReadTx<'_>, name: &SourceName, made: &Made, most: usize) -> Result<(u64, Vec<JournalEntry>)> {
    let (count, done) = count_after_done(tx, name, made)?;
    if count == 0 {
        return Ok((0, Vec::new()));
    }
    let sql = "SELECT episode, seq, operation, NULL FROM switchyard_journal
               WHERE source = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let name_text = Stored::Text(name.as_str().as_bytes());
    let entries = entries(tx, name, sql, &[name_text, Stored::Integer(done), limit(most)])?;
    Ok((count, entries))
}

fn parked(tx: &ReadTx<'_>, name: &SourceName, most: usize) -> Result<(u64, Vec<JournalEntry>)> {
    let count = count_parked(tx)?;
    if count == 0 {
        return Ok((0, Vec::new()));
    }
    let sql = "SELECT episode, seq, operation, reason FROM switchyard_parked ORDER BY rowid LIMIT ?1";
    Ok((count, entries(tx, name, sql, &[limit(most)])?))
}

fn limit(most: usize) -> Stored<'static> {
    Stored::Integer(i64::try_from(most).unwrap_or(i64::MAX))
}

fn entries(tx: &ReadTx<'_>, name: &SourceName, sql: &str, params: &[Stored<'_>]) -> Result<Vec<JournalEntry>> {
    let mut entries = Vec::new();
    tx.scan_stored(sql, params, |row| {
        let (op, chat, at) = told(row.get_ref(2)?.as_str()?);
        let id = id(&row.get::<_, String>(0)?, row.get(1)?);
        entries.push(JournalEntry { source: name.clone(), id, op, chat, at, reason: row.get(3)? });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(entries)
}

/// What may be told of a write: the method, the chat, the moment.
pub(super) fn told(operation: &str) -> (String, Option<ChatId>, Option<Timestamp>) {
    match serde_json::from_str(operation) {
        Ok(Operation { op, route: Route::Chat(chat), steps }) => (op, Some(chat), latest(&steps)),
        Ok(Operation { op, steps, .. }) => (op, None, latest(&steps)),
        Err(_) => (String::new(), None, None),
    }
}

/// What a write is called among those of a source.
pub(super) fn id(episode: &str, seq: i64) -> String {
    let beginning: String = episode.chars().take(8).collect();
    format!("{beginning}:{seq}")
}

/// The latest moment that is written.
fn latest(steps: &[Step]) -> Option<Timestamp> {
    let of_step = |step: &Step| match step {
        Step::Execute { params, .. } => {
            let moment = |value: &Value| if let Value::Time(moment) = value { Some(*moment) } else { None };
            params.iter().filter_map(moment).max()
        }
        Step::Require { .. } => None,
        Step::OnlyIf { then, .. } => latest(then),
    };
    steps.iter().filter_map(of_step).max()
}
