//! Messages kept as examples of spam and of its opposite.

use serde::Serialize;

use super::{ClassDelta, SpamReason, TokenDelta, from_row};
use crate::ids::{ChatId, MessageId, UserId};
use crate::time::Timestamp;

/// An example to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSpam {
    /// Who said it.
    pub user_id: UserId,
    /// The message.
    pub message_id: MessageId,
    /// What was said.
    pub text: String,
    /// Why it is kept.
    pub reason: SpamReason,
    /// What the filter thought of it, 0 to 100.
    pub score: f64,
}

/// A kept example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpamMessage {
    /// The chat it was said in.
    pub chat_id: ChatId,
    /// Who said it.
    pub user_id: UserId,
    /// The message.
    pub message_id: MessageId,
    /// What was said.
    pub text: String,
    /// Why it is kept.
    pub reason: SpamReason,
    /// What the filter thought of it, 0 to 100.
    pub score: f64,
    /// When it was kept.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

from_row!(
    SpamMessage, "spam_messages", key: ["chat_id", "user_id", "message_id"],
    chat_id, user_id, message_id, text, reason, score, created_at, updated_at,
);

/// What a person's message taught, as spam or as its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The chat it was said in.
    pub chat_id: ChatId,
    /// The message.
    pub message_id: MessageId,
    /// Whether it was spam.
    pub is_spam: bool,
    /// What was said.
    pub text: String,
}

from_row!(Example, "spam_messages", key: ["chat_id", "message_id"], chat_id, message_id, is_spam, text);

/// What a chat's model has to unlearn with an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlearnt {
    /// The chat whose model it is.
    pub chat: ChatId,
    /// From the counts of tokens; negative.
    pub tokens: Vec<TokenDelta>,
    /// From the counts of the class; negative.
    pub class: ClassDelta,
}
