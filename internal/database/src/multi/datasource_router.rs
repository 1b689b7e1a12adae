//! The router: which source each chat's rows are in, at one moment, and how that changes while calls are under way.
//!
//! A call takes one [`RoutingTable`] and uses it to its end; a change builds the next one completely and puts it in
//! the place of the last. Nothing is opened meanwhile: sources open when they are needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::absence::Absent;
use super::connection_manager::ConnectionManager;
use super::healer::Healer;
use super::lock::DataDirLock;
use super::reload::{Change, ReloadError};
use super::standin::{Away, ServedBy};
use crate::aliases::Aliases;
use crate::config::{DatabaseConfig, PartialResults};
use crate::error::Result;
use crate::gathered::Missing;
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{Displaced, Source};
use crate::sources::{SourceSet, Topology};
use crate::time::Clock;

/// Which sources there are and what goes where, at one moment: the topology of many sources.
pub(crate) struct RoutingTable {
    /// Counts the tables, from 1.
    pub(crate) generation: u64,
    /// The default source first, the others by name.
    pub(crate) sources: Vec<Arc<Source>>,
    /// The chats that live elsewhere, by their source's place in `sources`.
    routes: Arc<Routes>,
    /// The sources that are away and served by another, by their place.
    away: BTreeMap<u32, Away>,
    is_strict: bool,
}

/// The chats that live elsewhere than in the default source, by their source's place.
type Routes = HashMap<ChatId, u32, RandomState>;

/// A route that a move recorded. It outranks the configuration's for as long as that says what it said then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Where the chat was moved.
    pub(crate) source: SourceName,
    /// What the configuration said of the chat then; `None` where it said nothing.
    pub(crate) file_said: Option<SourceName>,
}

/// What leads a chat to its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The configuration maps it.
    Mapped,
    /// It was moved there, and the configuration still says what it said before.
    Moved,
    /// It goes on with this chat, a group that became this supergroup.
    Inherited(ChatId),
    /// Nothing is said of it, so it is in the default source.
    Default,
}

/// What a routing table is made from.
pub(super) struct Plan {
    pub(super) config: DatabaseConfig,
    pub(super) recorded: BTreeMap<ChatId, Recorded>,
}

/// What the table of the moment was made from.
pub(super) struct Current {
    pub(super) plan: Plan,
    pub(super) absent: Absent,
}

/// The set of sources that is many: every call's route is looked up in the table of the moment.
pub(crate) struct DataSourceRouter {
    table: ArcSwap<RoutingTable>,
    /// Held while a table is made, so that each is made from the last.
    pub(super) current: Mutex<Current>,
    pub(super) aliases: Arc<Aliases>,
    pub(super) connections: ConnectionManager,
    pub(super) healer: Healer,
    lock: Mutex<Option<DataDirLock>>,
}

impl Plan {
    /// Where a chat is said to live, and why; `None` where nothing is said of it.
    pub(super) fn route(&self, chat: ChatId, aliases: &HashMap<ChatId, ChatId>) -> Option<(&SourceName, Why)> {
        let said = self.config.chat_mapping.get(&chat);
        match self.recorded.get(&chat) {
            Some(moved) if moved.file_said.as_ref() == said => return Some((&moved.source, Why::Moved)),
            _ => {}
        }
        if let Some(name) = said {
            return Some((name, Why::Mapped));
        }
        let old = *aliases.get(&chat)?;
        // The old group may be one of which only a move knows; it is never a supergroup itself.
        let rest = Plan::route(self, old, &HashMap::new())?;
        Some((rest.0, Why::Inherited(old)))
    }

    /// All chats of which something is said.
    pub(super) fn chats<'a>(&'a self, aliases: &'a HashMap<ChatId, ChatId>) -> impl Iterator<Item = ChatId> + 'a {
        self.config.chat_mapping.keys().chain(self.recorded.keys()).chain(aliases.keys()).copied()
    }

    /// The routes among these sources: the default one first, the others by name.
    fn routes(&self, sources: &[Arc<Source>], aliases: &HashMap<ChatId, ChatId>) -> Routes {
        let place: HashMap<&SourceName, u32> = sources.iter().map(|source| source.name()).zip(0..).collect();
        let known = |(name, _): (&SourceName, Why)| place.get(name).copied();
        self.chats(aliases).filter_map(|chat| Some((chat, self.route(chat, aliases).and_then(known)?))).collect()
    }
}

