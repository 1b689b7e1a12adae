//! Where an export's records go: into batches, and these into the database.

use std::collections::BTreeMap;

use database::{ChatType, DatabaseWrapper, ImportProgress};

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
        Self { db, file, again, asked_to_stop, tick, report, chat: None, batch: Batch::default() }
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
        self.chat = Some(ChatState::new(header, progress, topics));
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), Stop> {
        let (Some(chat), Some(report)) = (&mut self.chat, self.report.chats.last_mut()) else { return Ok(()) };
        chat.note(&record);
        if chat.records <= chat.stored {
            report.stored_before += 1;
            let is_time_to_ask = report.stored_before.is_multiple_of(RECORDS_BETWEEN_QUESTIONS);
            return if is_time_to_ask && (self.asked_to_stop)() { Err(Stop::Asked) } else { Ok(()) };
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
        if self.batch.is_full() {
            self.store(false)?;
            if (self.asked_to_stop)() {
                return Err(Stop::Asked);
            }
        }
        Ok(())
    }

    fn chat_end(&mut self) -> Result<(), Stop> {
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

pub(super) fn chat_type(kind: ChatKind) -> ChatType {
    match kind {
        ChatKind::Private => ChatType::Private,
        ChatKind::Group => ChatType::Group,
        ChatKind::Supergroup => ChatType::Supergroup,
        ChatKind::Channel => ChatType::Channel,
    }
}
