//! What is told of chats that moved, as `bot db move --json` prints it. The names of fields stay; fields may be added.

use std::collections::BTreeMap;
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
    /// Whether a move that is broken off now can be undone; it can always be repeated.
    #[serde(default)]
    pub can_be_undone: bool,
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
    /// That the bot goes on with the configuration of before, since it refused the one on disk; null where it did not, or
    /// where no bot told.
    #[serde(default)]
    pub note: Option<String>,
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
    /// The database that it would make, as one whose file is not there yet; null but for a plan.
    #[serde(default)]
    pub makes: Option<String>,
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
    /// How many bytes are free now in the files that it left, about, or would be: they keep their size. 0 where they are
    /// rewritten, or nothing is deleted.
    #[serde(default)]
    pub freed: u64,
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
    /// Why it was not done, or not to its end, and what to do; where it was there already, what is there; null otherwise.
    pub error: Option<String>,
}

/// So many bytes that became free are worth a word.
const MUCH: u64 = 1 << 20;

impl MovesReport {
    /// Whether files that chats left keep their size though much in them is free now, in a line for each.
    pub fn of_room(&self) -> String {
        let mut freed: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        for report in &self.moves {
            let mut from: Vec<_> = report.chats.iter().map(|leaving| leaving.from.as_str()).collect();
            from.sort_unstable();
            from.dedup();
            // (Of chats that leave several files together it is not known how much each had.)
            if let [from] = from[..] {
                *freed.entry((from, report.outcome == MoveOutcome::Planned)).or_default() += report.freed;
            }
        }
        let line = |((from, is_planned), bytes): ((&str, bool), u64)| match is_planned {
            true => {
                format!("The file of `{from}` would keep its size; `--vacuum` gives the room back, {}.\n", mib(bytes))
            }
            false => format!(
                "The file of `{from}` keeps its size: what comes fills the room, {}, or the next move from there gives it \
                 back with `--vacuum`.\n",
                mib(bytes)
            ),
        };
        freed.into_iter().filter(|(_, bytes)| *bytes >= MUCH).map(line).collect()
    }
}

fn mib(bytes: u64) -> String {
    format!("about {} MiB", thousands(bytes >> 20))
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
    /// It was there already; the configuration, which did not say so, is to.
    Mapped,
    /// It was not moved.
    Failed,
}

impl MoveReport {
    /// A report of which nothing more is known yet.
    pub fn of(chat: i64, outcome: MoveOutcome) -> Self {
        let (chats, to, makes, mapping, unmapped, written, error, bytes, seconds) = Default::default();
        let (rows, unknown, media, deleted, tidied, freed, reread, waited_us) = Default::default();
        Self {
            chat,
            outcome,
            chats,
            to,
            makes,
            rows,
            unknown,
            media,
            deleted,
            tidied,
            bytes,
            seconds,
            freed,
            reread,
            waited_us,
            mapping,
            unmapped,
            written,
            error,
        }
    }

    /// The same of a chat of which there is nothing, as where its number is mistyped: that is said first.
    fn of_unknown(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, to, .. } = self;
        let to = to.as_deref().unwrap_or_default();
        writeln!(f, "No source holds anything of chat {chat}.")?;
        match self.outcome {
            MoveOutcome::Planned => {
                writeln!(f, "It would be mapped to {to}: what is said in it later would go there.")?;
            }
            _ => writeln!(f, "It is mapped to {to}: what is said in it later goes there.")?,
        }
        self.of_what_else(f)
    }

    /// What it would make, and what the configuration says of it now, or should say, or would.
    fn of_what_else(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(to)) = (&self.makes, &self.to) {
            writeln!(f, "It would make the database {to}: {file}")?;
        }
        const TABLE: &str = "[database.chat_mapping]";
        let is_planned = self.outcome == MoveOutcome::Planned;
        let lines: Vec<_> = self.mapping.iter().filter(|line| !line.starts_with('#')).map(String::as_str).collect();
        let gone: Vec<_> = self.unmapped.iter().map(|chat| format!("the line of {chat}")).collect();
        let gone = gone.join(", ");
        match &self.written {
            _ if lines.is_empty() => {}
            // Written by hand first, it would have the chat start afresh.
            _ if is_planned => writeln!(f, "It would write to {TABLE}: {}", lines.join(", "))?,
            Some(file) => writeln!(f, "Written to {TABLE} in {file}: {}", lines.join(", "))?,
            None => {
                writeln!(f, "So that {TABLE} says so as well, write there:")?;
                lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
            }
        }
        match &self.written {
            _ if gone.is_empty() => Ok(()),
            _ if is_planned => writeln!(f, "It would remove from {TABLE}: {gone}"),
            Some(file) => writeln!(f, "Removed from {TABLE} in {file}: {gone}"),
            None => writeln!(f, "So that {TABLE} says so as well, remove there: {gone}"),
        }
    }
}

impl fmt::Display for MoveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, outcome, chats, to, rows, media, deleted, tidied, bytes, seconds, error, .. } = self;
        let old = deleted.saturating_sub(*tidied);
        let to = to.as_deref().unwrap_or_default();
        let surplus = match old > rows + media {
            true => format!(", among them what was written meanwhile or media that {to} had already"),
            false => String::new(),
        };
        let [rows, deleted] = [*rows, *deleted].map(|rows| counted(rows, "row", "rows"));
        let from: Vec<_> = chats.iter().map(|leaving| format!("chat {} from {}", leaving.chat, leaving.from)).collect();
        let from = from.join(", ");
        if self.unknown && error.is_none() {
            return self.of_unknown(f);
        }
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
            MoveOutcome::Mapped => {
                writeln!(f, "No row was moved or deleted: {}.", error.as_deref().unwrap_or_default())?;
            }
            MoveOutcome::Moved if chats.is_empty() => {
                writeln!(
                    f,
                    "Chat {chat}: an earlier move to {to} was brought to its end; {deleted} were left to delete."
                )?;
            }
            MoveOutcome::Moved => {
                let [media, old] = [*media, old].map(thousands);
                let tidied = match tidied {
                    0 => String::new(),
                    tidied => format!("; before that {} of an earlier try", counted(*tidied, "row", "rows")),
                };
                writeln!(
                    f,
                    "Moved to {to}: {from} ({rows} and {media} media copied, {old} deleted{surplus}{tidied})."
                )?;
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
        self.of_what_else(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_more_was_deleted_than_copied_it_is_said_why() {
        let told = |deleted, tidied| {
            let chats = vec![Leaving { chat: -5, from: "primary".to_owned() }];
            let report = MoveReport::of(-5, MoveOutcome::Moved);
            let to = Some("archive".to_owned());
            MoveReport { chats, to, rows: 1_028, media: 2, deleted, tidied, ..report }.to_string()
        };
        let told = [(1_030, 0), (1_029, 0), (1_031, 1), (1_031, 0), (1_035, 4)].map(|(all, tidied)| told(all, tidied));
        let why = "among them what was written meanwhile or media that archive had already";
        let expected = [
            "1,030 deleted".to_owned(),
            "1,029 deleted".to_owned(),
            "1,030 deleted; before that 1 row of an earlier try".to_owned(),
            format!("1,031 deleted, {why}"),
            format!("1,031 deleted, {why}; before that 4 rows of an earlier try"),
        ];
        let line = |deleted: &String| {
            format!("Moved to archive: chat -5 from primary (1,028 rows and 2 media copied, {deleted}).\n")
        };
        assert_eq!(told.to_vec(), expected.iter().map(line).collect::<Vec<_>>());
    }
}
