//! Bringing along the history of a chat that was mapped elsewhere by hand: its rows stayed where they were, and where it
//! is led to nothing was written yet.
//!
//! The chat is led back to its rows first, as by a move that leaves nothing: its gate is closed, nothing of it is where it
//! leaves, and one transaction of the default source makes the place with the rows its home. No row is copied or deleted
//! by that, and nothing is noted that a later move might tidy. From then on it is a chat with a history that is to be
//! moved, as any other: stopped in between it is where its history is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::control::Control;
use super::cut_over::{CLOSED_FOR, DECIDED_BY, Decided, LONGEST_PAUSE, MOST_TRIES, Moved, PAUSE, not_now};
use super::report::{Meter, Stage};
use super::{MoveError, Part, plan};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::Source;

impl Control {
    /// The parts of a move of chats that are led to the target already, while all that there is of them is in one other
    /// source, which can be written; `None` where that is not so, or cannot be told.
    pub(super) fn left_behind(&self, chats: &[ChatId], to: &SourceName) -> Result<Option<Vec<Part>>, MoveError> {
        let table = self.router.table();
        let mut holding: Vec<&Arc<Source>> = Vec::new();
        for source in &table.sources {
            if self.check_at_home(source).is_err() {
                return Ok(None);
            }
            for chat in chats {
                match plan::holds(source, *chat) {
                    Ok(false) => {}
                    Ok(true) if holding.last().is_some_and(|last| Arc::ptr_eq(last, source)) => {}
                    Ok(true) => holding.push(source),
                    Err(_) => return Ok(None),
                }
            }
        }
        let [from] = holding[..] else { return Ok(None) };
        if from.name() == to || from.config().readonly {
            return Ok(None);
        }
        let target = self.source(to)?;
        let part = |chat: &ChatId| Part { chat: *chat, from: Arc::clone(from), to: Arc::clone(&target) };
        let parts: Vec<_> = chats.iter().map(part).collect();
        // What that says to do is meant for a chat that is where its rows are, and would delete its history here.
        match parts.iter().try_for_each(plan::check_empty) {
            Err(MoveError::ForeignRows { .. }) => Ok(None),
            checked => checked.map(|()| Some(parts)),
        }
    }

    /// Leads chats back to where these parts of a move begin, and answers how long their writes waited at most.
    ///
    /// # Errors
    /// Something was written where they are led to meanwhile, or is otherwise than it was. They are where they were.
    pub(super) fn lead_back(
        &self,
        meter: &mut Meter<'_>,
        chats: &[ChatId],
        parts: &[Part],
    ) -> Result<Duration, MoveError> {
        let Some(Part { from: before, to: now, .. }) = parts.first() else { return Ok(Duration::ZERO) };
        let homes: Vec<_> = chats.iter().map(|chat| (*chat, Arc::clone(now))).collect();
        self.wait_for_writes_past(meter, &homes)?;
        let back: Vec<_> =
            parts.iter().map(|part| Part { chat: part.chat, from: Arc::clone(now), to: Arc::clone(before) }).collect();
        let moved = Moved { chats, parts: &back, to: before.name(), keep: true };
        let shared = self.shared()?;
        // Where it is broken off here there is nothing to undo.
        meter.begin(Stage::Waiting, 0)?;
        self.router.may_leave(chats)?;
        let mut waited = Duration::ZERO;
        for tries in 1..=MOST_TRIES {
            meter.add(0)?;
            let mut closed = None;
            let ended = self.try_lead_back(&moved, now, &shared, &mut closed);
            waited = waited.max(closed.map_or(Duration::ZERO, |closed: Instant| closed.elapsed()));
            if let Some(decided) = ended? {
                self.told(&moved, &decided.numbers);
                return Ok(waited);
            }
            std::thread::park_timeout((PAUSE * tries).min(LONGEST_PAUSE));
        }
        Err(MoveError::NoMoment { chat: chats[0], to: before.name().clone(), tries: MOST_TRIES })
    }

    /// Tries once; `None` where others left no time for it.
    fn try_lead_back(
        &self,
        moved: &Moved<'_>,
        now: &Arc<Source>,
        shared: &Arc<Source>,
        closed_at: &mut Option<Instant>,
    ) -> Result<Option<Decided>, MoveError> {
        // In the turn of whoever writes there: what was written before is committed, and nothing is from then on.
        let gate = now.while_nobody_writes("relocate.lead_back", || {
            *closed_at = Some(Instant::now());
            self.router.gates.close(moved.chats)
        });
        let (Some(gate), Some(closed)) = (not_now(gate.map_err(Into::into))?, *closed_at) else { return Ok(None) };
        self.check_unchanged(moved)?;
        let holds = |source: &Arc<Source>, chat| {
            let holds = source.read_by("relocate.holds", closed + DECIDED_BY, |tx| plan::holds_any(tx, chat));
            not_now(holds.map_err(Into::into))
        };
        let mut is_there = false;
        for Part { chat, from, to } in moved.parts {
            let (Some(is_taken), Some(has_rows)) = (holds(from, *chat)?, holds(to, *chat)?) else { return Ok(None) };
            if is_taken {
                drop(gate);
                let here = plan::all_rows(from, *chat)?;
                let elsewhere = vec![(to.name().clone(), plan::all_rows(to, *chat)?)];
                let (source_name, mapping) = (from.name().clone(), Vec::new());
                return Err(MoveError::AlreadyThere { chat: *chat, source_name, here, elsewhere, mapping });
            }
            is_there |= has_rows;
        }
        if !is_there {
            // As where a backup was put back meanwhile.
            return Err(MoveError::SourceChanged { name: moved.to.clone() });
        }
        self.decide(gate, moved, shared, closed + CLOSED_FOR)
    }
}
