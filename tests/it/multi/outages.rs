//! Sources that fail, hang or are busy, files that change under an open source, and closing.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime};

use database::multi::{Control, ReloadError};
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Health, MediaId, NewMedia, NewMessage, Options, Route, UserId,
};

use super::{carry, config_of, eventually, name, open};
use crate::child::Child;
use crate::support::{Scratch, rows, sqlite};

const CHAT: ChatId = ChatId(-1);

fn archive_in(scratch: &Scratch, timeout: Duration) -> DatabaseConfig {
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")]);
    config.sources.values_mut().for_each(|source| source.timeout = timeout);
    config
}

fn health(control: &Control, source: &str) -> Health {
    let sources = control.status().sources;
    sources.into_iter().find(|one| one.source.name == name(source)).unwrap().source.health
}

/// Since when the archive is down, asked while nobody looks whether it still is.
fn down_since(control: &Control) -> SystemTime {
    let mut since = None;
    eventually("it is down", || {
        if let Health::Unavailable { since: found, .. } = health(control, "archive") {
            since = Some(found);
        }
        since.is_some()
    });
    since.unwrap()
}

fn locked(path: &Path, begin: &str) -> rusqlite::Connection {
    let connection = sqlite(path);
    connection.execute_batch(begin).unwrap();
    connection
}

#[test]
fn five_callers_of_a_source_that_is_held_wait_once_and_find_it_busy_not_down() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(2));
    open(&config).0.close();
    // Locked as a whole, so that it cannot even be opened.
    let holder = locked(
        &scratch.file("archive.db"),
        "PRAGMA journal_mode=DELETE; CREATE TABLE chat_info (chat_id); BEGIN EXCLUSIVE",
    );
    let (db, control) = open(&config);
    let barrier = Barrier::new(5);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                barrier.wait();
                let error = db.get_chat_setting(CHAT, "language").unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
            });
        }
    });
    let took = start.elapsed();
    assert!((Duration::from_millis(1200)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert_eq!(health(&control, "archive"), Health::Closed, "busy is not down");
    let why = control.particulars(Duration::from_secs(30))[&name("archive")].reason.clone().unwrap();
    assert!(why.starts_with("another process kept the file locked for "), "{why}");
    db.get_setting("x").unwrap();
    holder.execute_batch("ROLLBACK; DROP TABLE chat_info").unwrap();
    drop(holder);
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap(), None);
    db.close();
}

#[test]
fn five_callers_of_a_source_that_cannot_be_opened_share_one_attempt() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(10));
    open(&config).0.close();
    std::fs::write(scratch.file("archive.db"), "no database").unwrap();
    let (db, control) = open(&config);
    let barrier = Barrier::new(5);
    let reasons: Vec<_> = std::thread::scope(|scope| {
        let threads = (0..5).map(|_| {
            scope.spawn(|| {
                barrier.wait();
                db.get_chat_setting(CHAT, "language").unwrap_err().to_string()
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(reasons.iter().all(|reason| *reason == reasons[0] && reason.contains("is not a SQLite database")));
    let since = down_since(&control);
    // It is tried again on demand, and is down since when it was down first.
    control.retry(&name("archive")).unwrap_err();
    assert_eq!(down_since(&control), since);
    std::fs::remove_file(scratch.file("archive.db")).unwrap();
    control.retry(&name("archive")).unwrap();
    assert_eq!(health(&control, "archive"), Health::Open);
    db.close();
}

#[test]
fn what_is_no_file_is_said_at_once() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(60));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scratch.file("archive.db"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let (db, _) = open(&config);
    let start = Instant::now();
    let error = db.get_chat_setting(CHAT, "language").unwrap_err();
    assert!(error.to_string().contains("a device, a pipe or a socket"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
    db.close();
}

#[test]
fn an_open_source_that_another_process_holds_is_busy_for_writes_and_read_on() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_millis(300));
    let (db, control) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    let holder = locked(&scratch.file("archive.db"), "BEGIN IMMEDIATE");
    let start = Instant::now();
    let error = db.set_chat_setting(CHAT, "language", "fr").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("nl"));
    assert_eq!(health(&control, "archive"), Health::Open);
    drop(holder);
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    db.close();
}

/// What a call says once the change of the file is noticed: reads look every 100 ms.
fn noticed(db: &DatabaseWrapper) -> ErrorKindName {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match db.get_chat_setting(CHAT, "language") {
            Ok(_) => assert!(Instant::now() < deadline, "never noticed"),
            Err(error) if matches!(error.kind(), ErrorKind::FileReplaced) => return ErrorKindName::Replaced,
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Debug, PartialEq)]
enum ErrorKindName {
    Replaced,
}

#[test]
fn a_file_that_is_unlinked_under_an_open_source_fails_typed_and_is_back_with_the_file() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(5));
    let (db, control) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.close();
    drop(control);
    let (db, control) = open(&config);
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(scratch.file(&format!("archive.db{suffix}")), scratch.file(&format!("away.db{suffix}")))
            .unwrap();
    }
    let error = db.set_chat_setting(CHAT, "language", "it").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileReplaced), "{error}");
    let error = db.set_chat_setting(CHAT, "language", "it").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
    assert!(!scratch.file("archive.db").exists());
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    // What the handles that were open wrote into the file is there when it is back.
    carry(&scratch.file("away.db"), &scratch.file("archive.db"));
    control.retry(&name("archive")).unwrap();
    let language = db.get_chat_setting(CHAT, "language").unwrap();
    assert_eq!(
        language.as_deref(),
        Some("it"),
        "it was written, and whoever asked for it was told that the file was gone"
    );
    db.close();
}

