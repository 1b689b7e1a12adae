//! Deleting strays, once each row was compared with what home has.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::super::error::{Difference, Unlike};
use super::super::media::{self, Media};
use super::super::report::MoveOptions;
use super::super::rows::{Chunk, Layout, Walk};
use super::super::{MoveError, Part, copy};
use super::{Stray, Strays};
use crate::error::{Error, ErrorKind, Result};
use crate::gathered::Missing;
use crate::ids::ChatId;
use crate::multi::control::Control;
use crate::route::{Route, SourceName};
use crate::source::{Durability, Source};
use crate::sources::Topology as _;

/// Which strays are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clear {
    /// Those that are the same at home to the last bit.
    Same,
    /// Those, and others of which home has a row of the same key, whatever it says: home's counts.
    AtHome,
    /// All of one chat, and of no other: also those that home lacks, so that nothing has them any more.
    AllOf(ChatId),
}

/// What became of the strays of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Where they were, and how many.
    pub stray: Stray,
    /// How many were deleted.
    pub deleted: u64,
    /// How many stay, since home does not have them.
    pub only_here: u64,
    /// How many stay, since home has them otherwise.
    pub different: u64,
    /// The first row that stays, or why all do; `None` where none does.
    pub why: Option<String>,
}

/// What became of all strays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClearedStrays {
    /// By source, chat and table. Attachments that only deleted messages referred to stand among them.
    pub cleared: Vec<Cleared>,
    /// The sources that could not be read, and why.
    pub missing: Vec<Missing>,
}

impl Control {
    /// Deletes strays. No row is deleted that home does not have, unless all of its chat are to go; no row of a chat
    /// whose home is away or whose move is not at its end, and none of a read-only source.
    ///
    /// # Errors
    /// The default source cannot be read, which knows of moves. What fails at one source is told of its strays.
    pub fn clear_strays(&self, what: Clear) -> Result<ClearedStrays, MoveError> {
        let moving: BTreeMap<ChatId, _> = self.unfinished_moves()?.into_iter().map(|one| (one.chat, one)).collect();
        let Strays { found, missing, .. } = self.strays();
        let mut groups: BTreeMap<(SourceName, ChatId, SourceName), Vec<Stray>> = BTreeMap::new();
        let is_meant = |chat| !matches!(what, Clear::AllOf(one) if one != chat);
        for stray in found.into_iter().filter(|stray| is_meant(stray.chat)) {
            groups.entry((stray.source.clone(), stray.chat, stray.home.clone())).or_default().push(stray);
        }
        let mut cleared = Vec::new();
        for ((source, chat, home), strays) in groups {
            let mut some = Vec::new();
            let outcome = if let Some(one) = moving.get(&chat) {
                Err(format!("{}; {}", one.what(), one.remedy(home.as_str())))
            } else if let Some(dispute) = self.router.arrived.dispute(chat) {
                Err(dispute.reason(chat))
            } else {
                self.clear_chat((&source, chat, &home), &strays, what, &mut some).map_err(|error| match error {
                    MoveError::Database(error) => error.to_string(),
                    other => other.to_string(),
                })
            };
            if let Err(why) = outcome {
                if let Some(last) = some.last_mut() {
                    last.why = Some(why.clone());
                }
                let rest = strays.into_iter().filter(|stray| !some.iter().any(|one| one.stray == *stray));
                let rest: Vec<_> = rest.map(|stray| Cleared::kept(stray, &why)).collect();
                some.extend(rest);
            }
            cleared.extend(some);
        }
        let deleted: u64 = cleared.iter().map(|one| one.deleted).sum();
        tracing::info!(target: "database::audit", deleted, ?what, "rows in files that do not own them were deleted");
        Ok(ClearedStrays { cleared, missing })
    }

    fn clear_chat(
        &self,
        (source, chat, home): (&SourceName, ChatId, &SourceName),
        strays: &[Stray],
        what: Clear,
        cleared: &mut Vec<Cleared>,
    ) -> Result<(), MoveError> {
        let (from, to) = (self.source(source)?, self.source(home)?);
        if from.config().readonly {
            return Err(MoveError::ReadOnlySource { chat, name: source.clone() });
        }
        if self.router.away(home).is_some() {
            let reason = "it is away, so that nothing can be compared".to_owned();
            return Err(Error::new("strays.clear", home, ErrorKind::SourceUnavailable { reason }).into());
        }
        // A row that goes here is on disk at home, and its going is before anybody is told of it.
        if !to.config().readonly {
            on_disk(&to)?;
        }
        let part = Part { chat, from, to };
        let media = Media::between(&part.from, &part.to)?;
        for layout in copy::layouts(&part.from, &part.to)? {
            let Some(stray) = strays.iter().find(|stray| stray.table == layout.table.name) else { continue };
            let mut attachments = 0;
            cleared.push(Cleared { why: None, ..Cleared::kept(stray.clone(), "") });
            let Some(one) = cleared.last_mut() else { continue };
            let mut walk = Walk::new(&part.from, &layout.query, chat, MoveOptions::default().rows_at_once);
            while let Some(chunk) = walk.next()? {
                self.clear_rows(&part, &layout, chunk, what, one)?;
                if let Some(ids) = layout.media_ids(chunk) {
                    let others = self.others(&part);
                    attachments += self.clear_media(&part, &media, ids, &others, what)?;
                }
            }
            if attachments > 0 {
                let stray = Stray { table: media::TABLE, rows: attachments, ..stray.clone() };
                cleared.push(Cleared { deleted: attachments, why: None, ..Cleared::kept(stray, "") });
            }
        }
        on_disk(&part.from).map_err(Into::into)
    }

