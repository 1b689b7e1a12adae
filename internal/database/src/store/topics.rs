//! The topics of forum chats.

use crate::error::Result;
use crate::ids::{ChatId, TopicId};
use crate::models::{ChatTopic, NewTopic};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// Says what a topic is now; what was known is replaced.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_chat_topic_info(&self, chat: ChatId, topic: TopicId, info: &NewTopic) -> Result<()> {
        let NewTopic { icon_color, icon_custom_emoji_id, name } = info;
        self.execute(
            "topics.update_chat_topic_info",
            Route::Chat(chat),
            "INSERT INTO chat_topics
                 (chat_id, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (chat_id, topic_id) DO UPDATE
             SET icon_color = excluded.icon_color, icon_custom_emoji_id = excluded.icon_custom_emoji_id,
                 name = excluded.name, updated_at = excluded.updated_at",
            params![chat, topic, icon_color, icon_custom_emoji_id, name, self.now()],
        )
    }

    /// The topics of a chat.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_topics(&self, chat: ChatId) -> Result<Vec<ChatTopic>> {
        self.read("topics.get_chat_topics", Route::Chat(chat), |tx| {
            tx.query(
                "SELECT chat_id, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at
                 FROM chat_topics
                 WHERE chat_id = ?1
                 ORDER BY topic_id",
                params![chat],
            )
        })
    }
}
