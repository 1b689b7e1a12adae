//! Moving chats from one source to another while others read and write.
//!
//! What happens, in this order: the move is noted; from then on it is noticed which of the chat's rows change; the rows
//! are copied in chunks; what has changed is read again; both places are compared row by row; the gate is closed for a
//! moment, the rest is copied and compared, and one transaction of the shared source makes the target the owner; when no
//! call works on the old place any more the old rows are deleted in batches; the note goes. Whatever stops a move before
//! that one transaction leaves the chat where it was and a part of a copy, which the next move to the same target starts
//! over and [`Control::abort_move`] removes; after it the chat is at the new place, and the next move deletes what is
//! left at the old one. Why no write is lost stands in `docs/adr/0021-moves-without-downtime.md`.
//!
//! With the bot stopped it is the same, and nobody calls.
//!
//! Rows go from one source's reader through a chunk in memory to the other's writer, not through ATTACH: each source
//! stays in its own hands, with its deadlines and its look at its file, and it is no slower than a plain `INSERT ...
//! SELECT` over ATTACH of the same rows: `cargo run --release -p database --features multi-source --example move_speed`.

mod bring;
mod changes;
mod clear;
mod copy;
mod cut_over;
mod error;
#[cfg(test)]
mod error_tests;
mod lead_back;
mod leftovers;
mod media;
mod pace;
mod plan;
#[cfg(test)]
mod plan_tests;
mod planned;
mod report;
mod rows;
mod settle;
mod state;
mod steps;
mod strays;
mod tables;
mod there;
mod verify;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::control::Control;
use super::site::unfinished_moves;
use crate::error::{ErrorKind, Result};
use crate::ids::ChatId;
use crate::maintenance::UnfinishedMove;
use crate::params;
use crate::route::SourceName;
use crate::source::Source;
use crate::sources::{Topology as _, unknown_source};

pub(super) use bring::bring;
pub use error::{Difference, MoveError, Unlike};
pub(super) use plan::holds_any;
pub use report::{MappingChange, MoveOptions, MovePlan, MoveReport, Progress, Stage};
pub use strays::{Clear, Cleared, ClearedStrays, Stray, Strays, look_at_strays};
pub use there::ChatThere;

use changes::Changes;
use cut_over::Moved;
use pace::Steps;
use report::Meter;
use state::Lease;
use tables::Table;

/// How many rows one transaction has at most, whatever is asked for.
const MOST_AT_ONCE: usize = 20_000;

/// How often a move is begun whose sources change under it.
const MOST_STARTS: u32 = 3;

/// A chat on its way.
#[derive(Clone)]
struct Part {
    chat: ChatId,
    from: Arc<Source>,
    to: Arc<Source>,
}

