//! When each row was made and last changed, by the rules of earlier releases: a model that knows nothing of the code.

use std::collections::HashMap;

use database::Timestamp;
use serde_json::{Map, Value, json};

/// The moments of every row, by what it is and its key.
#[derive(Default)]
pub(super) struct Times(HashMap<String, Moments>);

#[derive(Clone, Copy)]
struct Moments {
    created: Timestamp,
    updated: Timestamp,
}

impl Times {
    /// Learns what a call that answered `result` did at a moment.
    pub(super) fn learn(&mut self, name: &str, args: &Map<String, Value>, result: &Value, now: Timestamp) {
        if *result == Value::Bool(false) {
            return;
        }
        let key = |kind, names: &[&str]| key(kind, args, names);
        match name {
            "save_chat_message" => {
                self.upsert(key("message", &["chat_id", "message_id"]), now);
                self.touch(&key("user", &["chat_id", "user_id"]), now);
            }
            "update_chat_user" => self.upsert(key("user", &["chat_id", "user_id"]), now),
            "update_user_metadata" => self.touch(&key("user", &["chat_id", "user_id"]), now),
            "add_media_attachment" => self.upsert(key("media", &["file_unique_id"]), now),
            "update_media_attachment" => self.touch(&key("media", &["media_id"]), now),
            "update_chat_info" => self.upsert(key("chat", &["chat_id"]), now),
            "update_chat_topic_info" => self.upsert(key("topic", &["chat_id", "topic_id"]), now),
            "add_chat_summarization" => self.upsert(key("summary", &SUMMARY), now),
            "add_delayed_task" => self.upsert(key("task", &["task_id"]), now),
            "update_delayed_task" => self.touch(&key("task", &["id"]), now),
            "add_spam_message" => self.upsert(key("spam", &SPAM), now),
            "set_cache_storage" => self.upsert(key("storage", &["namespace", "key"]), now),
            "set_cache_entry" => self.upsert(key("cache", &["cache_type", "key"]), now),
            _ => {}
        }
    }

    /// The recorded answer with the moments that its rows must show.
    pub(super) fn fill(&self, name: &str, args: &Map<String, Value>, result: &Value) -> Value {
        match result {
            Value::Array(rows) => rows.iter().map(|row| self.fill(name, args, row)).collect(),
            Value::Object(row) if row.values().any(|value| value == "<timestamp>") => self.fill_row(name, args, row),
            other => other.clone(),
        }
    }

    fn fill_row(&self, name: &str, args: &Map<String, Value>, row: &Map<String, Value>) -> Value {
        let of = |kind, names: &[&str]| self.0[&key(kind, row, names)];
        let own = match name {
            "get_chat_user" | "get_chat_users" | "get_chat_user_by_username" => of("user", &["chat_id", "user_id"]),
            "get_media_attachment" => of("media", &["file_unique_id"]),
            "get_chat_info" | "get_user_chats" | "get_all_group_chats" => of("chat", &["chat_id"]),
            "get_chat_topics" => of("topic", &["chat_id", "topic_id"]),
            "get_chat_summarization" => of("summary", &SUMMARY),
            "get_pending_delayed_tasks" => of("task", &["id"]),
            "get_cache_storage" => of("storage", &["namespace", "key"]),
            "get_cache_entry" => self.0[&key("cache", args, &["cache_type", "key"])],
            name if name.starts_with("get_spam_messages") => of("spam", &SPAM),
            name if name.starts_with("get_chat_message") => of("message", &["chat_id", "message_id"]),
            other => panic!("`{other}` answers rows with times, and no rule says which"),
        };
        let media = || of("media", &["media_file_unique_id"]);
        let fill = |(column, value): (&String, &Value)| {
            let moment = match (value == "<timestamp>", column.as_str()) {
                (false, _) => return (column.clone(), value.clone()),
                (true, "created_at") => own.created,
                (true, "updated_at") => own.updated,
                (true, "media_created_at") => media().created,
                (true, "media_updated_at") => media().updated,
                (true, other) => panic!("`{other}` holds a time, and no rule says which"),
            };
            (column.clone(), json!(moment))
        };
        row.iter().map(fill).collect()
    }

    fn upsert(&mut self, key: String, now: Timestamp) {
        self.0.entry(key).or_insert(Moments { created: now, updated: now }).updated = now;
    }

    fn touch(&mut self, key: &str, now: Timestamp) {
        if let Some(moments) = self.0.get_mut(key) {
            moments.updated = now;
        }
    }
}

const SPAM: [&str; 3] = ["chat_id", "user_id", "message_id"];
const SUMMARY: [&str; 5] = ["chat_id", "topic_id", "first_message_id", "last_message_id", "prompt"];

/// A row's key: ids that are numbers in one place and text in another are the same.
fn key(kind: &str, from: &Map<String, Value>, names: &[&str]) -> String {
    let part = |name: &&str| match from.get(*name) {
        Some(Value::String(text)) => text.clone(),
        other => other.unwrap_or(&Value::Null).to_string(),
    };
    format!("{kind} {}", names.iter().map(part).collect::<Vec<_>>().join(" "))
}
