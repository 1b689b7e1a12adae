//! The verbs for reading, on one topology: a call that reads twice sees one.

use std::hash::Hash;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::gathered::{Gathered, Merge, Missing};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{Admit, Displaced, ReadTx, Source};
use crate::sources::{Topology, unknown_source};

/// How many sources are opened or waited for at a time: a thread that waits costs little, and those behind it in a queue
/// would have their time taken by it.
const AT_ONCE: usize = 256;

/// How long this thread asks open sources by itself. Starting a thread and waiting for its end takes about a tenth of
/// that, so a question that ends right afterwards is hardly slower, and a long one is divided almost from the beginning.
const WORTH_A_THREAD: Duration = Duration::from_micros(500);

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
    #[inline]
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

    /// Whether what serves a route may be used for it: asked within a call, when the source is open.
    pub(crate) fn check(&self, op: &'static str, route: Route) -> Result<()> {
        if self.explicit.is_some() { Ok(()) } else { self.topology.check(op, route) }
    }

    /// The same for a write.
    pub(crate) fn check_write(&self, op: &'static str, route: Route) -> Result<()> {
        if self.explicit.is_some() { Ok(()) } else { self.topology.check_write(op, route) }
    }

    /// The same for a write that others may make, to be asked by them: none has an explicit source. `None` where there is
    /// nothing to ask.
    pub(crate) fn admit_write(&self, op: &'static str, route: Route) -> Option<Admit> {
        let topology = self.topology.shared(route)?;
        Some(Box::new(move || topology.check_write(op, route)))
    }

    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        route: Route,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.source(op, route)?;
        let _span = tracing::debug_span!("read", op, %route, source = %source.name()).entered();
        source.read(op, |tx| {
            self.check(op, route)?;
            f(tx)
        })
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

/// What each source answers. This thread asks those that are open, one after the other: most answers cost less than a
/// thread does. Once they have taken a while and some are left, other processors help. Those that have to be opened, or
/// waited for, are asked meanwhile by other threads, a thread each, so that they do not hold up the rest or each other.
/// All have their time from when the call began.
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
    let (open, others) = (Queue::new(open), Queue::new(others));
    let answers = Mutex::new(Vec::with_capacity(sources.len()));
    let ask = |place: usize| {
        let answer = sources[place].read_since(op, began, &f);
        answers.lock().push((place, answer));
    };
    let help_with = &|queue: &Queue| std::iter::from_fn(|| queue.next()).for_each(&ask);
    thread::scope(|scope| {
        let start = |threads: usize, queue| {
            for _ in 0..threads {
                // Where no thread is to be had, this one does the work.
                let work = move || help_with(queue);
                let _ = thread::Builder::new().name("reads".into()).spawn_scoped(scope, work);
            }
        };
        if sources.len() > 1 && others.left() > 0 {
            start(AT_ONCE.min(others.left()), &others);
        }
        let mut helpers = processors() - 1;
        let begun = Instant::now();
        while let Some(place) = open.next() {
            ask(place);
            if helpers > 0 && open.left() > 1 && begun.elapsed() >= WORTH_A_THREAD {
                start(std::mem::take(&mut helpers).min(open.left() - 1), &open);
            }
        }
        help_with(&others);
    });
    let mut answers = answers.into_inner();
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Sources that several threads ask, by their places.
struct Queue {
    places: Vec<usize>,
    taken: AtomicUsize,
}

impl Queue {
    fn new(places: Vec<usize>) -> Self {
        Self { places, taken: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<usize> {
        self.places.get(self.taken.fetch_add(1, Ordering::Relaxed)).copied()
    }

    /// How many nobody has taken yet.
    fn left(&self) -> usize {
        self.places.len().saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

/// How many processors there are for this process. Asked for once: finding out takes longer than most reads.
fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
    *PROCESSORS
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::params;
    use crate::source::{Database, SourceConfig};
    use crate::time::SystemClock;

    #[test]
    fn a_question_that_takes_long_is_divided_among_the_processors_and_answered_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let open = |number: usize| {
            let config = SourceConfig::new(folder.path().join(format!("{number}.db")));
            let deadline = Instant::now() + config.timeout;
            let database = Database::open(&config, None, deadline, &SystemClock, &|_| Ok(())).unwrap();
            let sql = "INSERT INTO settings (key, value, created_at, updated_at) VALUES ('place', ?1, '', '')";
            let place = number.to_string();
            database.write("test.place", deadline, None, |tx| tx.execute(sql, params![place])).unwrap();
            Arc::new(Source::opened(config, database))
        };
        let sources: Vec<_> = (0..6).map(open).collect();
        let threads = Mutex::new(HashSet::new());
        let answers = ask_all("test.ask_all", Instant::now(), &sources.iter().collect::<Vec<_>>(), |tx| {
            let is_first = threads.lock().is_empty();
            threads.lock().insert(thread::current().id());
            // The first takes long enough; the next waits for help, where there is a processor that can give it.
            let begin = Instant::now();
            let enough = |threads: usize| if is_first { false } else { threads > 1 || processors() == 1 };
            let most = if is_first { WORTH_A_THREAD } else { Duration::from_secs(20) };
            while !enough(threads.lock().len()) && begin.elapsed() < most {
                thread::yield_now();
            }
            Ok(tx
                .value::<String>("settings", "SELECT value FROM settings WHERE key = 'place'", &[])?
                .into_iter()
                .collect::<Vec<_>>())
        });
        let answers: Vec<_> = answers.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(answers, ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(threads.into_inner().len() > 1, processors() > 1);
    }
}
