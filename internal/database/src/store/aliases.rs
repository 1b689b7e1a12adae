//! Groups that became supergroups: the new chat goes on with the history of the old one.
//!
//! Rows keep the id that they were stored under. What a chat *is* (its settings, its people, what they asked to be
//! remembered, what it was taught of spam) is copied to the new id, once; what was *said* is read from both, where both
//! are in one source. A supergroup that has a route of its own is not: it takes over what the group was all the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{BadColumn, FromRow, ReadTx, Row, Source, Value, ValueRef};

use super::taken_over::TAKEN_OVER;
use crate::{DatabaseWrapper, params};

/// A chat, and what it was before.
pub(crate) struct Alias {
    pub(crate) new: ChatId,
    pub(crate) old: ChatId,
}

impl FromRow for Alias {
    const TABLE: &'static str = "switchyard_aliases";
    const KEY: &'static [&'static str] = &["new_chat_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { new: row.get("new_chat_id")?, old: row.get("old_chat_id")? })
    }
}

/// No chat changes its id more often; a chain that an earlier release left as a ring ends here.
const LONGEST_CHAIN: usize = 100;

/// Where a supergroup will be read, seen from where the group is.
enum Succession {
    /// In the same source.
    Together,
    /// In a source of its own, by a route of its own.
    Apart { group: SourceName, supergroup: SourceName },
    /// In the same source, once it inherits that; until then it was in another.
    Comes { from: Arc<Source>, to: Arc<Source> },
}

impl DatabaseWrapper {
    /// Notes that a group became a supergroup: the new chat inherits where the old one lives, takes over its settings
    /// and people, and shows what was said in it. Noting it twice changes nothing.
    ///
    /// # Errors
    /// [`NoSuccessor`](ErrorKind::NoSuccessor) where the group became another supergroup before, the supergroup comes
    /// of another group, or is what this one was before: nothing is changed. A source cannot be written.
    pub fn migrate_chat(&self, old: ChatId, new: ChatId) -> Result<()> {
        if old == new {
            return Ok(());
        }
        if self.earlier(new) == Some(old) {
            return Ok(());
        }
        self.check_successor(old, new)?;
        let place = || self.on_topology(|topology| Arc::clone(topology.at_home(Route::Chat(old))));
        let before = place();
        // The alias last: where it is, the rest is done. Until then the news comes again and does it again.
        match self.succession(old, new) {
            Succession::Together => self.take_over(old, new)?,
            Succession::Comes { from, to } => {
                self.bring(new, &from, &to)?;
                self.take_over(old, new)?;
            }
            Succession::Apart { group, supergroup } => {
                self.take_over_from_elsewhere(old, new)?;
                tracing::warn!(
                    "the supergroup {new} is in `{supergroup}`, and what was said in the group {old} stays in `{group}`, \
                     where the supergroup does not show it; `bot db move {new} --to {supergroup}` brings it along"
                );
            }
        }
        self.add_alias(old, new)?;
        self.know_aliases()?;
        let after = place();
        if !Arc::ptr_eq(&before, &after) {
            // The group was moved meanwhile, before anybody knew that the supergroup goes with it.
            self.bring(new, &before, &after)?;
        }
        // Another process may have been first, with another successor.
        self.check_successor(old, new)
    }

    /// That a chat can go on with this one: each has one successor and one predecessor, and no chain ends in itself.
    fn check_successor(&self, old: ChatId, new: ChatId) -> Result<()> {
        let reason = if self.later(old).is_some_and(|later| later != new) {
            "the group became another supergroup before"
        } else if self.earlier(new).is_some_and(|earlier| earlier != old) {
            "the supergroup comes of another group"
        } else if std::iter::successors(Some(old), |chat| self.earlier(*chat))
            .take(LONGEST_CHAIN)
            .any(|chat| chat == new)
        {
            "the supergroup is what the group was before"
        } else {
            return Ok(());
        };
        let source = self.source_of(Route::Shared)?;
        Err(Error::new("aliases.check_successor", &source, ErrorKind::NoSuccessor { reason }))
    }

