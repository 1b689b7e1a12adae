//! Many databases as their files show them while no bot runs. Nothing is opened for writing, made or left behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, absolute};
use std::sync::{Arc, Weak};

use super::arrived::{disputed, read_arrivals, read_counted};
use super::datasource_router::{Plan, Why};
use super::identity::NamedOpener;
use super::identity_default::admit_default;
use super::journal_report::look_at_journal;
use super::registry::{Registry, read_entries, read_recorded};
use super::reload::PassedOver;
use super::standin::ServedBy;
use super::standin_files;
use crate::config::DatabaseConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{Facts, Found, Look, OpenError, ReadTx, Seen, SourceConfig, can_be_made, folder_of, look_closer};
use crate::store::read_aliases;
use crate::time::{Clock, SystemClock};

/// Many databases as their files show them.
pub struct Overview {
    /// The sources, the default one first, the others by name.
    pub sources: Vec<SourceLook>,
    /// Whether the default source could be asked where chats were moved and which became supergroups. Where it could
    /// not, routes are what the configuration alone says.
    pub is_complete: bool,
    /// The chats that files contradict each other about: why, and what settles it.
    pub disputed: BTreeMap<ChatId, String>,
    pub(super) plan: Plan,
    pub(super) aliases: HashMap<ChatId, ChatId>,
}

/// A source as its file shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLook {
    /// What it is called.
    pub name: SourceName,
    /// Its file. One that is not the source's own is unusable, as it would be for a bot.
    pub look: Look,
    /// Why its file, which is not there yet, cannot be made; `None` where it is there, or can be.
    pub why_not_made: Option<String>,
    /// Whether it is only read.
    pub readonly: bool,
    /// Whether it has everything that is mapped nowhere.
    pub is_default: bool,
    /// How many chats are routed to it by name.
    pub chats: usize,
    /// Who serves its chats when a bot is started, until it is home again; `None` where it does itself.
    pub served_by: Option<ServedBy>,
    /// How many writes wait for it; `None` where what holds them cannot be read.
    pub waiting: Option<u64>,
    /// Why what holds them cannot be read; `None` where it can.
    pub waiting_reason: Option<String>,
    /// How many writes were kept aside there; `None` where it was not read.
    pub parked: Option<u64>,
}

/// What the default source knows of the others.
#[derive(Default)]
struct Memory {
    entries: Vec<super::registry::Entry>,
    recorded: Vec<(ChatId, String, Option<String>)>,
    aliases: HashMap<ChatId, ChatId>,
    counted: BTreeMap<ChatId, u64>,
}

/// Looks at all files of a configuration without changing anything.
pub fn look(config: &DatabaseConfig) -> Overview {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let registry = Arc::new(Registry::new(config, Arc::clone(&clock)));
    let opener = NamedOpener::new(&registry, &clock, Weak::new());
    let (defaults, others): (Vec<_>, Vec<_>) =
        config.sources.values().partition(|source| source.name == config.default_source);
    let default = defaults.first().map(|source| (*source, look_closer(source)));
    // Each connection is closed before the next is opened.
    let mut arrivals = HashMap::new();
    let mut facts_of = |source: &SourceConfig| {
        let seen = look_closer(source);
        if let Some(Ok(marks)) = seen.read("look.arrivals", read_arrivals) {
            arrivals.insert(source.name.clone(), marks);
        }
        seen.into_facts()
    };
    let others: Vec<_> = others.into_iter().map(|source| (source, facts_of(source))).collect();
    let marked = others.iter().filter_map(|(source, (_, facts))| match facts {
        Some(Facts::File(identity, _)) => Some((source.name.clone(), identity.installation.clone()?)),
        _ => None,
    });
    registry.set_place(super::lock::mark_in(&config.data_dir));
    let mut sources = Vec::new();
    let mut memory = Err(unknown(&config.default_source));
    if let Some((source, seen)) = default {
        let admitted = seen
            .facts
            .as_ref()
            .map(|facts| admit_default(source, facts, None, &registry.default_before(), || marked.collect()).map(drop));
        // What another file remembers is not of these sources.
        if matches!(admitted, Some(Ok(()))) {
            memory = remembered(&seen, &source.name);
        }
        if let Some(Facts::File(identity, _)) = &seen.facts {
            registry.set_default(&source.name, identity);
        }
        sources.push(judged(source, seen.look, admitted, true));
    }
    let is_complete = memory.is_ok();
    let (entries, recorded, aliases, counted) = match memory {
        Ok(Memory { entries, recorded, aliases, counted }) => (Ok(entries), recorded, aliases, Some(counted)),
        Err(error) => (Err(error), Vec::new(), HashMap::new(), None),
    };
    for (source, (look, facts)) in others {
        let admitted = facts.as_ref().map(|facts| opener.admit(source, &entries, facts));
        sources.push(judged(source, look, admitted, false));
    }
    let plan = Plan { config: config.clone(), recorded: Registry::recorded(recorded) };
    let disputes = counted.map(|counted| disputed(&plan, &aliases, &counted, &arrivals)).unwrap_or_default();
    let disputed = disputes.into_iter().map(|(chat, dispute)| (chat, dispute.reason(chat))).collect();
    let mut overview = Overview { sources, is_complete, disputed, plan, aliases };
    overview.count();
    for source in &mut overview.sources {
        source.why_not_made = why_not_made(&source.look, &config.data_dir);
    }
    note_journals(&mut overview.sources, config);
    overview
}

