//! What methods promise beyond the golden file: order, duplicates, odd texts, batches.

use database::{
    CacheType, ChatId, ChatType, MediaId, MediaStatus, MessageCategory, MessageFilter, MessageId, MessageType,
    NewChatInfo, NewMedia, NewMessage, NewSpam, SavedMessages, SpamReason, TokenDelta, UserId,
};

use crate::support::{HandClock, Scratch, fresh, open_with, rows, time};

const CHAT: ChatId = ChatId(-7);
const NOW: &str = "2026-01-01 12:00:00";

fn message(id: impl Into<MessageId>, user: i64, date: &str) -> NewMessage {
    NewMessage::text(id, time(date), UserId(user), "text")
}

#[test]
fn messages_of_one_second_are_in_the_order_of_their_numbers() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    for id in ["10", "9", "abc", "100", "2", "11"] {
        let root_message_id = Some(MessageId::from("0"));
        db.save_chat_message(CHAT, &NewMessage { root_message_id, ..message(id, 1, "2026-01-01 10:00:00") }).unwrap();
    }
    db.save_chat_message(CHAT, &message("1", 1, "2026-01-01 10:00:01")).unwrap();
    let ids = |found: Vec<database::ChatMessage>| {
        found.iter().map(|message| message.message_id.to_string()).collect::<Vec<_>>().join(" ")
    };
    let all = MessageFilter::default();
    assert_eq!(ids(db.get_chat_messages_since(CHAT, &all).unwrap()), "1 abc 100 11 10 9 2");
    assert_eq!(ids(db.get_chat_messages_by_user(CHAT, UserId(1), Some(3)).unwrap()), "1 abc 100");
    assert_eq!(ids(db.get_chat_messages_by_root_id(CHAT, &MessageId::from(0), None).unwrap()), "2 9 10 11 100 abc");
}

#[test]
fn lists_are_limited_and_ordered_where_nothing_else_is_asked() {
    let scratch = Scratch::new();
    let clock = HandClock::at(NOW);
    let db = open_with(&scratch.file("bot.db"), clock.options());
    for user in 1..=12 {
        clock.set(time(NOW).saturating_add_seconds(user / 2));
        db.update_chat_user(CHAT, UserId(user), "@same", "U").unwrap();
        let spam = NewSpam {
            user_id: UserId(user),
            message_id: MessageId::from(13 - user),
            text: String::new(),
            reason: SpamReason::Auto,
            score: 1.0,
        };
        db.add_spam_message(ChatId(user % 2), &spam).unwrap();
        db.add_delayed_task(&format!("t{user}"), 5 - user / 4, "f", "{}").unwrap();
    }
    let users = db.get_chat_users(CHAT, None, None).unwrap();
    assert!(users.iter().map(|user| user.user_id.0).eq([12, 10, 11, 8, 9, 6, 7, 4, 5, 2]));
    let since = time(NOW).saturating_add_seconds(5);
    let users = db.get_chat_users(CHAT, None, Some(since)).unwrap();
    assert!(users.iter().map(|user| user.user_id.0).eq([12]), "later than, not from");
    assert_eq!(db.get_chat_user_by_username(CHAT, "@same").unwrap().unwrap().user_id, UserId(12));
    let spam = db.get_spam_messages(Some(5)).unwrap();
    assert!(spam.iter().map(|spam| spam.user_id.0).eq([1, 2, 3, 4, 5]));
    assert!(spam.missing().is_empty());
    let tasks = db.get_pending_delayed_tasks().unwrap();
    assert!(
        tasks
            .iter()
            .map(|task| task.id.as_str())
            .eq(["t12", "t10", "t11", "t8", "t9", "t4", "t5", "t6", "t7", "t1", "t2", "t3"])
    );
    let many: Vec<_> = (0..120).map(|id| message(id, 1, NOW)).collect();
    db.save_chat_messages(CHAT, &many).unwrap();
    assert_eq!(db.get_chat_messages_by_user(CHAT, UserId(1), None).unwrap().len(), 100);
}

#[test]
fn words_that_this_release_does_not_know_survive() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    let word = "of-a-later-release";
    let unknown = NewMessage {
        message_type: MessageType::from(word),
        message_category: MessageCategory::from(word),
        media_id: Some(MediaId::from("m")),
        ..message(1, 1, NOW)
    };
    db.save_chat_message(CHAT, &unknown).unwrap();
    let media = NewMedia { media_type: MessageType::from(word), status: MediaStatus::from(word), ..NewMedia::new("m") };
    db.add_media_attachment(Some(CHAT), &media).unwrap();
    let info = NewChatInfo { title: None, username: None, chat_type: ChatType::from(word), is_forum: false };
    db.update_chat_info(CHAT, &info).unwrap();
    let found = db.get_chat_message_by_message_id(CHAT, &MessageId::from(1)).unwrap().unwrap();
    assert_eq!(found.message_type.as_str(), word);
    assert_eq!(found.message_category, MessageCategory::Other(word.into()));
    assert_eq!(found.media.unwrap().status.to_string(), word);
    assert_eq!(db.get_chat_info(CHAT).unwrap().unwrap().chat_type.as_str(), word);
    let filter = MessageFilter { categories: Some(vec![MessageCategory::from(word)]), ..MessageFilter::default() };
    assert_eq!(db.get_chat_messages_since(CHAT, &filter).unwrap().len(), 1);
}

