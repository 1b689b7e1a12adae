//! What a move is told and what it tells: options, progress, plans, reports.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use super::MoveError;
use crate::ids::ChatId;
use crate::route::SourceName;

/// How a chat is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveOptions {
    /// Whether the rows stay at the old place too. Nothing reads them there, and moving the chat back is refused until
    /// they are gone.
    pub keep: bool,
    /// How many rows are read, written or deleted in one transaction at most; with long rows it is fewer.
    pub rows_at_once: usize,
    /// How long a transaction may take, about, so that calls on other chats do not wait for it: it has fewer rows where
    /// it takes longer. After it the move rests for six times as long. `None` where nobody else calls.
    pub longest_step: Option<Duration>,
}

impl Default for MoveOptions {
    fn default() -> Self {
        Self { keep: false, rows_at_once: 10_000, longest_step: Some(Duration::from_micros(500)) }
    }
}

/// What a move is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It waits for calls that began before the configuration was changed, or before the chat's source came home: what
    /// they may write would be missed.
    Waiting,
    /// It removes what an earlier move that was broken off has left.
    Tidying,
    /// It copies the rows. The chat lives at the old place.
    Copying,
    /// It compares both places row by row.
    Verifying,
    /// It reads again what has changed meanwhile. The chat lives at the old place.
    CatchingUp,
    /// It records the new route. Before this stage is done the chat lives at the old place, after it at the new one.
    Switching,
    /// It deletes the rows at the old place.
    Deleting,
}

impl Stage {
    /// Whether a move that is broken off now can be undone, as far as that is certain.
    pub fn can_be_undone(self) -> bool {
        matches!(self, Self::Copying | Self::Verifying | Self::CatchingUp)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for earlier calls",
            Self::Tidying => "tidying",
            Self::Copying => "copying",
            Self::Verifying => "verifying",
            Self::CatchingUp => "catching up",
            Self::Switching => "switching",
            Self::Deleting => "deleting",
        })
    }
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// How many rows of this stage are done.
    pub done: u64,
    /// How many there are, as far as that is known.
    pub total: u64,
}

/// What a move would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MovePlan {
    /// The chats that move together, each with the source that it is in: a group and the supergroup that it became.
    pub chats: Vec<(ChatId, SourceName)>,
    /// The source that they move to.
    pub to: SourceName,
    /// Whether its file is not there yet, so that the move makes it.
    pub is_new: bool,
    /// How many rows of each table move.
    pub rows: BTreeMap<&'static str, u64>,
    /// Whether no source holds anything of the chats.
    pub is_nowhere: bool,
    /// How many attachments their messages refer to, of those in the sources that they leave.
    pub media: u64,
    /// How many bytes these rows take with their indexes, about.
    pub bytes: u64,
    /// How many bytes the target's disk has left.
    pub bytes_free: u64,
    /// What the configuration would have to say, so that it says where the chats are.
    pub mapping: Vec<MappingChange>,
}

impl MovePlan {
    /// The plan of a move that moves no row.
    pub(super) fn of_nothing(to: &SourceName, bytes_free: u64) -> Self {
        let (chats, is_new, rows, is_nowhere, media, bytes, mapping) = Default::default();
        Self { chats, to: to.clone(), is_new, rows, is_nowhere, media, bytes, bytes_free, mapping }
    }
}

/// What a move has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveReport {
    /// The chats that moved together, each with the source that it was in. Empty where an earlier move was only brought
    /// to its end.
    pub chats: Vec<(ChatId, SourceName)>,
    /// The source that they are in.
    pub to: SourceName,
    /// How many rows of each table were copied.
    pub rows: BTreeMap<&'static str, u64>,
    /// Whether no source held anything of the chats.
    pub is_nowhere: bool,
    /// How many attachments were copied; those that the target had are not counted.
    pub media: u64,
    /// How many bytes these rows take with their indexes, about.
    pub bytes: u64,
    /// How many rows and attachments were deleted at the old place.
    pub deleted: u64,
    /// How many rows and attachments of earlier moves that were broken off were deleted first.
    pub tidied: u64,
    /// How many rows were read again, since they had changed while the chat was copied.
    pub reread: u64,
    /// How long the chats' writes waited at the gate at most, while the move was decided: from its being closed to its
    /// being open again.
    pub waited: Duration,
    /// How often it was tried to decide the move.
    pub tries: u32,
    /// How long it took.
    pub elapsed: Duration,
    /// What the configuration would have to say, so that it says where the chats are. Until then the recorded route
    /// outranks it.
    pub mapping: Vec<MappingChange>,
}

impl MoveReport {
    /// The report of a move of which nothing is done yet.
    pub(super) fn to(to: &SourceName) -> Self {
        let (chats, rows, is_nowhere, media, bytes, deleted, tidied, mapping) = Default::default();
        let (reread, waited, tries, elapsed) = Default::default();
        Self {
            chats,
            to: to.clone(),
            rows,
            is_nowhere,
            media,
            bytes,
            deleted,
            tidied,
            reread,
            waited,
            tries,
            elapsed,
            mapping,
        }
    }
}

/// A change of `[database.chat_mapping]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingChange {
    /// The chat's line reads so. Its text form is that line.
    Set {
        /// The chat.
        chat: ChatId,
        /// Its source.
        source: SourceName,
    },
    /// The chat has no line any more. Its text form is a comment that says so.
    Remove {
        /// The chat.
        chat: ChatId,
    },
}

impl fmt::Display for MappingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { chat, source } => write!(f, "{chat} = \"{source}\""),
            Self::Remove { chat } => write!(f, "# without the line of {chat}"),
        }
    }
}

/// Counts rows, and tells whoever waits.
pub(super) struct Meter<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    now: Progress,
}

impl<'a> Meter<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { tell, now: Progress { stage: Stage::Tidying, done: 0, total: 0 } }
    }

    /// A stage begins.
    pub(super) fn begin(&mut self, stage: Stage, total: u64) -> Result<(), MoveError> {
        self.now = Progress { stage, done: 0, total };
        self.tell()
    }

    /// So many rows more are done.
    pub(super) fn add(&mut self, rows: u64) -> Result<(), MoveError> {
        self.now.done += rows;
        self.now.total = self.now.total.max(self.now.done);
        self.tell()
    }

    fn tell(&mut self) -> Result<(), MoveError> {
        match (self.tell)(self.now) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MoveError::Interrupted { stage: self.now.stage }),
        }
    }
}
