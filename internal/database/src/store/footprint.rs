//! What a chat keeps about a person, and erasing it.

use super::count;
use super::users::SELECT_USER;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::models::UserFootprint;
use crate::route::Route;
use crate::source::Tally;
use crate::{DatabaseWrapper, params};

/// The answers go first: what tells them are the messages that they answer.
const ERASE: [&str; 11] = [
    "DELETE FROM chat_messages
     WHERE chat_id = ?1 AND message_category IN ('bot', 'bot-command-reply', 'bot-error', 'bot-spam-notification')
       AND reply_id IN (SELECT message_id FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2)",
    // What others quoted is theirs no more than what was said.
    "UPDATE chat_messages SET quote_text = NULL
     WHERE chat_id = ?1 AND quote_text IS NOT NULL
       AND reply_id IN (SELECT message_id FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2)",
    // Summaries may tell it; they are a cache.
    "DELETE FROM chat_summarization_cache
     WHERE chat_id = ?1 AND EXISTS (SELECT 1 FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2)",
    // Media go with the last message of this source that shows them: an erasure is one transaction on one source.
    "DELETE FROM media_attachments
     WHERE file_unique_id IN (SELECT media_id FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2)
       AND NOT EXISTS (SELECT 1 FROM chat_messages m
                       WHERE m.media_id = media_attachments.file_unique_id
                         AND NOT (m.chat_id = ?1 AND m.user_id = ?2))",
    "DELETE FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2",
    "DELETE FROM chat_users WHERE chat_id = ?1 AND user_id = ?2",
    "DELETE FROM user_data WHERE chat_id = ?1 AND user_id = ?2",
    "DELETE FROM spam_messages WHERE chat_id = ?1 AND user_id = ?2",
    "DELETE FROM ham_messages WHERE chat_id = ?1 AND user_id = ?2",
    "DELETE FROM chat_user_stats WHERE chat_id = ?1 AND user_id = ?2",
    // A private chat is called as the person is.
    "DELETE FROM chat_info WHERE chat_id = ?1 AND chat_id = ?2",
];

impl DatabaseWrapper {
    /// Erases what a chat keeps about a person: messages with the bot's answers to their commands, their row, what was
    /// remembered, examples of spam and of its opposite, their counts, what others quoted, the chat's summaries. How much
    /// was said on a day stays: it names nobody. Answers how many rows that were.
    ///
    /// Media go where no other message of the chat's source shows them. No other source is asked or changed: one in the
    /// shared source that a chat of another source shows stays, and one that goes there is missing in other sources'
    /// messages that showed it.
    ///
    /// # Errors
    /// The source cannot be written: nothing is erased.
    pub fn erase_user(&self, chat: ChatId, user: UserId) -> Result<u64> {
        let chats = [Some(chat), self.earlier(chat)];
        self.write_tallied("footprint.erase_user", Route::Chat(chat), |tx| {
            let mut erased = Tally::default();
            for chat in chats.iter().flatten() {
                for sql in ERASE {
                    erased.add(tx.execute(sql, params![chat, user])?);
                }
            }
            Ok(erased)
        })
    }

    /// What a chat keeps about a person, as of one moment: of media, those that [`erase_user`](Self::erase_user) would
    /// erase.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_user_footprint(&self, chat: ChatId, user: UserId) -> Result<UserFootprint> {
        self.read("footprint.get_user_footprint", Route::Chat(chat), |tx| {
            tx.snapshot()?;
            let earlier = self.earlier(chat).unwrap_or(chat);
            let both = params![chat, user, earlier];
            let date = |sql| tx.value("chat_messages", sql, both).map(Option::flatten);
            let count = |table, sql| count(tx, table, sql, both);
            Ok(UserFootprint {
                user: tx.query_one(SELECT_USER, params![chat, user])?,
                messages: count(
                    "chat_messages",
                    "SELECT COUNT(*) FROM chat_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2",
                )?,
                first_message: date("SELECT MIN(date) FROM chat_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2")?,
                last_message: date("SELECT MAX(date) FROM chat_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2")?,
                remembered: count(
                    "user_data",
                    "SELECT COUNT(DISTINCT key) FROM user_data WHERE chat_id IN (?1, ?3) AND user_id = ?2",
                )?,
                spam_examples: count(
                    "spam_messages",
                    "SELECT COUNT(*) FROM spam_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2",
                )?,
                ham_examples: count(
                    "ham_messages",
                    "SELECT COUNT(*) FROM ham_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2",
                )?,
                counted_days: count(
                    "chat_user_stats",
                    "SELECT COUNT(DISTINCT date) FROM chat_user_stats WHERE chat_id IN (?1, ?3) AND user_id = ?2",
                )?,
                media: count(
                    "media_attachments",
                    "SELECT COUNT(*) FROM media_attachments a
                     WHERE a.file_unique_id IN
                           (SELECT media_id FROM chat_messages WHERE chat_id IN (?1, ?3) AND user_id = ?2)
                       AND NOT EXISTS (SELECT 1 FROM chat_messages m
                                       WHERE m.media_id = a.file_unique_id
                                         AND NOT (m.chat_id IN (?1, ?3) AND m.user_id = ?2))",
                )?,
                quotes: count(
                    "chat_messages",
                    "SELECT COUNT(*) FROM chat_messages q
                     WHERE q.chat_id IN (?1, ?3) AND q.quote_text IS NOT NULL AND q.user_id <> ?2
                       AND q.reply_id IN
                           (SELECT message_id FROM chat_messages m WHERE m.chat_id = q.chat_id AND m.user_id = ?2)",
                )?,
                summaries: count(
                    "chat_summarization_cache",
                    "SELECT COUNT(*) FROM chat_summarization_cache s
                     WHERE s.chat_id IN (?1, ?3)
                       AND EXISTS (SELECT 1 FROM chat_messages m WHERE m.chat_id = s.chat_id AND m.user_id = ?2)",
                )?,
            })
        })
    }
}
