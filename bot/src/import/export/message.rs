//! A message: who, when, what, and to what it answers.

use database::{ChatId, Timestamp, UserId};
use serde_json::Value;

use super::chat::peer_id;
use super::content;
use super::fields::Fields;
use super::media::Media;
use super::record::{Unfit, date, moment};

/// A person, or a chat that speaks as itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Negative for a group or channel.
    pub id: UserId,
    /// `None` for deleted people.
    pub name: Option<String>,
}

/// From where a message was forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The first author's name; `None` for deleted people.
    pub name: Option<String>,
    /// The first author's id; only newer exports tell it, and not of people who hide it.
    pub id: Option<UserId>,
}

/// A message as the export has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id in the chat; negative for one from before the chat became a supergroup.
    pub id: i64,
    /// The line where it begins.
    pub line: u64,
    /// When it was sent.
    pub date: Timestamp,
    /// The export is so old that it has only the exporting computer's local time: `date` is that, taken for UTC.
    pub date_is_local: bool,
    /// When it was last changed.
    pub edited: Option<Timestamp>,
    /// The sender; some posts of channels have none.
    pub from: Option<Person>,
    /// The signature under a channel's post.
    pub author: Option<String>,
    /// The message of the same chat that this one answers.
    pub reply_to: Option<i64>,
    /// It answers a message of another chat; `reply_to` is `None` then.
    pub replies_elsewhere: bool,
    /// Where it came from, if forwarded.
    pub forwarded_from: Option<Forward>,
    /// The bot through which it was sent, as `@name`.
    pub via_bot: Option<String>,
    /// Plain text; a short description where the content is a poll, a place or the like.
    pub text: String,
    /// The attachment.
    pub media: Option<Media>,
}

impl Message {
    pub(crate) fn read(fields: &mut Fields, id: i64, chat: ChatId, line: u64) -> Result<Self, Unfit> {
        let (date, date_is_local) = date(fields)?;
        let elsewhere = match fields.get("reply_to_peer_id").map(peer_id).transpose()? {
            Some(UserId(other)) => other != chat.0,
            None => false,
        };
        let reply_to = match fields.get("reply_to_message_id") {
            None => None,
            Some(value) => Some(super::fields::integer(value).ok_or(Unfit::Reference)?),
        };
        let from = person(fields, "from", "from_id")?;
        let forwarded_from = forward(fields)?;
        let media = Media::read(fields);
        let text = content::text(fields, media.is_some());
        Ok(Self {
            id,
            line,
            date,
            date_is_local,
            // Old exports wrote the year 1970 for "never".
            edited: moment(fields, "edited_unixtime", "edited")
                .map(|(moment, _)| moment)
                .filter(|moment| moment.unix_seconds() > 2 * 86_400),
            from,
            author: fields.take_text("author"),
            reply_to: reply_to.filter(|reply| !elsewhere && *reply != 0),
            replies_elsewhere: elsewhere,
            forwarded_from,
            via_bot: fields.take_text("via_bot"),
            text,
            media,
        })
    }
}

/// A person from the two keys; `None` where there is no id.
pub(crate) fn person(fields: &mut Fields, name: &str, id: &str) -> Result<Option<Person>, Unfit> {
    let Some(id) = fields.get(id).filter(|id| !is_nobody(id)).map(peer_id).transpose()? else { return Ok(None) };
    Ok(Some(Person { id, name: fields.take_text(name) }))
}

fn forward(fields: &mut Fields) -> Result<Option<Forward>, Unfit> {
    if !fields.has("forwarded_from") && !fields.has("forwarded_from_id") {
        return Ok(None);
    }
    let id = fields.get("forwarded_from_id").filter(|id| !is_nobody(id)).map(peer_id).transpose()?;
    Ok(Some(Forward { id, name: fields.take_text("forwarded_from") }))
}

fn is_nobody(id: &Value) -> bool {
    id.as_i64() == Some(0) || matches!(id.as_str(), Some("" | "user0"))
}
