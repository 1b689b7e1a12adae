//! What has to be known of a chat while its records come in.

use std::collections::HashSet;

use database::{DatabaseWrapper, ImportProgress, MessageId, MessagePlace, Timestamp, TopicId};

use super::batch::Batch;
use super::export::{ChatHeader, Message, Record};

/// A chat whose records come in.
pub(super) struct ChatState {
    pub(super) header: ChatHeader,
    /// Records seen.
    pub(super) records: i64,
    /// Records that an earlier import from the same file stored.
    pub(super) stored: i64,
    /// That import got to the chat's end.
    pub(super) is_complete: bool,
    /// The latest moment that its records tell of, those of earlier imports included.
    pub(super) latest: Option<Timestamp>,
    pub(super) topics: HashSet<TopicId>,
}

/// Where a message stands among the others.
pub(super) struct Standing {
    /// The message it answers.
    pub(super) reply_id: Option<MessageId>,
    /// Its topic, and the first message of its chain of replies.
    pub(super) place: MessagePlace,
}

impl ChatState {
    /// A chat of which an earlier import from the same file may have got somewhere.
    pub(super) fn new(header: ChatHeader, progress: Option<ImportProgress>, topics: HashSet<TopicId>) -> Self {
        let (stored, is_complete) = progress.map_or((0, false), |progress| (progress.records, progress.is_complete));
        Self { header, records: 0, stored, is_complete, latest: None, topics }
    }

    /// Counts a record.
    pub(super) fn note(&mut self, record: &Record) {
        self.records += 1;
        self.latest = self.latest.max(match record {
            Record::Message(message) => Some(message.date),
            Record::Service(service) => Some(service.date),
            Record::Unreadable(_) => None,
        });
    }

    /// Where a message stands: what it answers tells its topic and its chain. Each message was placed so when it came
    /// in, so one look at the answered one is enough.
    pub(super) fn place_of(
        &self,
        message: &Message,
        batch: &Batch,
        db: &DatabaseWrapper,
    ) -> Result<Standing, database::Error> {
        let nowhere = MessagePlace { thread_id: TopicId::NONE, root_message_id: None };
        let Some(answered) = message.reply_to else {
            return Ok(Standing { reply_id: None, place: nowhere });
        };
        if self.topics.contains(&TopicId(answered)) {
            // A topic's head is no message: to answer it is to speak in the topic.
            let place = MessagePlace { thread_id: TopicId(answered), root_message_id: None };
            return Ok(Standing { reply_id: None, place });
        }
        let id = MessageId::from(answered);
        let known = match batch.place(answered) {
            Some(place) => Some(place.clone()),
            None => db.get_message_place(self.header.id, &id)?,
        };
        let place = match known {
            Some(MessagePlace { thread_id, root_message_id }) => {
                MessagePlace { thread_id, root_message_id: Some(root_message_id.unwrap_or_else(|| id.clone())) }
            }
            // It was deleted, or is older than the export.
            None => MessagePlace { root_message_id: Some(id.clone()), ..nowhere },
        };
        Ok(Standing { reply_id: Some(id), place })
    }
}
