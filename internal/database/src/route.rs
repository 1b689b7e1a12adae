//! Where a call goes: the routes that methods name, and the names of sources.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::ids::ChatId;

/// Where a call's rows are, as the method that makes the call says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Route {
    /// In the source that the chat is mapped to; the default source where it is mapped to none.
    Chat(ChatId),
    /// In the default source: what belongs to no chat.
    Shared,
}

impl Route {
    /// The chat's route, or the shared one where there is no chat.
    pub fn chat_or_shared(chat: Option<ChatId>) -> Self {
        chat.map_or(Self::Shared, Self::Chat)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chat(chat) => write!(f, "chat {chat}"),
            Self::Shared => f.write_str("shared"),
        }
    }
}

/// A source's name: 1 to 64 of the characters `a-z`, `0-9`, `_` and `-`. Cheap to clone: up to 23 of them are copied, and
/// threads that clone the same name share no count of its users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(SmolStr);

/// The text is no source name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source's name has 1 to 64 of the characters a-z, 0-9, _ and -")]
pub struct InvalidSourceName;

impl SourceName {
    /// What the one source of a single file is called.
    pub fn primary() -> Self {
        Self(SmolStr::new_static("primary"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was asked for and may not be valid: for errors that say so.
    pub(crate) fn unchecked(text: &str) -> Self {
        Self(SmolStr::new(text))
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(InvalidSourceName)
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
