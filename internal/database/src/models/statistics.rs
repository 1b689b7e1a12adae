//! Figures about chats and people, and what a search finds.

use serde::Serialize;

use super::{ChatMessage, ChatUser, MessageCategory, from_row};
use crate::ids::{TopicId, UserId};
use crate::time::Timestamp;

/// A chat in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChatTotals {
    /// Messages stored.
    pub messages: i64,
    /// People who said them.
    pub people: i64,
    /// Days on which something was said.
    pub days: i64,
    /// The first of those days.
    pub first_day: Option<Timestamp>,
    /// The last of those days.
    pub last_day: Option<Timestamp>,
}

from_row!(ChatTotals, "chat_stats", key: [], messages, people, days, first_day, last_day);

/// A day in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DayActivity {
    /// The day's first second.
    pub day: Timestamp,
    /// Messages stored of that day.
    pub messages: i64,
}

from_row!(DayActivity, "chat_stats", key: ["day"], day, messages);

/// A person's share in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonActivity {
    /// The person.
    pub user_id: UserId,
    /// The full name; `None` where the chat does not know the person.
    pub full_name: Option<String>,
    /// The user name.
    pub username: Option<String>,
    /// Messages stored of that person.
    pub messages: i64,
}

from_row!(PersonActivity, "chat_user_stats", key: ["user_id"], user_id, full_name, username, messages);

/// A topic's share in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TopicActivity {
    /// The topic.
    pub topic_id: TopicId,
    /// Messages stored in it.
    pub messages: i64,
}

from_row!(TopicActivity, "chat_messages", key: ["topic_id"], topic_id, messages);

/// A part of a long list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which part, counted from 0.
    pub number: u32,
    /// How many a part has.
    pub size: u32,
}

/// What is looked for in a chat.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The words that a message contains: all of them, in any order, anywhere in the text, whatever their case.
    /// Without words nothing is found.
    pub words: &'a [&'a str],
    /// The categories that are looked through.
    pub categories: &'a [MessageCategory],
    /// Which part of what is found.
    pub page: Page,
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMessages {
    /// The messages, newest first.
    pub messages: Vec<ChatMessage>,
    /// Whether there is a further page.
    pub more: bool,
}

/// What one chat keeps about a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserFootprint {
    /// The person's row, where the chat knows the person.
    pub user: Option<ChatUser>,
    /// Messages stored.
    pub messages: i64,
    /// When the first of them was said.
    pub first_message: Option<Timestamp>,
    /// When the last of them was said.
    pub last_message: Option<Timestamp>,
    /// Things the person asked to be remembered.
    pub remembered: i64,
    /// Messages kept as examples of spam.
    pub spam_examples: i64,
    /// Messages kept as examples of its opposite.
    pub ham_examples: i64,
    /// Days for which the person's messages are counted.
    pub counted_days: i64,
    /// Files that are attached to the person's messages and to nobody else's.
    pub media: i64,
    /// Messages of others that quote the person's.
    pub quotes: i64,
    /// Stored summaries, which may tell what the person said; of a chat in which the person said something.
    pub summaries: i64,
}
