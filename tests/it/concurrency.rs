//! Many at once: no lost write, no needless error, one moment for who asks for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use database::{
    ChatId, ClassCounts, ClassDelta, DatabaseWrapper, Durability, Options, Route, SourceConfig, UserId, params,
};

use crate::child::{Child, numbered};
use crate::support::{HandClock, Recording, Scratch, fresh, open, rows, rows_of, sqlite};

const CHAT: ChatId = ChatId(1);

/// Fast, so that many writes meet in a short time.
fn open_fast(path: &Path, options: Options) -> DatabaseWrapper {
    let config = SourceConfig { durability: Durability::Normal, ..SourceConfig::new(path) };
    DatabaseWrapper::open_with(&config, options).unwrap()
}

#[test]
fn of_many_threads_writes_none_is_lost_and_none_fails() {
    let scratch = Scratch::new();
    let db = open_fast(&scratch.file("bot.db"), Options::default());
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = db.clone();
            scope.spawn(move || {
                let name = format!("thread{thread}");
                for index in 0..200 {
                    if index % 2 == 0 {
                        db.save_chat_message(CHAT, &numbered(&name, index)).unwrap();
                    } else {
                        let class = ClassDelta { is_spam: true, messages: 1, tokens: 2 };
                        db.update_bayes(None, &[], &[class]).unwrap();
                        db.get_chat_user(CHAT, UserId(1)).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 800);
    assert_eq!(db.get_chat_user(CHAT, UserId(1)).unwrap().unwrap().messages_count, 800);
    assert_eq!(db.get_user_footprint(CHAT, UserId(1)).unwrap().messages, 800);
    let learnt = ClassCounts { is_spam: true, message_count: 800, token_count: 1600 };
    assert_eq!(db.get_bayes_classes(None).unwrap(), [learnt]);
    let connection = sqlite(&scratch.file("bot.db"));
    assert_eq!(rows_of(&connection, "bayes_classes").len(), 1, "where nothing conflicts, one row is made all the same");
}

#[test]
fn of_many_processes_writes_none_is_lost_and_none_fails() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let db = open(&path);
    let task = |name: &'static str| ["write", path.to_str().unwrap(), name, "100"];
    let mut children = ["one", "two", "three"].map(|name| Child::start(&task(name).map(OsStr::new)));
    for child in &mut children {
        assert_eq!(child.line(), "ready");
    }
    for index in 0..50 {
        db.save_chat_message(CHAT, &numbered("parent", index)).unwrap();
    }
    children.into_iter().for_each(Child::finish);
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 350);
    assert_eq!(rows(&path)["chat_messages"].len(), 350);
}

#[test]
fn what_a_killed_process_was_told_is_kept_and_others_go_on() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let mut child = Child::start(&["write", path.to_str().unwrap(), "child", "1000000"].map(OsStr::new));
    assert_eq!(child.line(), "ready");
    let db = open(&path);
    while db.get_chat_totals(CHAT).unwrap().messages < 5 {
        std::thread::yield_now();
    }
    child.kill();
    let stored = db.get_chat_totals(CHAT).unwrap().messages;
    db.save_chat_message(CHAT, &numbered("parent", 0)).unwrap();
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, stored + 1);
    assert_eq!(rows(&path)["chat_messages"].len() as i64, stored + 1, "counted and stored are the same");
}

