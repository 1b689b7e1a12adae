//! What people ask the bot to remember about them, chat by chat.

use std::collections::BTreeMap;

use super::pairs;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// Remembers something about a person in a chat, in place of what was remembered under the same key.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn add_user_data(&self, chat: ChatId, user: UserId, key: &str, data: &str) -> Result<()> {
        self.execute(
            "user_data.add_user_data",
            Route::Chat(chat),
            "INSERT INTO user_data (user_id, chat_id, key, data, created_at, updated_at)
             VALUES (?2, ?1, ?3, ?4, ?5, ?5)
             ON CONFLICT (user_id, chat_id, key) DO UPDATE
             SET data = excluded.data, updated_at = excluded.updated_at",
            params![chat, user, key, data, self.now()],
        )
    }

    /// All that is remembered about a person in a chat.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_user_data(&self, chat: ChatId, user: UserId) -> Result<BTreeMap<String, String>> {
        self.read("user_data.get_user_data", Route::Chat(chat), |tx| {
            pairs(
                tx,
                "user_data",
                "SELECT key, data AS value FROM user_data WHERE user_id = ?2 AND chat_id = ?1",
                params![chat, user],
            )
        })
    }

    /// Forgets one thing about a person in a chat, and in what it was before it became a supergroup; forgetting what is
    /// not there is fine.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn delete_user_data(&self, chat: ChatId, user: UserId, key: &str) -> Result<()> {
        let chats = [Some(chat), self.earlier(chat)];
        self.write_delegated("user_data.delete_user_data", Route::Chat(chat), |tx| {
            for chat in chats.iter().flatten() {
                tx.execute(
                    "DELETE FROM user_data WHERE user_id = ?2 AND chat_id = ?1 AND key = ?3",
                    params![chat, user, key],
                )?;
            }
            Ok(())
        })
    }

    /// Forgets all that is remembered about a person in a chat, and in what it was before it became a supergroup.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn clear_user_data(&self, chat: ChatId, user: UserId) -> Result<()> {
        let chats = [Some(chat), self.earlier(chat)];
        self.write_delegated("user_data.clear_user_data", Route::Chat(chat), |tx| {
            for chat in chats.iter().flatten() {
                tx.execute("DELETE FROM user_data WHERE user_id = ?2 AND chat_id = ?1", params![chat, user])?;
            }
            Ok(())
        })
    }
}
