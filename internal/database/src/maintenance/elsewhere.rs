//! Chats that a file says are in other sources: it was the default one of several, and somebody works on it alone now.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::finding::{Finding, Severity, named};
use crate::ids::ChatId;
use crate::migrate;
use crate::source::{Seen, SourceConfig, look_closer};

/// What is to be said where the only source of a bot has a file that says of chats that they were moved to other sources: that
/// bot would let them begin anew. `None` where there is no such chat, or where that cannot be read. (A move that led a chat
/// where the configuration leads it anyway is not in the file.)
pub fn led_elsewhere(source: &SourceConfig) -> Option<Finding> {
    led_elsewhere_by(&look_closer(source), source)
}

/// The same of a file that was looked at.
pub(super) fn led_elsewhere_by(seen: &Seen, source: &SourceConfig) -> Option<Finding> {
    let elsewhere = routes(seen.unhurried()?, source.name.as_str()).ok()?;
    if elsewhere.is_empty() {
        return None;
    }
    let chats = named(elsewhere.iter().map(|(chat, place)| format!("{chat} ({place})")));
    let what = format!("it says that chats were moved to other sources, and they begin anew here: {chats}");
    let remedy = "use the configuration with these sources again, or move the chats back with it first: \
                  `bot db move --all --to SOURCE`, with the source that this file is";
    let finding = Finding::new(Severity::Warning, &source.name, what).with_remedy(remedy);
    Some(finding.at(&source.path))
}

/// The chats that a default source's file says are in other sources, with these.
fn routes(connection: &Connection, name: &str) -> rusqlite::Result<BTreeMap<ChatId, String>> {
    if !migrate::has_table(connection, "switchyard_routes")? {
        return Ok(BTreeMap::new());
    }
    // One that was moved back to this very file, whatever that is called now, is here.
    let sql = "SELECT chat_id, source FROM switchyard_routes
               WHERE source NOT IN (
                   SELECT name FROM switchyard_sources
                   WHERE uuid = (SELECT value FROM switchyard_meta WHERE key = 'uuid'))
                 AND (source <> ?1 OR source IN (SELECT name FROM switchyard_sources))";
    let pair = |row: &rusqlite::Row<'_>| Ok((ChatId(row.get(0)?), row.get(1)?));
    connection.prepare(sql)?.query_map([name], pair)?.collect()
}
