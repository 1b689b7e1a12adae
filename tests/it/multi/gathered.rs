//! Questions over all sources: complete, without copies, in one order, limited after merging, and honest about what is
//! missing.

use database::{
    ChatId, ChatInfo, ChatType, DatabaseConfig, DatabaseWrapper, ErrorKind, Gathered, Health, NewChatInfo, NewSpam,
    Options, PartialResults, SpamMessage, SpamReason, UserId,
};
use rstest::rstest;
use rusqlite::params;

use super::{config_of, logged, name, open, take_away};
use crate::child::Child;
use crate::support::{HandClock, Scratch, sqlite, time};

const ADA: UserId = UserId(7);
const SOURCES: [&str; 3] = ["m", "a", "z"];
/// One in each source; the first is mapped nowhere.
const CHATS: [i64; 3] = [-1, -2, -3];

fn config(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &SOURCES, &[(-2, "a"), (-3, "z"), (-4, "z"), (-5, "z")])
}

fn meet(db: &DatabaseWrapper, chat: i64, title: &str) {
    let info =
        NewChatInfo { title: Some(title.to_owned()), username: None, chat_type: ChatType::Supergroup, is_forum: false };
    db.update_chat_info(ChatId(chat), &info).unwrap();
    db.update_chat_user(ChatId(chat), ADA, "@ada", "Ada").unwrap();
}

fn spam(message: i64, text: &str) -> NewSpam {
    NewSpam { user_id: ADA, message_id: message.into(), text: text.to_owned(), reason: SpamReason::User, score: 1.0 }
}

fn titles(chats: &Gathered<ChatInfo>) -> Vec<(i64, &str)> {
    chats.iter().map(|chat| (chat.chat_id.0, chat.title.as_deref().unwrap())).collect()
}

fn examples(spam: &Gathered<SpamMessage>) -> Vec<(i64, &str)> {
    spam.iter().map(|spam| (spam.chat_id.0, spam.message_id.as_str())).collect()
}

/// Databases that were opened, filled and closed: three chats in three sources, each with spam.
fn filled(scratch: &Scratch) -> DatabaseConfig {
    let config = config(scratch);
    let clock = HandClock::at("2026-01-01 00:00:00");
    let (db, _) = DatabaseWrapper::open_multi(&config, clock.options()).unwrap();
    for chat in CHATS {
        meet(&db, chat, &format!("chat {chat}"));
    }
    // The later the moment, the further to the front the source; the last two share theirs.
    for (second, chat, message) in [(0, -3, 1), (1, -2, 1), (2, -1, 1), (3, -3, 2), (4, -2, 2), (4, -1, 2)] {
        clock.set(time("2026-01-01 00:00:00").saturating_add_seconds(second));
        db.add_spam_message(ChatId(chat), &spam(message, "pills")).unwrap();
    }
    db.close();
    config
}

#[test]
fn the_answer_is_complete_in_one_order_and_limited_after_merging() {
    let scratch = Scratch::new();
    let (db, control) = open(&filled(&scratch));
    let closed = control.status().sources.into_iter().filter(|one| one.source.health == Health::Closed).count();
    assert_eq!(closed, 2, "sources that nobody needed yet are asked all the same");
    let every = [(-3, "chat -3"), (-2, "chat -2"), (-1, "chat -1")];
    assert_eq!(titles(&db.get_user_chats(ADA).unwrap()), every);
    assert_eq!(titles(&db.get_all_group_chats().unwrap()), every);
    let all = [(-3, "1"), (-2, "1"), (-1, "1"), (-3, "2"), (-2, "2"), (-1, "2")];
    assert_eq!(examples(&db.get_spam_messages_by_text("pills").unwrap()), all);
    for limit in 0..=all.len() {
        let some = db.get_spam_messages(Some(u32::try_from(limit).unwrap())).unwrap();
        assert_eq!(examples(&some), all[..limit]);
        assert_eq!(some.missing(), []);
    }
    assert_eq!(examples(&db.get_spam_messages(None).unwrap()), all);
}

/// A copy of a chat's rows where they do not belong, as an interrupted move or an earlier mapping leaves them.
fn leave_copy(scratch: &Scratch, source: &str, chat: i64) {
    let connection = sqlite(&scratch.file(&format!("{source}.db")));
    let title = format!("in {source}");
    let then = "2026-01-01 00:00:00";
    connection
        .execute(
            "INSERT INTO chat_info (chat_id, title, type, is_forum, created_at, updated_at)
             VALUES (?1, ?2, 'group', FALSE, ?3, ?3)",
            params![chat, title, then],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
             VALUES (?1, 7, '@ada', 'Ada', ?2, ?2)",
            params![chat, then],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO spam_messages (chat_id, user_id, message_id, text, reason, score, created_at, updated_at)
             VALUES (?1, 7, '1', 'pills', ?2, 1.0, ?3, ?3)",
            params![chat, title, then],
        )
        .unwrap();
}

