//! Backups while chats move: a set has each chat once, or says which moved all the time.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use database::maintenance::{BackupOptions, BackupSet, MaintenanceError, backup};
use database::multi::{self, MoveOptions, Progress, Stage};
use database::{ChatId, Clock as _, NewMessage, Route, SourceConfig, SystemClock, UserId};
use rstest::rstest;
use rusqlite::Connection;

use super::{config_of, eventually, name, open};
use crate::support::{Scratch, names_in, time};

const CHAT: ChatId = ChatId(7);

/// How many messages of the chat the copies of a set have, and where the default source's leads it.
fn found(set: &str) -> (Vec<i64>, Option<String>) {
    let open = |file: &str| Connection::open(format!("{set}/{file}.db")).unwrap();
    let count = |file: &str| {
        let sql = "SELECT COUNT(*) FROM chat_messages WHERE chat_id = 7";
        open(file).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let sql = "SELECT source FROM switchyard_routes WHERE chat_id = 7";
    let route = open("primary").query_row(sql, [], |row| row.get(0)).ok();
    (["primary", "archive"].map(count).into(), route)
}

#[test]
fn a_chat_that_moves_while_it_is_copied_is_in_the_set_once_and_one_that_moves_all_the_time_is_named() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive"], &[(-100, "archive")]);
    let (db, control) = open(&config);
    for number in 0..20_i64 {
        let text = "x".repeat(3000);
        let message = NewMessage::text(number, time("2026-01-01 00:00:00"), UserId(1), text);
        db.save_chat_message(CHAT, &message).unwrap();
        db.save_chat_message(ChatId(-100), &message).unwrap();
    }
    let site = multi::site(&config);
    let folder = scratch.file("backups");
    let move_to = |to: &str| {
        control.move_chat(CHAT, &name(to), &MoveOptions::default(), |_| ControlFlow::Continue(())).unwrap();
    };
    // It goes to the other source as soon as the default one was copied.
    let mut is_moved = false;
    let mut tell = |now: database::maintenance::BackupProgress| {
        if now.file == "archive.db" && !std::mem::replace(&mut is_moved, true) {
            move_to("archive");
        }
        ControlFlow::Continue(())
    };
    let report = backup(&site, &folder, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
    assert!(is_moved && report.is_whole(), "{report:?}");
    assert_eq!(found(&report.path), (vec![0, 20], Some("archive".to_owned())));

    // And to and fro with every file.
    let mut tell = |now: database::maintenance::BackupProgress| {
        if now.done == 0 {
            // In the end it is where it was in the beginning.
            move_to(if now.file == "primary.db" { "primary" } else { "archive" });
        }
        ControlFlow::Continue(())
    };
    let report = backup(&site, &folder, &BackupOptions::default(), SystemClock.now(), &mut tell);
    let report = report.unwrap();
    assert_eq!(report.manifest.moved, [7], "{report:?}");
    assert!(!report.is_whole());

    // Where it is broken off nothing is left.
    let before = names_in(&folder);
    let mut tell = |_| ControlFlow::Break(());
    let broken_off = backup(&site, &folder, &BackupOptions::default(), SystemClock.now(), &mut tell);
    assert!(matches!(broken_off, Err(MaintenanceError::BrokenOff)), "{broken_off:?}");
    assert_eq!(names_in(&folder), before);
    db.close();
}

#[test]
fn a_source_whose_calls_do_not_end_is_not_put_back_and_one_whose_calls_end_is() {
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(-100, "archive")]);
    let archive = config.sources.get_mut(&name("archive")).unwrap();
    *archive = SourceConfig { timeout: Duration::from_millis(300), ..archive.clone() };
    let (db, control) = open(&config);
    let say = |number: i64| {
        let message = NewMessage::text(number, time("2026-01-01 00:00:00"), UserId(1), "said");
        db.save_chat_message(ChatId(-100), &message)
    };
    say(1).unwrap();
    let mut tell = |_| ControlFlow::Continue(());
    let folder = scratch.file("backups");
    let report =
        backup(&multi::site(&config), &folder, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
    let set = BackupSet::open(Path::new(&report.path), None).unwrap();
    say(2).unwrap();
    let restore = || {
        let mut tell = |_| ControlFlow::Continue(());
        control.restore(&name("archive"), &set, false, SystemClock.now(), &mut tell)
    };
    let count = || db.get_chat_totals(ChatId(-100)).unwrap().messages;
    let (begun, has_begun) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Dropped also where something below fails, so that the call ends.
        let end = end;
        let read = scope.spawn(|| {
            let ends = ends;
            db.read("test.read", Route::Chat(ChatId(-100)), |tx| {
                begun.send(()).unwrap();
                let _ = ends.recv();
                tx.value::<i64>("chat_messages", "SELECT COUNT(*) FROM chat_messages", database::params![])
            })
        });
        has_begun.recv().unwrap();
        let refused = restore();
        assert!(matches!(refused, Err(MaintenanceError::InUse { .. })), "{refused:?}");
        say(3).unwrap();
        // It is let go while the next one waits for it.
        let restoring = scope.spawn(|| {
            loop {
                match restore() {
                    Err(MaintenanceError::InUse { .. }) => {}
                    other => return other,
                }
            }
        });
        std::thread::park_timeout(Duration::from_millis(50));
        end.send(()).unwrap();
        assert_eq!(read.join().unwrap().unwrap(), Some(3), "the call ended on what it began with");
        restoring.join().unwrap().unwrap();
    });
    assert_eq!(count(), 1);
    say(4).unwrap();
    assert_eq!(count(), 2);
    db.close();
}

