//! The router: which source each chat's rows are in, at one moment, and how that changes while calls are under way.
//!
//! A call takes one [`RoutingTable`] and uses it to its end; a change builds the next one completely and puts it in
//! the place of the last. Nothing is opened meanwhile: sources open when they are needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::absence::Absent;
use super::arrived::Arrived;
use super::connection_manager::ConnectionManager;
use super::counters::Counters;
use super::departed::Departed;
use super::earlier::Earlier;
use super::gate::Gates;
use super::healer::Healer;
use super::lock::DataDirLock;
use super::reload::{Change, ReloadError};
use super::routes::Routes;
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

pub use super::routes::Why;
pub(super) use super::routes::{Plan, Recorded};

/// Which sources there are and what goes where, at one moment: the topology of many sources.
pub(crate) struct RoutingTable {
    /// Counts the tables, from 1.
    pub(crate) generation: u64,
    /// The default source first, the others by name.
    pub(crate) sources: Vec<Arc<Source>>,
    /// The chats that live elsewhere.
    pub(super) routes: Arc<Routes>,
    /// The sources that are away and served by another, by their place.
    away: BTreeMap<u32, Away>,
    /// What sources' files say of chats that have left them.
    departed: Arc<Departed>,
    /// What they say of chats that have come.
    arrived: Arc<Arrived>,
    /// Which chats are being moved.
    gates: Arc<Gates>,
    /// Whether `routes` has what moves recorded.
    knows_routes: bool,
    is_strict: bool,
    /// Where it is.
    me: Weak<Self>,
}

/// What the table of the moment was made from.
pub(super) struct Current {
    pub(super) plan: Plan,
    pub(super) absent: Absent,
    /// The aliases that it was made with.
    pub(super) aliases: HashMap<ChatId, ChatId>,
    /// Whether the default source was asked where chats were moved.
    knows_routes: bool,
    /// Whether no table takes its place any more.
    pub(super) is_closed: bool,
}

/// The set of sources that is many: every call's route is looked up in the table of the moment.
pub(crate) struct DataSourceRouter {
    pub(super) table: ArcSwap<RoutingTable>,
    /// Held while a table is made, so that each is made from the last.
    pub(super) current: Mutex<Current>,
    pub(super) earlier: Earlier,
    /// Read by whoever leads chats home, so that their source is not configured otherwise meanwhile. Taken before
    /// `current`.
    pub(super) steady: RwLock<()>,
    pub(super) aliases: Arc<Aliases>,
    pub(super) connections: ConnectionManager,
    pub(super) departed: Arc<Departed>,
    pub(super) arrived: Arc<Arrived>,
    pub(super) gates: Arc<Gates>,
    pub(super) healer: Healer,
    pub(super) counters: Counters,
    pub(super) lock: Mutex<Option<DataDirLock>>,
}

impl Current {
    /// The table of these sources and routes.
    fn table(
        &self,
        generation: u64,
        sources: Vec<Arc<Source>>,
        routes: Arc<Routes>,
        (departed, arrived, gates): (&Arc<Departed>, &Arc<Arrived>, &Arc<Gates>),
    ) -> Arc<RoutingTable> {
        let away = |source: &Arc<Source>| self.absent.away.get(source.name()).cloned();
        let away = sources.iter().zip(0..).filter_map(|(source, place)| Some((place, away(source)?))).collect();
        let is_strict = self.plan.config.partial_results == PartialResults::Error;
        let (departed, arrived, gates) = (Arc::clone(departed), Arc::clone(arrived), Arc::clone(gates));
        let knows_routes = self.knows_routes;
        Arc::new_cyclic(|me| {
            let me = me.clone();
            RoutingTable { generation, sources, routes, away, departed, arrived, gates, knows_routes, is_strict, me }
        })
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
        let connections = |router| {
            let connections = ConnectionManager::new(config, clock, router);
            connections.registry.set_place(lock.mark());
            connections
        };
        let router = Self::of(config, aliases, connections, |default| Absent::left_behind(config, default, clock));
        *router.lock.lock() = Some(lock);
        router
    }

