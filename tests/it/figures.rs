//! Statistics, search and what is kept about a person, held against a plain model of the same random messages.

use std::collections::{BTreeMap, BTreeSet};

use database::{
    ChatId, ChatTotals, DatabaseWrapper, DayActivity, MessageCategory, MessageId, NewMessage, Page, PersonActivity,
    Search, Timestamp, TopicActivity, TopicId, UserId,
};
use proptest::prelude::*;

use crate::support::{Scratch, fresh, time};

const CHAT: ChatId = ChatId(-7);
/// How each is written, and what it is when case does not count.
const WORDS: [(&str, &str); 6] = [
    ("Hello", "hello"),
    ("WORLD", "world"),
    ("Straße", "strasse"),
    ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
    ("ёлка", "ёлка"),
    ("low", "low"),
];

fn among_all<'a>(words: &'a [&'a str], page: Page) -> Search<'a> {
    Search { words, categories: &[MessageCategory::Unspecified], page }
}

#[derive(Clone, Debug)]
struct Said {
    user: i64,
    /// Few moments, so that many messages share one.
    moment: i64,
    topic: i64,
    words: Vec<usize>,
}

impl Said {
    fn any() -> impl Strategy<Value = Self> {
        let words = prop::collection::vec(0..WORDS.len(), 0..4);
        (1..5_i64, 0..6_i64, 0..3_i64, words).prop_map(|(user, moment, topic, words)| Self {
            user,
            moment,
            topic,
            words,
        })
    }

    fn date(&self) -> Timestamp {
        time("2026-01-01 23:59:58").saturating_add_seconds(self.moment)
    }

    fn text(&self) -> String {
        self.words.iter().map(|word| WORDS[*word].0).collect::<Vec<_>>().join(" ")
    }

    fn holds(&self, words: &[usize]) -> bool {
        // `low` is inside no other word, but `Hello` and `low` side by side stay two words.
        words.iter().all(|word| self.words.contains(word))
    }
}

/// Persons 1 to 3 are known, 4 is not.
fn stored(scratch: &Scratch, said: &[Said]) -> DatabaseWrapper {
    let db = fresh(scratch);
    for user in 1..=3 {
        db.update_chat_user(CHAT, UserId(user), "", &format!("U{user}")).unwrap();
    }
    let messages = (1..).zip(said).map(|(id, said)| NewMessage {
        thread_id: TopicId(said.topic),
        ..NewMessage::text(MessageId::from(id), said.date(), UserId(said.user), said.text())
    });
    db.save_chat_messages(CHAT, &messages.collect::<Vec<_>>()).unwrap();
    // The same in another chat must count for nothing.
    db.save_chat_message(ChatId(-8), &NewMessage::text(1, time("2020-01-01 00:00:00"), UserId(1), "Hello")).unwrap();
    db
}

fn tally<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, i64> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn figures_are_those_of_the_messages(said in prop::collection::vec(Said::any(), 0..60), limit in 0..5_u32) {
        let scratch = Scratch::in_memory();
        let db = stored(&scratch, &said);
        let days = tally(said.iter().map(|said| said.date().day()));
        let people = tally(said.iter().map(|said| said.user));
        prop_assert_eq!(db.get_chat_totals(CHAT).unwrap(), ChatTotals {
            messages: said.len() as i64,
            people: people.len() as i64,
            days: days.len() as i64,
            first_day: days.keys().next().copied(),
            last_day: days.keys().last().copied(),
        });
        let newest = days.iter().rev().take(limit as usize).map(|(day, messages)| DayActivity { day: *day, messages: *messages });
        prop_assert_eq!(db.get_chat_days(CHAT, limit).unwrap(), newest.collect::<Vec<_>>());
        let mut top: Vec<_> = people.iter().map(|(user, messages)| (-messages, *user)).collect();
        top.sort_unstable();
        let top = top.into_iter().take(limit as usize).map(|(messages, user)| PersonActivity {
            user_id: UserId(user),
            full_name: (user < 4).then(|| format!("U{user}")),
            username: (user < 4).then(String::new),
            messages: -messages,
        });
        prop_assert_eq!(db.get_top_people(CHAT, limit).unwrap(), top.collect::<Vec<_>>());
        let topics = tally(said.iter().map(|said| said.topic)).into_iter();
        let topics = topics.map(|(topic, messages)| TopicActivity { topic_id: TopicId(topic), messages });
        prop_assert_eq!(db.get_topic_activity(CHAT).unwrap(), topics.collect::<Vec<_>>());
    }

    #[test]
    fn a_persons_footprint_is_what_was_stored_of_the_person(said in prop::collection::vec(Said::any(), 0..40)) {
        let scratch = Scratch::in_memory();
        let db = stored(&scratch, &said);
        db.add_user_data(CHAT, UserId(1), "city", "Riga").unwrap();
        for user in 1..=4 {
            let own: Vec<_> = said.iter().filter(|said| said.user == user).map(Said::date).collect();
            let found = db.get_user_footprint(CHAT, UserId(user)).unwrap();
            prop_assert_eq!(found.messages, own.len() as i64);
            prop_assert_eq!(found.first_message, own.iter().min().copied());
            prop_assert_eq!(found.last_message, own.iter().max().copied());
            let days: BTreeSet<_> = own.iter().map(|moment| moment.day()).collect();
            prop_assert_eq!(found.counted_days, days.len() as i64);
            prop_assert_eq!(found.remembered, i64::from(user == 1));
            prop_assert_eq!((found.spam_examples, found.ham_examples), (0, 0));
            prop_assert_eq!(found.user.map(|user| user.messages_count), (user < 4).then_some(own.len() as i64));
        }
    }

    #[test]
    fn pages_of_a_search_are_complete_and_do_not_overlap(
        said in prop::collection::vec(Said::any(), 0..60),
        words in prop::collection::vec(0..WORDS.len(), 1..3),
        size in 1..8_u32,
    ) {
        let scratch = Scratch::in_memory();
        let db = stored(&scratch, &said);
        let found = (1_i64..).zip(&said).filter(|(_, said)| said.user < 4 && said.holds(&words));
        let mut expected: Vec<_> = found.map(|(id, said)| (said.moment, id)).collect();
        expected.sort_unstable_by(|one, other| other.cmp(one));
        let expected: Vec<_> = expected.into_iter().map(|(_, id)| MessageId::from(id)).collect();

        let folded: Vec<_> = words.iter().map(|word| WORDS[*word].1).collect();
        let written: Vec<_> = words.iter().map(|word| WORDS[*word].0).collect();
        let mut ids = Vec::new();
        for number in 0.. {
            let page = db.search_messages(CHAT, among_all(&folded, Page { number, size })).unwrap();
            prop_assert_eq!(&page, &db.search_messages(CHAT, among_all(&written, Page { number, size })).unwrap());
            ids.extend(page.messages.iter().map(|message| message.message_id.clone()));
            if !page.more {
                break;
            }
            prop_assert_eq!(page.messages.len(), size as usize);
        }
        prop_assert_eq!(ids, expected);
    }
}

#[test]
fn a_search_for_nothing_finds_nothing() {
    let scratch = Scratch::new();
    let db = stored(&scratch, &[Said { user: 1, moment: 0, topic: 0, words: vec![0] }]);
    let page = |size| Page { number: 0, size };
    for (words, size) in [(&[][..], 5), (&[""], 5), (&["hello"], 0), (&["hello", "mars"], 5)] {
        let found = db.search_messages(CHAT, among_all(words, page(size))).unwrap();
        assert!(found.messages.is_empty() && !found.more, "{words:?}");
    }
    let past = db.search_messages(CHAT, among_all(&["hello"], Page { number: u32::MAX, size: u32::MAX })).unwrap();
    assert!(past.messages.is_empty() && !past.more);
}