/// Looking at a backup takes long, and a chat may begin to move to its source meanwhile, or come there.
#[rstest]
fn a_source_that_a_chat_comes_to_while_its_backup_is_looked_at_is_not_put_back(#[values(false, true)] has_come: bool) {
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(-100, "archive")]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_secs(2));
    let (db, control) = open(&config);
    for number in 0..20_i64 {
        let message = NewMessage::text(number, time("2026-01-01 00:00:00"), UserId(1), "said");
        db.save_chat_message(CHAT, &message).unwrap();
        db.save_chat_message(ChatId(-100), &message).unwrap();
    }
    let mut tell = |_| ControlFlow::Continue(());
    let folder = scratch.file("backups");
    let report =
        backup(&multi::site(&config), &folder, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
    let set = BackupSet::open(Path::new(&report.path), None).unwrap();
    // It is waited for, after it was looked whether chats move.
    let held = Connection::open(Path::new(&report.path).join("archive.db")).unwrap();
    held.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let refused = std::thread::scope(|scope| {
        let restoring = scope.spawn(|| {
            let mut tell = |_| ControlFlow::Continue(());
            control.restore(&name("archive"), &set, false, SystemClock.now(), &mut tell)
        });
        std::thread::park_timeout(Duration::from_millis(500));
        let mut held = Some(held);
        let let_go = |progress: Progress| {
            if progress.stage == Stage::Switching && !has_come && held.take().is_some() {
                eventually("the backup was looked at", || restoring.is_finished());
            }
            ControlFlow::Continue(())
        };
        let moved = control.move_chat(CHAT, &name("archive"), &MoveOptions::default(), let_go);
        drop(held);
        moved.unwrap();
        restoring.join().unwrap()
    });
    assert_eq!(control.explain(CHAT).source, name("archive"));
    for chat in [CHAT, ChatId(-100)] {
        assert_eq!(db.get_chat_totals(chat).unwrap().messages, 20, "{chat}, {refused:?}");
    }
    let refused = refused.unwrap_err().to_string();
    let expected = match has_come {
        false => {
            "the source `archive` is in use (a move of the chat 7 is under way or was broken off); do it again, or with the bot stopped"
        }
        true => "7 (in archive)",
    };
    assert!(refused.contains(expected), "{refused}");
    db.close();
}
