//! What is told of the databases, as `bot db --json` prints it and the control socket carries it. The names of fields and
//! the words of states stay; fields may be added.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use database::{ChatId, Contents, Found, Health, Look, SourceName, SourceStatus, Timestamp};
use serde::{Deserialize, Serialize};

use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;

/// All databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Whether a bot told it; otherwise it is what the files show.
    pub running: bool,
    /// The process that is in charge, where one is known.
    pub process: Option<u32>,
    /// The folder of the files.
    pub data_dir: String,
    /// The configuration files, in order; none where all is built in.
    pub configuration: Vec<String>,
    /// Counts the topologies since the start, from 1; null where no bot told.
    pub generation: Option<u64>,
    /// What became of the last change of the configuration; null where there was none.
    pub last_reload: Option<ReloadReport>,
    /// The sources, the default one first, the others by name.
    pub sources: Vec<SourceReport>,
    /// Files that hold writes of sources which are not configured any more.
    #[serde(default)]
    pub ownerless: Vec<Ownerless>,
    /// The chats that files contradict each other about, and whose calls fail.
    #[serde(default)]
    pub disputed: Vec<Disputed>,
    /// What has happened to sources since the start; null where no bot told, or there are no sources by name.
    #[serde(default)]
    pub counts: Option<Counts>,
}

/// A chat that files contradict each other about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disputed {
    /// The chat.
    pub chat: i64,
    /// What they say, and what settles it.
    pub reason: String,
}

/// What has happened to sources since the start, counted: each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How often a source went away so that another served its chats.
    pub outages: u64,
    /// How often a source that had failed was looked at.
    pub looks: u64,
    /// How often a source's chats came home.
    pub returns: u64,
    /// How many writes were brought home.
    pub writes_made: u64,
    /// How many of them could not be made there, and were kept aside.
    pub writes_parked: u64,
}

impl Counts {
    /// The counts for people, once a source's chats were served elsewhere.
    pub fn told(&self) -> Option<String> {
        let Self { outages, returns, writes_made, writes_parked, .. } = *self;
        let outages = counted(outages, "outage", "outages");
        let (returns, writes) = (counted(returns, "return", "returns"), counted(writes_made, "write", "writes"));
        let aside = if writes_parked > 0 {
            format!(", {} of them kept aside", thousands(writes_parked))
        } else {
            String::new()
        };
        let is_news = self.outages + self.returns > 0;
        is_news.then(|| format!("Since the start: {outages}, {returns}; {writes} brought home{aside}."))
    }
}

/// A file that stood in for a source which is not configured any more, or only read by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownerless {
    /// The source.
    pub source: String,
    /// The file.
    pub path: String,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// What it is called.
    pub name: String,
    /// Its file, absolute.
    pub path: String,
    /// Whether it has everything that is mapped nowhere.
    pub default: bool,
    /// Whether it is only read.
    pub read_only: bool,
    /// How it is.
    pub state: State,
    /// Why it cannot be used, or opened, and what to do; null where nothing is to be mended.
    pub reason: Option<String>,
    /// Why it is closed where nothing is to be mended; null where it is not, or where no bot told.
    #[serde(default)]
    pub why_closed: Option<String>,
    /// Since when it cannot be used, or its chats are served elsewhere (UTC); null where neither is so, or where no bot
    /// told.
    pub since: Option<String>,
    /// Who serves its chats while it is away, or until they are home again; null where it does itself, or where its calls
    /// fail.
    pub served_by: Option<ServedBy>,
    /// How many writes wait for it to come back; null where what holds them could not be read.
    pub waiting: Option<u64>,
    /// Why what holds them could not be read, and what to do; null where it could, or did not answer.
    #[serde(default)]
    pub waiting_reason: Option<String>,
    /// How many writes were kept aside, since they could not be made there; null where it was not read.
    pub parked: Option<u64>,
    /// How many bytes its file has, its log included; null where it cannot be looked at.
    pub bytes: Option<u64>,
    /// How many chats are routed to it by name.
    pub routed: u64,
    /// The connections to it; null where no bot told.
    pub connections: Option<Connections>,
    /// How many chats its file knows; null where the file was not read.
    pub chats: Option<u64>,
    /// The version of its schema, as earlier releases know it; null where the file was not read, or is not open.
    pub version: Option<i64>,
    /// What the file alone is called; null where the file was not read, is not open or has none yet.
    pub uuid: Option<String>,
}

