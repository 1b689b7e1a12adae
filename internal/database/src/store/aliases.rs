//! Groups that became supergroups: the new chat goes on with the history of the old one.
//!
//! Rows keep the id that they were stored under. What a chat *is* (its settings, its people, what they asked to be
//! remembered, what it was taught of spam) is copied to the new id, once; what was *said* is read from both.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::route::Route;
use crate::source::{BadColumn, FromRow, ReadTx, Row};
use crate::{DatabaseWrapper, params};

/// A chat, and what it was before.
pub(crate) struct Alias {
    pub(crate) new: ChatId,
    pub(crate) old: ChatId,
}

impl FromRow for Alias {
    const TABLE: &'static str = "switchyard_aliases";
    const KEY: &'static [&'static str] = &["new_chat_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { new: row.get("new_chat_id")?, old: row.get("old_chat_id")? })
    }
}

/// No chat changes its id more often; a chain that an earlier release left as a ring ends here.
const LONGEST_CHAIN: usize = 100;

/// What the new chat takes over, in the chat's source. It may have rows already: people may have spoken in it before the
/// news came. What was set there since stays; counts are added up; of what else is known the newer counts, and the
/// older where nothing newer is.
const TAKE_OVER: [&str; 7] = [
    "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at)
     SELECT ?2, key, value, created_at, updated_at FROM chat_settings WHERE chat_id = ?1
     ON CONFLICT (chat_id, key) DO NOTHING",
    "INSERT INTO chat_users
         (chat_id, user_id, username, full_name, timezone, messages_count, created_at, updated_at, is_spammer, metadata)
     SELECT ?2, user_id, username, full_name, timezone, messages_count, created_at, updated_at, is_spammer, metadata
     FROM chat_users WHERE chat_id = ?1
     ON CONFLICT (chat_id, user_id) DO UPDATE
     SET username = CASE WHEN chat_users.username = '' THEN excluded.username ELSE chat_users.username END,
         full_name = CASE WHEN chat_users.full_name = '' THEN excluded.full_name ELSE chat_users.full_name END,
         timezone = COALESCE(chat_users.timezone, excluded.timezone),
         messages_count = chat_users.messages_count + excluded.messages_count,
         is_spammer = CASE WHEN chat_users.is_spammer THEN TRUE ELSE excluded.is_spammer END,
         metadata = CASE WHEN chat_users.metadata = '' THEN excluded.metadata ELSE chat_users.metadata END,
         created_at = CASE WHEN excluded.created_at < chat_users.created_at
                           THEN excluded.created_at ELSE chat_users.created_at END",
    "INSERT INTO user_data (user_id, chat_id, key, data, created_at, updated_at)
     SELECT user_id, ?2, key, data, created_at, updated_at FROM user_data WHERE chat_id = ?1
     ON CONFLICT (user_id, chat_id, key) DO NOTHING",
    "INSERT INTO chat_info (chat_id, title, username, type, is_forum, created_at, updated_at)
     SELECT ?2, title, username, 'supergroup', is_forum, created_at, updated_at FROM chat_info WHERE chat_id = ?1
     ON CONFLICT (chat_id) DO UPDATE
     SET title = COALESCE(chat_info.title, excluded.title),
         username = COALESCE(chat_info.username, excluded.username),
         type = excluded.type,
         is_forum = CASE WHEN chat_info.is_forum THEN TRUE ELSE excluded.is_forum END,
         created_at = CASE WHEN excluded.created_at < chat_info.created_at
                           THEN excluded.created_at ELSE chat_info.created_at END",
    "INSERT INTO chat_topics (chat_id, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at)
     SELECT ?2, topic_id, icon_color, icon_custom_emoji_id, name, created_at, updated_at FROM chat_topics
     WHERE chat_id = ?1
     ON CONFLICT (chat_id, topic_id) DO NOTHING",
    "INSERT INTO bayes_tokens (token, chat_id, spam_count, ham_count, total_count, created_at, updated_at)
     SELECT token, ?2, spam_count, ham_count, total_count, created_at, updated_at FROM bayes_tokens WHERE chat_id = ?1
     ON CONFLICT (token, chat_id) DO UPDATE
     SET spam_count = COALESCE(bayes_tokens.spam_count, 0) + COALESCE(excluded.spam_count, 0),
         ham_count = COALESCE(bayes_tokens.ham_count, 0) + COALESCE(excluded.ham_count, 0),
         total_count = COALESCE(bayes_tokens.total_count, 0) + COALESCE(excluded.total_count, 0)",
    "INSERT INTO bayes_classes (chat_id, is_spam, message_count, token_count, created_at, updated_at)
     SELECT ?2, is_spam, message_count, token_count, created_at, updated_at FROM bayes_classes WHERE chat_id = ?1
     ON CONFLICT (chat_id, is_spam) DO UPDATE
     SET message_count = COALESCE(bayes_classes.message_count, 0) + COALESCE(excluded.message_count, 0),
         token_count = COALESCE(bayes_classes.token_count, 0) + COALESCE(excluded.token_count, 0)",
];