impl Current {
    /// The table of these sources and routes.
    fn table(&self, generation: u64, sources: Vec<Arc<Source>>, routes: Arc<Routes>) -> RoutingTable {
        let away = |source: &Arc<Source>| self.absent.away.get(source.name()).cloned();
        let away = sources.iter().zip(0..).filter_map(|(source, place)| Some((place, away(source)?))).collect();
        let is_strict = self.plan.config.partial_results == PartialResults::Error;
        RoutingTable { generation, sources, routes, away, is_strict }
    }
}

impl DataSourceRouter {
    /// The router of a configuration whose data directory this process has locked.
    pub(super) fn new(
        config: &DatabaseConfig,
        lock: DataDirLock,
        clock: &Arc<dyn Clock>,
        aliases: &Arc<Aliases>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|router: &Weak<Self>| {
            let connections = ConnectionManager::new(config, clock, router.clone());
            let plan = Plan { config: config.clone(), recorded: BTreeMap::new() };
            let current = Current { plan, absent: Absent::left_behind(config, &connections.stand_in) };
            let sources = connections.sources(config, &[]);
            let routes = Arc::new(current.plan.routes(&sources, &HashMap::new()));
            Self {
                table: ArcSwap::from_pointee(current.table(1, sources, routes)),
                current: Mutex::new(current),
                aliases: Arc::clone(aliases),
                connections,
                healer: Healer::new(router.clone()),
                lock: Mutex::new(Some(lock)),
            }
        })
    }

    /// The table of this moment.
    pub(super) fn table(&self) -> Arc<RoutingTable> {
        self.table.load_full()
    }

    /// Where a chat lives now, and why.
    pub(super) fn explain(&self, chat: ChatId) -> (SourceName, Why) {
        let Current { plan, .. } = &*self.current.lock();
        let aliases = self.aliases.all();
        match plan.route(chat, &aliases) {
            Some((name, why)) => (name.clone(), why),
            None => (plan.config.default_source.clone(), Why::Default),
        }
    }

    /// The source of a name.
    pub(super) fn source(&self, name: &SourceName) -> Option<Arc<Source>> {
        self.table.load().named(name.as_str()).cloned()
    }

    /// Looks at what the table is made from.
    pub(super) fn with_plan<T>(&self, f: impl FnOnce(&Plan) -> T) -> T {
        f(&self.current.lock().plan)
    }

    /// Goes over to another configuration; where that is not possible everything stays as it is.
    pub(super) fn reload(&self, config: &DatabaseConfig) -> Result<Change, ReloadError> {
        let mut current = self.current.lock();
        super::reload::check(&current, config)?;
        if current.plan.config == *config {
            return Ok(Change::none(self.table.load().generation));
        }
        current.plan.config = config.clone();
        Ok(self.swap(&current))
    }

    /// Learns which groups became supergroups and which chats were moved, from the default source.
    pub(super) fn learn(&self, aliases: HashMap<ChatId, ChatId>, recorded: BTreeMap<ChatId, Recorded>) -> Change {
        let mut current = self.current.lock();
        let is_new = self.aliases.add(aliases);
        if current.plan.recorded == recorded && !is_new {
            return Change::none(self.table.load().generation);
        }
        current.plan.recorded = recorded;
        self.swap(&current)
    }

    /// Goes over to the routes that a move has recorded (`None`: the record is gone).
    pub(super) fn record(&self, routes: &[(ChatId, Option<Recorded>)]) -> Change {
        let mut current = self.current.lock();
        for (chat, route) in routes {
            match route {
                Some(route) => current.plan.recorded.insert(*chat, route.clone()),
                None => current.plan.recorded.remove(chat),
            };
        }
        self.swap(&current)
    }

    /// Puts a table in the place of the last one that differs only in who is away.
    pub(super) fn swap_absent(&self, current: &Current) {
        let before = self.table.load_full();
        self.put(before.generation, before.sources.clone(), Arc::clone(&before.routes), current);
    }

    /// Puts a table in the place of the last one.
    fn swap(&self, current: &Current) -> Change {
        let before = self.table.load_full();
        let sources = self.connections.sources(&current.plan.config, &before.sources);
        let routes = Arc::new(current.plan.routes(&sources, &self.aliases.all()));
        let after = self.put(before.generation + 1, sources, routes, current);
        Change::between(&before, &after)
    }

    fn put(
        &self,
        generation: u64,
        sources: Vec<Arc<Source>>,
        routes: Arc<Routes>,
        current: &Current,
    ) -> Arc<RoutingTable> {
        let after = Arc::new(current.table(generation, sources, routes));
        let before = self.table.swap(Arc::clone(&after));
        self.connections.retire(before, &after);
        after
    }
}

