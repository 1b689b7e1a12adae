//! Rows of chats in files that do not own them: left by a change of the mapping, by a time when the default source
//! stood in, by a move with `keep`. They are counted; those that are the same at home are deleted when that is asked
//! for.

mod clearing;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::super::control::Control;
use super::super::look::look;
use super::super::site::unfinished_in;
use super::super::standin::ServedBy;
use super::tables::{MOVED, Table};
use crate::config::DatabaseConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::gathered::Missing;
use crate::ids::ChatId;
use crate::maintenance::UnfinishedMove;
use crate::route::{Route, SourceName};
use crate::source::{Found, ReadTx, look_closer};
use crate::sources::Topology as _;

pub use clearing::{Clear, Cleared, ClearedStrays};

/// Rows of a chat in a table of a source that is not the chat's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Stray {
    /// The source that has them.
    pub source: SourceName,
    /// The chat.
    pub chat: ChatId,
    /// The source that the chat lives in.
    pub home: SourceName,
    /// The table.
    pub table: &'static str,
    /// How many there are.
    pub rows: u64,
}

/// The rows in files that do not own them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strays {
    /// Where there are any, by source, chat and table.
    pub found: Vec<Stray>,
    /// The moves that are not at their end and have left some of them. (Where the default source cannot be read, it is
    /// missing.)
    pub moves: Vec<UnfinishedMove>,
    /// The sources that could not be read, and why.
    pub missing: Vec<Missing>,
}

impl Control {
    /// The rows of chats in sources that do not own them. Opens the sources; one that cannot be read is named in the
    /// answer, one whose file is not there yet is not made. A chat that another source serves for a while is at home there so
    /// long.
    pub fn strays(&self) -> Strays {
        let table = self.router.table();
        let mut strays = Strays::default();
        for (place, source) in table.sources.iter().enumerate() {
            let read = match table.away_of(place) {
                Some(_) => {
                    let reason = "it is away; what is left in it is not counted".to_owned();
                    Err(Error::new("strays.count", source.name(), ErrorKind::SourceUnavailable { reason }))
                }
                None => match source.would_be_made("strays.count") {
                    Ok(true) => Ok(Vec::new()),
                    Ok(false) => source.read("strays.count", count),
                    Err(error) => Err(error),
                },
            };
            strays.take(source.name(), read, |chat| {
                let serves = Arc::ptr_eq(table.resolve(Route::Chat(chat)), source);
                (!serves).then(|| table.of_chat(chat).name().clone())
            });
        }
        strays.found.sort();
        strays.left_by(self.unfinished_moves().unwrap_or_default());
        strays
    }
}

/// The same while no bot runs, as the files show it. Changes nothing.
pub fn look_at_strays(config: &DatabaseConfig) -> Strays {
    let overview = look(config);
    let mut strays = Strays::default();
    let by_default: BTreeSet<&SourceName> = overview
        .sources
        .iter()
        .filter(|source| source.served_by == Some(ServedBy::Default))
        .map(|source| &source.name)
        .collect();
    for source in &overview.sources {
        if let Found::Unusable { reason } = &source.look.found {
            strays.missing.push(Missing { source: source.name.clone(), reason: reason.clone() });
            continue;
        }
        let Some(settings) = config.sources.get(&source.name) else { continue };
        let Some(read) = look_closer(settings).read("strays.count", count) else { continue };
        strays.take(&source.name, read, |chat| {
            let (home, _) = overview.explain(chat);
            let serves = home == source.name || (source.is_default && by_default.contains(&home));
            (!serves).then_some(home)
        });
    }
    strays.found.sort();
    strays.left_by(unfinished_in(config).unwrap_or_default());
    strays
}

impl Strays {
    /// Takes the counts of a source; `home` answers where a chat lives whose rows these are not to be.
    fn take(
        &mut self,
        source: &SourceName,
        read: Result<Vec<(&'static str, ChatId, u64)>>,
        home: impl Fn(ChatId) -> Option<SourceName>,
    ) {
        match read {
            Ok(counts) => {
                for (table, chat, rows) in counts {
                    if let Some(home) = home(chat) {
                        self.found.push(Stray { source: source.clone(), chat, home, table, rows });
                    }
                }
            }
            Err(error) => {
                self.missing.push(Missing { source: source.clone(), reason: error.kind().to_string() });
            }
        }
    }

    /// Takes those of these moves that have left some of the rows.
    fn left_by(&mut self, mut moves: Vec<UnfinishedMove>) {
        moves.retain(|one| {
            self.found.iter().any(|stray| stray.chat == one.chat && stray.source.as_str() == one.left_in())
        });
        self.moves = moves;
    }
}

/// How many rows each chat has in each table of a file.
pub(super) fn count(tx: &ReadTx<'_>) -> Result<Vec<(&'static str, ChatId, u64)>> {
    tx.snapshot()?;
    let mut counts = Vec::new();
    for Table { name, .. } in &MOVED {
        if !tx.has_table(name)? {
            continue;
        }
        let sql = match *name {
            "switchyard_meta" => "SELECT CAST(value AS INTEGER), COUNT(*) FROM switchyard_meta
                 WHERE key >= 'took-over:' AND key < 'took-over;' GROUP BY 1"
                .to_owned(),
            name => format!("SELECT chat_id, COUNT(*) FROM {name} WHERE chat_id IS NOT NULL GROUP BY chat_id"),
        };
        tx.scan_stored(&sql, &[], |row| {
            if let ValueRef::Integer(chat) = row.get_ref(0)? {
                counts.push((*name, ChatId(chat), row.get::<_, i64>(1)?.unsigned_abs()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(counts)
}
