//! A service record: something that happened in a chat. It is no message, but it tells of titles, topics and people.

use database::Timestamp;
use serde_json::Value;

use super::fields::{Fields, text_of};
use super::message::{Person, person};
use super::record::{Unfit, date};

/// A service record as the export has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id, counted together with the messages; the id of a `TopicCreated` is the topic's id.
    pub id: i64,
    /// The line where it begins.
    pub line: u64,
    /// When it happened.
    pub date: Timestamp,
    /// `date` is the exporting computer's local time, taken for UTC.
    pub date_is_local: bool,
    /// Who did it.
    pub actor: Option<Person>,
    /// What was done.
    pub action: Action,
    /// Words that came with it, as with a gift; mostly empty.
    pub text: String,
}

/// What was done. The people it was done to have names only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `create_group`
    CreateGroup {
        /// The first title.
        title: Option<String>,
        /// Who was in it; `None` for deleted people.
        members: Vec<Option<String>>,
    },
    /// `create_channel`: also a supergroup's beginning.
    CreateChannel {
        /// The first title.
        title: Option<String>,
    },
    /// `edit_group_title`
    EditTitle {
        /// The new title.
        title: Option<String>,
    },
    /// `migrate_to_supergroup`: the last record of a basic group.
    MigrateToSupergroup,
    /// `migrate_from_group`: the first record of the supergroup that it became.
    MigrateFromGroup {
        /// The title then.
        title: Option<String>,
    },
    /// `topic_created`
    TopicCreated {
        /// The topic's title.
        title: Option<String>,
        /// The custom emoji of its icon, where told.
        icon_emoji_id: Option<i64>,
    },
    /// `topic_edit`: Telegram Desktop does not write of which topic.
    TopicEdit {
        /// The new title, where that changed.
        title: Option<String>,
        /// The new icon's custom emoji, where that changed; 0 for none.
        icon_emoji_id: Option<i64>,
        /// The topic's first message, where another exporter tells.
        reply_to: Option<i64>,
    },
    /// `join_group_by_link` and `join_group_by_request`
    Join,
    /// `leave_group`: not written by Telegram Desktop, but by converters from other platforms.
    Leave,
    /// `invite_members`
    InviteMembers {
        /// Their names; `None` for deleted people.
        members: Vec<Option<String>>,
    },
    /// `remove_members`: also who leaves on their own.
    RemoveMembers {
        /// Their names; `None` for deleted people.
        members: Vec<Option<String>>,
    },
    /// `pin_message`
    PinMessage {
        /// The message, where it was still there.
        message_id: Option<i64>,
    },
    /// Every other one, by the export's name; empty where it has none.
    Other(String),
}

impl Service {
    pub(crate) fn read(fields: &mut Fields, id: i64, line: u64) -> Result<Self, Unfit> {
        let (date, date_is_local) = date(fields)?;
        let actor = person(fields, "actor", "actor_id")?;
        let action = action(fields);
        let text = fields.take_text("text").unwrap_or_default();
        Ok(Self { id, line, date, date_is_local, actor, action, text })
    }
}

fn action(fields: &mut Fields) -> Action {
    let name = fields.take_text("action").unwrap_or_default();
    let title = |fields: &mut Fields| fields.take_text("title");
    match name.as_str() {
        "create_group" => Action::CreateGroup { title: title(fields), members: members(fields) },
        "create_channel" => Action::CreateChannel { title: title(fields) },
        "edit_group_title" => Action::EditTitle { title: title(fields) },
        "migrate_to_supergroup" => Action::MigrateToSupergroup,
        "migrate_from_group" => Action::MigrateFromGroup { title: title(fields) },
        "topic_created" => {
            Action::TopicCreated { title: title(fields), icon_emoji_id: fields.integer("new_icon_emoji_id") }
        }
        "topic_edit" => Action::TopicEdit {
            title: fields.take_text("new_title"),
            icon_emoji_id: fields.integer("new_icon_emoji_id"),
            reply_to: fields.integer("reply_to_message_id"),
        },
        "join_group_by_link" | "join_group_by_request" => Action::Join,
        "leave_group" => Action::Leave,
        "invite_members" => Action::InviteMembers { members: members(fields) },
        "remove_members" => Action::RemoveMembers { members: members(fields) },
        "pin_message" => Action::PinMessage { message_id: fields.integer("message_id") },
        _ => Action::Other(name),
    }
}

fn members(fields: &Fields) -> Vec<Option<String>> {
    let Some(Value::Array(members)) = fields.get("members") else { return Vec::new() };
    members.iter().map(|member| Some(text_of(member.clone())).filter(|name| !name.is_empty())).collect()
}
