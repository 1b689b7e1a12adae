//! A recorded call's arguments in the wrapper's types.

use std::cell::RefCell;
use std::collections::BTreeSet;

use database::{ChatId, MessageId, Timestamp, UserId};
use serde_json::{Map, Value};

/// A call's arguments, each of which must be asked for.
pub(super) struct Args<'a> {
    given: &'a Map<String, Value>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Args<'a> {
    pub(super) fn new(given: &'a Map<String, Value>) -> Self {
        Self { given, asked: RefCell::default() }
    }

    /// Fails where the call was given something that nobody asked for.
    pub(super) fn all_asked_for(&self, name: &str) {
        let asked = self.asked.borrow();
        let unknown: Vec<_> = self.given.keys().filter(|key| !asked.contains(key.as_str())).collect();
        assert!(unknown.is_empty(), "`{name}` is given arguments that are not known: {unknown:?}");
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&Value> {
        self.asked.borrow_mut().insert(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn opt_text(&self, name: &'static str) -> Option<String> {
        self.get(name).map(|value| value.as_str().unwrap_or_else(|| panic!("`{name}` is text")).to_owned())
    }

    pub(super) fn text(&self, name: &'static str) -> String {
        self.opt_text(name).unwrap_or_else(|| panic!("`{name}` is given"))
    }

    pub(super) fn text_or(&self, name: &'static str, default: &str) -> String {
        self.opt_text(name).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn opt_int(&self, name: &'static str) -> Option<i64> {
        self.get(name).map(|value| value.as_i64().unwrap_or_else(|| panic!("`{name}` is a number")))
    }

    pub(super) fn int(&self, name: &'static str) -> i64 {
        self.opt_int(name).unwrap_or_else(|| panic!("`{name}` is given"))
    }

    pub(super) fn truth(&self, name: &'static str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or_else(|| panic!("`{name}` is true or false"))
    }

    pub(super) fn limit(&self) -> Option<u32> {
        self.opt_int("limit").map(|limit| u32::try_from(limit).unwrap())
    }

    pub(super) fn chat(&self) -> ChatId {
        ChatId(self.int("chat_id"))
    }

    pub(super) fn user(&self) -> UserId {
        UserId(self.int("user_id"))
    }

    pub(super) fn opt_message(&self, name: &'static str) -> Option<MessageId> {
        self.get(name).map(|value| match value {
            Value::String(text) => MessageId::from(text.as_str()),
            other => MessageId::from(other.as_i64().unwrap()),
        })
    }

    pub(super) fn message(&self, name: &'static str) -> MessageId {
        self.opt_message(name).unwrap_or_else(|| panic!("`{name}` is given"))
    }

    pub(super) fn opt_date(&self, name: &'static str) -> Option<Timestamp> {
        self.opt_text(name).map(|text| Timestamp::from_utc(text.parse().unwrap()).unwrap())
    }

    pub(super) fn date(&self, name: &'static str) -> Timestamp {
        self.opt_date(name).unwrap_or_else(|| panic!("`{name}` is given"))
    }
}
