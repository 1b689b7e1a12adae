//! Going over to another configuration while calls are under way: what is not possible, and what has changed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::absence::Absent;
use super::datasource_router::{Current, Plan, RoutingTable};
use super::relocate::holds_any;
use super::standin::can_come_home;
use crate::config::{DatabaseConfig, Form};
use crate::ids::ChatId;
use crate::maintenance::named;
use crate::route::SourceName;

/// How many chats whose route leads elsewhere are looked for where it led before, and for how long.
const MOST_ASKED: usize = 100;
const TO_ASK: Duration = Duration::from_millis(500);

/// What a reload has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The topology's generation now.
    pub generation: u64,
    /// Whether anything is different.
    pub is_none: bool,
    /// The chats whose route leads elsewhere now. Their rows stay where they are.
    pub rerouted: Vec<Rerouted>,
    /// The lines of the mapping that are new and are not followed.
    pub passed_over: Vec<PassedOver>,
    /// The sources that are new.
    pub added: Vec<SourceName>,
    /// The sources that are configured no more.
    pub dropped: Vec<SourceName>,
    /// The sources with other settings than before.
    pub altered: Vec<SourceName>,
}

/// A chat whose route leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rerouted {
    /// The chat.
    pub chat: ChatId,
    /// Where its route led before.
    pub from: SourceName,
    /// Where it leads now.
    pub to: SourceName,
}

/// A line of the mapping that is not followed, since the chat was moved while the line was there, or was there before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PassedOver {
    /// The chat.
    pub chat: ChatId,
    /// Where the line leads.
    pub line: SourceName,
    /// Where the chat is.
    pub home: SourceName,
}

/// Why a configuration cannot be gone over to while the bot runs. Everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The one form cannot become the other.
    #[error("a single file (`path`) cannot take the place of sources while the bot runs; restart it")]
    Form,
    /// The folder of the files is another.
    #[error("`data_dir` cannot change from {} to {} while the bot runs; restart it", from.display(), to.display())]
    DataDir {
        /// What it was.
        from: PathBuf,
        /// What it would be.
        to: PathBuf,
    },
    /// The default source's file is another.
    #[error(
        "the default source's file cannot change from {} to {} while the bot runs, since what belongs to no chat would \
         be left behind; restart the bot, and see `bot db move` for the chats",
        from.display(), to.display()
    )]
    DefaultFile {
        /// What it was.
        from: PathBuf,
        /// What it would be.
        to: PathBuf,
    },
    /// The default source has another name.
    #[error("the default source cannot change from `{from}` to `{to}` while the bot runs; restart it")]
    DefaultName {
        /// What it was called.
        from: SourceName,
        /// What it would be called.
        to: SourceName,
    },
    /// A source goes that a chat was moved to.
    #[error(
        "the source `{name}` cannot go: the chat {chat} was moved there; keep it, or map the chat to another source in \
         [database.chat_mapping]"
    )]
    MovedThere {
        /// The source.
        name: SourceName,
        /// One of the chats.
        chat: ChatId,
    },
    /// The databases were closed.
    #[error("the databases were closed")]
    Closed,
    /// A source goes, or is only read from now on, that is away.
    #[error(
        "the source `{name}` cannot go or become read-only while it is away: what was written in its place waits to come \
         home; mend it first (`bot db status`)"
    )]
    Away {
        /// The source.
        name: SourceName,
    },
}

/// A source goes while its chats are served elsewhere.
fn away_to_nothing(absent: &Absent, next: &DatabaseConfig) -> Option<ReloadError> {
    let name = absent.away.keys().find(|name| can_come_home(next, name).is_none())?;
    Some(ReloadError::Away { name: name.clone() })
}

/// Whether the configuration can be gone over to.
pub(super) fn check(current: &Current, next: &DatabaseConfig) -> Result<(), ReloadError> {
    let Current { plan, absent, .. } = current;
    let now = &plan.config;
    if next.form != Form::Sources {
        return Err(ReloadError::Form);
    }
    if now.data_dir != next.data_dir {
        return Err(ReloadError::DataDir { from: now.data_dir.clone(), to: next.data_dir.clone() });
    }
    if now.default_source != next.default_source {
        return Err(ReloadError::DefaultName { from: now.default_source.clone(), to: next.default_source.clone() });
    }
    let file = |config: &DatabaseConfig| config.sources.get(&config.default_source).map(|source| source.path.clone());
    if let (Some(from), Some(to)) = (file(now), file(next))
        && from != to
    {
        return Err(ReloadError::DefaultFile { from, to });
    }
    moved_to_nothing(plan, next).or_else(|| away_to_nothing(absent, next)).map_or(Ok(()), Err)
}

/// A chat that was moved to a source that the configuration does not have.
pub(super) fn moved_to_nothing(plan: &Plan, next: &DatabaseConfig) -> Option<ReloadError> {
    plan.recorded.iter().find_map(|(chat, moved)| {
        let counts = moved.file_said.includes(next.chat_mapping.get(chat));
        let is_there = next.sources.contains_key(&moved.source);
        (counts && !is_there).then(|| ReloadError::MovedThere { name: moved.source.clone(), chat: *chat })
    })
}

