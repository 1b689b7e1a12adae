//! Coming home while the bot is in use: it ends under any load, holds its chats up for a bounded time only, and others
//! not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use database::multi::Control;
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Durability, NewMessage, OnUnavailable, Operation, Options, UserId,
};

use super::killed::count_up;
use super::{AWAY, with_its_source_away};
use crate::multi::{carry, eventually, name, open};
use crate::support::{Scratch, sqlite};

/// Makes every message slow at home: by so many steps of counting.
pub(super) fn slow_at_home(scratch: &Scratch, table: &str, steps: u32) {
    let sql = format!(
        "CREATE TRIGGER slow AFTER INSERT ON {table} BEGIN
             SELECT (WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {steps})
                     SELECT COUNT(*) FROM n);
         END"
    );
    sqlite(&scratch.file("away.db")).execute_batch(&sql).unwrap();
}

fn come_back(scratch: &Scratch) {
    carry(&scratch.file("away.db"), &scratch.file("community.db"));
}

/// A chat with a write that waits for its source, whose file is there again.
fn about_to_come_home(policy: OnUnavailable) -> (Scratch, DatabaseConfig, DatabaseWrapper, Control) {
    let (scratch, config) = with_its_source_away(policy);
    // The last write alone takes some seconds at home.
    slow_at_home(&scratch, "chat_messages", 30_000_000);
    let (db, control) = open(&config);
    db.save_chat_message(AWAY, &NewMessage::text("2", db.now(), UserId(7), "meanwhile")).unwrap();
    come_back(&scratch);
    (scratch, config, db, control)
}

/// Lets the source come home, and does something over and over meanwhile. Answers how long coming home took, and how
/// long the other did at most.
fn while_it_comes_home(control: &Control, mut meanwhile: impl FnMut()) -> (Duration, Duration) {
    std::thread::scope(|scope| {
        let comes_home = scope.spawn(|| {
            let begun = Instant::now();
            control.retry(&name("community")).unwrap();
            begun.elapsed()
        });
        let mut longest = Duration::ZERO;
        while !comes_home.is_finished() {
            let begun = Instant::now();
            meanwhile();
            longest = longest.max(begun.elapsed());
        }
        (comes_home.join().unwrap(), longest)
    })
}

fn lax(mut config: DatabaseConfig) -> DatabaseConfig {
    config.sources.values_mut().for_each(|settings| settings.durability = Durability::Normal);
    config
}

#[test]
fn others_of_the_default_source_do_not_wait_for_the_disk_of_a_source_that_comes_home() {
    let (_scratch, _, db, control) = about_to_come_home(OnUnavailable::Default);
    let (took, longest) = while_it_comes_home(&control, || db.set_chat_setting(ChatId(-2), "language", "fr").unwrap());
    assert!(longest < took / 4, "{longest:?} of {took:?}");
    assert!(!db.is_displaced(AWAY));
    db.close();
}

#[test]
fn a_reload_does_not_wait_for_the_disk_of_a_source_that_comes_home() {
    let (_scratch, config, db, control) = about_to_come_home(OnUnavailable::StandIn);
    let (took, longest) = while_it_comes_home(&control, || {
        control.reload(&config).unwrap();
        std::thread::park_timeout(Duration::from_millis(1));
    });
    assert!(longest < took / 4, "{longest:?} of {took:?}");
    eventually("the chat is at home", || !db.is_displaced(AWAY));
    db.close();
}

#[test]
fn a_chat_that_comes_home_is_held_up_for_a_bounded_time_and_nothing_of_it_is_lost() {
    let (_scratch, _, db, control) = about_to_come_home(OnUnavailable::StandIn);
    let mut counted = 0;
    let (_, longest) = while_it_comes_home(&control, || {
        count_up(&db, AWAY).unwrap();
        counted += 1;
    });
    // Half of a call's timeout, two seconds at most; and what a slow machine takes.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    eventually("the chat is at home", || !db.is_displaced(AWAY));
    assert_eq!(db.get_chat_setting(AWAY, "count").unwrap(), Some(counted.to_string()));
    db.close();
}

