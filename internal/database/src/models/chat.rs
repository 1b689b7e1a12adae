//! Chats, their topics and their summaries.

use serde::Serialize;

use super::{ChatType, from_row};
use crate::ids::{ChatId, MessageId, TopicId};
use crate::time::Timestamp;

/// What is known of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatInfo {
    /// The chat.
    pub chat_id: ChatId,
    /// Its title; private chats have none.
    pub title: Option<String>,
    /// Its public name.
    pub username: Option<String>,
    /// Its kind.
    #[serde(rename = "type")]
    pub chat_type: ChatType,
    /// Whether it has topics.
    pub is_forum: bool,
    /// When it became known.
    pub created_at: Timestamp,
    /// When this was last changed.
    pub updated_at: Timestamp,
}

impl crate::source::FromRow for ChatInfo {
    const TABLE: &'static str = "chat_info";
    const KEY: &'static [&'static str] = &["chat_id"];

    fn from_row(row: &crate::source::Row<'_>) -> Result<Self, crate::source::BadColumn> {
        Ok(Self {
            chat_id: row.get("chat_id")?,
            title: row.get("title")?,
            username: row.get("username")?,
            chat_type: row.get("type")?,
            is_forum: row.get("is_forum")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// What a chat is now. It replaces what was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChatInfo {
    /// Its title.
    pub title: Option<String>,
    /// Its public name.
    pub username: Option<String>,
    /// Its kind.
    pub chat_type: ChatType,
    /// Whether it has topics.
    pub is_forum: bool,
}

/// A topic of a forum chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatTopic {
    /// The chat.
    pub chat_id: ChatId,
    /// The topic.
    pub topic_id: TopicId,
    /// The colour of its icon, as RGB.
    pub icon_color: Option<i64>,
    /// The emoji that is its icon.
    pub icon_custom_emoji_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// When it became known.
    pub created_at: Timestamp,
    /// When this was last changed.
    pub updated_at: Timestamp,
}

from_row!(
    ChatTopic, "chat_topics", key: ["chat_id", "topic_id"],
    chat_id, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at,
);

/// What a topic is now. It replaces what was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// The colour of its icon, as RGB.
    pub icon_color: Option<i64>,
    /// The emoji that is its icon.
    pub icon_custom_emoji_id: Option<String>,
    /// Its name.
    pub name: String,
}

impl Default for NewTopic {
    fn default() -> Self {
        Self { icon_color: None, icon_custom_emoji_id: None, name: "Default".to_owned() }
    }
}

/// What was summarised, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummarizationKey {
    /// The topic, where it is one's.
    pub topic_id: Option<TopicId>,
    /// The first message.
    pub first_message_id: MessageId,
    /// The last message.
    pub last_message_id: MessageId,
    /// What the summary was asked for with.
    pub prompt: String,
}

/// A summary to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSummarization {
    /// What was summarised.
    pub key: SummarizationKey,
    /// The summary.
    pub summary: String,
}

/// A kept summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatSummarization {
    /// The summary's own id, made of what was summarised.
    pub csid: String,
    /// The chat.
    pub chat_id: ChatId,
    /// The topic, where it is one's.
    pub topic_id: Option<TopicId>,
    /// The first message.
    pub first_message_id: MessageId,
    /// The last message.
    pub last_message_id: MessageId,
    /// What the summary was asked for with.
    pub prompt: String,
    /// The summary.
    pub summary: String,
    /// When it was first made.
    pub created_at: Timestamp,
    /// When it was last made.
    pub updated_at: Timestamp,
}

from_row!(
    ChatSummarization, "chat_summarization_cache", key: ["chat_id", "first_message_id", "last_message_id"],
    csid, chat_id, topic_id, first_message_id, last_message_id, prompt, summary, created_at, updated_at,
);
