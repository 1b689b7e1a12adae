//! The settings of one source, as plain values.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::route::SourceName;

/// One source: a database and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// What the source is called.
    pub name: SourceName,
    /// The database file. Created where it is missing, readable by its owner only.
    pub path: PathBuf,
    /// How long one call may take at most: waiting for its turn, waiting for locks and running, all together.
    pub timeout: Duration,
    /// How many connections are open at most: one writer, the others readers. At least 2.
    pub max_connections: usize,
    /// What an answered write survives.
    pub durability: Durability,
    /// Whether it is only read.
    pub readonly: bool,
    /// How its chats are served while it is down.
    pub on_unavailable: OnUnavailable,
}

/// How the chats of a source are served while it is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// From a stand-in database of their own.
    #[default]
    StandIn,
    /// By the default source.
    Default,
    /// Not at all: each call fails at once.
    Fail,
}

/// What an answered write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A power loss (`synchronous=FULL`).
    #[default]
    Full,
    /// A crash of the program (`synchronous=NORMAL`).
    Normal,
}

impl SourceConfig {
    /// The default for `timeout`.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// The default for `max_connections`.
    pub const DEFAULT_MAX_CONNECTIONS: usize = 5;
    /// The shortest and the longest `timeout`.
    pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
    /// The fewest and the most connections.
    pub const CONNECTIONS: RangeInclusive<usize> = 2..=1000;

    /// A file with the default settings, called `primary`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            name: SourceName::primary(),
            path: path.into(),
            timeout: Self::DEFAULT_TIMEOUT,
            max_connections: Self::DEFAULT_MAX_CONNECTIONS,
            durability: Durability::default(),
            readonly: false,
            on_unavailable: OnUnavailable::default(),
        }
    }
}
