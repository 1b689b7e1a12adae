//! From a line to a message: which keys there are, what they may hold and what goes with what.
//!
//! The table of keys in `docs/json-transport.md` says the same for those who write programs.

use database::{ChatId, Clock, MediaId, MediaStatus, MessageId, MessageType, NewMedia, NewTopic, Timestamp, TopicId};
use jiff::tz::Offset;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{Fields, FromJson, kind_of, quoted};
use crate::message::{ChatKind, Event, Incoming, MessageIds};

const KEYS: &[&str] = &[
    "ref",
    "chat",
    "user",
    "text",
    "name",
    "username",
    "chat_type",
    "chat_title",
    "message_id",
    "reply_to",
    "thread",
    "date",
    "event",
    "topic_name",
    "icon_color",
    "icon_emoji",
    "new_chat",
    "media",
];
const MEDIA_KEYS: &[&str] = &["id", "type", "file_id", "size", "mime_type", "url"];

const CHAT_TYPES: &[(&str, ChatKind)] = &[
    ("private", ChatKind::Private),
    ("group", ChatKind::Group),
    ("supergroup", ChatKind::Supergroup),
    ("channel", ChatKind::Channel),
];
const EVENTS: &[(&str, What)] = &[
    ("message", What::Message),
    ("edit", What::Edit),
    ("join", What::Join),
    ("leave", What::Leave),
    ("title", What::Title),
    ("topic", What::Topic),
    ("migrate", What::Migrate),
];
const MEDIA_TYPES: &[&str] =
    &["image", "sticker", "animation", "video", "video-note", "audio", "voice", "document", "unknown"];

/// Keys that mean something with some events only.
const BELONGS: &[(&str, &[What])] = &[
    ("topic_name", &[What::Topic]),
    ("icon_color", &[What::Topic]),
    ("icon_emoji", &[What::Topic]),
    ("new_chat", &[What::Migrate]),
    ("media", &[What::Message]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Message,
    Edit,
    Join,
    Leave,
    Title,
    Topic,
    Migrate,
}

/// A message's id in the form in which it was given, and in which it is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Id {
    Number(i64),
    Text(String),
}

impl FromJson for Id {
    const WANTED: &'static str = "an integer of at most 64 bits, or text";

    fn from_json(json: &str) -> Option<Self> {
        i64::from_json(json).map(Self::Number).or_else(|| String::from_json(json).map(Self::Text))
    }
}

impl From<&Id> for MessageId {
    fn from(id: &Id) -> Self {
        match id {
            Id::Number(number) => Self::from(*number),
            Id::Text(text) => Self::from(text.as_str()),
        }
    }
}

/// A line, read.
pub(super) struct Request {
    /// What is given back with the answer, as it was written; also of a bad line, where it could be read.
    pub(super) reference: Option<Box<RawValue>>,
    /// The chat; also of a bad line, where it could be read.
    pub(super) chat: Option<ChatId>,
    /// The message with its id as it was given; or what is wrong with the line.
    pub(super) message: Result<(Id, Box<Incoming>), String>,
}

impl Request {
    /// Reads a line. A message without id or date gets its own from the given clocks.
    pub(super) fn read(line: &str, ids: &MessageIds, clock: &dyn Clock) -> Self {
        let (fields, read) = Fields::read(line, "");
        let reference = fields.raw("ref").and_then(|value| {
            // Outside of texts JSON may have line breaks; some readers of lines take a lone `\r` for one.
            RawValue::from_string(value.get().replace('\r', " ")).ok()
        });
        let chat = fields.optional("chat").ok().flatten().map(ChatId);
        let message = read.and_then(|()| message(&fields, ids, clock));
        Self { reference, chat, message }
    }
}

fn message(fields: &Fields<'_>, ids: &MessageIds, clock: &dyn Clock) -> Result<(Id, Box<Incoming>), String> {
    fields.check_keys(KEYS)?;
    let what = fields.word("event", EVENTS)?.unwrap_or(What::Message);
    check_belonging(fields, what)?;
    let chat = ChatId(fields.required("chat", "the chat's id, an integer")?);
    let user = fields.required::<i64>("user", "the id of who did it, an integer")?.into();
    let media = media(fields)?;
    let text: Option<String> = fields.optional("text")?;
    if text.is_none() && (what == What::Edit || (what == What::Message && media.is_none())) {
        return Err(fields.missing("text", "what was written"));
    }
    let id = match id(fields, "message_id")? {
        Some(id) => id,
        None if what == What::Edit => return Err(fields.missing("message_id", "which message was edited")),
        None => Id::Text(ids.next_id().to_string()),
    };
    let date = date(fields)?.unwrap_or_else(|| clock.now());
    let name: String = fields.optional("name")?.unwrap_or_default();
    let thread: Option<i64> = fields.optional("thread")?;
    let chat_title = fields.optional("chat_title")?.filter(|title: &String| !title.is_empty());
    let event = match what {
        What::Message => Event::Message,
        What::Edit => Event::Edited,
        What::Join => Event::Joined,
        What::Leave => Event::Left,
        What::Title if chat_title.is_none() => return Err(fields.missing("chat_title", "what the chat is called now")),
        What::Title => Event::Titled,
        What::Topic if thread.is_none() => return Err(fields.missing("thread", "the topic's id, an integer")),
        What::Topic => Event::Topic(NewTopic {
            name: fields.required("topic_name", "what the topic is called")?,
            icon_color: fields.optional("icon_color")?,
            icon_custom_emoji_id: fields.optional("icon_emoji")?,
        }),
        What::Migrate => Event::MigratedTo(ChatId(fields.required("new_chat", "the supergroup's id, an integer")?)),
    };
    let mut incoming = Incoming::new(chat, user, name, MessageId::from(&id), date, text.unwrap_or_default());
    incoming.chat_kind = fields.word("chat_type", CHAT_TYPES)?;
    incoming.chat_title = chat_title;
    incoming.username = username(fields)?;
    incoming.thread = thread.map_or(TopicId::NONE, TopicId);
    incoming.reply_to = self::id(fields, "reply_to")?.as_ref().map(MessageId::from);
    incoming.media = media;
    incoming.event = event;
    Ok((id, Box::new(incoming)))
}