#[test]
fn odd_texts_come_back_as_they_were() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let invalid = "a\0b\u{202e}c\u{2066}\u{feff}𝒳💬\u{10ffff}\u{fffd}\r\n\t'\"\\%_;--\u{7f}\u{85}";
    for text in [invalid, "", "\0", " ", "\u{0}\u{0}"] {
        db.update_chat_user(CHAT, UserId(1), text, text).unwrap();
        let id = format!("id {text}");
        let quote_text = Some(text.to_owned());
        let odd = NewMessage { message_text: text.to_owned(), quote_text, ..message(id.as_str(), 1, NOW) };
        db.save_chat_message(CHAT, &odd).unwrap();
        let found = db.get_chat_message_by_message_id(CHAT, &odd.message_id).unwrap().unwrap();
        assert_eq!((found.message_text.as_str(), found.quote_text.as_deref()), (text, Some(text)));
        assert_eq!((found.username.as_str(), found.full_name.as_str(), found.message_id.as_str()), (text, text, &*id));
        assert!(db.get_chat_user_by_username(CHAT, text).unwrap().is_some());
        db.set_setting(&id, text).unwrap();
        assert_eq!(db.get_setting(&id).unwrap().as_deref(), Some(text));
        db.add_user_data(CHAT, UserId(1), text, text).unwrap();
        assert_eq!(db.get_user_data(CHAT, UserId(1)).unwrap()[text], text);
        db.set_cache_entry(CacheType::Weather, text, text).unwrap();
        assert_eq!(db.get_cache_entry(CacheType::Weather, text, None).unwrap().unwrap().data, text);
        db.update_bayes(None, &[TokenDelta { token: text.to_owned(), spam: 1, ham: 0 }], &[]).unwrap();
        assert_eq!(db.get_bayes_tokens(None, &[text]).unwrap()[0].token, text);
    }
}

#[test]
fn a_cached_answer_is_given_until_it_is_older_than_asked_for() {
    let scratch = Scratch::new();
    let clock = HandClock::at(NOW);
    let db = open_with(&scratch.file("bot.db"), clock.options());
    db.set_cache_entry(CacheType::Weather, "riga", "snow").unwrap();
    let found = |ttl| db.get_cache_entry(CacheType::Weather, "riga", ttl).unwrap().is_some();
    clock.set(time(NOW).saturating_add_seconds(60));
    assert!(found(None) && found(Some(60)) && found(Some(i64::MAX)));
    assert!(!found(Some(59)) && !found(Some(0)) && !found(Some(i64::MIN)));
}

#[test]
fn what_is_there_already_changes_no_row_and_no_counter() {
    let scratch = Scratch::new();
    let clock = HandClock::at(NOW);
    let db = open_with(&scratch.file("bot.db"), clock.options());
    let path = scratch.file("bot.db");
    let spam = NewSpam {
        user_id: UserId(1),
        message_id: MessageId::from(1),
        text: "t".to_owned(),
        reason: SpamReason::Auto,
        score: 1.0,
    };
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    db.save_chat_message(CHAT, &message(1, 1, NOW)).unwrap();
    db.add_media_attachment(None, &NewMedia::new("m")).unwrap();
    db.add_delayed_task("t", 1, "f", "{}").unwrap();
    db.add_spam_message(CHAT, &spam).unwrap();
    db.add_ham_message(CHAT, &spam).unwrap();
    let before = rows(&path);
    clock.set(time("2026-06-01 00:00:00"));
    assert!(db.save_chat_message(CHAT, &message(1, 2, "2026-02-02 00:00:00")).unwrap_err().is_duplicate());
    let known = db.save_chat_messages(CHAT, &[message(1, 1, NOW), message(1, 2, NOW)]).unwrap();
    assert_eq!(known, SavedMessages { new: 0, known: 2 });
    assert!(db.add_media_attachment(None, &NewMedia::new("m")).unwrap_err().is_duplicate());
    assert!(db.add_delayed_task("t", 2, "g", "{}").unwrap_err().is_duplicate());
    assert!(db.add_spam_message(CHAT, &spam).unwrap_err().is_duplicate());
    assert!(db.add_ham_message(CHAT, &spam).unwrap_err().is_duplicate());
    assert_eq!(rows(&path), before);
}

#[test]
fn a_batch_leaves_what_its_messages_would_have_left_one_by_one() {
    let scratch = Scratch::new();
    let [batch, single] = ["batch.db", "single.db"].map(|name| scratch.file(name));
    let messages: Vec<_> = (0..60)
        .map(|index: i64| message(index * 7 % 40, index % 3, &format!("2026-01-0{} 10:00:00", 1 + index % 5)))
        .collect();
    let [batched, singly] = [&batch, &single].map(|path| open_with(path, HandClock::at(NOW).options()));
    for db in [&batched, &singly] {
        db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
        db.save_chat_message(CHAT, &message(3, 1, NOW)).unwrap();
    }
    let saved = batched.save_chat_messages(CHAT, &messages).unwrap();
    let new = messages.iter().filter(|message| singly.save_chat_message(CHAT, message).is_ok()).count();
    assert_eq!(saved, SavedMessages { new: new as u64, known: (60 - new) as u64 });
    assert_eq!(new, 39);
    assert_eq!(rows(&batch), rows(&single));
    assert_eq!(batched.save_chat_messages(CHAT, &[]).unwrap(), SavedMessages::default());
}
