//! Moves while the chat and others are written: no answered write is lost or doubled, and nobody waits for long.
//!
//! The longer form takes some minutes, and more with a large chat:
//!
//! ```text
//! MOVES=20 MOVED_MESSAGES=1000000 MOVE_KILLS=20 cargo test --release -p tests --features multi-source --test it multi::live -- --nocapture --test-threads=1
//! ```

mod earlier;
pub(crate) mod killed;
mod meanwhile;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use database::multi::{Control, MoveError, MoveOptions, MoveReport, Progress, Stage};
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Durability, MediaId, MessageId, NewMedia, NewMessage, Route, UserId,
    params,
};

use super::{config_of, name, open};
use crate::support::{Scratch, asked, sqlite};

const MOVED: ChatId = ChatId(-1);
/// Others: one in each source.
const OTHERS: [(ChatId, &str); 2] = [(ChatId(-2), "primary"), (ChatId(-3), "archive")];
/// How long the writes of the chat may wait at the gate: a tenth of a second. A build for tests, beside other tests, is
/// given more where it is not the longer form, which has the machine for itself.
fn longest_wait() -> Duration {
    let is_alone = std::env::var_os("MOVES").is_some() || !cfg!(debug_assertions);
    Duration::from_millis(if is_alone { 100 } else { 1_500 })
}

fn config(scratch: &Scratch) -> DatabaseConfig {
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(OTHERS[1].0.0, "archive")]);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Normal);
    config
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn move_to(control: &Control, to: &str) -> Result<MoveReport, MoveError> {
    control.move_chat(MOVED, &name(to), &MoveOptions::default(), go_on)
}

/// Messages that nobody touches.
fn fill(db: &DatabaseWrapper, chat: ChatId, messages: i64) {
    let first = 1_000_000_000;
    for user in 0..300 {
        db.update_chat_user(chat, UserId(user), "@somebody", "Somebody").unwrap();
    }
    for begin in (0..messages).step_by(1_000) {
        let batch: Vec<_> = (begin..messages.min(begin + 1_000))
            .map(|number| {
                let words = "words of no meaning ".repeat(1 + usize::try_from(number % 7).unwrap());
                NewMessage::text(first + number, db.now(), UserId(number % 300), words)
            })
            .collect();
        db.save_chat_messages(chat, &batch).unwrap();
    }
}

/// What one who writes into the chat was answered that is kept.
#[derive(Default)]
struct Answered {
    messages: BTreeMap<i64, String>,
    settings: BTreeMap<String, String>,
    data: BTreeMap<String, String>,
    media: BTreeMap<String, String>,
    longest: Duration,
}

/// Inserts, edits, replaces and deletes until it is told to stop; after each answer it reads what it was answered.
fn write(db: &DatabaseWrapper, writer: i64, stop: &AtomicBool) -> Answered {
    let mut answered = Answered::default();
    let user = UserId(writer);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let id = writer * 1_000_000 + number;
        let key = format!("{writer}-{}", number % 7);
        match number % 6 {
            0 | 1 => {
                let text = format!("CANARY {id}");
                let mut message = NewMessage::text(id, db.now(), user, text.clone());
                if number % 4 == 0 {
                    let media = format!("media-{writer}-{}", number % 20);
                    if !answered.media.contains_key(&media) {
                        db.add_media_attachment(Some(MOVED), &NewMedia::new(media.as_str())).unwrap();
                        answered.media.insert(media.clone(), media.clone());
                    }
                    message.media_id = Some(MediaId::from(media.as_str()));
                }
                db.save_chat_message(MOVED, &message).unwrap();
                answered.messages.insert(id, text);
            }
            2 => {
                if let Some((id, text)) = answered.messages.iter_mut().next_back() {
                    let edited = format!("CANARY edited {number}");
                    db.update_chat_message_text(MOVED, &MessageId::from(*id), &edited).unwrap();
                    *text = edited;
                }
            }
            3 => {
                db.set_chat_setting(MOVED, &key, &number.to_string()).unwrap();
                answered.settings.insert(key.clone(), number.to_string());
            }
            4 => {
                db.add_user_data(MOVED, user, &key, &number.to_string()).unwrap();
                answered.data.insert(key.clone(), number.to_string());
            }
            _ => {
                db.unset_chat_setting(MOVED, &key).unwrap();
                answered.settings.remove(&key);
                let key = format!("{writer}-{}", (number + 3) % 7);
                db.delete_user_data(MOVED, user, &key).unwrap();
                answered.data.remove(&key);
            }
        }
        answered.longest = answered.longest.max(begun.elapsed());
        if let Some((id, text)) = answered.messages.iter().next_back() {
            let found = db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap();
            assert_eq!(found.map(|found| found.message_text).as_ref(), Some(text), "message {id}");
        }
        assert_eq!(db.get_chat_setting(MOVED, &key).unwrap().as_ref(), answered.settings.get(&key), "setting {key}");
        // Some thousand writes a second are enough.
        std::thread::park_timeout(Duration::from_millis(1));
    }
    answered
}

