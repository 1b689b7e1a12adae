//! The place of each mapped chat's source: a hash table that takes thirteen bytes for a chat.
//!
//! Finding a chat among a million is waiting for memory, so there is as little of it as can be. A chat's id is mixed into
//! a number from which it can be had back. Its upper bits say where in the table the chat belongs, and only the others
//! are kept: quotienting (Knuth, *The Art of Computer Programming*, volume 3, section 6.4, exercise 13;
//! Cleary, *Compact Hash Tables Using Bidirectional Linear Probing*, 1984). Nothing is approximate: two chats never look
//! the same.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::lines::{IN_A_LINE, Lines};
use crate::ids::ChatId;

/// How many of them are taken, on the average. With more the table is smaller and chats are farther from where they
/// belong; from four to six it hardly matters.
const TAKEN_IN_A_LINE: usize = 5;
/// In how many lines a chat may be: that in which it belongs, and those after it.
const REACH: usize = 3;
/// How many bits say how far it is from where it belongs.
const DISTANCE_BITS: u32 = 2;
/// An entry that nobody had, and one whose chat was removed: as far away as no chat is.
const FREE: u64 = u64::MAX;
const GONE: u64 = u64::MAX >> 1;

/// What an id is multiplied with: the golden ratio's fraction, which is odd, so that it can be undone.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const BACK: u64 = inverse(FACTOR);

/// Chats by id, and a number for each.
#[derive(Clone)]
pub(super) struct Places {
    /// Entries, each from its highest bits: what is left of the mixed id, how many lines the chat is from where it
    /// belongs, and its place.
    lines: Lines,
    place_bits: u32,
    /// Chats for which there was no room within reach.
    crowded: HashMap<ChatId, u32, RandomState>,
}

/// Where a chat belongs.
struct Home {
    line: usize,
    /// The entry of the line that is looked at first.
    first: usize,
    /// What an entry there has above the place.
    above: u64,
}

impl Places {
    /// A table for so many chats, at so many places: 0 and those that follow.
    pub(super) fn with_capacity(chats: usize, places: usize) -> Self {
        let place_bits = places.next_power_of_two().ilog2();
        // What says where a chat belongs is not kept, which makes room for the place.
        let lines = (chats / TAKEN_IN_A_LINE).max(1 << (place_bits + DISTANCE_BITS));
        Self {
            lines: Lines::filled_with(FREE, lines + REACH),
            place_bits: lines.ilog2() - DISTANCE_BITS,
            crowded: HashMap::default(),
        }
    }

    /// In how many lines chats belong; the others are within reach of the last.
    fn homes(&self) -> usize {
        self.lines.len() - REACH
    }

    /// How many bits are left of a mixed id: as many as tell those apart that belong in the same line.
    fn rest_bits(&self) -> u32 {
        u64::BITS - DISTANCE_BITS - self.place_bits
    }

    #[inline]
    fn home(&self, chat: ChatId) -> Home {
        let mixed = mix(chat);
        // The number as a fraction of one, of so many lines: no division.
        let at = u128::from(mixed) * self.homes() as u128;
        Home {
            line: (at >> u64::BITS) as usize,
            first: (at as u64 >> (u64::BITS - IN_A_LINE.ilog2())) as usize,
            above: (mixed << (u64::BITS - self.rest_bits())) >> self.place_bits,
        }
    }

    /// The chat whose entry this is, and its place.
    fn read(&self, line: usize, entry: u64) -> Option<(ChatId, u32)> {
        let distance = self.distance_of(entry);
        if distance == REACH {
            return None;
        }
        let rest = entry >> (self.place_bits + DISTANCE_BITS);
        // The first mixed id that belongs there; the chat's is that or one of the following.
        let first = (((line - distance) as u128) << u64::BITS).div_ceil(self.homes() as u128) as u64;
        let after = rest.wrapping_sub(first) & (u64::MAX >> (u64::BITS - self.rest_bits()));
        Some((unmix(first + after), self.place_of(entry)))
    }

    /// How many lines an entry's chat is from where it belongs; `REACH` where it has none.
    fn distance_of(&self, entry: u64) -> usize {
        (entry >> self.place_bits) as usize & REACH
    }

    fn place_of(&self, entry: u64) -> u32 {
        (entry & ((1 << self.place_bits) - 1)) as u32
    }

    /// The place of a chat.
    #[inline]
    pub(super) fn get(&self, chat: ChatId) -> Option<u32> {
        let home = self.home(chat);
        let entry = self.lines.get(home.line, home.first);
        // So it is of most.
        if entry >> self.place_bits == home.above { Some(self.place_of(entry)) } else { self.get_farther(chat, &home) }
    }

    /// The same of a chat that does not have the entry which is looked at first.
    fn get_farther(&self, chat: ChatId, home: &Home) -> Option<u32> {
        match self.find(home) {
            Found::At(line, entry) => Some(self.place_of(self.lines.get(line, entry))),
            Found::Nowhere => None,
            Found::MaybeCrowded => self.crowded.get(&chat).copied(),
        }
    }

