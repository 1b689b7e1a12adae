//! The counts that a naive-Bayes spam filter learns from.

use serde::Serialize;

use super::from_row;

/// How often a token was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// The token.
    pub token: String,
    /// In how many spam messages.
    pub spam_count: i64,
    /// In how many others.
    pub ham_count: i64,
    /// In how many messages in all.
    pub total_count: i64,
}

from_row!(TokenCounts, "bayes_tokens", key: [], token, spam_count, ham_count, total_count);

/// How many messages and tokens of one class were learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassCounts {
    /// Whether the class is spam.
    pub is_spam: bool,
    /// How many messages.
    pub message_count: i64,
    /// How many tokens in them.
    pub token_count: i64,
}

from_row!(ClassCounts, "bayes_classes", key: ["is_spam"], is_spam, message_count, token_count);

/// What is to be added to a token's counts; negative to unlearn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDelta {
    /// The token.
    pub token: String,
    /// To its spam messages.
    pub spam: i64,
    /// To its others.
    pub ham: i64,
}

/// What is to be added to a class's counts; negative to unlearn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassDelta {
    /// Whether the class is spam.
    pub is_spam: bool,
    /// To its messages.
    pub messages: i64,
    /// To its tokens.
    pub tokens: i64,
}
