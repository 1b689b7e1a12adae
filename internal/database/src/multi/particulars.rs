//! What only the files of sources can tell while a bot runs, asked so that a disk that does not answer holds up
//! nobody: side by side, for a bounded time, and never a second time while a question hangs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::control::Control;
use super::datasource_router::RoutingTable;
use super::journal_report::{Made, count_parked, count_waiting, read_made};
use super::standin::Away;
use crate::error::{Error, ErrorKind, Result};
use crate::params;
use crate::route::SourceName;
use crate::source::{ReadTx, Source};

/// How many sources are asked at a time, those that do not answer not counted.
const AT_ONCE: usize = 8;
/// How long it is waited for some answer before another question takes the place of one that hangs.
const STALLS: Duration = Duration::from_millis(100);
/// How many wait for the answer to one question at most.
const MOST_WAITING: usize = 64;

/// What a source's files say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Particulars {
    /// The schema's version, as earlier releases know it; `None` where it is not open.
    pub version: Option<i64>,
    /// What is to be mended of one that is not open though it has not failed: another process keeps its file locked, or it
    /// has none and none can be made. `None` where that is not so, or its chats are served elsewhere.
    pub reason: Option<String>,
    /// Why else it is not open though it has not failed; `None` where that is not so, or its chats are served elsewhere.
    pub why_closed: Option<String>,
    /// What the file alone is called; `None` where it is not open, or has none.
    pub uuid: Option<String>,
    /// How many writes were kept aside, since they could not be made there; `None` where it is not open.
    pub parked: Option<u64>,
    /// How many writes wait for it to come back; `None` where whoever serves its chats does not tell.
    pub waiting: Option<u64>,
    /// Why whoever serves its chats cannot tell; `None` where they do, or have not answered.
    pub waiting_reason: Option<String>,
}

/// The questions that have no answer yet, each with those who wait for it. However many ask, a source is asked by one
/// thread at a time: each that hangs costs one.
#[derive(Default)]
pub(super) struct Questions(Mutex<BTreeMap<SourceName, Vec<Sender<Answer>>>>);

type Answer = (SourceName, Particulars);

impl Control {
    /// What the sources' files say. Opens none; waits for that long at most, and has nothing of those that have not
    /// answered by then.
    pub fn particulars(&self, wait: Duration) -> BTreeMap<SourceName, Particulars> {
        let deadline = Instant::now() + wait;
        let table = self.router.table();
        let (told, answers) = mpsc::channel();
        // What another has asked already is waited for; the rest is asked here.
        let mut queue: VecDeque<usize> =
            (0..table.sources.len()).filter(|place| self.is_mine(&table, *place, &told)).collect();
        let mut asking = 0;
        let mut all = BTreeMap::new();
        while all.len() < table.sources.len() {
            while asking < AT_ONCE
                && let Some(place) = queue.pop_front()
            {
                asking += 1;
                self.put(&table, place);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left.min(STALLS)) {
                Ok((name, answer)) => {
                    asking = asking.saturating_sub(1);
                    all.insert(name, answer);
                }
                // One of them hangs, or all do: the others have their turn.
                Err(_) if left > STALLS => asking = asking.saturating_sub(1),
                Err(_) => break,
            }
        }
        // Nobody will ask these for whoever waits for the answers.
        for place in queue {
            self.questions.0.lock().remove(table.sources[place].name());
        }
        all
    }

    /// Has whoever asks wait for a source's answer; answers whether it is for them to ask.
    fn is_mine(&self, table: &RoutingTable, place: usize, told: &Sender<Answer>) -> bool {
        let mut questions = self.questions.0.lock();
        let waiting = questions.entry(table.sources[place].name().clone()).or_default();
        let is_first = waiting.is_empty();
        if waiting.len() == MOST_WAITING {
            // Of a question that hangs for long most have given up, the oldest before the others.
            waiting.remove(0);
        }
        waiting.push(told.clone());
        is_first
    }

    /// Asks a source, on a thread of its own.
    fn put(&self, table: &Arc<RoutingTable>, place: usize) {
        let (table, questions) = (Arc::clone(table), Arc::clone(&self.questions));
        let name = table.sources[place].name().clone();
        let asked = name.clone();
        let work = move || {
            let answer = ask(&table.sources[place], table.away_of(place));
            for told in questions.0.lock().remove(&asked).unwrap_or_default() {
                // Whoever asked may have given up.
                let _ = told.send((asked.clone(), answer.clone()));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("asks a source".into()).spawn(work) {
            tracing::debug!(%error, "no thread can be started that asks a source");
            self.questions.0.lock().remove(&name);
        }
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
    match source.why_closed().filter(|_| away.is_none()) {
        Some(Ok(why)) => found.why_closed = Some(why),
        Some(Err(reason)) => found.reason = Some(reason),
        None => {}
    }
    let waiting = away.map_or(Ok(0), |away| {
        away.serving.read(OP, |tx| {
            tx.snapshot()?;
            count_waiting(tx, source.name(), &made)
        })
    });
    match waiting {
        Ok(waiting) => found.waiting = Some(waiting),
        Err(error) => found.waiting_reason = Some(reason(&error)),
    }
    found
}

fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::SourceUnavailable { reason } => reason.clone(),
        kind => kind.to_string(),
    }
}

fn of_itself(tx: &ReadTx<'_>) -> Result<Particulars> {
    let version = "SELECT value FROM settings WHERE key = 'db-migration-version'";
    let uuid = "SELECT value FROM switchyard_meta WHERE key = 'uuid'";
    let has_meta = tx.has_table("switchyard_meta")?;
    Ok(Particulars {
        version: tx.value::<String>("settings", version, params![])?.and_then(|version| version.parse().ok()),
        uuid: if has_meta { tx.value("switchyard_meta", uuid, params![])? } else { None },
        parked: Some(count_parked(tx)?),
        ..Particulars::default()
    })
}
