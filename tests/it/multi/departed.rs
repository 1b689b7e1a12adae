//! Chats that were moved, where the default source, which knows of it, cannot be asked or knows nothing.

use std::ops::ControlFlow;
use std::time::Duration;

use database::multi::{Adopt, Control, MoveOptions, Progress, Stage, Why};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, OnUnavailable, Options};
use rstest::rstest;

use super::{config_of, logged, name, open, take_away};
use crate::support::{Scratch, sqlite};

const MOVED: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);
const UNMAPPED: ChatId = ChatId(-3);

fn mapped_to(scratch: &Scratch, source: &str) -> DatabaseConfig {
    let mut config = config_of(scratch.path(), &["primary", "a", "b"], &[(MOVED.0, source), (OTHER.0, "a")]);
    config.sources.get_mut(&name("primary")).unwrap().timeout = Duration::from_secs(1);
    config
}

fn move_to(control: &Control, to: &str) {
    control.move_chat(MOVED, &name(to), &MoveOptions::default(), |_| ControlFlow::Continue(())).unwrap();
}

/// Both chats in `a`, then one moved to `b`; the configuration still says `a`.
fn moved(scratch: &Scratch) -> DatabaseConfig {
    let config = mapped_to(scratch, "a");
    let (db, control) = open(&config);
    for chat in [MOVED, OTHER, UNMAPPED] {
        db.set_chat_setting(chat, "language", "nl").unwrap();
    }
    move_to(&control, "b");
    db.close();
    config
}

fn language(db: &DatabaseWrapper, chat: ChatId) -> Option<String> {
    db.get_chat_setting(chat, "language").unwrap()
}

/// What reading and writing the moved chat are answered: both are refused, for one reason.
fn refused(db: &DatabaseWrapper) -> String {
    let read = db.get_chat_setting(MOVED, "language").map(drop).unwrap_err();
    let written = db.set_chat_setting(MOVED, "language", "fr").unwrap_err();
    let reasons = [read, written].map(|error| match error.kind() {
        ErrorKind::SourceUnavailable { reason } => reason.clone(),
        _ => panic!("{error}"),
    });
    assert_eq!(reasons[0], reasons[1]);
    reasons[0].clone()
}

