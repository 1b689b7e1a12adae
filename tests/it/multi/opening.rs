//! What is opened when, on which file, and what is never made.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use database::multi::Why;
use database::{ChatId, DatabaseWrapper, ErrorKind, Health, NewMessage, Options, Route, UserId};

use super::{config_of, files_with, name, open};
use crate::support::{Scratch, names_in};

#[test]
fn each_chats_rows_are_in_its_source_and_nowhere_else() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")]);
    let (db, control) = open(&config);
    assert!(!scratch.file("archive.db").exists(), "sources open when they are needed");
    for (chat, text) in [(-1, "in the archive"), (-2, "in the default one")] {
        let message = NewMessage::text("1", db.now(), UserId(7), text);
        db.update_chat_user(ChatId(chat), UserId(7), "@ada", "Ada").unwrap();
        db.save_chat_message(ChatId(chat), &message).unwrap();
        assert_eq!(db.get_chat_messages_since(ChatId(chat), &Default::default()).unwrap().len(), 1);
    }
    assert_eq!(control.explain(ChatId(-1)).why, Why::Mapped);
    assert_eq!(control.explain(ChatId(-2)).why, Why::Default);
    assert_eq!(db.source_of(Route::Chat(ChatId(-1))).unwrap(), name("archive"));
    let health: Vec<_> = control.status().sources.into_iter().map(|one| one.source.health).collect();
    assert_eq!(health, [Health::Open, Health::Open]);
    db.close();
    assert_eq!(files_with(&scratch, "in the archive"), ["archive.db"]);
    assert_eq!(files_with(&scratch, "in the default one"), ["primary.db"]);
    assert_eq!(names_in(scratch.path()), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn a_known_source_whose_file_is_gone_is_not_made_anew() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")]);
    let (db, _) = open(&config);
    db.set_chat_setting(ChatId(-1), "language", "nl").unwrap();
    db.close();
    std::fs::rename(scratch.file("archive.db"), scratch.file("away.db")).unwrap();
    let (db, control) = open(&config);
    let refused = db.set_chat_setting(ChatId(-1), "language", "fr").unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::SourceUnavailable { .. }), "{refused}");
    db.set_chat_setting(ChatId(-2), "language", "fr").unwrap();
    assert!(!scratch.file("archive.db").exists());
    std::fs::rename(scratch.file("away.db"), scratch.file("archive.db")).unwrap();
    control.retry(&name("archive")).unwrap();
    assert_eq!(db.get_chat_setting(ChatId(-1), "language").unwrap().as_deref(), Some("nl"));
    db.close();
}

#[test]
fn a_folder_is_free_at_once_when_it_is_closed_whatever_processes_are_started_meanwhile() {
    let scratch = Scratch::in_memory();
    let config = config_of(scratch.path(), &["primary"], &[]);
    let done = AtomicBool::new(false);
    // Between fork and exec a child has all that this process has open.
    let start_processes = || {
        while !done.load(Ordering::Relaxed) {
            Command::new("true").status().unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(start_processes);
        let opened: Vec<_> = (0..200)
            .map(|_| DatabaseWrapper::open_multi(&config, Options::default()).map(|(db, _)| db.close()))
            .collect();
        done.store(true, Ordering::Relaxed);
        let refused = opened.iter().filter(|opened| opened.is_err()).count();
        assert_eq!(refused, 0);
    });
}
