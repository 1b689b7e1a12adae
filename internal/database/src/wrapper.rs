//! [`DatabaseWrapper`]: opening, the verbs that every method is made of, closing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use crate::aliases::Aliases;
use crate::error::{Error, ErrorKind, Result};
use crate::gathered::{Gathered, Merge};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::single::SingleSource;
use crate::source::{
    Database, OpenError, Operation, ReadTx, Recorder, Source, SourceConfig, SourceStatus, Tally, WriteObserver, WriteTx,
};
use crate::sources::SourceSet;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::topology::OnTopology;

/// The databases behind one face. Cheap to clone; all clones are the same databases.
///
/// Its methods stand in the rooms of `store`, each made of one of the verbs here: [`read`](Self::read),
/// [`write`](Self::write), [`write_delegated`](Self::write_delegated), [`read_every`](Self::read_every).
#[derive(Clone)]
pub struct DatabaseWrapper {
    shared: Arc<Shared>,
    /// The source that reads are asked from, whatever the route.
    explicit: Option<Arc<str>>,
    /// Whether nothing is asked of what stands in for a source.
    at_home: bool,
}

struct Shared {
    sources: Box<dyn SourceSet>,
    clock: Arc<dyn Clock>,
    observer: Option<WriteObserver>,
    aliases: Arc<Aliases>,
}

/// How often a call is made where its route leads to another source each time.
const MOST_TRIES: u32 = 4;

/// How often one is made that finds its chat being led elsewhere.
const MOST_TRIES_OF_MOVED: u32 = 64;

/// What a wrapper is opened with besides its sources.
#[derive(Clone)]
pub struct Options {
    /// Where `created_at`, `updated_at` and the age of caches come from.
    pub clock: Arc<dyn Clock>,
    /// Told of every committed write.
    pub observer: Option<WriteObserver>,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), observer: None }
    }
}

impl DatabaseWrapper {
    /// Opens one database file, created or brought to this release's version where needed.
    ///
    /// # Errors
    /// The file cannot be used; it is left as it was.
    pub fn open(config: &SourceConfig) -> Result<Self, OpenError> {
        Self::open_with(config, Options::default())
    }

    /// Opens one database file with a clock and an observer of one's own.
    ///
    /// # Errors
    /// The file cannot be used; it is left as it was.
    pub fn open_with(config: &SourceConfig, options: Options) -> Result<Self, OpenError> {
        let deadline = Instant::now() + config.timeout;
        let database = Database::open(config, None, deadline, &*options.clock, &|_| Ok(()))?;
        let sources = Box::new(SingleSource(Arc::new(Source::opened(config.clone(), database))));
        let db = Self::over(sources, options, Arc::default());
        let unread = |error: Error| OpenError::Other { path: config.path.clone(), detail: error.to_string() };
        db.know_aliases().map_err(unread)?;
        Ok(db)
    }

    /// The wrapper over a set of sources, with the aliases that are known of its chats.
    pub(crate) fn over(sources: Box<dyn SourceSet>, options: Options, aliases: Arc<Aliases>) -> Self {
        let Options { clock, observer } = options;
        Self { shared: Arc::new(Shared { sources, clock, observer, aliases }), explicit: None, at_home: false }
    }

