//! Which chats a restore would leave without their rows: those that are led to a place that has none of them afterwards,
//! though there are some now, or in the backup.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rusqlite::Connection;

use super::set::{BackupSet, Checked};
use super::waiting::waiting;
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
    /// Which of the copies have rows of a chat.
    held: BTreeMap<ChatId, BTreeSet<usize>>,
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
        let chats = |copy: &Moment| {
            let failed = |error| MaintenanceError::BadBackup { path: copy.path().to_owned(), detail: describe(&error) };
            chats(copy.connection()).map_err(failed)
        };
        let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (place, (_, copy)) in copies.iter().enumerate() {
            for chat in chats(&copy.moment)? {
                held.entry(chat).or_default().insert(place);
            }
        }
        let mut apart = BTreeSet::new();
        for (name, path) in set.not_configured(sources) {
            // Nothing of it is put back: one that cannot be read is no reason to refuse the others.
            match Moment::of(path, PATIENCE).map(|copy| chats(&copy)) {
                Ok(Ok(found)) => apart.extend(found),
                Ok(Err(error)) => tracing::debug!(source = %name, %error, "a copy is passed over"),
                Err(error) => tracing::debug!(source = %name, %error, "a copy is passed over"),
            }
        }
        let places = copies.iter().enumerate().map(|(place, (settings, _))| (&settings.name, place)).collect();
        Ok(Self { sources, copies, places, held, apart })
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
        let (mut lost, mut astray) = (Vec::new(), Vec::new());
        for chat in chats {
            let [now, then] = led(chat);
            let (holders, place) = (self.held.get(&chat), self.places.get(&then));
            let stays = match (place, holders) {
                (Some(place), holders) => Some(holders.is_some_and(|holders| holders.contains(place))),
                // Nothing changes for it.
                (None, None) if then == now => continue,
                (None, _) => present.has_rows(&then, chat).map(|found| found.unwrap_or(false)),
            };
            if stays == Some(true) {
                continue;
            }
            // Where it cannot be seen what is there, as of a source that is away, it may be all.
            let holder = holders.and_then(BTreeSet::first).filter(|_| stays.is_some());
            match holder.map(|holder| &self.copies[*holder]) {
                Some((_, copy)) if waits_in(copy.moment.connection(), &then) => {}
                // They are out of its sight today as well: nothing changes for it.
                Some((settings, _))
                    if then == now
                        && present.has_rows(&settings.name, chat).is_some_and(|found| found.unwrap_or(false)) => {}
                Some((settings, _)) => astray.push(format!("{chat} (in {}, led to {then})", settings.name)),
                None if place.is_none() && then == now => {}
                None if present.has_rows(&now, chat).is_some_and(|found| found.unwrap_or(true)) => {
                    lost.push(format!("{chat} (in {now})"));
                }
                None => {}
            }
        }
        if !astray.is_empty() {
            return Err(MaintenanceError::LedElsewhere { chats: astray.join(", ") });
        }
        if lost.is_empty() { Ok(()) } else { Err(MaintenanceError::LosesChats { chats: lost.join(", ") }) }
    }
}

/// The files of sources as they are now; the last one that was asked stays open, and one that cannot be read is asked once.
struct Present<'a> {
    sources: &'a BTreeMap<SourceName, SourceConfig>,
    last: Option<(SourceName, Option<Moment>)>,
    unreadable: BTreeSet<SourceName>,
}

impl Present<'_> {
    /// Whether a source has rows of a chat; `None` where its file cannot be read.
    fn has_rows(&mut self, name: &SourceName, chat: ChatId) -> Option<rusqlite::Result<bool>> {
        if self.unreadable.contains(name) {
            return None;
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != name) {
            let opened = self.sources.get(name).and_then(|settings| Moment::of(&settings.path, PATIENCE).ok());
            if opened.is_none() {
                self.unreadable.insert(name.clone());
            }
            self.last = Some((name.clone(), opened));
        }
        let (_, opened) = self.last.as_ref()?;
        opened.as_ref().map(|opened| has_rows(opened.connection(), chat))
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

/// Whether writes wait in a copy for a source: its chats' rows are there, and come home later.
fn waits_in(connection: &Connection, name: &SourceName) -> bool {
    let waits = || -> rusqlite::Result<bool> {
        Ok(migrate::has_table(connection, "switchyard_journal")? && !waiting(connection, name, 0)?.is_empty())
    };
    waits().unwrap_or(true)
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
