//! What the default source remembers of the others: which file each had, so that a wrong or empty one is not taken for
//! it; and where chats were moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use super::datasource_router::Recorded;
use super::said::Said;
use crate::config::DatabaseConfig;
use crate::error::Result;
use crate::ids::ChatId;
use crate::migrate::Identity;
use crate::params;
use crate::route::SourceName;
use crate::source::{BadColumn, FromRow, Row, Source, SourceConfig};
use crate::time::Clock;

/// What is remembered of sources.
macro_rules! entries {
    () => {
        "SELECT name, uuid, path, device, inode FROM switchyard_sources"
    };
}

/// The registry of sources, in the default one.
pub(crate) struct Registry {
    clock: Arc<dyn Clock>,
    now: RwLock<Now>,
    /// The default source's name, and what its file says of itself; known once it was open.
    default_file: Mutex<Option<(SourceName, Identity)>>,
    /// What the databases of the data directory are marked with, as that itself remembers.
    place: Mutex<Option<String>>,
    /// Held while a file is made known.
    pub(super) entering: Mutex<()>,
    /// Sources whose next opening accepts another file, on purpose.
    adopted: Mutex<HashMap<SourceName, Adopt>>,
}

/// What the configuration says of the sources.
#[derive(Default)]
struct Now {
    default: Option<Arc<Source>>,
    names: BTreeSet<SourceName>,
    others: Vec<SourceConfig>,
}

/// What an operator accepts in a source's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adopt {
    /// The file that is there.
    Present,
    /// A new one, where there is none.
    New,
}

/// What is known of the default source's file besides what it says itself.
#[derive(Default)]
pub(super) struct DefaultBefore {
    /// The uuid of the one that was open before in this process.
    pub(super) uuid: Option<String>,
    /// The mark that the data directory remembers.
    pub(super) mark: Option<String>,
}

/// What is remembered of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// `None` for one that was only ever read and has none: it is known by its file.
    pub(super) uuid: Option<String>,
    pub(super) path: String,
    pub(super) device: i64,
    pub(super) inode: i64,
}

impl FromRow for Entry {
    const TABLE: &'static str = "switchyard_sources";
    const KEY: &'static [&'static str] = &["name"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self {
            name: row.get("name")?,
            uuid: row.get("uuid")?,
            path: row.get("path")?,
            device: row.get("device")?,
            inode: row.get("inode")?,
        })
    }
}

struct RouteRow {
    chat_id: ChatId,
    source: String,
    file_said: Option<String>,
}

impl FromRow for RouteRow {
    const TABLE: &'static str = "switchyard_routes";
    const KEY: &'static [&'static str] = &["chat_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { chat_id: row.get("chat_id")?, source: row.get("source")?, file_said: row.get("file_said")? })
    }
}

impl Registry {
    pub(super) fn new(config: &DatabaseConfig, clock: Arc<dyn Clock>) -> Self {
        let (now, default_file, place, entering, adopted) = Default::default();
        let registry = Self { clock, now, default_file, place, entering, adopted };
        registry.now_of(config, None);
        registry
    }

    /// Takes notice of a configuration, and of the source that is the default one in it.
    pub(super) fn now_of(&self, config: &DatabaseConfig, default: Option<&Arc<Source>>) {
        let others = config.sources.values().filter(|source| source.name != config.default_source).cloned().collect();
        let names = config.sources.keys().cloned().collect();
        *self.now.write() = Now { default: default.cloned(), names, others };
    }

    /// The settings of the sources that are not the default one.
    pub(super) fn others(&self) -> Vec<SourceConfig> {
        self.now.read().others.clone()
    }

    /// Whether the configuration has a source of this name.
    pub(super) fn is_configured(&self, name: &str) -> bool {
        name.parse::<SourceName>().is_ok_and(|name| self.now.read().names.contains(&name))
    }

    /// What all files of this bot are marked with.
    pub(super) fn installation(&self) -> Option<String> {
        self.default_file.lock().as_ref().and_then(|(_, found)| found.installation.clone())
    }

    /// The default source's name, where its file has this uuid.
    pub(super) fn default_with(&self, uuid: Option<&str>) -> Option<SourceName> {
        let default = self.default_file.lock();
        let (name, found) = default.as_ref()?;
        (uuid.is_some() && found.uuid.as_deref() == uuid).then(|| name.clone())
    }

    /// Takes notice of what the data directory remembers.
    pub(super) fn set_place(&self, mark: Option<String>) {
        *self.place.lock() = mark;
    }

