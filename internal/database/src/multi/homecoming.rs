//! Coming home: what was written elsewhere while a source was away is made there, in order and once, and then its
//! chats' calls go there again.

use std::sync::Arc;

use super::counters::Count;
use super::datasource_router::DataSourceRouter;
use super::standin::{Away, ServedBy};
use crate::error::{Error, ErrorKind, Result};
use crate::params;
use crate::route::SourceName;
use crate::source::{Noted, Source};

/// How many writes are made at home in one transaction. The last ones, fewer than that, are made while the chats wait.
const CHUNK: usize = 200;

/// Looks at a source that failed; where it is well its chats come home.
pub(super) fn look(router: &DataSourceRouter, name: &SourceName) -> Result<()> {
    let Some(home) = router.source(name) else { return Ok(()) };
    router.counters.add(Count::Look, 1);
    home.look()?;
    match router.away(name) {
        None => Ok(()),
        Some(away) => come_home(router, &home, &away),
    }
}

/// How far it has come.
#[derive(Default)]
struct Progress {
    /// The last write that was handed home.
    last: i64,
    writes: usize,
    parked: u64,
}

impl Progress {
    /// Makes the next writes at home, and answers how many there were.
    fn go_on(&mut self, home: &Arc<Source>, serving: &Arc<Source>) -> Result<usize> {
        let chunk = noted_after(serving, home.name(), self.last)?;
        if let Some(last) = chunk.last() {
            self.parked += home.make_noted(&chunk, &|| Ok(()))?;
            self.last = last.seq;
            self.writes += chunk.len();
        }
        Ok(chunk.len())
    }
}

fn come_home(router: &DataSourceRouter, home: &Arc<Source>, away: &Away) -> Result<()> {
    const OP: &str = "homecoming.come_home";
    let name = home.name();
    let mut progress = Progress::default();
    while progress.go_on(home, &away.serving)? == CHUNK {}
    // From here on to the change of the route nobody can write: what is noted is all there will be.
    away.serving.while_nobody_writes(OP, || {
        while progress.go_on(home, &away.serving)? > 0 {}
        if router.returned(home, away) { Ok(()) } else { Err(Error::new(OP, name, ErrorKind::Moved)) }
    })??;
    let Progress { last, writes, parked } = progress;
    for (count, many) in [(Count::Return, 1), (Count::Made, writes as u64), (Count::Parked, parked)] {
        router.counters.add(count, many);
    }
    tracing::info!(target: "database::audit", source = %name, writes, parked, "a source's chats are home again");
    if parked > 0 {
        tracing::error!(source = %name, parked, "writes could not be made at home and are kept aside; see `bot db journal`");
    }
    if away.by == ServedBy::Default {
        forget(&away.serving, name, last)?;
    }
    Ok(())
}

/// The writes that wait for a source, in order.
fn noted_after(serving: &Arc<Source>, name: &SourceName, last: i64) -> Result<Vec<Noted>> {
    serving.read("homecoming.noted_after", |tx| {
        tx.query(
            "SELECT seq, episode, operation FROM switchyard_journal
             WHERE source = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            params![name.as_str(), last, CHUNK as i64],
        )
    })
}

/// Forgets the writes that are made at home; the rows themselves stay where they were made meanwhile.
fn forget(serving: &Arc<Source>, name: &SourceName, last: i64) -> Result<()> {
    serving.write("homecoming.forget", None, |tx| {
        tx.execute("DELETE FROM switchyard_journal WHERE source = ?1 AND seq <= ?2", params![name.as_str(), last])
            .map(drop)
    })
}
