//! Coming home: what was written elsewhere while a source was away is made there, in order and once, and then its
//! chats' calls go there again.
//!
//! Most of it is made while the chats go on where they are. The last part is made behind a fence, for a bounded time.
//! Where writes come in as fast as they are made at home, the chats are held up for a part of the time, so that it ends.
//! What is made at home is forgotten elsewhere once the chats are there, while they go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::Count;
use super::datasource_router::DataSourceRouter;
use super::standin::{Away, ServedBy};
use super::standin_files;
use crate::error::{Error, ErrorKind, Result};
use crate::params;
use crate::route::SourceName;
use crate::source::{Displaced, Handed, NOTED_AFTER, Noted, Raised, Source};

const OP: &str = "homecoming.come_home";

/// How many writes are made at home in one transaction at first; then as many as take a part of the time for which the
/// chats may be held up. The last ones, fewer than that, are made while the chats wait.
const CHUNK: usize = 200;
/// As many at most.
const MOST: usize = 3_200;
/// A chunk takes this part of the time for which the chats may be held up at most, or the next one is smaller.
const PARTS: u32 = 4;
/// How long the chats wait at a time at most, and never longer than half as long as a call may take.
const HOLD: Duration = Duration::from_secs(2);
/// How often the last part is begun before it is left for the next look.
const TRIES: usize = 5;

/// Looks at a source that failed; where it is well its chats come home, which is told before.
pub(super) fn look(router: &DataSourceRouter, name: &SourceName, found_well: impl FnOnce()) -> Result<()> {
    let Some(home) = router.source(name) else { return Ok(()) };
    router.counters.add(Count::Look, 1);
    home.look()?;
    found_well();
    match router.away(name) {
        None => Ok(()),
        Some(away) => Homecoming::new(router, &home, &away).run(),
    }
}

/// What became of leading the chats home.
enum Arrival {
    Home,
    /// Not yet, for this reason: it is begun again.
    Again(&'static str),
    /// This absence does not lead there any more, for this reason: the next look finds what there is by then.
    Gone(&'static str),
}

const NOT_UP: &str = "where its chats are served meanwhile, their calls that were under way did not end in time";
const TORN_DOWN: &str = "its disk is too slow to take the last writes while its chats wait";
const ANEW: &str = "it was configured otherwise while its chats came home";
const RELOADING: &str = "a configuration comes into force";
const SET_ASIDE: &str = "what stood in for it was set aside while its chats came home";

impl Arrival {
    /// Where an operator has ended the absence meanwhile, that is the reason, whatever was noticed of it first.
    fn unless_broken_off(self, displaced: &Displaced) -> Self {
        match self {
            Self::Again(_) | Self::Gone(_) if displaced.is_over() => Self::Gone(SET_ASIDE),
            arrival => arrival,
        }
    }
}

/// A source's chats on their way home.
struct Homecoming<'a> {
    router: &'a DataSourceRouter,
    home: &'a Arc<Source>,
    away: &'a Away,
    /// How far what waited in the default source before there was a stand-in was handed home.
    earlier: Option<Handed>,
    /// How far what waits in the file that is read was.
    handed: Option<Handed>,
    /// How many are made at once.
    chunk: usize,
    writes: usize,
    parked: u64,
    /// The absences that they were made in.
    episodes: Vec<String>,
}

impl<'a> Homecoming<'a> {
    fn new(router: &'a DataSourceRouter, home: &'a Arc<Source>, away: &'a Away) -> Self {
        Self {
            router,
            home,
            away,
            earlier: None,
            handed: None,
            chunk: CHUNK,
            writes: 0,
            parked: 0,
            episodes: Vec::new(),
        }
    }

    fn run(mut self) -> Result<()> {
        self.bring_earlier()?;
        if self.is_empty_handed()? {
            return Ok(());
        }
        let mut tries = 0;
        let mut keeps_pace = true;
        let mut before = None;
        loop {
            let waiting = self.waiting()?;
            // What comes in half as fast as it is made, or faster, is held up from now on.
            keeps_pace &= before.is_none_or(|(count, made)| waiting + (self.writes - made) as u64 / 2 <= count);
            before = Some((waiting, self.writes));
            if waiting < self.chunk as u64 {
                tries += 1;
                match self.arrive()?.unless_broken_off(&self.away.displaced) {
                    Arrival::Home => return Ok(()),
                    Arrival::Again(_) if tries < TRIES => {}
                    Arrival::Again(reason) | Arrival::Gone(reason) => return Err(self.not_home(reason)),
                }
            } else if !keeps_pace {
                self.hold_and_make()?;
            } else {
                let serving = Arc::clone(&self.away.serving);
                let until = Instant::now() + self.hold() / PARTS;
                while self.make(&serving)? > 0 && Instant::now() < until {}
            }
        }
    }

