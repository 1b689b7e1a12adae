//! The cut-over: the moment in which a chat comes to live in another source, its writes waiting at the gate.
//!
//! How it is made sure that no write is lost and that nobody waits for long stands in `docs/adr/0021`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::arrived;
use super::super::control::Control;
use super::super::gate::Closed;
use super::changes::Changes;
use super::pace::Steps;
use super::report::{MappingChange, Meter, MoveReport};
use super::state::Lease;
use super::{MoveError, Part, state};
use crate::error::{Error, ErrorKind};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::Source;

/// With so many rows that changed the gate is closed.
const FEW: usize = 200;
/// How many rows may have changed in between.
const MOST_AT_ONCE: usize = 4_000;
/// How long the gate may stay closed until the move is decided. Deciding it takes a sync, and opening the gate a little.
pub(super) const CLOSED_FOR: Duration = Duration::from_millis(60);
/// Nothing is decided that was not begun to be decided by then.
pub(super) const DECIDED_BY: Duration = Duration::from_millis(35);
/// How often it is tried before the move is given up.
pub(super) const MOST_TRIES: u32 = 300;
/// How long it is waited between two tries: longer, the more have failed.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long the default source is asked whether a move was decided where its answer was lost.
const TO_LEARN: Duration = Duration::from_secs(10);

/// What became of a try.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Done,
    /// Others kept a source busy.
    Busy,
    /// More had changed than could be read again in that time. What was, was: while the gate is closed nothing comes in.
    Behind,
}

/// A move that is decided.
pub(super) struct Decided {
    mapping: Vec<MappingChange>,
    /// The number of each chat's move.
    pub(super) numbers: Vec<(ChatId, u64)>,
}

/// What is moved.
pub(super) struct Moved<'a> {
    pub(super) chats: &'a [ChatId],
    pub(super) parts: &'a [Part],
    pub(super) to: &'a SourceName,
    pub(super) keep: bool,
}

impl Control {
    /// Makes the target the owner, for everybody.
    pub(super) fn cut_over(
        &self,
        meter: &mut Meter<'_>,
        moved: &Moved<'_>,
        changes: &mut Changes<'_>,
        steps: &mut Steps,
        lease: &mut Lease<'_>,
        report: &mut MoveReport,
    ) -> Result<(), MoveError> {
        let shared = self.shared()?;
        // Where the chat may leave is on disk before it does.
        self.router.may_leave(moved.chats)?;
        let mut tried = Tried::Busy;
        for tries in 1..=MOST_TRIES {
            meter.add(0)?;
            lease.renew()?;
            if tried == Tried::Busy {
                self.come_near(moved, changes, steps, lease)?;
            }
            report.tries = tries;
            let mut closed = None;
            let ended = self.try_cut_over(moved, changes, &shared, &mut closed);
            report.waited = report.waited.max(closed.map_or(Duration::ZERO, |closed: Instant| closed.elapsed()));
            tried = match ended? {
                (tried, None) => tried,
                (tried, Some(decided)) => {
                    report.mapping = decided.mapping;
                    self.told(moved, &decided.numbers);
                    tried
                }
            };
            match tried {
                Tried::Done => return Ok(()),
                Tried::Busy => std::thread::park_timeout((PAUSE * tries).min(LONGEST_PAUSE)),
                // Those who wait have their turn.
                Tried::Behind => std::thread::park_timeout(PAUSE),
            }
        }
        let (chat, to) = (moved.chats[0], moved.to.clone());
        Err(MoveError::NoMoment { chat, to, tries: MOST_TRIES })
    }

    /// Reads again what has changed until little is left, and waits for whoever writes for long.
    fn come_near(
        &self,
        moved: &Moved<'_>,
        changes: &mut Changes<'_>,
        steps: &mut Steps,
        lease: &mut Lease<'_>,
    ) -> Result<(), MoveError> {
        changes.catch_up(steps, lease)?;
        // They have come to an end when the gate closes; not all of them will come at once.
        for source in [&self.shared()?, &self.source(moved.to)?] {
            source.while_nobody_writes("relocate.wait_for_turn", || ())?;
        }
        let mut last = usize::MAX;
        loop {
            let rows = changes.catch_up(steps, lease)?;
            // Where it becomes no less the gate has to help.
            if rows <= FEW || rows > last / 2 {
                // With what was copied: who waits at the gate waits for the rest only.
                return Ok(self.source(moved.to)?.sync("relocate.sync")?);
            }
            last = rows;
        }
    }

