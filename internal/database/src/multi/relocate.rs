//! Moving chats from one source to another while nobody else uses them.
//!
//! What happens, in this order: the move is noted; the rows are copied in chunks; both places are compared row by row;
//! one transaction of the shared source makes the target the owner; the old rows are deleted in batches; the note goes.
//! Whatever stops a move before that one transaction leaves the chat where it was and a part of a copy, which the next
//! move to the same target starts over and [`Control::abort_move`] removes; after it the chat is at the new place, and
//! the next move deletes what is left at the old one.
//!
//! Each step stands in a room of its own and takes what it works on as arguments, so that a move while the bot runs can
//! be made of the same steps.

mod clear;
mod copy;
mod error;
mod media;
mod plan;
mod report;
mod rows;
mod state;
mod tables;
mod verify;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::control::Control;
use super::datasource_router::Recorded;
use crate::error::Result;
use crate::ids::ChatId;
use crate::params;
use crate::route::SourceName;
use crate::source::{Durability, Source};

pub use error::{Difference, MoveError, Unlike};
pub use report::{MappingChange, MoveOptions, MovePlan, MoveReport, Progress, Stage, UnfinishedMove};

use media::Media;
use report::Meter;
use state::Entry;
use tables::Table;

/// How many rows one transaction has at most, whatever is asked for.
const MOST_AT_ONCE: usize = 20_000;

/// A chat on its way.
#[derive(Clone)]
struct Part {
    chat: ChatId,
    from: Arc<Source>,
    to: Arc<Source>,
}

impl Control {
    /// What moving a chat would do. Changes nothing, but for opening the sources.
    ///
    /// # Errors
    /// The move would be refused.
    pub fn plan_move(&self, chat: ChatId, to: &SourceName) -> Result<MovePlan, MoveError> {
        let chats = self.together(chat);
        let parts = self.parts(&chats, to)?;
        let unfinished = self.unfinished(&chats)?;
        for part in &parts {
            // What an earlier try has left at the target goes before.
            let is_ours = |entry: &&Entry| {
                let left_in = if entry.is_switched { &entry.from } else { &entry.to };
                entry.chat == part.chat && left_in == to.as_str()
            };
            match unfinished.iter().find(is_ours) {
                None => plan::check_empty(part)?,
                Some(entry) => self.check_not_remapped(entry)?,
            }
        }
        let (rows, media) = (plan::rows(&parts)?, plan::media(&parts)?);
        let (bytes, target) = (plan::bytes(&parts, media)?, self.source(to)?);
        plan::check_disk(&target, bytes)?;
        let routes = self.routes(&chats, to);
        Ok(MovePlan {
            chats: parts.iter().map(|part| (part.chat, part.from.name().clone())).collect(),
            to: to.clone(),
            rows,
            media,
            bytes,
            bytes_free: plan::free(&target),
            mapping: self.router.with_plan(|plan| plan::mapping(plan, &routes)),
        })
    }