    /// Where this release or an earlier one wrote in the default source before there was a stand-in, that is older.
    fn bring_earlier(&mut self) -> Result<()> {
        let default = Arc::clone(&self.router.table().sources[0]);
        let is_noted = || {
            let config = self.router.with_plan(|plan| plan.config.clone());
            standin_files::in_default(&config).contains(self.home.name())
        };
        if !Arc::ptr_eq(&default, &self.away.serving) && (default.is_open() || is_noted()) {
            while self.make(&default)? > 0 {}
            self.earlier = self.handed.take();
        }
        Ok(())
    }

    /// Leads the chats home where nothing was written in its place, nor can be by now. Whoever would have served need
    /// not be asked, and may not be there: a stand-in that could never be made. Answers whether that is so.
    fn is_empty_handed(&self) -> Result<bool> {
        if self.away.may_hold_writes() {
            return Ok(false);
        }
        let fence = self.away.displaced.raise(self.hold());
        // In this order: once the fence is up, whoever opens a stand-in finds it so before anything is written there.
        if !fence.is_up() || self.away.may_hold_writes() {
            return Ok(false);
        }
        match self.lead_home(fence)?.unless_broken_off(&self.away.displaced) {
            Arrival::Home => Ok(true),
            Arrival::Again(RELOADING) => Err(self.not_home(RELOADING)),
            Arrival::Again(_) => Ok(false),
            Arrival::Gone(reason) => Err(self.not_home(reason)),
        }
    }

    fn not_home(&self, reason: &str) -> Error {
        let reason = format!("{reason}; it is tried again");
        Error::new(OP, self.home.name(), ErrorKind::SourceUnavailable { reason })
    }

    /// Makes the last writes at home while nobody can write more, and leads the chats there.
    fn arrive(&mut self) -> Result<Arrival> {
        let Some(fence) = self.raise_fence()? else { return Ok(Arrival::Again(NOT_UP)) };
        let serving = Arc::clone(&self.away.serving);
        while fence.is_up() && self.make(&serving)? > 0 {}
        self.lead_home(fence)
    }

    /// Leads the chats home, where everything that was handed there is there still. Only from then on it is forgotten
    /// elsewhere.
    fn lead_home(&self, fence: Raised<'_>) -> Result<Arrival> {
        let Self { router, home, away, earlier, handed, .. } = self;
        let all: Vec<_> = earlier.iter().chain(handed).cloned().collect();
        let arrival = home.with_all_of(&all, OP, || {
            // No reload comes in between: what is forgotten is in the file that the chats are led to. None waits for home's
            // disk either, and nobody in front of the fence for long for one that is under way.
            let Some(_steady) = router.steady.try_read_for(self.hold() / PARTS) else {
                return Arrival::Again(RELOADING);
            };
            if !router.is_coming_home(home, away) {
                return Arrival::Gone(ANEW);
            }
            // Not before home was waited for: from here on only a note on the disk is, if at all.
            if !fence.keep() {
                return Arrival::Again(TORN_DOWN);
            }
            away.note_over();
            if router.returned(home, away, fence) { Arrival::Home } else { Arrival::Gone(ANEW) }
        })?;
        if let Arrival::Home = arrival {
            self.tell();
            self.forget();
        }
        Ok(arrival)
    }

    /// Forgets, in the default source, the writes that are made at home. The rows themselves stay where they were made.
    /// Until that is done it stays noted that something may wait there.
    fn forget(&self) {
        let (router, name) = (self.router, self.home.name());
        let (default, handed) = match self.away.by {
            ServedBy::Default => (Arc::clone(&self.away.serving), &self.handed),
            ServedBy::StandIn => (Arc::clone(&router.table().sources[0]), &self.earlier),
        };
        let forgotten = handed.iter().try_for_each(|Handed { seq, .. }| {
            self.episodes.iter().try_for_each(|episode| forget(&default, name, episode, *seq))
        });
        match forgotten {
            Ok(()) => router.forgotten_in_default(name),
            // What cannot be forgotten now is passed over later.
            Err(error) => {
                tracing::warn!(source = %name, %error, "writes that are made at home cannot be forgotten elsewhere");
            }
        }
    }

    fn tell(&self) {
        let Self { router, home, writes, parked, .. } = self;
        for (count, many) in [(Count::Return, 1), (Count::Made, *writes as u64), (Count::Parked, *parked)] {
            router.counters.add(count, many);
        }
        let name = home.name();
        tracing::info!(target: "database::audit", source = %name, writes, parked, "a source's chats are home again");
        if *parked > 0 {
            tracing::error!(source = %name, parked, "writes could not be made at home and are kept aside; see `bot db journal`");
        }
    }

