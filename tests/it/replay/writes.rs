//! Every write there is, on few keys, so that writes meet each other's rows.

use database::{
    CacheType, ChatId, ChatType, ClassDelta, DatabaseWrapper, ImportBatch, ImportProgress, ImportedName, Lesson,
    MediaChanges, MediaId, MediaStatus, MessageCategory, MessageId, NewChatInfo, NewMedia, NewMessage, NewSpam,
    NewSummarization, NewTopic, Opposite, Result, SpamReason, SummarizationKey, Timestamp, TokenDelta, TopicId,
    Unlearnt, UserId,
};
use proptest::prelude::*;

/// One write: which, and with what. The same serves as what a read is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Which of [`KINDS`].
    pub(crate) kind: usize,
    /// The chat's id without its sign.
    pub(crate) chat: i64,
    /// What every text begins with.
    pub(crate) mark: String,
    /// What the ids of media begin with besides.
    pub(crate) media_mark: &'static str,
    pub(crate) user: i64,
    pub(crate) message: i64,
    pub(crate) word: usize,
    pub(crate) day: i64,
    pub(crate) number: i64,
    /// Whether it is about the chat, where that can be left out.
    pub(crate) flag: bool,
    pub(crate) score: f64,
    pub(crate) more: Vec<(i64, i64)>,
}

pub(crate) const WORDS: [&str; 6] = ["a", "", "nul\0nul", "\u{202e}bidi\u{202c}", "𝒳💬", "o'); --"];

type Made = fn(&DatabaseWrapper, &Write) -> Result<()>;