/// What the file of a source remembers of the moved chat.
fn mark_in(scratch: &Scratch, source: &str) -> Option<String> {
    let sql = "SELECT MAX(value) FROM switchyard_meta WHERE key = 'moved:-1'";
    sqlite(&scratch.file(&format!("{source}.db"))).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn bring_back(scratch: &Scratch, source: &str) {
    std::fs::rename(scratch.file(&format!("{source}.away")), scratch.file(&format!("{source}.db"))).unwrap();
}

#[rstest]
fn a_moved_chat_is_not_served_from_where_it_was_until_the_default_could_be_asked(
    #[values("away", "busy")] default: &str,
) {
    let scratch = Scratch::new();
    let config = moved(&scratch);
    let held = (default == "busy").then(|| {
        let held = sqlite(&scratch.file("primary.db"));
        held.execute_batch("PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE").unwrap();
        held
    });
    if held.is_none() {
        take_away(&scratch, "primary");
    }
    let (db, control) = open(&config);
    let report = control.explain(MOVED);
    assert_eq!((report.source, report.why, report.is_certain), (name("a"), Why::Mapped, false));
    insta::allow_duplicates! { insta::assert_snapshot!(refused(&db), @"the chat was moved away from it, where to is known to the default source, and that is unavailable; mend the default source"); }
    assert_eq!(language(&db, OTHER).as_deref(), Some("nl"), "others go on there");
    db.set_chat_setting(OTHER, "language", "de").unwrap();

    match held {
        Some(held) => drop(held),
        None => bring_back(&scratch, "primary"),
    }
    control.retry(&name("primary")).unwrap();
    let report = control.explain(MOVED);
    assert_eq!((report.source, report.why, report.is_certain), (name("b"), Why::Moved, true));
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.set_chat_setting(MOVED, "language", "it").unwrap();
    assert_eq!(language(&db, OTHER).as_deref(), Some("de"));
    db.close();
    let in_a = "SELECT COUNT(*) FROM chat_settings WHERE chat_id = -1";
    assert_eq!(sqlite(&scratch.file("a.db")).query_row(in_a, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_call_that_waits_for_the_default_finds_the_chat_where_it_was_moved() {
    let scratch = Scratch::new();
    let config = moved(&scratch);
    take_away(&scratch, "primary");
    let (db, control) = open(&config);
    refused(&db);
    bring_back(&scratch, "primary");
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| while db.set_chat_setting(MOVED, "language", "it").is_err() {})).collect();
        control.retry(&name("primary")).unwrap();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    assert_eq!(language(&db, MOVED).as_deref(), Some("it"));
    assert_eq!(db.on_source("a").get_chat_setting(MOVED, "language").unwrap(), None);
    db.close();
}

#[test]
fn the_mark_stands_until_the_configuration_agrees_or_the_chat_is_back() {
    let scratch = Scratch::new();
    let config = moved(&scratch);
    assert_eq!(mark_in(&scratch, "a").as_deref(), Some("to b"));
    // A further move is noted where the configuration leads.
    let (db, control) = open(&config);
    move_to(&control, "primary");
    db.close();
    assert_eq!(mark_in(&scratch, "a").as_deref(), Some("to primary"));
    take_away(&scratch, "primary");
    let (db, _) = open(&config);
    refused(&db);
    db.close();
    bring_back(&scratch, "primary");
    // The way back is a move like any other.
    let (db, control) = open(&config);
    move_to(&control, "a");
    db.close();
    assert_eq!(mark_in(&scratch, "a"), None);
    take_away(&scratch, "primary");
    let (db, _) = open(&config);
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.close();
    bring_back(&scratch, "primary");

    let (db, control) = open(&config);
    move_to(&control, "b");
    db.close();
    let (db, _) = open(&mapped_to(&scratch, "b"));
    assert_eq!((language(&db, MOVED).as_deref(), language(&db, OTHER).as_deref()), (Some("nl"), Some("nl")));
    db.close();
    assert_eq!(mark_in(&scratch, "a"), None);
    take_away(&scratch, "primary");
    let (db, _) = open(&mapped_to(&scratch, "b"));
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"), "the configuration alone leads there");
    db.close();
}

#[test]
fn of_a_move_that_was_about_to_be_decided_the_default_source_knows_how_it_was() {
    let scratch = Scratch::new();
    let config = mapped_to(&scratch, "a");
    let (db, _) = open(&config);
    db.set_chat_setting(MOVED, "language", "nl").unwrap();
    db.close();
    let perhaps = "INSERT INTO switchyard_meta (key, value) VALUES ('moved:-1', 'perhaps')";
    sqlite(&scratch.file("a.db")).execute_batch(perhaps).unwrap();
    take_away(&scratch, "primary");
    let (db, _) = open(&config);
    refused(&db);
    db.close();
    bring_back(&scratch, "primary");
    let (db, _) = open(&config);
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.close();
    assert_eq!(mark_in(&scratch, "a"), None);

    // Decided, and stopped before the mark says so.
    let config = moved(&scratch);
    sqlite(&scratch.file("a.db"))
        .execute_batch("UPDATE switchyard_meta SET value = 'perhaps' WHERE key = 'moved:-1'")
        .unwrap();
    let (db, _) = open(&config);
    language(&db, OTHER);
    db.close();
    assert_eq!(mark_in(&scratch, "a").as_deref(), Some("to b"));
}

#[test]
fn that_a_chat_may_leave_is_noted_before_it_is_decided() {
    let scratch = Scratch::new();
    let config = mapped_to(&scratch, "a");
    let (db, control) = open(&config);
    db.set_chat_setting(MOVED, "language", "nl").unwrap();
    let mut held = None;
    let hold_the_default = |progress: Progress| {
        if progress.stage == Stage::Switching && held.is_none() {
            let holder = sqlite(&scratch.file("primary.db"));
            holder.execute_batch("BEGIN IMMEDIATE").unwrap();
            held = Some(holder);
        }
        ControlFlow::Continue(())
    };
    control.move_chat(MOVED, &name("b"), &MoveOptions::default(), hold_the_default).unwrap_err();
    drop(held);
    assert_eq!(mark_in(&scratch, "a").as_deref(), Some("perhaps"));
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"), "it was not decided");
    db.close();
}

#[test]
fn a_default_source_that_knows_nothing_of_a_move_does_not_send_the_chat_back() {
    let scratch = Scratch::new();
    let config = moved(&scratch);
    take_away(&scratch, "primary");
    let (db, control) = open(&config);
    control.adopt(&name("primary"), Adopt::New).unwrap();
    assert!(control.explain(MOVED).is_certain);
    insta::assert_snapshot!(refused(&db), @"the chat was moved from it to `b`, and the default source knows nothing of that; map the chat to `b` in [database.chat_mapping], or have it start anew here with `bot db adopt a`");
    assert_eq!(language(&db, OTHER).as_deref(), Some("nl"));
    control.reload(&mapped_to(&scratch, "b")).unwrap();
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.close();

    // It is no different after a start, and the operator may say that it is meant so.
    let (db, control) = open(&config);
    refused(&db);
    control.adopt(&name("a"), Adopt::Present).unwrap();
    assert_eq!(language(&db, MOVED), None);
    db.set_chat_setting(MOVED, "language", "fr").unwrap();
    db.close();
    let (db, _) = open(&config);
    assert_eq!(language(&db, MOVED).as_deref(), Some("fr"));
    db.close();
}

#[test]
fn nothing_stands_in_for_a_source_while_nobody_can_say_whether_a_chat_has_left_it() {
    let scratch = Scratch::new();
    let mut config = moved(&scratch);
    config.sources.get_mut(&name("a")).unwrap().on_unavailable = OnUnavailable::StandIn;
    take_away(&scratch, "primary");
    take_away(&scratch, "a");
    let (db, control) = open(&config);
    assert!(refused(&db).len() > 10);
    super::eventually("a is away", || db.is_displaced(MOVED));
    insta::assert_snapshot!(refused(&db), @"whether the chat was moved away from it is not known, since neither it nor the default source could be asked; mend either");
    bring_back(&scratch, "primary");
    control.retry(&name("primary")).unwrap();
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.set_chat_setting(OTHER, "language", "de").unwrap();
    db.close();
}

#[test]
fn a_chat_that_was_moved_to_a_source_that_is_not_configured_is_not_served_by_the_default() {
    let scratch = Scratch::new();
    let (db, control) = open(&config_of(scratch.path(), &["primary", "b"], &[]));
    db.set_chat_setting(MOVED, "language", "nl").unwrap();
    move_to(&control, "b");
    db.close();
    let fewer = config_of(scratch.path(), &["primary", "z"], &[]);
    let refusal = DatabaseWrapper::open_multi(&fewer, Options::default()).err().unwrap().to_string();
    assert!(refusal.contains("the chat -1 was moved there"), "{refusal}");
    // Found out late, where the default source was away at the start.
    take_away(&scratch, "primary");
    let (db, control) = open(&fewer);
    bring_back(&scratch, "primary");
    control.retry(&name("primary")).unwrap();
    let report = control.explain(MOVED);
    assert_eq!((report.source, report.why), (name("b"), Why::Moved));
    assert_eq!(db.source_of(database::Route::Chat(MOVED)).unwrap(), name("b"));
    insta::assert_snapshot!(refused(&db), @"a chat was moved to it, and it is not configured any more; configure it again, or map the chat to another source in [database.chat_mapping]");
    db.set_chat_setting(UNMAPPED, "language", "de").unwrap();
    // Configured again it goes on.
    control.reload(&config_of(scratch.path(), &["primary", "b", "z"], &[])).unwrap();
    assert_eq!(language(&db, MOVED).as_deref(), Some("nl"));
    db.close();
}

#[test]
fn a_supergroup_that_inherits_a_route_is_told_of_once_and_makes_one_table() {
    let scratch = Scratch::new();
    let (db, control) = open(&mapped_to(&scratch, "a"));
    db.set_chat_setting(MOVED, "language", "nl").unwrap();
    let before = control.status().generation;
    let ((), log) = logged(|| db.migrate_chat(MOVED, ChatId(-1001)).unwrap());
    assert!(log.contains("a group became a supergroup") && log.contains("chat -1001: primary -> a"), "{log}");
    assert_eq!(control.status().generation, before + 1);
    let ((), log) = logged(|| db.migrate_chat(MOVED, ChatId(-1001)).unwrap());
    assert!(!log.contains("a group became a supergroup"), "{log}");
    assert_eq!(control.status().generation, before + 1);
    db.close();
}
