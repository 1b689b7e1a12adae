//! Any sequence of writes, reads, reloads, outages, returns, restarts and crashes, against plain maps: one of what each
//! chat holds in all, and one of what can be seen of it now.
//!
//! The longer form: `OUTAGE_CASES=2000 cargo test -p tests --features multi-source --test it standins::model`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use database::multi::Control;
use database::{ChatId, DatabaseConfig, DatabaseWrapper, Durability, ErrorKind, NewMessage, OnUnavailable, UserId};
use proptest::prelude::*;

use super::super::{carry, config_of, eventually, name, open, put_back};
use super::killed::count_up;
use crate::support::{Scratch, asked};

/// The sources besides the default one, what becomes of each when it fails, and its chat.
const SOURCES: [(&str, OnUnavailable); 3] =
    [("stands", OnUnavailable::StandIn), ("falls", OnUnavailable::Fail), ("lends", OnUnavailable::Default)];
/// The chat of the default source comes after those of the others.
const CHATS: usize = SOURCES.len() + 1;

#[derive(Clone, Debug)]
enum Step {
    /// A message of this chat and this id; the first one stays.
    Say(usize, i64),
    /// A setting of this chat.
    Set(usize, u8, i64),
    Unset(usize, u8),
    /// One more, whatever there is: made twice, it is seen.
    Count(usize),
    /// What can be seen of a chat.
    Look(usize),
    Fail(usize),
    Return(usize),
    Reload(usize),
    Restart,
    /// The files are those that a process leaves that is killed while it has them open.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..CHATS, 1..30_i64).prop_map(|(chat, id)| Step::Say(chat, id)),
        6 => (0..CHATS, 0..4_u8, any::<i64>()).prop_map(|(chat, key, value)| Step::Set(chat, key, value)),
        2 => (0..CHATS, 0..4_u8).prop_map(|(chat, key)| Step::Unset(chat, key)),
        4 => (0..CHATS).prop_map(Step::Count),
        3 => (0..CHATS).prop_map(Step::Look),
        2 => (0..SOURCES.len()).prop_map(Step::Fail),
        2 => (0..SOURCES.len()).prop_map(Step::Return),
        1 => (1..4_usize).prop_map(Step::Reload),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

/// What a chat holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    messages: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    count: i64,
}

/// A chat in the model.
#[derive(Clone, Debug, Default)]
struct Chat {
    all: Held,
    /// What was written since its source went away; `None` while it is at home.
    meanwhile: Option<Held>,
    /// What is left of earlier times in the file that serves it: the default source keeps the copies.
    left: Held,
}

struct Bot {
    scratch: Scratch,
    config: DatabaseConfig,
    db: DatabaseWrapper,
    control: Control,
    chats: Vec<Chat>,
}

fn chat(number: usize) -> ChatId {
    ChatId(-(number as i64) - 1)
}

impl Bot {
    fn start() -> Self {
        let scratch = Scratch::in_memory();
        let mapping: Vec<_> = SOURCES.iter().enumerate().map(|(index, (source, _))| (chat(index).0, *source)).collect();
        let mut config = config_of(scratch.path(), &["primary", "falls", "lends", "stands"], &mapping);
        for (source, policy) in SOURCES {
            let source = config.sources.get_mut(&name(source)).unwrap();
            (source.on_unavailable, source.durability) = (policy, Durability::Normal);
        }
        let (db, control) = open(&config);
        // Each is known from here on: what was never there would be made.
        SOURCES.iter().for_each(|(source, _)| control.retry(&name(source)).unwrap());
        Self { scratch, config, db, control, chats: vec![Chat::default(); CHATS] }
    }

    fn is_away(&self, source: usize) -> bool {
        self.scratch.file(&format!("{}.away", SOURCES[source].0)).exists()
    }

    /// Whether calls of this chat are to fail.
    fn fails(&self, number: usize) -> bool {
        SOURCES.get(number).is_some_and(|(_, policy)| *policy == OnUnavailable::Fail) && self.is_away(number)
    }

    /// A write in the model, or its refusal.
    fn written(&mut self, number: usize, answer: database::Result<()>, write: impl Fn(&mut Held)) {
        if self.fails(number) {
            let error = answer.expect_err("its source is away");
            assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
            return;
        }
        match answer {
            Err(error) if !error.is_duplicate() => panic!("{error}"),
            _ => {}
        }
        let chat = &mut self.chats[number];
        write(&mut chat.all);
        chat.meanwhile.as_mut().map(write);
    }

    fn seen(&self, number: usize) -> database::Result<Held> {
        let messages = self.db.get_chat_messages_since(chat(number), &Default::default())?;
        let mut settings = self.db.get_chat_settings(chat(number))?;
        let count: i64 = settings.remove("count").map_or(0, |count| count.parse().unwrap());
        let messages = messages.into_iter().map(|found| (found.message_id.to_string(), found.message_text));
        Ok(Held { messages: messages.collect(), settings, count })
    }

