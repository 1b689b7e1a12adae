//! Messages: storing, listing, categories.

use crate::error::Result;
use crate::ids::{ChatId, MessageId, TopicId, UserId};
use crate::models::{ChatMessage, MessageCategory, MessageFilter, NewMessage, SavedMessages};
use crate::route::Route;
use crate::source::{Changed, ReadTx, Refusal, Tally, ToValue, WriteTx};
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

/// A message with its author's names and its media. (A message whose author the chat does not know is not listed;
/// earlier releases did the same.)
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT m.chat_id, m.message_id, m.date, m.user_id, m.reply_id, m.thread_id, m.root_message_id,
                    m.message_text, m.message_type, m.message_category, m.quote_text, m.media_id, m.created_at,
                    u.username, u.full_name,
                    a.file_unique_id AS media_file_unique_id, a.file_id AS media_file_id,
                    a.file_size AS media_file_size, a.media_type AS media_media_type, a.metadata AS media_metadata,
                    a.status AS media_status, a.mime_type AS media_mime_type, a.local_url AS media_local_url,
                    a.prompt AS media_prompt, a.description AS media_description,
                    a.created_at AS media_created_at, a.updated_at AS media_updated_at
             FROM chat_messages m
             JOIN chat_users u ON u.chat_id = m.chat_id AND u.user_id = m.user_id
             LEFT JOIN media_attachments a ON a.file_unique_id = m.media_id
             WHERE m.chat_id = ?1",
            $rest
        )
    };
}

/// One message by its id.
pub(super) const SELECT_MESSAGE: &str = select_messages!(" AND m.message_id = ?2");

pub(super) const UPDATE_CATEGORY: &str =
    "UPDATE chat_messages SET message_category = ?3 WHERE chat_id = ?1 AND message_id = ?2";

/// Newest first. Many messages share their second with another: the ids, most of them numbers of the same length,
/// decide.
const NEWEST_FIRST: &str = " ORDER BY m.date DESC, length(m.message_id) DESC, m.message_id DESC";
const OLDEST_FIRST: &str = " ORDER BY m.date, length(m.message_id), m.message_id";

impl DatabaseWrapper {
    /// Stores a message and counts it: for its day, for its author's day, and for its author where the chat knows the
    /// author.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where the chat has a message of this id: nothing is changed. The
    /// source cannot be written.
    pub fn save_chat_message(&self, chat: ChatId, message: &NewMessage) -> Result<()> {
        let now = self.now();
        self.write_delegated("messages.save_chat_message", Route::Chat(chat), |tx| {
            let inserted = insert(tx, chat, message, now)?;
            tx.require(inserted, Refusal::Duplicate)?;
            count(tx, chat, message, now, now)
        })
    }

    /// Stores and counts the messages of a batch that the chat does not have yet, all in one transaction.
    ///
    /// # Errors
    /// The source cannot be written: nothing of the batch is kept.
    pub fn save_chat_messages(&self, chat: ChatId, messages: &[NewMessage]) -> Result<SavedMessages> {
        let now = self.now();
        let new = self.write_tallied("messages.save_chat_messages", Route::Chat(chat), |tx| {
            let mut new = Tally::default();
            for message in messages {
                let inserted = insert(tx, chat, message, now)?;
                new.add(inserted);
                tx.only_if(inserted, |tx| count(tx, chat, message, now, now))?;
            }
            Ok(new)
        })?;
        Ok(SavedMessages { new, known: messages.len() as u64 - new })
    }