impl DatabaseWrapper {
    /// Notes that a group became a supergroup: the new chat inherits where the old one lives, takes over its settings
    /// and people, and shows what was said in it. Noting it twice changes nothing.
    ///
    /// # Errors
    /// [`NoSuccessor`](ErrorKind::NoSuccessor) where the group became another supergroup before, the supergroup comes
    /// of another group, or is what this one was before: nothing is changed. A source cannot be written.
    pub fn migrate_chat(&self, old: ChatId, new: ChatId) -> Result<()> {
        if old == new {
            return Ok(());
        }
        self.check_successor(old, new)?;
        // The alias last: where it is, the rest is done. Until then the news comes again and does it again.
        self.take_over(old, new)?;
        self.add_alias(old, new)?;
        self.know_aliases()?;
        // Another process may have been first, with another successor.
        self.check_successor(old, new)
    }

    /// That a chat can go on with this one: each has one successor and one predecessor, and no chain ends in itself.
    fn check_successor(&self, old: ChatId, new: ChatId) -> Result<()> {
        let reason = if self.later(old).is_some_and(|later| later != new) {
            "the group became another supergroup before"
        } else if self.earlier(new).is_some_and(|earlier| earlier != old) {
            "the supergroup comes of another group"
        } else if std::iter::successors(Some(old), |chat| self.earlier(*chat))
            .take(LONGEST_CHAIN)
            .any(|chat| chat == new)
        {
            "the supergroup is what the group was before"
        } else {
            return Ok(());
        };
        let source = self.source_of(Route::Shared)?;
        Err(Error::new("aliases.check_successor", &source, ErrorKind::NoSuccessor { reason }))
    }

    fn add_alias(&self, old: ChatId, new: ChatId) -> Result<()> {
        self.execute(
            "aliases.add_alias",
            Route::Shared,
            "INSERT INTO switchyard_aliases (new_chat_id, old_chat_id, created_at)
             SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM switchyard_aliases WHERE old_chat_id = ?2)
             ON CONFLICT (new_chat_id) DO NOTHING",
            params![new, old, self.now()],
        )
    }

    fn take_over(&self, old: ChatId, new: ChatId) -> Result<()> {
        // To where the old chat lives, which is where the new one will. Once: what the new chat dropped since must not
        // come back when the news is delivered again. And to one alone.
        let key = format!("took-over:{new}");
        self.write("aliases.take_over", Route::Chat(old), |tx| {
            let first = tx.execute(
                "INSERT INTO switchyard_meta (key, value)
                 SELECT ?1, ?2
                 WHERE NOT EXISTS (SELECT 1 FROM switchyard_meta
                                   WHERE substr(key, 1, 10) = 'took-over:' AND value = ?2)
                 ON CONFLICT (key) DO NOTHING",
                params![key, old.to_string()],
            )?;
            tx.only_if(first, |tx| {
                for sql in TAKE_OVER {
                    tx.execute(sql, params![old, new])?;
                }
                Ok(())
            })
        })
    }

    /// The chat that goes on with this one: the supergroup that it became, or itself.
    pub fn current_chat(&self, chat: ChatId) -> ChatId {
        self.later(chat).unwrap_or(chat)
    }

    /// The group that a supergroup was before; `None` where it was none.
    pub fn former_chat(&self, chat: ChatId) -> Option<ChatId> {
        self.earlier(chat)
    }

    /// Reads the aliases anew. They are few and rare, and looked at by every call that lists what was said.
    pub(crate) fn know_aliases(&self) -> Result<()> {
        let aliases = self.read_as_writer("aliases.know_aliases", Route::Shared, read_aliases)?;
        self.add_aliases(aliases);
        Ok(())
    }
}

/// The aliases that are stored: the new chat with the old one.
pub(crate) fn read_aliases(tx: &ReadTx<'_>) -> Result<HashMap<ChatId, ChatId>> {
    let sql = "SELECT new_chat_id, old_chat_id FROM switchyard_aliases ORDER BY new_chat_id";
    let aliases: Vec<Alias> = tx.query(sql, params![])?;
    Ok(aliases.into_iter().map(|alias| (alias.new, alias.old)).collect())
}