/// One write of another chat that holds the writer for a second.
fn hold_for_a_second(db: &DatabaseWrapper, chat: ChatId) {
    let hold = || {
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    db.write("test.hold", Route::Chat(chat), |tx| {
        tx.execute("UPDATE switchyard_meta SET value = value WHERE key = 'schema'", params![])?;
        hold();
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_chat_moves_there_and_back_while_eight_write_and_every_answer_holds() {
    let rounds: usize = asked("MOVES", 2);
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, control) = open(&config);
    fill(&db, MOVED, asked("MOVED_MESSAGES", 5_000));
    let stop = AtomicBool::new(false);
    let (reports, answered) = std::thread::scope(|scope| {
        let (db, stop) = (&db, &stop);
        let writers: Vec<_> = (1..=7).map(|writer| scope.spawn(move || write(db, writer, stop))).collect();
        scope.spawn(move || {
            // One more writes others' chats, and every few seconds for a second.
            let mut held = Instant::now();
            for (number, (chat, _)) in (0..).zip(OTHERS.iter().cycle()) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                db.set_chat_setting(*chat, "number", &number.to_string()).unwrap();
                if held.elapsed() > Duration::from_secs(4) {
                    hold_for_a_second(db, *chat);
                    held = Instant::now();
                }
            }
        });
        let _stop = StopAtEnd(stop);
        let mut reports = Vec::new();
        for _ in 0..rounds {
            for to in ["archive", "primary"] {
                reports.push(move_to(&control, to).unwrap());
            }
        }
        reports.push(move_to(&control, "archive").unwrap());
        stop.store(true, Ordering::Relaxed);
        (reports, writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>())
    });
    let mut waits: Vec<_> = reports.iter().map(|report| report.waited).collect();
    waits.sort();
    let tries: u32 = reports.iter().map(|report| report.tries).sum();
    let reread: u64 = reports.iter().map(|report| report.reread).sum();
    let longest = answered.iter().map(|answered| answered.longest).max().unwrap();
    let messages: usize = answered.iter().map(|answered| answered.messages.len()).sum();
    let elapsed: Duration = reports.iter().map(|report| report.elapsed).sum();
    writeln!(
        std::io::stdout(),
        "{} moves in {elapsed:.1?}, {messages} messages and {reread} rows read again; the gate was closed for {:.1?} \
         (median {:.1?}), in {tries} tries; the longest call took {longest:.1?}",
        waits.len(),
        waits[waits.len() - 1],
        waits[waits.len() / 2],
    )
    .unwrap();
    assert!(waits.iter().all(|wait| *wait > Duration::ZERO && *wait <= longest_wait()), "{waits:?}");
    assert!(reread > 0, "what changed meanwhile was seen");
    for answered in &answered {
        for (id, text) in &answered.messages {
            let found = db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap().unwrap();
            assert_eq!(&found.message_text, text);
        }
    }
    let settings: BTreeMap<_, _> = answered.iter().flat_map(|answered| answered.settings.clone()).collect();
    assert_eq!(db.get_chat_settings(MOVED).unwrap(), settings);
    for (writer, answered) in (1..).zip(&answered) {
        assert_eq!(db.get_user_data(MOVED, UserId(writer)).unwrap(), answered.data);
    }
    assert_eq!(control.unfinished_moves().unwrap(), []);
    let all = db.get_chat_totals(MOVED).unwrap().messages;
    db.close();
    let count = |source: &str, table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE chat_id = -1");
        sqlite(&scratch.file(&format!("{source}.db"))).query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("archive", "chat_messages"), all);
    assert_eq!(all, messages as i64 + asked("MOVED_MESSAGES", 5_000_i64));
    for table in ["chat_messages", "chat_users", "chat_settings", "user_data", "chat_stats", "switchyard_moved_media"] {
        assert_eq!(count("primary", table), 0, "{table}");
    }
    let counted = "SELECT SUM(messages_count) FROM chat_users WHERE chat_id = -1";
    let counted: i64 = sqlite(&scratch.file("archive.db")).query_row(counted, [], |row| row.get(0)).unwrap();
    assert_eq!(counted, all, "each is counted once");
    let shown: i64 = sqlite(&scratch.file("archive.db"))
        .query_row("SELECT COUNT(*) FROM media_attachments", [], |row| row.get(0))
        .unwrap();
    assert_eq!(shown, answered.iter().map(|answered| answered.media.len() as i64).sum::<i64>());
}

/// Lets the others stop, whatever happens.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long calls on the other chats took while `meanwhile` was done: 99 of 100 at most so long.
fn others_while(db: &DatabaseWrapper, mut meanwhile: impl FnMut()) -> Duration {
    let stop = AtomicBool::new(false);
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let stop = &stop;
        let callers: Vec<_> = OTHERS
            .iter()
            .map(|(chat, _)| {
                scope.spawn(move || {
                    let mut took = Vec::new();
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let begun = Instant::now();
                        db.set_chat_setting(*chat, "number", &number.to_string()).unwrap();
                        took.push(begun.elapsed());
                        std::thread::park_timeout(Duration::from_micros(500));
                    }
                    took
                })
            })
            .collect();
        let _stop = StopAtEnd(stop);
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    took.sort();
    took[took.len() * 99 / 100]
}