    /// Messages of a chat, newest first.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_messages_since(&self, chat: ChatId, filter: &MessageFilter) -> Result<Vec<ChatMessage>> {
        let MessageFilter { since, till, thread_id, categories, limit } = filter;
        let mut sql = select_messages!("").to_owned();
        let mut params = vec![chat.to_param()];
        let mut bind = |value| {
            params.push(value);
            format!("?{}", params.len())
        };
        if let Some(since) = since {
            sql += &format!(" AND m.date > {}", bind(since.to_param()));
        }
        if let Some(till) = till {
            sql += &format!(" AND m.date < {}", bind(till.to_param()));
        }
        if let Some(thread) = thread_id {
            sql += &format!(" AND m.thread_id = {}", bind(thread.to_param()));
        }
        if let Some(categories) = categories {
            let places: Vec<_> = categories.iter().map(|category| bind(category.to_param())).collect();
            // `IN ()` is not SQL everywhere.
            sql += &if places.is_empty() {
                " AND 1 = 0".to_owned()
            } else {
                format!(" AND m.message_category IN ({})", places.join(", "))
            };
        }
        sql += NEWEST_FIRST;
        if let Some(limit) = limit {
            sql += &format!(" LIMIT {}", bind(limit.to_param()));
        }
        let mut found = self.read_messages("messages.get_chat_messages_since", chat, Earlier::Also, |tx, chat| {
            let mut params = params.clone();
            params[0] = chat.to_param();
            tx.query(&sql, &params)
        })?;
        found.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(found)
    }

    /// A message of a chat, or `None` where the chat has none of this id or does not know its author.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_message_by_message_id(&self, chat: ChatId, message: &MessageId) -> Result<Option<ChatMessage>> {
        let op = "messages.get_chat_message_by_message_id";
        let one = |tx: &ReadTx<'_>, chat| tx.query_one::<ChatMessage>(SELECT_MESSAGE, params![chat, message]);
        self.reading(Route::Chat(chat), |topology| {
            let found = topology.read(op, Route::Chat(chat), |tx| {
                let Some(old) = self.earlier(chat) else { return one(tx, chat) };
                tx.snapshot()?;
                one(tx, chat)?.map_or_else(|| one(tx, old), |found| Ok(Some(found)))
            })?;
            match found {
                Some(found) if found.media_id.is_some() && found.media.is_none() => {
                    Ok(topology.with_shared_media(op, chat, vec![found])?.pop())
                }
                found => Ok(found),
            }
        })
    }

    /// The messages of a chain of replies, oldest first, of one topic where one is given.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_messages_by_root_id(
        &self,
        chat: ChatId,
        root: &MessageId,
        thread: Option<TopicId>,
    ) -> Result<Vec<ChatMessage>> {
        let mut sql = select_messages!(" AND m.root_message_id = ?2").to_owned();
        if thread.is_some() {
            sql += " AND m.thread_id = ?3";
        }
        sql += OLDEST_FIRST;
        self.read_messages("messages.get_chat_messages_by_root_id", chat, Earlier::IfNothingElse, |tx, chat| {
            match &thread {
                None => tx.query(&sql, params![chat, root]),
                Some(thread) => tx.query(&sql, params![chat, root, thread]),
            }
        })
    }

    /// Who wrote a message of a chat, or `None` where the chat has none of this id.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_message_author(&self, chat: ChatId, message: &MessageId) -> Result<Option<UserId>> {
        self.read("messages.get_message_author", Route::Chat(chat), |tx| {
            let sql = "SELECT user_id FROM chat_messages WHERE chat_id = ?1 AND message_id = ?2";
            tx.value("chat_messages", sql, params![chat, message])
        })
    }

    /// Whether a person answered a message of a chat with one of this category that begins a chain at it, as the bot's
    /// own answers do. (What was said before the chat became a supergroup is not looked at: ids begin anew.)
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn is_answered(
        &self,
        chat: ChatId,
        message: &MessageId,
        user: UserId,
        category: &MessageCategory,
    ) -> Result<bool> {
        self.read("messages.is_answered", Route::Chat(chat), |tx| {
            let found = super::count(
                tx,
                "chat_messages",
                "SELECT COUNT(*) FROM chat_messages
                 WHERE chat_id = ?1 AND root_message_id = ?2 AND reply_id = ?2 AND user_id = ?3
                   AND message_category = ?4",
                params![chat, message, user, category],
            )?;
            Ok(found > 0)
        })
    }

    /// The newest messages of a person in a chat, newest first: 100 unless told otherwise.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_messages_by_user(
        &self,
        chat: ChatId,
        user: UserId,
        limit: Option<u32>,
    ) -> Result<Vec<ChatMessage>> {
        const SQL: &str = select_messages!(
            " AND m.user_id = ?2 ORDER BY m.date DESC, length(m.message_id) DESC, m.message_id DESC LIMIT ?3"
        );
        let limit = limit.unwrap_or(100);
        let mut found = self.read_messages("messages.get_chat_messages_by_user", chat, Earlier::Also, |tx, chat| {
            tx.query(SQL, params![chat, user, limit])
        })?;
        found.truncate(limit as usize);
        Ok(found)
    }

    /// Changes a message's category; a message that is not there is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_chat_message_category(
        &self,
        chat: ChatId,
        message: &MessageId,
        category: &MessageCategory,
    ) -> Result<()> {
        self.execute(
            "messages.update_chat_message_category",
            Route::Chat(chat),
            UPDATE_CATEGORY,
            params![chat, message, category],
        )
    }

    /// Replaces what a message says, after its author changed it; a message that is not there is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_chat_message_text(&self, chat: ChatId, message: &MessageId, text: &str) -> Result<()> {
        self.execute(
            "messages.update_chat_message_text",
            Route::Chat(chat),
            "UPDATE chat_messages SET message_text = ?3 WHERE chat_id = ?1 AND message_id = ?2",
            params![chat, message, text],
        )
    }

    /// Replaces the text of a message that this author wrote; any other is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn edit_chat_message(&self, chat: ChatId, message: &MessageId, author: UserId, text: &str) -> Result<()> {
        self.execute(
            "messages.edit_chat_message",
            Route::Chat(chat),
            "UPDATE chat_messages SET message_text = ?4 WHERE chat_id = ?1 AND message_id = ?2 AND user_id = ?3",
            params![chat, message, author, text],
        )
    }

    /// Reads messages of a chat, and of what it was before it became a supergroup: all of that came earlier. What the
    /// chat's source does not know of their media is looked up in the shared one.
    fn read_messages(
        &self,
        op: &'static str,
        chat: ChatId,
        earlier: Earlier,
        f: impl Fn(&ReadTx<'_>, ChatId) -> Result<Vec<ChatMessage>>,
    ) -> Result<Vec<ChatMessage>> {
        self.reading(Route::Chat(chat), |topology| {
            let messages = topology.read(op, Route::Chat(chat), |tx| {
                let Some(old) = self.earlier(chat) else { return f(tx, chat) };
                tx.snapshot()?;
                let mut messages = f(tx, chat)?;
                if messages.is_empty() || earlier == Earlier::Also {
                    messages.extend(f(tx, old)?);
                }
                Ok(messages)
            })?;
            topology.with_shared_media(op, chat, messages)
        })
    }
}

