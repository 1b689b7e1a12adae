//! Bringing in history: messages, people, topics and media of a chat in batches, each with how far the import is.

use serde::{Deserialize, Serialize};

use super::{media, messages};
use crate::error::Result;
use crate::ids::{ChatId, MessageId, TopicId, UserId};
use crate::models::{ChatType, NewMedia, NewMessage, SavedMessages};
use crate::route::Route;
use crate::source::{BadColumn, FromRow, Row, Tally, WriteTx};
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

/// A part of a chat's history, stored as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct ImportBatch {
    /// What was said.
    pub messages: Vec<NewMessage>,
    /// The attachments of the messages.
    pub media: Vec<NewMedia>,
    /// Who was there, at the latest moment that the batch tells of each.
    pub people: Vec<(UserId, ImportedName)>,
    /// What the chat's topics are called.
    pub topics: Vec<(TopicId, ImportedName)>,
    /// What the chat is, and what it is called.
    pub chat: Option<(ChatType, ImportedName)>,
    /// How far the import is with this batch.
    pub progress: Option<ImportProgress>,
}

/// A name as it was at a moment of the past. It replaces a name that is older, never one that is newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedName {
    /// The name; `None` where the history does not tell.
    pub name: Option<String>,
    /// When it was so.
    pub at: Timestamp,
}

/// How far the import of a chat from a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// What tells the file from others.
    pub file: String,
    /// How many of the chat's records are stored, counted from the first.
    pub records: i64,
    /// Whether these are all.
    pub is_complete: bool,
}

impl FromRow for ImportProgress {
    const TABLE: &'static str = "switchyard_imports";
    const KEY: &'static [&'static str] = &["file"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { file: row.get("file")?, records: row.get("records")?, is_complete: row.get("is_complete")? })
    }
}

/// Where a stored message stands: what a reply to it inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePlace {
    /// Its topic.
    pub thread_id: TopicId,
    /// The first message of its chain of replies, where it is a reply itself.
    pub root_message_id: Option<MessageId>,
}

impl FromRow for MessagePlace {
    const TABLE: &'static str = "chat_messages";
    const KEY: &'static [&'static str] = &[];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { thread_id: row.get("thread_id")?, root_message_id: row.get("root_message_id")? })
    }
}

impl DatabaseWrapper {
    /// Stores a part of a chat's history. Messages that are there already stay as they are and are not counted again;
    /// a name that is known stays unless the history tells of a later one; a user name is never touched. Being told of
    /// in history is not being heard of now: `updated_at` of people and chats is the moment in history.
    ///
    /// # Errors
    /// The source cannot be written, or is away (history is not noted to be stored later): nothing of the batch is kept.
    pub fn save_import(&self, chat: ChatId, batch: &ImportBatch) -> Result<SavedMessages> {
        let now = self.now();
        let new = self.write_tallied("imports.save_import", Route::Chat(chat), |tx| {
            // In here, since it may be run again where another serves the chat by then.
            self.refuse_displaced(chat)?;
            if let Some((chat_type, name)) = &batch.chat {
                save_chat(tx, chat, chat_type, name, now)?;
            }
            for (user, name) in &batch.people {
                save_person(tx, chat, *user, name, now)?;
            }
            for (topic, name) in &batch.topics {
                save_topic(tx, chat, *topic, name, now)?;
            }
            for attachment in &batch.media {
                media::insert(tx, attachment, now)?;
            }
            let mut new = Tally::default();
            for message in &batch.messages {
                let inserted = messages::insert(tx, chat, message, now)?;
                new.add(inserted);
                tx.only_if(inserted, |tx| messages::count(tx, chat, message, now, message.date))?;
            }
            if let Some(progress) = &batch.progress {
                save_progress(tx, chat, progress, now)?;
            }
            Ok(new)
        })?;
        Ok(SavedMessages { new, known: batch.messages.len() as u64 - new })
    }

    /// How far the import of a chat from a file is, or `None` where it was not begun.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_import_progress(&self, chat: ChatId, file: &str) -> Result<Option<ImportProgress>> {
        self.read("imports.get_import_progress", Route::Chat(chat), |tx| {
            tx.query_one(
                "SELECT file, records, is_complete FROM switchyard_imports WHERE chat_id = ?1 AND file = ?2",
                params![chat, file],
            )
        })
    }

    /// Where a stored message stands, or `None` where the chat has none of this id.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_message_place(&self, chat: ChatId, message: &MessageId) -> Result<Option<MessagePlace>> {
        self.read("imports.get_message_place", Route::Chat(chat), |tx| {
            tx.query_one(
                "SELECT thread_id, root_message_id FROM chat_messages WHERE chat_id = ?1 AND message_id = ?2",
                params![chat, message],
            )
        })
    }
}

fn save_chat(
    tx: &mut WriteTx<'_>,
    chat: ChatId,
    chat_type: &ChatType,
    ImportedName { name, at }: &ImportedName,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO chat_info (chat_id, title, type, is_forum, created_at, updated_at)
         VALUES (?1, ?2, ?3, FALSE, ?4, ?5)
         ON CONFLICT (chat_id) DO UPDATE
         SET title = COALESCE(excluded.title, chat_info.title),
             updated_at = CASE WHEN excluded.updated_at > chat_info.updated_at
                               THEN excluded.updated_at ELSE chat_info.updated_at END
         WHERE excluded.updated_at >= chat_info.updated_at OR chat_info.title IS NULL",
        params![chat, name, chat_type, now, at],
    )?;
    Ok(())
}

fn save_person(
    tx: &mut WriteTx<'_>,
    chat: ChatId,
    user: UserId,
    ImportedName { name, at }: &ImportedName,
    now: Timestamp,
) -> Result<()> {
    let name = name.as_deref().unwrap_or_default();
    tx.execute(
        "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
         VALUES (?1, ?2, '', ?3, ?4, ?5)
         ON CONFLICT (chat_id, user_id) DO UPDATE
         SET full_name = CASE WHEN excluded.full_name = '' THEN chat_users.full_name ELSE excluded.full_name END,
             updated_at = CASE WHEN excluded.updated_at > chat_users.updated_at
                               THEN excluded.updated_at ELSE chat_users.updated_at END
         WHERE excluded.updated_at >= chat_users.updated_at OR chat_users.full_name = ''",
        params![chat, user, name, now, at],
    )?;
    Ok(())
}

fn save_topic(
    tx: &mut WriteTx<'_>,
    chat: ChatId,
    topic: TopicId,
    ImportedName { name, at }: &ImportedName,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO chat_topics (chat_id, topic_id, name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (chat_id, topic_id) DO UPDATE
         SET name = COALESCE(excluded.name, chat_topics.name), updated_at = excluded.updated_at
         WHERE excluded.updated_at >= chat_topics.updated_at",
        params![chat, topic, name, now, at],
    )?;
    tx.execute("UPDATE chat_info SET is_forum = TRUE WHERE chat_id = ?1 AND NOT is_forum", params![chat])?;
    Ok(())
}

fn save_progress(tx: &mut WriteTx<'_>, chat: ChatId, progress: &ImportProgress, now: Timestamp) -> Result<()> {
    let ImportProgress { file, records, is_complete } = progress;
    tx.execute(
        "INSERT INTO switchyard_imports (chat_id, file, records, is_complete, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (chat_id, file) DO UPDATE
         SET records = excluded.records, is_complete = excluded.is_complete, updated_at = excluded.updated_at",
        params![chat, file, records, is_complete, now],
    )?;
    Ok(())
}