#[test]
fn a_chat_that_is_home_does_not_wait_until_what_was_written_elsewhere_is_forgotten_there() {
    let (scratch, mut config) = with_its_source_away(OnUnavailable::Default);
    // Time enough for that on a machine that does other things too.
    config.sources.get_mut(&name("primary")).unwrap().timeout = Duration::from_secs(60);
    let (db, _) = open(&config);
    count_up(&db, AWAY).unwrap();
    db.close();
    // Forgetting the first write alone takes some seconds.
    let sql = "CREATE TRIGGER slow BEFORE DELETE ON switchyard_journal WHEN old.seq = 1 BEGIN
                   SELECT (WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000000)
                           SELECT COUNT(*) FROM n);
               END";
    sqlite(&scratch.file("primary.db")).execute_batch(sql).unwrap();
    let (db, control) = open(&config);
    let note = scratch.file("standin/community.default");
    assert!(db.is_displaced(AWAY) && note.exists());
    come_back(&scratch);
    let (mut counted, mut noted) = (1, 0);
    let (took, longest) = while_it_comes_home(&control, || {
        let was_displaced = db.is_displaced(AWAY);
        count_up(&db, AWAY).unwrap();
        counted += 1;
        if !was_displaced {
            // Nor does a reload wait for it.
            control.reload(&config).unwrap();
            // A bot that is killed now has to look there.
            noted += usize::from(note.exists());
        }
    });
    assert!(longest < took / 4, "{longest:?} of {took:?}");
    assert!(!db.is_displaced(AWAY));
    assert_eq!(db.get_chat_setting(AWAY, "count").unwrap(), Some(counted.to_string()));
    assert!(noted > 0 && !note.exists());
    assert!(control.journal(None, 1).unwrap().entries.is_empty(), "all of it is forgotten");
    db.close();
}

#[test]
fn coming_home_ends_while_writes_come_in_faster_than_they_can_be_made_there() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    slow_at_home(&scratch, "chat_messages", 2_000);
    let (db, control) = open(&lax(config));
    let (is_home, next) = (AtomicBool::new(false), AtomicI64::new(2));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_home.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    db.save_chat_message(AWAY, &NewMessage::text(id, db.now(), UserId(7), "meanwhile")).unwrap();
                }
            });
        }
        eventually("some wait", || next.load(Ordering::Relaxed) > 1_000);
        come_back(&scratch);
        while db.is_displaced(AWAY) && begun.elapsed() < Duration::from_secs(120) {
            let _ = control.retry(&name("community"));
        }
        is_home.store(true, Ordering::Relaxed);
    });
    assert!(!db.is_displaced(AWAY), "it does not end");
    db.close();
    let home = sqlite(&scratch.file("community.db"));
    let number = |sql: &str| -> i64 { home.query_row(sql, [], |row| row.get(0)).unwrap() };
    let all = next.load(Ordering::Relaxed) - 1;
    assert_eq!(number("SELECT COUNT(*) FROM chat_messages"), all);
    assert_eq!(number("SELECT SUM(messages_count) FROM chat_stats"), all, "each is counted once");
}

#[test]
fn a_panic_of_whoever_is_told_of_writes_ends_a_look_and_not_the_looking() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let has_panicked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&has_panicked);
    let observer = move |_: &Operation| {
        // A look commits for others what they hand over to it.
        let is_look = std::thread::current().name().is_some_and(|name| name.starts_with("looks at"));
        assert!(!is_look || told.swap(true, Ordering::Relaxed), "as it is to");
    };
    let options = Options { observer: Some(Arc::new(observer)), ..Options::default() };
    let (db, control) = DatabaseWrapper::open_multi(&config, options).unwrap();
    count_up(&db, AWAY).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // What is refused while its file is carried away is no concern here.
                    let _ = count_up(&db, AWAY);
                }
            });
        }
        let begun = Instant::now();
        while !has_panicked.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(60) {
            if scratch.file("away.db").exists() {
                come_back(&scratch);
            }
            let _ = control.retry(&name("community"));
            if !db.is_displaced(AWAY) && !has_panicked.load(Ordering::Relaxed) {
                carry(&scratch.file("community.db"), &scratch.file("away.db"));
                eventually("it is away", || db.is_displaced(AWAY) || has_panicked.load(Ordering::Relaxed));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    // It may have been carried away once more just before.
    if scratch.file("away.db").exists() {
        come_back(&scratch);
    }
    assert!(has_panicked.load(Ordering::Relaxed), "no look had anything to tell");
    // By itself, after the pause that has grown with each look that failed.
    let begun = Instant::now();
    while db.is_displaced(AWAY) && begun.elapsed() < Duration::from_secs(120) {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(!db.is_displaced(AWAY), "it is not looked at again");
    db.close();
}
