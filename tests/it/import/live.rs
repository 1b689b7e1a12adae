//! History that meets a chat which the bot has been in: what is known from now is not overwritten by what was then.

use database::{ChatId, ChatType, NewChatInfo, NewMessage, UserId};

use super::*;

const WORKSHOP: ChatId = ChatId(-1_000_000_020_001);
const ADA: UserId = UserId(10_001);

#[test]
fn what_is_known_from_now_stays() {
    let home = Home::new();
    let db = home.open();
    let info = NewChatInfo {
        title: Some("Workshop 3".to_owned()),
        username: Some("workshop".to_owned()),
        chat_type: ChatType::Supergroup,
        is_forum: false,
    };
    db.update_chat_info(WORKSHOP, &info).unwrap();
    db.update_chat_user(WORKSHOP, ADA, "@ada", "Ada King").unwrap();
    db.close();
    take_whole(&home, MADE);
    insta::assert_snapshot!(
        home.texts("SELECT title || ', ' || username || ', forum: ' || is_forum || ', ' || updated_at FROM chat_info WHERE chat_id = -1000000020001")[0],
        @"Workshop 3, workshop, forum: 1, 2025-06-01 12:00:00"
    );
    insta::assert_snapshot!(
        home.texts("SELECT username || ', ' || full_name || ', ' || messages_count || ', ' || updated_at FROM chat_users WHERE chat_id = -1000000020001 AND user_id = 10001")[0],
        @"@ada, Ada King, 5, 2025-06-01 12:00:00"
    );
}

#[test]
fn what_is_not_known_from_now_is_taken_from_history() {
    let home = Home::new();
    let db = home.open();
    let info = NewChatInfo { title: None, username: None, chat_type: ChatType::Supergroup, is_forum: false };
    db.update_chat_info(WORKSHOP, &info).unwrap();
    db.update_chat_user(WORKSHOP, ADA, "@ada", "").unwrap();
    db.close();
    take_whole(&home, MADE);
    assert_eq!(home.texts("SELECT title FROM chat_info WHERE chat_id = -1000000020001"), ["Workshop 2"]);
    assert_eq!(
        home.texts(
            "SELECT username || ' ' || full_name FROM chat_users WHERE chat_id = -1000000020001 AND user_id = 10001"
        ),
        ["@ada Ada Lovelace"]
    );
}

#[test]
fn messages_heard_before_the_import_are_neither_doubled_nor_changed() {
    let home = Home::new();
    let db = home.open();
    db.update_chat_user(WORKSHOP, ADA, "@ada", "Ada King").unwrap();
    // The bot heard message 6 itself, as it was then.
    let heard = NewMessage::text(6, "2023-11-14 22:50:57".parse().unwrap(), ADA, "which edition");
    db.save_chat_message(WORKSHOP, &heard).unwrap();
    let later = NewMessage::text(1_000_000, "2025-06-01 12:00:00".parse().unwrap(), ADA, "now");
    db.save_chat_message(WORKSHOP, &later).unwrap();
    db.close();
    let report = take_whole(&home, MADE);
    assert_eq!(new_and_known(&report), (59, 1));
    assert_counters(&home);
    let texts = home.texts(
        "SELECT message_text FROM chat_messages WHERE chat_id = -1000000020001 AND message_id IN ('6', '7', '1000000') ORDER BY date",
    );
    assert_eq!(texts, ["which edition", "2024", "now"]);
}

#[test]
fn a_newer_export_brings_newer_names_and_an_older_one_does_not() {
    let home = Home::new();
    take_whole(&home, home.file("new.json", export_of_a_chat(2, 1, 9)));
    let names = |home: &Home| {
        home.texts("SELECT full_name FROM chat_users UNION ALL SELECT title FROM chat_info ORDER BY 1").join(", ")
    };
    assert_eq!(names(&home), "Person 1 v2, Person 2 v2, Person 3 v2, Title v2");
    take_whole(&home, home.file("old.json", export_of_a_chat(1, 1, 5)));
    assert_eq!(names(&home), "Person 1 v2, Person 2 v2, Person 3 v2, Title v2");
    take_whole(&home, home.file("newer.json", export_of_a_chat(3, 8, 12)));
    assert_eq!(names(&home), "Person 1 v3, Person 2 v3, Person 3 v3, Title v3");
}
