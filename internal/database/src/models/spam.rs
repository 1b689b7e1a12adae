//! Messages kept as examples of spam and of its opposite.

use serde::Serialize;

use super::{ClassDelta, MessageCategory, SpamReason, TokenDelta, from_row};
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

/// What a chat's model is to learn from a message, and to unlearn where somebody taught it the opposite.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Whether it is spam.
    pub is_spam: bool,
    /// The message, as an example.
    pub example: NewSpam,
    /// The tokens of its text, each once.
    pub tokens: Vec<String>,
    /// The message's category from now on, with the chat that it stands in, where it is a stored message.
    pub category: Option<(ChatId, MessageCategory)>,
    /// The opposite lesson, as it was given or would have been.
    pub opposite: Opposite,
}

/// The lesson that a new one takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opposite {
    /// The chat it was given in: this one, or what it was before it became a supergroup.
    pub chat_id: ChatId,
    /// What was learnt from: the message's text at that time.
    pub text: String,
    /// The tokens of that text, each once.
    pub tokens: Vec<String>,
}
