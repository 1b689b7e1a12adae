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
pub(crate) mod synced;
mod writers;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use database::multi::{Control, MoveError, MoveOptions, MoveReport, Progress, Stage};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, Durability, MessageId, NewMessage, Route, Timestamp, UserId};
use rstest::rstest;

use self::writers::{Held, hold_others_and_the_chat, watch_disk, write};
use super::{config_of, name, open};
use crate::support::{Scratch, asked, pause, sqlite};

const MOVED: ChatId = ChatId(-1);
/// Others: one in each source.
const OTHERS: [(ChatId, &str); 2] = [(ChatId(-2), "primary"), (ChatId(-3), "archive")];
/// Whether this is the longer form, which has the machine for itself.
fn is_long() -> bool {
    std::env::var_os("MOVES").is_some()
}

/// How long the writes of the chat may wait at the gate: a tenth of a second. A build for tests, beside other tests, is
/// given more.
fn longest_wait() -> Duration {
    Duration::from_millis(if is_long() || !cfg!(debug_assertions) { 100 } else { 1_500 })
}

/// How long a call may take besides the time in which a long write has its file or the disk answers nobody: the gate, its turn behind the others'
/// and the move's writes, and the disk.
fn longest_call() -> Duration {
    if is_long() { Duration::from_millis(500) } else { Duration::from_secs(5) }
}

/// In the longer form every answered write is on disk.
fn config(scratch: &Scratch) -> DatabaseConfig {
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(OTHERS[1].0.0, "archive")]);
    let durability = if is_long() { Durability::Full } else { Durability::Normal };
    config.sources.values_mut().for_each(|source| source.durability = durability);
    config
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn move_to(control: &Control, to: &str) -> Result<MoveReport, MoveError> {
    control.move_chat(MOVED, &name(to), &MoveOptions::default(), go_on)
}

/// A call that reads the chat until what is answered is told so or dropped.
fn hold_read<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    db: &'env DatabaseWrapper,
    chat: ChatId,
) -> mpsc::Sender<()> {
    let (hold, held) = mpsc::channel();
    let (let_go, is_let_go) = mpsc::channel::<()>();
    scope.spawn(move || {
        db.read("test.hold", Route::Chat(chat), |_| {
            hold.send(()).unwrap();
            let _ = is_let_go.recv();
            Ok(())
        })
    });
    held.recv().unwrap();
    let_go
}

/// Messages that nobody touches, a minute apart.
fn fill(db: &DatabaseWrapper, chat: ChatId, messages: i64) {
    fill_by(db, chat, 0, messages);
}

/// The same, said by people of whom the first has this number.
pub(crate) fn fill_by(db: &DatabaseWrapper, chat: ChatId, first_person: i64, messages: i64) {
    let (first, people) = (1_000_000_000, 300);
    for person in 0..people {
        db.update_chat_user(chat, UserId(first_person + person), "@somebody", "Somebody").unwrap();
    }
    for begin in (0..messages).step_by(1_000) {
        let batch: Vec<_> = (begin..messages.min(begin + 1_000))
            .map(|number| {
                let words = "words of no meaning ".repeat(1 + usize::try_from(number % 7).unwrap());
                let date = Timestamp::from_unix_seconds(1_600_000_000 + 60 * number).unwrap();
                NewMessage::text(first + number, date, UserId(first_person + number % people), words)
            })
            .collect();
        db.save_chat_messages(chat, &batch).unwrap();
    }
}

