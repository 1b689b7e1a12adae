//! What a chat keeps about a person.

use super::count;
use super::users::SELECT_USER;
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::models::UserFootprint;
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// What a chat keeps about a person, as of one moment.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_user_footprint(&self, chat: ChatId, user: UserId) -> Result<UserFootprint> {
        self.read("footprint.get_user_footprint", Route::Chat(chat), |tx| {
            tx.snapshot()?;
            let of_user = params![chat, user];
            let date = |sql| tx.value("chat_messages", sql, of_user).map(Option::flatten);
            let count = |table, sql| count(tx, table, sql, of_user);
            Ok(UserFootprint {
                user: tx.query_one(SELECT_USER, of_user)?,
                messages: count(
                    "chat_messages",
                    "SELECT COUNT(*) FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2",
                )?,
                first_message: date("SELECT MIN(date) FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2")?,
                last_message: date("SELECT MAX(date) FROM chat_messages WHERE chat_id = ?1 AND user_id = ?2")?,
                remembered: count("user_data", "SELECT COUNT(*) FROM user_data WHERE chat_id = ?1 AND user_id = ?2")?,
                spam_examples: count(
                    "spam_messages",
                    "SELECT COUNT(*) FROM spam_messages WHERE chat_id = ?1 AND user_id = ?2",
                )?,
                ham_examples: count(
                    "ham_messages",
                    "SELECT COUNT(*) FROM ham_messages WHERE chat_id = ?1 AND user_id = ?2",
                )?,
                counted_days: count(
                    "chat_user_stats",
                    "SELECT COUNT(*) FROM chat_user_stats WHERE chat_id = ?1 AND user_id = ?2",
                )?,
            })
        })
    }
}
