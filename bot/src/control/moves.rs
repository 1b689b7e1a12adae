//! What is told of chats that moved, as `bot db move --json` prints it. The names of fields stay; fields may be added.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::chart::{counted, thousands};

/// Which chats are moved, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveRequest {
    /// The chats that are named.
    pub chats: Vec<i64>,
    /// The source that they go to; none where moves are undone.
    pub to: Option<String>,
    /// All chats of this source are meant.
    pub from: Option<String>,
    /// All chats are meant, of `from` where that is given.
    pub all: bool,
    /// Of all chats those of this kind: `private`, `group`, `supergroup`, `channel`.
    pub kind: Option<String>,
    /// It is only found out what would be done.
    pub dry_run: bool,
    /// The rows stay at the old place too.
    pub keep: bool,
    /// Moves that were broken off are undone.
    pub abort: bool,
    /// They are given up instead, with all rows where they are.
    pub forget: bool,
    /// The files that chats leave are rewritten.
    pub vacuum: bool,
}

/// How far a move is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStep {
    /// The chat.
    pub chat: i64,
    /// What is being done.
    pub stage: String,
    /// How many rows are done.
    pub done: u64,
    /// How many there are, as far as that is known.
    pub total: u64,
}

/// What became of all chats that were meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovesReport {
    /// Of each.
    pub moves: Vec<MoveReport>,
}

/// What became of one of the chats that were named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveReport {
    /// The chat that was named.
    pub chat: i64,
    /// What was done.
    pub outcome: MoveOutcome,
    /// The chats that move together, with the sources that they leave: a group and the supergroup that it became.
    pub chats: Vec<Leaving>,
    /// The source that they go to; null where a move was undone.
    pub to: Option<String>,
    /// How many rows were copied, or would be.
    pub rows: u64,
    /// Whether no source holds anything of the chat, as where its number was mistyped.
    #[serde(default)]
    pub unknown: bool,
    /// How many attachments were copied, or would be.
    pub media: u64,
    /// How many rows and attachments were deleted, at the old place or of an earlier try.
    pub deleted: u64,
    /// How many of these an earlier try had left.
    #[serde(default)]
    pub tidied: u64,
    /// How many bytes it takes, about; null but for a plan.
    pub bytes: Option<u64>,
    /// How many seconds it takes, about; null but for a plan.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// How many rows were read again, since they had changed meanwhile.
    #[serde(default)]
    pub reread: u64,
    /// For how many microseconds the chat's writes waited at most.
    #[serde(default)]
    pub waited_us: u64,
    /// The lines that [database.chat_mapping] should have, so that it says where the chats are; a comment for each that
    /// it should not have any more.
    pub mapping: Vec<String>,
    /// The chats whose line it should not have any more.
    #[serde(default)]
    pub unmapped: Vec<i64>,
    /// The configuration file that says so now; null where it has to be written by hand.
    #[serde(default)]
    pub written: Option<String>,
    /// Why it was not done, or not to its end, and what to do; null where it was.
    pub error: Option<String>,
}

/// A chat and the source that it leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// The chat.
    pub chat: i64,
    /// The source.
    pub from: String,
}

/// What was done about a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveOutcome {
    /// It was moved, or an earlier move was brought to its end.
    Moved,
    /// Nothing: this is what moving it would do.
    Planned,
    /// A move that was broken off was undone.
    Undone,
    /// A move that was broken off was given up; its rows stay where they are.
    Forgotten,
    /// It was moved, and not all of its old rows are deleted: to be repeated.
    Leftovers,
    /// It was not moved.
    Failed,
}

impl MoveReport {
    /// A report of which nothing more is known yet.
    pub fn of(chat: i64, outcome: MoveOutcome) -> Self {
        let (chats, to, mapping, unmapped, written, error, bytes, seconds) = Default::default();
        let (rows, unknown, media, deleted, tidied, reread, waited_us) = Default::default();
        Self {
            chat,
            outcome,
            chats,
            to,
            rows,
            unknown,
            media,
            deleted,
            tidied,
            bytes,
            seconds,
            reread,
            waited_us,
            mapping,
            unmapped,
            written,
            error,
        }
    }

    /// What the configuration says of it now, or should say.
    fn of_mapping(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TABLE: &str = "[database.chat_mapping]";
        let lines: Vec<_> = self.mapping.iter().filter(|line| !line.starts_with('#')).map(String::as_str).collect();
        let gone: Vec<_> = self.unmapped.iter().map(|chat| format!("the line of {chat}")).collect();
        let gone = gone.join(", ");
        match &self.written {
            Some(file) if !lines.is_empty() => writeln!(f, "Written to {TABLE} in {file}: {}", lines.join(", "))?,
            None if !lines.is_empty() => {
                writeln!(f, "So that {TABLE} says so as well, write there:")?;
                lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
            }
            _ => {}
        }
        match &self.written {
            _ if gone.is_empty() => Ok(()),
            Some(file) => writeln!(f, "Removed from {TABLE} in {file}: {gone}"),
            None => writeln!(f, "So that {TABLE} says so as well, remove there: {gone}"),
        }
    }
}

impl fmt::Display for MoveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, outcome, chats, to, rows, media, deleted, tidied, bytes, seconds, error, .. } = self;
        let old = deleted.saturating_sub(*tidied);
        let [rows, deleted, old] = [*rows, *deleted, old].map(|rows| counted(rows, "row", "rows"));
        let to = to.as_deref().unwrap_or_default();
        let from: Vec<_> = chats.iter().map(|leaving| format!("chat {} from {}", leaving.chat, leaving.from)).collect();
        let from = from.join(", ");
        match outcome {
            MoveOutcome::Failed => {
                return writeln!(f, "Chat {chat} was not moved: {}.", error.as_deref().unwrap_or_default());
            }
            MoveOutcome::Undone => {
                return writeln!(f, "Chat {chat}: the move was undone; {deleted} of the copy were removed.");
            }
            MoveOutcome::Forgotten => {
                return writeln!(
                    f,
                    "Chat {chat}: the move was given up; no row was deleted, and `bot db strays` shows what is left of it."
                );
            }
            MoveOutcome::Moved if chats.is_empty() => {
                writeln!(
                    f,
                    "Chat {chat}: an earlier move to {to} was brought to its end; {deleted} were left to delete."
                )?;
            }
            MoveOutcome::Moved => {
                let media = thousands(*media);
                let tidied = match tidied {
                    0 => String::new(),
                    tidied => format!("; before that {} of an earlier try", counted(*tidied, "row", "rows")),
                };
                writeln!(f, "Moved to {to}: {from} ({rows} and {media} media copied, {old} deleted{tidied}).")?;
            }
            MoveOutcome::Leftovers => {
                writeln!(f, "Chat {chat} was moved, but not to the end: {}.", error.as_deref().unwrap_or_default())?;
            }
            MoveOutcome::Planned if chats.is_empty() => {
                writeln!(
                    f,
                    "Chat {chat}: no row would be copied to {to}; an earlier move would be brought to its end."
                )?;
            }
            MoveOutcome::Planned => {
                let size = bytes.unwrap_or_default().div_ceil(1024);
                let seconds = counted(seconds.unwrap_or_default().max(1), "second", "seconds");
                writeln!(f, "Would move to {to}: {from} ({rows}, about {} KiB, about {seconds}).", thousands(size))?;
            }
        }
        if self.unknown {
            let then = if *outcome == MoveOutcome::Planned { "would go" } else { "goes" };
            writeln!(f, "No source holds anything of chat {chat}; what is said in it later {then} to {to}.")?;
        }
        self.of_mapping(f)
    }
}
