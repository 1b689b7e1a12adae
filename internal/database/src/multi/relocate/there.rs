//! The chats that there are, each where it lives: what is moved where chats are not named one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::control::Control;
use super::MoveError;
use super::strays::count;
use crate::error::Result;
use crate::ids::ChatId;
use crate::models::ChatType;
use crate::params;
use crate::route::SourceName;
use crate::source::ReadTx;

/// A chat that has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatThere {
    /// The chat.
    pub chat: ChatId,
    /// Its source.
    pub source: SourceName,
    /// What kind of chat it is, where that is known.
    pub kind: Option<ChatType>,
}

impl Control {
    /// The chats that a chat is moved with: itself, the group that it was, the supergroup that it became.
    pub fn goes_along(&self, chat: ChatId) -> Vec<ChatId> {
        self.together(chat)
    }

    /// The chats that have rows in the sources where they live, by source and chat; of one source where one is named.
    ///
    /// # Errors
    /// A source cannot be read, or there is none of this name.
    pub fn chats_there(&self, source: Option<&SourceName>) -> Result<Vec<ChatThere>, MoveError> {
        let table = self.router.table();
        let mut found = Vec::new();
        let sources = match source {
            Some(name) => vec![self.source(name)?],
            None => table.sources.clone(),
        };
        for source in &sources {
            const OP: &str = "relocate.chats_there";
            if source.would_be_made(OP).map_err(MoveError::unavailable)? {
                continue;
            }
            let read = source.read(OP, |tx| Ok((count(tx)?, kinds(tx)?)));
            let (counts, kinds) = read.map_err(MoveError::unavailable)?;
            let chats: BTreeSet<ChatId> = counts.into_iter().map(|(_, chat, _)| chat).collect();
            let own = chats.into_iter().filter(|chat| Arc::ptr_eq(table.of_chat(*chat), source));
            found.extend(own.map(|chat| ChatThere {
                chat,
                source: source.name().clone(),
                kind: kinds.get(&chat).cloned(),
            }));
        }
        Ok(found)
    }
}

/// What kinds of chats a file knows.
fn kinds(tx: &ReadTx<'_>) -> Result<BTreeMap<ChatId, ChatType>> {
    let mut kinds = BTreeMap::new();
    tx.scan("SELECT chat_id, type FROM chat_info ORDER BY chat_id", params![], |row| {
        let bad = |bad| tx.bad_value("chat_info", "of a chat", bad);
        kinds.insert(row.get("chat_id").map_err(bad)?, row.get("type").map_err(bad)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(kinds)
}
