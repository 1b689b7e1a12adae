//! Figures about a chat: in all, by day, by person, by topic. What was said before a chat became a supergroup counts.

use crate::error::Result;
use crate::ids::ChatId;
use crate::models::{ChatTotals, DayActivity, PersonActivity, TopicActivity};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// A chat in figures; all 0 where nothing was said.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_totals(&self, chat: ChatId) -> Result<ChatTotals> {
        let none = ChatTotals { messages: 0, people: 0, days: 0, first_day: None, last_day: None };
        let found = self.read("statistics.get_chat_totals", Route::Chat(chat), |tx| {
            tx.query_one(
                "SELECT COALESCE(SUM(messages_count), 0) AS messages,
                        (SELECT COUNT(DISTINCT user_id) FROM chat_user_stats WHERE chat_id IN (?1, ?2)) AS people,
                        COUNT(DISTINCT date) AS days, MIN(date) AS first_day, MAX(date) AS last_day
                 FROM chat_stats
                 WHERE chat_id IN (?1, ?2)",
                params![chat, self.earlier(chat).unwrap_or(chat)],
            )
        })?;
        Ok(found.unwrap_or(none))
    }

    /// The days of a chat on which something was said, newest first, so many at most.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_days(&self, chat: ChatId, limit: u32) -> Result<Vec<DayActivity>> {
        self.read("statistics.get_chat_days", Route::Chat(chat), |tx| {
            tx.query(
                "SELECT date AS day, SUM(messages_count) AS messages
                 FROM chat_stats
                 WHERE chat_id IN (?1, ?2)
                 GROUP BY date
                 ORDER BY date DESC
                 LIMIT ?3",
                params![chat, self.earlier(chat).unwrap_or(chat), limit],
            )
        })
    }

    /// The people who said most in a chat, so many at most.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_top_people(&self, chat: ChatId, limit: u32) -> Result<Vec<PersonActivity>> {
        self.read("statistics.get_top_people", Route::Chat(chat), |tx| {
            tx.query(
                "SELECT s.user_id, u.full_name, u.username, s.messages
                 FROM (SELECT user_id, SUM(messages_count) AS messages
                       FROM chat_user_stats
                       WHERE chat_id IN (?1, ?2)
                       GROUP BY user_id
                       ORDER BY SUM(messages_count) DESC, user_id
                       LIMIT ?3) s
                 LEFT JOIN chat_users u ON u.chat_id = ?1 AND u.user_id = s.user_id
                 ORDER BY s.messages DESC, s.user_id",
                params![chat, self.earlier(chat).unwrap_or(chat), limit],
            )
        })
    }

    /// How much was said in each topic of a chat ([`TopicId::NONE`](crate::TopicId::NONE): in none), by topic.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_topic_activity(&self, chat: ChatId) -> Result<Vec<TopicActivity>> {
        self.read("statistics.get_topic_activity", Route::Chat(chat), |tx| {
            tx.query(
                "SELECT thread_id AS topic_id, COUNT(*) AS messages
                 FROM chat_messages
                 WHERE chat_id IN (?1, ?2)
                 GROUP BY thread_id
                 ORDER BY thread_id",
                params![chat, self.earlier(chat).unwrap_or(chat)],
            )
        })
    }
}
