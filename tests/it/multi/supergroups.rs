//! Groups that became supergroups where chats live in many databases: the new chat is where the old one is.

use std::ops::ControlFlow;
use std::time::Duration;

use database::multi::Why;
use database::{ChatId, DatabaseWrapper, Durability, ErrorKind, NewMessage, Route, UserId};

use super::{config_of, files_with, logged, name, open};
use crate::support::{Scratch, rows, sqlite};

/// Mapped to `b`, and to `c`.
const GROUP: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);
/// Mapped nowhere.
const LATER: ChatId = ChatId(-1_000_000_000_001);
const ADA: UserId = UserId(7);
const MAPPING: [(i64, &str); 2] = [(-1, "b"), (-2, "c")];

fn say(db: &DatabaseWrapper, chat: ChatId, message: i64, text: &str) {
    db.update_chat_user(chat, ADA, "@ada", "Ada").unwrap();
    db.save_chat_message(chat, &NewMessage::text(message, db.now(), ADA, text)).unwrap();
}

fn said(db: &DatabaseWrapper, chat: ChatId) -> Vec<String> {
    let found = db.get_chat_messages_since(chat, &Default::default()).unwrap();
    found.into_iter().map(|message| message.message_text).collect()
}

#[test]
fn the_supergroup_is_where_the_group_is_from_the_first_call_on_and_after_a_restart() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["a", "b", "c"], &MAPPING);
    let (db, control) = open(&config);
    say(&db, GROUP, 1, "said in the group");
    assert_eq!(control.explain(LATER).why, Why::Default);
    db.migrate_chat(GROUP, LATER).unwrap();
    assert_eq!((control.explain(LATER).source, control.explain(LATER).why), (name("b"), Why::Inherited(GROUP)));
    say(&db, LATER, 1, "said in the supergroup");
    db.close();
    let (db, control) = open(&config);
    assert_eq!(control.explain(LATER).why, Why::Inherited(GROUP));
    say(&db, LATER, 2, "said after the restart");
    assert_eq!(said(&db, LATER), ["said after the restart", "said in the supergroup", "said in the group"]);
    assert_eq!(db.current_chat(GROUP), LATER);
    db.close();
    for text in ["said in the group", "said in the supergroup", "said after the restart"] {
        assert_eq!(files_with(&scratch, text), ["b.db"]);
    }
}

#[test]
fn a_second_group_that_is_said_to_have_become_the_same_supergroup_changes_no_row_anywhere() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["a", "b", "c"], &MAPPING);
    let (db, control) = open(&config);
    say(&db, GROUP, 1, "said in the group");
    say(&db, OTHER, 1, "said in the other");
    db.set_chat_setting(OTHER, "language", "nl").unwrap();
    db.migrate_chat(GROUP, LATER).unwrap();
    let all = || ["a.db", "b.db", "c.db"].map(|file| rows(&scratch.file(file)));
    let before = all();
    let refused = db.migrate_chat(OTHER, LATER).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::NoSuccessor { .. }), "{refused}");
    assert_eq!(all(), before);
    assert_eq!(control.explain(LATER).why, Why::Inherited(GROUP));
    assert_eq!(db.get_chat_settings(LATER).unwrap().len(), 0);
    assert_eq!(db.current_chat(OTHER), OTHER);
    // The same news again is no other news.
    db.migrate_chat(GROUP, LATER).unwrap();
    assert_eq!(all(), before);
}

#[test]
fn what_the_group_was_is_taken_over_within_its_source() {
    let scratch = Scratch::new();
    let (db, _) = open(&config_of(scratch.path(), &["a", "b", "c"], &MAPPING));
    say(&db, GROUP, 1, "hello");
    db.set_chat_setting(GROUP, "language", "nl").unwrap();
    db.add_user_data(GROUP, ADA, "city", "Oslo").unwrap();
    db.migrate_chat(GROUP, LATER).unwrap();
    assert_eq!(db.get_chat_setting(LATER, "language").unwrap().as_deref(), Some("nl"));
    assert_eq!(db.get_user_data(LATER, ADA).unwrap()["city"], "Oslo");
    assert_eq!(db.source_of(Route::Chat(LATER)).unwrap(), name("b"));
    db.close();
    // The alias is all that the shared source knows of it.
    let shared = rows(&scratch.file("a.db"));
    let of_chats = |table: &&String| !table.starts_with("switchyard_") && *table != "settings";
    let held: Vec<_> = shared.keys().filter(of_chats).filter(|table| !shared[*table].is_empty()).collect();
    assert!(held.is_empty(), "{held:?}");
    assert_eq!(shared["switchyard_aliases"].len(), 1);
}

#[test]
fn groups_that_become_supergroups_at_the_same_time_are_all_known_at_once() {
    let scratch = Scratch::in_memory();
    let mut config = config_of(scratch.path(), &["a", "b"], &(1..=240).map(|chat| (-chat, "b")).collect::<Vec<_>>());
    config.sources.values_mut().for_each(|source| source.durability = Durability::Normal);
    let (db, control) = open(&config);
    let later = |group: i64| ChatId(-1_000_000_000_000 - group);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for group in (1..=240).filter(|group| group % 8 == part) {
                    db.migrate_chat(ChatId(-group), later(group)).unwrap();
                    assert_eq!(db.former_chat(later(group)), Some(ChatId(-group)));
                }
            });
        }
    });
    for group in 1..=240 {
        assert_eq!(db.former_chat(later(group)), Some(ChatId(-group)));
        assert_eq!(control.explain(later(group)).why, Why::Inherited(ChatId(-group)));
    }
}

