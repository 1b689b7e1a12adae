//! Coming home: what was written elsewhere while a source was away is made there, in order and once, and then its
//! chats' calls go there again.
//!
//! Most of it is made while the chats go on where they are. The last part is made behind a fence, for a bounded time.
//! Where writes come in as fast as they are made at home, the chats are held up for a part of the time, so that it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::Count;
use super::datasource_router::DataSourceRouter;
use super::standin::{Away, ServedBy};
use crate::error::{Error, ErrorKind, Result};
use crate::params;
use crate::route::SourceName;
use crate::source::{BadColumn, FromRow, Noted, Raised, Row, Source};

const OP: &str = "homecoming.come_home";

/// How many writes are made at home in one transaction at first. The last ones, fewer than that, are made while the
/// chats wait.
const CHUNK: usize = 200;
/// As many at most, where fewer did not make what waits become less.
const MOST: usize = 3_200;
/// How long the chats wait at a time at most, and never longer than half as long as a call may take.
const HOLD: Duration = Duration::from_secs(2);
/// How often the last part is begun before it is left for the next look.
const TRIES: usize = 5;

/// Looks at a source that failed; where it is well its chats come home.
pub(super) fn look(router: &DataSourceRouter, name: &SourceName) -> Result<()> {
    let Some(home) = router.source(name) else { return Ok(()) };
    router.counters.add(Count::Look, 1);
    home.look()?;
    match router.away(name) {
        None => Ok(()),
        Some(away) => Homecoming::new(router, &home, &away).run(),
    }
}

/// A source's chats on their way home.
struct Homecoming<'a> {
    router: &'a DataSourceRouter,
    home: &'a Arc<Source>,
    away: &'a Away,
    /// The last write that was handed home.
    last: i64,
    /// How many are made at once.
    chunk: usize,
    writes: usize,
    parked: u64,
}

/// What still waits.
struct Waiting {
    count: u64,
    /// The number of the last one.
    last: i64,
}

impl<'a> Homecoming<'a> {
    fn new(router: &'a DataSourceRouter, home: &'a Arc<Source>, away: &'a Away) -> Self {
        Self { router, home, away, last: 0, chunk: CHUNK, writes: 0, parked: 0 }
    }

    fn run(mut self) -> Result<()> {
        let mut before = u64::MAX;
        let mut tries = 0;
        loop {
            let waiting = self.waiting()?;
            if waiting.count < CHUNK as u64 {
                if self.arrive()? {
                    return Ok(());
                }
                tries += 1;
                if tries == TRIES {
                    let reason = "its disk is too slow to take the last writes while its chats wait; it is tried again";
                    let kind = ErrorKind::SourceUnavailable { reason: reason.to_owned() };
                    return Err(Error::new(OP, self.home.name(), kind));
                }
            } else if waiting.count > before / 2 {
                self.hold_and_make(waiting.count >= before)?;
            } else {
                while self.last < waiting.last && self.make()? > 0 {}
            }
            before = waiting.count;
        }
    }

    /// Makes the last writes at home while nobody can write more, and leads the chats there. `false` where that took
    /// too long.
    fn arrive(&mut self) -> Result<bool> {
        let Some(fence) = self.raise_fence()? else { return Ok(false) };
        while fence.is_up() && self.make()? > 0 {}
        if !self.router.returned(self.home, self.away, fence) {
            return Ok(false);
        }
        let Self { router, home, writes, parked, .. } = self;
        for (count, many) in [(Count::Return, 1), (Count::Made, *writes as u64), (Count::Parked, *parked)] {
            router.counters.add(count, many);
        }
        let name = home.name();
        tracing::info!(target: "database::audit", source = %name, writes, parked, "a source's chats are home again");
        if *parked > 0 {
            tracing::error!(source = %name, parked, "writes could not be made at home and are kept aside; see `bot db journal`");
        }
        Ok(true)
    }

    /// Makes some while nobody can write more, for half of the time that the chats may be held up, then lets those who
    /// wait go on. Each time is for more writes than come in meanwhile, sooner or later.
    fn hold_and_make(&mut self, did_not_help: bool) -> Result<()> {
        if did_not_help {
            self.chunk = (self.chunk * 2).min(MOST);
        }
        let Some(fence) = self.raise_fence()? else { return Ok(()) };
        let until = Instant::now() + self.hold() / 2;
        while self.make()? == self.chunk && Instant::now() < until {}
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

    /// Makes the next writes at home, and answers how many there were.
    fn make(&mut self) -> Result<usize> {
        let Self { home, away, .. } = self;
        let chunk = noted_after(&away.serving, home.name(), self.last, self.chunk)?;
        if let Some(last) = chunk.last() {
            self.parked += home.make_noted(&chunk, &|| Ok(()))?;
            self.last = last.seq;
            self.writes += chunk.len();
            if away.by == ServedBy::Default {
                // The rows themselves stay where they were made. What cannot be forgotten now is passed over later.
                if let Err(error) = forget(&away.serving, home.name(), last.seq) {
                    tracing::warn!(source = %home.name(), %error, "writes that are made at home cannot be forgotten elsewhere");
                }
            }
        }
        Ok(chunk.len())
    }

    fn waiting(&self) -> Result<Waiting> {
        let sql = "SELECT COUNT(*) AS count, COALESCE(MAX(seq), 0) AS last FROM switchyard_journal
                   WHERE source = ?1 AND seq > ?2";
        let found = self
            .away
            .serving
            .read("homecoming.waiting", |tx| tx.query_one(sql, params![self.home.name().as_str(), self.last]))?;
        Ok(found.unwrap_or(Waiting { count: 0, last: self.last }))
    }
}

impl FromRow for Waiting {
    const TABLE: &'static str = "switchyard_journal";
    const KEY: &'static [&'static str] = &["last"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { count: row.get("count")?, last: row.get("last")? })
    }
}

/// The writes that wait for a source, in order, so many at most.
fn noted_after(serving: &Arc<Source>, name: &SourceName, last: i64, most: usize) -> Result<Vec<Noted>> {
    serving.read("homecoming.noted_after", |tx| {
        tx.query(
            "SELECT seq, episode, operation FROM switchyard_journal
             WHERE source = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            params![name.as_str(), last, most as i64],
        )
    })
}

/// Forgets the writes that are made at home.
fn forget(serving: &Arc<Source>, name: &SourceName, last: i64) -> Result<()> {
    serving.write("homecoming.forget", None, |tx| {
        tx.execute("DELETE FROM switchyard_journal WHERE source = ?1 AND seq <= ?2", params![name.as_str(), last])
            .map(drop)
    })
}
