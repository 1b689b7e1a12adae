//! What only the files of sources can tell while a bot runs, asked so that a disk that does not answer holds up
//! nobody: side by side, for a bounded time, and never again while a question hangs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::control::Control;
use super::journal_report::{Made, count_parked, count_waiting, read_made};
use super::standin::Away;
use crate::error::Result;
use crate::params;
use crate::route::SourceName;
use crate::source::{ReadTx, Source};

/// How many sources are asked at a time.
const AT_ONCE: usize = 8;

/// A source that has not answered for so long is not asked again until it has: each question costs a thread.
const HANGS: Duration = Duration::from_secs(1);

/// What a source's files say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Particulars {
    /// The schema's version, as earlier releases know it; `None` where it is not open.
    pub version: Option<i64>,
    /// What the file alone is called; `None` where it is not open, or has none.
    pub uuid: Option<String>,
    /// How many writes were kept aside, since they could not be made there; `None` where it is not open.
    pub parked: Option<u64>,
    /// How many writes wait for it to come back; `None` where whoever serves its chats does not tell.
    pub waiting: Option<u64>,
}

/// The sources that were asked and have not answered yet, and since when.
#[derive(Default)]
pub(super) struct Questions(Mutex<BTreeMap<SourceName, Instant>>);

impl Control {
    /// What the sources' files say. Opens none; waits for that long at most, and has nothing of those that have not
    /// answered by then.
    pub fn particulars(&self, wait: Duration) -> BTreeMap<SourceName, Particulars> {
        let deadline = Instant::now() + wait;
        let (table, next) = (self.router.table(), Arc::new(AtomicUsize::new(0)));
        let (told, answers) = mpsc::channel();
        for _ in 0..AT_ONCE.min(table.sources.len()) {
            let (told, next, table) = (told.clone(), Arc::clone(&next), Arc::clone(&table));
            let questions = Arc::clone(&self.questions);
            let work = move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = table.sources.get(place).filter(|_| Instant::now() < deadline) else { return };
                    let name = source.name().clone();
                    let asked = *questions.0.lock().entry(name.clone()).or_insert_with(Instant::now);
                    if asked.elapsed() > HANGS {
                        continue;
                    }
                    let answer = ask(source, table.away_of(place));
                    questions.0.lock().remove(&name);
                    // Whoever asked may have given up.
                    let _ = told.send((name, answer));
                }
            };
            if let Err(error) = std::thread::Builder::new().name("asks sources".into()).spawn(work) {
                tracing::debug!(%error, "no thread can be started that asks sources");
            }
        }
        drop(told);
        let mut all = BTreeMap::new();
        while let Ok((name, answer)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            all.insert(name, answer);
        }
        all
    }
}

fn ask(source: &Arc<Source>, away: Option<&Away>) -> Particulars {
    const OP: &str = "multi.particulars";
    let mut found = Particulars::default();
    let mut made = Made::new();
    if source.is_open()
        && let Ok((told, done)) = source.read(OP, |tx| {
            tx.snapshot()?;
            Ok((of_itself(tx)?, read_made(tx)?))
        })
    {
        (found, made) = (told, done);
    }
    found.waiting = match away {
        None => Some(0),
        Some(away) => away
            .serving
            .read(OP, |tx| {
                tx.snapshot()?;
                count_waiting(tx, source.name(), &made)
            })
            .ok(),
    };
    found
}

fn of_itself(tx: &ReadTx<'_>) -> Result<Particulars> {
    let version = "SELECT value FROM settings WHERE key = 'db-migration-version'";
    let uuid = "SELECT value FROM switchyard_meta WHERE key = 'uuid'";
    let has_meta = tx.has_table("switchyard_meta")?;
    Ok(Particulars {
        version: tx.value::<String>("settings", version, params![])?.and_then(|version| version.parse().ok()),
        uuid: if has_meta { tx.value("switchyard_meta", uuid, params![])? } else { None },
        parked: Some(count_parked(tx)?),
        waiting: None,
    })
}