#[test]
fn others_hardly_notice_a_move() {
    let scratch = Scratch::new();
    let mut config = config(&scratch);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Full);
    let (db, control) = open(&config);
    fill(&db, MOVED, asked("MOVED_MESSAGES", 20_000));
    let quiet_for = Duration::from_millis(if std::env::var_os("MOVES").is_some() { 5_000 } else { 700 });
    let mut out = std::io::stdout();
    let mut ways = ["archive", "primary"].into_iter().cycle();
    let is_fast = (1..=5).any(|_| {
        let quiet = others_while(&db, || std::thread::park_timeout(quiet_for));
        let moving = others_while(&db, || drop(move_to(&control, ways.next().unwrap()).unwrap()));
        writeln!(out, "p99 of calls on other chats: {quiet:.1?} quiet, {moving:.1?} during a move").unwrap();
        // Below a few milliseconds it is the machine that is measured.
        moving <= (2 * quiet).max(Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 4 }))
    });
    assert!(is_fast, "in none of five tries");
    db.close();
}

#[test]
fn a_row_that_is_damaged_in_the_copy_keeps_the_chat_where_it_is() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    fill(&db, MOVED, 1_000);
    db.save_chat_message(MOVED, &NewMessage::text(7, db.now(), UserId(1), "as it was")).unwrap();
    let written = AtomicU64::new(0);
    let damage = |progress: Progress| {
        if progress.stage == Stage::Verifying && progress.done == 0 {
            sqlite(&scratch.file("archive.db"))
                .execute("UPDATE chat_messages SET message_text = 'damaged' WHERE message_id = '7'", [])
                .unwrap();
            // What changes at the same time has a reason to differ.
            db.update_chat_message_text(MOVED, &MessageId::from(1_000_000_001), "changed").unwrap();
            written.fetch_add(1, Ordering::Relaxed);
        }
        ControlFlow::Continue(())
    };
    let error = control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), damage).unwrap_err();
    assert_eq!(written.load(Ordering::Relaxed), 1);
    insta::assert_snapshot!(error, @"the copy in `archive` is not the same as what is in `primary`: table `chat_messages`, row chat_id=-1, message_id=`7`, differs in message_text; the chat stays in `primary`; try again, or undo it with `bot db move -1 --abort`, and check the disk if it comes again");
    assert_eq!(control.explain(MOVED).source, name("primary"));
    // It is started over.
    move_to(&control, "archive").unwrap();
    let text = |id: i64| db.get_chat_message_by_message_id(MOVED, &MessageId::from(id)).unwrap().unwrap().message_text;
    assert_eq!((&*text(7), &*text(1_000_000_001)), ("as it was", "changed"));
    db.close();
}