#[test]
fn another_database_in_the_place_of_an_open_one_is_neither_read_nor_written_nor_mixed_up() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(5));
    let other = Scratch::new();
    open(&archive_in(&other, Duration::from_secs(5))).0.close();
    let (theirs, _) = open(&archive_in(&other, Duration::from_secs(5)));
    for index in 0..50 {
        theirs.add_user_data(CHAT, UserId(index), "theirs", "theirs").unwrap();
    }
    theirs.close();
    let before = rows(&other.file("archive.db"));
    let (db, control) = open(&config);
    for index in 0..20 {
        db.add_user_data(CHAT, UserId(index), "ours", "ours").unwrap();
    }
    std::fs::rename(scratch.file("archive.db"), scratch.file("away.db")).unwrap();
    std::fs::rename(other.file("archive.db"), scratch.file("archive.db")).unwrap();
    assert_eq!(noticed(&db), ErrorKindName::Replaced);
    let said = || {
        db.get_chat_setting(CHAT, "language").unwrap_err().to_string().replace(scratch.path().to_str().unwrap(), "DIR")
    };
    eventually("the reason is known", || said().contains("another file"));
    insta::assert_snapshot!(said(), @"settings.get_chat_setting on source `archive`: the source is unavailable (DIR/archive.db-wal belongs to another file than DIR/archive.db, and would be mixed into it; put the file back that it belongs to, or move the log away); nothing was changed");
    // It is no different after a start, or with the log moved away: then it is the identity that does not fit.
    db.close();
    drop(control);
    let (db, control) = open(&config);
    insta::assert_snapshot!(db.get_chat_setting(CHAT, "language").unwrap_err().to_string().replace(scratch.path().to_str().unwrap(), "DIR"), @"settings.get_chat_setting on source `archive`: the source is unavailable (DIR/archive.db-wal belongs to another file than DIR/archive.db, and would be mixed into it; put the file back that it belongs to, or move the log away); nothing was changed");
    std::fs::rename(scratch.file("archive.db-wal"), scratch.file("away.db-wal")).unwrap();
    control.retry(&name("archive")).unwrap_err();
    insta::assert_snapshot!(db.get_chat_setting(CHAT, "language").unwrap_err().to_string().replace(scratch.path().to_str().unwrap(), "DIR"), @"settings.get_chat_setting on source `archive`: the source is unavailable (DIR/archive.db is another database than the one that the source `archive` had; put the right one back or correct the path, or accept this one with `bot db adopt archive`); nothing was changed");
    let _ = std::fs::remove_file(scratch.file("archive.db-shm"));
    std::fs::rename(scratch.file("archive.db"), scratch.file("theirs.db")).unwrap();
    for suffix in ["", "-wal"] {
        std::fs::rename(scratch.file(&format!("away.db{suffix}")), scratch.file(&format!("archive.db{suffix}")))
            .unwrap();
    }
    control.retry(&name("archive")).unwrap();
    assert_eq!(db.get_user_data(CHAT, UserId(19)).unwrap()["ours"], "ours");
    db.close();
    assert!(rows(&scratch.file("theirs.db")) == before, "theirs is untouched");
    assert_eq!(rows(&scratch.file("archive.db"))["user_data"].len(), 20);
}

