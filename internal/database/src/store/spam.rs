//! Messages kept as examples of spam and of its opposite.

use super::{bayes, messages};
use crate::error::Result;
use crate::gathered::{Gathered, Merge};
use crate::ids::{ChatId, MessageId, UserId};
use crate::models::{ClassDelta, Example, Lesson, NewSpam, SpamMessage, TokenDelta, Unlearnt};
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

const DELETE_ONE_SPAM: &str =
    "DELETE FROM spam_messages WHERE chat_id = ?1 AND user_id = ?2 AND message_id = ?3 AND text = ?4";

const DELETE_ONE_HAM: &str =
    "DELETE FROM ham_messages WHERE chat_id = ?1 AND user_id = ?2 AND message_id = ?3 AND text = ?4";

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
        self.write_delegated("spam.add_spam_message", Route::Chat(chat), |tx| {
            insert(tx, INSERT_SPAM, (chat, spam, now))
        })
    }

    /// Keeps a message as an example of what is no spam.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where it is kept already: nothing is changed. The source cannot be
    /// written.
    pub fn add_ham_message(&self, chat: ChatId, ham: &NewSpam) -> Result<()> {
        let now = self.now();
        self.write_delegated("spam.add_ham_message", Route::Chat(chat), |tx| insert(tx, INSERT_HAM, (chat, ham, now)))
    }

    /// Keeps a message as an example, teaches the chat's model its tokens and puts the message into its category: all
    /// or nothing. Where the message is kept as an example of the opposite, that is taken back in the same write.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where it is kept already: nothing is changed. The source cannot be
    /// written.
    pub fn learn_example(&self, chat: ChatId, lesson: &Lesson) -> Result<()> {
        let now = self.now();
        let Lesson { is_spam, example, tokens, category, opposite } = lesson;
        let (keep, drop_opposite) =
            if *is_spam { (INSERT_SPAM, DELETE_ONE_HAM) } else { (INSERT_HAM, DELETE_ONE_SPAM) };
        let (user, message) = (example.user_id, &example.message_id);
        self.write_delegated("spam.learn_example", Route::Chat(chat), |tx| {
            insert(tx, keep, (chat, example, now))?;
            count_lesson(tx, chat, (*is_spam, tokens, 1), now)?;
            let gone = tx.execute(drop_opposite, params![opposite.chat_id, user, message, opposite.text])?;
            tx.only_if(gone, |tx| {
                count_lesson(tx, chat, (!is_spam, &opposite.tokens, -1), now)?;
                if opposite.chat_id != chat {
                    // This chat took over what that one had learnt.
                    count_lesson(tx, opposite.chat_id, (!is_spam, &opposite.tokens, -1), now)?;
                    drop_unlearnt(tx, opposite.chat_id)?;
                }
                drop_unlearnt(tx, chat)
            })?;
            if let Some((stands_in, category)) = category {
                tx.execute(messages::UPDATE_CATEGORY, params![stands_in, message, category])?;
            }
            Ok(())
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
        self.write_delegated("spam.forget_examples_of_user", Route::Chat(chat), |tx| {
            for Unlearnt { chat, tokens, class } in taught {
                for token in tokens {
                    bayes::add_token(tx, Some(*chat), token, now)?;
                }
                bayes::add_class(tx, Some(*chat), *class, now)?;
                drop_unlearnt(tx, *chat)?;
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

/// Adds a message of a class to the counts of a model so many times: once, or less one time to unlearn it.
fn count_lesson(
    tx: &mut WriteTx<'_>,
    chat: ChatId,
    (is_spam, tokens, times): (bool, &[String], i64),
    now: Timestamp,
) -> Result<()> {
    let (spam, ham) = if is_spam { (times, 0) } else { (0, times) };
    for token in tokens {
        bayes::add_token(tx, Some(chat), &TokenDelta { token: token.clone(), spam, ham }, now)?;
    }
    let tokens = i64::try_from(tokens.len()).unwrap_or(i64::MAX).saturating_mul(times);
    bayes::add_class(tx, Some(chat), ClassDelta { is_spam, messages: times, tokens }, now)
}

/// Drops what nothing taught any more.
fn drop_unlearnt(tx: &mut WriteTx<'_>, chat: ChatId) -> Result<()> {
    tx.execute("DELETE FROM bayes_tokens WHERE chat_id = ?1 AND total_count <= 0", params![chat])?;
    tx.execute("DELETE FROM bayes_classes WHERE chat_id = ?1 AND message_count <= 0", params![chat])?;
    Ok(())
}
