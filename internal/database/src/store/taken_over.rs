//! What a supergroup takes over of the group that it was, table by table.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::ids::ChatId;
use crate::params;
use crate::source::{BadColumn, ReadTx, Value};

/// What the new chat takes over of a table. It may have rows already: people may have spoken in it before the news came.
/// What was set there since stays; counts are added up; of what else is known the newer counts, and the older where
/// nothing newer is.
pub(super) struct TakenOver {
    table: &'static str,
    /// All but the chat.
    columns: &'static [&'static str],
    key: &'static str,
    /// What is done where the new chat has the row.
    on_conflict: &'static str,
}

pub(super) const TAKEN_OVER: [TakenOver; 7] = [
    TakenOver {
        table: "chat_settings",
        columns: &["key", "value", "created_at", "updated_at"],
        key: "chat_id, key",
        on_conflict: "NOTHING",
    },
    TakenOver {
        table: "chat_users",
        columns: &[
            "user_id",
            "username",
            "full_name",
            "timezone",
            "messages_count",
            "created_at",
            "updated_at",
            "is_spammer",
            "metadata",
        ],
        key: "chat_id, user_id",
        on_conflict: "UPDATE
     SET username = CASE WHEN chat_users.username = '' THEN excluded.username ELSE chat_users.username END,
         full_name = CASE WHEN chat_users.full_name = '' THEN excluded.full_name ELSE chat_users.full_name END,
         timezone = COALESCE(chat_users.timezone, excluded.timezone),
         messages_count = chat_users.messages_count + excluded.messages_count,
         is_spammer = CASE WHEN chat_users.is_spammer THEN TRUE ELSE excluded.is_spammer END,
         metadata = CASE WHEN chat_users.metadata = '' THEN excluded.metadata ELSE chat_users.metadata END,
         created_at = CASE WHEN excluded.created_at < chat_users.created_at
                           THEN excluded.created_at ELSE chat_users.created_at END",
    },
    TakenOver {
        table: "user_data",
        columns: &["user_id", "key", "data", "created_at", "updated_at"],
        key: "user_id, chat_id, key",
        on_conflict: "NOTHING",
    },
    TakenOver {
        table: "chat_info",
        columns: &["title", "username", "type", "is_forum", "created_at", "updated_at"],
        key: "chat_id",
        on_conflict: "UPDATE
     SET title = COALESCE(chat_info.title, excluded.title),
         username = COALESCE(chat_info.username, excluded.username),
         type = excluded.type,
         is_forum = CASE WHEN chat_info.is_forum THEN TRUE ELSE excluded.is_forum END,
         created_at = CASE WHEN excluded.created_at < chat_info.created_at
                           THEN excluded.created_at ELSE chat_info.created_at END",
    },
    TakenOver {
        table: "chat_topics",
        columns: &["topic_id", "icon_color", "icon_custom_emoji_id", "name", "created_at", "updated_at"],
        key: "chat_id, topic_id",
        on_conflict: "NOTHING",
    },
    TakenOver {
        table: "bayes_tokens",
        columns: &["token", "spam_count", "ham_count", "total_count", "created_at", "updated_at"],
        key: "token, chat_id",
        on_conflict: "UPDATE
     SET spam_count = COALESCE(bayes_tokens.spam_count, 0) + COALESCE(excluded.spam_count, 0),
         ham_count = COALESCE(bayes_tokens.ham_count, 0) + COALESCE(excluded.ham_count, 0),
         total_count = COALESCE(bayes_tokens.total_count, 0) + COALESCE(excluded.total_count, 0)",
    },
    TakenOver {
        table: "bayes_classes",
        columns: &["is_spam", "message_count", "token_count", "created_at", "updated_at"],
        key: "chat_id, is_spam",
        on_conflict: "UPDATE
     SET message_count = COALESCE(bayes_classes.message_count, 0) + COALESCE(excluded.message_count, 0),
         token_count = COALESCE(bayes_classes.token_count, 0) + COALESCE(excluded.token_count, 0)",
    },
];

impl TakenOver {
    /// The columns as they are read of the old chat, `?1`.
    fn read(&self) -> String {
        let column = |name: &&str| if *name == "type" { "'supergroup' AS type".to_owned() } else { (*name).to_owned() };
        self.columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// Takes over within a source, from the chat `?1` to `?2`.
    pub(super) fn within(&self) -> String {
        let Self { table, columns, key, on_conflict } = self;
        let (columns, read) = (columns.join(", "), self.read());
        format!(
            "INSERT INTO {table} (chat_id, {columns})
             SELECT ?2, {read} FROM {table} WHERE chat_id = ?1
             ON CONFLICT ({key}) DO {on_conflict}"
        )
    }

    /// Takes over one row by its values, to the chat `?1`.
    pub(super) fn by_values(&self) -> String {
        let Self { table, columns, key, on_conflict } = self;
        let places: Vec<_> = (1..=columns.len() + 1).map(|place| format!("?{place}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        format!("INSERT INTO {table} (chat_id, {columns}) VALUES ({places}) ON CONFLICT ({key}) DO {on_conflict}")
    }

    /// The rows of a chat that its supergroup takes over.
    pub(super) fn rows_of(&self, tx: &ReadTx<'_>, chat: ChatId) -> Result<Vec<Vec<Value>>> {
        let TakenOver { table, columns, .. } = self;
        let sql = format!("SELECT {} FROM {table} WHERE chat_id = ?1", self.read());
        let mut rows = Vec::new();
        tx.scan(&sql, params![chat], |row| {
            let values: Result<Vec<Value>, BadColumn> = columns.iter().map(|column| row.get(column)).collect();
            rows.push(values.map_err(|bad| tx.bad_value(table, "of the group", bad))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }
}
