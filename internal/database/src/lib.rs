//! The databases that a group-chat bot's chats live in, behind one wrapper.

mod ids;
mod time;

pub use ids::{ChatId, MediaId, MessageId, TopicId, UserId};
pub use time::{Clock, InvalidTimestamp, SystemClock, Timestamp};
