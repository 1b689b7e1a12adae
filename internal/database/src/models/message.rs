//! Messages as they are stored and read back.

use serde::Serialize;

use super::{MediaAttachment, MessageCategory, MessageType};
use crate::ids::{ChatId, MediaId, MessageId, TopicId, UserId};
use crate::source::{BadColumn, FromRow, Row};
use crate::time::Timestamp;

/// A message to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id within the chat.
    pub message_id: MessageId,
    /// When it was said.
    pub date: Timestamp,
    /// Who said it.
    pub user_id: UserId,
    /// What was said; empty where it is media alone.
    pub message_text: String,
    /// The message it answers.
    pub reply_id: Option<MessageId>,
    /// The topic it is in.
    pub thread_id: TopicId,
    /// The first message of its chain of replies.
    pub root_message_id: Option<MessageId>,
    /// What it consists of.
    pub message_type: MessageType,
    /// Who said it, and in which role.
    pub message_category: MessageCategory,
    /// What it quotes.
    pub quote_text: Option<String>,
    /// The media attached to it.
    pub media_id: Option<MediaId>,
}

impl NewMessage {
    /// A plain text message of no particular category that answers nothing.
    pub fn text(
        message_id: impl Into<MessageId>,
        date: Timestamp,
        user_id: UserId,
        message_text: impl Into<String>,
    ) -> Self {
        Self {
            message_id: message_id.into(),
            date,
            user_id,
            message_text: message_text.into(),
            reply_id: None,
            thread_id: TopicId::NONE,
            root_message_id: None,
            message_type: MessageType::Text,
            message_category: MessageCategory::Unspecified,
            quote_text: None,
            media_id: None,
        }
    }
}

/// How many messages of a batch were new, and how many were there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SavedMessages {
    /// Stored and counted now.
    pub new: u64,
    /// Left as they were.
    pub known: u64,
}

/// A stored message with its author's names and its media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// The chat it was said in.
    pub chat_id: ChatId,
    /// Its id within the chat.
    pub message_id: MessageId,
    /// When it was said.
    pub date: Timestamp,
    /// Who said it.
    pub user_id: UserId,
    /// The message it answers.
    pub reply_id: Option<MessageId>,
    /// The topic it is in.
    pub thread_id: TopicId,
    /// The first message of its chain of replies.
    pub root_message_id: Option<MessageId>,
    /// What was said.
    pub message_text: String,
    /// What it consists of.
    pub message_type: MessageType,
    /// Who said it, and in which role.
    pub message_category: MessageCategory,
    /// What it quotes.
    pub quote_text: Option<String>,
    /// The media attached to it.
    pub media_id: Option<MediaId>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The author's user name; empty where there is none.
    pub username: String,
    /// The author's full name.
    pub full_name: String,
    /// The attachment that `media_id` names; `None` where it is not known.
    pub media: Option<MediaAttachment>,
}

impl FromRow for ChatMessage {
    const TABLE: &'static str = "chat_messages";
    const KEY: &'static [&'static str] = &["chat_id", "message_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self {
            chat_id: row.get("chat_id")?,
            message_id: row.get("message_id")?,
            date: row.get("date")?,
            user_id: row.get("user_id")?,
            reply_id: row.get("reply_id")?,
            thread_id: row.get("thread_id")?,
            root_message_id: row.get("root_message_id")?,
            message_text: row.get("message_text")?,
            message_type: row.get("message_type")?,
            message_category: row.get("message_category")?,
            quote_text: row.get("quote_text")?,
            media_id: row.get("media_id")?,
            created_at: row.get("created_at")?,
            username: row.get("username")?,
            full_name: row.get("full_name")?,
            media: MediaAttachment::joined(row)?,
        })
    }
}

/// Which messages of a chat are wanted; everything where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Later than this moment.
    pub since: Option<Timestamp>,
    /// Earlier than this moment.
    pub till: Option<Timestamp>,
    /// In this topic ([`TopicId::NONE`] for those in none).
    pub thread_id: Option<TopicId>,
    /// Of these categories; an empty list wants none.
    pub categories: Option<Vec<MessageCategory>>,
    /// How many at most.
    pub limit: Option<u32>,
}
