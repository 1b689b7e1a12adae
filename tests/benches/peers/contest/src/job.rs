//! What a host is asked to do, and what it answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One run of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Who runs.
    pub contender: String,
    /// What is done.
    pub work: Work,
    /// What an answered write survives.
    pub durability: Durability,
    /// How many callers there are at a time.
    pub callers: usize,
    /// How many connections the contender may open.
    pub connections: usize,
    /// The database file, or the folder of the files where there are several. It is there already.
    pub path: PathBuf,
    /// How long it runs before it is measured.
    pub warm_ms: u64,
    /// How long it is measured.
    pub measure_ms: u64,
    /// How long a caller does something else between two calls, in microseconds.
    pub pause_us: u64,
    /// Where given: so many calls a caller, without a clock, for counting instructions.
    pub calls: Option<usize>,
    /// How many messages each chat has before the run.
    pub stored: u64,
    /// How many rows a batch has, or how many databases there are.
    pub size: u64,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Store a message and count it: one insert, two upserts, one update, in one transaction.
    Save,
    /// Read one setting of a chat.
    Setting,
    /// Read one message with its author and its attachment.
    Message,
    /// Read the last 50 messages of a chat.
    Newest,
    /// Store history in batches; a call is a batch, and rows are what is counted.
    Import,
    /// Read from ten databases at once, or from one after the other.
    Cross,
    /// Many tasks at random chats, each chat in a database of its own.
    Many,
}

/// What an answered write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A power loss.
    Full,
    /// A crash of the program.
    Normal,
}

impl Durability {
    /// The value of `PRAGMA synchronous`.
    pub fn synchronous(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Calls that ended well while it was measured (rows, in an import).
    pub ops: u64,
    /// How long that was, in nanoseconds.
    pub nanos: u64,
    /// Processor time of the whole process meanwhile, in nanoseconds: the same however busy the machine is otherwise.
    pub cpu: u64,
    /// The time of a call: half of them were faster.
    pub p50: u64,
    /// 99 of 100 were faster.
    pub p99: u64,
    /// The same, had every caller gone on calling at its share of the rate while it was kept waiting in a call: corrected
    /// for coordinated omission, as `HdrHistogram` does it (`copyCorrectedForCoordinatedOmission`).
    pub p99_corrected: u64,
    /// The slowest.
    pub max: u64,
    /// Calls that failed because the database was locked.
    pub busy: u64,
    /// Calls that failed otherwise.
    pub failed: u64,
    /// What the first failure said.
    pub first_failure: Option<String>,
    /// Writes that were answered, before and while it was measured.
    pub acknowledged: u64,
    /// The version of SQLite.
    pub sqlite: String,
    /// Resident memory in bytes after a tenth of the run, and at its end.
    pub memory: Option<(u64, u64)>,
}

impl Outcome {
    /// Calls in a second.
    pub fn rate(&self) -> f64 {
        self.ops as f64 / (self.nanos.max(1) as f64 / 1e9)
    }
}

/// How much processor time the process has used, in nanoseconds.
pub fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The database was locked.
    Busy,
    /// Anything else, a wrong answer too.
    Other(String),
}

impl Failure {
    /// A failure that is told by its text: what libraries that hide SQLite's codes leave one with.
    pub fn of(error: impl std::fmt::Display) -> Self {
        let text = error.to_string();
        if text.contains("database is locked") || text.contains("database table is locked") {
            Self::Busy
        } else {
            Self::Other(text)
        }
    }
}
