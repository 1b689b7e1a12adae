//! Writes that waited for a source when the backup was made: they were answered, and are in no other copy.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::Deserialize;

use super::set::Checked;
use crate::ids::ChatId;
use crate::maintenance::copy;
use crate::migrate;
use crate::route::{Route, SourceName};
use crate::source::{Database, NOTED_AFTER, Noted, SourceConfig, describe};
use crate::time::{Clock, SystemClock};

/// How long they may take at least.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many are made at a time.
const CHUNK: usize = 200;

/// Makes the writes that waited for the source when the backup was made: they were answered, and are in no other copy.
/// Answers how many were made, and how many of them were kept aside.
pub(super) fn make_waiting(settings: &SourceConfig, checked: &Checked) -> Result<(u64, u64), String> {
    let (mut made, mut parked) = (0, 0);
    let mut home = None;
    for journal in &checked.journals {
        let Some(journal) = reader(journal).map_err(|error| describe(&error))? else { continue };
        let mut last = 0;
        loop {
            let chunk = waiting(&journal, &settings.name, last).map_err(|error| describe(&error))?;
            let Some(end) = chunk.last() else { break };
            last = end.seq;
            let deadline = Instant::now() + settings.timeout.max(PATIENCE);
            let home = match &home {
                Some(home) => home,
                None => {
                    let clock: &dyn Clock = &SystemClock;
                    let opened = Database::open(settings, None, deadline, clock, &|_| Ok(()));
                    home.insert(opened.map_err(|error| error.to_string())?)
                }
            };
            parked += home.make_noted(&chunk, None, &|| Ok(()), deadline).map_err(|error| error.to_string())?;
            made += chunk.len() as u64;
        }
    }
    if let Some(home) = home {
        home.close();
    }
    Ok((made - parked, parked))
}

/// A copy that writes may wait in; `None` where it has no journal.
pub(super) fn reader(journal: &Path) -> rusqlite::Result<Option<Connection>> {
    let copy = copy::reader(journal)?;
    Ok(migrate::has_table(&copy, "switchyard_journal")?.then_some(copy))
}

/// The writes that wait for a source in a copy, in order.
pub(super) fn waiting(journal: &Connection, name: &SourceName, last: i64) -> rusqlite::Result<Vec<Noted>> {
    let noted = |row: &rusqlite::Row<'_>| {
        Ok(Noted { seq: row.get("seq")?, episode: row.get("episode")?, operation: row.get("operation")? })
    };
    journal.prepare(NOTED_AFTER)?.query_map((name.as_str(), last, CHUNK as i64), noted)?.collect()
}

/// The chats of which writes wait for a source in a copy with a journal.
pub(super) fn chats_waiting(journal: &Connection, name: &SourceName) -> rusqlite::Result<BTreeSet<ChatId>> {
    /// What is looked at of an operation.
    #[derive(Deserialize)]
    struct Routed {
        route: Route,
    }
    let mut chats = BTreeSet::new();
    let mut statement = journal.prepare("SELECT operation FROM switchyard_journal WHERE source = ?1")?;
    let mut rows = statement.query([name.as_str()])?;
    while let Some(row) = rows.next()? {
        // What cannot be read is kept aside when it is its turn.
        let operation = row.get_ref("operation")?.as_str().ok();
        if let Some(Routed { route: Route::Chat(chat) }) = operation.and_then(|text| serde_json::from_str(text).ok()) {
            chats.insert(chat);
        }
    }
    Ok(chats)
}

/// What is wrong with a copy whose journal cannot be read.
pub(super) fn unreadable(error: &rusqlite::Error) -> String {
    format!("writes that may wait in it cannot be read ({})", describe(error))
}