/// Who serves the chats of a source that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedBy {
    /// A database of their own.
    StandIn,
    /// The default source.
    Default,
}

/// How many connections are open, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Open now.
    pub open: usize,
    /// At most.
    pub most: usize,
}

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A bot has it open.
    Open,
    /// A bot has not needed it yet, needed the room for others, or found it locked when it needed it last.
    Closed,
    /// A bot is opening it.
    Opening,
    /// A bot cannot open it.
    Unavailable,
    /// A bot has it open again, and brings home what was written elsewhere; until then its chats are served there.
    Returning,
    /// No bot told; the file can be used.
    Readable,
    /// No bot told; there is no file yet, and a bot would make it.
    Absent,
    /// No bot told; the file cannot be used, or was not read.
    Unusable,
}

/// Where a chat lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// Whether a bot told it; otherwise it is what the configuration and the files say.
    pub running: bool,
    /// The chat.
    pub chat: i64,
    /// The source that its rows are in.
    pub source: String,
    /// What leads it there.
    pub why: Why,
    /// The group that the chat was before, where `why` is `inherited`.
    pub inherited_from: Option<i64>,
    /// `false` where moves and former groups could not be looked up, so that only the configuration counts.
    pub certain: bool,
    /// Where its line of [database.chat_mapping] leads, where that is not followed, since it was moved elsewhere; null
    /// where it is, or where there is none.
    #[serde(default)]
    pub not_followed: Option<String>,
    /// Why its calls fail, where files contradict each other about where it is, and what settles it; null where they do
    /// not.
    #[serde(default)]
    pub disputed: Option<String>,
}

/// What leads a chat to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The configuration maps it.
    Mapped,
    /// It was moved there.
    Moved,
    /// It goes on with the group that it was before.
    Inherited,
    /// Nothing is said of it, so it is in the default source.
    Default,
    /// There is one database file.
    Only,
}

/// What became of a configuration that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// When (UTC).
    pub at: String,
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// Why it was refused; null where it was not.
    pub reason: Option<String>,
    /// Whether something changed that only a restart brings into force.
    pub restart_needed: bool,
}

/// Whether a configuration came into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// It is in force.
    Applied,
    /// It says what is in force already.
    Unchanged,
    /// It is not; what was in force stays.
    Refused,
}

impl SourceReport {
    /// A source that a bot has.
    pub fn of(source: &SourceStatus, default: bool, routed: u64) -> Self {
        let (state, reason, since) = match &source.health {
            Health::Open => (State::Open, None, None),
            Health::Opening => (State::Opening, None, None),
            Health::Unavailable { reason, since } => (State::Unavailable, Some(reason.clone()), moment(*since)),
            _ => (State::Closed, None, None),
        };
        let (open, most) = source.connections;
        Self {
            name: source.name.to_string(),
            path: source.path.display().to_string(),
            default,
            read_only: source.readonly,
            state,
            reason,
            why_closed: None,
            since,
            served_by: None,
            waiting: None,
            waiting_reason: None,
            parked: None,
            bytes: source.bytes,
            routed,
            connections: Some(Connections { open, most }),
            chats: None,
            version: None,
            uuid: None,
        }
    }

    /// The same while its chats are served elsewhere, since that moment.
    #[must_use]
    pub fn served_by(self, by: ServedBy, since: SystemTime) -> Self {
        let state = if self.state == State::Open { State::Returning } else { self.state };
        let since = self.since.clone().or_else(|| moment(since));
        Self { state, since, served_by: Some(by), ..self }
    }

