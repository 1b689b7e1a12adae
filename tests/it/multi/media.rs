//! Media: where they are stored, in which order they are looked up, and messages that show what is stored elsewhere.

use database::{
    ChatId, ChatMessage, DatabaseConfig, DatabaseWrapper, ErrorKind, MediaChanges, MediaId, NewMedia, NewMessage, Page,
    Search, UserId,
};

use super::{config_of, logged, open, take_away};
use crate::support::{Scratch, fresh, time};

/// Mapped to `z`.
const CHAT: ChatId = ChatId(-1);
/// Mapped to `b`.
const OTHER: ChatId = ChatId(-2);
/// Mapped nowhere.
const UNMAPPED: ChatId = ChatId(-3);
const ADA: UserId = UserId(7);

fn config(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &["m", "a", "b", "z"], &[(-1, "z"), (-2, "b"), (-4, "a")])
}

/// One file and many, each with a picture of no chat.
fn one_and_many(scratch: &Scratch) -> [DatabaseWrapper; 2] {
    let both = [fresh(scratch), open(&config(scratch)).0];
    for db in &both {
        db.add_media_attachment(None, &media("picture", "of no chat")).unwrap();
    }
    both
}

fn media(id: &str, described: &str) -> NewMedia {
    NewMedia { description: Some(described.to_owned()), ..NewMedia::new(id) }
}

/// What the attachment that is found is described as.
fn found(db: &DatabaseWrapper, chat: Option<ChatId>, id: &str) -> Option<String> {
    db.get_media_attachment(chat, &MediaId::from(id)).unwrap().map(|media| media.description.unwrap())
}

fn show(db: &DatabaseWrapper, chat: ChatId, message: i64, media: &str) {
    db.update_chat_user(chat, ADA, "@ada", "Ada").unwrap();
    // In one second, so that the ids order them.
    let message = NewMessage::text(message, time("2026-01-01 12:00:00"), ADA, "look at this");
    db.save_chat_message(chat, &NewMessage { media_id: Some(media.into()), ..message }).unwrap();
}

/// How many files are said to go with Ada when she is erased in a chat, and what is found of the picture once she was.
fn erased(db: &DatabaseWrapper, chat: ChatId) -> (i64, Option<String>) {
    let count = db.get_user_footprint(chat, ADA).unwrap().media;
    db.erase_user(chat, ADA).unwrap();
    (count, found(db, None, "picture"))
}

fn shown(messages: &[ChatMessage]) -> Vec<Option<&str>> {
    messages.iter().map(|message| message.media.as_ref().and_then(|media| media.description.as_deref())).collect()
}

#[test]
fn they_are_looked_for_in_the_chats_source_then_the_shared_one_then_the_others_by_name() {
    let scratch = Scratch::new();
    let (db, _) = open(&config(&scratch));
    // From the last place to the first: each further one is found instead of the one before.
    assert_eq!(found(&db, Some(CHAT), "picture"), None);
    db.add_media_attachment(Some(OTHER), &media("picture", "in b")).unwrap();
    assert_eq!(found(&db, Some(CHAT), "picture").as_deref(), Some("in b"));
    assert_eq!(found(&db, None, "picture").as_deref(), Some("in b"));
    db.add_media_attachment(Some(ChatId(-4)), &media("picture", "in a")).unwrap();
    assert_eq!(found(&db, Some(CHAT), "picture").as_deref(), Some("in a"));
    db.add_media_attachment(None, &media("picture", "shared")).unwrap();
    assert_eq!(found(&db, Some(CHAT), "picture").as_deref(), Some("shared"));
    assert_eq!(found(&db, Some(UNMAPPED), "picture").as_deref(), Some("shared"));
    db.add_media_attachment(Some(CHAT), &media("picture", "in z")).unwrap();
    assert_eq!(found(&db, Some(CHAT), "picture").as_deref(), Some("in z"));
    assert_eq!(found(&db, Some(OTHER), "picture").as_deref(), Some("in b"));
    assert_eq!(found(&db, None, "picture").as_deref(), Some("shared"));
    assert_eq!(
        db.on_source("a").get_media_attachment(Some(CHAT), &"picture".into()).unwrap().unwrap().description.as_deref(),
        Some("in a")
    );
    // One is unique within its source.
    for chat in [None, Some(UNMAPPED), Some(CHAT), Some(OTHER)] {
        assert!(db.add_media_attachment(chat, &media("picture", "again")).unwrap_err().is_duplicate());
    }
}

#[test]
fn a_change_is_made_where_the_chat_lives_and_nowhere_else() {
    let scratch = Scratch::new();
    let (db, _) = open(&config(&scratch));
    for (chat, described) in [(None, "shared"), (Some(CHAT), "in z"), (Some(OTHER), "in b")] {
        db.add_media_attachment(chat, &media("picture", described)).unwrap();
    }
    let changes = MediaChanges { description: Some("changed".to_owned()), ..MediaChanges::default() };
    db.update_media_attachment(Some(CHAT), &"picture".into(), &changes).unwrap();
    let all = [None, Some(CHAT), Some(OTHER)].map(|chat| found(&db, chat, "picture").unwrap());
    assert_eq!(all, ["shared", "changed", "in b"]);
}

#[test]
fn what_is_in_a_source_that_is_down_may_be_there_so_not_finding_it_is_an_error() {
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, _) = open(&config);
    db.add_media_attachment(Some(CHAT), &media("picture", "in z")).unwrap();
    db.add_media_attachment(Some(OTHER), &media("other", "in b")).unwrap();
    db.close();
    take_away(&scratch, "b");
    let (db, _) = open(&config);
    assert_eq!(found(&db, None, "picture").as_deref(), Some("in z"), "the others are asked all the same");
    let error = db.get_media_attachment(Some(CHAT), &"other".into()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
}

