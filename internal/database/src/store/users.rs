//! People as a chat knows them.

use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::models::ChatUser;
use crate::route::Route;
use crate::source::ToValue;
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT chat_id, user_id, username, full_name, timezone, messages_count, is_spammer, metadata,
                    created_at, updated_at
             FROM chat_users
             WHERE chat_id = ?1",
            $rest
        )
    };
}

/// One person of a chat.
pub(super) const SELECT_USER: &str = select_users!(" AND user_id = ?2");

impl DatabaseWrapper {
    /// Makes a person known to a chat, or brings the person's names up to date.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_chat_user(&self, chat: ChatId, user: UserId, username: &str, full_name: &str) -> Result<()> {
        self.execute(
            "users.update_chat_user",
            Route::Chat(chat),
            "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (chat_id, user_id) DO UPDATE
             SET username = excluded.username, full_name = excluded.full_name, updated_at = excluded.updated_at",
            params![chat, user, username, full_name, self.now()],
        )
    }

    /// Takes note of a person of a chat with what was heard: a user name, a full name, both or neither. What was not heard
    /// stays as it is known, wherever the write is made in the end, and is empty where nothing is known.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn hear_of_user(
        &self,
        chat: ChatId,
        user: UserId,
        username: Option<&str>,
        full_name: Option<&str>,
    ) -> Result<()> {
        let heard = match (username, full_name) {
            (None, None) => "NOTHING",
            (Some(_), None) => "UPDATE SET username = excluded.username, updated_at = excluded.updated_at",
            (None, Some(_)) => "UPDATE SET full_name = excluded.full_name, updated_at = excluded.updated_at",
            (Some(_), Some(_)) => {
                "UPDATE SET username = excluded.username, full_name = excluded.full_name,
                            updated_at = excluded.updated_at"
            }
        };
        self.execute(
            "users.hear_of_user",
            Route::Chat(chat),
            &format!(
                "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (chat_id, user_id) DO {heard}"
            ),
            params![chat, user, username.unwrap_or_default(), full_name.unwrap_or_default(), self.now()],
        )
    }

    /// A person of a chat, or `None` where the chat does not know the person.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_user(&self, chat: ChatId, user: UserId) -> Result<Option<ChatUser>> {
        self.read("users.get_chat_user", Route::Chat(chat), |tx| tx.query_one(SELECT_USER, params![chat, user]))
    }

    /// The person of a chat with this user name, written as it is stored (with `@` where it was); of several the one
    /// last heard of.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_user_by_username(&self, chat: ChatId, username: &str) -> Result<Option<ChatUser>> {
        const SQL: &str = select_users!(" AND username = ?2 ORDER BY updated_at DESC, user_id LIMIT 1");
        self.read("users.get_chat_user_by_username", Route::Chat(chat), |tx| tx.query_one(SQL, params![chat, username]))
    }

    /// The people of a chat, those last heard of first: 10 unless told otherwise; only those heard of after a moment
    /// where one is given.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_users(
        &self,
        chat: ChatId,
        limit: Option<u32>,
        seen_since: Option<Timestamp>,
    ) -> Result<Vec<ChatUser>> {
        const ALL: &str = select_users!(" ORDER BY updated_at DESC, user_id LIMIT ?2");
        const SINCE: &str = select_users!(" AND updated_at > ?3 ORDER BY updated_at DESC, user_id LIMIT ?2");
        let limit = limit.unwrap_or(10);
        self.read("users.get_chat_users", Route::Chat(chat), |tx| match &seen_since {
            None => tx.query(ALL, params![chat, limit]),
            Some(since) => tx.query(SINCE, &[chat.to_param(), limit.to_param(), since.to_param()]),
        })
    }

    /// Says of a person whether they spam; one whom the chat does not know is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn mark_user_is_spammer(&self, chat: ChatId, user: UserId, is_spammer: bool) -> Result<()> {
        self.execute(
            "users.mark_user_is_spammer",
            Route::Chat(chat),
            "UPDATE chat_users SET is_spammer = ?3 WHERE chat_id = ?1 AND user_id = ?2",
            params![chat, user, is_spammer],
        )
    }

    /// Replaces what else is kept about a person, as JSON; one whom the chat does not know is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_user_metadata(&self, chat: ChatId, user: UserId, metadata: &str) -> Result<()> {
        self.execute(
            "users.update_user_metadata",
            Route::Chat(chat),
            "UPDATE chat_users SET metadata = ?3, updated_at = ?4 WHERE chat_id = ?1 AND user_id = ?2",
            params![chat, user, metadata, self.now()],
        )
    }
}
