//! The steps that a move is made of, in the order of their being needed: the sources, and deleting
//! what is left at a place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::control::Control;
use super::super::datasource_router::{Recorded, Why};
use super::super::site::unfinished_moves;
use super::pace::Steps;
use super::report::{MappingChange, Meter, MoveReport, Stage};
use super::{MoveError, Part, clear, leftovers, media, plan, state};
use crate::ids::ChatId;
use crate::maintenance::UnfinishedMove;
use crate::route::SourceName;
use crate::source::{Health, Source};

/// How often it is looked whether others have come to an end.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a call may take, in timeouts: it may wait for the source to be opened, for its turn, and for the disk.
const CALLS_MAY_TAKE: u32 = 3;
/// How often it is tried to empty a log.
const TRIES_TO_EMPTY: u32 = 100;

impl Control {
    /// The chats that move together, the oldest first.
    pub(super) fn together(&self, chat: ChatId) -> Vec<ChatId> {
        plan::together(chat, &self.router.aliases.all())
    }

    /// The chats that have to be moved, with their sources, which can be used; none where all are there already. A file may
    /// not be there yet.
    pub(super) fn parts(&self, chats: &[ChatId], to: &SourceName, keep: bool) -> Result<Vec<Part>, MoveError> {
        self.check_available(&self.shared()?)?;
        let target = self.source(to)?;
        if target.config().readonly {
            return Err(MoveError::ReadOnlyTarget { name: to.clone() });
        }
        self.check_usable(&target)?;
        let mut parts = Vec::new();
        for chat in chats {
            let (name, _) = self.router.explain(*chat);
            if name == *to {
                continue;
            }
            let from = self.source(&name)?;
            if from.config().readonly && !keep {
                return Err(MoveError::ReadOnlySource { chat: *chat, name });
            }
            self.check_usable(&from)?;
            parts.push(Part { chat: *chat, from, to: Arc::clone(&target) });
        }
        Ok(parts)
    }

    /// Refuses chats of which nothing has to be moved, with where else there are rows of the last of them.
    pub(super) fn check_not_there(&self, chats: &[ChatId], parts: &[Part], to: &SourceName) -> Result<(), MoveError> {
        let (true, Some(chat)) = (parts.is_empty(), chats.last()) else { return Ok(()) };
        let here = plan::all_rows(&self.source(to)?, *chat)?;
        let elsewhere = plan::elsewhere(&self.router.table().sources, to, *chat);
        let (_, mapping) = self.routes(chats, to);
        Err(MoveError::AlreadyThere { chat: *chat, source_name: to.clone(), here, elsewhere, mapping })
    }

    /// Refuses a chat of which no source holds anything and that nothing leads anywhere.
    pub(super) fn check_known(&self, chats: &[ChatId], to: &SourceName) -> Result<(), MoveError> {
        // A group that became a supergroup is known by that.
        let [chat] = *chats else { return Ok(()) };
        let (source, why) = self.router.explain(chat);
        if why != Why::Default || !plan::is_nowhere(&self.router.table().sources, chats) {
            return Ok(());
        }
        Err(MoveError::Unknown { chat, to: (source != *to).then(|| to.clone()) })
    }

    /// Refuses where a source does not answer, or its chats are served elsewhere.
    fn check_available(&self, source: &Arc<Source>) -> Result<(), MoveError> {
        self.check_at_home(source)?;
        plan::check_available(source)
    }

    /// The same of one whose file may not be there yet: it is not made for that.
    fn check_usable(&self, source: &Arc<Source>) -> Result<(), MoveError> {
        self.check_at_home(source)?;
        match source.would_be_made("relocate.look").map_err(MoveError::unavailable)? {
            true => Ok(()),
            false => plan::check_available(source),
        }
    }

    /// Refuses where a source's chats are served elsewhere, also while it is open again and they are coming home: what
    /// was written meanwhile is not in it yet.
    pub(super) fn check_at_home(&self, source: &Source) -> Result<(), MoveError> {
        match self.router.away(source.name()) {
            None => Ok(()),
            Some(_) => {
                let reason = match source.health() {
                    Health::Unavailable { reason, .. } => Some(reason),
                    _ => None,
                };
                Err(MoveError::Away { name: source.name().clone(), reason })
            }
        }
    }

    /// Deletes the rows of chats at the places that they have just left.
    pub(super) fn delete_all_old(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        total: u64,
        steps: &mut Steps,
        report: &mut MoveReport,
    ) -> Result<(), MoveError> {
        meter.add(1)?;
        meter.begin(Stage::Deleting, total)?;
        for entry in self.unfinished(chats)? {
            report.deleted += self.delete_old(meter, &entry, steps)?;
        }
        Ok(())
    }