    /// Moves a chat, with the group that it was before or the supergroup that it became, to another source. Nobody else
    /// may use these chats meanwhile. `progress` is told of every step and may break the move off.
    ///
    /// # Errors
    /// The move is refused, or something fails on the way. The chat is then in one place as a whole: at the new one
    /// where [`Control::explain`] says so, else at the old one.
    pub fn move_chat(
        &self,
        chat: ChatId,
        to: &SourceName,
        options: &MoveOptions,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<MoveReport, MoveError> {
        let started = Instant::now();
        let at_once = options.rows_at_once.clamp(1, MOST_AT_ONCE);
        let meter = &mut Meter::new(&mut progress);
        let chats = self.together(chat);
        let tidied = self.finish_switched(meter, &chats, at_once)?;
        let mut report = MoveReport {
            chats: Vec::new(),
            to: to.clone(),
            rows: BTreeMap::new(),
            media: 0,
            deleted: 0,
            tidied: tidied.unwrap_or_default(),
            elapsed: started.elapsed(),
            mapping: Vec::new(),
        };
        let parts = match self.parts(&chats, to) {
            // Bringing an earlier move to its end was all there was to do.
            Err(MoveError::AlreadyThere { .. }) if tidied.is_some() => return Ok(report),
            parts => parts?,
        };
        report.tidied += self.undo_copies(meter, &chats, Some(to), at_once)?;
        for part in &parts {
            plan::check_empty(part)?;
        }
        let (rows, media) = (plan::rows(&parts)?, plan::media(&parts)?);
        let bytes = plan::bytes(&parts, media)?;
        plan::check_disk(&*self.source(to)?, bytes)?;
        let total = rows.values().sum::<u64>();
        state::begin(&self.shared()?, &parts, self.db.now())?;
        for part in &parts {
            let (chat, from) = (part.chat, part.from.name());
            tracing::info!(target: "database::audit", %chat, %from, %to, "a move begins");
            media::settle(meter, &part.to, part.chat, at_once)?;
        }
        meter.begin(Stage::Copying, total + media)?;
        for part in &parts {
            for layout in copy::layouts(&part.from, &part.to)? {
                let copied = copy::rows(meter, part, &layout, at_once)?;
                if copied > 0 {
                    *report.rows.entry(layout.table.name).or_default() += copied;
                }
            }
            report.media += Media::between(&part.from, &part.to)?.copy(meter, part, at_once)?;
        }
        meter.begin(Stage::Verifying, total)?;
        for part in &parts {
            verify(meter, part, at_once)?;
        }
        meter.begin(Stage::Switching, 1)?;
        self.switch(&chats, &parts, to, options.keep, &mut report)?;
        meter.add(1)?;
        if options.keep {
            for part in &parts {
                media::settle(meter, &part.to, part.chat, at_once)?;
            }
        } else {
            meter.begin(Stage::Deleting, total)?;
            for entry in self.unfinished(&chats)? {
                report.deleted += self.delete_old(meter, &entry, at_once)?;
            }
        }
        report.chats = parts.iter().map(|part| (part.chat, part.from.name().clone())).collect();
        report.elapsed = started.elapsed();
        Ok(report)
    }

    /// Undoes a move that was broken off before the chat was at the new place: removes the part of a copy. Answers how
    /// many rows that were.
    ///
    /// # Errors
    /// There is no such move, it got too far, or a source cannot be used.
    pub fn abort_move(
        &self,
        chat: ChatId,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<u64, MoveError> {
        let chats = self.together(chat);
        let unfinished = self.unfinished(&chats)?;
        if let Some(Entry { chat, from, to, .. }) = unfinished.iter().find(|entry| entry.is_switched).cloned() {
            return Err(MoveError::AlreadySwitched { chat, from, to });
        }
        if unfinished.is_empty() {
            return Err(MoveError::NothingToAbort { chat });
        }
        let at_once = MoveOptions::default().rows_at_once;
        self.undo_copies(&mut Meter::new(&mut progress), &chats, None, at_once)
    }

    /// The moves that were broken off.
    ///
    /// # Errors
    /// The default source cannot be read.
    pub fn unfinished_moves(&self) -> Result<Vec<UnfinishedMove>, MoveError> {
        let entries = state::entries(&self.shared()?)?;
        let told = |Entry { chat, from, to, is_switched }| UnfinishedMove { chat, from, to, is_switched };
        Ok(entries.into_iter().map(told).collect())
    }

    /// The chats that move together, the oldest first.
    fn together(&self, chat: ChatId) -> Vec<ChatId> {
        plan::together(chat, &self.router.aliases.all())
    }

    /// The chats that have to be moved, with their sources, which can be used.
    fn parts(&self, chats: &[ChatId], to: &SourceName) -> Result<Vec<Part>, MoveError> {
        plan::check_available(&self.shared()?)?;
        let target = self.source(to)?;
        if target.config().readonly {
            return Err(MoveError::ReadOnlyTarget { name: to.clone() });
        }
        plan::check_available(&target)?;
        let mut parts = Vec::new();
        for chat in chats {
            let (name, _) = self.router.explain(*chat);
            if name == *to {
                continue;
            }
            let from = self.source(&name)?;
            if from.config().readonly {
                return Err(MoveError::ReadOnlySource { chat: *chat, name });
            }
            plan::check_available(&from)?;
            parts.push(Part { chat: *chat, from, to: Arc::clone(&target) });
        }
        match (parts.is_empty(), chats.last()) {
            (true, Some(chat)) => {
                let elsewhere = plan::elsewhere(&self.router.table().sources, to, *chat);
                Err(MoveError::AlreadyThere { chat: *chat, source_name: to.clone(), elsewhere })
            }
            _ => Ok(parts),
        }
    }

    /// Makes the target the owner, for everybody.
    fn switch(
        &self,
        chats: &[ChatId],
        parts: &[Part],
        to: &SourceName,
        keep: bool,
        report: &mut MoveReport,
    ) -> Result<(), MoveError> {
        let (shared, routes) = (self.shared()?, self.routes(chats, to));
        // First the copy is on disk for certain, then the switch, and only then is anything deleted.
        on_disk(&self.source(to)?)?;
        state::switch(&shared, parts, &routes, keep, self.db.now())?;
        report.mapping = self.router.with_plan(|plan| plan::mapping(plan, &routes));
        self.router.record(&routes);
        for Part { chat, from, .. } in parts {
            let (from, generation) = (from.name(), self.router.table().generation);
            tracing::info!(target: "database::audit", %chat, %from, %to, generation, "a chat was moved");
        }
        on_disk(&shared)
    }

    /// Deletes what moves have left at old places; `None` where there was none.
    fn finish_switched(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        at_once: usize,
    ) -> Result<Option<u64>, MoveError> {
        let switched: Vec<_> = self.unfinished(chats)?.into_iter().filter(|entry| entry.is_switched).collect();
        if switched.is_empty() {
            return Ok(None);
        }
        meter.begin(Stage::Tidying, 0)?;
        let mut deleted = 0;
        for entry in &switched {
            deleted += self.delete_old(meter, entry, at_once)?;
        }
        Ok(Some(deleted))
    }

    /// Deletes the rows of a chat at the place that it has left, and forgets the move.
    fn delete_old(&self, meter: &mut Meter<'_>, entry: &Entry, at_once: usize) -> Result<u64, MoveError> {
        self.check_not_remapped(entry)?;
        let (from, to, shared) = (self.source_of(&entry.from)?, self.source_of(&entry.to)?, self.shared()?);
        on_disk(&shared)?;
        let others = if Arc::ptr_eq(&from, &shared) {
            self.router.table().sources.iter().filter(|one| !Arc::ptr_eq(one, &shared)).cloned().collect()
        } else {
            Vec::new()
        };
        // The media first: what tells them are the messages.
        let mut deleted = media::clear(meter, &from, &others, entry.chat, at_once)?;
        deleted += clear::rows(meter, &from, entry.chat, at_once)?;
        media::settle(meter, &to, entry.chat, at_once)?;
        state::forget(&shared, entry.chat)?;
        // Until then the log still has what was deleted.
        if !from.checkpoint("relocate.checkpoint")? {
            tracing::warn!(source = %from.name(), "another process holds the log, which keeps deleted rows until it lets go");
        }
        tracing::info!(target: "database::audit", chat = %entry.chat, from = entry.from, to = entry.to, rows = deleted, "a move is at its end");
        Ok(deleted)
    }

    /// Removes the copies of moves that were broken off: those to one target (another one is refused), or all.
    fn undo_copies(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        only_to: Option<&SourceName>,
        at_once: usize,
    ) -> Result<u64, MoveError> {
        let entries = self.unfinished(chats)?;
        for entry in &entries {
            self.check_not_remapped(entry)?;
            let Entry { chat, from, to, .. } = entry;
            if only_to.is_some_and(|name| name.as_str() != to) {
                return Err(MoveError::Unfinished { chat: *chat, from: from.clone(), to: to.clone() });
            }
        }
        if entries.is_empty() {
            return Ok(0);
        }
        meter.begin(Stage::Tidying, 0)?;
        let mut deleted = 0;
        for entry in &entries {
            deleted += clear::rows(meter, &self.source_of(&entry.to)?, entry.chat, at_once)?;
        }
        for entry in &entries {
            let target = self.source_of(&entry.to)?;
            media::undo(meter, &target, entry.chat, at_once)?;
            // Best done, but another process may hold it: then whoever closes the file last does it.
            target.checkpoint("relocate.checkpoint")?;
            state::forget(&self.shared()?, entry.chat)?;
            let (chat, from, to) = (entry.chat, &entry.from, &entry.to);
            tracing::info!(target: "database::audit", %chat, from, to, "the copy of a move that was broken off was removed");
        }
        Ok(deleted)
    }

    /// Refuses where what is to be deleted is the chat's own by now.
    fn check_not_remapped(&self, entry: &Entry) -> Result<(), MoveError> {
        let Entry { chat, from, to, is_switched } = entry.clone();
        let (now, _) = self.router.explain(chat);
        let (deleted, before) = if is_switched { (&from, &to) } else { (&to, &from) };
        if now.as_str() != deleted {
            return Ok(());
        }
        let before = before.clone();
        Err(MoveError::Remapped { chat, from, to, now, before })
    }

    fn unfinished(&self, chats: &[ChatId]) -> Result<Vec<Entry>, MoveError> {
        let entries = state::entries(&self.shared()?)?;
        Ok(entries.into_iter().filter(|entry| chats.contains(&entry.chat)).collect())
    }

    fn routes(&self, chats: &[ChatId], to: &SourceName) -> Vec<(ChatId, Option<Recorded>)> {
        let aliases = self.router.aliases.all();
        self.router.with_plan(|plan| plan::routes(plan, &aliases, chats, to))
    }

    fn source(&self, name: &SourceName) -> Result<Arc<Source>, MoveError> {
        self.source_of(name.as_str())
    }

    fn source_of(&self, name: &str) -> Result<Arc<Source>, MoveError> {
        let table = self.router.table();
        let found = table.sources.iter().find(|source| source.name().as_str() == name).cloned();
        found.ok_or_else(|| {
            let known: Vec<_> = table.sources.iter().map(|source| format!("`{}`", source.name())).collect();
            MoveError::UnknownSource { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The default source: what belongs to no chat is there, moves among it.
    fn shared(&self) -> Result<Arc<Source>, MoveError> {
        self.source(&self.router.with_plan(|plan| plan.config.default_source.clone()))
    }
}

/// Compares both places.
fn verify(meter: &mut Meter<'_>, part: &Part, at_once: usize) -> Result<(), MoveError> {
    let mut differences = Vec::new();
    for layout in copy::layouts(&part.from, &part.to)? {
        verify::rows(meter, part, &layout, at_once, &mut differences)?;
    }
    Media::between(&part.from, &part.to)?.verify(meter, part, at_once, &mut differences)?;
    if differences.is_empty() {
        return Ok(());
    }
    let Part { chat, from, to } = part;
    let (from, to) = (from.name().clone(), to.name().clone());
    tracing::warn!(target: "database::audit", %chat, %from, %to, "a copy is not what was copied, so the chat stays");
    Err(MoveError::Differs { chat: *chat, from, to, differences })
}

/// How many rows of a table a chat has in a source.
fn count(source: &Arc<Source>, table: &Table, chat: ChatId) -> Result<u64> {
    let Table { name, owner, .. } = table;
    let sql = format!("SELECT COUNT(*) FROM {name} WHERE {owner}");
    source.read("relocate.count", |tx| tx.value::<u64>(name, &sql, params![chat])).map(Option::unwrap_or_default)
}

/// Makes certain that all that was answered survives a power loss. With the durability "full" it does.
fn on_disk(source: &Arc<Source>) -> Result<(), MoveError> {
    if source.config().durability == Durability::Full || source.checkpoint("relocate.on_disk")? {
        return Ok(());
    }
    Err(MoveError::LogHeld { name: source.name().clone() })
}