    fn add_alias(&self, old: ChatId, new: ChatId) -> Result<()> {
        self.execute(
            "aliases.add_alias",
            Route::Shared,
            "INSERT INTO switchyard_aliases (new_chat_id, old_chat_id, created_at)
             SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM switchyard_aliases WHERE old_chat_id = ?2)
             ON CONFLICT (new_chat_id) DO NOTHING",
            params![new, old, self.now()],
        )
    }

    /// Where the supergroup lives once it is known as such, and where it lived until now.
    fn succession(&self, old: ChatId, new: ChatId) -> Succession {
        self.on_topology(|topology| {
            let (group, supergroup) = (Route::Chat(old), Route::Chat(new));
            if topology.home(group) == topology.home(supergroup) {
                return Succession::Together;
            }
            if topology.is_routed(new) {
                let [group, supergroup] = [group, supergroup].map(|route| topology.home(route).clone());
                return Succession::Apart { group, supergroup };
            }
            // At home, also where another serves the group: what is brought is not noted to be brought home later.
            let [to, from] = [group, supergroup].map(|route| Arc::clone(topology.at_home(route)));
            Succession::Comes { from, to }
        })
    }

    /// To where the old chat lives, which is where the new one will. Once: what the new chat dropped since must not come
    /// back when the news is delivered again. And to one alone.
    fn take_over(&self, old: ChatId, new: ChatId) -> Result<()> {
        let (key, elsewhere) = (format!("took-over:{new}"), from_elsewhere(new));
        self.write("aliases.take_over", Route::Chat(old), |tx| {
            let first = tx.execute(
                "INSERT INTO switchyard_meta (key, value)
                 SELECT ?1, ?2
                 WHERE NOT EXISTS (SELECT 1 FROM switchyard_meta
                                   WHERE substr(key, 1, 10) = 'took-over:' AND value = ?2 OR key = ?3)
                 ON CONFLICT (key) DO NOTHING",
                params![key, old.to_string(), elsewhere],
            )?;
            tx.only_if(first, |tx| {
                for taken in &TAKEN_OVER {
                    tx.execute(&taken.within(), params![old, new])?;
                }
                Ok(())
            })
        })
    }

    /// What a supergroup takes over of a group, table by table.
    fn read_group(&self, old: ChatId) -> Result<Vec<Vec<Vec<Value>>>> {
        self.read("aliases.read_group", Route::Chat(old), |tx| {
            // What stands in for its source has nothing of that.
            self.refuse_displaced(old)?;
            tx.snapshot()?;
            TAKEN_OVER.iter().map(|taken| taken.rows_of(tx, old)).collect()
        })
    }

    /// The same between two sources: to where the new chat lives, once, by values.
    fn take_over_from_elsewhere(&self, old: ChatId, new: ChatId) -> Result<()> {
        let tables = self.read_group(old)?;
        self.write("aliases.take_over_from_elsewhere", Route::Chat(new), |tx| {
            let first = tx.execute(
                "INSERT INTO switchyard_meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
                params![from_elsewhere(new), new.to_string()],
            )?;
            tx.only_if(first, |tx| {
                for (taken, rows) in TAKEN_OVER.iter().zip(&tables) {
                    let sql = taken.by_values();
                    for row in rows {
                        let values = std::iter::once(ValueRef::Integer(new.0)).chain(row.iter().map(Value::as_ref));
                        tx.execute(&sql, &values.collect::<Vec<_>>())?;
                    }
                }
                Ok(())
            })
        })
    }

    /// Copies what the supergroup has where it lived until now, before anybody knew what it comes of, to where it will
    /// be looked for.
    fn bring(&self, new: ChatId, from: &Arc<Source>, to: &Arc<Source>) -> Result<()> {
        let rows = self.bring_rows(new, from, to)?;
        if rows > 0 {
            let (from, to) = (from.name(), to.name());
            tracing::warn!(
                "the supergroup {new} spoke before it was known to be in `{to}` like the group that it was: {rows} rows \
                 were copied there from `{from}`, where the old copies can be cleared with `bot db strays`"
            );
        }
        Ok(())
    }

    /// The chat that goes on with this one: the supergroup that it became, or itself.
    pub fn current_chat(&self, chat: ChatId) -> ChatId {
        self.later(chat).unwrap_or(chat)
    }

    /// The group that a supergroup was before; `None` where it was none.
    pub fn former_chat(&self, chat: ChatId) -> Option<ChatId> {
        self.earlier(chat)
    }

    /// Reads the aliases anew. They are few and rare, and looked at by every call that lists what was said.
    pub(crate) fn know_aliases(&self) -> Result<()> {
        let aliases = self.read_as_writer("aliases.know_aliases", Route::Shared, read_aliases)?;
        self.add_aliases(aliases);
        Ok(())
    }
}

/// Where it is noted that a supergroup took over from another source: with the supergroup, by whose id it moves.
fn from_elsewhere(new: ChatId) -> String {
    format!("took-over-from-elsewhere:{new}")
}

/// The aliases that are stored: the new chat with the old one.
pub(crate) fn read_aliases(tx: &ReadTx<'_>) -> Result<HashMap<ChatId, ChatId>> {
    let sql = "SELECT new_chat_id, old_chat_id FROM switchyard_aliases ORDER BY new_chat_id";
    let aliases: Vec<Alias> = tx.query(sql, params![])?;
    Ok(aliases.into_iter().map(|alias| (alias.new, alias.old)).collect())
}
