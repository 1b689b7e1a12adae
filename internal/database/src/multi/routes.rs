//! Where each chat is said to live: by the configuration, by moves, and by what a supergroup was before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::datasource_router::DataSourceRouter;
use super::places::Places;
use super::reload::PassedOver;
use super::said::Said;
use crate::config::DatabaseConfig;
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{Source, SourceConfig};

/// A route that a move recorded. It outranks the configuration's for as long as that says what it said then, or at a move
/// of the chat before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Where the chat was moved.
    pub(crate) source: SourceName,
    /// What the configuration said of the chat at its moves.
    pub(crate) file_said: Said,
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

/// The chats that live elsewhere than in the default source.
pub(super) struct Routes {
    /// By their source's place: among the table's sources, and after these among `nowhere`.
    pub(super) places: Places,
    /// Sources that chats are led to and that are not configured: their calls fail.
    pub(super) nowhere: Vec<Arc<Source>>,
}

impl Plan {
    /// Where a chat was moved, where that counts: the configuration says what it said at one of its moves.
    pub(super) fn moved(&self, chat: ChatId) -> Option<&SourceName> {
        let moved = self.recorded.get(&chat)?;
        moved.file_said.includes(self.config.chat_mapping.get(&chat)).then_some(&moved.source)
    }

    /// Where the mapping's line of a chat leads, where that is not followed: the chat was moved elsewhere, and the
    /// configuration says what it said then.
    pub(super) fn passed_over(&self, chat: ChatId) -> Option<&SourceName> {
        let home = self.moved(chat)?;
        self.config.chat_mapping.get(&chat).filter(|line| *line != home)
    }

    /// All lines of the mapping that are not followed.
    pub(super) fn all_passed_over(&self) -> impl Iterator<Item = PassedOver> + '_ {
        self.recorded.iter().filter_map(|(chat, moved)| {
            let line = self.passed_over(*chat)?.clone();
            Some(PassedOver { chat: *chat, line, home: moved.source.clone() })
        })
    }

    /// The chats that were moved to a source by name where the configuration alone would not lead them, and of which it says
    /// nothing.
    pub(super) fn unsaid<'a>(
        &'a self,
        aliases: &'a HashMap<ChatId, ChatId>,
    ) -> impl Iterator<Item = (ChatId, &'a SourceName)> + 'a {
        let unsaid = |chat: &ChatId| !self.config.chat_mapping.contains_key(chat);
        self.recorded.keys().copied().filter(unsaid).filter_map(|chat| {
            let home = self.moved(chat)?;
            let inherited = aliases.get(&chat).and_then(|old| Plan::route(self, *old, &HashMap::new()));
            let led = inherited.map_or(&self.config.default_source, |(name, _)| name);
            let is_told = home != led && *home != self.config.default_source && self.config.sources.contains_key(home);
            is_told.then_some((chat, home))
        })
    }

    /// Where a chat is said to live, and why; `None` where nothing is said of it.
    pub(super) fn route(&self, chat: ChatId, aliases: &HashMap<ChatId, ChatId>) -> Option<(&SourceName, Why)> {
        if let Some(name) = self.moved(chat) {
            let is_mapped = self.config.chat_mapping.get(&chat) == Some(name);
            return Some((name, if is_mapped { Why::Mapped } else { Why::Moved }));
        }
        if let Some(name) = self.config.chat_mapping.get(&chat) {
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
    pub(super) fn routes(&self, sources: &[Arc<Source>], aliases: &HashMap<ChatId, ChatId>) -> Routes {
        let mut named: HashMap<&SourceName, u32> = sources.iter().map(|source| source.name()).zip(0..).collect();
        let (mut routes, mut nowhere) = (Vec::new(), Vec::new());
        for chat in self.chats(aliases) {
            let Some((name, _)) = self.route(chat, aliases) else { continue };
            let next = named.len() as u32;
            let place = *named.entry(name).or_insert_with(|| {
                nowhere.push(self.not_configured(name));
                next
            });
            routes.push((chat, place));
        }
        let mut places = Places::with_capacity(routes.len(), named.len());
        routes.into_iter().for_each(|(chat, place)| places.insert(chat, place));
        Routes { places, nowhere }
    }

    /// Earlier routes with those of some chats looked up anew; `None` where one leads to a source that is not there, or there
    /// is no room for so many.
    pub(super) fn altered(
        &self,
        before: &Routes,
        sources: &[Arc<Source>],
        aliases: &HashMap<ChatId, ChatId>,
        chats: &[ChatId],
    ) -> Option<Routes> {
        let mut places = before.places.clone();
        let inheriting = aliases.iter().filter(|(_, old)| chats.contains(old)).map(|(new, _)| new);
        for chat in chats.iter().chain(inheriting) {
            match self.route(*chat, aliases) {
                None => places.remove(*chat),
                Some((name, _)) => {
                    let place = sources.iter().position(|source| source.name() == name)?;
                    places.insert(*chat, u32::try_from(place).ok()?);
                }
            }
        }
        (!places.is_crowded()).then(|| Routes { places, nowhere: before.nowhere.clone() })
    }

    /// What stands for a source that a chat was moved to and that is not configured: never the default one.
    fn not_configured(&self, name: &SourceName) -> Arc<Source> {
        let reason = "a chat was moved to it, and it is not configured any more; configure it again, or map the chat to \
                      another source in [database.chat_mapping]";
        let config = SourceConfig { name: name.clone(), ..SourceConfig::new(&self.config.data_dir) };
        Arc::new(Source::refusing(config, reason.to_owned()))
    }
}

impl DataSourceRouter {
    /// Goes over to the routes that a move has recorded (`None`: the record is gone). Earlier tables are
    /// of no use for them from then on.
    pub(super) fn record(&self, routes: &[(ChatId, Option<Recorded>)]) {
        let mut current = self.current.lock();
        for (chat, route) in routes {
            match route {
                Some(route) => current.plan.recorded.insert(*chat, route.clone()),
                None => current.plan.recorded.remove(chat),
            };
        }
        let before = self.table.load_full();
        let weak = Arc::downgrade(&before);
        let aliases = self.aliases.all();
        let chats: Vec<_> = routes.iter().map(|(chat, _)| *chat).collect();
        // Of a million routes these are the ones that differ; calls may be waiting.
        let altered = (current.aliases == aliases && !current.is_closed)
            .then(|| current.plan.altered(&before.routes, &before.sources, &aliases, &chats))
            .flatten();
        let generation = match altered {
            Some(routes) => {
                self.arrived.settle(&current.plan, &aliases);
                let (sources, generation) = (before.sources.clone(), before.generation + 1);
                drop(before);
                self.put(generation, sources, Arc::new(routes), &current).generation
            }
            None => {
                drop(before);
                self.swap(&mut current).generation
            }
        };
        // Before anybody can be late.
        self.gates.left(&chats, generation, &weak);
    }
}