    /// The router of a configuration, with these connections, and the sources that are away.
    pub(super) fn of(
        config: &DatabaseConfig,
        aliases: &Arc<Aliases>,
        connections: impl FnOnce(Weak<Self>) -> ConnectionManager,
        absent: impl FnOnce(&Arc<Source>) -> Absent,
    ) -> Arc<Self> {
        Arc::new_cyclic(|router: &Weak<Self>| {
            let connections = connections(router.clone());
            let plan = Plan { config: config.clone(), recorded: BTreeMap::new() };
            let sources = connections.sources(config, &[]);
            let current = Current {
                plan,
                absent: sources.first().map(absent).unwrap_or_default(),
                aliases: HashMap::new(),
                knows_routes: false,
                is_closed: false,
            };
            let routes = Arc::new(current.plan.routes(&sources, &HashMap::new()));
            let (departed, arrived, gates) = Default::default();
            Self {
                table: ArcSwap::new(current.table(1, sources, routes, (&departed, &arrived, &gates))),
                current: Mutex::new(current),
                earlier: Earlier::default(),
                steady: RwLock::new(()),
                aliases: Arc::clone(aliases),
                connections,
                departed,
                arrived,
                gates,
                healer: Healer::new(router.clone()),
                counters: Counters::default(),
                lock: Mutex::default(),
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
        let _changes = self.steady.write();
        let mut current = self.current.lock();
        if current.is_closed {
            return Err(ReloadError::Closed);
        }
        super::reload::check(&current, config)?;
        if current.plan.config == *config {
            return Ok(Change::none(self.table.load().generation));
        }
        let before = std::mem::replace(&mut current.plan.config, config.clone());
        Ok(self.swap(&mut current).noticing(&before, &current.plan))
    }

    /// Learns which groups became supergroups and which chats were moved, from the default source.
    pub(super) fn learn(&self, aliases: HashMap<ChatId, ChatId>, recorded: BTreeMap<ChatId, Recorded>) -> Change {
        let mut current = self.current.lock();
        let before = Arc::downgrade(&self.table.load());
        let is_new = !std::mem::replace(&mut current.knows_routes, true);
        let is_same = !self.aliases.add(aliases) && current.plan.recorded == recorded;
        current.plan.recorded = recorded;
        self.departed.learned(&current.plan);
        let change = if is_same { None } else { Some(self.swap(&mut current)) };
        if is_same && is_new {
            self.swap_absent(&current);
        }
        self.gates.is_known(self.table.load().generation, &before);
        change.unwrap_or_else(|| Change::none(self.table.load().generation))
    }

    /// Puts a table in the place of the last one that differs only in who is away.
    pub(super) fn swap_absent(&self, current: &Current) {
        if current.is_closed {
            return;
        }
        let before = self.table.load_full();
        self.put(before.generation, before.sources.clone(), Arc::clone(&before.routes), current);
    }

    /// Puts a table in the place of the last one.
    pub(super) fn swap(&self, current: &mut Current) -> Change {
        let before = self.table.load_full();
        if current.is_closed {
            return Change::none(before.generation);
        }
        current.aliases = self.aliases.all();
        let sources = self.connections.sources(&current.plan.config, &before.sources);
        let routes = Arc::new(current.plan.routes(&sources, &current.aliases));
        self.arrived.settle(&current.plan, &current.aliases);
        // Before a call can reach them: what waits is older.
        let other = sources.iter().filter(|source| !before.has(source)).map(|source| source.name().clone()).collect();
        let Current { plan, absent, .. } = &mut *current;
        let taken_up = sources
            .first()
            .map(|default| absent.take_up(&plan.config, default, &self.connections.clock, &other))
            .unwrap_or_default();
        let after = self.put(before.generation + 1, sources, routes, current);
        for name in &taken_up {
            self.healer.failed(name);
        }
        Change::between(&before, &after)
    }

    pub(super) fn put(
        &self,
        generation: u64,
        sources: Vec<Arc<Source>>,
        routes: Arc<Routes>,
        current: &Current,
    ) -> Arc<RoutingTable> {
        let after = current.table(generation, sources, routes, (&self.departed, &self.arrived, &self.gates));
        self.earlier.add(&self.table.load());
        let before = self.table.swap(Arc::clone(&after));
        self.connections.retire(before, &after);
        after
    }
}

impl SourceSet for Arc<DataSourceRouter> {
    fn with_topology(&self, f: &mut dyn FnMut(&dyn Topology)) {
        self.healer.catch_up();
        f(&**self.table.load());
    }

    fn aliases_changed(&self) {
        let mut current = self.current.lock();
        // The news of a supergroup comes more than once.
        if self.aliases.all() != current.aliases {
            self.swap(&mut current).tell_cause("a group became a supergroup");
        }
    }

    fn wait_while_moving(&self, route: Route, most: Duration) {
        if let Route::Chat(chat) = route {
            self.gates.wait(chat, most);
        }
    }

    fn bring(&self, chat: ChatId, from: &Arc<Source>, to: &Arc<Source>) -> Result<u64> {
        super::relocate::bring(chat, from, to)
    }

    fn close(&self) {
        self.healer.stop();
        self.current.lock().is_closed = true;
        self.connections.close(&self.table());
        // Last: until now the files are this process's.
        *self.lock.lock() = None;
    }
}

impl RoutingTable {
    /// The chats that live elsewhere than in the default source, and where.
    pub(super) fn routes(&self) -> impl Iterator<Item = (ChatId, &Arc<Source>)> {
        self.routes.places.iter().map(|(chat, place)| (chat, self.at(place)))
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
        self.at(self.place(chat))
    }

    fn at(&self, place: u32) -> &Arc<Source> {
        let place = place as usize;
        self.sources.get(place).unwrap_or_else(|| &self.routes.nowhere[place - self.sources.len()])
    }

    fn place(&self, chat: ChatId) -> u32 {
        self.routes.places.get(chat).unwrap_or_default()
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
        self.at(place)
    }

    fn check(&self, op: &'static str, route: Route) -> Result<()> {
        match route {
            Route::Chat(chat) => {
                let place = self.place(chat);
                let home = self.at(place).name();
                if place != 0 {
                    self.departed.check(op, chat, home, self.knows_routes)?;
                }
                self.arrived.check(op, chat, home)?;
                self.gates.admit(op, chat, home, self.generation, false)
            }
            Route::Shared => Ok(()),
        }
    }

    fn check_write(&self, op: &'static str, route: Route) -> Result<()> {
        self.check(op, route)?;
        match route {
            Route::Chat(chat) => self.gates.admit(op, chat, self.of_chat(chat).name(), self.generation, true),
            Route::Shared => Ok(()),
        }
    }

    fn shared(&self, route: Route) -> Option<Arc<dyn Topology + Send>> {
        match route {
            Route::Chat(_) => Some(self.me.upgrade().expect("whoever uses a table holds it")),
            Route::Shared => None,
        }
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
        self.routes.places.get(chat).is_some()
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
