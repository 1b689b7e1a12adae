//! Reading a chat's rows as the bot reads them: through the models where there are any, else column by column.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::maintenance::SiteFile;
use crate::models::{ChatInfo, ChatMessage, ChatSummarization, ChatTopic, ChatUser, MediaAttachment, SpamMessage};
use crate::params;
use crate::source::{BadColumn, FromRow, FromValue, Moment, Row};
use crate::time::Timestamp;

/// A row with a value that the bot cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BadRow {
    /// The source that has it; or the stand-in of which.
    pub source: String,
    /// The table.
    pub table: &'static str,
    /// Which row it is.
    pub row: String,
    /// The column.
    pub column: String,
    /// What the column should hold.
    pub expected: String,
    /// What kind of value it holds; never the value.
    pub found: String,
}

/// A table: how its rows are read, and what each has to be.
struct Reading {
    table: &'static str,
    /// `?1` is the chat.
    sql: &'static str,
    /// What tells which row it is: no column with what somebody wrote.
    key: &'static [&'static str],
    fits: fn(&Row<'_>) -> Result<(), BadColumn>,
}

fn model<T: FromRow>(row: &Row<'_>) -> Result<(), BadColumn> {
    T::from_row(row).map(drop)
}

/// Columns of these types.
macro_rules! columns {
    ($($column:literal: $type:ty),* $(,)?) => {
        |row: &Row<'_>| {
            $(column::<$type>(row, $column)?;)*
            Ok(())
        }
    };
}

fn column<T: FromValue>(row: &Row<'_>, name: &str) -> Result<(), BadColumn> {
    row.get::<T>(name).map(drop)
}

const READINGS: [Reading; 14] = [
    Reading {
        table: "chat_messages",
        sql: "SELECT chat_id, message_id, date, user_id, reply_id, thread_id, root_message_id, message_text, message_type,
                     message_category, quote_text, media_id, created_at, '' AS username, '' AS full_name,
                     NULL AS media_file_unique_id
              FROM chat_messages WHERE chat_id = ?1",
        key: ChatMessage::KEY,
        fits: model::<ChatMessage>,
    },
    Reading {
        table: "chat_users",
        sql: "SELECT chat_id, user_id, username, full_name, timezone, messages_count, is_spammer, metadata, created_at,
                     updated_at
              FROM chat_users WHERE chat_id = ?1",
        key: ChatUser::KEY,
        fits: model::<ChatUser>,
    },
    Reading {
        table: "chat_info",
        sql: "SELECT chat_id, title, username, type, is_forum, created_at, updated_at FROM chat_info WHERE chat_id = ?1",
        key: ChatInfo::KEY,
        fits: model::<ChatInfo>,
    },
    Reading {
        table: "chat_topics",
        sql: "SELECT chat_id, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at
              FROM chat_topics WHERE chat_id = ?1",
        key: ChatTopic::KEY,
        fits: model::<ChatTopic>,
    },
    Reading {
        table: "chat_summarization_cache",
        sql: "SELECT csid, chat_id, topic_id, first_message_id, last_message_id, prompt, summary, created_at, updated_at
              FROM chat_summarization_cache WHERE chat_id = ?1",
        key: ChatSummarization::KEY,
        fits: model::<ChatSummarization>,
    },
    Reading {
        table: "spam_messages",
        sql: "SELECT chat_id, user_id, message_id, text, reason, score, created_at, updated_at
              FROM spam_messages WHERE chat_id = ?1",
        key: SpamMessage::KEY,
        fits: model::<SpamMessage>,
    },
    Reading {
        table: "ham_messages",
        sql: "SELECT chat_id, user_id, message_id, text, reason, score, created_at, updated_at
              FROM ham_messages WHERE chat_id = ?1",
        key: SpamMessage::KEY,
        fits: model::<SpamMessage>,
    },
    Reading {
        table: "media_attachments",
        sql: "SELECT file_unique_id, file_id, file_size, media_type, metadata, status, mime_type, local_url, prompt,
                     description, created_at, updated_at, rowid
              FROM media_attachments
              WHERE file_unique_id IN (SELECT media_id FROM chat_messages WHERE chat_id = ?1)",
        key: MediaAttachment::KEY,
        fits: model::<MediaAttachment>,
    },
    Reading {
        table: "chat_settings",
        sql: "SELECT chat_id, key, value, created_at, updated_at, rowid FROM chat_settings WHERE chat_id = ?1",
        key: &["chat_id", "rowid"],
        fits: columns!("key": String, "value": Option<String>, "created_at": Timestamp, "updated_at": Timestamp),
    },
    Reading {
        table: "chat_stats",
        sql: "SELECT chat_id, date, messages_count, created_at, updated_at FROM chat_stats WHERE chat_id = ?1",
        key: &["chat_id", "date"],
        fits: columns!("date": Timestamp, "messages_count": i64, "created_at": Timestamp, "updated_at": Timestamp),
    },
    Reading {
        table: "chat_user_stats",
        sql: "SELECT chat_id, user_id, date, messages_count, created_at, updated_at
              FROM chat_user_stats WHERE chat_id = ?1",
        key: &["chat_id", "user_id", "date"],
        fits: columns!("user_id": UserId, "date": Timestamp, "messages_count": i64, "created_at": Timestamp,
                       "updated_at": Timestamp),
    },
    Reading {
        table: "user_data",
        sql: "SELECT user_id, chat_id, key, data, created_at, updated_at, rowid FROM user_data WHERE chat_id = ?1",
        key: &["chat_id", "user_id", "rowid"],
        fits: columns!("user_id": UserId, "key": String, "data": String, "created_at": Timestamp,
                       "updated_at": Timestamp),
    },
    Reading {
        table: "bayes_tokens",
        sql: "SELECT token, chat_id, spam_count, ham_count, total_count, created_at, updated_at, rowid
              FROM bayes_tokens WHERE chat_id = ?1",
        key: &["chat_id", "rowid"],
        fits: columns!("token": String, "spam_count": i64, "ham_count": i64, "total_count": i64,
                       "created_at": Timestamp, "updated_at": Timestamp),
    },
    Reading {
        table: "bayes_classes",
        sql: "SELECT chat_id, is_spam, message_count, token_count, created_at, updated_at, rowid
              FROM bayes_classes WHERE chat_id = ?1",
        key: &["chat_id", "rowid"],
        fits: columns!("is_spam": bool, "message_count": i64, "token_count": i64, "created_at": Timestamp,
                       "updated_at": Timestamp),
    },
];