    fn look(&self, number: usize) {
        match self.seen(number) {
            Ok(seen) => {
                let chat = &self.chats[number];
                assert!(!self.fails(number), "its source is away");
                assert_eq!(seen, *chat.meanwhile.as_ref().unwrap_or(&chat.all), "chat {number}");
            }
            Err(error) => assert!(self.fails(number), "{error}"),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Say(number, id) => {
                let text = format!("{number} says {id}");
                let message = NewMessage::text(id, self.db.now(), UserId(1), &text);
                let answer = self
                    .db
                    .update_chat_user(chat(number), UserId(1), "@ada", "Ada")
                    .and_then(|()| self.db.save_chat_message(chat(number), &message));
                self.written(number, answer, |held| {
                    held.messages.entry(id.to_string()).or_insert_with(|| text.clone());
                });
            }
            Step::Set(number, key, value) => {
                let (key, value) = (format!("key{key}"), value.to_string());
                let answer = self.db.set_chat_setting(chat(number), &key, &value);
                self.written(number, answer, |held| {
                    held.settings.insert(key.clone(), value.clone());
                });
            }
            Step::Unset(number, key) => {
                let key = format!("key{key}");
                let answer = self.db.unset_chat_setting(chat(number), &key);
                self.written(number, answer, |held| {
                    held.settings.remove(&key);
                });
            }
            Step::Count(number) => {
                let answer = count_up(&self.db, chat(number));
                self.written(number, answer, |held| held.count += 1);
            }
            Step::Look(number) => self.look(number),
            Step::Fail(source) if self.is_away(source) => {}
            Step::Fail(source) => {
                carry(&self.file(source, "db"), &self.file(source, "away"));
                // Found out by the next reads.
                let (source_name, policy) = SOURCES[source];
                eventually("it is found out that the file is gone", || match policy {
                    OnUnavailable::Fail => self.seen(source).is_err(),
                    _ => self.seen(source).is_ok() && self.db.is_displaced(chat(source)),
                });
                assert!(!self.scratch.file(&format!("{source_name}.db")).exists(), "nothing is made in its place");
                if policy != OnUnavailable::Fail {
                    let chat = &mut self.chats[source];
                    chat.meanwhile = Some(chat.left.clone());
                }
            }
            Step::Return(source) if !self.is_away(source) => {}
            Step::Return(source) => {
                put_back(&self.file(source, "away"), &self.file(source, "db"));
                self.control.retry(&name(SOURCES[source].0)).unwrap();
                let chat = &mut self.chats[source];
                if let (Some(held), OnUnavailable::Default) = (chat.meanwhile.take(), SOURCES[source].1) {
                    chat.left = held;
                }
                self.look(source);
            }
            Step::Reload(readers) => {
                self.config.sources.values_mut().for_each(|source| source.max_connections = 2 + readers);
                self.control.reload(&self.config).unwrap();
            }
            Step::Restart => {
                self.db.clone().close();
                let (db, control) = open(&self.config);
                (self.db, self.control) = (db, control);
            }
            Step::Crash => {
                let copy = Scratch::in_memory();
                let (files, killed) = (self.scratch.path(), copy.file("killed"));
                eventually("nobody writes a file while it is copied", || {
                    let before = state_of(files);
                    let _ = std::fs::remove_dir_all(&killed);
                    // By another process: in this one only SQLite opens databases. (It fails where a file goes away.)
                    let copied = Command::new("cp").arg("-a").arg(files).arg(&killed).status().unwrap();
                    copied.success() && before == state_of(files)
                });
                self.db.clone().close();
                std::fs::remove_dir_all(files).unwrap();
                std::fs::rename(&killed, files).unwrap();
                let (db, control) = open(&self.config);
                (self.db, self.control) = (db, control);
                for (source, (source_name, _)) in
                    SOURCES.iter().enumerate().filter(|(source, _)| !self.is_away(*source))
                {
                    // What was not cleaned up any more is gone over once more.
                    eventually("a chat that was home is home", || {
                        self.control.retry(&name(source_name)).is_ok() && !self.db.is_displaced(chat(source))
                    });
                }
            }
        }
    }

    /// The path of a source's file, or of where it is while it is away.
    fn file(&self, source: usize, state: &str) -> PathBuf {
        self.scratch.file(&format!("{}.{state}", SOURCES[source].0))
    }
}

/// Each file's length and when it was written last. (Indexes are mapped into memory: nobody sees when these are.)
fn state_of(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut state = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        // (It may be gone by now.)
        let (path, Ok(found)) = (entry.path(), entry.metadata()) else { continue };
        if found.is_dir() {
            state.extend(state_of(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            state.insert(path, (found.len(), found.modified().unwrap()));
        }
    }
    state
}

fn cases() -> u32 {
    asked("OUTAGE_CASES", 30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn outages_lose_nothing_double_nothing_and_show_what_was_written_since(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bot = Bot::start();
        steps.iter().for_each(|step| bot.step(step));
        (0..SOURCES.len()).for_each(|source| bot.step(&Step::Return(source)));
        bot.step(&Step::Restart);
        (0..CHATS).for_each(|number| bot.look(number));
        bot.db.clone().close();
        prop_assert!(!bot.scratch.file("standin/stands.db").exists());
    }
}
