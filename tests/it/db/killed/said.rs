//! What a chat says to its bot, and what may be there of it once the bot was killed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::process::ChildStdin;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::CHAT;
use crate::program::Running;

/// Who says it: nobody else.
const WRITER: i64 = 777;
/// How many messages may wait for their answers.
const MOST_OPEN: usize = 6;
/// How long it is listened before the next one.
const PACE: Duration = Duration::from_millis(4);
/// A setting that the bot heeds.
const SETTING: &str = "spam-threshold";

/// Messages with the numbers from 1 on, all in one chat, which are their ids.
#[derive(Default)]
pub(super) struct Said {
    last: i64,
    answered: u64,
    /// Those that are there: answered, or found after a kill.
    there: BTreeSet<i64>,
    /// Those that were not answered so far.
    open: BTreeSet<i64>,
    /// What may stand under a key by now: what did by the last answer, and what each message would have there since,
    /// with its number. They are obeyed one after the other.
    states: BTreeMap<String, VecDeque<(i64, Option<String>)>>,
}

impl Said {
    /// How many were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Says the next one, where not too many are open, and hears what is answered.
    pub(super) fn go_on(&mut self, input: &mut ChildStdin, running: &Running) {
        if self.open.len() < MOST_OPEN {
            self.last += 1;
            let number = self.last;
            self.open.insert(number);
            if let Some((key, value)) = effect(number) {
                self.states.entry(key).or_insert_with(|| VecDeque::from([(0, None)])).push_back((number, value));
            }
            let line = json!({"chat": CHAT, "user": WRITER, "name": "Writer", "text": text(number),
                              "message_id": number, "ref": number});
            // Once the bot is killed nobody takes it.
            let _ = input.write_all(format!("{line}\n").as_bytes());
        }
        while let Some(line) = running.hear_within(PACE) {
            self.hear(&line);
        }
    }

    /// Takes note of an answer.
    pub(super) fn hear(&mut self, line: &str) {
        // The last one may be cut: then it is none.
        let Ok(answer) = serde_json::from_str::<Value>(line) else { return };
        assert!(answer["error"].is_null(), "{answer}");
        let number = answer["ref"].as_i64().unwrap();
        assert!(self.open.remove(&number), "{answer}");
        self.there.insert(number);
        self.answered += 1;
        if let Some(states) = effect(number).and_then(|(key, _)| self.states.get_mut(&key)) {
            while states.front().is_some_and(|(of, _)| *of < number) {
                states.pop_front();
            }
        }
    }

    /// All that was answered is in this file, beside what was obeyed and not answered any more. That stays so: what is
    /// not there now is not to come back.
    pub(super) fn check(&mut self, file: &Connection) {
        let sql = format!(
            "SELECT CAST(message_id AS INTEGER), message_text FROM chat_messages
             WHERE chat_id = {CHAT} AND user_id = {WRITER}"
        );
        let mut query = file.prepare(&sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let found: Vec<(i64, String)> = rows.map(Result::unwrap).collect();
        for (number, found) in &found {
            assert!(self.there.contains(number) || self.open.contains(number), "{number} is back");
            assert_eq!(*found, text(*number));
        }
        let numbers: BTreeSet<i64> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), found.len(), "a message is there twice");
        let lost: Vec<_> = self.there.difference(&numbers).collect();
        assert!(lost.is_empty(), "answered and not there: {lost:?}");
        self.there = numbers;
        self.open.clear();
        let sql = format!(
            "SELECT key, data FROM user_data WHERE chat_id = {CHAT} AND user_id = {WRITER}
             UNION ALL SELECT key, value FROM chat_settings WHERE chat_id = {CHAT}"
        );
        let mut query = file.prepare(&sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let found: BTreeMap<String, String> = rows.map(Result::unwrap).collect();
        for (key, states) in &mut self.states {
            let found = found.get(key);
            let may_be = states.iter().any(|(_, state)| state.as_ref() == found);
            assert!(may_be, "{key}: {states:?} may be there, and {found:?} is");
            *states = VecDeque::from([(0, found.cloned())]);
        }
    }
}

/// What a message has the bot keep under a key, or forget.
fn effect(number: i64) -> Option<(String, Option<String>)> {
    let turn = number / 4;
    let key = format!("key-{}", turn % 5);
    match number % 4 {
        0 => Some((key, Some(number.to_string()))),
        1 if turn % 2 == 0 => Some((key, None)),
        2 if turn % 3 == 0 => Some((SETTING.to_owned(), None)),
        2 => Some((SETTING.to_owned(), Some((turn % 101).to_string()))),
        _ => None,
    }
}

fn text(number: i64) -> String {
    match effect(number) {
        None => format!("message {number}"),
        Some((key, Some(value))) if key == SETTING => format!("/set {key} {value}"),
        Some((key, None)) if key == SETTING => format!("/unset {key}"),
        Some((key, Some(value))) => format!("/remember {key} {value}"),
        Some((key, None)) => format!("/forget {key}"),
    }
}
