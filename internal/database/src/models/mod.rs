//! What the tables' rows are in the program, each struct mapped from its row in one place.

mod bayes;
mod cache;
mod chat;
mod enums;
mod media;
mod message;
mod spam;
mod statistics;
mod task;
mod user;

pub use bayes::{ClassCounts, ClassDelta, TokenCounts, TokenDelta};
pub use cache::{CacheEntry, CacheStorageEntry};
pub use chat::{ChatInfo, ChatSummarization, ChatTopic, NewChatInfo, NewSummarization, NewTopic, SummarizationKey};
pub use enums::{CacheType, ChatType, MediaStatus, MessageCategory, MessageType, SpamReason};
pub use media::{MediaAttachment, MediaChanges, NewMedia};
pub use message::{ChatMessage, MessageFilter, NewMessage, SavedMessages};
pub use spam::{Example, Lesson, NewSpam, Opposite, SpamMessage, Unlearnt};
pub use statistics::{
    ChatTotals, DayActivity, FoundMessages, Page, PersonActivity, Search, TopicActivity, UserFootprint,
};
pub use task::DelayedTask;
pub use user::ChatUser;

/// Implements `FromRow` for a struct whose fields are called as its columns.
macro_rules! from_row {
    ($name:ident, $table:literal, key: [$($key:literal),*], $($field:ident),* $(,)?) => {
        impl crate::source::FromRow for $name {
            const TABLE: &'static str = $table;
            const KEY: &'static [&'static str] = &[$($key),*];

            fn from_row(row: &crate::source::Row<'_>) -> Result<Self, crate::source::BadColumn> {
                Ok(Self { $($field: row.get(stringify!($field))?),* })
            }
        }
    };
}
use from_row;
