//! Rows of chats in files that do not own them: counted, and deleted where home has them too.

use database::multi::{Clear, Cleared, Control, MoveOptions, Stray, Strays, look_at_strays};
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Durability, MediaId, NewMedia, NewMessage, OnUnavailable, UserId,
};
use std::ops::ControlFlow;

use super::{config_of, name, open, take_away};
use crate::support::{Scratch, sqlite};

const CHAT: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);

fn config(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")])
}

fn talk(db: &DatabaseWrapper, chat: ChatId, texts: &[&str]) {
    db.update_chat_user(chat, UserId(7), "@ada", "Ada").unwrap();
    for (id, text) in texts.iter().enumerate() {
        db.save_chat_message(chat, &NewMessage::text(id.to_string(), db.now(), UserId(7), *text)).unwrap();
    }
    db.set_chat_setting(chat, "language", "nl").unwrap();
}

/// A bot whose chat was moved from the default source to `archive`, and whose rows stayed there too.
fn with_copies(scratch: &Scratch) -> (DatabaseWrapper, Control) {
    let mut before = config(scratch);
    before.chat_mapping.clear();
    let (db, control) = open(&before);
    talk(&db, CHAT, &["one", "two"]);
    talk(&db, OTHER, &["of another"]);
    let keep = MoveOptions { keep: true, ..MoveOptions::default() };
    control.move_chat(CHAT, &name("archive"), &keep, |_| ControlFlow::Continue(())).unwrap();
    (db, control)
}

fn tables(strays: &[Stray]) -> Vec<(&str, &str, i64, &str, u64)> {
    strays.iter().map(|one| (one.source.as_str(), one.home.as_str(), one.chat.0, one.table, one.rows)).collect()
}

fn sums(cleared: &[Cleared]) -> (u64, u64, u64) {
    let sum = |what: fn(&Cleared) -> u64| cleared.iter().map(what).sum();
    (sum(|one| one.deleted), sum(|one| one.only_here), sum(|one| one.different))
}

fn rows(scratch: &Scratch, file: &str, chat: ChatId) -> i64 {
    let sql = "SELECT COUNT(*) FROM chat_messages WHERE chat_id = ?1";
    sqlite(&scratch.file(file)).query_row(sql, [chat.0], |row| row.get(0)).unwrap()
}

#[test]
fn strays_are_counted_by_source_chat_and_table_and_those_that_home_has_are_cleared() {
    let scratch = Scratch::new();
    let (db, control) = with_copies(&scratch);
    let Strays { found, missing, .. } = control.strays();
    let expected = [
        ("primary", "archive", -1, "chat_messages", 2),
        ("primary", "archive", -1, "chat_settings", 1),
        ("primary", "archive", -1, "chat_stats", 1),
        ("primary", "archive", -1, "chat_user_stats", 1),
        ("primary", "archive", -1, "chat_users", 1),
    ];
    assert_eq!((tables(&found), missing.len()), (expected.to_vec(), 0));
    let cleared = control.clear_strays(Clear::Same).unwrap();
    assert_eq!(sums(&cleared.cleared), (6, 0, 0), "{cleared:?}");
    assert!(cleared.cleared.iter().all(|one| one.why.is_none()));
    assert_eq!(control.strays(), Strays::default());
    assert_eq!(db.get_chat_messages_since(CHAT, &Default::default()).unwrap().len(), 2);
    assert_eq!(db.get_chat_messages_since(OTHER, &Default::default()).unwrap().len(), 1);
    db.close();
    assert_eq!((rows(&scratch, "primary.db", CHAT), rows(&scratch, "archive.db", CHAT)), (0, 2));
}

#[test]
fn what_is_cleared_is_on_disk_before_the_answer_and_before_that_what_home_has() {
    let scratch = Scratch::new();
    let (db, _) = with_copies(&scratch);
    db.close();
    let mut config = config(&scratch);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Normal);
    let (db, control) = open(&config);
    let logged = || ["primary.db-wal", "archive.db-wal"].map(|log| std::fs::metadata(scratch.file(log)).unwrap().len());
    for chat in [CHAT, OTHER] {
        db.set_chat_setting(chat, "language", "fr").unwrap();
    }
    assert!(logged().iter().all(|bytes| *bytes > 0), "under `normal` a write waits for no disk");
    assert!(sums(&control.clear_strays(Clear::AtHome).unwrap().cleared).0 > 0);
    // What was in a log has been synced to its file, and the file was synced.
    assert_eq!(logged(), [0, 0]);
    db.close();
}

#[test]
fn without_a_bot_the_files_show_the_same_and_stay_as_they_are() {
    let scratch = Scratch::new();
    let (db, control) = with_copies(&scratch);
    let running = control.strays();
    db.close();
    let bytes = || ["primary.db", "archive.db"].map(|file| std::fs::read(scratch.file(file)).unwrap());
    let (before, names) = (bytes(), scratch.names());
    assert_eq!(look_at_strays(&config(&scratch)), running);
    assert!(bytes() == before);
    assert_eq!(scratch.names(), names);
}

#[test]
fn a_row_that_home_does_not_have_or_has_otherwise_stays_and_is_told_of() {
    let scratch = Scratch::new();
    let (db, control) = with_copies(&scratch);
    let at_home = sqlite(&scratch.file("archive.db"));
    at_home.execute_batch("DELETE FROM chat_messages WHERE message_id = '0'").unwrap();
    at_home.execute_batch("UPDATE chat_messages SET message_text = 'changed' WHERE message_id = '1'").unwrap();
    let cleared = control.clear_strays(Clear::Same).unwrap().cleared;
    assert_eq!(sums(&cleared), (4, 1, 1), "{cleared:?}");
    let why = cleared[0].why.as_deref().unwrap();
    assert_eq!(why, "at home table `chat_messages` lacks the row chat_id=-1, message_id=`0`");
    assert_eq!(rows(&scratch, "primary.db", CHAT), 2);
    // Where home has a row of that key it may go as well; the last copy never does.
    let cleared = control.clear_strays(Clear::AtHome).unwrap().cleared;
    assert_eq!(sums(&cleared), (1, 1, 0), "{cleared:?}");
    assert_eq!(rows(&scratch, "primary.db", CHAT), 1);
    db.close();
}