#[test]
fn a_chat_moves_there_and_back_while_eight_write_and_every_answer_holds() {
    let rounds: usize = asked("MOVES", 2);
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, control) = open(&config);
    fill(&db, MOVED, asked("MOVED_MESSAGES", 5_000));
    let (stop, held) = (AtomicBool::new(false), Held::default());
    let beside = scratch.file("beside");
    let (reports, answered, last_held, (stalled, longest_sync)) = std::thread::scope(|scope| {
        let (db, stop, held, beside) = (&db, &stop, &held, &beside);
        let writers: Vec<_> = (1..=7).map(|writer| scope.spawn(move || write(db, writer, stop))).collect();
        let holder = scope.spawn(move || hold_others_and_the_chat(db, held, stop));
        let disk = scope.spawn(move || watch_disk(beside, held, stop));
        let _stop = StopAtEnd(stop);
        let mut reports = Vec::new();
        for round in 0..rounds {
            for to in ["archive", "primary"] {
                reports.push(move_to(&control, to).unwrap());
            }
            // What began to write is under way in the file as it was configured before when the next move begins.
            let mut next = config.clone();
            next.sources.values_mut().for_each(|source| source.max_connections += (round + 1) % 2);
            control.reload(&next).unwrap();
        }
        reports.push(move_to(&control, "archive").unwrap());
        stop.store(true, Ordering::Relaxed);
        let answered: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        (reports, answered, holder.join().unwrap(), disk.join().unwrap())
    });
    let mut waits: Vec<_> = reports.iter().map(|report| report.waited).collect();
    waits.sort();
    let tries: u32 = reports.iter().map(|report| report.tries).sum();
    let reread: u64 = reports.iter().map(|report| report.reread).sum();
    let longest = answered.iter().flat_map(|answered| &answered.calls).map(|(_, took)| *took).max().unwrap_or_default();
    let slowest = answered.iter().flat_map(|answered| &answered.calls).map(|call| held.besides(call)).max();
    let slowest = slowest.unwrap_or_default();
    let messages: i64 = answered.iter().map(|answered| answered.saved).sum();
    let deleted: i64 = answered.iter().map(|answered| answered.deleted.len() as i64).sum();
    let elapsed: Duration = reports.iter().map(|report| report.elapsed).sum();
    writeln!(
        std::io::stdout(),
        "{} moves in {elapsed:.1?}, {messages} messages and {reread} rows read again; the gate was closed for {:.1?} \
         (median {:.1?}), in {tries} tries; the longest call took {longest:.1?}, and {slowest:.1?} while no long write had \
         the file and the disk answered; a sync of another file took {longest_sync:.1?} at most",
        waits.len(),
        waits[waits.len() - 1],
        waits[waits.len() / 2],
    )
    .unwrap();
    assert!(waits.iter().all(|wait| *wait > Duration::ZERO && *wait <= longest_wait()), "{waits:?}");
    assert!(slowest <= longest_call(), "{slowest:?}");
    assert!(!is_long() || stalled < elapsed / 20, "the disk did not answer for {stalled:?}: nothing was measured");
    assert!(reread > 0, "what changed meanwhile was seen");
    assert!(deleted > 0 && last_held > 0, "there was a message deleted, and a long write of the chat");
    for answered in &answered {
        for (id, text) in &answered.messages {
            let found = db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap().unwrap();
            assert_eq!(&found.message_text, text);
        }
        for id in &answered.deleted {
            assert!(db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap().is_none(), "{id}");
        }
    }
    let mut settings: BTreeMap<_, _> = answered.iter().flat_map(|answered| answered.settings.clone()).collect();
    settings.insert("held".to_owned(), last_held.to_string());
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
    assert_eq!(count("archive", "chat_messages"), all - deleted);
    assert_eq!(all, messages + asked("MOVED_MESSAGES", 5_000_i64));
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

#[rstest]
fn others_hardly_notice_a_move(#[values(0, 8)] writers: i64) {
    let scratch = Scratch::new();
    let mut config = config(&scratch);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Full);
    let (db, control) = open(&config);
    fill(&db, MOVED, asked("MOVED_MESSAGES", 20_000));
    let time = Duration::from_millis(if is_long() { 5_000 } else { 700 });
    let mut out = std::io::stdout();
    let mut ways = ["archive", "primary"].into_iter().cycle();
    let stop = AtomicBool::new(false);
    let needed = if is_long() { 3 } else { 1 };
    let fast = std::thread::scope(|scope| {
        let (db, stop) = (&db, &stop);
        (1..=writers).for_each(|writer| drop(scope.spawn(move || write(db, writer, stop))));
        let _stop = StopAtEnd(stop);
        let is_fast = |_: &u8| {
            let quiet = others_while(db, || pause(time));
            let moving = others_while(db, || drop(move_to(&control, ways.next().unwrap()).unwrap()));
            writeln!(
                out,
                "p99 of calls on other chats, {writers} writing the one that moves: {quiet:.1?} before, {moving:.1?} \
                 during a move"
            )
            .unwrap();
            // Beside other tests it is the machine that is measured.
            let least = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 4 });
            moving <= if is_long() { 2 * quiet } else { least.max(2 * quiet) }
        };
        (1..=5).filter(is_fast).take(needed).count()
    });
    assert_eq!(fast, needed, "of five tries");
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
