//! Which chats a restore would leave without their rows: those that are led to a place that has none of them afterwards,
//! though there are some now, or in the backup.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::set::{BackupSet, Checked};
use super::waiting::{chats_waiting, reader, unreadable};
use crate::ids::ChatId;
use crate::maintenance::error::MaintenanceError;
use crate::migrate;
use crate::route::SourceName;
use crate::source::{Moment, SourceConfig, describe};

/// How long locks of others are waited for while files are looked at.
const PATIENCE: Duration = Duration::from_secs(5);

/// What copies that are to be put back have of chats, looked at once.
pub(crate) struct Loss<'a> {
    /// The sources that are configured.
    sources: &'a BTreeMap<SourceName, SourceConfig>,
    copies: &'a [(&'a SourceConfig, Checked)],
    /// Where among the copies a source's is.
    places: BTreeMap<&'a SourceName, usize>,
    /// Which of the copies have rows of a chat, or get some of the writes that wait in the backup.
    held: BTreeMap<ChatId, BTreeSet<usize>>,
    /// The chats whose writes wait in the copies for a source: they come home there afterwards.
    waiting: BTreeMap<&'a SourceName, BTreeSet<ChatId>>,
    /// The chats that have rows in copies of sources that are not configured.
    apart: BTreeSet<ChatId>,
}

impl<'a> Loss<'a> {
    /// Looks at these copies of a set.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn of(
        set: &BackupSet,
        sources: &'a BTreeMap<SourceName, SourceConfig>,
        copies: &'a [(&'a SourceConfig, Checked)],
    ) -> Result<Self, MaintenanceError> {
        let (mut held, mut waiting) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for (place, (settings, copy)) in copies.iter().enumerate() {
            let bad = |path: &Path, detail| MaintenanceError::BadBackup { path: path.to_owned(), detail };
            let (path, connection) = (copy.moment.path(), copy.moment.connection());
            let mut found = chats(connection).map_err(|error| bad(path, describe(&error)))?;
            for path in &copy.journals {
                let journal = reader(path).map_err(|error| bad(path, unreadable(&error)))?;
                let waits = journal.map_or_else(|| Ok(BTreeSet::new()), |it| chats_waiting(&it, &settings.name));
                found.extend(waits.map_err(|error| bad(path, unreadable(&error)))?);
            }
            for chat in found {
                held.entry(chat).or_default().insert(place);
            }
            let failed = |error| bad(path, unreadable(&error));
            if migrate::has_table(connection, "switchyard_journal").map_err(failed)? {
                for name in sources.keys() {
                    let chats = chats_waiting(connection, name).map_err(failed)?;
                    waiting.entry(name).or_default().extend(chats);
                }
            }
        }
        let mut apart = BTreeSet::new();
        for (name, path) in set.not_configured(sources) {
            // Nothing of it is put back: one that cannot be read is no reason to refuse the others.
            let copy = Moment::of(path, PATIENCE).map_err(|error| error.to_string());
            match copy.and_then(|copy| chats(copy.connection()).map_err(|error| describe(&error))) {
                Ok(found) => apart.extend(found),
                Err(error) => tracing::debug!(source = %name, error, "a copy is passed over"),
            }
        }
        let places = copies.iter().enumerate().map(|(place, (settings, _))| (&settings.name, place)).collect();
        Ok(Self { sources, copies, places, held, waiting, apart })
    }

    /// Refuses where chats would lose their rows, or be led away from them. `moved` are those that moves are known of; `led`
    /// answers where a chat is led now and where afterwards.
    pub(crate) fn refuse(
        &self,
        moved: impl IntoIterator<Item = ChatId>,
        led: impl Fn(ChatId) -> [SourceName; 2],
    ) -> Result<(), MaintenanceError> {
        let mut present = Present { sources: self.sources, last: None, unreadable: BTreeSet::new() };
        let chats: BTreeSet<_> = moved.into_iter().chain(self.held.keys().chain(&self.apart).copied()).collect();
        // Those of one source after each other, so that it is seldom opened again.
        let ways: BTreeSet<_> = chats.into_iter().map(|chat| (led(chat), chat)).collect();
        let (mut lost, mut astray) = (BTreeMap::new(), BTreeMap::new());
        for ([now, then], chat) in ways {
            let (holders, place) = (self.held.get(&chat), self.places.get(&then));
            let stays = match (place, holders) {
                (Some(place), holders) => Some(holders.is_some_and(|holders| holders.contains(place))),
                // Nothing changes for it.
                (None, None) if then == now => continue,
                (None, _) => present.has_rows(&then, chat),
            };
            if stays == Some(true) {
                continue;
            }
            // Where it cannot be seen what is there, as of a source that is away, it may be all.
            let holder = holders.and_then(BTreeSet::first).filter(|_| stays.is_some());
            if let Some((settings, _)) = holder.map(|holder| &self.copies[*holder]) {
                let comes = self.waiting.get(&then).is_some_and(|chats| chats.contains(&chat));
                // Nothing changes for it.
                let is_so_today = then == now && present.has_rows(&settings.name, chat) == Some(true);
                if !(comes || is_so_today) {
                    astray.insert(chat, format!("{chat} (in {}, led to {then})", settings.name));
                }
            } else if (place.is_some() || then != now) && present.has_rows(&now, chat) == Some(true) {
                lost.insert(chat, format!("{chat} (in {now})"));
            }
        }
        let listed = |chats: BTreeMap<ChatId, String>| chats.into_values().collect::<Vec<_>>().join(", ");
        if !astray.is_empty() {
            return Err(MaintenanceError::LedElsewhere { chats: listed(astray) });
        }
        if lost.is_empty() { Ok(()) } else { Err(MaintenanceError::LosesChats { chats: listed(lost) }) }
    }
}

