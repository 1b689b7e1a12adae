//! Moves of chats that are under way or were broken off: what is to be said of them, and of the rows that they have left.

use serde::Serialize;

use crate::error::Result;
use crate::ids::ChatId;
use crate::source::{BadColumn, FromRow, Row};
use crate::time::Timestamp;

/// A move that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnfinishedMove {
    /// The chat.
    pub chat: ChatId,
    /// Where it was before the move.
    pub from: String,
    /// Where it was to go.
    pub to: String,
    /// Whether it is there: what is left to do is deleting the rows at the old place. Otherwise it is where it was, and
    /// there is a part of a copy.
    pub is_switched: bool,
    /// What it has left is no younger: until when what it copies may be made, or where it is switched when that was.
    #[serde(skip)]
    pub(crate) since: Timestamp,
}

impl UnfinishedMove {
    /// The source that holds what the move has left.
    pub fn left_in(&self) -> &str {
        self.places().0
    }

    /// Where its leftovers are, and where the chat is.
    pub(crate) fn places(&self) -> (&str, &str) {
        if self.is_switched { (&self.from, &self.to) } else { (&self.to, &self.from) }
    }

    /// What is not at its end.
    pub fn what(&self) -> String {
        format!("a move of the chat {} to {} is under way or was broken off", self.chat, self.to)
    }

    /// What the rows are that it has left, for who knows of which chat.
    pub fn leftovers(&self) -> String {
        let rows = if self.is_switched { "old ones that it is to delete" } else { "its unfinished copy" };
        format!("a move to {} is under way or was broken off, and the rows in {} are {rows}", self.to, self.left_in())
    }

    /// What can be done about it, while the chat lives in this source.
    pub fn remedy(&self, home: &str) -> String {
        let Self { chat, to, .. } = self;
        if home == self.left_in() {
            return format!(
                "the chat was mapped to {home} since then; `bot db move {chat} --to {to}` says how to go on"
            );
        }
        let undo = if self.is_switched { String::new() } else { format!(", `bot db move {chat} --abort` undoes it") };
        format!("`bot db move {chat} --to {to}` brings it to its end{undo}")
    }
}

impl FromRow for UnfinishedMove {
    const TABLE: &'static str = "switchyard_moves";
    const KEY: &'static [&'static str] = &["chat_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        let is_switched = match row.text("state")? {
            "copying" => false,
            "deleting" => true,
            _ => return Err(row.bad("state", "`copying` or `deleting`")),
        };
        Ok(Self {
            chat: row.get("chat_id")?,
            from: row.get("from_source")?,
            to: row.get("to_source")?,
            is_switched,
            since: row.get("updated_at")?,
        })
    }
}
