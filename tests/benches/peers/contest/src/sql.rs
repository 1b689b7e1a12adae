//! The statements of the calls under test: the very text that the project sends. A test of `ours` compares them.

/// Stores a message that the chat does not have.
pub const INSERT_MESSAGE: &str = "INSERT INTO chat_messages
     (chat_id, message_id, date, user_id, reply_id, thread_id, root_message_id,
      message_text, message_type, message_category, quote_text, media_id, created_at)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
 ON CONFLICT (chat_id, message_id) DO NOTHING";

/// Counts a message for its day.
pub const COUNT_DAY: &str = "INSERT INTO chat_stats (chat_id, date, messages_count, created_at, updated_at)
 VALUES (?1, ?2, 1, ?3, ?3)
 ON CONFLICT (chat_id, date) DO UPDATE
 SET messages_count = chat_stats.messages_count + 1, updated_at = excluded.updated_at";

/// Counts a message for its author's day.
pub const COUNT_USER_DAY: &str =
    "INSERT INTO chat_user_stats (chat_id, user_id, date, messages_count, created_at, updated_at)
 VALUES (?1, ?2, ?3, 1, ?4, ?4)
 ON CONFLICT (chat_id, user_id, date) DO UPDATE
 SET messages_count = chat_user_stats.messages_count + 1, updated_at = excluded.updated_at";

/// Counts a message for its author.
pub const COUNT_USER: &str = "UPDATE chat_users
 SET messages_count = messages_count + 1,
     updated_at = CASE WHEN updated_at > ?3 THEN updated_at ELSE ?3 END
 WHERE chat_id = ?1 AND user_id = ?2";

/// One setting of a chat.
pub const SELECT_SETTING: &str =
    "SELECT value FROM chat_settings WHERE chat_id = ?1 AND key = ?2 AND value IS NOT NULL";

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

/// One message with its author's names and its attachment.
pub const SELECT_MESSAGE: &str = select_messages!(" AND m.message_id = ?2");

/// The newest messages of a chat.
pub const SELECT_NEWEST: &str =
    select_messages!(" ORDER BY m.date DESC, length(m.message_id) DESC, m.message_id DESC LIMIT ?2");

/// What every connection is told, besides `synchronous`: what the project tells its own.
pub const PRAGMAS: &[(&str, &str)] = &[
    ("cache_size", "-8000"),
    ("mmap_size", "0"),
    ("secure_delete", "ON"),
    ("recursive_triggers", "ON"),
    ("trusted_schema", "OFF"),
];

/// How many statements a connection keeps ready, where that can be said.
pub const STATEMENT_CACHE: usize = 128;

/// How long a call waits for a lock.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