    /// Deletes those rows of a chunk that may go.
    fn clear_rows(&self, part: &Part, layout: &Layout, chunk: &Chunk, what: Clear, one: &mut Cleared) -> Result<()> {
        let found = at_home(part, layout, chunk)?;
        let mut going = Vec::new();
        for (row, found) in chunk.rows().zip(found) {
            let is_gone = match (what, &found) {
                (_, None) | (Clear::AllOf(_), _) | (Clear::AtHome, Some(Unlike::Columns(_))) => true,
                (Clear::Same | Clear::AtHome, Some(_)) => false,
            };
            if is_gone {
                going.push(layout.walked(part.chat, row));
            } else if let Some(what) = found {
                let counted = if what == Unlike::Missing { &mut one.only_here } else { &mut one.different };
                *counted += 1;
                let difference = Difference { table: layout.table.name, row: layout.name(row), what };
                one.why.get_or_insert_with(|| format!("at home {difference}"));
            }
        }
        if going.is_empty() {
            return Ok(());
        }
        one.deleted += part.from.write("strays.clear", None, |tx| {
            self.check_still_stray(part)?;
            tx.execute_stored(&layout.delete_walked, going.iter().map(|values| values.iter().copied()))
        })?;
        Ok(())
    }

    /// Refuses where the chat's calls have come to lead here meanwhile. Asked within the write that deletes: a call of
    /// the chat that writes here comes before it, and so does the change of the route, or after it.
    fn check_still_stray(&self, Part { chat, from, to }: &Part) -> Result<()> {
        let table = self.router.table();
        let leads = table.resolve(Route::Chat(*chat));
        if Arc::ptr_eq(leads, to) && !Arc::ptr_eq(leads, from) {
            return Ok(());
        }
        Err(Error::new("strays.clear", from.name(), ErrorKind::Moved))
    }

    /// Where messages may show attachments of the default source: all others, if the strays are there.
    fn others(&self, part: &Part) -> Vec<Arc<Source>> {
        let table = self.router.table();
        let is_default = Arc::ptr_eq(&table.sources[0], &part.from);
        if is_default { table.sources[1..].to_vec() } else { Vec::new() }
    }

    /// Deletes those attachments that home has just so, or all, and that nothing refers to here any more; answers how
    /// many.
    fn clear_media(
        &self,
        part: &Part,
        media: &Media,
        mut ids: media::Ids,
        others: &[Arc<Source>],
        what: Clear,
    ) -> Result<u64> {
        if !matches!(what, Clear::AllOf(_)) {
            let mut same = media::Ids::new();
            for id in &ids {
                if media.is_same(part, id)? {
                    same.insert(id.clone());
                }
            }
            ids = same;
        }
        media::keep_shown(&mut ids, others);
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "DELETE FROM media_attachments
                   WHERE file_unique_id = ?1 AND NOT EXISTS (SELECT 1 FROM chat_messages WHERE media_id = ?1)";
        part.from.write("strays.clear_media", None, |tx| {
            self.check_still_stray(part)?;
            tx.execute_stored(sql, ids.iter().map(|id| [ValueRef::Text(id)]))
        })
    }
}

impl Cleared {
    /// Strays that stay, all of them.
    fn kept(stray: Stray, why: &str) -> Self {
        Self { stray, deleted: 0, only_here: 0, different: 0, why: Some(why.to_owned()) }
    }
}

/// How each row of a chunk is at home: `None` where it is the same.
fn at_home(part: &Part, layout: &Layout, chunk: &Chunk) -> Result<Vec<Option<Unlike>>> {
    part.to.read("strays.compare", |tx| {
        tx.snapshot()?;
        let mut answers = Vec::new();
        for row in chunk.rows() {
            let mut answer = Some(Unlike::Missing);
            tx.scan_stored(&layout.find, &layout.key(row), |other| {
                let columns = layout.unlike(row, other)?;
                answer = (!columns.is_empty()).then_some(Unlike::Columns(columns));
                Ok(ControlFlow::Break(()))
            })?;
            answers.push(answer);
        }
        Ok(answers)
    })
}

/// Makes certain that all that was written survives a power loss.
fn on_disk(source: &Arc<Source>) -> Result<()> {
    const OP: &str = "strays.on_disk";
    if source.config().durability == Durability::Normal && source.empty_log(OP)? {
        return Ok(());
    }
    source.sync(OP)
}