#[test]
fn a_write_that_begins_by_reading_never_meets_a_newer_moment_than_its_own() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let wrappers = [open_fast(&path, Options::default()), open_fast(&path, Options::default())];
    wrappers[0].set_setting("n", "0").unwrap();
    // Two wrappers are two writers, as two processes are.
    std::thread::scope(|scope| {
        for db in wrappers.iter().chain(&wrappers) {
            scope.spawn(|| {
                for _ in 0..100 {
                    db.get_setting("n").unwrap();
                    db.write("test.count", Route::Shared, |tx| {
                        tx.execute(
                            "INSERT INTO settings (key) SELECT 'm' FROM settings WHERE key = 'none'",
                            params![],
                        )?;
                        tx.execute("UPDATE settings SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'", params![])
                            .map(drop)
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(wrappers[1].get_setting("n").unwrap().as_deref(), Some("400"));
}

#[test]
fn readers_who_ask_for_one_moment_get_one_while_others_write() {
    let scratch = Scratch::new();
    let db = open_fast(&scratch.file("bot.db"), Options::default());
    let set_both = |value: i64| {
        db.write("test.set_both", Route::Shared, |tx| {
            for key in ["one", "other"] {
                let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                tx.execute(sql, params![key, value])?;
            }
            Ok(())
        })
        .unwrap();
    };
    set_both(0);
    // Each reader goes on until it has seen so many changes, and the writer until no reader does.
    let (reading, written_enough) = (AtomicUsize::new(3), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut changes = 0;
                let mut last = String::new();
                while changes < 20 && !written_enough.load(Ordering::Relaxed) {
                    let seen = db
                        .read("test.get_both", Route::Shared, |tx| {
                            tx.snapshot()?;
                            let sql = "SELECT value FROM settings WHERE key = ?1";
                            let one: Option<String> = tx.value("settings", sql, params!["one"])?;
                            std::thread::yield_now();
                            let other: Option<String> = tx.value("settings", sql, params!["other"])?;
                            assert_eq!(one, other);
                            Ok(one.unwrap())
                        })
                        .unwrap();
                    changes += u32::from(seen != last);
                    last = seen;
                }
                reading.fetch_sub(1, Ordering::Relaxed);
                assert_eq!(changes, 20, "the reader saw the writer's work");
            });
        }
        for value in 1..100_000 {
            if reading.load(Ordering::Relaxed) == 0 {
                break;
            }
            set_both(value);
        }
        written_enough.store(true, Ordering::Relaxed);
    });
}

/// The locks that this process has on a file. The system makes its list piece by piece, so that while others lock and unlock
/// some may be left out and some told twice: what is seen at least once counts, once.
fn locks_on(path: &Path) -> BTreeSet<String> {
    (0..20).flat_map(|_| listed_locks(path)).collect()
}

fn listed_locks(path: &Path) -> Vec<String> {
    let inode = std::fs::metadata(path).unwrap().ino();
    let all = std::fs::read_to_string("/proc/locks").unwrap();
    // Each line begins with a number that changes with what others lock.
    let on_the_file = all.lines().filter(|line| line.contains(&format!(":{inode} ")));
    on_the_file.map(|line| line.split_once(':').unwrap().1.trim().to_owned()).collect()
}

#[test]
fn opening_a_database_once_more_in_the_same_process_drops_none_of_its_locks() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let db = open(&path);
    db.set_setting("owner", "ada").unwrap();
    let before = locks_on(&path);
    assert!(!before.is_empty());
    // There is something in its log, so it is looked at without that, too.
    assert!(std::fs::metadata(scratch.file("bot.db-wal")).unwrap().len() > 0);
    let again = open(&path);
    assert_eq!(again.get_setting("owner").unwrap().as_deref(), Some("ada"));
    assert_eq!(locks_on(&path), before);
    again.close();
    assert_eq!(locks_on(&path), before);
    // A look by other means would drop them.
    drop(std::fs::File::open(&path).unwrap());
    assert_eq!(locks_on(&path), BTreeSet::new());
    db.close();
}

#[test]
fn a_panic_inside_a_write_rolls_back_and_leaves_the_source_usable() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let panics = || {
        db.write("test.panic", Route::Shared, |tx| -> database::Result<()> {
            tx.execute("INSERT INTO settings (key, value) VALUES ('half', 'written')", params![])?;
            std::panic::resume_unwind(Box::new("in the middle"));
        })
    };
    let payload = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"in the middle"), "the panic goes on to the caller");
    assert_eq!(db.get_setting("half").unwrap(), None);
    db.set_setting("after", "x").unwrap();

    let reads = || {
        db.read("test.panic", Route::Shared, |tx| -> database::Result<()> {
            tx.snapshot()?;
            std::panic::resume_unwind(Box::new("in the middle"));
        })
    };
    for _ in 0..10 {
        assert!(catch_unwind(AssertUnwindSafe(reads)).is_err());
    }
    assert_eq!(db.get_setting("after").unwrap().as_deref(), Some("x"), "no reader is lost");
}

#[test]
fn the_observer_is_told_of_writes_in_the_order_they_were_made() {
    let scratch = Scratch::in_memory();
    let [path, again] = ["bot.db", "again.db"].map(|name| scratch.file(name));
    let (clock, recording) = (HandClock::at("2026-01-01 00:00:00"), Recording::default());
    let db = open_fast(&path, recording.of(clock.options()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = db.clone();
            scope.spawn(move || {
                for index in 0..300 {
                    // Each write appends: its effect depends on all that came before.
                    db.write("test.append", Route::Shared, |tx| {
                        let sql = "INSERT INTO settings (key, value) VALUES ('all', ?1)
                                   ON CONFLICT (key) DO UPDATE SET value = settings.value || excluded.value";
                        tx.execute(sql, params![format!("{thread}.{index} ")]).map(drop)
                    })
                    .unwrap();
                }
            });
        }
    });
    let recorded = recording.take();
    assert_eq!(recorded.len(), 1200);
    let replayed = open_fast(&again, clock.options());
    for operation in &recorded {
        assert!(replayed.replay(operation).unwrap());
    }
    assert!(replayed.get_setting("all").unwrap() == db.get_setting("all").unwrap());
}
