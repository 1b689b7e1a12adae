//! This project's database crate, called as handlers call it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use contest::{Caller, Durability, Failure, Job, Message, MessageKey, Outcome, SettingKey, Tasks, Work};
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Form, ImportBatch, MessageFilter, MessageId, NewMessage,
    Options, PartialResults, SourceConfig, SourceName, Timestamp, UserId,
};

use crate::prepare::source_file;

/// How many databases there are beside the one that is asked: a route has something to choose from.
const OTHERS: u64 = 9;

enum Todo {
    Save(Vec<(ChatId, NewMessage)>),
    Import(ChatId, Vec<ImportBatch>),
    Setting(Vec<SettingKey>),
    Message(Vec<(ChatId, MessageId)>),
    Newest(Vec<ChatId>),
}

struct Ours<'a> {
    db: &'a DatabaseWrapper,
    todo: Todo,
}

impl Caller for Ours<'_> {
    fn load(&mut self, tasks: Tasks) {
        self.todo = match tasks {
            Tasks::Save(messages) => {
                Todo::Save(messages.into_iter().map(|message| (ChatId(message.chat), new(message))).collect())
            }
            Tasks::Import(batches) => {
                let chat = batches.first().and_then(|batch| batch.first()).map_or(0, |message| message.chat);
                let batch = |messages: Vec<Message>| ImportBatch {
                    messages: messages.into_iter().map(new).collect(),
                    ..ImportBatch::default()
                };
                Todo::Import(ChatId(chat), batches.into_iter().map(batch).collect())
            }
            Tasks::Setting(keys) => Todo::Setting(keys),
            Tasks::Message(keys) => {
                let key = |MessageKey { chat, id }| (ChatId(chat), MessageId::from(id));
                Todo::Message(keys.into_iter().map(key).collect())
            }
            Tasks::Newest(chats) => Todo::Newest(chats.into_iter().map(ChatId).collect()),
        };
    }

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        let wrong = |what: &str| Err(Failure::Other(format!("wrong answer: {what}")));
        match &self.todo {
            Todo::Save(messages) => {
                let (chat, message) = &messages[task];
                self.db.save_chat_message(*chat, message).map_err(|error| failure(&error))
            }
            Todo::Import(chat, batches) => {
                let saved = self.db.save_import(*chat, &batches[task]).map_err(|error| failure(&error))?;
                if saved.known == 0 { Ok(()) } else { wrong("known messages") }
            }
            Todo::Setting(keys) => {
                let SettingKey { chat, key } = &keys[task];
                match self.db.get_chat_setting(ChatId(*chat), key).map_err(|error| failure(&error))? {
                    Some(value) if !value.is_empty() => Ok(()),
                    _ => wrong("no setting"),
                }
            }
            Todo::Message(keys) => {
                let (chat, id) = &keys[task];
                match self.db.get_chat_message_by_message_id(*chat, id).map_err(|error| failure(&error))? {
                    Some(found) if found.message_id == *id => Ok(()),
                    _ => wrong("no message"),
                }
            }
            Todo::Newest(chats) => {
                let filter = MessageFilter { limit: Some(50), ..MessageFilter::default() };
                match self.db.get_chat_messages_since(chats[task], &filter).map_err(|error| failure(&error))?.len() {
                    50 => Ok(()),
                    _ => wrong("not the last 50"),
                }
            }
        }
    }
}

fn new(message: Message) -> NewMessage {
    let date = Timestamp::from_unix_seconds(message.seconds).expect("a moment of this century");
    NewMessage::text(message.id, date, UserId(message.user), message.text)
}

pub(crate) fn failure(error: &database::Error) -> Failure {
    match error.kind() {
        ErrorKind::Busy { .. } => Failure::Busy,
        _ => Failure::Other(error.to_string()),
    }
}

/// Runs the job.
pub(crate) fn run(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let source = |path: &Path, name: SourceName| SourceConfig {
        name,
        max_connections: job.connections,
        durability: durability(job.durability),
        ..SourceConfig::new(path)
    };
    if job.work != Work::Setting {
        let db = DatabaseWrapper::open(&source(&job.path, SourceName::primary()))?;
        let outcome = contest::run(job, |_| Ours { db: &db, todo: Todo::Newest(Vec::new()) });
        db.close();
        return Ok(outcome);
    }
    // Routed: the chat under test and many others are mapped, each to one of ten databases.
    let folder = job.path.clone();
    let mut config = many(&folder, OTHERS + 1, |number, name| source(&source_file(&folder, number), name))?;
    for number in 0..1_000 {
        let name = name(number % (OTHERS + 1))?;
        config.chat_mapping.insert(ChatId(contest::chat(number)), name);
    }
    let (db, _control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    let outcome = contest::run(job, |_| Ours { db: &db, todo: Todo::Newest(Vec::new()) });
    db.close();
    Ok(outcome)
}

/// Many databases in a folder, beside a default one that holds nothing; no chat is mapped yet.
pub(crate) fn many(
    folder: &Path,
    sources: u64,
    source: impl Fn(u64, SourceName) -> SourceConfig,
) -> Result<DatabaseConfig, Box<dyn Error>> {
    let default = SourceConfig::new(folder.join("default.db"));
    let mut all = BTreeMap::from([(default.name.clone(), default.clone())]);
    for number in 0..sources {
        all.insert(name(number)?, source(number, name(number)?));
    }
    Ok(DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources: all,
        default_source: default.name,
        chat_mapping: BTreeMap::new(),
        partial_results: PartialResults::Warn,
    })
}

pub(crate) fn name(number: u64) -> Result<SourceName, Box<dyn Error>> {
    Ok(format!("source-{number}").parse()?)
}

pub(crate) fn durability(durability: Durability) -> database::Durability {
    match durability {
        Durability::Full => database::Durability::Full,
        Durability::Normal => database::Durability::Normal,
    }
}
