//! Where an export's records go: into batches, and these into the database.

use std::collections::{BTreeMap, HashMap};

use database::{ChatId, ChatType, DatabaseWrapper, ImportProgress, Timestamp};

use super::batch::Batch;
use super::chat::ChatState;
use super::export::{ChatHeader, ChatKind, Record, Sink};
use super::report::{ChatReport, Report};

/// How many records are passed over between two questions whether to stop.
const RECORDS_BETWEEN_QUESTIONS: u64 = 1_000;

/// Why storing ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("asked to stop")]
    Asked,
}

pub(super) struct DatabaseSink<'a, Tick> {
    db: &'a DatabaseWrapper,
    /// What tells the file from others.
    file: String,
    again: bool,
    asked_to_stop: &'a dyn Fn() -> bool,
    tick: Tick,
    report: &'a mut Report,
    chat: Option<ChatState>,
    /// How many records of each chat that is through were seen.
    seen: HashMap<ChatId, i64>,
    batch: Batch,
}

impl<'a, Tick: FnMut()> DatabaseSink<'a, Tick> {
    pub(super) fn new(
        db: &'a DatabaseWrapper,
        file: String,
        again: bool,
        asked_to_stop: &'a dyn Fn() -> bool,
        report: &'a mut Report,
        tick: Tick,
    ) -> Self {
        Self { db, file, again, asked_to_stop, tick, report, chat: None, seen: HashMap::new(), batch: Batch::default() }
    }

    /// Stores what has been gathered.
    pub(super) fn flush(&mut self) -> Result<(), database::Error> {
        self.store(false)
    }

    fn store(&mut self, is_complete: bool) -> Result<(), database::Error> {
        (self.tick)();
        let Some(chat) = &self.chat else { return Ok(()) };
        if self.batch.is_empty() && !is_complete {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let progress = ImportProgress { file: self.file.clone(), records: chat.records, is_complete };
        let stored = self.db.save_import(chat.header.id, &batch.into_import(progress))?;
        if let Some(report) = self.report.chats.last_mut() {
            report.new += stored.new;
            report.known += stored.known;
        }
        Ok(())
    }
}

impl<Tick: FnMut()> Sink for DatabaseSink<'_, Tick> {
    type Error = Stop;

    fn chat(&mut self, header: ChatHeader) -> Result<(), Stop> {
        let progress = self.db.get_import_progress(header.id, &self.file)?;
        let progress = progress.filter(|_| !self.again);
        let topics = self.db.get_chat_topics(header.id)?.into_iter().map(|topic| topic.topic_id).collect();
        self.report.chats.push(ChatReport {
            chat: header.id,
            chat_type: chat_type(header.kind),
            name: header.name.clone(),
            new: 0,
            known: 0,
            stored_before: 0,
            service: 0,
            skipped: BTreeMap::new(),
        });
        // A chat may stand in the file twice, in both of its lists: its records are counted on.
        let seen = self.seen.get(&header.id).copied().unwrap_or_default();
        self.chat = Some(ChatState::new(header, seen, progress, topics));
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), Stop> {
        let (Some(chat), Some(report)) = (&mut self.chat, self.report.chats.last_mut()) else { return Ok(()) };
        let date = date_of(&record);
        if chat.records < chat.stored {
            chat.note(date);
            report.stored_before += 1;
            if report.stored_before.is_multiple_of(RECORDS_BETWEEN_QUESTIONS) {
                (self.tick)();
                if (self.asked_to_stop)() {
                    return Err(Stop::Asked);
                }
            }
            return Ok(());
        }
        match record {
            Record::Message(message) => {
                let place = chat.place_of(&message, &self.batch, self.db)?;
                self.batch.add_message(chat, *message, place);
            }
            Record::Service(service) => {
                report.service += 1;
                self.batch.add_service(chat, service);
            }
            Record::Unreadable(unreadable) => {
                let skipped = report.skipped.entry(unreadable.reason).or_insert((0, unreadable.line));
                skipped.0 += 1;
                self.batch.records += 1;
            }
        }
        // Only now: a record that failed on the way must not be counted as stored.
        chat.note(date);
        if self.batch.is_full() {
            self.store(false)?;
            if (self.asked_to_stop)() {
                return Err(Stop::Asked);
            }
        }
        Ok(())
    }

    fn chat_end(&mut self) -> Result<(), Stop> {
        if let Some(chat) = &self.chat {
            self.seen.insert(chat.header.id, chat.records);
        }
        // All records may be stored already, and yet not that they are all.
        if let Some(chat) = &self.chat
            && (chat.records > chat.stored || !chat.is_complete)
        {
            self.batch.name_at_the_end(chat);
            self.store(true)?;
        }
        self.chat = None;
        Ok(())
    }
}

fn date_of(record: &Record) -> Option<Timestamp> {
    match record {
        Record::Message(message) => Some(message.date),
        Record::Service(service) => Some(service.date),
        Record::Unreadable(_) => None,
    }
}

pub(super) fn chat_type(kind: ChatKind) -> ChatType {
    match kind {
        ChatKind::Private => ChatType::Private,
        ChatKind::Group => ChatType::Group,
        ChatKind::Supergroup => ChatType::Supergroup,
        ChatKind::Channel => ChatType::Channel,
    }
}
