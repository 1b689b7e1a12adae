//! History that is brought in: once, whatever happens, and never over what is newer.

use database::{
    ChatId, ChatType, DatabaseWrapper, ImportBatch, ImportProgress, ImportedName, MessageId, NewChatInfo, NewMedia,
    NewMessage, SavedMessages, Timestamp, TopicId, UserId,
};

use crate::support::{Scratch, fresh, rows, time};

const CHAT: ChatId = ChatId(-7);
/// What the clock of a fresh database shows.
const NOW: &str = "2026-01-01 12:00:00";

fn message(id: impl Into<MessageId>, user: i64, date: &str) -> NewMessage {
    NewMessage::text(id, time(date), UserId(user), "text")
}

fn named(name: &str, at: &str) -> ImportedName {
    ImportedName { name: Some(name.to_owned()), at: time(at) }
}

fn history(at: &str) -> ImportBatch {
    ImportBatch {
        messages: vec![message(1, 1, at), message(2, 1, at), message(3, 2, at)],
        media: vec![NewMedia::new("m")],
        people: vec![(UserId(1), named("One", at)), (UserId(2), ImportedName { name: None, at: time(at) })],
        topics: vec![(TopicId(5), named("Help", at))],
        chat: Some((ChatType::Supergroup, named("Title", at))),
        progress: Some(ImportProgress { file: "f".to_owned(), records: 3, is_complete: true }),
    }
}

#[test]
fn an_import_made_again_changes_nothing() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let path = scratch.file("bot.db");
    let batch = history("2020-01-01 00:00:00");
    assert_eq!(db.save_import(CHAT, &batch).unwrap(), SavedMessages { new: 3, known: 0 });
    let before = rows(&path);
    assert_eq!(db.save_import(CHAT, &batch).unwrap(), SavedMessages { new: 0, known: 3 });
    assert_eq!(rows(&path), before);
    assert_eq!(db.get_import_progress(CHAT, "f").unwrap(), batch.progress);
    assert_eq!(db.get_import_progress(CHAT, "g").unwrap(), None);
    assert!(db.get_chat_info(CHAT).unwrap().unwrap().is_forum, "it has topics");
    let person = db.get_chat_user(CHAT, UserId(1)).unwrap().unwrap();
    assert_eq!((person.messages_count, person.updated_at), (2, time("2020-01-01 00:00:00")));
    let nameless = db.get_chat_user(CHAT, UserId(2)).unwrap().unwrap();
    assert_eq!((nameless.username.as_str(), nameless.full_name.as_str()), ("", ""));
}

#[test]
fn history_replaces_older_names_but_never_newer_ones_nor_user_names_nor_moments() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.update_chat_user(CHAT, UserId(1), "@live", "Live").unwrap();
    let info = |title: Option<&str>| NewChatInfo {
        title: title.map(str::to_owned),
        username: Some("live".to_owned()),
        chat_type: ChatType::Group,
        is_forum: false,
    };
    db.update_chat_info(CHAT, &info(Some("Live"))).unwrap();
    db.update_chat_topic_info(CHAT, TopicId(5), &database::NewTopic { name: "Live".to_owned(), ..Default::default() })
        .unwrap();
    db.save_import(CHAT, &history("2020-01-01 00:00:00")).unwrap();
    let names = |db: &DatabaseWrapper| {
        let user = db.get_chat_user(CHAT, UserId(1)).unwrap().unwrap();
        let info = db.get_chat_info(CHAT).unwrap().unwrap();
        let topic = db.get_chat_topics(CHAT).unwrap().remove(0);
        assert_eq!((user.username.as_str(), info.username.as_deref()), ("@live", Some("live")));
        assert_eq!(info.chat_type, ChatType::Group);
        let moments = [user.updated_at, info.updated_at, topic.updated_at].map(|moment: Timestamp| moment.to_string());
        (user.full_name, info.title.unwrap(), topic.name.unwrap(), moments)
    };
    let all =
        |name: &str, at: &str| (name.to_owned(), name.to_owned(), name.to_owned(), [(); 3].map(|()| at.to_owned()));
    assert_eq!(names(&db), all("Live", NOW));
    let later = "2026-02-01 00:00:00";
    let mut batch = history(later);
    batch.people = vec![(UserId(1), named("Later", later))];
    batch.topics = vec![(TopicId(5), named("Later", later))];
    batch.chat = Some((ChatType::Supergroup, named("Later", later)));
    db.save_import(CHAT, &batch).unwrap();
    assert_eq!(names(&db), all("Later", later));
    // What history does not tell stays.
    batch.people[0].1.name = None;
    batch.topics[0].1.name = None;
    batch.chat = Some((ChatType::Supergroup, ImportedName { name: None, at: time(later) }));
    db.save_import(CHAT, &batch).unwrap();
    assert_eq!(names(&db), all("Later", later));

    // A title that nobody knew is taken from the past, but the chat was heard of later than that.
    let other = ChatId(8);
    db.update_chat_info(other, &info(None)).unwrap();
    db.save_import(other, &history("2020-01-01 00:00:00")).unwrap();
    let found = db.get_chat_info(other).unwrap().unwrap();
    assert_eq!((found.title.as_deref(), found.updated_at), (Some("Title"), time(NOW)));
}

#[test]
fn the_place_of_a_message_is_known_whoever_said_it() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let root_message_id = Some(MessageId::from(1));
    let placed = NewMessage { thread_id: TopicId(5), root_message_id, ..message(2, 404, NOW) };
    db.save_chat_message(CHAT, &placed).unwrap();
    let place = db.get_message_place(CHAT, &MessageId::from(2)).unwrap().unwrap();
    assert_eq!((place.thread_id, place.root_message_id), (TopicId(5), Some(MessageId::from(1))));
    assert_eq!(db.get_message_place(CHAT, &MessageId::from(3)).unwrap(), None);
}
