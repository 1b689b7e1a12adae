//! Every answer that the wrapper gives about some chats, as text: what a move must not change.

use std::fmt::Debug;

use database::{
    CacheType, ChatId, DatabaseWrapper, MediaId, MessageFilter, MessageId, Page, Result, Search, SummarizationKey,
    TopicId, UserFootprint, UserId,
};

/// The chats of the tests, groups and what they become.
const CHATS: [ChatId; 7] = [ChatId(-1), ChatId(-2), ChatId(-10), ChatId(-11), ChatId(-12), ChatId(-13), ChatId(-14)];

/// Every answer.
pub(super) fn of(db: &DatabaseWrapper) -> Vec<String> {
    let mut said = about_chats(db);
    let all = CHATS.iter().flat_map(|chat| db.get_chat_messages_since(*chat, &MessageFilter::default()).unwrap());
    let media: Vec<_> = all.filter_map(|message| message.media).collect();
    for attachment in &media {
        let id: &MediaId = &attachment.file_unique_id;
        let found = db.get_media_attachment(None, id).unwrap();
        assert!(found.is_some(), "{id:?} is shown and cannot be found");
        said.push(format!("{found:?}"));
    }
    said.push(format!("{media:?}"));
    said
}

/// Every answer but for what attachments hold: those depend on where a chat is where several have one of the same id.
pub(super) fn about_chats(db: &DatabaseWrapper) -> Vec<String> {
    let mut said = Vec::new();
    for chat in CHATS {
        let mut add = |answer: String| said.push(format!("{chat}: {answer}"));
        let filter = |limit, thread_id| MessageFilter { limit, thread_id, ..MessageFilter::default() };
        for filter in [filter(None, None), filter(Some(3), None), filter(None, Some(TopicId(1)))] {
            let mut messages = db.get_chat_messages_since(chat, &filter).unwrap();
            messages.iter_mut().for_each(|message| message.media = None);
            add(format!("{messages:?}"));
        }
        let search = Search { words: &["a"], categories: &[], page: Page { number: 1, size: 5 } };
        add(text(db.search_messages(chat, search).map(|mut found| {
            found.messages.iter_mut().for_each(|message| message.media = None);
            found
        })));
        for message in 0..10_i64 {
            let id = MessageId::from(message);
            let found = db.get_chat_message_by_message_id(chat, &id).unwrap();
            add(format!("{:?}", found.map(|message| (message.message_text, message.created_at))));
            add(format!("{:?}", db.get_chat_messages_by_root_id(chat, &id, None).unwrap().len()));
            add(text(db.get_message_place(chat, &id)));
            let key = SummarizationKey {
                topic_id: None,
                first_message_id: id,
                last_message_id: 9.into(),
                prompt: "p".to_owned(),
            };
            add(text(db.get_chat_summarization(chat, &key)));
            add(text(db.get_chat_summarization(chat, &SummarizationKey { topic_id: Some(TopicId(1)), ..key })));
        }
        for user in 0..5 {
            let user = UserId(user);
            add(text(db.get_chat_user(chat, user)));
            add(format!("{:?}", db.get_chat_messages_by_user(chat, user, None).unwrap().len()));
            add(text(db.get_user_data(chat, user)));
            add(text(db.get_spam_messages_by_user_id(chat, user)));
            add(text(db.get_examples_of_user(chat, user)));
            // Which media go with a person depends on what other chats of the same source show.
            add(text(db.get_user_footprint(chat, user).map(|found| UserFootprint { media: 0, ..found })));
        }
        add(text(db.get_chat_users(chat, None, None)));
        add(text(db.get_chat_user_by_username(chat, "a")));
        add(text(db.get_chat_settings(chat)));
        add(text(db.get_chat_info(chat)));
        add(text(db.get_chat_topics(chat)));
        add(text(db.get_chat_totals(chat)));
        add(text(db.get_chat_days(chat, 10)));
        add(text(db.get_top_people(chat, 10)));
        add(text(db.get_topic_activity(chat)));
        for file in ["", "a", "CANARY-ONE.json"] {
            add(text(db.get_import_progress(chat, file)));
        }
        bayes(db, Some(chat), &mut add);
    }
    bayes(db, None, &mut |answer| said.push(answer));
    for user in 0..5 {
        said.push(text(db.get_user_chats(UserId(user))));
    }
    said.push(text(db.get_all_group_chats()));
    said.push(text(db.get_spam_messages(None)));
    said.push(text(db.get_spam_messages_by_text("a")));
    said.push(text(db.get_settings()));
    said.push(text(db.get_pending_delayed_tasks()));
    said.push(text(db.get_cache_storage()));
    said.extend(CacheType::ALL.map(|cache| text(db.get_cache_entry(cache, "a", None))));
    said
}

fn bayes(db: &DatabaseWrapper, chat: Option<ChatId>, add: &mut dyn FnMut(String)) {
    add(text(db.get_bayes_tokens(chat, &["a", "", "CANARY-ONE", "more", "𝒳💬"])));
    add(text(db.get_bayes_classes(chat)));
    add(text(db.get_bayes_vocabulary_size(chat)));
    add(text(db.get_top_spam_tokens(chat, 10)));
    add(text(db.get_top_ham_tokens(chat, 10)));
}

fn text<T: Debug>(answer: Result<T>) -> String {
    format!("{:?}", answer.unwrap())
}