impl Control {
    /// Moves a chat, with the group that it was before or the supergroup that it became, to another source, while others
    /// read and write. `progress` is told of every step and may break the move off.
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
        let meter = &mut Meter::new(&mut progress);
        let mut tries = 1;
        loop {
            let ended = match self.move_once(chat, to, options, meter) {
                // It was configured otherwise, and what worked on it before was closed.
                Err(MoveError::Database(error)) if matches!(error.kind(), ErrorKind::Closed) => {
                    Err(MoveError::SourceChanged { name: error.source_name().clone() })
                }
                ended => ended,
            };
            match ended {
                // What was copied is of no use; it is copied anew.
                Err(MoveError::SourceChanged { name }) if tries < MOST_STARTS => {
                    tracing::warn!(%chat, source = %name, "a move begins anew, since a source is not what it was");
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    fn move_once(
        &self,
        chat: ChatId,
        to: &SourceName,
        options: &MoveOptions,
        meter: &mut Meter<'_>,
    ) -> Result<MoveReport, MoveError> {
        let started = Instant::now();
        let at_once = options.rows_at_once.clamp(1, MOST_AT_ONCE);
        let steps = &mut Steps::new(at_once, options.longest_step);
        let chats = self.together(chat);
        let _under_way = self.router.gates.begin(&chats).ok_or(MoveError::UnderWay { chat })?;
        if let Some(settled) = self.settle_dispute(&chats, to)? {
            return Ok(MoveReport { elapsed: started.elapsed(), ..settled });
        }
        let unfinished = self.unfinished(&chats)?;
        unfinished.iter().try_for_each(|entry| self.check_not_remapped(entry))?;
        self.wait_before_tidying(meter, &unfinished)?;
        let mut report = MoveReport::to(to);
        let mapping = || self.routes(&chats, to).1;
        let is_there = || chats.iter().all(|chat| self.router.explain(*chat).0 == *to);
        let tidied = self.finish_switched(meter, &chats, steps).map_err(|error| {
            // Where it is this move that is not at its end, the chats are where they are to go.
            let report = MoveReport { mapping: mapping(), ..report.clone() };
            if is_there() { error.after_the_switch(report) } else { error }
        })?;
        report.tidied = tidied.unwrap_or_default();
        if tidied.is_some() && is_there() {
            // Bringing an earlier move to its end was all there was to do.
            return Ok(MoveReport { elapsed: started.elapsed(), mapping: mapping(), ..report });
        }
        let mut parts = self.parts(&chats, to, options.keep)?;
        if parts.is_empty()
            && unfinished.is_empty()
            && let Some(behind) = self.left_behind(&chats, to)?
        {
            // What would stop the move is known before anything is otherwise.
            let bytes = plan::bytes(&behind, &plan::rows(&behind)?, plan::media(&behind)?)?;
            plan::check_disk(&*self.source(to)?, bytes)?;
            report.waited = self.lead_back(meter, &chats, &behind)?;
            parts = self.parts(&chats, to, options.keep)?;
        }
        if unfinished.is_empty() {
            self.check_known(&chats, to)?;
        }
        self.check_not_there(&chats, &parts, to)?;
        // A file that is not there yet is made before anything is noted.
        for part in &parts {
            plan::check_available(&part.from)?;
            plan::check_available(&part.to)?;
        }
        // Before the first row is read, and looked at again when the gate is closed.
        let homes: Vec<_> = parts.iter().map(|part| (part.chat, Arc::clone(&part.from))).collect();
        self.wait_for_writes_past(meter, &homes)?;
        report.tidied += self.undo_copies(meter, &chats, Some(to), steps)?;
        for part in &parts {
            plan::check_empty(part)?;
        }
        let (rows, media) = (plan::rows(&parts)?, plan::media(&parts)?);
        let bytes = plan::bytes(&parts, &rows, media)?;
        plan::check_disk(&*self.source(to)?, bytes)?;
        report.bytes = bytes;
        let total = rows.values().sum::<u64>();
        report.is_nowhere = total == 0 && plan::is_nowhere(&self.router.table().sources, &chats);
        let moved = Moved { chats: &chats, parts: &parts, to, keep: options.keep };
        self.bring_over(meter, &moved, (total, media), steps, &mut report)
            .map_err(|error| self.unless_replaced(&moved, error))?;
        report.chats = parts.iter().map(|part| (part.chat, part.from.name().clone())).collect();
        // From here on the chats are at the new place, whatever happens.
        let left = if options.keep {
            parts.iter().try_for_each(|part| {
                media::settle(meter, &part.to, part.chat, steps)?;
                Ok(part.to.sync("relocate.sync")?)
            })
        } else {
            self.delete_all_old(meter, &chats, total, steps, &mut report)
        };
        report.elapsed = started.elapsed();
        match left {
            Err(error) if options.keep => {
                tracing::warn!(%error, "what is noted of the media that came with a chat stays");
            }
            Err(error) => return Err(error.after_the_switch(report)),
            Ok(()) => {}
        }
        Ok(report)
    }

    /// Copies so many rows and media, compares them, and makes the target their owner.
    fn bring_over(
        &self,
        meter: &mut Meter<'_>,
        moved: &Moved<'_>,
        (rows, media): (u64, u64),
        steps: &mut Steps,
        report: &mut MoveReport,
    ) -> Result<(), MoveError> {
        let Moved { parts, to, .. } = *moved;
        let mut lease = Lease::begin(&self.db, &self.shared()?, parts)?;
        // Before the first row is read.
        let mut changes = Changes::start(parts)?;
        for part in parts {
            let (chat, from) = (part.chat, part.from.name());
            tracing::info!(target: "database::audit", %chat, %from, %to, "a move begins");
            media::settle(meter, &part.to, part.chat, steps)?;
        }
        meter.begin(Stage::Copying, rows + media)?;
        for part in parts {
            copy::part(meter, part, steps, &mut lease, report)?;
        }
        changes.catch_up(steps, &mut lease)?;
        meter.begin(Stage::Verifying, rows)?;
        for part in parts {
            changes.suspect(verify::part(meter, part, steps.most())?);
        }
        if changes.catch_up(steps, &mut lease)? > 0 {
            meter.begin(Stage::CatchingUp, 0)?;
        }
        meter.begin(Stage::Switching, 1)?;
        self.cut_over(meter, moved, &mut changes, steps, &mut lease, report)?;
        report.reread = changes.reread;
        Ok(())
    }

    /// Rows may also differ because a source was opened anew meanwhile: what was written since was noticed by nobody.
    fn unless_replaced(&self, moved: &Moved<'_>, error: MoveError) -> MoveError {
        let MoveError::Differs { chat, from, to, .. } = &error else { return error };
        if let Err(changed) = self.check_unchanged(moved) {
            return changed;
        }
        tracing::warn!(target: "database::audit", %chat, %from, %to, "a copy is not what was copied, so the chat stays");
        error
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
        let _under_way = self.router.gates.begin(&chats).ok_or(MoveError::UnderWay { chat })?;
        let unfinished = self.unfinished(&chats)?;
        if let Some(UnfinishedMove { chat, from, to, .. }) = unfinished.iter().find(|entry| entry.is_switched).cloned()
        {
            return Err(MoveError::AlreadySwitched { chat, from, to });
        }
        if unfinished.is_empty() {
            return Err(MoveError::NothingToAbort { chat });
        }
        let meter = &mut Meter::new(&mut progress);
        self.wait_before_tidying(meter, &unfinished)?;
        let MoveOptions { rows_at_once, longest_step, .. } = MoveOptions::default();
        self.undo_copies(meter, &chats, None, &mut Steps::new(rows_at_once, longest_step))
    }

    /// The moves that were broken off.
    ///
    /// # Errors
    /// The default source cannot be read.
    pub fn unfinished_moves(&self) -> Result<Vec<UnfinishedMove>, MoveError> {
        self.shared()?.read("relocate.unfinished", unfinished_moves).map_err(MoveError::unavailable)
    }

    /// Rewrites a source's file with what is in it (`VACUUM`), which takes room for as much again. SQLite overwrites what
    /// is deleted, but may have left an older place of a row in the middle of a page that others' rows share; after this
    /// the file has no byte of what was deleted, a chat that was moved away from it for one.
    ///
    /// # Errors
    /// There is no such source, or it cannot be written.
    pub fn vacuum(&self, name: &SourceName) -> Result<()> {
        let op = "relocate.vacuum";
        let table = self.router.table();
        let source = table.named(name.as_str()).ok_or_else(|| unknown_source(&*table, op, name.as_str()))?;
        source.vacuum(op)?;
        source.checkpoint(op)?;
        tracing::info!(target: "database::audit", source = %name, "a source's file was rewritten");
        Ok(())
    }
}

/// How many rows of a table a chat has in a source.
fn count(source: &Arc<Source>, table: &Table, chat: ChatId) -> Result<u64> {
    if source.would_be_made("relocate.count")? {
        return Ok(0);
    }
    let Table { name, owner, .. } = table;
    let sql = format!("SELECT COUNT(*) FROM {name} WHERE {owner}");
    source.read("relocate.count", |tx| tx.value::<u64>(name, &sql, params![chat])).map(Option::unwrap_or_default)
}
