//! What only a set of databases can be asked: reads over all of them, and thousands of them in little room.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use contest::{Caller, Failure, Job, Outcome, Tasks, message};
use database::{ChatId, ChatInfo, DatabaseWrapper, NewMessage, Options, SourceConfig, SpamMessage, Timestamp, UserId};
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::ours::{self, failure, name};
use crate::prepare::source_file;

/// How many files a process may have open in the run with thousands of databases.
const OPEN_FILES: u64 = 256;

/// A read over all databases, by the wrapper, or by hand from one after the other.
struct Cross<'a> {
    db: &'a DatabaseWrapper,
    /// One wrapper for each database, where they are asked one after the other.
    each: Vec<DatabaseWrapper>,
    rows: usize,
}

impl Caller for Cross<'_> {
    fn load(&mut self, _: Tasks) {}

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        let found = if self.each.is_empty() {
            match task % 2 {
                0 => self.db.get_spam_messages(None).map_err(|error| failure(&error))?.len(),
                _ => self.db.get_all_group_chats().map_err(|error| failure(&error))?.len(),
            }
        } else {
            match task % 2 {
                0 => self.spam_of_each()?.len(),
                _ => self.chats_of_each()?.len(),
            }
        };
        let expected = if task.is_multiple_of(2) { 1_000 } else { self.rows };
        if found == expected { Ok(()) } else { Err(Failure::Other(format!("{found} rows and not {expected}"))) }
    }
}

impl Cross<'_> {
    fn spam_of_each(&self) -> Result<Vec<SpamMessage>, Failure> {
        let mut all = Vec::new();
        for source in &self.each {
            all.extend(source.get_spam_messages(None).map_err(|error| failure(&error))?);
        }
        all.sort_by_cached_key(|spam| (spam.created_at, spam.chat_id, spam.user_id, spam.message_id.clone()));
        all.truncate(1_000);
        Ok(all)
    }

    fn chats_of_each(&self) -> Result<Vec<ChatInfo>, Failure> {
        let mut all = BTreeMap::new();
        for source in &self.each {
            for chat in source.get_all_group_chats().map_err(|error| failure(&error))? {
                all.entry(chat.chat_id).or_insert(chat);
            }
        }
        Ok(all.into_values().collect())
    }
}

/// Reads over all databases.
pub(crate) fn cross(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let config = ours::many(&job.path, job.size, |number, name| SourceConfig {
        name,
        ..SourceConfig::new(source_file(&job.path, number))
    })?;
    let (db, _control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    let one_by_one = job.contender.ends_with("one after the other");
    let outcome = contest::run(job, |_| {
        let named = (0..job.size).map(|number| format!("source-{number}"));
        let names = one_by_one.then(|| named.chain(["primary".to_owned()])).into_iter().flatten();
        let each = names.map(|name| db.on_source(&name)).collect();
        let rows = usize::try_from(job.size * (job.stored / 10)).unwrap_or_default();
        Cross { db: &db, each, rows }
    });
    db.close();
    Ok(outcome)
}

/// Tasks at random chats, each chat in a database of its own, with few files open at a time.
///
/// `job.size` databases, `job.callers` tasks, `job.calls` calls of each task. The databases are made by the first call
/// at each, as in life.
pub(crate) fn many(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let memory = Memory::open()?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) })?;
    let mut config = ours::many(&job.path, job.size, |number, name| SourceConfig {
        name,
        durability: database::Durability::Normal,
        ..SourceConfig::new(source_file(&job.path, number))
    })?;
    for number in 0..job.size {
        config.chat_mapping.insert(ChatId(contest::chat(number)), name(number)?);
    }
    let (db, _control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    let calls = job.calls.unwrap_or(100) as u64;
    let all = calls * job.callers as u64;
    let (done, failed, written) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let first_failure = Mutex::new(None);
    let early = AtomicU64::new(0);
    let began = std::time::Instant::now();
    thread::scope(|scope| {
        for task in 0..job.callers as u64 {
            let (db, done, failed, written, first_failure, early, memory) =
                (&db, &done, &failed, &written, &first_failure, &early, &memory);
            scope.spawn(move || {
                let mut place = task.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                for call in 0..calls {
                    place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    match call_at(db, (place >> 33) % job.size, task * calls + call) {
                        Ok(true) => drop(written.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => {}
                        Err(Failure::Busy) => note(failed, first_failure, "busy".to_owned()),
                        Err(Failure::Other(text)) => note(failed, first_failure, text),
                    }
                    if done.fetch_add(1, Ordering::Relaxed) == all / 10 {
                        early.store(memory.resident(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let memory = Some((early.into_inner(), memory.resident()));
    let failed = failed.into_inner();
    let outcome = Outcome {
        ops: all - failed,
        nanos,
        failed,
        first_failure: first_failure.into_inner(),
        acknowledged: written.into_inner(),
        memory,
        ..Outcome::default()
    };
    db.close();
    Ok(outcome)
}

/// One of four calls stores a message, the others read a setting.
fn call_at(db: &DatabaseWrapper, chat: u64, number: u64) -> Result<bool, Failure> {
    let id = ChatId(contest::chat(chat));
    if !number.is_multiple_of(4) {
        return db.get_chat_setting(id, "language").map(|_| false).map_err(|error| failure(&error));
    }
    let said = message(chat, number);
    let date = Timestamp::from_unix_seconds(said.seconds).map_err(Failure::of)?;
    let message = NewMessage::text(number.to_string(), date, UserId(said.user), said.text);
    db.save_chat_message(id, &message).map(|()| true).map_err(|error| failure(&error))
}

fn note(failed: &AtomicU64, first: &Mutex<Option<String>>, text: String) {
    failed.fetch_add(1, Ordering::Relaxed);
    first.lock().get_or_insert(text);
}

/// How many bytes of memory the process has: looked up in a file that stays open, since files may run out.
struct Memory(File);

impl Memory {
    fn open() -> std::io::Result<Self> {
        File::open("/proc/self/statm").map(Self)
    }

    fn resident(&self) -> u64 {
        let mut text = [0; 100];
        let length = self.0.read_at(&mut text, 0).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..length]);
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or_default() * rustix::param::page_size() as u64
    }
}