/// The chats that are led to a source by name at this moment; `None` where the default source cannot be asked.
pub(super) fn homes_now(config: &DatabaseConfig) -> Option<BTreeMap<ChatId, SourceName>> {
    let default = config.sources.get(&config.default_source)?;
    let Memory { recorded, aliases, .. } = remembered(&look_closer(default), &default.name).ok()?;
    let plan = Plan { config: config.clone(), recorded: Registry::recorded(recorded) };
    Some(homes(&plan, &aliases))
}

fn homes(plan: &Plan, aliases: &HashMap<ChatId, ChatId>) -> BTreeMap<ChatId, SourceName> {
    let chats: BTreeSet<ChatId> = plan.chats(aliases).collect();
    chats.into_iter().filter_map(|chat| Some((chat, plan.route(chat, aliases)?.0.clone()))).collect()
}

impl Overview {
    /// Where a chat would live, and why.
    pub fn explain(&self, chat: ChatId) -> (SourceName, Why) {
        match self.plan.route(chat, &self.aliases) {
            Some((name, why)) => (name.clone(), why),
            None => (self.plan.config.default_source.clone(), Why::Default),
        }
    }

    /// Where a chat's line of the mapping leads, where that is not followed: it was moved elsewhere since.
    pub fn passed_over(&self, chat: ChatId) -> Option<&SourceName> {
        self.plan.passed_over(chat)
    }

    /// All lines of the mapping that are not followed.
    pub(super) fn all_passed_over(&self) -> impl Iterator<Item = PassedOver> + '_ {
        self.plan.all_passed_over()
    }

    /// The chats that were moved, and of which the configuration says nothing, with where they are.
    pub(super) fn unsaid(&self) -> impl Iterator<Item = (ChatId, &SourceName)> + '_ {
        self.plan.unsaid(&self.aliases)
    }

    /// The chats that are led to a source by name.
    pub(super) fn homes(&self) -> BTreeMap<ChatId, SourceName> {
        homes(&self.plan, &self.aliases)
    }

    fn count(&mut self) {
        let chats: BTreeSet<ChatId> = self.plan.chats(&self.aliases).collect();
        let mut counts: BTreeMap<SourceName, usize> = BTreeMap::new();
        for (name, _) in chats.into_iter().filter_map(|chat| self.plan.route(chat, &self.aliases)) {
            *counts.entry(name.clone()).or_default() += 1;
        }
        for source in &mut self.sources {
            source.chats = counts.get(&source.name).copied().unwrap_or_default();
        }
    }
}

/// What the default source's file remembers.
fn remembered(seen: &Seen, name: &SourceName) -> Result<Memory> {
    let read = |tx: &ReadTx<'_>| {
        tx.snapshot()?;
        // A file of an earlier release, or of an earlier step of this one, remembers nothing yet.
        if !tx.has_table("switchyard_sources")? {
            return Ok(Memory::default());
        }
        Ok(Memory {
            entries: read_entries(tx)?,
            recorded: read_recorded(tx)?,
            aliases: read_aliases(tx)?,
            counted: read_counted(tx)?,
        })
    };
    match (&seen.look.found, seen.read("look.remembered", read)) {
        (Found::Nothing, _) => Ok(Memory::default()),
        (_, Some(memory)) => memory,
        (_, None) => Err(unknown(name)),
    }
}

fn unknown(name: &SourceName) -> Error {
    let reason = "its file was not read".to_owned();
    Error::new("look.remembered", name, ErrorKind::SourceUnavailable { reason })
}

fn judged(
    source: &SourceConfig,
    mut look: Look,
    admitted: Option<Result<(), OpenError>>,
    is_default: bool,
) -> SourceLook {
    if let Some(Err(refusal)) = admitted {
        look.found = Found::Unusable { reason: refusal.to_string() };
    }
    let (why_not_made, served_by, waiting, waiting_reason, parked) = Default::default();
    SourceLook {
        name: source.name.clone(),
        look,
        why_not_made,
        readonly: source.readonly,
        is_default,
        chats: 0,
        served_by,
        waiting,
        waiting_reason,
        parked,
    }
}

/// Why a file that is not there yet cannot be made. (The data folder is made by a bot that is started.)
fn why_not_made(look: &Look, data_dir: &Path) -> Option<String> {
    let folder = folder_of(&look.path);
    let is_to_come = !folder.is_dir() && absolute(data_dir).is_ok_and(|data_dir| data_dir.starts_with(&folder));
    let is_asked = look.found == Found::Nothing && !is_to_come;
    is_asked.then(|| can_be_made(&look.path).err()).flatten().map(|error| error.to_string())
}

/// Notes what waits for the sources and what was kept aside there.
fn note_journals(sources: &mut [SourceLook], config: &DatabaseConfig) {
    let journal = look_at_journal(config, None, 0);
    let stand_ins = standin_files::all(config);
    for source in sources {
        let (waiting, parked) = journal.counts.get(&source.name).copied().unwrap_or_default();
        let has_stand_in = stand_ins.iter().any(|(name, _)| *name == source.name);
        source.served_by = match (has_stand_in, waiting) {
            (true, _) => Some(ServedBy::StandIn),
            (false, 0) => None,
            (false, _) => Some(ServedBy::Default),
        };
        source.waiting_reason = journal.unread.get(&source.name).cloned();
        source.waiting = source.waiting_reason.is_none().then_some(waiting);
        source.parked = matches!(source.look.found, Found::Database(_)).then_some(parked);
    }
}
