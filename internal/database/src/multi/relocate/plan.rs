//! What moves from where, what stands against it, and what routes and configuration say afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::datasource_router::{Plan, Recorded};
use super::report::MappingChange;
use super::rows::{Layout, Walk};
use super::tables::{MOVED, Table};
use super::{MoveError, Part, copy, count};
use crate::error::Result;
use crate::ids::ChatId;
use crate::params;
use crate::route::SourceName;
use crate::source::{ReadTx, Source, folder_of, free_bytes};

/// How many rows of each table are looked at to know how long its rows are.
const SAMPLE: usize = 200;
/// What a row takes besides its values: its own place and those in indexes.
const BESIDES: u64 = 120;
/// What a disk has to have beyond the rows: the log, and what others write meanwhile.
const SPARE: u64 = 16_000_000;

/// The chats that share their history, and so move together: a group and the supergroup that it became, the group first.
pub(super) fn together(chat: ChatId, aliases: &HashMap<ChatId, ChatId>) -> Vec<ChatId> {
    let first = aliases.get(&chat).copied().unwrap_or(chat);
    let later: BTreeSet<_> = aliases.iter().filter(|(_, old)| **old == first).map(|(new, _)| *new).collect();
    std::iter::once(first).chain(later).collect()
}

/// The routes to be recorded of chats that move together, so that all lead to the target. `None` where the configuration
/// leads there by itself, and did so before.
pub(super) fn routes(
    plan: &Plan,
    aliases: &HashMap<ChatId, ChatId>,
    chats: &[ChatId],
    to: &SourceName,
) -> Vec<(ChatId, Option<Recorded>)> {
    let line_of = |chat: &ChatId| plan.config.chat_mapping.get(chat);
    let mut routes: Vec<(ChatId, Option<Recorded>)> = Vec::with_capacity(chats.len());
    for chat in chats {
        let inherited = || {
            let old = aliases.get(chat)?;
            // The group came first. What that inherits itself is not passed on.
            match routes.iter().find(|(known, _)| known == old) {
                Some((_, Some(recorded))) => Some(&recorded.source),
                Some((_, None)) => line_of(old),
                None => Some(plan.route(*old, &HashMap::new())?.0),
            }
        };
        let line = line_of(chat);
        let leads = line.or_else(inherited).unwrap_or(&plan.config.default_source);
        let earlier = plan.recorded.get(chat).map(|earlier| earlier.file_said.clone());
        let file_said = earlier.unwrap_or_default().and(line);
        // What was said before may lead elsewhere, and be said again.
        let is_needed = leads != to || !file_said.is_only(line);
        routes.push((*chat, is_needed.then(|| Recorded { source: to.clone(), file_said })));
    }
    routes
}

/// What would make the configuration say what the routes say.
pub(super) fn mapping(
    plan: &Plan,
    aliases: &HashMap<ChatId, ChatId>,
    routes: &[(ChatId, Option<Recorded>)],
) -> Vec<MappingChange> {
    let change = |(chat, route): &(ChatId, Option<Recorded>)| {
        let source = &route.as_ref()?.source;
        let is_default = *source == plan.config.default_source;
        match plan.config.chat_mapping.get(chat) {
            Some(line) if line == source => None,
            Some(_) if is_default => Some(MappingChange::Remove { chat: *chat }),
            None if is_default && !aliases.contains_key(chat) => None,
            _ => Some(MappingChange::Set { chat: *chat, source: source.clone() }),
        }
    };
    routes.iter().filter_map(change).collect()
}

/// How many rows of each table the parts have.
pub(super) fn rows(parts: &[Part]) -> Result<BTreeMap<&'static str, u64>> {
    let mut rows = BTreeMap::new();
    for table in &MOVED {
        for part in parts {
            let count = count(&part.from, table, part.chat)?;
            if count > 0 {
                *rows.entry(table.name).or_default() += count;
            }
        }
    }
    Ok(rows)
}

impl Part {
    /// Whether there can be anything of it: where the file of the source that it leaves is not there yet, it is not made for
    /// that.
    fn is_there(&self) -> bool {
        !self.from.would_be_made("relocate.is_there").is_ok_and(|is_new| is_new)
    }
}

/// How many attachments the parts' messages refer to, of those at the places that they leave.
pub(super) fn media(parts: &[Part]) -> Result<u64> {
    let mut all = 0;
    for part in parts.iter().filter(|part| part.is_there()) {
        // Along the index of the messages that have any, which are the fewer.
        let sql = "SELECT COUNT(*) FROM media_attachments
                   WHERE file_unique_id IN (SELECT media_id FROM chat_messages
                                            WHERE +chat_id = ?1 AND media_id IS NOT NULL)";
        let found = part
            .from
            .read("relocate.count_media", |tx| tx.value::<u64>("media_attachments", sql, params![part.chat]))?;
        all += found.unwrap_or_default();
    }
    Ok(all)
}

