//! Records gathered until they are enough for a transaction, in the database's terms.

use std::collections::{BTreeMap, HashMap};

use database::{
    ChatType, ImportBatch, ImportProgress, ImportedName, MediaId, MediaStatus, MessageCategory, MessageId,
    MessagePlace, MessageType, NewMedia, NewMessage, Timestamp, TopicId, UserId,
};
use serde_json::{Map, Value};

use super::chat::{ChatState, Standing};
use super::export::{Action, ChatKind, Forward, Media, MediaKind, Message, Person, Service};
use super::sink::chat_type;

/// A transaction holds so many records or so many bytes of text, whichever comes first: enough to make its cost small,
/// few enough to make a lost one cheap and to need little memory.
const MOST_RECORDS: u64 = 2_000;
const MOST_BYTES: usize = 1 << 20;

/// Records of one chat that are not stored yet.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: u64,
    bytes: usize,
    messages: Vec<NewMessage>,
    media: Vec<NewMedia>,
    people: BTreeMap<UserId, ImportedName>,
    topics: BTreeMap<TopicId, ImportedName>,
    chat: Option<(ChatType, ImportedName)>,
    places: HashMap<i64, MessagePlace>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.records >= MOST_RECORDS || self.bytes >= MOST_BYTES
    }

    /// Where a message stands that is not stored yet.
    pub(super) fn place(&self, id: i64) -> Option<&MessagePlace> {
        self.places.get(&id)
    }

    pub(super) fn add_message(&mut self, chat: &ChatState, message: Message, standing: Standing) {
        self.note(chat, message.date);
        // What no person said, the chat said itself.
        let author =
            message.from.unwrap_or_else(|| Person { id: UserId(chat.header.id.0), name: chat.header.name.clone() });
        self.meet(author.id, author.name, message.date);
        self.places.insert(message.id, standing.place.clone());
        self.bytes += message.text.len();
        let media_id = message.media.as_ref().map(|_| media_id(chat, message.id));
        let message_type = message.media.as_ref().map_or(MessageType::Text, |media| message_type(media.kind));
        if let (Some(id), Some(media)) = (&media_id, message.media) {
            self.media.push(new_media(id.clone(), &message_type, media));
        }
        let of_channel = chat.header.kind == ChatKind::Channel && author.id.0 == chat.header.id.0;
        self.messages.push(NewMessage {
            message_id: MessageId::from(message.id),
            date: message.date,
            user_id: author.id,
            message_text: message.text,
            reply_id: standing.reply_id,
            thread_id: standing.place.thread_id,
            root_message_id: standing.place.root_message_id,
            message_type,
            message_category: if of_channel { MessageCategory::Channel } else { MessageCategory::User },
            quote_text: message.forwarded_from.map(forwarded),
            media_id,
        });
    }

    pub(super) fn add_service(&mut self, chat: &mut ChatState, service: Service) {
        self.note(chat, service.date);
        let at = service.date;
        if let Some(Person { id, name }) = service.actor {
            self.meet(id, name, at);
        }
        match service.action {
            Action::CreateGroup { title, .. } | Action::CreateChannel { title } | Action::EditTitle { title }
                if title.is_some() =>
            {
                self.chat = Some((chat_type(chat.header.kind), ImportedName { name: title, at }));
            }
            Action::TopicCreated { title, .. } => {
                chat.topics.insert(TopicId(service.id));
                self.topics.insert(TopicId(service.id), ImportedName { name: title, at });
            }
            Action::TopicEdit { title: Some(title), reply_to: Some(topic), .. } => {
                chat.topics.insert(TopicId(topic));
                self.topics.insert(TopicId(topic), ImportedName { name: Some(title), at });
            }
            _ => {}
        }
    }

    /// Says at the end of a chat what it is called, which is what it was called when it was exported.
    pub(super) fn name_at_the_end(&mut self, chat: &ChatState) {
        if let Some(at) = chat.latest {
            let name = ImportedName { name: chat.header.name.clone(), at };
            self.chat = Some((chat_type(chat.header.kind), name));
        }
    }

    pub(super) fn into_import(self, progress: ImportProgress) -> ImportBatch {
        ImportBatch {
            messages: self.messages,
            media: self.media,
            people: self.people.into_iter().collect(),
            topics: self.topics.into_iter().collect(),
            chat: self.chat,
            progress: Some(progress),
        }
    }

    fn note(&mut self, chat: &ChatState, at: Timestamp) {
        self.records += 1;
        if self.chat.is_none() {
            // The chat has to be known before its people and topics; what it is called now comes at the end.
            let name = ImportedName { name: chat.header.name.clone(), at };
            self.chat = Some((chat_type(chat.header.kind), name));
        }
    }

    fn meet(&mut self, user: UserId, name: Option<String>, at: Timestamp) {
        let known = self.people.entry(user).or_insert_with(|| ImportedName { name: None, at });
        if at >= known.at || known.name.is_none() {
            known.name = name.or_else(|| known.name.take());
        }
        known.at = known.at.max(at);
    }
}

/// An export tells no lasting id of a file: the message that it came with makes one.
fn media_id(chat: &ChatState, message: i64) -> MediaId {
    MediaId::from(format!("export:{}:{message}", chat.header.id))
}

fn message_type(kind: MediaKind) -> MessageType {
    match kind {
        MediaKind::Photo => MessageType::Image,
        MediaKind::Sticker => MessageType::Sticker,
        MediaKind::Animation => MessageType::Animation,
        MediaKind::Video => MessageType::Video,
        MediaKind::VideoMessage => MessageType::VideoNote,
        MediaKind::Voice => MessageType::Voice,
        MediaKind::Audio => MessageType::Audio,
        MediaKind::Document => MessageType::Document,
    }
}

fn new_media(id: MediaId, message_type: &MessageType, media: Media) -> NewMedia {
    let mut metadata = Map::new();
    let mut note = |key: &str, value: Option<Value>| {
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    };
    note("width", media.width.map(Value::from));
    note("height", media.height.map(Value::from));
    note("duration_seconds", media.duration_seconds.map(Value::from));
    note("file_name", media.file_name.map(Value::from));
    note("title", media.title.map(Value::from));
    note("performer", media.performer.map(Value::from));
    note("emoji", media.sticker_emoji.map(Value::from));
    NewMedia {
        file_size: media.file_size.and_then(|size| i64::try_from(size).ok()),
        media_type: message_type.clone(),
        metadata: Value::Object(metadata).to_string(),
        status: if media.path.is_some() { MediaStatus::Done } else { MediaStatus::New },
        mime_type: media.mime_type,
        local_url: media.path,
        ..NewMedia::new(id)
    }
}

/// A forwarded message says whose it was where a quote would stand.
fn forwarded(from: Forward) -> String {
    let id = from.id.map(|id| format!("user {id}"));
    format!("forwarded from {}", from.name.or(id).unwrap_or_else(|| "a deleted account".to_owned()))
}
