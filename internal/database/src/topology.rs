//! The verbs for reading, on one topology: a call that reads twice sees one.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::gathered::{Gathered, Merge, Missing};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{Displaced, ReadTx, Source};
use crate::sources::{Topology, unknown_source};

/// How many sources are opened or waited for at a time: a thread that waits costs little, and those behind it in a queue
/// would have their time taken by it.
const AT_ONCE: usize = 256;

/// The verbs for reading, on one topology.
#[derive(Clone, Copy)]
pub(crate) struct OnTopology<'a> {
    topology: &'a dyn Topology,
    explicit: Option<&'a str>,
}

impl<'a> OnTopology<'a> {
    pub(crate) fn new(topology: &'a dyn Topology, explicit: Option<&'a str>) -> Self {
        Self { topology, explicit }
    }

    /// The source that a route's chat belongs to, where that is away and another serves it.
    pub(crate) fn displaced(&self, route: Route) -> Option<&'a Displaced> {
        self.topology.displaced(route)
    }

    /// The source that serves a route now, whatever is named explicitly.
    pub(crate) fn serving(&self, route: Route) -> &'a Arc<Source> {
        self.topology.resolve(route)
    }

    /// The source that a route belongs to, whoever serves it now.
    pub(crate) fn home(&self, route: Route) -> &'a SourceName {
        self.displaced(route).map_or_else(|| self.serving(route).name(), |displaced| &displaced.home)
    }

    /// The source that a route belongs to, which may be away.
    pub(crate) fn at_home(&self, route: Route) -> &'a Arc<Source> {
        self.topology.named(self.home(route).as_str()).unwrap_or_else(|| self.serving(route))
    }

    /// Whether a route is known for the chat, by itself or inherited, rather than none and so the default.
    pub(crate) fn is_routed(&self, chat: ChatId) -> bool {
        self.topology.is_routed(chat)
    }

    /// Every source, whatever is named explicitly.
    pub(crate) fn every(&self) -> Vec<&'a Arc<Source>> {
        self.topology.every()
    }

    /// The source for a route: the explicit one, else the route's.
    pub(crate) fn source(&self, op: &'static str, route: Route) -> Result<&'a Arc<Source>> {
        match self.explicit {
            None => Ok(self.topology.resolve(route)),
            Some(name) => {
                let source = self.topology.named(name).ok_or_else(|| unknown_source(self.topology, op, name))?;
                tracing::info!(target: "database::audit", op, %route, source = name, "a source was named explicitly");
                Ok(source)
            }
        }
    }

    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        route: Route,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.source(op, route)?;
        let _span = tracing::debug_span!("read", op, %route, source = %source.name()).entered();
        source.read(op, f)
    }

    /// The first answer among the chat's source (where a chat is given), the shared one, and the others by name. A
    /// source that cannot be asked is passed over; where none has an answer it is an error, since that one might.
    ///
    /// Sources that are open are asked in turn; from the first on that is not, the rest is asked side by side, so that
    /// all their waiting together is no longer than one's.
    pub(crate) fn read_first<T: Send>(
        &self,
        op: &'static str,
        chat: Option<ChatId>,
        f: impl Fn(&ReadTx<'_>) -> Result<Option<T>> + Sync,
    ) -> Result<Option<T>> {
        let began = Instant::now();
        let first = self.source(op, Route::chat_or_shared(chat))?;
        let _span = tracing::debug_span!("read_first", op, chat = ?chat, source = %first.name()).entered();
        let others = if self.explicit.is_some() { Vec::new() } else { self.topology.every() };
        let others = others.into_iter().filter(|other| !Arc::ptr_eq(other, first));
        let all: Vec<_> = std::iter::once(first).chain(others).collect();
        let open = all.iter().take_while(|source| source.is_open()).count();
        let in_turn = all[..open].iter().map(|source| source.read_since(op, began, &f));
        let side_by_side = std::iter::once_with(|| ask_all(op, began, &all[open..], &f)).flatten();
        let mut unanswered = None;
        for answer in in_turn.chain(side_by_side) {
            match answer {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) if error.is_unanswered() => unanswered = unanswered.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }

    /// The rows of every source, merged. A source that cannot be asked is named in the answer; where none can, or
    /// where part of an answer is not wanted, it is an error.
    pub(crate) fn read_every<T: Send, K: Eq + Hash, O: Ord>(
        &self,
        op: &'static str,
        merge: &Merge<T, K, O>,
        f: impl Fn(&ReadTx<'_>) -> Result<Vec<T>> + Sync,
    ) -> Result<Gathered<T>> {
        let began = Instant::now();
        let sources = match self.explicit {
            None => self.topology.every(),
            Some(_) => vec![self.source(op, Route::Shared)?],
        };
        let _span = tracing::debug_span!("read_every", op, sources = sources.len()).entered();
        if sources.len() > 1 {
            tracing::info!(target: "database::audit", op, sources = sources.len(), "all sources are read");
        }
        let mut rows = Vec::new();
        let mut missing = if self.explicit.is_none() { self.topology.away() } else { Vec::new() };
        if let Some(Missing { source, reason }) = missing.first()
            && self.topology.is_strict()
        {
            return Err(Error::new(op, source, ErrorKind::SourceUnavailable { reason: reason.clone() }));
        }
        let away = missing.len();
        let mut first_error = None;
        for (source, answer) in sources.iter().zip(ask_all(op, began, &sources, f)) {
            match answer {
                Ok(found) => {
                    let owns = |row: &T| Arc::ptr_eq(self.topology.resolve(Route::Chat((merge.chat)(row))), source);
                    rows.extend(found.into_iter().map(|row| (owns(&row), row)));
                }
                Err(error) if error.is_unanswered() && !self.topology.is_strict() => {
                    tracing::warn!(%error, "an answer over all sources is incomplete");
                    missing.push(Missing { source: source.name().clone(), reason: error.kind().to_string() });
                    first_error = first_error.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            Some(error) if missing.len() == away + sources.len() => Err(error),
            _ => Ok(Gathered::new(merge.apply(rows), missing)),
        }
    }
}

/// What each source answers. This thread asks those that are open, one after the other: a thread costs more than most
/// answers do (ten sources with a row each: 28 us in turn, 279 us on four threads; with 200 rows each 0.9 and 1.8 ms; see
/// `docs/PERFORMANCE.md`). Those that have to be opened, or waited for, are asked meanwhile by other threads, a thread
/// each, so that they do not hold up the rest or each other. All have their time from when the call began.
fn ask_all<T: Send>(
    op: &'static str,
    began: Instant,
    sources: &[&Arc<Source>],
    f: impl Fn(&ReadTx<'_>) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    if let Err(nested) = sources.iter().try_for_each(|source| source.refuse_nested_read(op)) {
        return vec![Err(nested)];
    }
    let (open, others): (Vec<_>, Vec<_>) = (0..sources.len()).partition(|place| sources[*place].is_open());
    let ask = |place: usize| (place, sources[place].read_since(op, began, &f));
    if others.is_empty() || sources.len() == 1 {
        return (0..sources.len()).map(|place| ask(place).1).collect();
    }
    let threads = others.len().min(AT_ONCE);
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(sources.len()));
    let work = || {
        while let Some(place) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
            let answer = ask(*place);
            answers.lock().push(answer);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            // Where no thread is to be had, this one does the work.
            let _ = thread::Builder::new().name("reads".into()).spawn_scoped(scope, work);
        }
        for place in open {
            let answer = ask(place);
            answers.lock().push(answer);
        }
        work();
    });
    let mut answers = answers.into_inner();
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
