//! Messages kept as examples of spam and of its opposite.

use super::bayes;
use crate::error::Result;
use crate::gathered::{Gathered, Merge};
use crate::ids::{ChatId, MessageId, UserId};
use crate::models::{ClassDelta, Example, NewSpam, SpamMessage, TokenDelta, Unlearnt};
use crate::route::Route;
use crate::source::{Refusal, WriteTx};
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

const INSERT_SPAM: &str = "INSERT INTO spam_messages
     (chat_id, user_id, message_id, text, reason, score, created_at, updated_at)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
 ON CONFLICT (chat_id, user_id, message_id) DO NOTHING";

const INSERT_HAM: &str = "INSERT INTO ham_messages
     (chat_id, user_id, message_id, text, reason, score, created_at, updated_at)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
 ON CONFLICT (chat_id, user_id, message_id) DO NOTHING";

type Key = (ChatId, UserId, MessageId);

fn key(spam: &SpamMessage) -> Key {
    (spam.chat_id, spam.user_id, spam.message_id.clone())
}

fn merge(limit: Option<u32>) -> Merge<SpamMessage, Key, (Timestamp, Key)> {
    Merge {
        chat: |spam| spam.chat_id,
        key,
        order: |spam| (spam.created_at, key(spam)),
        limit: limit.map(|limit| limit as usize),
    }
}

macro_rules! select_spam {
    ($where:literal, $rest:literal) => {
        concat!(
            "SELECT chat_id, user_id, message_id, text, reason, score, created_at, updated_at FROM spam_messages ",
            $where,
            " ORDER BY created_at, chat_id, user_id, message_id",
            $rest
        )
    };
}

impl DatabaseWrapper {
    /// Keeps a message as an example of spam.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where it is kept already: nothing is changed. The source cannot be
    /// written.
    pub fn add_spam_message(&self, chat: ChatId, spam: &NewSpam) -> Result<()> {
        let now = self.now();
        self.write("spam.add_spam_message", Route::Chat(chat), |tx| insert(tx, INSERT_SPAM, (chat, spam, now)))
    }

    /// Keeps a message as an example of what is no spam.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where it is kept already: nothing is changed. The source cannot be
    /// written.
    pub fn add_ham_message(&self, chat: ChatId, ham: &NewSpam) -> Result<()> {
        let now = self.now();
        self.write("spam.add_ham_message", Route::Chat(chat), |tx| insert(tx, INSERT_HAM, (chat, ham, now)))
    }

    /// Keeps a message as an example and teaches the chat's model its tokens, both or neither.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where it is kept already: nothing is changed. The source cannot be
    /// written.
    pub fn learn_example(&self, chat: ChatId, is_spam: bool, example: &NewSpam, tokens: &[&str]) -> Result<()> {
        let now = self.now();
        let counts = i64::from(is_spam);
        let class = ClassDelta { is_spam, messages: 1, tokens: i64::try_from(tokens.len()).unwrap_or(i64::MAX) };
        self.write("spam.learn_example", Route::Chat(chat), |tx| {
            insert(tx, if is_spam { INSERT_SPAM } else { INSERT_HAM }, (chat, example, now))?;
            for token in tokens {
                let delta = TokenDelta { token: (*token).to_owned(), spam: counts, ham: 1 - counts };
                bayes::add_token(tx, Some(chat), &delta, now)?;
            }
            bayes::add_class(tx, Some(chat), class, now)
        })
    }

    /// The examples of spam with exactly this text, in all sources, oldest first.
    ///
    /// # Errors
    /// No source can be read.
    pub fn get_spam_messages_by_text(&self, text: &str) -> Result<Gathered<SpamMessage>> {
        self.read_every("spam.get_spam_messages_by_text", &merge(None), |tx| {
            tx.query(select_spam!("WHERE text = ?1", ""), params![text])
        })
    }

    /// The examples of spam in all sources, oldest first: 1000 unless told otherwise.
    ///
    /// # Errors
    /// No source can be read.
    pub fn get_spam_messages(&self, limit: Option<u32>) -> Result<Gathered<SpamMessage>> {
        let limit = limit.unwrap_or(1000);
        self.read_every("spam.get_spam_messages", &merge(Some(limit)), |tx| {
            tx.query(select_spam!("", " LIMIT ?1"), params![limit])
        })
    }

    /// The examples of spam from a person in a chat, oldest first.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_spam_messages_by_user_id(&self, chat: ChatId, user: UserId) -> Result<Vec<SpamMessage>> {
        self.read("spam.get_spam_messages_by_user_id", Route::Chat(chat), |tx| {
            tx.query(select_spam!("WHERE chat_id = ?1 AND user_id = ?2", ""), params![chat, user])
        })
    }

    /// Drops the examples of spam from a person in a chat.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn delete_spam_messages_by_user_id(&self, chat: ChatId, user: UserId) -> Result<()> {
        self.execute(
            "spam.delete_spam_messages_by_user_id",
            Route::Chat(chat),
            "DELETE FROM spam_messages WHERE chat_id = ?1 AND user_id = ?2",
            params![chat, user],
        )
    }

    /// The examples of both kinds from a person in a chat, and in what it was before it became a supergroup.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_examples_of_user(&self, chat: ChatId, user: UserId) -> Result<Vec<Example>> {
        self.read("spam.get_examples_of_user", Route::Chat(chat), |tx| {
            tx.query(
                "SELECT chat_id, message_id, TRUE AS is_spam, text
                 FROM spam_messages
                 WHERE chat_id IN (?1, ?3) AND user_id = ?2
                 UNION ALL
                 SELECT chat_id, message_id, FALSE AS is_spam, text
                 FROM ham_messages
                 WHERE chat_id IN (?1, ?3) AND user_id = ?2
                 ORDER BY chat_id, message_id, is_spam",
                params![chat, user, self.earlier(chat).unwrap_or(chat)],
            )
        })
    }

    /// Drops the examples of both kinds from a person in a chat and in what it was before it became a supergroup, and
    /// with them what they taught. Words that nothing taught any more go.
    ///
    /// # Errors
    /// The source cannot be written: nothing is dropped.
    pub fn forget_examples_of_user(&self, chat: ChatId, user: UserId, taught: &[Unlearnt]) -> Result<()> {
        let now = self.now();
        let chats = [Some(chat), self.earlier(chat)];
        self.write("spam.forget_examples_of_user", Route::Chat(chat), |tx| {
            for Unlearnt { chat, tokens, class } in taught {
                for token in tokens {
                    bayes::add_token(tx, Some(*chat), token, now)?;
                }
                bayes::add_class(tx, Some(*chat), *class, now)?;
                tx.execute("DELETE FROM bayes_tokens WHERE chat_id = ?1 AND total_count <= 0", params![chat])?;
                tx.execute("DELETE FROM bayes_classes WHERE chat_id = ?1 AND message_count <= 0", params![chat])?;
            }
            for chat in chats.iter().flatten() {
                tx.execute("DELETE FROM spam_messages WHERE chat_id = ?1 AND user_id = ?2", params![chat, user])?;
                tx.execute("DELETE FROM ham_messages WHERE chat_id = ?1 AND user_id = ?2", params![chat, user])?;
            }
            Ok(())
        })
    }
}

fn insert(tx: &mut WriteTx<'_>, sql: &str, (chat, spam, now): (ChatId, &NewSpam, Timestamp)) -> Result<()> {
    let NewSpam { user_id, message_id, text, reason, score } = spam;
    let inserted = tx.execute(sql, params![chat, user_id, message_id, text, reason, score, now])?;
    tx.require(inserted, Refusal::Duplicate)
}
