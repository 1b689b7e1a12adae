//! What only a set of databases can be asked: reads over all of them.

use std::collections::BTreeMap;
use std::error::Error;

use contest::{Caller, Failure, Job, Outcome, Tasks};
use database::{ChatInfo, DatabaseWrapper, Options, SourceConfig, SpamMessage};

use crate::ours::{self, failure};
use crate::prepare::source_file;

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
