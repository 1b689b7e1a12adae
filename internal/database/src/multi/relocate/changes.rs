//! What changes while a chat is copied: noticed where it lives, read again, put into the copy, and compared.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::media::{self, Ids, Media};
use super::pace::{Pace, Steps};
use super::rows::{Chunk, Layout};
use super::state::Lease;
use super::tables::MOVED;
use super::verify::{self, Suspect, id_of};
use super::{MoveError, Part, copy};
use crate::error::Result;
use crate::ids::ChatId;
use crate::source::{Capture, ChangedRow, Held, Noticed, Source, Stored, Watched, WriteTx};

/// How many rows are taken from the writer at a time.
const AT_ONCE: usize = 4_000;
/// How many rows are read again in one transaction while calls wait.
const IN_THE_GATE: usize = 60;
/// How many differences are told.
const MOST_TOLD: usize = 10;

/// The changes of chats that are being copied.
pub(super) struct Changes<'a> {
    parts: &'a [Part],
    tables: Vec<(Vec<Layout>, Media)>,
    captures: Vec<Capture>,
    /// What the copy is put into: what is open there later is not to be another database, as after a backup was put back.
    target: Option<Held>,
    /// Rows that are to be read again.
    pending: BTreeSet<ChangedRow>,
    /// What differed when it was compared, and has no reason yet.
    suspects: Vec<Suspect>,
    /// How many rows were read again.
    pub(super) reread: u64,
}

/// How changes are put into the copy.
enum Put<'s> {
    /// As long as nobody waits for it.
    InSteps(&'s mut Steps),
    /// With the gate closed: all has to be done by then, and to be on disk.
    Alone(Instant),
}

/// What is to be put into the copy of a part.
struct Again<'k> {
    chat: ChatId,
    layouts: &'k [Layout],
    media: &'k Media,
    /// The keys of each table, with the rows as they are now.
    rows: Vec<(usize, Vec<&'k ChangedRow>, Chunk)>,
    /// Attachments that have changed, and all that are to be there.
    changed: Ids,
    attachments: Chunk,
}

impl<'a> Changes<'a> {
    /// Begins to notice the changes of all parts.
    pub(super) fn start(parts: &'a [Part]) -> Result<Self, MoveError> {
        let tables = parts
            .iter()
            .map(|Part { from, to, .. }| Ok::<_, MoveError>((copy::layouts(from, to)?, Media::between(from, to)?)));
        let tables = tables.collect::<Result<_, _>>()?;
        let mut captures: Vec<Capture> = Vec::new();
        let target = parts.first().map(|part| Held::of(&part.to, "relocate.hold")).transpose()?;
        let mut done: Vec<&Arc<Source>> = Vec::new();
        // What is only read does not change.
        for from in parts.iter().map(|part| &part.from).filter(|from| !from.config().readonly) {
            if done.iter().any(|one| Arc::ptr_eq(one, from)) {
                continue;
            }
            let chats: Vec<_> =
                parts.iter().filter(|part| Arc::ptr_eq(&part.from, from)).map(|part| part.chat).collect();
            let mut watched: Vec<_> = MOVED.iter().map(|table| table.watched(&chats)).collect();
            let (key, which, owner) = (&["file_unique_id"], "TRUE".to_owned(), "0".to_owned());
            watched.push(Watched { table: media::TABLE, key, which, owner });
            captures.push(Capture::start(from, &watched)?);
            done.push(from);
        }
        let (pending, suspects, reread) = Default::default();
        Ok(Self { parts, tables, captures, target, pending, suspects, reread })
    }

    /// These rows differ. They had better have changed.
    pub(super) fn suspect(&mut self, suspects: Vec<Suspect>) {
        self.suspects.extend(suspects);
    }

    /// Whether each source still works on the database that is watched, or that the copy was put into.
    pub(super) fn check_whole(&self) -> Result<(), MoveError> {
        let lost = self.captures.iter().find(|capture| !capture.is_whole()).map(Capture::source);
        let target = || self.target.as_ref().filter(|target| !target.is_whole()).map(Held::source);
        match lost.or_else(target) {
            Some(source) => Err(MoveError::SourceChanged { name: source.name().clone() }),
            None => Ok(()),
        }
    }