impl SourceSet for Arc<DataSourceRouter> {
    fn with_topology(&self, f: &mut dyn FnMut(&dyn Topology)) {
        f(&**self.table.load());
    }

    fn aliases_changed(&self) {
        self.swap(&self.current.lock());
    }

    fn bring(&self, chat: ChatId, from: &Arc<Source>, to: &Arc<Source>) -> Result<u64> {
        super::relocate::bring(chat, from, to)
    }

    fn close(&self) {
        self.healer.stop();
        self.connections.close(&self.table());
        // Last: until now the files are this process's.
        *self.lock.lock() = None;
    }
}

impl RoutingTable {
    /// The chats that live elsewhere than in the default source, and where.
    pub(super) fn routes(&self) -> impl Iterator<Item = (ChatId, &Arc<Source>)> {
        self.routes.iter().filter_map(|(chat, place)| Some((*chat, self.sources.get(*place as usize)?)))
    }

    /// Whether a source is one of the table's.
    pub(super) fn has(&self, source: &Arc<Source>) -> bool {
        self.named(source.name().as_str()).is_some_and(|own| Arc::ptr_eq(own, source))
            || self.away.values().any(|away| Arc::ptr_eq(&away.serving, source))
    }

    /// Those who stand in for sources that are away.
    pub(super) fn stand_ins(&self) -> impl Iterator<Item = &Away> {
        self.away.values().filter(|away| away.by == ServedBy::StandIn)
    }

    /// Who serves the chats of a source.
    pub(super) fn away_of(&self, place: usize) -> Option<&Away> {
        self.away.get(&u32::try_from(place).ok()?)
    }

    /// The source that a chat belongs to.
    pub(super) fn of_chat(&self, chat: ChatId) -> &Arc<Source> {
        &self.sources[self.place(chat) as usize]
    }

    fn place(&self, chat: ChatId) -> u32 {
        self.routes.get(&chat).copied().unwrap_or_default()
    }
}

impl Topology for RoutingTable {
    fn resolve(&self, route: Route) -> &Arc<Source> {
        let place = match route {
            Route::Chat(chat) => self.place(chat),
            Route::Shared => 0,
        };
        if !self.away.is_empty()
            && let Some(away) = self.away.get(&place)
        {
            return &away.serving;
        }
        &self.sources[place as usize]
    }

    fn displaced(&self, route: Route) -> Option<&Displaced> {
        match route {
            Route::Chat(chat) if !self.away.is_empty() => Some(&self.away.get(&self.place(chat))?.displaced),
            _ => None,
        }
    }

    fn away(&self) -> Vec<Missing> {
        let missing = |away: &Away| Missing {
            source: away.displaced.home.clone(),
            reason: "it is away; what is served in its place is part of the answer".to_owned(),
        };
        self.away.values().map(missing).collect()
    }

    fn is_routed(&self, chat: ChatId) -> bool {
        self.routes.contains_key(&chat)
    }

    fn named(&self, name: &str) -> Option<&Arc<Source>> {
        let (default, others) = self.sources.split_first()?;
        if default.name().as_str() == name {
            return Some(default);
        }
        others.binary_search_by(|source| source.name().as_str().cmp(name)).ok().map(|place| &others[place])
    }

    fn every(&self) -> Vec<&Arc<Source>> {
        let serving = |(source, place)| match self.away.get(&place) {
            None => Some(source),
            // The default source is there already.
            Some(away) => (away.by == ServedBy::StandIn).then_some(&away.serving),
        };
        self.sources.iter().zip(0..).filter_map(serving).collect()
    }

    fn is_strict(&self) -> bool {
        self.is_strict
    }
}