#[test]
fn all_of_one_chat_go_where_that_is_asked_for_and_no_others() {
    let scratch = Scratch::new();
    let (db, control) = with_copies(&scratch);
    let keep = MoveOptions { keep: true, ..MoveOptions::default() };
    control.move_chat(OTHER, &name("archive"), &keep, |_| ControlFlow::Continue(())).unwrap();
    sqlite(&scratch.file("archive.db")).execute_batch("DELETE FROM chat_messages WHERE message_id = '0'").unwrap();
    let cleared = control.clear_strays(Clear::AllOf(CHAT)).unwrap().cleared;
    assert_eq!(sums(&cleared), (6, 0, 0), "{cleared:?}");
    assert!(cleared.iter().all(|one| one.stray.chat == CHAT && one.why.is_none()), "{cleared:?}");
    assert_eq!((rows(&scratch, "primary.db", CHAT), rows(&scratch, "archive.db", CHAT)), (0, 1));
    assert_eq!(rows(&scratch, "primary.db", OTHER), 1);
    db.close();
}

#[test]
fn an_attachment_goes_with_the_last_message_that_shows_it_and_only_if_home_has_it() {
    let scratch = Scratch::new();
    let mut before = config(&scratch);
    before.chat_mapping.clear();
    let (db, control) = open(&before);
    for (id, chat) in [("own", CHAT), ("altered", CHAT), ("shared", CHAT), ("shared", OTHER)] {
        let media = NewMedia::new(id);
        // Of one that is there already the same is known.
        let _ = db.add_media_attachment(None, &media);
        let message = NewMessage { media_id: Some(MediaId::from(id)), ..NewMessage::text(id, db.now(), UserId(7), id) };
        db.save_chat_message(chat, &message).unwrap();
    }
    let keep = MoveOptions { keep: true, ..MoveOptions::default() };
    control.move_chat(CHAT, &name("archive"), &keep, |_| ControlFlow::Continue(())).unwrap();
    let alter = "UPDATE media_attachments SET description = 'a cat' WHERE file_unique_id = 'altered'";
    sqlite(&scratch.file("archive.db")).execute_batch(alter).unwrap();
    let cleared = control.clear_strays(Clear::Same).unwrap().cleared;
    let media: Vec<_> = cleared.iter().filter(|one| one.stray.table == "media_attachments").collect();
    assert_eq!(media.iter().map(|one| one.deleted).collect::<Vec<_>>(), [1]);
    db.close();
    let ids = |file: &str| {
        let connection = sqlite(&scratch.file(file));
        let mut sql = connection.prepare("SELECT file_unique_id FROM media_attachments ORDER BY 1").unwrap();
        let ids = sql.query_map([], |row| row.get::<_, String>(0)).unwrap();
        ids.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(ids("primary.db"), ["altered", "shared"]);
    assert_eq!(ids("archive.db"), ["altered", "own", "shared"]);
}

#[test]
fn rows_of_a_chat_whose_home_is_away_stay_and_those_written_meanwhile_are_no_strays() {
    let scratch = Scratch::new();
    let mut config = config(&scratch);
    config.sources.get_mut(&name("archive")).unwrap().on_unavailable = OnUnavailable::Default;
    let (db, _) = with_copies(&scratch);
    db.close();
    take_away(&scratch, "archive");
    let (db, control) = open(&config);
    // Found out by a call; then the default source serves the chat.
    db.save_chat_message(CHAT, &NewMessage::text("9", db.now(), UserId(7), "meanwhile")).unwrap();
    assert!(db.is_displaced(CHAT));
    let Strays { found, missing, .. } = control.strays();
    assert_eq!((tables(&found), missing.len()), (vec![], 1));
    assert_eq!(control.clear_strays(Clear::AtHome).unwrap().cleared, []);
    db.close();
    assert_eq!(rows(&scratch, "primary.db", CHAT), 3);
}

#[test]
fn rows_of_a_read_only_source_and_of_an_unfinished_move_stay() {
    let scratch = Scratch::new();
    let (db, control) = with_copies(&scratch);
    sqlite(&scratch.file("primary.db"))
        .execute_batch(
            "INSERT INTO switchyard_moves VALUES (-1, 'primary', 'archive', 'deleting', '2026-01-01 00:00:00')",
        )
        .unwrap();
    let cleared = control.clear_strays(Clear::Same).unwrap().cleared;
    assert_eq!(sums(&cleared), (0, 0, 0));
    assert!(cleared.iter().all(|one| one.why.as_ref().unwrap().contains("bot db move")), "{cleared:?}");
    db.close();

    let scratch = Scratch::new();
    let (db, _) = open(&config(&scratch));
    talk(&db, CHAT, &["one"]);
    db.close();
    let mut config = config(&scratch);
    config.chat_mapping.clear();
    config.sources.get_mut(&name("archive")).unwrap().readonly = true;
    let (db, control) = open(&config);
    talk(&db, CHAT, &["one"]);
    let cleared = control.clear_strays(Clear::AtHome).unwrap().cleared;
    assert_eq!(sums(&cleared), (0, 0, 0));
    assert!(cleared.iter().all(|one| one.why.as_ref().unwrap().contains("read-only")), "{cleared:?}");
    db.close();
}