/// Messages that the bot does not show, since it knows nothing of who wrote them.
const WITHOUT_AUTHOR: &str = "SELECT m.chat_id, m.message_id FROM chat_messages m
    WHERE m.chat_id = ?1
      AND NOT EXISTS (SELECT 1 FROM chat_users u WHERE u.chat_id = m.chat_id AND u.user_id = m.user_id)";

/// Reads what a file has of a chat, and tells of each row that cannot be.
pub(super) fn read(file: &SiteFile, moment: &Moment, chat: ChatId, bad: &mut dyn FnMut(BadRow)) -> Result<()> {
    const OP: &str = "verify.read";
    let source = file.called();
    let mut told = |table, row: &Row<'_>, key: &[&str], column: BadColumn| {
        let BadColumn { column, expected, found } = column;
        let (source, row) = (source.clone(), row.key(key));
        bad(BadRow { source, table, row, column, expected: expected.to_owned(), found });
    };
    for Reading { table, sql, key, fits } in &READINGS {
        moment.read(OP, &file.name, |tx| {
            tx.scan(sql, params![chat], |row| {
                if let Err(column) = fits(row) {
                    told(table, row, key, column);
                }
                Ok(ControlFlow::Continue(()))
            })
        })?;
    }
    moment.read(OP, &file.name, |tx| {
        tx.scan(WITHOUT_AUTHOR, params![chat], |row| {
            let (column, expected) = ("user_id".to_owned(), "a person in chat_users");
            told("chat_messages", row, ChatMessage::KEY, BadColumn { column, expected, found: "nobody".to_owned() });
            Ok(ControlFlow::Continue(()))
        })
    })
}
