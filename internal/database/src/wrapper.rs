//! [`DatabaseWrapper`]: opening, the verbs that every method is made of, closing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Error, ErrorKind, Result};
use crate::gathered::{Gathered, Merge};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::single::SingleSource;
use crate::source::{OpenError, Operation, ReadTx, Source, SourceConfig, SourceStatus, Tally, WriteTx};
use crate::sources::{SourceSet, Topology, unknown_source};
use crate::time::{Clock, SystemClock, Timestamp};

/// The databases behind one face. Cheap to clone; all clones are the same databases.
///
/// Its methods stand in the rooms of `store`, each made of one of the verbs here: [`read`](Self::read),
/// [`write`](Self::write), [`read_every`](Self::read_every).
#[derive(Clone)]
pub struct DatabaseWrapper {
    shared: Arc<Shared>,
    /// The source that reads are asked from, whatever the route.
    explicit: Option<Arc<str>>,
}

struct Shared {
    sources: Box<dyn SourceSet>,
    clock: Arc<dyn Clock>,
    observer: Option<WriteObserver>,
    /// What supergroups were before they became such.
    aliases: RwLock<HashMap<ChatId, ChatId>>,
}

/// Told of every write that was committed, source by source in the order of the commits. The next write of the source
/// waits meanwhile, so it must not write itself.
pub type WriteObserver = Arc<dyn Fn(&Operation) + Send + Sync>;

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
        let Options { clock, observer } = options;
        let sources = Box::new(SingleSource(Source::open(config, &*clock)?));
        let shared = Shared { sources, clock, observer, aliases: RwLock::default() };
        let db = Self { shared: Arc::new(shared), explicit: None };
        let unread = |error: Error| OpenError::Other { path: config.path.clone(), detail: error.to_string() };
        db.know_aliases().map_err(unread)?;
        Ok(db)
    }

    /// The same databases, with all reads asked from the named source whatever their route says. Writes are refused.
    /// Whether there is such a source is found out by the first read.
    #[must_use]
    pub fn on_source(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), explicit: Some(Arc::from(name)) }
    }

    /// The sources there are, the default one first.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.on_topology(|topology| topology.topology.every().into_iter().map(Source::status).collect())
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

    /// Runs a read on the source that the route leads to.
    ///
    /// # Errors
    /// The source cannot be read, or the closure fails.
    pub fn read<T>(&self, op: &'static str, route: Route, f: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        self.on_topology(|topology| topology.read(op, route, f))
    }

    /// Runs a write on the source that the route leads to, in one transaction, and answers once it is committed.
    ///
    /// The closure may be run again and must have no effect besides its statements.
    ///
    /// # Errors
    /// The source cannot be written, or the closure fails: then nothing is kept.
    pub fn write<T>(&self, op: &'static str, route: Route, f: impl FnMut(&mut WriteTx<'_>) -> Result<T>) -> Result<T> {
        if let Some(name) = &self.explicit {
            return Err(Error::new(op, &SourceName::unchecked(name), ErrorKind::ExplicitWrite));
        }
        self.on_topology(|topology| {
            let source = topology.source(op, route)?;
            let _span = tracing::debug_span!("write", op, %route, source = %source.name()).entered();
            match &self.shared.observer {
                None => source.write(op, None, f),
                Some(observer) => {
                    let tell = |steps| observer(&Operation { op: op.to_owned(), route, steps });
                    source.write(op, Some(&tell), f)
                }
            }
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
        self.write(op, route, |tx| tx.execute(sql, params).map(drop))
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
    pub fn read_every<T, K: Eq + Hash, O: Ord>(
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
        match self.write("wrapper.replay", operation.route, |tx| tx.replay(&operation.steps)) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Duplicate | ErrorKind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a chat was before it became a supergroup.
    pub(crate) fn earlier(&self, chat: ChatId) -> Option<ChatId> {
        self.shared.aliases.read().get(&chat).copied()
    }

    pub(crate) fn replace_aliases(&self, aliases: HashMap<ChatId, ChatId>) {
        *self.shared.aliases.write() = aliases;
    }

    /// Runs several reads on one topology.
    pub(crate) fn on_topology<T>(&self, f: impl FnOnce(OnTopology<'_>) -> T) -> T {
        let mut f = Some(f);
        let mut answer = None;
        self.shared.sources.with_topology(&mut |topology| {
            if let Some(f) = f.take() {
                answer = Some(f(OnTopology { topology, explicit: self.explicit.as_deref() }));
            }
        });
        answer.expect("a set of sources lends its topology once")
    }
}

/// The verbs for reading, on one topology.
#[derive(Clone, Copy)]
pub(crate) struct OnTopology<'a> {
    topology: &'a dyn Topology,
    explicit: Option<&'a str>,
}

impl<'a> OnTopology<'a> {
    /// The source for a route: the explicit one, else the route's.
    pub(crate) fn source(&self, op: &'static str, route: Route) -> Result<&'a Source> {
        match self.explicit {
            None => Ok(self.topology.resolve(route)),
            Some(name) => self.topology.named(name).ok_or_else(|| unknown_source(self.topology, op, name)),
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

    /// The first answer among the chat's source (where a chat is given), the shared one, and the others by name.
    pub(crate) fn read_first<T>(
        &self,
        op: &'static str,
        chat: Option<ChatId>,
        f: impl Fn(&ReadTx<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let first = self.source(op, Route::chat_or_shared(chat))?;
        let _span = tracing::debug_span!("read_first", op, chat = ?chat, source = %first.name()).entered();
        let others = if self.explicit.is_some() { Vec::new() } else { self.topology.every() };
        let others = others.into_iter().filter(|other| !std::ptr::eq(*other, first));
        for source in std::iter::once(first).chain(others) {
            if let Some(found) = source.read(op, &f)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn read_every<T, K: Eq + Hash, O: Ord>(
        &self,
        op: &'static str,
        merge: &Merge<T, K, O>,
        f: impl Fn(&ReadTx<'_>) -> Result<Vec<T>> + Sync,
    ) -> Result<Gathered<T>> {
        let sources = match self.explicit {
            None => self.topology.every(),
            Some(_) => vec![self.source(op, Route::Shared)?],
        };
        let _span = tracing::debug_span!("read_every", op, sources = sources.len()).entered();
        let mut rows = Vec::new();
        for source in sources {
            let owns = |row: &T| std::ptr::eq(self.topology.resolve(Route::Chat((merge.chat)(row))), source);
            rows.extend(source.read(op, &f)?.into_iter().map(|row| (owns(&row), row)));
        }
        Ok(Gathered::new(merge.apply(rows), Vec::new()))
    }
}