    /// Deletes what moves have left at old places; `None` where there was none.
    pub(super) fn finish_switched(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        steps: &mut Steps,
    ) -> Result<Option<u64>, MoveError> {
        let switched: Vec<_> = self.unfinished(chats)?.into_iter().filter(|entry| entry.is_switched).collect();
        if switched.is_empty() {
            return Ok(None);
        }
        meter.begin(Stage::Tidying, self.left_by(&switched).unwrap_or_default())?;
        let mut deleted = 0;
        for entry in &switched {
            self.check_leftovers(entry)?;
            deleted += self.delete_old(meter, entry, steps)?;
        }
        Ok(Some(deleted))
    }

    /// Deletes the rows of a chat at the place that it has left, and forgets the move.
    pub(super) fn delete_old(
        &self,
        meter: &mut Meter<'_>,
        entry: &UnfinishedMove,
        steps: &mut Steps,
    ) -> Result<u64, MoveError> {
        self.check_not_remapped(entry)?;
        self.wait_for_earlier_calls(meter, entry.chat)?;
        let (from, to, shared) = (self.source_of(&entry.from)?, self.source_of(&entry.to)?, self.shared()?);
        shared.sync("relocate.sync")?;
        self.router.confirm_arrival(entry.chat, &to)?;
        let others = if Arc::ptr_eq(&from, &shared) {
            self.router.table().sources.iter().filter(|one| !Arc::ptr_eq(one, &shared)).cloned().collect()
        } else {
            Vec::new()
        };
        // The media first: what tells them are the messages.
        let mut deleted = media::clear(meter, &from, &others, entry.chat, steps)?;
        deleted += clear::rows(meter, &from, entry.chat, steps)?;
        media::settle(meter, &to, entry.chat, steps)?;
        self.router.has_gone(entry.chat, &from);
        self.forget(entry.chat, &[&from, &to])?;
        // Until then the log still has what was deleted.
        if !empty_log(meter, &from)? {
            tracing::warn!(source = %from.name(), "others hold the log, which keeps deleted rows until they let go");
        }
        tracing::info!(target: "database::audit", chat = %entry.chat, from = entry.from, to = entry.to, rows = deleted, "a move is at its end");
        Ok(deleted)
    }

    /// Forgets a move that is at its end, once what it did at these places is on disk.
    pub(super) fn forget(&self, chat: ChatId, places: &[&Arc<Source>]) -> Result<(), MoveError> {
        places.iter().try_for_each(|place| place.sync("relocate.sync"))?;
        Ok(state::forget(&self.shared()?, chat)?)
    }

    /// Removes the copies of moves that were broken off: those to one target (another one is refused), or all.
    pub(super) fn undo_copies(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        only_to: Option<&SourceName>,
        steps: &mut Steps,
    ) -> Result<u64, MoveError> {
        let entries = self.unfinished(chats)?;
        for entry in &entries {
            self.check_not_remapped(entry)?;
            let UnfinishedMove { chat, from, to, .. } = entry;
            if only_to.is_some_and(|name| name.as_str() != to) {
                return Err(MoveError::Unfinished { chat: *chat, from: from.clone(), to: to.clone() });
            }
        }
        // Of all before anything is deleted.
        entries.iter().try_for_each(|entry| self.check_leftovers(entry))?;
        if entries.is_empty() {
            return Ok(0);
        }
        meter.begin(Stage::Tidying, self.left_by(&entries)?)?;
        let mut deleted = 0;
        for entry in &entries {
            deleted += clear::rows(meter, &self.source_of(&entry.to)?, entry.chat, steps)?;
        }
        for entry in &entries {
            let target = self.source_of(&entry.to)?;
            media::undo(meter, &target, entry.chat, steps)?;
            // Best done, but another process may hold it: then whoever closes the file last does it.
            empty_log(meter, &target)?;
            self.forget(entry.chat, &[&target])?;
            let (chat, from, to) = (entry.chat, &entry.from, &entry.to);
            tracing::info!(target: "database::audit", %chat, from, to, "the copy of a move that was broken off was removed");
        }
        Ok(deleted)
    }

    /// How many rows these moves have left.
    fn left_by(&self, entries: &[UnfinishedMove]) -> Result<u64, MoveError> {
        let rows = |entry: &UnfinishedMove| -> Result<u64, MoveError> {
            Ok(plan::all_rows(&self.source_of(entry.places().0)?, entry.chat)?)
        };
        entries.iter().map(rows).sum()
    }