    /// Tries once.
    fn try_cut_over(
        &self,
        moved: &Moved<'_>,
        changes: &mut Changes<'_>,
        shared: &Arc<Source>,
        closed_at: &mut Option<Instant>,
    ) -> Result<(Tried, Option<Decided>), MoveError> {
        let chats = moved.chats;
        let mut gate: Option<(Closed<'_>, Instant)> = None;
        let is_all = changes.take_last(MOST_AT_ONCE, || {
            let now = Instant::now();
            *closed_at = Some(now);
            gate.get_or_insert_with(|| (self.router.gates.close(chats), now)).1 + CLOSED_FOR
        });
        let is_all = not_now(is_all)?;
        let Some((gate, closed)) = gate else { return Ok((Tried::Busy, None)) };
        match is_all {
            None => return Ok((Tried::Busy, None)),
            Some(false) => return Ok((Tried::Behind, None)),
            Some(true) => {}
        }
        // From here on to the opening of the gate none of the chats' rows changes, wherever it is.
        changes.check_whole()?;
        self.check_unchanged(moved)?;
        match not_now(changes.finish(closed + DECIDED_BY, closed + CLOSED_FOR))? {
            None => return Ok((Tried::Busy, None)),
            Some(false) => return Ok((Tried::Behind, None)),
            Some(true) if closed.elapsed() > DECIDED_BY => return Ok((Tried::Behind, None)),
            Some(true) => {}
        }
        let decided = self.decide(gate, moved, shared, closed + CLOSED_FOR)?;
        Ok((decided.as_ref().map_or(Tried::Busy, |_| Tried::Done), decided))
    }

    /// Records where the chats live from now on, for everybody, and opens the gate; `None` where others kept the default
    /// source busy, and everything is as it was.
    pub(super) fn decide(
        &self,
        gate: Closed<'_>,
        moved: &Moved<'_>,
        shared: &Arc<Source>,
        deadline: Instant,
    ) -> Result<Option<Decided>, MoveError> {
        let Moved { chats, parts, to, keep } = *moved;
        let (routes, mapping) = self.routes(chats, to);
        let numbers: Vec<_> = parts.iter().map(|part| (part.chat, self.router.arrived.next(part.chat))).collect();
        match state::switch(shared, parts, &routes, &numbers, keep, self.db.now(), deadline) {
            Ok(()) => {}
            Err(error) if is_not_now(&error) => return Ok(None),
            Err(error) if is_undecided(&error) => match was_counted(shared, &numbers) {
                Some(true) => {}
                Some(false) => return Err(error.into()),
                None => {
                    gate.until_it_is_known();
                    return Err(MoveError::Undecided { chat: chats[0], error });
                }
            },
            Err(error) => return Err(error.into()),
        }
        self.router.record(&routes);
        drop(gate);
        Ok(Some(Decided { mapping, numbers }))
    }

    /// What is to be said elsewhere of chats that were moved.
    pub(super) fn told(&self, Moved { chats, parts, to, keep }: &Moved<'_>, numbers: &[(ChatId, u64)]) {
        for Part { chat, from, .. } in *parts {
            let (from, generation) = (from.name(), self.router.table().generation);
            tracing::info!(target: "database::audit", %chat, %from, %to, generation, "a chat was moved");
        }
        self.router.have_left(chats, to);
        for (part, (chat, number)) in parts.iter().zip(numbers) {
            if let Err(error) = self.router.has_arrived(*chat, *number, &part.to) {
                // Before anything is deleted it is noted again.
                tracing::warn!(source = %to, %chat, %error, "that a chat has come cannot be noted in the source's file");
            }
            if *keep {
                self.router.has_gone(*chat, &part.from);
            }
        }
    }

    /// Refuses where something else is so than when the move began: where a chat lives, which chats belong together, or
    /// which sources there are.
    pub(super) fn check_unchanged(&self, moved: &Moved<'_>) -> Result<(), MoveError> {
        let changed = |source: &Source| Err(MoveError::SourceChanged { name: source.name().clone() });
        for Part { chat, from, to } in moved.parts {
            for source in [from, to] {
                let is_same = self.router.source(source.name()).is_some_and(|now| Arc::ptr_eq(&now, source));
                if !is_same || self.router.away(source.name()).is_some() {
                    return changed(source);
                }
            }
            // Here as well as before the first row was read: it may have been mapped elsewhere, and back, since.
            if self.router.earlier.writes_past(*chat, from).is_some() {
                return changed(from);
            }
            if self.router.explain(*chat).0 != *from.name() || self.together(*chat) != moved.chats {
                return changed(from);
            }
        }
        Ok(())
    }
}

/// An error that only means that something took too long is none.
pub(super) fn not_now<T>(answer: Result<T, MoveError>) -> Result<Option<T>, MoveError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(MoveError::Database(error)) if is_not_now(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_now(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Busy { .. } | ErrorKind::TimedOut { .. })
}

/// Whether it is not known what was written.
fn is_undecided(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::OutcomeUnknown { .. } | K::FileReplaced | K::Io { .. } | K::Damaged { .. })
}

/// Whether the default source has counted these moves; `None` where it does not answer.
fn was_counted(shared: &Arc<Source>, numbers: &[(ChatId, u64)]) -> Option<bool> {
    let deadline = Instant::now() + TO_LEARN;
    loop {
        if let Ok(counted) = shared.read("relocate.was_counted", arrived::read_counted) {
            return Some(numbers.iter().all(|(chat, number)| counted.get(chat) == Some(number)));
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed<T>(kind: ErrorKind) -> Result<T, MoveError> {
        Err(MoveError::Database(Error::new("test.cut_over", &"archive".parse().unwrap(), kind)))
    }

    #[test]
    fn what_took_too_long_is_tried_again_and_whatever_else_fails_ends_the_move() {
        let timeout = Duration::from_millis(60);
        for late in [ErrorKind::Busy { waited: timeout }, ErrorKind::TimedOut { timeout }] {
            assert!(not_now::<bool>(failed(late)).unwrap().is_none());
        }
        assert_eq!(not_now(Ok(false)).unwrap(), Some(false));
        for error in [failed::<bool>(ErrorKind::DiskFull), Err(MoveError::NothingToAbort { chat: ChatId(-1) })] {
            let told = error.as_ref().unwrap_err().to_string();
            assert_eq!(not_now(error).unwrap_err().to_string(), told);
        }
    }
}