/// The files of sources as they are now; the last one that was asked stays open, and one that cannot be opened is asked once.
struct Present<'a> {
    sources: &'a BTreeMap<SourceName, SourceConfig>,
    last: Option<(SourceName, Moment)>,
    unreadable: BTreeSet<SourceName>,
}

impl Present<'_> {
    /// Whether a source has rows of a chat, or may have some that cannot be read; `None` where its file cannot be opened.
    fn has_rows(&mut self, name: &SourceName, chat: ChatId) -> Option<bool> {
        if self.unreadable.contains(name) {
            return None;
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != name) {
            let opened = self.sources.get(name).and_then(|settings| Moment::of(&settings.path, PATIENCE).ok());
            if opened.is_none() {
                self.unreadable.insert(name.clone());
            }
            self.last = opened.map(|opened| (name.clone(), opened));
        }
        let (_, opened) = self.last.as_ref()?;
        Some(has_rows(opened.connection(), chat).unwrap_or(true))
    }
}

/// The chats that moves are known of in a default source's file.
pub(super) fn moved(connection: &Connection) -> rusqlite::Result<Vec<ChatId>> {
    if !migrate::has_table(connection, "switchyard_routes")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT chat_id FROM switchyard_routes ORDER BY chat_id";
    connection.prepare(sql)?.query_map([], |row| row.get(0).map(ChatId))?.collect()
}

/// The chats that have a row in any table of chats.
fn chats(connection: &Connection) -> rusqlite::Result<BTreeSet<ChatId>> {
    let mut chats = BTreeSet::new();
    for table in tables(connection)? {
        let sql = format!("SELECT DISTINCT chat_id FROM {table} WHERE typeof(chat_id) = 'integer'");
        for chat in connection.prepare(&sql)?.query_map([], |row| row.get(0))? {
            chats.insert(ChatId(chat?));
        }
    }
    Ok(chats)
}

/// Whether a file has a row of a chat in any table of chats.
fn has_rows(connection: &Connection, chat: ChatId) -> rusqlite::Result<bool> {
    for table in tables(connection)? {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE chat_id = ?1)");
        if connection.query_row(&sql, [chat.0], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tables of chats, as SQL names them.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c
               WHERE m.type = 'table' AND c.name = 'chat_id' AND m.name NOT LIKE 'switchyard~_%' ESCAPE '~'
               ORDER BY m.name";
    let quoted = |row: &rusqlite::Row<'_>| Ok(format!("\"{}\"", row.get::<_, String>(0)?.replace('"', "\"\"")));
    connection.prepare(sql)?.query_map([], quoted)?.collect()
}
