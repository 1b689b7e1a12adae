//! What moves that were broken off have left, told from what was written in the same place since: a chat may have been
//! mapped there in between, and what it was answered then was kept is not a leftover.
//!
//! A leftover is no younger than the move, or the same as where the chat is. What leaves no moment behind, such as the
//! correction of a text that was copied, cannot be told from the copy; the text is then where the chat is as it was.
//!
//! Where leftovers stand among such rows neither the same move again nor undoing it would be right; the move can be
//! forgotten then, and what is left are strays.

use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::super::control::Control;
use super::pace::Steps;
use super::report::{Meter, MoveOptions};
use super::rows::{Layout, Row, Walk};
use super::tables::MOVED;
use super::{MoveError, copy, media};
use crate::error::Result;
use crate::ids::ChatId;
use crate::maintenance::UnfinishedMove;
use crate::source::Source;
use crate::time::Timestamp;

/// How many rows are looked at at a time.
const AT_ONCE: usize = 1_000;

impl Control {
    /// Gives up a move that was broken off: no row is copied, none is deleted, and the chat stays where it is. What is
    /// left of it at the other place are strays from then on.
    ///
    /// # Errors
    /// There is no such move, or where it was to go, or the default source, cannot be used.
    pub fn forget_move(&self, chat: ChatId) -> Result<(), MoveError> {
        let chats = self.together(chat);
        let _under_way = self.router.gates.begin(&chats).ok_or(MoveError::UnderWay { chat })?;
        let entries = self.unfinished(&chats)?;
        if entries.is_empty() {
            return Err(MoveError::NothingToAbort { chat });
        }
        let MoveOptions { rows_at_once, longest_step, .. } = MoveOptions::default();
        let steps = &mut Steps::new(rows_at_once, longest_step);
        for UnfinishedMove { chat, from, to, .. } in &entries {
            // Of one that is configured no more nothing can be noted either.
            if let Ok(target) = self.source_of(to) {
                self.check_at_home(&target)?;
                // The media that it has brought stay like its rows.
                media::settle(&mut Meter::new(&mut |_| ControlFlow::Continue(())), &target, *chat, steps)?;
                self.forget(*chat, &[&target])?;
            } else {
                self.forget(*chat, &[])?;
            }
            tracing::info!(target: "database::audit", %chat, from, to, "a move that was broken off was given up; its rows stay where they are");
        }
        Ok(())
    }
}

/// Refuses where a move's place of leftovers holds rows that were written since. `other` is where the chat is; `None`
/// where that is configured no more.
pub(super) fn check(entry: &UnfinishedMove, place: &Arc<Source>, other: Option<&Arc<Source>>) -> Result<(), MoveError> {
    let mut tables = Vec::new();
    for table in &MOVED {
        let mut columns = copy::columns_of(table.name, place)?;
        if let Some(other) = other {
            let known = copy::columns_of(table.name, other)?;
            columns.retain(|column| known.contains(column));
        }
        let layout = Layout::new(table, columns);
        let count = written_since(entry, &layout, place, other)?;
        if count > 0 {
            tables.push((table.name, count));
        }
    }
    if tables.is_empty() {
        return Ok(());
    }
    let (chat, from, to) = (entry.chat, entry.from.clone(), entry.to.clone());
    Err(MoveError::WrittenSince { chat, from, to, name: place.name().clone(), tables })
}

/// How many rows of a table were written since.
fn written_since(
    entry: &UnfinishedMove,
    layout: &Layout,
    place: &Arc<Source>,
    other: Option<&Arc<Source>>,
) -> Result<u64> {
    let moments: Vec<_> = (0..layout.columns.len())
        .filter(|index| ["created_at", "updated_at"].contains(&layout.columns[*index].as_str()))
        .collect();
    let mut walk = Walk::new(place, &layout.query, entry.chat, AT_ONCE);
    let mut count = 0;
    while let Some(chunk) = walk.next()? {
        let is_young =
            |row: &Row<'_>| moments.is_empty() || moments.iter().any(|index| is_after(row.value(*index), entry.since));
        let young: Vec<_> = chunk.rows().filter(is_young).collect();
        count += young.len() as u64;
        let Some(other) = other.filter(|_| !young.is_empty()) else { continue };
        count -= other.read("relocate.leftovers", |tx| {
            tx.snapshot()?;
            let mut the_same = 0;
            for row in &young {
                tx.scan_stored(&layout.find, &layout.key(*row), |found| {
                    the_same += u64::from(layout.unlike(*row, found)?.is_empty());
                    Ok(ControlFlow::Break(()))
                })?;
            }
            Ok(the_same)
        })?;
    }
    Ok(count)
}

/// Whether a stored moment is after another. One that cannot be read is none that this program writes.
fn is_after(value: ValueRef<'_>, since: Timestamp) -> bool {
    let ValueRef::Text(text) = value else { return false };
    let moment = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Timestamp>().ok());
    moment.is_some_and(|moment| moment > since)
}
