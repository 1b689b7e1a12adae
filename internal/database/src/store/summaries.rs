//! Summaries of conversations, kept so that they need not be made again.

use crate::error::Result;
use crate::ids::ChatId;
use crate::models::{ChatSummarization, NewSummarization, SummarizationKey};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

macro_rules! select_summaries {
    ($rest:literal) => {
        concat!(
            "SELECT csid, chat_id, topic_id, first_message_id, last_message_id, prompt, summary,
                    created_at, updated_at
             FROM chat_summarization_cache
             WHERE chat_id = ?1 AND first_message_id = ?2 AND last_message_id = ?3 AND prompt = ?4",
            $rest,
            " ORDER BY updated_at DESC, csid LIMIT 1"
        )
    };
}

impl DatabaseWrapper {
    /// Keeps a summary, in place of an earlier one of the same.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn add_chat_summarization(&self, chat: ChatId, summarization: &NewSummarization) -> Result<()> {
        let NewSummarization { key, summary } = summarization;
        let SummarizationKey { topic_id, first_message_id, last_message_id, prompt } = key;
        self.execute(
            "summaries.add_chat_summarization",
            Route::Chat(chat),
            "INSERT INTO chat_summarization_cache
                 (csid, chat_id, topic_id, first_message_id, last_message_id, prompt, summary, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (csid) DO UPDATE
             SET summary = excluded.summary, updated_at = excluded.updated_at",
            params![csid(chat, key), chat, topic_id, first_message_id, last_message_id, prompt, summary, self.now()],
        )
    }

    /// A kept summary, or `None` where there is none.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_chat_summarization(&self, chat: ChatId, key: &SummarizationKey) -> Result<Option<ChatSummarization>> {
        const OF_NO_TOPIC: &str = select_summaries!(" AND topic_id IS NULL");
        const OF_TOPIC: &str = select_summaries!(" AND topic_id = ?5");
        let SummarizationKey { topic_id, first_message_id, last_message_id, prompt } = key;
        self.read("summaries.get_chat_summarization", Route::Chat(chat), |tx| match topic_id {
            None => tx.query_one(OF_NO_TOPIC, params![chat, first_message_id, last_message_id, prompt]),
            Some(topic) => tx.query_one(OF_TOPIC, params![chat, first_message_id, last_message_id, prompt, topic]),
        })
    }
}

/// A summary's own id, in the form that earlier releases gave it.
fn csid(chat: ChatId, key: &SummarizationKey) -> String {
    let SummarizationKey { topic_id, first_message_id, last_message_id, prompt } = key;
    let topic = topic_id.map_or_else(|| "None".to_owned(), |topic| topic.to_string());
    format!("{chat}:{topic}_{first_message_id}:{last_message_id}-{prompt}")
}
