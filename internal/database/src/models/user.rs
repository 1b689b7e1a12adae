//! People as a chat knows them.

use serde::Serialize;

use super::from_row;
use crate::ids::{ChatId, UserId};
use crate::time::Timestamp;

/// A person in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatUser {
    /// The chat.
    pub chat_id: ChatId,
    /// The person.
    pub user_id: UserId,
    /// The user name; empty where there is none.
    pub username: String,
    /// The full name.
    pub full_name: String,
    /// The time zone, where the person told it.
    pub timezone: Option<String>,
    /// How many messages of the person were stored since the person is known here.
    pub messages_count: i64,
    /// Whether the person was found to spam.
    pub is_spammer: bool,
    /// More about the person, as JSON; empty where there is nothing.
    pub metadata: String,
    /// When the person became known here.
    pub created_at: Timestamp,
    /// When the person was last heard of here.
    pub updated_at: Timestamp,
}

from_row!(
    ChatUser, "chat_users", key: ["chat_id", "user_id"],
    chat_id, user_id, username, full_name, timezone, messages_count, is_spammer, metadata, created_at, updated_at,
);
