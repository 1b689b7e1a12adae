//! A default source that was restored from before a chat was moved: files contradict each other about where the chat is.

use std::ops::ControlFlow;

use database::multi::{Clear, Control, MoveError, MoveOptions, MoveReport, look};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, MessageId};

use super::{config_of, name, open};
use crate::support::{Scratch, sqlite};

const MOVED: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);

fn config(scratch: &Scratch, mapping: &[(i64, &str)]) -> DatabaseConfig {
    config_of(scratch.path(), &["primary", "a", "b"], mapping)
}

fn move_to(control: &Control, to: &str) -> Result<MoveReport, MoveError> {
    control.move_chat(MOVED, &name(to), &MoveOptions::default(), |_| ControlFlow::Continue(()))
}

/// Two chats of the default source, of which a copy is made; then one is moved, and goes on.
fn moved_and_restored(scratch: &Scratch, restore: bool) -> DatabaseConfig {
    let config = config(scratch, &[]);
    let (db, control) = open(&config);
    for chat in [MOVED, OTHER] {
        db.set_chat_setting(chat, "language", "nl").unwrap();
    }
    sqlite(&scratch.file("primary.db"))
        .execute("VACUUM INTO ?1", [scratch.file("before.db").to_str().unwrap()])
        .unwrap();
    move_to(&control, "a").unwrap();
    db.set_chat_setting(MOVED, "language", "fr").unwrap();
    db.close();
    if restore {
        restore_default(scratch);
    }
    config
}

fn restore_default(scratch: &Scratch) {
    for suffix in ["-wal", "-shm"] {
        assert!(!scratch.file(&format!("primary.db{suffix}")).exists());
    }
    std::fs::rename(scratch.file("before.db"), scratch.file("primary.db")).unwrap();
}

fn language(db: &DatabaseWrapper, chat: ChatId) -> Option<String> {
    db.get_chat_setting(chat, "language").unwrap()
}

fn refused(db: &DatabaseWrapper) -> String {
    let read = db.get_chat_setting(MOVED, "language").map(drop).unwrap_err();
    let written = db.set_chat_setting(MOVED, "language", "it").unwrap_err();
    let message = db.get_chat_message_by_message_id(MOVED, &MessageId::from("1")).map(drop).unwrap_err();
    let reasons = [read, written, message].map(|error| match error.kind() {
        ErrorKind::SourceUnavailable { reason } => reason.clone(),
        _ => panic!("{error}"),
    });
    assert!(reasons.iter().all(|reason| *reason == reasons[0]));
    reasons[0].clone()
}

#[test]
fn a_chat_is_not_served_from_the_rows_of_a_default_that_is_older_than_its_move() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, true);
    let offline = look(&config).disputed;
    let (db, control) = open(&config);
    let reason = refused(&db);
    insta::assert_snapshot!(reason, @"the chat -1 was moved to `a`, and the default source knows nothing of that, as if it were restored from before; go on with what is in `a` by `bot db move -1 --to a`, or with what is in `primary` by `bot db move -1 --to primary`");
    assert_eq!(offline.get(&MOVED), Some(&reason));
    assert_eq!(control.explain(MOVED).disputed, Some(reason.clone()));
    assert_eq!(control.status().disputed, [(MOVED, reason.clone())]);
    assert_eq!(control.explain(OTHER).disputed, None);
    assert_eq!(language(&db, OTHER).as_deref(), Some("nl"), "others go on");
    // Which rows are copies is not known either.
    let cleared = control.clear_strays(Clear::AtHome).unwrap().cleared;
    assert!(!cleared.is_empty() && cleared.iter().all(|one| one.deleted == 0 && one.why.as_ref() == Some(&reason)));
    let refusal = move_to(&control, "b").unwrap_err();
    assert!(matches!(refusal, MoveError::Disputed { .. }), "{refusal}");
    db.close();
}

#[test]
fn the_chat_goes_on_where_it_was_moved() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, true);
    let (db, control) = open(&config);
    refused(&db);
    // What that would do: no row moves, and nothing is settled by asking.
    let plan = |to: &str| control.plan_move(MOVED, &name(to), &MoveOptions::default());
    for to in ["a", "primary"] {
        let plan = plan(to).unwrap();
        assert!(plan.chats.is_empty() && plan.rows.is_empty() && plan.mapping.is_empty());
        assert_eq!((plan.to, plan.media, plan.bytes, plan.bytes_free > 0), (name(to), 0, 0, true));
    }
    assert!(matches!(plan("b"), Err(MoveError::Disputed { .. })));
    refused(&db);
    let report = move_to(&control, "a").unwrap();
    assert!(report.chats.is_empty() && report.rows.is_empty());
    assert_eq!(report.mapping.iter().map(ToString::to_string).collect::<Vec<_>>(), ["-1 = \"a\""]);
    assert_eq!((language(&db, MOVED).as_deref(), control.explain(MOVED).disputed), (Some("fr"), None));
    db.close();
    let (db, control) = open(&config);
    assert_eq!(language(&db, MOVED).as_deref(), Some("fr"));
    assert!(control.status().disputed.is_empty());
    db.close();
}