#[test]
fn messages_show_media_of_the_shared_source_where_their_own_does_not_have_them() {
    let scratch = Scratch::new();
    let (db, _) = open(&config(&scratch));
    db.add_media_attachment(None, &media("both", "shared")).unwrap();
    db.add_media_attachment(Some(CHAT), &media("both", "in z")).unwrap();
    db.add_media_attachment(None, &media("old", "only shared")).unwrap();
    db.add_media_attachment(Some(OTHER), &media("strange", "in b")).unwrap();
    for (message, media) in [(4, "both"), (3, "old"), (2, "strange"), (1, "old")] {
        show(&db, CHAT, message, media);
    }
    show(&db, UNMAPPED, 1, "old");
    let expected = [Some("in z"), Some("only shared"), None, Some("only shared")];
    // Every way of reading messages.
    assert_eq!(shown(&db.get_chat_messages_since(CHAT, &Default::default()).unwrap()), expected);
    assert_eq!(shown(&db.get_chat_messages_by_user(CHAT, ADA, None).unwrap()), expected);
    let page = Page { number: 0, size: 10 };
    let categories = [database::MessageCategory::Unspecified];
    let search = Search { words: &["look"], categories: &categories, page };
    assert_eq!(shown(&db.search_messages(CHAT, search).unwrap().messages), expected);
    let one = db.get_chat_message_by_message_id(CHAT, &3.into()).unwrap().unwrap();
    assert_eq!(shown(&[one]), [Some("only shared")]);
    assert_eq!(shown(&db.get_chat_messages_since(UNMAPPED, &Default::default()).unwrap()), [Some("only shared")]);
}

#[test]
fn erasing_in_a_mapped_chat_leaves_media_of_no_chat_which_one_file_erases() {
    let scratch = Scratch::in_memory();
    let [one, many] = one_and_many(&scratch);
    for db in [&one, &many] {
        db.add_media_attachment(Some(CHAT), &media("own", "of the chat")).unwrap();
        show(db, CHAT, 1, "picture");
        show(db, CHAT, 2, "own");
    }
    assert_eq!(erased(&one, CHAT), (2, None));
    assert_eq!(erased(&many, CHAT), (1, Some("of no chat".to_owned())), "no other source than the chat's is written");
    // What was said in the chat, as the bot's handlers store it, is in the chat's source and goes in both.
    assert_eq!([&one, &many].map(|db| found(db, Some(CHAT), "own")), [None, None]);
}

#[test]
fn erasing_in_a_chat_of_the_shared_source_does_not_ask_other_sources_what_they_show() {
    let scratch = Scratch::in_memory();
    let [one, many] = one_and_many(&scratch);
    for db in [&one, &many] {
        show(db, UNMAPPED, 1, "picture");
        show(db, OTHER, 1, "picture");
    }
    let others = |db: &DatabaseWrapper| db.get_chat_messages_since(OTHER, &Default::default()).unwrap();
    assert_eq!(erased(&one, UNMAPPED), (0, Some("of no chat".to_owned())));
    assert_eq!(shown(&others(&one)), [Some("of no chat")]);
    assert_eq!(erased(&many, UNMAPPED), (1, None));
    assert_eq!(shown(&others(&many)), [None], "the message is there, its media fields are empty");
}

#[test]
fn more_messages_than_one_statement_looks_up_are_all_filled() {
    let scratch = Scratch::in_memory();
    let (db, _) = open(&config(&scratch));
    db.update_chat_user(CHAT, ADA, "@ada", "Ada").unwrap();
    let message = |number: i64| NewMessage {
        media_id: Some(format!("media {number}").into()),
        ..NewMessage::text(number, db.now(), ADA, "")
    };
    let messages: Vec<_> = (0..1_101).map(message).collect();
    db.save_chat_messages(CHAT, &messages).unwrap();
    for number in 0..1_101 {
        db.add_media_attachment(None, &media(&format!("media {number}"), &number.to_string())).unwrap();
    }
    let found = db.get_chat_messages_since(CHAT, &Default::default()).unwrap();
    assert_eq!(found.len(), 1_101);
    for message in &found {
        assert_eq!(shown(std::slice::from_ref(message)), [Some(message.message_id.as_str())]);
    }
}

#[test]
fn a_mapped_chat_is_read_with_empty_media_fields_and_a_warning_while_the_shared_source_is_down() {
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, _) = open(&config);
    db.add_media_attachment(None, &media("old", "only shared")).unwrap();
    db.add_media_attachment(Some(CHAT), &media("own", "in z")).unwrap();
    show(&db, CHAT, 2, "old");
    show(&db, CHAT, 1, "own");
    show(&db, OTHER, 1, "missing");
    db.close();
    take_away(&scratch, "m");
    let (db, _) = open(&config);
    let (messages, log) = logged(|| db.get_chat_messages_since(CHAT, &Default::default()).unwrap());
    assert_eq!(shown(&messages), [None, Some("in z")]);
    assert_eq!(messages[0].media_id, Some("old".into()));
    let warned: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("media fields are left empty") && warned[0].contains("source `m`"), "{log}");
    // Where nothing is looked for in the shared source nobody is warned.
    let one = || db.get_chat_message_by_message_id(CHAT, &1.into()).unwrap();
    let (message, log) = logged(one);
    assert_eq!(shown(&[message.unwrap()]), [Some("in z")]);
    assert_eq!(log, "");
    // A chat that lives in the shared source itself cannot be read.
    let error = db.get_chat_messages_since(UNMAPPED, &Default::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
    assert!(!scratch.file("m.db").exists());
}