/// Those of these chats that may have left rows behind: of a chat that is new nothing is anywhere. A write that is under
/// way by the table before may be missed. Asks only sources that are open and that no other serves for, and on a thread of
/// its own, so that a disk that does not answer holds up no reload.
pub(super) fn may_have_left_rows(table: Arc<RoutingTable>, rerouted: &[Rerouted]) -> Vec<Rerouted> {
    let all = rerouted.to_vec();
    if all.is_empty() || all.len() > MOST_ASKED {
        return all;
    }
    let (told, answer) = mpsc::channel();
    let (asked, deadline) = (all.clone(), Instant::now() + TO_ASK);
    let ask = move || {
        let may_have = |one: &Rerouted| {
            let place = table.sources.iter().position(|source| *source.name() == one.from && source.is_open());
            // What was written while it was away may not be home yet.
            let from = place.filter(|place| table.away_of(*place).is_none()).map(|place| &table.sources[place]);
            let holds = from.map(|from| from.read_by("reload.holds", deadline, |tx| holds_any(tx, one.chat)));
            !matches!(holds, Some(Ok(false)))
        };
        // Whoever asked may have given up.
        let _ = told.send(asked.into_iter().filter(may_have).collect());
    };
    // Where there is no thread nobody answers.
    let _ = std::thread::Builder::new().name("looks for rows".into()).spawn(ask);
    answer.recv_timeout(TO_ASK).unwrap_or(all)
}

impl Change {
    /// Nothing is different.
    pub(super) fn none(generation: u64) -> Self {
        let (rerouted, passed_over, added, dropped, altered) = Default::default();
        Self { generation, is_none: true, rerouted, passed_over, added, dropped, altered }
    }

    /// What is different between two tables.
    pub(super) fn between(before: &RoutingTable, after: &RoutingTable) -> Self {
        let names = |table: &RoutingTable| -> BTreeSet<SourceName> {
            table.sources.iter().map(|source| source.name().clone()).collect()
        };
        let (were, are) = (names(before), names(after));
        let altered = after
            .sources
            .iter()
            .filter(|source| were.contains(source.name()) && !before.has(source))
            .map(|source| source.name().clone());
        let chats: BTreeSet<ChatId> = before.routes().chain(after.routes()).map(|(chat, _)| chat).collect();
        let rerouted = chats.into_iter().filter_map(|chat| {
            let (from, to) = (before.of_chat(chat).name(), after.of_chat(chat).name());
            (from != to).then(|| Rerouted { chat, from: from.clone(), to: to.clone() })
        });
        Self {
            generation: after.generation,
            is_none: false,
            rerouted: rerouted.collect(),
            passed_over: Vec::new(),
            added: are.difference(&were).cloned().collect(),
            dropped: were.difference(&are).cloned().collect(),
            altered: altered.collect(),
        }
    }

    /// With the lines of the mapping that the configuration before did not have, and that are not followed.
    pub(super) fn noticing(self, before: &DatabaseConfig, plan: &Plan) -> Self {
        let is_new = |one: &PassedOver| before.chat_mapping.get(&one.chat) != Some(&one.line);
        Self { passed_over: plan.all_passed_over().filter(is_new).collect(), ..self }
    }

    /// Writes it to the audit trail, where chats have another source for this reason: their rows are there.
    pub(super) fn tell_cause(&self, cause: &str) {
        if !self.rerouted.is_empty() {
            tracing::info!(target: "database::audit", generation = self.generation, change = %self, "{cause}");
        }
    }

    /// Writes it to the audit trail.
    pub(super) fn tell(&self) {
        if !self.is_none {
            tracing::info!(target: "database::audit", generation = self.generation, change = %self, "the configuration was reloaded");
        }
    }

    /// Warns of the chats that may have left rows behind, which are these, and of lines that are not followed.
    pub(super) fn warn(&self, left: &[Rerouted]) {
        if self.is_none {
            return;
        }
        if !left.is_empty() {
            let chats = named(left.iter().map(|one| format!("{} ({} -> {})", one.chat, one.from, one.to)));
            tracing::warn!(
                chats,
                "chats have another source now, and what they had stays in the old one; `bot db move CHAT --to SOURCE` \
                 brings it along, before anything is written at the new place"
            );
        }
        if !self.passed_over.is_empty() {
            let lines = named(self.passed_over.iter().map(|one| format!("{} -> {}", one.chat, one.line)));
            tracing::warn!(
                lines,
                "lines of [database.chat_mapping] are not followed, since the chats were moved elsewhere when the file said \
                 the same; `bot db move CHAT --to SOURCE` makes it so"
            );
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none {
            return f.write_str("nothing is different");
        }
        let mut parts = Vec::new();
        for (what, names) in
            [("new source", &self.added), ("dropped source", &self.dropped), ("altered source", &self.altered)]
        {
            parts.extend(names.iter().map(|name| format!("{what} {name}")));
        }
        let chats = self.rerouted.iter().map(|Rerouted { chat, from, to }| format!("chat {chat}: {from} -> {to}"));
        parts.extend(chats);
        if parts.is_empty() { f.write_str("no chat's route is different") } else { f.write_str(&parts.join(", ")) }
    }
}