/// Each operation's name with the call that makes it.
pub(crate) const KINDS: &[(&str, Made)] = &[
    ("messages.save_chat_message", |db, w| db.save_chat_message(w.chat(), &w.new_message(w.message, w.user))),
    ("messages.save_chat_messages", |db, w| db.save_chat_messages(w.chat(), &w.new_messages()).map(drop)),
    ("messages.update_chat_message_category", |db, w| {
        db.update_chat_message_category(w.chat(), &w.message(), &MessageCategory::from(w.word().as_str()))
    }),
    ("users.update_chat_user", |db, w| db.update_chat_user(w.chat(), w.user(), &w.word(), &w.word())),
    ("users.hear_of_user", |db, w| {
        let (username, full_name) = (w.word(), w.word());
        let full_name = (w.number % 2 == 0).then_some(full_name.as_str());
        db.hear_of_user(w.chat(), w.user(), w.flag.then_some(username.as_str()), full_name)
    }),
    ("messages.edit_chat_message", |db, w| db.edit_chat_message(w.chat(), &w.message(), w.user(), &w.word())),
    ("users.mark_user_is_spammer", |db, w| db.mark_user_is_spammer(w.chat(), w.user(), w.flag)),
    ("users.update_user_metadata", |db, w| db.update_user_metadata(w.chat(), w.user(), &w.word())),
    ("chats.update_chat_info", |db, w| {
        let title = w.flag.then(|| w.word());
        let chat_type = ChatType::from(w.word().as_str());
        db.update_chat_info(w.chat(), &NewChatInfo { title, username: None, chat_type, is_forum: w.flag })
    }),
    ("chats.hear_of_chat", |db, w| {
        let (title, heard) = (w.word(), ChatType::from(w.word().as_str()));
        let heard = (w.number % 2 == 0).then_some(&heard);
        db.hear_of_chat(w.chat(), w.flag.then_some(title.as_str()), heard, &ChatType::Group)
    }),
    ("topics.update_chat_topic_info", |db, w| {
        let info = NewTopic { icon_color: Some(w.number), icon_custom_emoji_id: None, name: w.word() };
        db.update_chat_topic_info(w.chat(), TopicId(w.message), &info)
    }),
    ("media.add_media_attachment", |db, w| db.add_media_attachment(w.maybe_chat(), &w.new_media())),
    ("media.update_media_attachment", |db, w| {
        let status = w.flag.then_some(MediaStatus::Done);
        let changes = MediaChanges { status, description: Some(w.word()), ..MediaChanges::default() };
        db.update_media_attachment(w.maybe_chat(), &w.media(), &changes)
    }),
    ("settings.set_setting", |db, w| db.set_setting(w.key(), &w.word())),
    ("settings.set_chat_setting", |db, w| db.set_chat_setting(w.chat(), w.key(), &w.word())),
    ("settings.unset_chat_setting", |db, w| db.unset_chat_setting(w.chat(), w.key())),
    ("settings.clear_chat_settings", |db, w| db.clear_chat_settings(w.chat())),
    ("user_data.add_user_data", |db, w| db.add_user_data(w.chat(), w.user(), w.key(), &w.word())),
    ("user_data.delete_user_data", |db, w| db.delete_user_data(w.chat(), w.user(), w.key())),
    ("user_data.clear_user_data", |db, w| db.clear_user_data(w.chat(), w.user())),
    ("summaries.add_chat_summarization", |db, w| {
        let key = SummarizationKey {
            topic_id: w.flag.then_some(TopicId(1)),
            first_message_id: w.message(),
            last_message_id: MessageId::from(9),
            prompt: "p".to_owned(),
        };
        db.add_chat_summarization(w.chat(), &NewSummarization { key, summary: w.word() })
    }),
    ("tasks.add_delayed_task", |db, w| db.add_delayed_task(w.key(), w.number, &w.word(), "{}")),
    ("tasks.update_delayed_task", |db, w| db.update_delayed_task(w.key(), w.flag)),
    ("tasks.delete_delayed_tasks", |db, w| db.delete_delayed_tasks(&[w.key()])),
    ("spam.add_spam_message", |db, w| db.add_spam_message(w.chat(), &w.example())),
    ("spam.add_ham_message", |db, w| db.add_ham_message(w.chat(), &w.example())),
    ("spam.delete_spam_messages_by_user_id", |db, w| db.delete_spam_messages_by_user_id(w.chat(), w.user())),
    ("spam.forget_examples_of_user", |db, w| {
        let delta = |(number, count): &(i64, i64)| TokenDelta { token: w.token(*number), spam: -count, ham: 0 };
        let class = ClassDelta { is_spam: w.flag, messages: -1, tokens: -w.number };
        let taught = Unlearnt { chat: w.chat(), tokens: w.more.iter().map(delta).collect(), class };
        db.forget_examples_of_user(w.chat(), w.user(), &[taught])
    }),
    ("cache.set_cache_storage", |db, w| db.set_cache_storage("n", w.key(), &w.word())),
    ("cache.unset_cache_storage", |db, w| db.unset_cache_storage("n", w.key())),
    ("cache.set_cache_entry", |db, w| db.set_cache_entry(w.cache(), w.key(), &w.word())),
    ("cache.clear_cache", |db, w| db.clear_cache(w.cache())),
    ("imports.save_import", |db, w| db.save_import(w.chat(), &w.batch()).map(drop)),
    ("bayes.update_bayes", |db, w| {
        let delta = |(number, count): &(i64, i64)| TokenDelta { token: w.token(*number), spam: *count, ham: w.number };
        let tokens: Vec<_> = w.more.iter().map(delta).collect();
        let class = ClassDelta { is_spam: w.flag, messages: 1, tokens: w.number };
        db.update_bayes(w.maybe_chat(), &tokens, &[class, class])
    }),
    ("bayes.drop_rare_bayes_tokens", |db, w| db.drop_rare_bayes_tokens(w.maybe_chat(), w.number).map(drop)),
    ("messages.update_chat_message_text", |db, w| db.update_chat_message_text(w.chat(), &w.message(), &w.word())),
    ("spam.learn_example", |db, w| db.learn_example(w.chat(), &w.lesson())),
    ("footprint.erase_user", |db, w| db.erase_user(w.chat(), w.user()).map(drop)),
    // Two writes, one after the other.
    ("aliases.add_alias", |db, w| db.migrate_chat(w.chat(), ChatId(-10 - w.message))),
    ("aliases.take_over", |db, w| db.migrate_chat(w.chat(), ChatId(-10))),
    ("bayes.clear_bayes", |db, w| db.clear_bayes(w.maybe_chat())),
];

