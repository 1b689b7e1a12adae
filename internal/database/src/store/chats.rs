//! What is known of chats.

use crate::error::Result;
use crate::gathered::{Gathered, Merge};
use crate::ids::{ChatId, UserId};
use crate::models::{ChatInfo, ChatType, NewChatInfo};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

const BY_CHAT: Merge<ChatInfo, ChatId, ChatId> =
    Merge { chat: |info| info.chat_id, key: |info| info.chat_id, order: |info| info.chat_id, limit: None };

impl DatabaseWrapper {
    /// Says what a chat is now; what was known is replaced.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_chat_info(&self, chat: ChatId, info: &NewChatInfo) -> Result<()> {
        let NewChatInfo { title, username, chat_type, is_forum } = info;
        self.execute(
            "chats.update_chat_info",
            Route::Chat(chat),
            "INSERT INTO chat_info (chat_id, title, username, type, is_forum, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (chat_id) DO UPDATE
             SET title = excluded.title, username = excluded.username, type = excluded.type,
                 is_forum = excluded.is_forum, updated_at = excluded.updated_at",
            params![chat, title, username, chat_type, is_forum, self.now()],
        )
    }

    /// Takes note of what was heard of a chat: a title, a sort, both or neither. What was not heard stays as it is known,
    /// wherever the write is made in the end; a chat of which nothing is known gets the sort that is `guessed`.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn hear_of_chat(
        &self,
        chat: ChatId,
        title: Option<&str>,
        chat_type: Option<&ChatType>,
        guessed: &ChatType,
    ) -> Result<()> {
        let heard = match (title, chat_type) {
            (None, None) => "NOTHING",
            (Some(_), None) => "UPDATE SET title = excluded.title, updated_at = excluded.updated_at",
            (None, Some(_)) => "UPDATE SET type = excluded.type, updated_at = excluded.updated_at",
            (Some(_), Some(_)) => {
                "UPDATE SET title = excluded.title, type = excluded.type, updated_at = excluded.updated_at"
            }
        };
        self.execute(
            "chats.hear_of_chat",
            Route::Chat(chat),
            &format!(
                "INSERT INTO chat_info (chat_id, title, username, type, is_forum, created_at, updated_at)
                 VALUES (?1, ?2, NULL, ?3, FALSE, ?4, ?4)
                 ON CONFLICT (chat_id) DO {heard}"
            ),
            params![chat, title, chat_type.unwrap_or(guessed), self.now()],
        )
    }

    /// What is known of a chat, or `None` where nothing is.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_info(&self, chat: ChatId) -> Result<Option<ChatInfo>> {
        self.read("chats.get_chat_info", Route::Chat(chat), |tx| {
            tx.query_one(
                "SELECT chat_id, title, username, type, is_forum, created_at, updated_at
                 FROM chat_info
                 WHERE chat_id = ?1",
                params![chat],
            )
        })
    }

    /// The chats that know a person, in all sources.
    ///
    /// # Errors
    /// No source can be read.
    pub fn get_user_chats(&self, user: UserId) -> Result<Gathered<ChatInfo>> {
        self.read_every("chats.get_user_chats", &BY_CHAT, |tx| {
            tx.query(
                "SELECT i.chat_id, i.title, i.username, i.type, i.is_forum, i.created_at, i.updated_at
                 FROM chat_users u
                 JOIN chat_info i ON i.chat_id = u.chat_id
                 WHERE u.user_id = ?1
                 ORDER BY i.chat_id",
                params![user],
            )
        })
    }

    /// All groups and supergroups, in all sources.
    ///
    /// # Errors
    /// No source can be read.
    pub fn get_all_group_chats(&self) -> Result<Gathered<ChatInfo>> {
        self.read_every("chats.get_all_group_chats", &BY_CHAT, |tx| {
            tx.query(
                "SELECT chat_id, title, username, type, is_forum, created_at, updated_at
                 FROM chat_info
                 WHERE type IN ('group', 'supergroup')
                 ORDER BY chat_id",
                params![],
            )
        })
    }
}