    /// Takes all that has changed, puts it into the copy, and compares it. Answers how many rows that were.
    pub(super) fn catch_up(&mut self, steps: &mut Steps, lease: &mut Lease<'_>) -> Result<usize, MoveError> {
        for place in 0..self.captures.len() {
            while self.take(place, AT_ONCE, None, || ())? {}
        }
        self.judge()?;
        let pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        let mut rest = &pending[..];
        let mut done = Ok(());
        while !rest.is_empty() && done.is_ok() {
            let (some, others) = rest.split_at(steps.rows().min(rest.len()));
            done = lease.renew().map_err(MoveError::from).and_then(|()| self.put(some, Put::InSteps(steps)));
            if done.is_ok() {
                rest = others;
            }
        }
        let all = pending.len();
        if done.is_err() {
            // They are still to be read again.
            self.pending.extend(rest.iter().cloned());
        }
        done.map(|()| all)
    }

    /// Takes the first source's changes, so many at most; `meanwhile` is done while nobody writes there, and then those of
    /// the others by the deadline that it answers. Answers whether that is all.
    pub(super) fn take_last(&mut self, most: usize, mut meanwhile: impl FnMut() -> Instant) -> Result<bool, MoveError> {
        if self.captures.is_empty() {
            meanwhile();
            return Ok(true);
        }
        let mut until = None;
        let mut is_more = self.take(0, most, None, || until = Some(meanwhile()))?;
        for place in 1..self.captures.len() {
            is_more |= self.take(place, most, until, || ())?;
        }
        Ok(!is_more)
    }

    /// Puts the last changes into the copy and compares them, nobody writing meanwhile, and answers whether that could be
    /// done by then: what could not is left for another time. What differs in the end has no reason.
    pub(super) fn finish(&mut self, by: Instant, until: Instant) -> Result<bool, MoveError> {
        self.judge()?;
        let (mut is_first, mut took) = (true, Duration::ZERO);
        while is_first || !self.pending.is_empty() {
            let begun = Instant::now();
            // The next one may well take as long.
            if begun + took >= by {
                return Ok(false);
            }
            is_first = false;
            let some: Vec<_> = self.pending.iter().take(IN_THE_GATE).cloned().collect();
            self.put(&some, Put::Alone(until))?;
            self.pending.retain(|row| some.binary_search(row).is_err());
            took = begun.elapsed();
        }
        // Others may change an attachment that they show as well; that is theirs.
        self.suspects.retain(|suspect| suspect.row.as_ref().is_none_or(|row| row.place < MOVED.len()));
        self.judge()?;
        Ok(true)
    }

    /// Takes what a source has noticed, and answers whether there is more.
    fn take(
        &mut self,
        place: usize,
        most: usize,
        until: Option<Instant>,
        meanwhile: impl FnOnce(),
    ) -> Result<bool, MoveError> {
        let capture = &self.captures[place];
        let until = until.unwrap_or_else(|| Instant::now() + capture.source().config().timeout);
        match capture.take(until, most, meanwhile)? {
            Noticed::Lost => Err(MoveError::SourceChanged { name: capture.source().name().clone() }),
            Noticed::Rows(rows, is_more) => {
                self.pending.extend(rows);
                Ok(is_more)
            }
        }
    }

    /// What was suspected and has not changed is not what was copied. All changes are taken before.
    fn judge(&mut self) -> Result<(), MoveError> {
        let suspects = std::mem::take(&mut self.suspects);
        let has_reason = |suspect: &Suspect| suspect.row.as_ref().is_some_and(|row| self.pending.contains(row));
        let guilty = suspects.into_iter().filter(|suspect| !has_reason(suspect));
        let differences: Vec<_> = guilty.map(|suspect| suspect.difference).take(MOST_TOLD).collect();
        let (false, Some(Part { chat, from, to })) = (differences.is_empty(), self.parts.first()) else {
            return Ok(());
        };
        let (from, to) = (from.name().clone(), to.name().clone());
        Err(MoveError::Differs { chat: *chat, from, to, differences })
    }