#[test]
fn the_owners_row_wins_over_copies_then_the_default_sources_then_the_first_by_name() {
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, _) = open(&config);
    // All files are made.
    assert_eq!(db.get_all_group_chats().unwrap().len(), 0);
    db.close();
    // What is left is of chats that `z` owns: with a row of its own, and without.
    for (source, chat) in [("m", -3), ("a", -3), ("z", -3), ("m", -4), ("a", -4), ("a", -5)] {
        leave_copy(&scratch, source, chat);
    }
    let config = DatabaseConfig { sources: config_of(scratch.path(), &["m", "a", "b", "z"], &[]).sources, ..config };
    let (db, _) = open(&config);
    assert_eq!(db.get_all_group_chats().unwrap().len(), 3);
    db.close();
    leave_copy(&scratch, "b", -5);
    let (db, _) = open(&config);
    let expected = [(-5, "in a"), (-4, "in m"), (-3, "in z")];
    assert_eq!(titles(&db.get_all_group_chats().unwrap()), expected);
    assert_eq!(titles(&db.get_user_chats(ADA).unwrap()), expected);
    for found in [db.get_spam_messages(Some(3)).unwrap(), db.get_spam_messages_by_text("pills").unwrap()] {
        let reasons: Vec<_> = found.iter().map(|spam| (spam.chat_id.0, spam.reason.as_str())).collect();
        assert_eq!(reasons, expected);
    }
    // Copies do not count among so many rows at most.
    assert_eq!(examples(&db.get_spam_messages(Some(2)).unwrap()), [(-5, "1"), (-4, "1")]);
}

#[test]
fn a_source_that_is_down_is_named_in_the_answer_and_in_a_warning() {
    let scratch = Scratch::new();
    let config = filled(&scratch);
    take_away(&scratch, "a");
    let (db, _) = open(&config);
    let (chats, log) = logged(|| db.get_all_group_chats().unwrap());
    assert_eq!(titles(&chats), [(-3, "chat -3"), (-1, "chat -1")]);
    let [missing] = chats.missing() else { panic!("{:?}", chats.missing()) };
    assert_eq!(missing.source, name("a"));
    assert!(missing.reason.contains("a.db is missing or empty"), "{}", missing.reason);
    let warned: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("incomplete") && warned[0].contains("source `a`"), "{log}");
    assert!(!scratch.file("a.db").exists());
    // Limits count what is there.
    let spam = db.get_spam_messages(Some(3)).unwrap();
    assert_eq!(examples(&spam), [(-3, "1"), (-1, "1"), (-3, "2")]);
    assert_eq!(spam.missing().len(), 1);
}

#[test]
fn where_part_of_an_answer_is_not_wanted_a_source_that_is_down_is_an_error() {
    let scratch = Scratch::new();
    let config = filled(&scratch);
    take_away(&scratch, "z");
    let strict = DatabaseConfig { partial_results: PartialResults::Error, ..config.clone() };
    let (db, control) = open(&strict);
    let unavailable = |db: &DatabaseWrapper| {
        let error = db.get_all_group_chats().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
        assert_eq!(*error.source_name(), name("z"));
    };
    unavailable(&db);
    // It is a matter of configuration, which may change meanwhile.
    control.reload(&config).unwrap();
    assert_eq!(db.get_all_group_chats().unwrap().missing().len(), 1);
    control.reload(&strict).unwrap();
    unavailable(&db);
}

#[rstest]
#[case::warn(PartialResults::Warn)]
#[case::error(PartialResults::Error)]
fn where_no_source_answers_it_is_an_error_and_never_an_empty_list(#[case] partial_results: PartialResults) {
    let scratch = Scratch::new();
    let config = DatabaseConfig { partial_results, ..filled(&scratch) };
    SOURCES.iter().for_each(|source| take_away(&scratch, source));
    // (Where nothing at all is there, everything is new.)
    let garbage = "no database ".repeat(1000);
    std::fs::write(scratch.file("m.db"), &garbage).unwrap();
    let (db, _) = open(&config);
    let errors = [
        db.get_all_group_chats().unwrap_err(),
        db.get_user_chats(ADA).unwrap_err(),
        db.get_spam_messages(None).unwrap_err(),
        db.get_spam_messages_by_text("pills").unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
    }
    assert_eq!(std::fs::read_to_string(scratch.file("m.db")).unwrap(), garbage);
    assert!(["a.db", "z.db"].iter().all(|file| !scratch.file(file).exists()));
}

#[test]
fn a_stored_value_that_does_not_fit_is_an_error_and_not_a_missing_source() {
    let scratch = Scratch::new();
    let config = filled(&scratch);
    sqlite(&scratch.file("a.db")).execute("UPDATE chat_info SET updated_at = 'never'", []).unwrap();
    let (db, _) = open(&config);
    let error = db.get_all_group_chats().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BadValue { .. }), "{error}");
}

#[test]
fn what_another_process_writes_is_in_the_next_answer() {
    let scratch = Scratch::new();
    let (db, _) = open(&filled(&scratch));
    let count = || (db.get_all_group_chats().unwrap().len(), db.get_spam_messages(None).unwrap().len());
    assert_eq!(count(), (3, 6));
    let (path, statements) = (
        scratch.file("z.db"),
        [
            "BEGIN IMMEDIATE",
            "INSERT INTO chat_info (chat_id, title, type, is_forum, created_at, updated_at)
         VALUES (-4, 'new', 'group', FALSE, '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
            "DELETE FROM spam_messages",
        ],
    );
    let other = Child::start(&["hold".as_ref(), path.as_os_str(), statements.join(";").as_ref()]);
    let mut other = other;
    assert_eq!(other.line(), "held");
    assert_eq!(count(), (3, 6));
    other.finish();
    assert_eq!(count(), (4, 4));
}

#[test]
fn one_source_asked_for_a_strict_answer_is_like_one_file() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["m"], &[]);
    let (db, _) = DatabaseWrapper::open_multi(
        &DatabaseConfig { partial_results: PartialResults::Error, ..config },
        Options::default(),
    )
    .unwrap();
    meet(&db, -1, "one");
    assert_eq!(titles(&db.get_all_group_chats().unwrap()), [(-1, "one")]);
}