    /// What is to be known of its writes that are not at home, in sentences; empty where nothing is.
    pub fn of_writes(&self) -> String {
        let writes = |count: u64| counted(count, "write", "writes");
        let mut sentences = Vec::new();
        if let Some(by) = self.served_by {
            let wait = match (self.waiting, &self.waiting_reason) {
                (Some(1), _) => "1 write waits to come home".to_owned(),
                (Some(waiting), _) => format!("{} wait to come home", writes(waiting)),
                (None, Some(reason)) => format!("what waits cannot be read: {}", sanitize_line(reason)),
                (None, None) => "what waits cannot be read".to_owned(),
            };
            sentences.push(format!("Its chats are served by {by}; {wait}."));
        }
        if let Some(parked) = self.parked.filter(|parked| *parked > 0) {
            sentences.push(format!(
                "Kept aside: {} that could not be made; see `bot db journal {}`.",
                writes(parked),
                self.name
            ));
        }
        sentences.join(" ")
    }

    /// A source as its file shows it.
    pub fn of_file(name: &str, look: Look, read_only: bool, default: bool, routed: u64) -> Self {
        let (state, reason, contents) = match look.found {
            Found::Database(contents) => (State::Readable, None, Some(contents)),
            Found::Nothing => (State::Absent, None, None),
            Found::Unusable { reason } => (State::Unusable, Some(reason), None),
            _ => (State::Unusable, None, None),
        };
        let (chats, version, uuid) = contents.map_or((None, None, None), |contents| {
            let Contents { chats, version, uuid, .. } = contents;
            (Some(chats), Some(version), uuid)
        });
        Self {
            name: name.to_owned(),
            path: look.path.display().to_string(),
            default,
            read_only,
            state,
            reason,
            why_closed: None,
            since: None,
            served_by: None,
            waiting: None,
            waiting_reason: None,
            parked: None,
            bytes: look.bytes,
            routed,
            connections: None,
            chats,
            version,
            uuid,
        }
    }
}

impl RouteReport {
    /// Where every chat is where there is one file.
    pub fn only(chat: ChatId, source: &SourceName) -> Self {
        let source = source.to_string();
        Self {
            running: false,
            chat: chat.0,
            source,
            why: Why::Only,
            inherited_from: None,
            certain: true,
            not_followed: None,
            disputed: None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Opening => "opening",
            Self::Unavailable => "unavailable",
            Self::Returning => "returning",
            Self::Readable => "readable",
            Self::Absent => "absent",
            Self::Unusable => "unusable",
        })
    }
}

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StandIn => "a stand-in",
            Self::Default => "the default source",
        })
    }
}

impl fmt::Display for ReloadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Unchanged => "without effect",
            Self::Refused => "refused",
        })
    }
}

impl fmt::Display for RouteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, source, why, inherited_from, certain, not_followed, disputed, .. } = self;
        write!(f, "Chat {chat} is in {source}: ")?;
        match why {
            Why::Mapped => f.write_str("[database.chat_mapping] says so")?,
            Why::Moved => f.write_str("it was moved there")?,
            Why::Inherited => match inherited_from {
                Some(old) => write!(f, "it goes on with the group {old}, which is there")?,
                None => f.write_str("it goes on with a group that is there")?,
            },
            Why::Default => f.write_str("it is mapped nowhere, and that is the default source")?,
            Why::Only => f.write_str("there is one database")?,
        }
        if !certain {
            f.write_str(" (by the configuration alone: what the default source knows of moves could not be read)")?;
        }
        if let Some(line) = not_followed {
            write!(
                f,
                ", and its line `{chat} = \"{line}\"` in [database.chat_mapping], which said the same then, is not followed; \
                 `bot db move {chat} --to {line}` moves it to where that leads"
            )?;
        }
        if let Some(reason) = disputed {
            write!(f, "; its calls fail, since {reason}")?;
        }
        Ok(())
    }
}

/// A moment as text, in whole seconds.
fn moment(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Timestamp::from_unix_seconds(i64::try_from(seconds).ok()?).ok().map(|moment| moment.to_string())
}
