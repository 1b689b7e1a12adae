//! What is told of writes that wait or were kept aside, and of rows in files that do not own them, as `bot db journal`
//! and `bot db strays` print it with `--json` and the control socket carries it. The names of fields stay; fields may be
//! added.

use serde::{Deserialize, Serialize};

/// The writes that wait for sources to come back, and those that were kept aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalReport {
    /// Whether a bot told it; otherwise it is what the files show.
    pub running: bool,
    /// How many there are, source by source; only of sources that have any.
    pub counts: Vec<JournalCounts>,
    /// The writes, source by source: those that wait in their order, then those that were kept aside.
    pub entries: Vec<JournalEntry>,
    /// The sources of which not everything could be read.
    pub missing: Vec<Lacking>,
}

/// How many writes of a source there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCounts {
    /// The source.
    pub source: String,
    /// How many wait.
    pub waiting: u64,
    /// How many were kept aside.
    pub parked: u64,
}

/// One write, without what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The source that it belongs to.
    pub source: String,
    /// What it is called among those of the source.
    pub id: String,
    /// The method that wrote; empty where the entry cannot be read.
    pub op: String,
    /// The chat; null where it is about none.
    pub chat: Option<i64>,
    /// The latest moment among what was written (UTC); null where there is none.
    pub at: Option<String>,
    /// Why it was kept aside; null where it waits.
    pub reason: Option<String>,
}

/// A source of which something is lacking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// The source.
    pub source: String,
    /// What is lacking, and why.
    pub reason: String,
}

/// What came of dealing with writes that were kept aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledReport {
    /// The source.
    pub source: String,
    /// How many were made, or given up.
    pub settled: u64,
    /// Those that still cannot be made.
    pub still: Vec<JournalEntry>,
}

/// A stand-in that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideReport {
    /// The source.
    pub source: String,
    /// What its file is called now; null where there was none.
    pub file: Option<String>,
}

/// Rows of chats in files that do not own them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StraysReport {
    /// Whether a bot told it; otherwise it is what the files show, or was done without one.
    pub running: bool,
    /// Whether they were to be deleted.
    pub cleared: bool,
    /// Where there are any, by source, chat and table.
    pub strays: Vec<Stray>,
    /// The moves that are not at their end and have left some of them.
    #[serde(default)]
    pub unfinished: Vec<Unfinished>,
    /// The sources that could not be read.
    pub missing: Vec<Lacking>,
}

/// Rows of a chat in a table of a source that is not the chat's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The source that has them.
    pub source: String,
    /// The chat.
    pub chat: i64,
    /// The source that the chat lives in.
    pub home: String,
    /// The table.
    pub table: String,
    /// How many there are, or were before some were deleted.
    pub rows: u64,
    /// How many were deleted.
    pub deleted: u64,
    /// How many stay, since home does not have them.
    pub only_here: u64,
    /// How many stay, since home has them otherwise.
    pub different: u64,
    /// What stays first, or why all do; null where none does, or nothing was to be deleted.
    pub why: Option<String>,
}

/// A move that is not at its end, with the rows that it has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The source that has the rows.
    pub source: String,
    /// The chat.
    pub chat: i64,
    /// What the rows are.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
}

/// Which rows in files that do not own them are deleted, besides those that are the same at home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clearing {
    /// Those too that home has otherwise.
    pub different: bool,
    /// Those of this chat, and of no other: also those that home lacks.
    pub only_here: Option<i64>,
}

/// What is done with writes that were kept aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// All of a source are made again.
    Retry,
    /// The one of this id is given up.
    Drop(String),
}

impl StraysReport {
    /// Whether all that was asked for is done and known.
    pub fn is_whole(&self) -> bool {
        let stays = |stray: &Stray| stray.deleted < stray.rows;
        self.missing.is_empty() && !(self.cleared && self.strays.iter().any(stays))
    }
}
