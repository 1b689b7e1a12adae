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

    /// Adds what was read, and answers whether anything of it was new. None ever goes: what another thread read
    /// earlier, and adds later, takes nothing away.
    pub(crate) fn add(&self, old_of_new: HashMap<ChatId, ChatId>) -> bool {
        let mut known = self.old_of_new.write();
        let mut is_new = false;
        for (new, old) in old_of_new {
            is_new |= known.insert(new, old) != Some(old);
        }
        self.are_any.store(!known.is_empty(), Ordering::Release);
        is_new
    }

    /// All of them, the new chat with the old one.
    pub(crate) fn all(&self) -> HashMap<ChatId, ChatId> {
        self.old_of_new.read().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_earlier_and_comes_later_takes_nothing_away() {
        let aliases = Aliases::default();
        let [one, two] = [(ChatId(-100), ChatId(-1)), (ChatId(-200), ChatId(-2))];
        assert!(aliases.add(HashMap::from([one, two])));
        assert!(!aliases.add(HashMap::from([one])));
        assert_eq!(aliases.all(), HashMap::from([one, two]));
        assert_eq!(aliases.later(two.1), Some(two.0));
    }
}