#[test]
fn the_chat_goes_on_with_what_was_restored() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, true);
    let (db, control) = open(&config);
    refused(&db);
    move_to(&control, "primary").unwrap();
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.close();
    for _ in 0..2 {
        let (db, control) = open(&config);
        assert_eq!((language(&db, MOVED).as_deref(), control.explain(MOVED).disputed), (Some("nl"), None));
        db.close();
    }
}

#[test]
fn a_line_of_the_configuration_settles_it_too() {
    let scratch = Scratch::new();
    let before = moved_and_restored(&scratch, true);
    let (db, control) = open(&before);
    refused(&db);
    control.reload(&config(&scratch, &[(MOVED.0, "a")])).unwrap();
    assert_eq!(language(&db, MOVED).as_deref(), Some("fr"));
    control.reload(&before).unwrap();
    refused(&db);
    // It says something else than when the chat was moved: that is meant.
    control.reload(&config(&scratch, &[(MOVED.0, "b")])).unwrap();
    assert_eq!(language(&db, MOVED), None);
    db.close();
}

#[test]
fn without_a_restored_default_nothing_is_disputed_however_often_a_chat_moves() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, false);
    let mark = |source: &str| -> Option<String> {
        let sql = "SELECT MAX(value) FROM switchyard_meta WHERE key = 'here:-1'";
        sqlite(&scratch.file(&format!("{source}.db"))).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let ways = [("b", None, Some("2")), ("primary", None, None), ("a", Some("4"), None), ("b", None, Some("5"))];
    for (to, in_a, in_b) in ways {
        let (db, control) = open(&config);
        move_to(&control, to).unwrap();
        assert_eq!(language(&db, MOVED).as_deref(), Some("fr"));
        assert_eq!((mark("a").as_deref(), mark("b").as_deref()), (in_a, in_b), "after {to}");
        db.close();
        let (db, control) = open(&config);
        control.warm_up(&[name("a"), name("b")], std::time::Duration::from_secs(10));
        assert!(control.status().disputed.is_empty());
        assert_eq!(language(&db, MOVED).as_deref(), Some("fr"));
        db.close();
    }
    // Restored from between two moves, it knows an earlier place.
    restore_default(&scratch);
    let (db, _) = open(&config);
    assert!(refused(&db).contains("was moved to `b`"));
    db.close();
}

/// How many moves the data directory remembers.
fn remembered(scratch: &Scratch) -> Option<String> {
    let lock = std::fs::read_to_string(scratch.file("switchyard.lock")).unwrap();
    lock.lines().nth(2).map(str::to_owned)
}

#[test]
fn where_all_sources_are_restored_from_the_same_moment_the_move_is_forgotten() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, false);
    assert_eq!(remembered(&scratch).as_deref(), Some("1"));
    // What it came to is of before the move as well.
    sqlite(&scratch.file("a.db"))
        .execute_batch("DELETE FROM switchyard_meta WHERE key = 'here:-1'; DELETE FROM settings;")
        .unwrap();
    restore_default(&scratch);
    let (db, control) = open(&config);
    assert_eq!(remembered(&scratch), None);
    assert_eq!((language(&db, MOVED).as_deref(), control.status().disputed), (Some("nl"), Vec::new()));
    db.close();
}

#[test]
fn where_one_that_may_have_the_chat_could_not_be_asked_the_move_stays_in_mind() {
    let scratch = Scratch::new();
    let config = moved_and_restored(&scratch, true);
    std::fs::rename(scratch.file("a.db"), scratch.file("a.away")).unwrap();
    std::fs::create_dir(scratch.file("a.db")).unwrap();
    let (db, _) = open(&config);
    assert_eq!(remembered(&scratch).as_deref(), Some("1"));
    db.close();
    std::fs::remove_dir(scratch.file("a.db")).unwrap();
    std::fs::rename(scratch.file("a.away"), scratch.file("a.db")).unwrap();
    for _ in 0..2 {
        let (db, _) = open(&config);
        refused(&db);
        assert_eq!(remembered(&scratch).as_deref(), Some("1"));
        db.close();
    }
}

#[test]
fn a_move_that_the_configuration_follows_is_not_forgotten_while_a_file_tells_of_it() {
    let scratch = Scratch::new();
    let without = moved_and_restored(&scratch, true);
    let followed = config(&scratch, &[(MOVED.0, "a")]);
    for _ in 0..2 {
        let (db, _) = open(&followed);
        assert_eq!(language(&db, MOVED).as_deref(), Some("fr"), "nothing is disputed");
        assert_eq!(remembered(&scratch).as_deref(), Some("1"));
        db.close();
    }
    // An older configuration: the first call on the chat is refused.
    let (db, _) = open(&without);
    refused(&db);
    db.close();
}
