//! The media that a chat's messages refer to: copied with the chat, deleted where nothing refers to them any more.
//!
//! A source has one row for an attachment, whichever chats refer to it, and the default one's are seen by all chats. So
//! the target may have it already, and keeps its own; and what came with a move is noted in the target
//! (`switchyard_moved_media`), so that a move that is undone takes away no more than it brought.

use std::collections::BTreeSet;
use std::iter::once;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::error::Unlike;
use super::pace::{Pace, Steps};
use super::report::Meter;
use super::rows::{Chunk, Query, Walk};
use super::{MoveError, Part, copy};
use crate::error::Result;
use crate::ids::ChatId;
use crate::source::{Source, WriteTx, same};

pub(super) const TABLE: &str = "media_attachments";
const NOTE: &str = "INSERT INTO switchyard_moved_media (chat_id, file_unique_id) VALUES (?1, ?2)";
const IS_NOTED: &str = "SELECT 1 FROM switchyard_moved_media WHERE chat_id = ?1 AND file_unique_id = ?2";
const DELETE_UNLESS_REFERRED_TO: &str = "DELETE FROM media_attachments
 WHERE file_unique_id = ?2
   AND NOT EXISTS (SELECT 1 FROM chat_messages WHERE media_id = ?2 AND chat_id <> ?1)";
const DELETE_NOTED: &str = "DELETE FROM media_attachments
 WHERE file_unique_id IN (SELECT file_unique_id FROM switchyard_moved_media WHERE chat_id = ?1
                          ORDER BY file_unique_id LIMIT ?2)
   AND NOT EXISTS (SELECT 1 FROM chat_messages WHERE media_id = media_attachments.file_unique_id)";
const DELETE_ONE_NOTED: &str = "DELETE FROM media_attachments
 WHERE file_unique_id = ?2
   AND EXISTS (SELECT 1 FROM switchyard_moved_media WHERE chat_id = ?1 AND file_unique_id = ?2)";
const FORGET_ONE_NOTED: &str = "DELETE FROM switchyard_moved_media WHERE chat_id = ?1 AND file_unique_id = ?2";
const IS_REFERRED_TO: &str = "SELECT 1 FROM chat_messages WHERE media_id = ?2 AND chat_id = ?1 LIMIT 1";
const FORGET_NOTED: &str = "DELETE FROM switchyard_moved_media
 WHERE chat_id = ?1 AND file_unique_id IN (SELECT file_unique_id FROM switchyard_moved_media WHERE chat_id = ?1
                                           ORDER BY file_unique_id LIMIT ?2)";

/// The statements that walk the media ids of a chat's messages.
pub(super) fn ids_of_messages() -> Query {
    let columns = ["media_id", "date", "rowid"].map(str::to_owned);
    Query::new("chat_messages", &columns, "chat_id = ?1 AND media_id IS NOT NULL", &["date", "rowid"])
}

/// The attachments of a source, as they are moved to another.
pub(super) struct Media {
    columns: Vec<String>,
    find: String,
    insert: String,
}

/// Ids of attachments, as messages refer to them.
pub(super) type Ids = BTreeSet<Vec<u8>>;

impl Media {
    pub(super) fn between(from: &Arc<Source>, to: &Arc<Source>) -> Result<Self, MoveError> {
        let columns = copy::columns(TABLE, from, to)?;
        let listed = columns.join(", ");
        let places: Vec<_> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        Ok(Self {
            find: format!("SELECT {listed} FROM {TABLE} WHERE file_unique_id = ?1"),
            insert: format!(
                "INSERT INTO {TABLE} ({listed}) VALUES ({}) ON CONFLICT (file_unique_id) DO NOTHING",
                places.join(", ")
            ),
            columns,
        })
    }

    /// Copies those of the attachments that the target does not have, and answers how many.
    pub(super) fn copy(&self, part: &Part, ids: &Ids, steps: &mut Steps) -> Result<u64> {
        let rows = self.rows(&part.from, ids, Pace::Shared)?;
        if rows.len() == 0 {
            return Ok(0);
        }
        // Who is told meanwhile that the target has one of them already refers to it by a write of his own, which syncs both.
        steps.write(&part.to, "relocate.copy_media", |tx| self.put(tx, part.chat, &rows))
    }

