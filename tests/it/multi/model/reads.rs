//! Every read there is, asked for with what a write is made with; its answer as text.

use std::fmt::Debug;

use database::{
    DatabaseWrapper, Gathered, MessageCategory, MessageFilter, MessageId, Page, Result, Search, SummarizationKey,
    TopicId,
};

use crate::replay::writes::{WORDS, Write};

type Asked = fn(&DatabaseWrapper, &Write) -> String;

/// Each operation's name with the call that asks it.
pub(super) const READS: &[(&str, Asked)] = &[
    ("messages.get_chat_messages_since", |db, w| {
        let filter = MessageFilter {
            since: w.flag.then(|| w.moment()),
            categories: (w.number == 1).then(|| vec![MessageCategory::Unspecified, w.word().as_str().into()]),
            limit: (w.number > 1).then(|| limit(w)),
            ..MessageFilter::default()
        };
        text(db.get_chat_messages_since(w.chat(), &filter))
    }),
    ("messages.get_chat_message_by_message_id", |db, w| {
        text(db.get_chat_message_by_message_id(w.chat(), &w.message()))
    }),
    ("messages.get_chat_messages_by_root_id", |db, w| {
        text(db.get_chat_messages_by_root_id(w.chat(), &w.message(), w.flag.then_some(TopicId::NONE)))
    }),
    ("messages.get_chat_messages_by_user", |db, w| {
        text(db.get_chat_messages_by_user(w.chat(), w.user(), w.flag.then(|| limit(w))))
    }),
    ("users.get_chat_user", |db, w| text(db.get_chat_user(w.chat(), w.user()))),
    ("users.get_chat_user_by_username", |db, w| text(db.get_chat_user_by_username(w.chat(), &w.word()))),
    ("users.get_chat_users", |db, w| {
        text(db.get_chat_users(w.chat(), w.flag.then(|| limit(w)), (w.number > 2).then(|| w.moment())))
    }),
    ("chats.get_chat_info", |db, w| text(db.get_chat_info(w.chat()))),
    ("chats.get_user_chats", |db, w| complete(db.get_user_chats(w.user()))),
    ("chats.get_all_group_chats", |db, _| complete(db.get_all_group_chats())),
    ("topics.get_chat_topics", |db, w| text(db.get_chat_topics(w.chat()))),
    ("media.get_media_attachment", |db, w| text(db.get_media_attachment(w.maybe_chat(), &w.media()))),
    ("settings.get_setting", |db, w| text(db.get_setting(w.key()))),
    ("settings.get_settings", |db, _| text(db.get_settings())),
    ("settings.get_chat_setting", |db, w| text(db.get_chat_setting(w.chat(), w.key()))),
    ("settings.get_chat_settings", |db, w| text(db.get_chat_settings(w.chat()))),
    ("user_data.get_user_data", |db, w| text(db.get_user_data(w.chat(), w.user()))),
    ("summaries.get_chat_summarization", |db, w| {
        let key = SummarizationKey {
            topic_id: w.flag.then_some(TopicId(1)),
            first_message_id: w.message(),
            last_message_id: MessageId::from(9),
            prompt: "p".to_owned(),
        };
        text(db.get_chat_summarization(w.chat(), &key))
    }),
    ("messages.get_message_author", |db, w| text(db.get_message_author(w.chat(), &w.message()))),
    ("messages.is_answered", |db, w| {
        let category = MessageCategory::from(w.word().as_str());
        text(db.is_answered(w.chat(), &w.message(), w.user(), &category))
    }),
    ("tasks.get_pending_delayed_tasks", |db, _| text(db.get_pending_delayed_tasks())),
    ("tasks.get_delayed_task", |db, w| text(db.get_delayed_task(w.key()))),
    ("tasks.get_delayed_tasks_of", |db, w| text(db.get_delayed_tasks_of(w.key()))),
    ("tasks.get_due_delayed_tasks", |db, w| {
        text(db.get_due_delayed_tasks(w.key(), w.number, None, u32::try_from(w.message).unwrap_or(1)))
    }),
    ("spam.get_spam_messages_by_text", |db, w| complete(db.get_spam_messages_by_text(&w.word()))),
    ("spam.get_spam_messages", |db, w| complete(db.get_spam_messages(w.flag.then(|| limit(w))))),
    ("spam.get_spam_messages_by_user_id", |db, w| text(db.get_spam_messages_by_user_id(w.chat(), w.user()))),
    ("spam.get_examples_of_user", |db, w| text(db.get_examples_of_user(w.chat(), w.user()))),
    ("cache.get_cache_storage", |db, _| text(db.get_cache_storage())),
    ("cache.get_cache_entry", |db, w| {
        text(db.get_cache_entry(w.cache(), w.key(), w.flag.then_some(w.number * 86_400)))
    }),
    ("imports.get_import_progress", |db, w| text(db.get_import_progress(w.chat(), w.key()))),
    ("imports.get_message_place", |db, w| text(db.get_message_place(w.chat(), &w.message()))),
    ("bayes.get_bayes_tokens", |db, w| {
        let words: Vec<_> = WORDS.iter().map(|word| format!("{}{word}", w.mark)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        text(db.get_bayes_tokens(w.maybe_chat(), &words))
    }),
    ("bayes.get_bayes_classes", |db, w| text(db.get_bayes_classes(w.maybe_chat()))),
    ("bayes.get_bayes_vocabulary_size", |db, w| text(db.get_bayes_vocabulary_size(w.maybe_chat()))),
    ("bayes.get_top_spam_tokens", |db, w| text(db.get_top_spam_tokens(w.maybe_chat(), limit(w)))),
    ("bayes.get_top_ham_tokens", |db, w| text(db.get_top_ham_tokens(w.maybe_chat(), limit(w)))),
    ("search.search_messages", |db, w| {
        let word = w.word();
        let search = Search {
            words: &[&word],
            categories: &[MessageCategory::Unspecified, MessageCategory::User],
            page: Page { number: u32::from(w.flag), size: limit(w) },
        };
        text(db.search_messages(w.chat(), search))
    }),
    ("footprint.get_user_footprint", |db, w| text(db.get_user_footprint(w.chat(), w.user()))),
    ("statistics.get_chat_totals", |db, w| text(db.get_chat_totals(w.chat()))),
    ("statistics.get_chat_days", |db, w| text(db.get_chat_days(w.chat(), limit(w)))),
    ("statistics.get_top_people", |db, w| text(db.get_top_people(w.chat(), limit(w)))),
    ("statistics.get_topic_activity", |db, w| text(db.get_topic_activity(w.chat()))),
];

/// From none to a few.
fn limit(w: &Write) -> u32 {
    u32::try_from(w.number).unwrap_or_default()
}

/// An answer as text. A failure is its kind: which source it is of may differ.
pub(super) fn text<T: Debug>(answer: Result<T>) -> String {
    format!("{:?}", answer.map_err(|error| format!("{:?}", error.kind())))
}

/// An answer over all sources, which lacks none.
fn complete<T: Debug>(answer: Result<Gathered<T>>) -> String {
    if let Ok(gathered) = &answer {
        assert_eq!(gathered.missing(), []);
    }
    text(answer.map(Gathered::into_rows))
}
