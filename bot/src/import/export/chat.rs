//! A chat of the export, and how the export's bare ids become the ids of the database.

use database::{ChatId, UserId};
use serde_json::Value;

use super::fields::{integer, text_of};
use super::record::Unfit;

/// Ids of supergroups and channels lie below this.
const CHANNEL_BASE: i64 = -1_000_000_000_000;

/// The kinds of chat that the database tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatKind {
    /// With one person or bot, with oneself, or with a service of the platform.
    Private,
    /// A basic group.
    Group,
    /// A supergroup, possibly with topics.
    Supergroup,
    /// A channel.
    Channel,
}

impl ChatKind {
    /// The kind that an export calls so; `None` for one that is not known.
    pub fn from_export(name: &str) -> Option<Self> {
        Some(match name {
            "saved_messages" | "replies" | "verification_codes" | "personal_chat" | "bot_chat" => Self::Private,
            "private_group" => Self::Group,
            "private_supergroup" | "public_supergroup" => Self::Supergroup,
            "private_channel" | "public_channel" => Self::Channel,
            _ => return None,
        })
    }

    /// The chat's id from the bare one of the export; `None` where it is not positive or has no room.
    pub fn chat_id(self, bare: i64) -> Option<ChatId> {
        match self {
            _ if bare <= 0 => None,
            Self::Private => Some(ChatId(bare)),
            Self::Group => Some(ChatId(-bare)),
            Self::Supergroup | Self::Channel => CHANNEL_BASE.checked_sub(bare).map(ChatId),
        }
    }
}

/// What the export says about a chat before its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatHeader {
    /// The id with which the database knows it.
    pub id: ChatId,
    /// The kind.
    pub kind: ChatKind,
    /// The title, or the other person's name; `None` for a deleted account, saved messages and replies.
    pub name: Option<String>,
    /// Listed among the chats that the exporting person has left.
    pub left: bool,
    /// The line of its `messages`.
    pub line: u64,
}

/// A chat that could not be taken, with all its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedChat {
    /// The bare id of the export, where there is one.
    pub bare_id: Option<i64>,
    /// Why.
    pub reason: &'static str,
    /// The line where its records begin.
    pub line: u64,
    /// How many records it has.
    pub records: u64,
}

/// The keys of a chat as they come.
#[derive(Debug, Default)]
pub(crate) struct HeaderKeys {
    pub(crate) name: Option<Value>,
    pub(crate) kind: Option<Value>,
    pub(crate) id: Option<Value>,
}

impl HeaderKeys {
    /// All that a chat needs before its messages has been there.
    pub(crate) fn complete(&self) -> bool {
        self.kind.is_some() && self.id.is_some()
    }

    pub(crate) fn bare_id(&self) -> Option<i64> {
        self.id.as_ref().and_then(integer)
    }

    pub(crate) fn finish(&mut self, left: bool, line: u64) -> Result<ChatHeader, &'static str> {
        let kind = self.kind.as_ref().and_then(Value::as_str).and_then(ChatKind::from_export);
        let kind = kind.ok_or("its type is not one that is known")?;
        let id = self.bare_id().and_then(|bare| kind.chat_id(bare)).ok_or("its id is not a positive number")?;
        let name = self.name.take().map(text_of).filter(|name| !name.is_empty());
        Ok(ChatHeader { id, kind, name, left, line })
    }
}

/// The id of who speaks: `user5`, `chat5`, `channel5`, or in old files a number, which is a person.
pub(crate) fn peer_id(value: &Value) -> Result<UserId, Unfit> {
    let (kind, bare) = match value {
        Value::String(text) => {
            let digits = text.find(|letter: char| !letter.is_ascii_lowercase()).ok_or(Unfit::Person)?;
            let (kind, bare) = text.split_at(digits);
            (kind, bare.parse().map_err(|_| Unfit::Person)?)
        }
        value => ("", integer(value).ok_or(Unfit::Person)?),
    };
    let kind = match kind {
        "" | "user" => ChatKind::Private,
        "chat" => ChatKind::Group,
        "channel" => ChatKind::Channel,
        _ => return Err(Unfit::Person),
    };
    kind.chat_id(bare).map(|ChatId(id)| UserId(id)).ok_or(Unfit::Person)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bare_ids_become_the_ids_of_the_database() {
        for (value, id) in [
            (json!("user5"), 5),
            (json!("chat5"), -5),
            (json!("channel5"), -1_000_000_000_005),
            (json!(5), 5),
            (json!("5"), 5),
        ] {
            assert_eq!(peer_id(&value), Ok(UserId(id)), "{value}");
        }
    }

    #[test]
    fn an_id_without_room_is_unfit_and_no_panic() {
        for value in [
            json!("channel9223372036854775807"),
            json!("user9223372036854775808"),
            json!("user-5"),
            json!("user"),
            json!("group5"),
            json!("userfive"),
            json!(""),
            json!(0),
            json!(-5),
            json!(1.5),
            json!({}),
            json!("channel-9223372036854775808"),
        ] {
            assert_eq!(peer_id(&value), Err(Unfit::Person), "{value}");
        }
    }
}