    /// Makes some while nobody can write more, for most of the time that the chats may be held up, then lets those who
    /// wait go on: fewer than are made, if home makes more in a second than there are calls at once.
    fn hold_and_make(&mut self) -> Result<()> {
        let Some(fence) = self.raise_fence()? else { return Ok(()) };
        // The last chunk ends within the time.
        let until = Instant::now() + self.hold() / PARTS * (PARTS - 2);
        let serving = Arc::clone(&self.away.serving);
        while self.make(&serving)? > 0 && Instant::now() < until {}
        fence.let_through();
        Ok(())
    }

    /// Has those who write come to their end, and no others begin. The writer of the file that serves is held only for
    /// a moment: what is made at home then takes as long as home's disk does. `None` where it took too long.
    fn raise_fence(&self) -> Result<Option<Raised<'a>>> {
        let fence = self.away.displaced.raise(self.hold());
        let is_up = self.away.serving.while_nobody_writes(OP, || fence.is_up())?;
        Ok(is_up.then_some(fence))
    }

    fn hold(&self) -> Duration {
        (self.away.serving.config().timeout / 2).min(HOLD)
    }

    /// Makes the next writes of those in this file at home, and answers how many there were.
    fn make(&mut self, serving: &Arc<Source>) -> Result<usize> {
        let home = self.home;
        let chunk = noted_after(serving, home.name(), self.last(), self.chunk)?;
        if let Some(last) = chunk.last() {
            let begun = Instant::now();
            let before = self.handed.as_ref().or(self.earlier.as_ref());
            self.parked += home.make_noted(&chunk, before, &|| Ok(()))?;
            self.size_by(chunk.len(), begun.elapsed());
            for one in &chunk {
                if self.episodes.last() != Some(&one.episode) {
                    self.episodes.push(one.episode.clone());
                }
            }
            self.handed = Some(Handed::to(last));
            self.writes += chunk.len();
        }
        Ok(chunk.len())
    }

    /// The last write that was handed home, of those in the file that is read.
    fn last(&self) -> i64 {
        self.handed.as_ref().map_or(0, |handed| handed.seq)
    }

    /// Sizes the next chunk by how long this one took.
    fn size_by(&mut self, made: usize, took: Duration) {
        let most = self.hold() / PARTS;
        if took > most {
            self.chunk = (made / 2).max(1);
        } else if took < most / 4 && made == self.chunk {
            self.chunk = (self.chunk * 2).min(MOST);
        }
    }

    /// How many still wait.
    fn waiting(&self) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM switchyard_journal WHERE source = ?1 AND seq > ?2";
        let count = self.away.serving.read("homecoming.waiting", |tx| {
            tx.value("switchyard_journal", sql, params![self.home.name().as_str(), self.last()])
        })?;
        Ok(count.unwrap_or_default())
    }
}

/// The writes that wait for a source, in order, so many at most.
fn noted_after(serving: &Arc<Source>, name: &SourceName, last: i64, most: usize) -> Result<Vec<Noted>> {
    serving.read("homecoming.noted_after", |tx| tx.query(NOTED_AFTER, params![name.as_str(), last, most as i64]))
}

/// Forgets the writes of an absence that are made at home: so many at a time that others can write in between. Those of
/// another absence are not meant, whatever their numbers: the source may be away again.
fn forget(serving: &Arc<Source>, name: &SourceName, episode: &str, last: i64) -> Result<()> {
    let sql = "DELETE FROM switchyard_journal WHERE seq IN (
                   SELECT seq FROM switchyard_journal WHERE source = ?1 AND seq <= ?2 AND episode = ?3
                   ORDER BY seq LIMIT ?4)";
    loop {
        let forgotten = serving.write("homecoming.forget", None, |tx| {
            tx.execute(sql, params![name.as_str(), last, episode, MOST as i64]).map(|changed| changed.rows)
        })?;
        if forgotten < MOST as u64 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_set_the_stand_in_aside_is_the_reason_whatever_was_noticed_first() {
        let displaced = Displaced::from(&"community".parse().unwrap());
        let noticed = || [NOT_UP, TORN_DOWN].map(Arrival::Again).into_iter().chain([Arrival::Gone(ANEW)]);
        let told = || {
            noticed().map(|arrival| match arrival.unless_broken_off(&displaced) {
                Arrival::Home => unreachable!(),
                Arrival::Again(reason) | Arrival::Gone(reason) => reason,
            })
        };
        assert_eq!(told().collect::<Vec<_>>(), [NOT_UP, TORN_DOWN, ANEW]);
        displaced.break_off(|| {});
        assert_eq!(told().collect::<Vec<_>>(), [SET_ASIDE; 3]);
        assert!(matches!(Arrival::Home.unless_broken_off(&displaced), Arrival::Home));
    }
}