    /// Which entry a chat has that belongs there.
    fn find(&self, &Home { line, first, above }: &Home) -> Found {
        for distance in 0..REACH {
            for entry in in_turn(first) {
                let found = self.lines.get(line + distance, entry);
                if found >> self.place_bits == above + distance as u64 {
                    return Found::At(line + distance, entry);
                }
                if found == FREE {
                    return Found::Nowhere;
                }
            }
        }
        Found::MaybeCrowded
    }

    /// Gives a chat a place, instead of the one that it had.
    pub(super) fn insert(&mut self, chat: ChatId, place: u32) {
        assert_eq!(u64::from(place) >> self.place_bits, 0, "a place of more than the table is for");
        self.remove(chat);
        let Home { line, first, above } = self.home(chat);
        for distance in 0..REACH {
            for entry in in_turn(first) {
                if self.distance_of(self.lines.get(line + distance, entry)) == REACH {
                    let above = (above + distance as u64) << self.place_bits;
                    self.lines.set(line + distance, entry, above | u64::from(place));
                    return;
                }
            }
        }
        self.crowded.insert(chat, place);
    }

    /// Takes a chat's place from it, if it has one.
    pub(super) fn remove(&mut self, chat: ChatId) {
        match self.find(&self.home(chat)) {
            // Not as if it had been free: others may be farther away because of it.
            Found::At(line, entry) => self.lines.set(line, entry, GONE),
            Found::Nowhere => {}
            Found::MaybeCrowded => drop(self.crowded.remove(&chat)),
        }
    }

    /// Whether so many found no room that it should be made anew.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.len() > self.homes() / 8 + IN_A_LINE
    }

    /// All chats that have a place, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ChatId, u32)> + '_ {
        let entries = (0..self.lines.len()).flat_map(|line| (0..IN_A_LINE).map(move |entry| (line, entry)));
        let here = entries.filter_map(|(line, entry)| self.read(line, self.lines.get(line, entry)));
        here.chain(self.crowded.iter().map(|(chat, place)| (*chat, *place)))
    }
}

/// Where a chat was looked for.
enum Found {
    /// In this line, with this entry.
    At(usize, usize),
    Nowhere,
    /// All entries within reach are taken, or were.
    MaybeCrowded,
}

/// The entries of a line, in the order in which they are looked at.
fn in_turn(first: usize) -> impl Iterator<Item = usize> {
    (first..first + IN_A_LINE).map(|entry| entry % IN_A_LINE)
}

/// An id as a number whose upper bits differ even where ids hardly do, and from which it can be had back (Fibonacci
/// hashing: Knuth, section 6.4). Whoever contrives ids that crowd makes them slower to find, and no more.
fn mix(chat: ChatId) -> u64 {
    chat.0.cast_unsigned().wrapping_mul(FACTOR)
}

/// The id that was mixed into this.
fn unmix(mixed: u64) -> ChatId {
    ChatId(mixed.wrapping_mul(BACK).cast_signed())
}

/// What an odd factor is undone with: each round of Newton's method gets twice as many bits right, from three on.
const fn inverse(factor: u64) -> u64 {
    let (mut inverse, mut bits) = (factor, 3);
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Chats that belong near the beginning or the end of a table, more of them than have room there; and others.
    fn chat() -> impl Strategy<Value = ChatId> {
        let crowding = (0..40_u64).prop_map(|number| unmix(number << 40));
        let at_the_end = (0..40_u64).prop_map(|number| unmix(u64::MAX - number));
        let others = prop_oneof![-30..30_i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()].prop_map(ChatId);
        prop_oneof![crowding, at_the_end, others]
    }

    proptest! {
        #[test]
        fn an_id_is_had_back(id: i64, mixed: u64) {
            prop_assert_eq!(unmix(mix(ChatId(id))), ChatId(id));
            prop_assert_eq!(mix(unmix(mixed)), mixed);
        }

        #[test]
        fn places_are_what_a_map_says(
            room in prop_oneof![0..20_usize, 0..400_usize],
            places in prop_oneof![1..4_u32, 1..70_u32],
            changes in vec((chat(), proptest::option::of(any::<u32>())), 0..300),
            others in vec(chat(), 20),
        ) {
            let (mut table, mut map) = (Places::with_capacity(room, places as usize), BTreeMap::new());
            // The first and the last that belong in each line.
            let homes = table.homes() as u128;
            for line in 0..homes {
                let first = (line << u64::BITS).div_ceil(homes) as u64;
                for chat in [first, first.wrapping_sub(1)].map(unmix) {
                    table.insert(chat, line as u32 % places);
                    map.insert(chat, line as u32 % places);
                }
            }
            for (chat, place) in changes {
                match place.map(|place| place % places) {
                    Some(place) => {
                        table.insert(chat, place);
                        map.insert(chat, place);
                    }
                    None => {
                        table.remove(chat);
                        map.remove(&chat);
                    }
                }
                prop_assert_eq!(table.get(chat), map.get(&chat).copied());
                let mut all: Vec<_> = table.iter().collect();
                all.sort_unstable();
                prop_assert_eq!(all, Vec::from_iter(map.clone()));
            }
            for chat in others.iter().chain(map.keys()) {
                prop_assert_eq!(table.get(*chat), map.get(chat).copied());
            }
        }
    }
}