    /// The same databases, with all reads asked from the named source whatever their route says. Writes are refused.
    /// Whether there is such a source is found out by the first read.
    #[must_use]
    pub fn on_source(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), explicit: Some(Arc::from(name)), at_home: self.at_home }
    }

    /// The same databases, for what makes sense only where all of a chat's rows are: while its source is away each call
    /// on a chat is refused with [`ErrorKind::Displaced`], also where that is found out by the call itself.
    #[must_use]
    pub fn at_home(&self) -> Self {
        Self { at_home: true, ..self.clone() }
    }

    /// The sources there are, the default one first.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.on_topology(|topology| topology.every().into_iter().map(|source| source.status()).collect())
    }

    /// Closes all databases once the calls under way have ended; later calls on any clone fail.
    pub fn close(self) {
        self.shared.sources.close();
    }

    /// The current moment by the wrapper's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The name of the source that a route leads to now.
    ///
    /// # Errors
    /// A source is named explicitly that does not exist.
    pub fn source_of(&self, route: Route) -> Result<SourceName> {
        self.on_topology(|topology| topology.source("wrapper.source_of", route).map(|source| source.name().clone()))
    }

    /// Runs a read on the source that the route leads to. The closure may be run again.
    ///
    /// # Errors
    /// The source cannot be read, or the closure fails.
    pub fn read<T>(&self, op: &'static str, route: Route, mut f: impl FnMut(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        self.reading(route, |topology| topology.read(op, route, &mut f))
    }

    /// Runs reads for a route on one topology; where the source failed and another serves the route by now, there.
    pub(crate) fn reading<T>(&self, route: Route, mut f: impl FnMut(OnTopology<'_>) -> Result<T>) -> Result<T> {
        self.where_it_leads(route, |error| error.is_untouched() || error.outage().is_some(), &mut f)
    }

    /// Runs a call on the topology of the moment, and again where it failed so that it may be made again and the
    /// route leads to another source by now.
    fn where_it_leads<T>(
        &self,
        route: Route,
        may_go_on: impl Fn(&Error) -> bool,
        mut f: impl FnMut(OnTopology<'_>) -> Result<T>,
    ) -> Result<T> {
        let (mut tries, mut tries_of_moved) = (1, 1);
        loop {
            let (answer, before, timeout) = self.on_topology(|topology| {
                let answer = self.check_at_home(&topology, route).and_then(|()| f(topology));
                // Only a failure is compared.
                let before = answer.is_err().then(|| Arc::as_ptr(topology.serving(route)));
                let timeout = before.map(|_| topology.serving(route).config().timeout).unwrap_or_default();
                (answer, before, timeout)
            });
            match answer {
                Err(error)
                    if matches!(error.kind(), ErrorKind::Moved)
                        && tries_of_moved < MOST_TRIES_OF_MOVED
                        && self.explicit.is_none() =>
                {
                    // It is being led elsewhere, or was, or stays after all.
                    self.shared.sources.wait_while_moving(route, timeout);
                    tries_of_moved += 1;
                }
                Err(error) if tries < MOST_TRIES && self.explicit.is_none() && may_go_on(&error) => {
                    let now = self.on_topology(|topology| Arc::as_ptr(topology.serving(route)));
                    if Some(now) == before {
                        return Err(error);
                    }
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Refuses a call that is to be made nowhere but in the source that the route belongs to.
    fn check_at_home(&self, topology: &OnTopology<'_>, route: Route) -> Result<()> {
        if !self.at_home {
            return Ok(());
        }
        match topology.displaced(route) {
            Some(displaced) => Err(Error::new("wrapper.at_home", &displaced.home, ErrorKind::Displaced)),
            None => Ok(()),
        }
    }

    /// Refuses a call that makes no sense anywhere but in the chat's own source.
    pub(crate) fn refuse_displaced(&self, chat: ChatId) -> Result<()> {
        self.on_topology(|topology| match topology.displaced(Route::Chat(chat)) {
            None => Ok(()),
            Some(displaced) => {
                let reason = "another file serves its chats, which this is not for".to_owned();
                Err(Error::new("wrapper.refuse_displaced", &displaced.home, ErrorKind::SourceUnavailable { reason }))
            }
        })
    }

    /// Whether a chat's source is away and another file serves it meanwhile: what was said before is not there.
    pub fn is_displaced(&self, chat: ChatId) -> bool {
        self.on_topology(|topology| topology.displaced(Route::Chat(chat)).is_some())
    }

    /// Runs a write on the source that the route leads to, in one transaction, and answers once it is committed.
    ///
    /// The closure may be run again and must have no effect besides its statements.
    ///
    /// # Errors
    /// The source cannot be written, or the closure fails: then nothing is kept.
    pub fn write<T>(&self, op: &'static str, route: Route, f: impl FnMut(&mut WriteTx<'_>) -> Result<T>) -> Result<T> {
        self.write_recorded_as(op, op, route, f)
    }

    /// Runs a write that another caller may make: while others write to the source, whoever has its writer makes the
    /// statements of those who wait for it too, all in one transaction. So many callers are served faster than by
    /// [`write`](Self::write), where each has to wake up for its own part.
    ///
    /// The closure may be run again, and may be run without anything being written, to learn its statements: then each is
    /// taken to have changed what is required, and bodies of [`only_if`](WriteTx::only_if) are run too. It must have no
    /// effect besides its statements, and must give back the error of one that fails: a write that goes on after one is
    /// refused.
    ///
    /// # Errors
    /// The source cannot be written, or the closure fails: then nothing is kept.
    pub fn write_delegated(
        &self,
        op: &'static str,
        route: Route,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<()>,
    ) -> Result<()> {
        self.writing(op, op, route, |topology, source, recorder| {
            source.write_delegated(op, recorder, &|| topology.admit_write(op, route), |tx| {
                topology.check_write(op, route)?;
                f(tx)
            })
        })
    }

    fn write_recorded_as<T>(
        &self,
        op: &'static str,
        recorded: &str,
        route: Route,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.writing(op, recorded, route, |topology, source, recorder| {
            source.write(op, recorder, |tx| {
                topology.check_write(op, route)?;
                f(tx)
            })
        })
    }

    /// Runs this with the source that a write belongs to, and with what is to be kept of it besides its rows.
    fn writing<T>(
        &self,
        op: &'static str,
        recorded: &str,
        route: Route,
        mut f: impl FnMut(OnTopology<'_>, &Arc<Source>, Option<&Recorder<'_>>) -> Result<T>,
    ) -> Result<T> {
        if let Some(name) = &self.explicit {
            return Err(Error::new(op, &SourceName::unchecked(name), ErrorKind::ExplicitWrite));
        }
        let observer = self.shared.observer.as_ref();
        self.where_it_leads(route, Error::is_untouched, |topology| {
            let source = topology.source(op, route)?;
            let _span = tracing::debug_span!("write", op, %route, source = %source.name()).entered();
            let displaced = topology.displaced(route);
            let recorder = Recorder { observer, displaced, op: recorded, route };
            let is_kept = observer.is_some() || displaced.is_some();
            f(topology, source, is_kept.then_some(&recorder))
        })
    }

    /// Runs a read on the writer's connection, which is open in any case: for what is read once, at the start.
    pub(crate) fn read_as_writer<T>(
        &self,
        op: &'static str,
        route: Route,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.on_topology(|topology| topology.source(op, route)?.read_as_writer(op, f))
    }

    /// Runs a write of one statement that needs no judgement.
    pub(crate) fn execute(
        &self,
        op: &'static str,
        route: Route,
        sql: &str,
        params: &[crate::ValueRef<'_>],
    ) -> Result<()> {
        self.write_delegated(op, route, |tx| tx.execute(sql, params).map(drop))
    }

    /// Runs a write and answers how many rows the tallied statements changed.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_tallied(
        &self,
        op: &'static str,
        route: Route,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<Tally>,
    ) -> Result<u64> {
        self.write(op, route, f).map(|tally| tally.0)
    }

    /// Runs a read on every source and merges the rows: complete, without copies, in one order.
    ///
    /// # Errors
    /// The closure fails on a source.
    pub fn read_every<T: Send, K: Eq + Hash, O: Ord>(
        &self,
        op: &'static str,
        merge: &Merge<T, K, O>,
        f: impl Fn(&ReadTx<'_>) -> Result<Vec<T>> + Sync,
    ) -> Result<Gathered<T>> {
        self.on_topology(|topology| topology.read_every(op, merge, f))
    }

    /// Makes a recorded write again, where its route leads now. Where a condition it required does not hold, nothing
    /// is changed and the answer is `false`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn replay(&self, operation: &Operation) -> Result<bool> {
        let Operation { op, route, steps } = operation;
        match self.write_recorded_as("wrapper.replay", op, *route, |tx| tx.replay(steps)) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Duplicate | ErrorKind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a chat was before it became a supergroup.
    pub(crate) fn earlier(&self, chat: ChatId) -> Option<ChatId> {
        self.shared.aliases.earlier(chat)
    }

    /// The supergroup that a chat became.
    pub(crate) fn later(&self, chat: ChatId) -> Option<ChatId> {
        self.shared.aliases.later(chat)
    }

    pub(crate) fn add_aliases(&self, aliases: HashMap<ChatId, ChatId>) {
        self.shared.aliases.add(aliases);
        self.shared.sources.aliases_changed();
    }

    /// Copies what a chat has from one source to another, where that does not have it.
    pub(crate) fn bring_rows(&self, chat: ChatId, from: &Arc<Source>, to: &Arc<Source>) -> Result<u64> {
        self.shared.sources.bring(chat, from, to)
    }

    /// Runs several reads on one topology.
    pub(crate) fn on_topology<T>(&self, f: impl FnOnce(OnTopology<'_>) -> T) -> T {
        let mut f = Some(f);
        let mut answer = None;
        self.shared.sources.with_topology(&mut |topology| {
            if let Some(f) = f.take() {
                answer = Some(f(OnTopology::new(topology, self.explicit.as_deref())));
            }
        });
        answer.expect("a set of sources lends its topology once")
    }
}
