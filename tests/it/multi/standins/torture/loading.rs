//! The helper: writes into each chat and reads it, until it is killed or told to settle, and notes what was answered.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use database::multi::Control;
use database::{ChatId, DatabaseWrapper, ErrorKind, NewMessage, Route, UserId, params};

use super::reading::{Answered, Notes, Reader};
use super::{AT_HOME, SOURCES, config, words};
use crate::child;
use crate::multi::standins::killed::count_up;
use crate::multi::{eventually, name, open};

/// One who is found in every row.
const SPEAKER: UserId = UserId(1);

/// Works on each chat until all is to settle, and then leads all chats home.
pub(crate) fn load(folder: &str) {
    let folder = Path::new(folder);
    let (db, control) = open(&config(folder));
    let path = folder.join("acks");
    let (known, tried) = (acked(&path), last_tried(&path));
    let acks = Mutex::new(appended(&path));
    let notes = Notes::beside(folder);
    let answered_before = |chat: i64| Answered::before(known.get(&chat).map(Vec::as_slice).unwrap_or_default());
    let answered: Vec<_> = (1..=AT_HOME).map(answered_before).collect();
    let earlier = |chat: i64| tried.get(&chat).copied().unwrap_or_default();
    let mut readers: Vec<_> = (1..)
        .zip(&answered)
        .map(|(chat, answered)| Reader::new((&db, &control), chat, answered, earlier(chat), &notes))
        .collect();
    child::say("ready");
    let is_asked = |what: &str| folder.join(what).exists();
    std::thread::scope(|scope| {
        for (chat, answered) in (1..).zip(&answered) {
            let (db, acks, mut number) = (&db, &acks, answered.last());
            scope.spawn(move || {
                while !is_asked("settle") {
                    number += 1;
                    let note = |line: String| acks.lock().unwrap().write_all(line.as_bytes()).unwrap();
                    // Before anybody can see it.
                    note(format!("tried {chat} {number}\n"));
                    if say(db, chat, number) {
                        note(format!("{chat} {number}\n"));
                        answered.add(number);
                    }
                    note(format!("begun {chat}\n"));
                    match count_up(db, ChatId(-chat)) {
                        Ok(()) => note(format!("counted {chat}\n")),
                        Err(error) if matches!(error.kind(), ErrorKind::SourceUnavailable { .. }) => {
                            note(format!("refused {chat}\n"));
                        }
                        // Whether it is there nobody knows.
                        Err(_) => {}
                    }
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            });
        }
        for reader in &mut readers {
            scope.spawn(move || {
                while !is_asked("settle") {
                    reader.look();
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            });
        }
        while !is_asked("settle") {
            if is_asked("retry") {
                retry(&control);
                std::fs::remove_file(folder.join("retry")).unwrap();
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    eventually("all are at home again", || {
        retry(&control);
        (1..=AT_HOME).all(|chat| !db.is_displaced(ChatId(-chat)))
    });
    for mut reader in readers {
        reader.look();
    }
    db.close();
    child::say("settled");
}

/// A file that is only added to.
pub(super) fn appended(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn retry(control: &Control) {
    for (source, ..) in SOURCES {
        // It may still be away.
        let _ = control.retry(&name(source));
    }
}

/// Says something, and says in a setting that it was said last. Whether both were answered.
fn say(db: &DatabaseWrapper, chat: i64, number: i64) -> bool {
    let chat_id = ChatId(-chat);
    let message = NewMessage::text(number, db.now(), SPEAKER, words(chat, number));
    let said = match db.save_chat_message(chat_id, &message) {
        // What was not answered before a kill may be there.
        Err(error) => error.is_duplicate(),
        Ok(()) => true,
    };
    said && say_twice(db, chat_id, number).is_ok()
}

/// Writes a number in two places, in one transaction.
fn say_twice(db: &DatabaseWrapper, chat: ChatId, number: i64) -> database::Result<()> {
    db.write("test.say_twice", Route::Chat(chat), |tx| {
        ["last", "twin"].into_iter().try_for_each(|key| {
            tx.execute(
                "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES (?1, ?2, ?3, 'x', 'x')
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                params![chat, key, number.to_string()],
            )
            .map(drop)
        })
    })
}

/// The numbers that were answered in each chat, in order.
pub(super) fn acked(path: &Path) -> BTreeMap<i64, Vec<i64>> {
    let mut acked: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        let (chat, number) = line.split_once(' ').unwrap();
        if chat.starts_with(char::is_alphabetic) {
            continue;
        }
        acked.entry(chat.parse().unwrap()).or_default().push(number.parse().unwrap());
    }
    acked
}

/// How many lines of this kind there are of a chat.
pub(super) fn noted(path: &Path, what: &str, chat: i64) -> i64 {
    let line = format!("{what} {chat}");
    std::fs::read_to_string(path).unwrap().lines().filter(|noted| *noted == line).count() as i64
}

/// The highest number that was tried in each chat, answered or not.
fn last_tried(path: &Path) -> BTreeMap<i64, i64> {
    let mut tried: BTreeMap<i64, i64> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        if let Some((chat, number)) = line.strip_prefix("tried ").and_then(|rest| rest.split_once(' ')) {
            let highest = tried.entry(chat.parse().unwrap()).or_default();
            *highest = (*highest).max(number.parse().unwrap());
        }
    }
    tried
}
