//! Which routes a move records.

use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::datasource_router::{Plan, Recorded};
use super::super::said::Said;
use super::plan::{routes, together};
use crate::config::{DatabaseConfig, Form, PartialResults};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::SourceConfig;

const SOURCES: [&str; 3] = ["primary", "archive", "third"];
/// Chats that may become each other.
const CHATS: i64 = 4;

fn name(place: usize) -> SourceName {
    SOURCES[place].parse().unwrap()
}

/// A source for each of some chats.
fn places() -> impl Strategy<Value = HashMap<i64, usize>> {
    proptest::collection::hash_map(0..CHATS, 0..SOURCES.len(), 0..CHATS as usize)
}

/// Any mapping, with moves made under some of its lines or under others.
fn plan(lines: HashMap<i64, usize>, moves: HashMap<i64, usize>, said: &HashMap<i64, usize>) -> Plan {
    let source = |place: usize| {
        let settings = SourceConfig { name: name(place), ..SourceConfig::new(SOURCES[place]) };
        (settings.name.clone(), settings)
    };
    let config = DatabaseConfig {
        form: Form::Sources,
        data_dir: PathBuf::new(),
        sources: (0..SOURCES.len()).map(source).collect(),
        default_source: name(0),
        chat_mapping: lines.into_iter().map(|(chat, place)| (ChatId(chat), name(place))).collect(),
        partial_results: PartialResults::Warn,
    };
    let recorded = |(chat, place): (i64, usize)| {
        let line = said.get(&chat).map(|place| name(*place));
        (ChatId(chat), Recorded { source: name(place), file_said: Said::default().and(line.as_ref()) })
    };
    Plan { config, recorded: moves.into_iter().map(recorded).collect() }
}

fn leads<'a>(plan: &'a Plan, chat: ChatId, aliases: &HashMap<ChatId, ChatId>) -> &'a SourceName {
    plan.route(chat, aliases).map_or(&plan.config.default_source, |(name, _)| name)
}

proptest! {
    // Few of them have a chat that became another twice.
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn all_chats_that_move_together_are_led_there_and_nothing_is_recorded_of_those_that_are_anyway(
        lines in places(),
        moves in places(),
        said in places(),
        became in proptest::collection::hash_map(0..CHATS, 0..CHATS, 0..CHATS as usize),
        chat in 0..CHATS,
        to in 0..SOURCES.len(),
    ) {
        let mut plan = plan(lines, moves, &said);
        // Each becomes a later one, also one after the other.
        let aliases: HashMap<_, _> =
            became.into_iter().filter(|(new, old)| old < new).map(|(new, old)| (ChatId(new), ChatId(old))).collect();
        let (to, chats) = (name(to), together(ChatId(chat), &aliases));
        for (chat, route) in routes(&plan, &aliases, &chats, &to) {
            let earlier = plan.recorded.remove(&chat);
            let line = plan.config.chat_mapping.get(&chat);
            match route {
                Some(route) => {
                    prop_assert!(route.file_said.includes(line));
                    plan.recorded.insert(chat, route);
                }
                None => {
                    prop_assert_eq!(leads(&plan, chat, &aliases), &to, "{} by itself", chat);
                    prop_assert!(earlier.is_none_or(|earlier| earlier.file_said.is_only(line)));
                }
            }
        }
        for chat in chats {
            prop_assert_eq!(leads(&plan, chat, &aliases), &to, "{}", chat);
        }
    }
}