    /// Waits until no call can write these chats' rows past the sources that they are in. Of what is written by a table of
    /// before, through the source that a file was then or into another one, nothing is noticed: it would be answered, and
    /// deleted with what a move leaves.
    pub(super) fn wait_for_writes_past(
        &self,
        meter: &mut Meter<'_>,
        homes: &[(ChatId, Arc<Source>)],
    ) -> Result<(), MoveError> {
        let past =
            || homes.iter().find_map(|(chat, home)| Some((*chat, self.router.earlier.writes_past(*chat, home)?)));
        let Some((_, takes)) = past() else { return Ok(()) };
        meter.begin(Stage::Waiting, 0)?;
        let (begun, most) = (Instant::now(), CALLS_MAY_TAKE * takes);
        while let Some((chat, _)) = past() {
            if begun.elapsed() >= most {
                return Err(MoveError::EarlierCalls { chat, waited: most });
            }
            meter.add(0)?;
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// The same before anything is deleted that a move has left.
    pub(super) fn wait_before_tidying(
        &self,
        meter: &mut Meter<'_>,
        unfinished: &[UnfinishedMove],
    ) -> Result<(), MoveError> {
        let home = |entry: &UnfinishedMove| Some((entry.chat, self.router.source(&self.router.explain(entry.chat).0)?));
        let homes: Vec<_> = unfinished.iter().filter_map(home).collect();
        self.wait_for_writes_past(meter, &homes)
    }

    /// Waits until no call uses a table any more by which the chat is where it was.
    fn wait_for_earlier_calls(&self, meter: &mut Meter<'_>, chat: ChatId) -> Result<(), MoveError> {
        while self.router.gates.is_used_by_earlier(chat) {
            meter.add(0)?;
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Refuses where what is to be deleted is the chat's own by now.
    pub(super) fn check_not_remapped(&self, entry: &UnfinishedMove) -> Result<(), MoveError> {
        let (now, _) = self.router.explain(entry.chat);
        let (deleted, before) = entry.places();
        if now.as_str() != deleted {
            return Ok(());
        }
        let (chat, from, to, before) = (entry.chat, entry.from.clone(), entry.to.clone(), before.to_owned());
        Err(MoveError::Remapped { chat, from, to, now, before })
    }

    /// Refuses where a move's leftovers stand among rows that were written since.
    pub(super) fn check_leftovers(&self, entry: &UnfinishedMove) -> Result<(), MoveError> {
        let (place, other) = entry.places();
        for source in [place, other].iter().filter_map(|name| self.source_of(name).ok()) {
            self.check_at_home(&source)?;
        }
        leftovers::check(entry, &self.source_of(place)?, self.source_of(other).ok().as_ref())
    }

    /// The moves of these chats that are not at their end.
    pub(super) fn unfinished(&self, chats: &[ChatId]) -> Result<Vec<UnfinishedMove>, MoveError> {
        let moves = self.shared()?.read("relocate.unfinished", unfinished_moves)?;
        Ok(moves.into_iter().filter(|one| chats.contains(&one.chat)).collect())
    }

    /// The routes to be recorded so that these chats' all lead to the target, and what would make the configuration say the
    /// same.
    pub(super) fn routes(
        &self,
        chats: &[ChatId],
        to: &SourceName,
    ) -> (Vec<(ChatId, Option<Recorded>)>, Vec<MappingChange>) {
        let aliases = self.router.aliases.all();
        self.router.with_plan(|plan| {
            let routes = plan::routes(plan, &aliases, chats, to);
            let mapping = plan::mapping(plan, &aliases, &routes);
            (routes, mapping)
        })
    }

    pub(super) fn source(&self, name: &SourceName) -> Result<Arc<Source>, MoveError> {
        self.source_of(name.as_str())
    }

    pub(super) fn source_of(&self, name: &str) -> Result<Arc<Source>, MoveError> {
        let table = self.router.table();
        let found = table.sources.iter().find(|source| source.name().as_str() == name).cloned();
        found.ok_or_else(|| {
            let known: Vec<_> = table.sources.iter().map(|source| format!("`{}`", source.name())).collect();
            MoveError::UnknownSource { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The default source: what belongs to no chat is there, moves among it.
    pub(super) fn shared(&self) -> Result<Arc<Source>, MoveError> {
        self.source(&self.router.with_plan(|plan| plan.config.default_source.clone()))
    }
}

/// Moves what is in the log into the file and empties the log, and answers whether that could be done: others that read
/// are waited for a while, those that write are not held up.
fn empty_log(meter: &mut Meter<'_>, source: &Arc<Source>) -> Result<bool, MoveError> {
    for _ in 0..TRIES_TO_EMPTY {
        if source.empty_log("relocate.empty_log")? {
            return Ok(true);
        }
        meter.add(0)?;
        std::thread::park_timeout(LOOK_EVERY);
    }
    Ok(false)
}