/// How many bytes the parts' rows take, about: some of them are looked at.
pub(super) fn bytes(parts: &[Part], rows: &BTreeMap<&'static str, u64>, media: u64) -> Result<u64, MoveError> {
    let mut bytes = media * 4 * BESIDES;
    for part in parts.iter().filter(|part| part.is_there()) {
        for layout in copy::layouts(&part.from, &part.to)? {
            let Some(count) = rows.get(layout.table.name) else { continue };
            if let Some(chunk) = Walk::new(&part.from, &layout.query, part.chat, SAMPLE).next()? {
                let one = (chunk.size() / chunk.len().max(1)) as u64;
                bytes += count * (one + BESIDES);
            }
        }
    }
    Ok(bytes)
}

/// How many bytes the disk of a source has left for this user; `u64::MAX` where the system does not say.
pub(super) fn free(source: &Source) -> u64 {
    free_bytes(&folder_of(&source.config().path)).unwrap_or(u64::MAX)
}

/// Refuses where the disk of the target has too little room. With the rows of the old place deleted in the same file
/// system its log grows too, so there has to be room for the rows twice.
pub(super) fn check_disk(target: &Source, bytes: u64) -> Result<(), MoveError> {
    let (needed, free) = (2 * bytes + SPARE, free(target));
    if free < needed {
        return Err(MoveError::TooLittleDisk { name: target.name().clone(), needed, free });
    }
    Ok(())
}

/// Refuses where the target holds rows of the chat.
pub(super) fn check_empty(part: &Part) -> Result<(), MoveError> {
    let mut tables = Vec::new();
    for table in &MOVED {
        let count = count(&part.to, table, part.chat)?;
        if count > 0 {
            tables.push((table.name, count));
        }
    }
    // Keys without the chat in them might be taken by a row of nobody's.
    if part.is_there() {
        let layouts = copy::layouts(&part.from, &part.to)?;
        for layout in layouts.iter().filter(|layout| !layout.table.key.contains(&"chat_id")) {
            let taken = taken(part, layout)?;
            if taken > 0 && !tables.iter().any(|(table, _)| *table == layout.table.name) {
                tables.push((layout.table.name, taken));
            }
        }
    }
    if tables.is_empty() {
        return Ok(());
    }
    Err(MoveError::ForeignRows { chat: part.chat, name: part.to.name().clone(), tables })
}

/// How many of the rows' keys are taken at the target.
fn taken(part: &Part, layout: &Layout) -> Result<u64> {
    if part.to.would_be_made("relocate.taken")? {
        return Ok(0);
    }
    let mut taken = 0;
    let mut walk = Walk::new(&part.from, &layout.query, part.chat, SAMPLE);
    while let Some(chunk) = walk.next()? {
        part.to.read("relocate.taken", |tx| {
            tx.snapshot()?;
            chunk.rows().try_for_each(|row| {
                tx.scan_stored(&layout.find, &layout.key(row), |_| {
                    taken += 1;
                    Ok(ControlFlow::Break(()))
                })
            })
        })?;
    }
    Ok(taken)
}

/// The sources besides one that hold rows of a chat, with their number; those that cannot be asked are passed over.
pub(super) fn elsewhere(sources: &[Arc<Source>], but: &SourceName, chat: ChatId) -> Vec<(SourceName, u64)> {
    let others = sources.iter().filter(|source| source.name() != but);
    let count = |source: &Arc<Source>| {
        let count = all_rows(source, chat).ok().filter(|count| *count > 0)?;
        Some((source.name().clone(), count))
    };
    others.filter_map(count).collect()
}

/// Whether no source holds anything of some chats, as where a number was mistyped. One that cannot be asked may.
pub(super) fn is_nowhere(sources: &[Arc<Source>], chats: &[ChatId]) -> bool {
    let is_empty = |source: &Arc<Source>, chat: &ChatId| holds(source, *chat).is_ok_and(|holds_any| !holds_any);
    sources.iter().all(|source| chats.iter().all(|chat| is_empty(source, chat)))
}

/// Whether a source holds anything of a chat. One whose file is not there yet does not, and is not opened.
pub(super) fn holds(source: &Arc<Source>, chat: ChatId) -> Result<bool> {
    const OP: &str = "relocate.holds";
    Ok(!source.would_be_made(OP)? && source.read(OP, |tx| holds_any(tx, chat))?)
}

/// Whether a source holds anything of a chat, in any table.
pub(in crate::multi) fn holds_any(tx: &ReadTx<'_>, chat: ChatId) -> Result<bool> {
    tx.snapshot()?;
    for Table { name, owner, .. } in &MOVED {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {name} WHERE {owner})");
        if tx.value::<u64>(name, &sql, params![chat])? == Some(1) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many rows a source holds of a chat, in all tables.
pub(super) fn all_rows(source: &Arc<Source>, chat: ChatId) -> Result<u64> {
    MOVED.iter().map(|table| count(source, table, chat)).sum()
}

/// Whether a source answers.
pub(super) fn check_available(source: &Arc<Source>) -> Result<(), MoveError> {
    let looked = source.read("relocate.look", |tx| {
        tx.scan("SELECT 1 FROM chat_info LIMIT 1", params![], |_| Ok(ControlFlow::Break(())))
    });
    looked.map_err(|error| MoveError::Unavailable { name: source.name().clone(), error })
}