    /// What is known of the default source's file besides what it says itself.
    pub(super) fn default_before(&self) -> DefaultBefore {
        let earlier = self.default_file.lock().as_ref().and_then(|(_, found)| found.uuid.clone());
        DefaultBefore { uuid: earlier, mark: self.place.lock().clone() }
    }

    /// Takes notice of the default source's file.
    pub(super) fn set_default(&self, name: &SourceName, found: &Identity) {
        *self.default_file.lock() = Some((name.clone(), found.clone()));
    }

    /// Accepts another file at the source's next opening.
    pub(super) fn accept(&self, name: &SourceName, what: Adopt) {
        self.adopted.lock().insert(name.clone(), what);
    }

    /// Whether another file is accepted now.
    pub(super) fn accepted(&self, name: &SourceName) -> Option<Adopt> {
        self.adopted.lock().get(name).copied()
    }

    /// Accepts no other file any more.
    pub(super) fn settle(&self, name: &SourceName) {
        self.adopted.lock().remove(name);
    }

    /// What is remembered of a source, and of any other name for the file with this uuid. Waits until the deadline,
    /// whatever the default source's timeout is. (Not of all of them: there may be thousands.)
    pub(super) fn entries(&self, name: &SourceName, uuid: Option<&str>, deadline: Instant) -> Result<Vec<Entry>> {
        let Some(default) = self.default_source() else { return Ok(Vec::new()) };
        default.read_by("registry.entries", deadline, |tx| {
            let (sql, name) = (concat!(entries!(), " WHERE name = ?1"), name.as_str());
            match uuid {
                None => tx.query(sql, params![name]),
                Some(uuid) => {
                    let sql = concat!(entries!(), " WHERE name = ?1 OR uuid = ?2 ORDER BY name");
                    tx.query(sql, params![name, uuid])
                }
            }
        })
    }

    /// Remembers a source as it is now, and forgets the name that its file had before.
    pub(super) fn enter(&self, entry: &Entry, earlier: Option<&str>, deadline: Instant) -> Result<()> {
        let now = self.clock.now();
        let Some(default) = self.default_source() else { return Ok(()) };
        let Entry { name, uuid, path, device, inode } = entry;
        default.write_by("registry.enter", deadline, None, |tx| {
            if let Some(earlier) = earlier {
                tx.execute("DELETE FROM switchyard_sources WHERE name = ?1", params![earlier])?;
            }
            tx.execute(
                "INSERT INTO switchyard_sources (name, uuid, path, device, inode, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
                 ON CONFLICT (name) DO UPDATE SET
                     uuid = excluded.uuid, path = excluded.path, device = excluded.device, inode = excluded.inode,
                     updated_at = excluded.updated_at",
                params![name, uuid, path, device, inode, now],
            )?;
            Ok(())
        })
    }

    /// Where chats were moved, from the rows of the default source.
    pub(super) fn recorded(rows: Vec<(ChatId, String, Option<String>)>) -> BTreeMap<ChatId, Recorded> {
        let name = |text: &str| text.parse::<SourceName>().ok();
        rows.into_iter()
            .filter_map(|(chat, source, said)| {
                Some((chat, Recorded { source: name(&source)?, file_said: Said::parse(said.as_deref()) }))
            })
            .collect()
    }

    fn default_source(&self) -> Option<Arc<Source>> {
        self.now.read().default.clone()
    }
}

/// Everything that a default source remembers of the others.
pub(super) fn read_entries(tx: &crate::ReadTx<'_>) -> Result<Vec<Entry>> {
    tx.query(concat!(entries!(), " ORDER BY name"), params![])
}

/// The statement and the rows of the routes that moves recorded.
pub(super) fn read_recorded(tx: &crate::ReadTx<'_>) -> Result<Vec<(ChatId, String, Option<String>)>> {
    let sql = "SELECT chat_id, source, file_said FROM switchyard_routes ORDER BY chat_id";
    let rows: Vec<RouteRow> = tx.query(sql, params![])?;
    Ok(rows.into_iter().map(|row| (row.chat_id, row.source, row.file_said)).collect())
}

struct Waiting {
    source: String,
}

impl FromRow for Waiting {
    const TABLE: &'static str = "switchyard_journal";
    const KEY: &'static [&'static str] = &["source"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { source: row.get("source")? })
    }
}

/// The sources in whose place the default one was written, and whose writes wait there.
pub(super) fn read_waiting(tx: &crate::ReadTx<'_>) -> Result<Vec<SourceName>> {
    let rows: Vec<Waiting> = tx.query("SELECT DISTINCT source FROM switchyard_journal ORDER BY source", params![])?;
    Ok(rows.iter().filter_map(|row| row.source.parse().ok()).collect())
}