#[test]
fn a_supergroup_that_spoke_before_the_news_brings_what_it_has_along() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&config_of(scratch.path(), &["a", "b", "c"], &MAPPING));
    say(&db, GROUP, 1, "said in the group");
    db.set_chat_setting(GROUP, "language", "nl").unwrap();
    db.set_chat_setting(GROUP, "topic", "old").unwrap();
    say(&db, LATER, 1, "said early");
    db.set_chat_setting(LATER, "topic", "new").unwrap();
    db.add_user_data(LATER, ADA, "city", "Oslo").unwrap();
    let ((), log) = logged(|| db.migrate_chat(GROUP, LATER).unwrap());
    assert!(log.contains("the supergroup -1000000000001 spoke before") && log.contains("`b`"), "{log}");
    assert_eq!(control.explain(LATER).source, name("b"));
    let holds = |db: &DatabaseWrapper| {
        assert_eq!(said(db, LATER), ["said early", "said in the group"]);
        let settings = ["language", "topic"].map(|key| db.get_chat_setting(LATER, key).unwrap().unwrap());
        assert_eq!(settings, ["nl", "new"]);
        assert_eq!(db.get_user_data(LATER, ADA).unwrap()["city"], "Oslo");
        assert_eq!(db.get_chat_user(LATER, ADA).unwrap().unwrap().messages_count, 2);
    };
    holds(&db);
    // The news again changes nothing.
    let ((), log) = logged(|| db.migrate_chat(GROUP, LATER).unwrap());
    assert_eq!(log, "");
    holds(&db);
    db.close();
}

#[test]
fn a_supergroup_that_is_mapped_elsewhere_takes_over_what_the_group_was_and_its_history_can_be_brought_along() {
    let scratch = Scratch::in_memory();
    let config = config_of(scratch.path(), &["a", "b", "c"], &[(-1, "b"), (LATER.0, "c")]);
    let (db, control) = open(&config);
    say(&db, GROUP, 1, "said in the group");
    db.set_chat_setting(GROUP, "language", "nl").unwrap();
    db.add_user_data(GROUP, ADA, "city", "Oslo").unwrap();
    say(&db, LATER, 1, "said in the supergroup");
    let before = rows(&scratch.file("b.db"));
    let ((), log) = logged(|| db.migrate_chat(GROUP, LATER).unwrap());
    assert!(log.contains("what was said in the group -1 stays in `b`"), "{log}");
    assert!(log.contains("`bot db move -1000000000001 --to c` brings it along"), "{log}");
    assert_eq!(rows(&scratch.file("b.db")), before);
    let holds = |db: &DatabaseWrapper| {
        assert_eq!(db.source_of(Route::Chat(LATER)).unwrap(), name("c"));
        assert_eq!(db.get_chat_setting(LATER, "language").unwrap().as_deref(), Some("nl"));
        assert_eq!(db.get_user_data(LATER, ADA).unwrap()["city"], "Oslo");
        assert_eq!(db.get_chat_user(LATER, ADA).unwrap().unwrap().messages_count, 2);
    };
    holds(&db);
    assert_eq!(said(&db, LATER), ["said in the supergroup"]);
    // As that says.
    control.move_chat(LATER, &name("c"), &Default::default(), |_| ControlFlow::Continue(())).unwrap();
    holds(&db);
    assert_eq!(said(&db, LATER), ["said in the supergroup", "said in the group"]);
    db.migrate_chat(GROUP, LATER).unwrap();
    holds(&db);
    // And back, with what is noted of it.
    control.move_chat(LATER, &name("b"), &Default::default(), |_| ControlFlow::Continue(())).unwrap();
    db.close();
    let noted = rows(&scratch.file("b.db")).remove("switchyard_meta").unwrap();
    assert!(noted.iter().any(|row| row.contains("took-over-from-elsewhere:-1000000000001")), "{noted:?}");
}

#[test]
fn where_the_alias_could_not_be_noted_taking_over_is_not_done_twice() {
    let scratch = Scratch::in_memory();
    let mut config = config_of(scratch.path(), &["a", "b", "c"], &[(-1, "b"), (LATER.0, "c")]);
    config.sources.get_mut(&name("a")).unwrap().timeout = Duration::from_millis(300);
    let (db, _) = open(&config);
    say(&db, GROUP, 1, "said in the group");
    say(&db, LATER, 1, "said in the supergroup");
    let holder = sqlite(&scratch.file("a.db"));
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    db.migrate_chat(GROUP, LATER).unwrap_err();
    drop(holder);
    db.migrate_chat(GROUP, LATER).unwrap();
    assert_eq!(db.get_chat_user(LATER, ADA).unwrap().unwrap().messages_count, 2);
    assert_eq!(db.former_chat(LATER), Some(GROUP));
}
