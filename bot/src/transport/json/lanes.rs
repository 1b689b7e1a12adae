//! Which chats' lines are handled in one order: each chat's own, and those of a group with those of the supergroup that
//! it becomes, from the line on that tells so. What the supergroup takes over is there before anything is done in it.

use std::collections::HashMap;

use database::ChatId;

/// The lanes that are not simply a chat's own. One entry for each group that became a supergroup in this session.
#[derive(Default)]
pub(super) struct Lanes {
    joined: HashMap<ChatId, ChatId>,
}

impl Lanes {
    /// The chat in whose lane this one's lines go.
    pub(super) fn of(&self, chat: ChatId) -> ChatId {
        let mut lane = chat;
        while let Some(next) = self.joined.get(&lane) {
            lane = *next;
        }
        lane
    }

    /// From now on the supergroup's lines go in the group's lane. Answers the lane in which they went until now: what
    /// is in hand there comes first.
    pub(super) fn join(&mut self, group: ChatId, supergroup: ChatId) -> Option<ChatId> {
        let (group, before) = (self.of(group), self.of(supergroup));
        // Two that are one already make no ring.
        (group != before).then(|| {
            self.joined.insert(before, group);
            before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supergroup_goes_in_the_groups_lane_and_rings_do_no_harm() {
        let mut lanes = Lanes::default();
        let [one, two, three] = [ChatId(-1), ChatId(-2), ChatId(-3)];
        assert_eq!(lanes.of(two), two);
        assert_eq!(lanes.join(two, three), Some(three));
        assert_eq!(lanes.join(one, two), Some(two));
        assert_eq!([lanes.of(one), lanes.of(two), lanes.of(three)], [one; 3]);
        for (group, supergroup) in [(two, three), (three, one), (one, one)] {
            assert_eq!(lanes.join(group, supergroup), None);
        }
        assert_eq!([lanes.of(one), lanes.of(two), lanes.of(three)], [one; 3]);
    }
}
