//! Which group each supergroup was before, as calls look it up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::ids::ChatId;

/// What supergroups were before they became such. Few and rare, and looked at by every call that lists what was said.
#[derive(Default)]
pub(crate) struct Aliases {
    old_of_new: RwLock<HashMap<ChatId, ChatId>>,
    /// Whether there are any: mostly there are none, and no lock is needed to know it.
    are_any: AtomicBool,
}

impl Aliases {
    /// What a chat was before it became a supergroup.
    pub(crate) fn earlier(&self, chat: ChatId) -> Option<ChatId> {
        if !self.are_any.load(Ordering::Acquire) {
            return None;
        }
        self.old_of_new.read().get(&chat).copied()
    }

    /// The supergroup that a chat became; should there be several, always the same one.
    pub(crate) fn later(&self, chat: ChatId) -> Option<ChatId> {
        self.old_of_new.read().iter().filter(|(_, old)| **old == chat).map(|(new, _)| *new).min()
    }

    pub(crate) fn replace(&self, old_of_new: HashMap<ChatId, ChatId>) {
        let mut known = self.old_of_new.write();
        *known = old_of_new;
        self.are_any.store(!known.is_empty(), Ordering::Release);
    }

    /// All of them, the new chat with the old one.
    pub(crate) fn all(&self) -> HashMap<ChatId, ChatId> {
        self.old_of_new.read().clone()
    }
}
