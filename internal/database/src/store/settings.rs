//! Settings of the bot, and settings of one chat.

use std::collections::BTreeMap;

use super::pairs;
use crate::error::Result;
use crate::ids::ChatId;
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// Sets a setting of the bot, as new.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        self.execute(
            "settings.set_setting",
            Route::Shared,
            "INSERT INTO settings (key, value, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (key) DO UPDATE
             SET value = excluded.value, created_at = excluded.created_at, updated_at = excluded.updated_at",
            params![key, value, self.now()],
        )
    }

    /// A setting of the bot; `None` where it is not set.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_setting(&self, key: &str) -> Result<Option<String>> {
        self.read("settings.get_setting", Route::Shared, |tx| {
            tx.value("settings", "SELECT value FROM settings WHERE key = ?1 AND value IS NOT NULL", params![key])
        })
    }

    /// All settings of the bot, the version of the schema among them.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_settings(&self) -> Result<BTreeMap<String, String>> {
        self.read("settings.get_settings", Route::Shared, |tx| {
            pairs(tx, "settings", "SELECT key, value FROM settings WHERE value IS NOT NULL", params![])
        })
    }

    /// Sets a setting of a chat, as new.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn set_chat_setting(&self, chat: ChatId, key: &str, value: &str) -> Result<()> {
        self.execute(
            "settings.set_chat_setting",
            Route::Chat(chat),
            "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (chat_id, key) DO UPDATE
             SET value = excluded.value, created_at = excluded.created_at, updated_at = excluded.updated_at",
            params![chat, key, value, self.now()],
        )
    }

    /// Removes a setting of a chat; removing what is not set is fine.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn unset_chat_setting(&self, chat: ChatId, key: &str) -> Result<()> {
        self.execute(
            "settings.unset_chat_setting",
            Route::Chat(chat),
            "DELETE FROM chat_settings WHERE chat_id = ?1 AND key = ?2",
            params![chat, key],
        )
    }

    /// Removes all settings of a chat.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn clear_chat_settings(&self, chat: ChatId) -> Result<()> {
        self.execute(
            "settings.clear_chat_settings",
            Route::Chat(chat),
            "DELETE FROM chat_settings WHERE chat_id = ?1",
            params![chat],
        )
    }

    /// A setting of a chat; `None` where it is not set.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_setting(&self, chat: ChatId, key: &str) -> Result<Option<String>> {
        self.read("settings.get_chat_setting", Route::Chat(chat), |tx| {
            tx.value(
                "chat_settings",
                "SELECT value FROM chat_settings WHERE chat_id = ?1 AND key = ?2 AND value IS NOT NULL",
                params![chat, key],
            )
        })
    }

    /// All settings of a chat.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_settings(&self, chat: ChatId) -> Result<BTreeMap<String, String>> {
        self.read("settings.get_chat_settings", Route::Chat(chat), |tx| {
            pairs(
                tx,
                "chat_settings",
                "SELECT key, value FROM chat_settings WHERE chat_id = ?1 AND value IS NOT NULL",
                params![chat],
            )
        })
    }
}