    /// Reads these rows again, puts them into the copy, and compares them.
    fn put(&mut self, changed: &[ChangedRow], put: Put<'_>) -> Result<(), MoveError> {
        let pace = put.pace();
        let mut again = Vec::new();
        for (part, (layouts, media)) in self.parts.iter().zip(&self.tables) {
            let own: Vec<_> =
                changed.iter().filter(|row| row.owner == part.chat.0 || row.place == MOVED.len()).collect();
            again.push(Again::read(part, layouts, media, &own, pace)?);
        }
        let Some(to) = self.parts.first().map(|part| &part.to) else { return Ok(()) };
        let write = |tx: &mut WriteTx<'_>| {
            again.iter().try_for_each(|again| again.write(tx))?;
            Ok(changed.len() as u64)
        };
        match put {
            Put::InSteps(steps) => drop(steps.write(to, "relocate.again", write)?),
            // What came before was synced before the gate was closed.
            Put::Alone(_) if changed.is_empty() => {}
            Put::Alone(until) => drop(to.write_alone("relocate.again", until, write)?),
        }
        for (part, (layouts, media)) in self.parts.iter().zip(&self.tables) {
            let own: Vec<_> =
                changed.iter().filter(|row| row.owner == part.chat.0 || row.place == MOVED.len()).collect();
            self.suspects.extend(verify::keys(part, layouts, media, &own, pace)?);
        }
        self.reread += changed.len() as u64;
        Ok(())
    }
}

impl Put<'_> {
    fn pace(&self) -> Pace {
        match self {
            Self::InSteps(_) => Pace::Shared,
            Self::Alone(until) => Pace::Alone(*until),
        }
    }
}

impl<'k> Again<'k> {
    fn read(
        part: &Part,
        layouts: &'k [Layout],
        media: &'k Media,
        changed: &[&'k ChangedRow],
        pace: Pace,
    ) -> Result<Self> {
        let (mut rows, mut ids) = (Vec::new(), Ids::new());
        let mut others = Ids::new();
        for keys in changed.chunk_by(|one, next| one.place == next.place) {
            let Some((place, layout)) = keys.first().and_then(|row| Some((row.place, layouts.get(row.place)?))) else {
                others.extend(keys.iter().filter_map(|row| id_of(row)));
                continue;
            };
            let mut chunk = Chunk::of_width(layout.columns.len());
            pace.read(&part.from, "relocate.read_again", |tx| {
                tx.snapshot()?;
                keys.iter().try_for_each(|row| {
                    let key: Vec<_> = row.key.iter().map(Stored::as_ref).collect();
                    tx.scan_stored(&layout.find, &key, |found| {
                        chunk.push(found)?;
                        Ok(ControlFlow::Break(()))
                    })
                })
            })?;
            ids.extend(layout.media_ids(&chunk).unwrap_or_default());
            rows.push((place, keys.to_vec(), chunk));
        }
        ids.extend(Media::referred_to(part, &others, pace)?);
        let attachments = media.rows(&part.from, &ids, pace)?;
        Ok(Self { chat: part.chat, layouts, media, rows, changed: others, attachments })
    }

    fn write(&self, tx: &mut WriteTx<'_>) -> Result<()> {
        Media::take_away(tx, self.chat, &self.changed)?;
        self.media.put(tx, self.chat, &self.attachments)?;
        // All old ones go first: one may be in the way of another.
        for (place, keys, _) in &self.rows {
            let keys = keys.iter().map(|row| row.key.iter().map(Stored::as_ref));
            tx.execute_stored(&self.layouts[*place].delete, keys)?;
        }
        for (place, _, chunk) in &self.rows {
            let layout = &self.layouts[*place];
            tx.execute_stored(&layout.insert, chunk.rows().map(|row| row.values(layout.columns.len())))?;
        }
        Ok(())
    }
}
