//! What is told of files that were put back or brought up to date, as `bot db restore` and `bot db migrate` print it with
//! `--json` and the control socket carries it. The names of fields stay; fields may be added.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use database::maintenance::Restored;

/// What became of a source that was to be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    /// The source.
    pub source: String,
    /// Its file.
    pub path: String,
    /// What was done.
    pub outcome: MigrateOutcome,
    /// The version that it had; null where there was no file, or none that could be read.
    pub from: Option<Versions>,
    /// The version that it has now.
    pub to: Option<Versions>,
    /// Why it failed and what to do; null where it did not.
    pub error: Option<String>,
}

/// The versions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of the schema, as earlier releases know it.
    pub version: i64,
    /// Of what this project adds.
    pub additions: i64,
}

/// What was done about a source's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrateOutcome {
    /// It was brought up to date.
    Migrated,
    /// It was up to date.
    Current,
    /// There is no file yet; a bot makes one that is.
    Absent,
    /// It is only read, and never changed.
    ReadOnly,
    /// It could not be opened.
    Failed,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.additions)
    }
}

impl fmt::Display for MigrateOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Migrated => "migrated",
            Self::Current => "up to date",
            Self::Absent => "absent",
            Self::ReadOnly => "read-only",
            Self::Failed => "failed",
        })
    }
}
