//! The identifiers of the domain as types of their own, so that a chat is never taken for a user.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The identifier as it is stored.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    };
}

integer_id! {
    /// A chat: positive for a private chat, negative for groups and channels.
    ChatId
}
integer_id! {
    /// A person or a bot; negative where a chat speaks as itself.
    UserId
}
integer_id! {
    /// A topic (thread) of a forum chat.
    TopicId
}

impl TopicId {
    /// Where a chat has no topics.
    pub const NONE: Self = Self(0);
}

text_id! {
    /// A message within its chat. Some platforms have text here; a number is stored as its decimal text.
    MessageId
}
text_id! {
    /// A media attachment: the platform's lasting (unique) file id.
    MediaId
}

impl From<i64> for MessageId {
    fn from(id: i64) -> Self {
        Self(id.to_string())
    }
}
