//! One record of a chat: a message, a service record, or what could not be read as either.

use database::{ChatId, Timestamp};
use jiff::civil::DateTime;

use super::fields::Fields;
use super::message::Message;
use super::service::Service;

/// One element of a chat's `messages`.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Somebody's message.
    Message(Box<Message>),
    /// Something that happened.
    Service(Service),
    /// Valid JSON that does not fit; reading goes on behind it.
    Unreadable(Unreadable),
}

/// A record that is to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id, where that can be read.
    pub id: Option<i64>,
    /// Why.
    pub reason: Unfit,
    /// The line where it begins.
    pub line: u64,
}

/// Why a record does not fit. Few and without content, so that they can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// A number, a string or a list stands there.
    #[error("it is not an object")]
    NotAnObject,
    /// `id` is missing or has no room.
    #[error("its id is missing or is not a whole number of 64 bits")]
    Id,
    /// `type` is neither `message` nor `service`.
    #[error("its type is neither message nor service")]
    Type,
    /// The exporting client did not know the message and left its content out.
    #[error("the exporting client was too old to know its content")]
    Unsupported,
    /// No date can be read.
    #[error("its date is missing or is not a date between the years 0 and 9999")]
    Date,
    /// The sender's or another person's id cannot be read.
    #[error("the id of its sender or of another chat in it cannot be read")]
    Person,
    /// The id of the message replied to cannot be read.
    #[error("the id of the message that it refers to cannot be read")]
    Reference,
}

impl Record {
    /// The record of these fields (`None` where they are no object), in this chat, at this line.
    pub(crate) fn new(fields: Option<Fields>, chat: ChatId, line: u64) -> Self {
        let Some(mut fields) = fields else {
            return Self::Unreadable(Unreadable { id: None, reason: Unfit::NotAnObject, line });
        };
        let id = fields.integer("id");
        Self::read(&mut fields, chat, line).unwrap_or_else(|reason| Self::Unreadable(Unreadable { id, reason, line }))
    }

    fn read(fields: &mut Fields, chat: ChatId, line: u64) -> Result<Self, Unfit> {
        let kind = fields.take_text("type");
        let id = fields.integer("id").ok_or(Unfit::Id)?;
        match kind.as_deref() {
            Some("message") => Message::read(fields, id, chat, line).map(|message| Self::Message(Box::new(message))),
            Some("service") => Service::read(fields, id, line).map(Self::Service),
            Some("unsupported") => Err(Unfit::Unsupported),
            _ => Err(Unfit::Type),
        }
    }
}

/// When it was, and whether only the exporting computer's local time tells it.
pub(crate) fn date(fields: &Fields) -> Result<(Timestamp, bool), Unfit> {
    moment(fields, "date_unixtime", "date").ok_or(Unfit::Date)
}

/// A moment from the one key in seconds, or from the other as local time, taken for UTC (then `true`).
pub(crate) fn moment(fields: &Fields, seconds: &str, local: &str) -> Option<(Timestamp, bool)> {
    if let Some(seconds) = fields.integer(seconds) {
        return Timestamp::from_unix_seconds(seconds).ok().map(|moment| (moment, false));
    }
    let local: DateTime = fields.get(local)?.as_str()?.parse().ok()?;
    Timestamp::from_utc(local).ok().map(|moment| (moment, true))
}
