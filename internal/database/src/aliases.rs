//! Which group each supergroup was before, as calls look it up.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::ids::ChatId;

/// What supergroups were before they became such. Few and rare, and looked at by every call that lists what was said.
#[derive(Default)]
pub(crate) struct Aliases {
    old_of_new: RwLock<HashMap<ChatId, ChatId>>,
}

impl Aliases {
    /// What a chat was before it became a supergroup.
    pub(crate) fn earlier(&self, chat: ChatId) -> Option<ChatId> {
        self.old_of_new.read().get(&chat).copied()
    }

    /// The supergroup that a chat became; should there be several, always the same one.
    pub(crate) fn later(&self, chat: ChatId) -> Option<ChatId> {
        self.old_of_new.read().iter().filter(|(_, old)| **old == chat).map(|(new, _)| *new).min()
    }

    pub(crate) fn replace(&self, old_of_new: HashMap<ChatId, ChatId>) {
        *self.old_of_new.write() = old_of_new;
    }

    /// All of them, the new chat with the old one.
    pub(crate) fn all(&self) -> HashMap<ChatId, ChatId> {
        self.old_of_new.read().clone()
    }
}