impl Write {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let keys = (0..KINDS.len(), 1..3_i64, 1..4_i64, 1..5_i64, 0..WORDS.len());
        let rest = (0..4_i64, -2..6_i64, any::<bool>(), score(), prop::collection::vec((1..6_i64, 0..4_i64), 0..6));
        (keys, rest).prop_map(|((kind, chat, user, message, word), (day, number, flag, score, more))| Self {
            kind,
            chat,
            mark: String::new(),
            media_mark: "",
            user,
            message,
            word,
            day,
            number,
            flag,
            score,
            more,
        })
    }

    pub(crate) fn make(&self, db: &DatabaseWrapper) -> Result<()> {
        KINDS[self.kind].1(db, self)
    }

    /// What the write is called.
    #[cfg(feature = "multi-source")]
    pub(crate) fn op(&self) -> &'static str {
        KINDS[self.kind].0
    }

    pub(crate) fn chat(&self) -> ChatId {
        ChatId(-self.chat)
    }

    pub(crate) fn maybe_chat(&self) -> Option<ChatId> {
        self.flag.then(|| self.chat())
    }

    pub(crate) fn user(&self) -> UserId {
        UserId(self.user)
    }

    pub(crate) fn message(&self) -> MessageId {
        MessageId::from(self.message)
    }

    pub(crate) fn word(&self) -> String {
        format!("{}{}", self.mark, WORDS[self.word])
    }

    pub(crate) fn media(&self) -> MediaId {
        MediaId::from(format!("{}{}", self.media_mark, self.word()))
    }

    /// The words of a text that taught something.
    pub(crate) fn token(&self, number: i64) -> String {
        format!("{}{}", self.mark, WORDS[usize::try_from(number).unwrap() % WORDS.len()])
    }

    pub(crate) fn key(&self) -> &'static str {
        WORDS[self.word % 2]
    }

    pub(crate) fn cache(&self) -> CacheType {
        CacheType::ALL[self.word]
    }

    /// Days around those at which the writes themselves are made.
    pub(crate) fn moment(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_767_225_600 + (self.day - 2) * 30 * 86_400).unwrap()
    }

    fn new_message(&self, message: i64, user: i64) -> NewMessage {
        let mut made = NewMessage::text(message, self.moment(), UserId(user), self.word());
        made.media_id = self.flag.then(|| self.media());
        made
    }

    fn new_messages(&self) -> Vec<NewMessage> {
        self.more.iter().map(|(message, user)| self.new_message(*message, *user)).collect()
    }

    fn new_media(&self) -> NewMedia {
        NewMedia { file_size: Some(self.number), ..NewMedia::new(self.media()) }
    }

    fn example(&self) -> NewSpam {
        NewSpam {
            user_id: self.user(),
            message_id: self.message(),
            text: self.word(),
            reason: SpamReason::from(self.word().as_str()),
            score: self.score,
        }
    }

    fn lesson(&self) -> Lesson {
        let tokens = |text: &str| vec!["a".to_owned(), text.to_owned()];
        let opposite = Opposite {
            chat_id: if self.number > 2 { ChatId(-10) } else { self.chat() },
            text: self.word(),
            tokens: tokens(&self.word()),
        };
        let category = (self.day > 1).then(|| (self.chat(), MessageCategory::from(self.word().as_str())));
        Lesson { is_spam: self.flag, example: self.example(), tokens: tokens(&self.word()), category, opposite }
    }

    fn batch(&self) -> ImportBatch {
        let at = self.moment();
        let name = || ImportedName { name: self.flag.then(|| self.word()), at };
        ImportBatch {
            messages: self.new_messages(),
            media: vec![self.new_media()],
            people: self.more.iter().map(|(user, _)| (UserId(*user), name())).collect(),
            topics: self.more.iter().map(|(topic, _)| (TopicId(*topic), name())).collect(),
            chat: Some((ChatType::Supergroup, name())),
            progress: Some(ImportProgress {
                file: self.key().to_owned(),
                records: self.number,
                is_complete: self.flag,
            }),
        }
    }
}

/// Any number at all: a score must come back bit by bit from where a recording is kept.
fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ]
}