    /// The attachments of these ids that a source has.
    pub(super) fn rows(&self, from: &Arc<Source>, ids: &Ids, pace: Pace) -> Result<Chunk> {
        let mut rows = Chunk::of_width(self.columns.len());
        if ids.is_empty() {
            return Ok(rows);
        }
        pace.read(from, "relocate.media", |tx| {
            tx.snapshot()?;
            ids.iter().try_for_each(|id| {
                tx.scan_stored(&self.find, &[ValueRef::Text(id)], |row| {
                    rows.push(row)?;
                    Ok(ControlFlow::Break(()))
                })
            })
        })?;
        Ok(rows)
    }

    /// Puts attachments into the target, but for those that it has; answers how many are new.
    pub(super) fn put(&self, tx: &mut WriteTx<'_>, chat: ChatId, rows: &Chunk) -> Result<u64> {
        let id = self.columns.iter().position(|column| column == "file_unique_id").unwrap_or_default();
        let mut new = 0;
        for row in rows.rows() {
            let inserted = tx.execute_stored(&self.insert, once(row.values(self.columns.len())))?;
            if inserted > 0 {
                new += tx.execute_stored(NOTE, once([ValueRef::Integer(chat.0), row.value(id)]))?;
            }
        }
        Ok(new)
    }

    /// Takes those of the attachments away from the target that came with the chat: they have changed.
    pub(super) fn take_away(tx: &mut WriteTx<'_>, chat: ChatId, ids: &Ids) -> Result<()> {
        for sql in [DELETE_ONE_NOTED, FORGET_ONE_NOTED] {
            tx.execute_stored(sql, ids.iter().map(|id| [ValueRef::Integer(chat.0), ValueRef::Text(id)]))?;
        }
        Ok(())
    }

    /// Those of the ids that messages of the chat refer to.
    pub(super) fn referred_to(part: &Part, ids: &Ids, pace: Pace) -> Result<Ids> {
        let mut found = Ids::new();
        if ids.is_empty() {
            return Ok(found);
        }
        pace.read(&part.from, "relocate.referred_to", |tx| {
            tx.snapshot()?;
            ids.iter().try_for_each(|id| {
                tx.scan_stored(IS_REFERRED_TO, &[ValueRef::Integer(part.chat.0), ValueRef::Text(id)], |_| {
                    found.insert(id.clone());
                    Ok(ControlFlow::Break(()))
                })
            })
        })?;
        Ok(found)
    }

    /// The attachments that the target lacks, and those that came with the move and are not as they were.
    pub(super) fn verify(&self, part: &Part, ids: &Ids, pace: Pace) -> Result<Vec<(Vec<u8>, Unlike)>> {
        let Part { chat, from, to } = part;
        let mut found = Vec::new();
        for id in ids {
            let (Some(here), there) = (self.read(from, id, pace)?, self.read(to, id, pace)?) else { continue };
            let what = match there {
                None => Some(Unlike::Missing),
                Some(there) => self.unlike(&here, &there).map(Unlike::Columns),
            };
            match what {
                None => {}
                // The target's own.
                Some(Unlike::Columns(_)) if !has_come(to, *chat, id, pace)? => {}
                Some(what) => found.push((id.clone(), what)),
            }
        }
        Ok(found)
    }

    /// Whether both places have the attachment, and the same.
    pub(super) fn is_same(&self, Part { from, to, .. }: &Part, id: &[u8]) -> Result<bool> {
        let (Some(here), Some(there)) = (self.read(from, id, Pace::Shared)?, self.read(to, id, Pace::Shared)?) else {
            return Ok(false);
        };
        Ok(self.unlike(&here, &there).is_none())
    }

    fn read(&self, source: &Arc<Source>, id: &[u8], pace: Pace) -> Result<Option<Chunk>> {
        let mut rows = Chunk::of_width(self.columns.len());
        pace.read(source, "relocate.media", |tx| {
            tx.scan_stored(&self.find, &[ValueRef::Text(id)], |row| {
                rows.push(row)?;
                Ok(ControlFlow::Break(()))
            })
        })?;
        Ok((rows.len() > 0).then_some(rows))
    }

    fn unlike(&self, here: &Chunk, there: &Chunk) -> Option<Vec<String>> {
        let (here, there) = (here.rows().next()?, there.rows().next()?);
        let is_unlike = |index: &usize| !same(here.value(*index), there.value(*index));
        let unlike: Vec<_> = (0..self.columns.len()).filter(is_unlike).map(|at| self.columns[at].clone()).collect();
        (!unlike.is_empty()).then_some(unlike)
    }
}