#[test]
fn the_next_file_is_not_opened_while_a_call_still_uses_the_one_before() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch, Duration::from_secs(1));
    let (db, _) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.close();
    std::fs::write(scratch.file("backup"), std::fs::read(scratch.file("archive.db")).unwrap()).unwrap();
    let (db, control) = open(&config);
    let (in_use, end) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let read = db.read("test.hold", Route::Chat(CHAT), |_| {
                in_use.wait();
                end.wait();
                Ok(())
            });
            read.unwrap();
        });
        in_use.wait();
        carry(&scratch.file("archive.db"), &scratch.file("away.db"));
        std::fs::rename(scratch.file("backup"), scratch.file("archive.db")).unwrap();
        assert_eq!(noticed(&db), ErrorKindName::Replaced);
        let opened = control.retry(&name("archive"));
        end.wait();
        let error = opened.unwrap_err().to_string().replace(scratch.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(error, @"source.look on source `archive`: the source is unavailable (DIR/archive.db cannot be opened (calls that are under way still use the file that was there before; it is tried again)); nothing was changed");
    });
    control.retry(&name("archive")).unwrap();
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("nl"));
    db.close();
}

#[test]
fn a_source_is_opened_in_its_own_time_while_the_default_hangs() {
    let scratch = Scratch::new();
    let mut config = archive_in(&scratch, Duration::from_secs(2));
    let (db, _) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.close();
    config.sources.get_mut(&name("primary")).unwrap().timeout = Duration::from_secs(8);
    let holder = locked(&scratch.file("primary.db"), "PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE");
    let (db, _) = open(&config);
    let start = Instant::now();
    let language = db.get_chat_setting(CHAT, "language");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(language.unwrap().as_deref(), Some("nl"));
    drop(holder);
    db.close();
}

#[test]
fn a_second_bot_is_told_who_has_the_folder_and_gets_it_afterwards() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary"], &[]);
    let mut holder = Child::start(&["hold-folder", scratch.path().to_str().unwrap()].map(OsStr::new));
    assert_eq!(holder.line(), "held");
    let refused = DatabaseWrapper::open_multi(&config, Options::default()).err().unwrap().to_string();
    let lock = std::fs::read_to_string(scratch.file("switchyard.lock")).unwrap();
    let process = lock.lines().next().unwrap();
    assert_ne!(process.trim(), std::process::id().to_string());
    let refused = refused.replace(scratch.path().to_str().unwrap(), "DIR").replace(process.trim(), "PID");
    insta::assert_snapshot!(refused, @"DIR is in use by another bot (process PID); stop it, or give this one a data directory of its own");
    holder.kill();
    // A process that was killed has it no more.
    let (db, _) = open(&config);
    let refused = DatabaseWrapper::open_multi(&config, Options::default()).err().unwrap().to_string();
    assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
    db.close();
    open(&config).0.close();
}

#[test]
fn twenty_sources_at_once_open_answer_and_leave_no_log_when_they_are_closed() {
    let scratch = Scratch::in_memory();
    let names: Vec<String> = (0..20).map(|index| format!("s{index:02}")).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let mapping: Vec<_> = (1..20_i64).map(|index| (-index, sources[index as usize])).collect();
    let config = config_of(scratch.path(), &sources, &mapping);
    let (db, control) = open(&config);
    let barrier = Barrier::new(20);
    std::thread::scope(|scope| {
        for thread in 0..20_i64 {
            let (db, barrier) = (&db, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for turn in 0..20 {
                    let chat = ChatId(-((thread + turn) % 20));
                    db.update_chat_user(chat, UserId(thread), "@a", "A").unwrap();
                    let message = NewMessage::text(thread * 100 + turn, db.now(), UserId(thread), "x");
                    db.save_chat_message(chat, &message).unwrap();
                }
            });
        }
    });
    assert!(control.status().sources.iter().all(|one| one.source.health == Health::Open));
    // One goes while it is open, and is closed as well.
    let mut fewer = config.clone();
    fewer.sources.remove(&name("s19"));
    fewer.chat_mapping.remove(&ChatId(-19));
    control.reload(&fewer).unwrap();
    db.close();
    let left: Vec<_> = scratch.names().into_iter().filter(|name| !name.ends_with(".db")).collect();
    assert_eq!(left, ["switchyard.lock"]);
    for source in &names {
        assert_eq!(rows(&scratch.file(&format!("{source}.db")))["chat_messages"].len(), 20, "{source}");
    }
}

