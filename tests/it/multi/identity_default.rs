//! The default source is opened on its own file only, as the others are; and what an operator may do on purpose.

use std::path::Path;

use database::multi::{Adopt, Control};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Health};
use rstest::rstest;

use super::{carry, config_of, eventually, files_with, name, open};
use crate::support::{Scratch, rows, sqlite};

const CHAT: ChatId = ChatId(-1);
const UNMAPPED: ChatId = ChatId(-2);

fn config(folder: &Path) -> DatabaseConfig {
    config_of(folder, &["primary", "archive"], &[(CHAT.0, "archive")])
}

/// Databases in a folder, which say whose they are.
fn made(folder: &Path, word: &str) -> DatabaseConfig {
    let config = config(folder);
    let (db, _) = open(&config);
    db.set_chat_setting(CHAT, "language", &format!("archive of {word}")).unwrap();
    db.set_chat_setting(UNMAPPED, "language", &format!("default of {word}")).unwrap();
    db.close();
    config
}

fn language(db: &DatabaseWrapper, chat: ChatId) -> String {
    db.get_chat_setting(chat, "language").unwrap().unwrap_or_default()
}

/// Why a source is unavailable, once nobody is looking at it.
fn down(scratch: &Scratch, control: &Control, source: &str) -> String {
    let mut found = None;
    eventually("it is unavailable", || {
        let sources = control.status().sources;
        let health = sources.into_iter().find(|one| one.source.name == name(source)).unwrap().source.health;
        if let Health::Unavailable { reason, .. } = health {
            found = Some(reason.replace(scratch.path().to_str().unwrap(), "DIR"));
        }
        found.is_some()
    });
    found.unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
}

fn refused(answer: database::Result<()>) {
    let error = answer.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
}

#[test]
fn with_the_paths_of_the_default_and_another_swapped_neither_is_used() {
    let scratch = Scratch::new();
    let config = made(scratch.path(), "ours");
    let before = ["primary.db", "archive.db"].map(|file| rows(&scratch.file(file)));
    let mut swapped = config.clone();
    swapped.sources.get_mut(&name("primary")).unwrap().path = scratch.file("archive.db");
    swapped.sources.get_mut(&name("archive")).unwrap().path = scratch.file("primary.db");
    let (db, control) = open(&swapped);
    refused(db.set_chat_setting(CHAT, "language", "x"));
    refused(db.set_chat_setting(UNMAPPED, "language", "x"));
    insta::assert_snapshot!(down(&scratch, &control, "primary"), @"DIR/archive.db is the database of another source than the default one; put the right one back, or accept this one with `bot db adopt primary`");
    insta::assert_snapshot!(down(&scratch, &control, "archive"), @"DIR/primary.db is a default source's database, not that of the source `archive`; correct the paths");
    db.close();
    assert!(["primary.db", "archive.db"].map(|file| rows(&scratch.file(file))) == before);
    let (db, _) = open(&config);
    assert_eq!(
        (language(&db, CHAT).as_str(), language(&db, UNMAPPED).as_str()),
        ("archive of ours", "default of ours")
    );
    db.close();
}

#[rstest]
fn another_bots_default_is_not_taken_for_ours_and_adopted_on_purpose(#[values(true, false)] while_open: bool) {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let config = made(scratch.path(), "ours");
    made(other.path(), "theirs");
    let before = rows(&other.file("primary.db"));
    let running = while_open.then(|| open(&config));
    if let Some((db, _)) = &running {
        assert_eq!(language(db, UNMAPPED), "default of ours");
    }
    carry(&scratch.file("primary.db"), &scratch.file("ours.db"));
    copy(&other.file("primary.db"), &scratch.file("primary.db"));
    let (db, control) = running.unwrap_or_else(|| open(&config));
    eventually("it is noticed", || db.get_chat_setting(UNMAPPED, "language").is_err());
    for _ in 0..3 {
        let _ = control.retry(&name("primary"));
        refused(db.set_chat_setting(UNMAPPED, "language", "x"));
    }
    let reason = down(&scratch, &control, "primary");
    if while_open {
        insta::assert_snapshot!(reason, @"DIR/primary.db is another database than the default one that was there before; put the right one back, or accept this one with `bot db adopt primary`");
    } else {
        insta::assert_snapshot!(reason, @"DIR/primary.db belongs to the databases of another bot; put the right one back, or accept this one with `bot db adopt primary`");
    }
    assert_eq!(language(&db, CHAT), "archive of ours");
    db.close();
    assert!(rows(&scratch.file("primary.db")) == before, "theirs is as it was");

    // Ours is back, or theirs is meant: then it is one of ours from now on.
    let theirs = scratch.file("theirs.db");
    std::fs::rename(scratch.file("primary.db"), &theirs).unwrap();
    copy(&scratch.file("ours.db"), &scratch.file("primary.db"));
    let (db, _) = open(&config);
    assert_eq!(language(&db, UNMAPPED), "default of ours");
    db.close();
    copy(&theirs, &scratch.file("primary.db"));
    let (db, control) = open(&config);
    control.adopt(&name("primary"), Adopt::Present).unwrap();
    assert_eq!(language(&db, UNMAPPED), "default of theirs");
    // It remembers an archive of its own.
    refused(db.set_chat_setting(CHAT, "language", "x"));
    control.adopt(&name("archive"), Adopt::Present).unwrap();
    db.close();
    let (db, _) = open(&config);
    assert_eq!(
        (language(&db, CHAT).as_str(), language(&db, UNMAPPED).as_str()),
        ("archive of ours", "default of theirs")
    );
    db.close();
}