/// How what was said before a chat became a supergroup is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Earlier {
    /// Behind what was said since: lists go from the newest on.
    Also,
    /// Where nothing was found since: ids of messages begin anew.
    IfNothingElse,
}

/// Stores a message that the chat does not have.
pub(super) fn insert(tx: &mut WriteTx<'_>, chat: ChatId, message: &NewMessage, now: Timestamp) -> Result<Changed> {
    let NewMessage { message_id, date, user_id, message_text, reply_id, thread_id, root_message_id, .. } = message;
    let NewMessage { message_type, message_category, quote_text, media_id, .. } = message;
    tx.execute(
        "INSERT INTO chat_messages
             (chat_id, message_id, date, user_id, reply_id, thread_id, root_message_id,
              message_text, message_type, message_category, quote_text, media_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (chat_id, message_id) DO NOTHING",
        params![
            chat,
            message_id,
            date,
            user_id,
            reply_id,
            thread_id,
            root_message_id,
            message_text,
            message_type,
            message_category,
            quote_text,
            media_id,
            now
        ],
    )
}

/// Counts a message that was stored. `seen` is when its author was there.
pub(super) fn count(
    tx: &mut WriteTx<'_>,
    chat: ChatId,
    message: &NewMessage,
    now: Timestamp,
    seen: Timestamp,
) -> Result<()> {
    let day = message.date.day();
    let user = message.user_id;
    tx.execute(
        "INSERT INTO chat_stats (chat_id, date, messages_count, created_at, updated_at)
         VALUES (?1, ?2, 1, ?3, ?3)
         ON CONFLICT (chat_id, date) DO UPDATE
         SET messages_count = chat_stats.messages_count + 1, updated_at = excluded.updated_at",
        params![chat, day, now],
    )?;
    tx.execute(
        "INSERT INTO chat_user_stats (chat_id, user_id, date, messages_count, created_at, updated_at)
         VALUES (?1, ?2, ?3, 1, ?4, ?4)
         ON CONFLICT (chat_id, user_id, date) DO UPDATE
         SET messages_count = chat_user_stats.messages_count + 1, updated_at = excluded.updated_at",
        params![chat, user, day, now],
    )?;
    tx.execute(
        "UPDATE chat_users
         SET messages_count = messages_count + 1,
             updated_at = CASE WHEN updated_at > ?3 THEN updated_at ELSE ?3 END
         WHERE chat_id = ?1 AND user_id = ?2",
        params![chat, user, seen],
    )?;
    Ok(())
}
