//! The router: which source each chat's rows are in, at one moment, and how that changes while calls are under way.
//!
//! A call takes one [`RoutingTable`] and uses it to its end; a change builds the next one completely and puts it in
//! the place of the last. Nothing is opened meanwhile: sources open when they are needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::connection_manager::ConnectionManager;
use super::lock::DataDirLock;
use super::reload::{Change, ReloadError};
use crate::aliases::Aliases;
use crate::config::{DatabaseConfig, PartialResults};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::Source;
use crate::sources::{SourceSet, Topology};
use crate::time::Clock;

/// Which sources there are and what goes where, at one moment: the topology of many sources.
pub(crate) struct RoutingTable {
    /// Counts the tables, from 1.
    pub(crate) generation: u64,
    /// The default source first, the others by name.
    pub(crate) sources: Vec<Arc<Source>>,
    /// The chats that live elsewhere, by their source's place in `sources`.
    routes: HashMap<ChatId, u32, RandomState>,
    is_strict: bool,
}

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

/// The set of sources that is many: every call's route is looked up in the table of the moment.
pub(crate) struct DataSourceRouter {
    table: ArcSwap<RoutingTable>,
    /// Held while a table is made, so that each is made from the last.
    plan: Mutex<Plan>,
    pub(super) aliases: Arc<Aliases>,
    pub(super) connections: ConnectionManager,
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

    /// The table, of these sources: the default one first, the others by name.
    fn table(&self, generation: u64, sources: Vec<Arc<Source>>, aliases: &HashMap<ChatId, ChatId>) -> RoutingTable {
        let place: HashMap<&SourceName, u32> = sources.iter().map(|source| source.name()).zip(0..).collect();
        let known = |(name, _): (&SourceName, Why)| place.get(name).copied();
        let routes =
            self.chats(aliases).filter_map(|chat| Some((chat, self.route(chat, aliases).and_then(known)?))).collect();
        let is_strict = self.config.partial_results == PartialResults::Error;
        drop(place);
        RoutingTable { generation, sources, routes, is_strict }
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
            let table = plan.table(1, connections.sources(config, &[]), &HashMap::new());
            Self {
                table: ArcSwap::from_pointee(table),
                plan: Mutex::new(plan),
                aliases: Arc::clone(aliases),
                connections,
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
        let plan = self.plan.lock();
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
        f(&self.plan.lock())
    }

    /// Goes over to another configuration; where that is not possible everything stays as it is.
    pub(super) fn reload(&self, config: &DatabaseConfig) -> Result<Change, ReloadError> {
        let mut plan = self.plan.lock();
        super::reload::check(&plan, config)?;
        if plan.config == *config {
            return Ok(Change::none(self.table.load().generation));
        }
        let recorded = plan.recorded.clone();
        Ok(self.swap(&mut plan, Plan { config: config.clone(), recorded }))
    }

    /// Learns which groups became supergroups and which chats were moved, from the default source.
    pub(super) fn learn(&self, aliases: HashMap<ChatId, ChatId>, recorded: BTreeMap<ChatId, Recorded>) -> Change {
        let mut plan = self.plan.lock();
        if plan.recorded == recorded && self.aliases.all() == aliases {
            return Change::none(self.table.load().generation);
        }
        self.aliases.replace(aliases);
        let config = plan.config.clone();
        self.swap(&mut plan, Plan { config, recorded })
    }

    /// Goes over to the routes that a move has recorded (`None`: the record is gone).
    pub(super) fn record(&self, routes: &[(ChatId, Option<Recorded>)]) -> Change {
        let mut plan = self.plan.lock();
        let mut next = Plan { config: plan.config.clone(), recorded: plan.recorded.clone() };
        for (chat, route) in routes {
            match route {
                Some(route) => next.recorded.insert(*chat, route.clone()),
                None => next.recorded.remove(chat),
            };
        }
        self.swap(&mut plan, next)
    }

    /// Puts a table made from `next` in the place of the last one.
    fn swap(&self, plan: &mut Plan, next: Plan) -> Change {
        let before = self.table.load_full();
        let sources = self.connections.sources(&next.config, &before.sources);
        let table = Arc::new(next.table(before.generation + 1, sources, &self.aliases.all()));
        let change = Change::between(&before, &table);
        *plan = next;
        self.table.store(Arc::clone(&table));
        self.connections.retire(before, &table);
        change
    }
}

impl SourceSet for Arc<DataSourceRouter> {
    fn with_topology(&self, f: &mut dyn FnMut(&dyn Topology)) {
        f(&**self.table.load());
    }

    fn aliases_changed(&self) {
        let mut plan = self.plan.lock();
        let next = Plan { config: plan.config.clone(), recorded: plan.recorded.clone() };
        self.swap(&mut plan, next);
    }

    fn close(&self) {
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
    }

    /// The source of a chat.
    pub(super) fn of_chat(&self, chat: ChatId) -> &Arc<Source> {
        match self.routes.get(&chat) {
            Some(place) => &self.sources[*place as usize],
            None => &self.sources[0],
        }
    }
}

impl Topology for RoutingTable {
    fn resolve(&self, route: Route) -> &Arc<Source> {
        match route {
            Route::Chat(chat) => self.of_chat(chat),
            Route::Shared => &self.sources[0],
        }
    }

    fn named(&self, name: &str) -> Option<&Arc<Source>> {
        let (default, others) = self.sources.split_first()?;
        if default.name().as_str() == name {
            return Some(default);
        }
        others.binary_search_by(|source| source.name().as_str().cmp(name)).ok().map(|place| &others[place])
    }

    fn every(&self) -> Vec<&Arc<Source>> {
        self.sources.iter().collect()
    }

    fn is_strict(&self) -> bool {
        self.is_strict
    }
}