/// A key that means nothing with the event would be lost in silence.
fn check_belonging(fields: &Fields<'_>, what: What) -> Result<(), String> {
    let name = |what: What| EVENTS.iter().find(|(_, event)| *event == what).map_or("", |(name, _)| name);
    for (key, events) in BELONGS {
        if fields.raw(key).is_some_and(|value| value.get() != "null") && !events.contains(&what) {
            let events: Vec<_> = events.iter().map(|event| quoted(name(*event))).collect();
            let events = events.join(" or ");
            return Err(format!("\"{key}\" goes with the event {events}, not with \"{}\"", name(what)));
        }
    }
    Ok(())
}

fn id(fields: &Fields<'_>, key: &str) -> Result<Option<Id>, String> {
    match fields.optional(key)? {
        Some(Id::Text(text)) if text.is_empty() => Err(fields.wrong(key, Id::WANTED, "empty text")),
        id => Ok(id),
    }
}

fn username(fields: &Fields<'_>) -> Result<Option<String>, String> {
    let name: Option<String> = fields.optional("username")?;
    Ok(name.map(|name| name.strip_prefix('@').unwrap_or(&name).to_owned()))
}

/// A moment: `2026-01-31T08:00:00+01:00`, `2026-01-31 07:00:00` or 1769842800.
enum Moment {
    Text(String),
    Seconds(i64),
}

impl FromJson for Moment {
    const WANTED: &'static str =
        "a time like 2026-01-31T08:00:00+01:00, 2026-01-31 07:00:00 (UTC) or 1769842800 (seconds since 1970)";

    fn from_json(json: &str) -> Option<Self> {
        i64::from_json(json).map(Self::Seconds).or_else(|| String::from_json(json).map(Self::Text))
    }
}

fn date(fields: &Fields<'_>) -> Result<Option<Timestamp>, String> {
    let Some(moment) = fields.optional("date")? else { return Ok(None) };
    let date = match &moment {
        Moment::Seconds(seconds) => Timestamp::from_unix_seconds(*seconds).ok(),
        Moment::Text(text) => text.parse().ok().or_else(|| {
            let instant: jiff::Timestamp = text.parse().ok()?;
            Timestamp::from_utc(Offset::UTC.to_datetime(instant)).ok()
        }),
    };
    let given = || match &moment {
        Moment::Seconds(seconds) => seconds.to_string(),
        Moment::Text(text) => quoted(text),
    };
    date.map(Some).ok_or_else(|| fields.wrong("date", Moment::WANTED, &given()))
}

fn media(fields: &Fields<'_>) -> Result<Option<NewMedia>, String> {
    let Some(json) = fields.raw("media").map(RawValue::get).filter(|json| *json != "null") else { return Ok(None) };
    if !json.starts_with('{') {
        return Err(fields.wrong("media", "an object with \"id\" and \"type\"", &kind_of(json)));
    }
    let (fields, read) = Fields::read(json, "media.");
    read?;
    fields.check_keys(MEDIA_KEYS)?;
    let id: String = fields.required("id", "the file's lasting id, text")?;
    if id.is_empty() {
        return Err(fields.wrong("id", "text", "empty text"));
    }
    let types: Vec<_> = MEDIA_TYPES.iter().map(|name| (*name, *name)).collect();
    let Some(media_type) = fields.word("type", &types)? else {
        return Err(fields.missing("type", "what it is, such as \"image\" or \"document\""));
    };
    let file_size: Option<i64> = fields.optional("size")?;
    if let Some(size) = file_size.filter(|size| *size < 0) {
        return Err(fields.wrong("size", "a number of bytes", &size.to_string()));
    }
    Ok(Some(NewMedia {
        file_id: fields.optional("file_id")?,
        file_size,
        media_type: MessageType::from(media_type),
        status: MediaStatus::New,
        mime_type: fields.optional("mime_type")?,
        local_url: fields.optional("url")?,
        ..NewMedia::new(MediaId::from(id))
    }))
}

#[cfg(test)]
mod tests;