#[test]
fn a_call_that_asks_many_sources_waits_for_all_of_them_no_longer_than_for_one() {
    let scratch = Scratch::in_memory();
    let names: Vec<String> = (0..16).map(|index| format!("held{index:02}")).collect();
    let sources: Vec<&str> = ["primary"].into_iter().chain(names.iter().map(String::as_str)).chain(["well"]).collect();
    let mut config = config_of(scratch.path(), &sources, &[(CHAT.0, "well")]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_secs(1));
    let (db, _) = open(&config);
    assert_eq!(db.get_all_group_chats().unwrap().missing(), []);
    db.add_media_attachment(Some(CHAT), &NewMedia::new("there")).unwrap();
    db.close();
    let held = "PRAGMA journal_mode=DELETE; CREATE TABLE held (a); BEGIN EXCLUSIVE";
    let holders: Vec<_> = names.iter().map(|name| locked(&scratch.file(&format!("{name}.db")), held)).collect();
    let (db, _) = open(&config);
    let timed = |what: &str, f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        let took = start.elapsed();
        assert!(took < Duration::from_millis(2500), "{what} took {took:?}");
    };
    timed("what is found behind them", &mut || {
        assert!(db.get_media_attachment(None, &MediaId::from("there")).unwrap().is_some());
    });
    timed("what is not found", &mut || {
        let error = db.get_media_attachment(None, &MediaId::from("nowhere")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    });
    timed("what all are asked", &mut || assert_eq!(db.get_all_group_chats().unwrap().missing().len(), 16));
    db.close();
    drop(holders);
}

#[test]
fn a_read_that_does_not_end_keeps_no_other_source_from_being_closed_nor_the_bot_from_ending() {
    let scratch = Scratch::in_memory();
    let mut config = config_of(scratch.path(), &["primary", "hung", "well"], &[(CHAT.0, "hung"), (-2, "well")]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_millis(200));
    let (db, _) = open(&config);
    for chat in [CHAT, ChatId(-2), ChatId(-3)] {
        db.set_chat_setting(chat, "language", "nl").unwrap();
    }
    let (begun, begins) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn({
        let db = db.clone();
        move || {
            db.read("test.hangs", Route::Chat(CHAT), |_| {
                begun.send(()).unwrap();
                let _ = ends.recv();
                Ok(())
            })
        }
    });
    begins.recv().unwrap();
    let start = Instant::now();
    db.close();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    for closed in ["primary.db-wal", "well.db-wal"] {
        assert!(!scratch.file(closed).exists(), "{closed}");
    }
    end.send(()).unwrap();
    reader.join().unwrap().unwrap();
}

#[test]
fn after_closing_every_call_is_told_so() {
    let scratch = Scratch::new();
    let (db, control) = open(&archive_in(&scratch, Duration::from_secs(5)));
    db.clone().close();
    for chat in [CHAT, ChatId(-2)] {
        let error = db.set_chat_setting(chat, "language", "nl").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
    }
    assert!(control.retry(&name("archive")).is_err());
    assert!(!scratch.file("archive.db").exists());
    // Nobody is in charge of the folder any more, so nothing is opened there for another configuration.
    let refused = control.reload(&archive_in(&scratch, Duration::from_secs(4))).unwrap_err();
    assert_eq!(refused, ReloadError::Closed);
    let error = db.set_chat_setting(CHAT, "language", "nl").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
    assert!(!scratch.file("archive.db").exists());
}