/// Whether the attachment came with the chat.
fn has_come(target: &Arc<Source>, chat: ChatId, id: &[u8], pace: Pace) -> Result<bool> {
    let mut has_come = false;
    pace.read(target, "relocate.has_come", |tx| {
        tx.scan_stored(IS_NOTED, &[ValueRef::Integer(chat.0), ValueRef::Text(id)], |_| {
            has_come = true;
            Ok(ControlFlow::Break(()))
        })
    })?;
    Ok(has_come)
}

/// Deletes the attachments that only this chat's messages refer to, at a place that the chat has left. Where that is the
/// default source, those stay that messages of other sources show from there; `others` are these sources.
pub(super) fn clear(
    meter: &mut Meter<'_>,
    source: &Arc<Source>,
    others: &[Arc<Source>],
    chat: ChatId,
    steps: &mut Steps,
) -> Result<u64, MoveError> {
    let ids = ids_of_messages();
    let mut deleted = 0;
    let mut walk = Walk::new(source, &ids, chat, steps.rows());
    while let Some(chunk) = walk.next_of(steps.rows())? {
        let mut ids = chunk.texts(0);
        keep_shown(&mut ids, others);
        if ids.is_empty() {
            continue;
        }
        let params = || ids.iter().map(|id| [ValueRef::Integer(chat.0), ValueRef::Text(id)]);
        let rows =
            steps.write(source, "relocate.clear_media", |tx| tx.execute_stored(DELETE_UNLESS_REFERRED_TO, params()))?;
        deleted += rows;
        meter.add(rows)?;
        steps.rest();
    }
    Ok(deleted)
}

/// Takes out those ids whose attachments messages of these other sources show.
pub(super) fn keep_shown(ids: &mut Ids, others: &[Arc<Source>]) {
    for other in others {
        if ids.is_empty() {
            return;
        }
        match shown_elsewhere(other, ids) {
            Ok(shown) => ids.retain(|id| !shown.contains(id)),
            Err(error) => {
                tracing::warn!(%error, "attachments stay where they are, since a source cannot say whether it needs them");
                ids.clear();
            }
        }
    }
}

/// The ids that messages of a source refer to and that it has no row for: it shows the default source's.
fn shown_elsewhere(source: &Arc<Source>, ids: &Ids) -> Result<Ids> {
    let mut shown = Ids::new();
    let places: Vec<_> = (1..=ids.len()).map(|place| format!("?{place}")).collect();
    let sql = format!(
        "SELECT DISTINCT media_id FROM chat_messages
         WHERE media_id IN ({})
           AND NOT EXISTS (SELECT 1 FROM media_attachments WHERE file_unique_id = media_id)",
        places.join(", ")
    );
    let params: Vec<_> = ids.iter().map(|id| ValueRef::Text(id)).collect();
    source.read("relocate.shown_elsewhere", |tx| {
        tx.scan_stored(&sql, &params, |row| {
            if let ValueRef::Text(id) = row.get_ref(0)? {
                shown.insert(id.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })
    })?;
    Ok(shown)
}

/// Deletes what a move has brought, unless a message refers to it by now. The chat's own rows are gone before.
pub(super) fn undo(
    meter: &mut Meter<'_>,
    target: &Arc<Source>,
    chat: ChatId,
    steps: &mut Steps,
) -> Result<(), MoveError> {
    noted(meter, target, chat, steps, &[DELETE_NOTED, FORGET_NOTED])
}

/// Forgets what a move has brought: it is the target's own.
pub(super) fn settle(
    meter: &mut Meter<'_>,
    target: &Arc<Source>,
    chat: ChatId,
    steps: &mut Steps,
) -> Result<(), MoveError> {
    noted(meter, target, chat, steps, &[FORGET_NOTED])
}

fn noted(
    meter: &mut Meter<'_>,
    target: &Arc<Source>,
    chat: ChatId,
    steps: &mut Steps,
    statements: &[&str],
) -> Result<(), MoveError> {
    loop {
        let limit = i64::try_from(steps.rows()).unwrap_or(i64::MAX);
        let params = [ValueRef::Integer(chat.0), ValueRef::Integer(limit)];
        let forgotten = steps.write(target, "relocate.noted_media", |tx| {
            let mut last = 0;
            for sql in statements {
                last = tx.execute_stored(sql, [params])?;
            }
            Ok(last)
        })?;
        if forgotten == 0 {
            return Ok(());
        }
        meter.add(0)?;
        steps.rest();
    }
}