#[test]
fn a_default_that_is_gone_while_it_is_open_is_not_made_again() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary"], &[]);
    let (db, control) = open(&config);
    db.set_chat_setting(UNMAPPED, "language", "nl").unwrap();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(scratch.file(&format!("primary.db{suffix}"))).unwrap();
    }
    eventually("it is noticed", || db.set_chat_setting(UNMAPPED, "language", "nl").is_err());
    control.retry(&name("primary")).unwrap_err();
    refused(db.set_chat_setting(UNMAPPED, "language", "nl"));
    insta::assert_snapshot!(down(&scratch, &control, "primary"), @"DIR/primary.db is missing or empty, and was there before; put it back, or accept an empty one with `bot db adopt primary --new`");
    assert!(!scratch.file("primary.db").exists());
    control.adopt(&name("primary"), Adopt::New).unwrap();
    assert_eq!(language(&db, UNMAPPED), "");
    db.close();
}

#[rstest]
#[case::the_folder_as_a_whole(true, false)]
#[case::the_databases_alone(false, false)]
#[case::the_databases_over_those_of_a_first_start(false, true)]
fn databases_that_were_carried_to_another_folder_are_taken(#[case] with_lock: bool, #[case] started: bool) {
    let (old, new) = (Scratch::new(), Scratch::new());
    made(old.path(), "ours");
    if started {
        let (db, _) = open(&config(new.path()));
        db.set_chat_setting(UNMAPPED, "language", "first").unwrap();
        db.close();
        std::fs::remove_file(new.file("primary.db")).unwrap();
    }
    for file in old.names() {
        if with_lock || file.ends_with(".db") {
            copy(&old.file(&file), &new.file(&file));
        }
    }
    for _ in 0..2 {
        let (db, _) = open(&config(new.path()));
        assert_eq!(
            (language(&db, CHAT).as_str(), language(&db, UNMAPPED).as_str()),
            ("archive of ours", "default of ours")
        );
        db.close();
    }
}

#[test]
fn a_default_is_renamed_moved_and_restored_with_the_bot_stopped() {
    let scratch = Scratch::new();
    made(scratch.path(), "ours");
    copy(&scratch.file("primary.db"), &scratch.file("backup"));
    let mut renamed = config_of(scratch.path(), &["main", "archive"], &[(CHAT.0, "archive")]);
    renamed.sources.get_mut(&name("main")).unwrap().path = scratch.file("moved.db");
    std::fs::rename(scratch.file("primary.db"), scratch.file("moved.db")).unwrap();
    let (db, _) = open(&renamed);
    assert_eq!(
        (language(&db, CHAT).as_str(), language(&db, UNMAPPED).as_str()),
        ("archive of ours", "default of ours")
    );
    db.set_chat_setting(UNMAPPED, "language", "later").unwrap();
    db.close();
    std::fs::rename(scratch.file("backup"), scratch.file("moved.db")).unwrap();
    let (db, _) = open(&renamed);
    assert_eq!(language(&db, UNMAPPED), "default of ours");
    db.close();
}

#[test]
fn one_file_becomes_the_default_of_many() {
    let scratch = Scratch::new();
    let one = crate::support::open(&scratch.file("primary.db"));
    one.set_chat_setting(UNMAPPED, "language", "nl").unwrap();
    one.close();
    for _ in 0..2 {
        let (db, _) = open(&config(scratch.path()));
        assert_eq!(language(&db, UNMAPPED), "nl");
        db.set_chat_setting(CHAT, "language", "in the archive").unwrap();
        db.close();
    }
    assert_eq!(files_with(&scratch, "in the archive"), ["archive.db"]);
    let role = |file| -> String {
        let sql = "SELECT value FROM switchyard_meta WHERE key = 'role'";
        sqlite(&scratch.file(file)).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((role("primary.db").as_str(), role("archive.db").as_str()), ("default", "named"));
}

#[test]
fn what_replaced_an_open_file_is_adopted_at_once() {
    let scratch = Scratch::new();
    let config = made(scratch.path(), "ours");
    let (db, control) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    carry(&scratch.file("archive.db"), &scratch.file("away.db"));
    crate::support::open(&scratch.file("archive.db")).close();
    control.adopt(&name("archive"), Adopt::Present).unwrap();
    assert_eq!(language(&db, CHAT), "");
    db.close();
}

#[test]
fn a_default_that_is_missing_where_the_folder_remembers_one_is_not_made_again() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary"], &[]);
    let (db, _) = open(&config);
    db.set_chat_setting(UNMAPPED, "language", "nl").unwrap();
    db.close();
    std::fs::rename(scratch.file("primary.db"), scratch.file("away")).unwrap();
    let (db, control) = open(&config);
    refused(db.set_chat_setting(UNMAPPED, "language", "nl"));
    insta::assert_snapshot!(down(&scratch, &control, "primary"), @"DIR/primary.db is missing or empty, and the databases of this folder had a default one; put it back, or accept an empty one with `bot db adopt primary --new`");
    assert!(!scratch.file("primary.db").exists());
    control.adopt(&name("primary"), Adopt::New).unwrap();
    db.set_chat_setting(UNMAPPED, "language", "fr").unwrap();
    db.close();
}
