//! The counts that a naive-Bayes spam filter learns from: one chat's, or the global ones of no chat.
//!
//! The global rows have no chat id, and NULL never conflicts in a unique key: files hold several rows for one token or
//! class. Their sum counts, and an update changes one of them.

use crate::error::Result;
use crate::ids::ChatId;
use crate::models::{ClassCounts, ClassDelta, TokenCounts, TokenDelta};
use crate::route::Route;
use crate::source::{ReadTx, Tally, ToValue, ValueRef, WriteTx};
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

const SELECT_TOKENS: &str = "SELECT token, SUM(COALESCE(spam_count, 0)) AS spam_count,
        SUM(COALESCE(ham_count, 0)) AS ham_count, SUM(COALESCE(total_count, 0)) AS total_count
 FROM bayes_tokens";

/// How many tokens are looked up in one statement.
const LOOK_UP_AT_ONCE: usize = 500;

/// Which model's rows: the condition, with its parameter where it has one.
fn model(chat: Option<&ChatId>) -> (&'static str, Vec<ValueRef<'_>>) {
    match chat {
        Some(chat) => ("chat_id = ?1", vec![chat.to_param()]),
        None => ("chat_id IS NULL", Vec::new()),
    }
}

impl DatabaseWrapper {
    /// The counts of those of the given tokens that the model knows, in the order of the tokens' text.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_bayes_tokens(&self, chat: Option<ChatId>, tokens: &[&str]) -> Result<Vec<TokenCounts>> {
        let (model, given) = model(chat.as_ref());
        self.read("bayes.get_bayes_tokens", Route::chat_or_shared(chat), |tx| {
            tx.snapshot()?;
            let mut known: Vec<TokenCounts> = Vec::new();
            for some in tokens.chunks(LOOK_UP_AT_ONCE) {
                let mut params = given.clone();
                params.extend(some.iter().map(ToValue::to_param));
                let places: Vec<_> = (given.len() + 1..=params.len()).map(|place| format!("?{place}")).collect();
                let places = places.join(", ");
                known.extend(tx.query(
                    &format!("{SELECT_TOKENS} WHERE {model} AND token IN ({places}) GROUP BY token"),
                    &params,
                )?);
            }
            known.sort_by(|one, other| one.token.cmp(&other.token));
            known.dedup();
            Ok(known)
        })
    }

    /// What the model learnt of each class, ham first; a class of which it learnt nothing is not listed.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_bayes_classes(&self, chat: Option<ChatId>) -> Result<Vec<ClassCounts>> {
        let (model, params) = model(chat.as_ref());
        let sql = format!(
            "SELECT is_spam, SUM(COALESCE(message_count, 0)) AS message_count,
                    SUM(COALESCE(token_count, 0)) AS token_count
             FROM bayes_classes
             WHERE {model}
             GROUP BY is_spam
             ORDER BY is_spam"
        );
        self.read("bayes.get_bayes_classes", Route::chat_or_shared(chat), |tx| tx.query(&sql, &params))
    }

    /// Adds to the counts of tokens and classes, all in one transaction.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_bayes(&self, chat: Option<ChatId>, tokens: &[TokenDelta], classes: &[ClassDelta]) -> Result<()> {
        let now = self.now();
        self.write_delegated("bayes.update_bayes", Route::chat_or_shared(chat), |tx| {
            for token in tokens {
                add_token(tx, chat, token, now)?;
            }
            for class in classes {
                add_class(tx, chat, *class, now)?;
            }
            Ok(())
        })
    }

    /// How many different tokens the model knows.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_bayes_vocabulary_size(&self, chat: Option<ChatId>) -> Result<i64> {
        let (model, params) = model(chat.as_ref());
        let sql = format!("SELECT COUNT(DISTINCT token) FROM bayes_tokens WHERE {model}");
        self.read("bayes.get_bayes_vocabulary_size", Route::chat_or_shared(chat), |tx| {
            super::count(tx, "bayes_tokens", &sql, &params)
        })
    }

    /// The tokens seen most often in spam.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_top_spam_tokens(&self, chat: Option<ChatId>, limit: u32) -> Result<Vec<TokenCounts>> {
        self.read("bayes.get_top_spam_tokens", Route::chat_or_shared(chat), |tx| top(tx, chat, "spam_count", limit))
    }

    /// The tokens seen most often in what is no spam.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_top_ham_tokens(&self, chat: Option<ChatId>, limit: u32) -> Result<Vec<TokenCounts>> {
        self.read("bayes.get_top_ham_tokens", Route::chat_or_shared(chat), |tx| top(tx, chat, "ham_count", limit))
    }

    /// Drops the tokens seen in fewer than so many messages, and answers how many rows that were.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn drop_rare_bayes_tokens(&self, chat: Option<ChatId>, fewer_than: i64) -> Result<u64> {
        let (model, mut params) = model(chat.as_ref());
        params.push(fewer_than.to_param());
        let place = params.len();
        let sql = format!(
            "DELETE FROM bayes_tokens
             WHERE {model} AND token IN (
                 SELECT token FROM bayes_tokens
                 WHERE {model}
                 GROUP BY token
                 HAVING SUM(COALESCE(total_count, 0)) < ?{place})"
        );
        self.write_tallied("bayes.drop_rare_bayes_tokens", Route::chat_or_shared(chat), |tx| {
            let mut dropped = Tally::default();
            dropped.add(tx.execute(&sql, &params)?);
            Ok(dropped)
        })
    }

    /// Forgets all that the model learnt.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn clear_bayes(&self, chat: Option<ChatId>) -> Result<()> {
        let (model, params) = model(chat.as_ref());
        self.write_delegated("bayes.clear_bayes", Route::chat_or_shared(chat), |tx| {
            tx.execute(&format!("DELETE FROM bayes_tokens WHERE {model}"), &params)?;
            tx.execute(&format!("DELETE FROM bayes_classes WHERE {model}"), &params)?;
            Ok(())
        })
    }
}

fn top(tx: &ReadTx<'_>, chat: Option<ChatId>, column: &'static str, limit: u32) -> Result<Vec<TokenCounts>> {
    let (model, mut params) = model(chat.as_ref());
    params.push(limit.to_param());
    let place = params.len();
    tx.query(
        &format!(
            "{SELECT_TOKENS} WHERE {model} GROUP BY token HAVING SUM(COALESCE({column}, 0)) > 0
             ORDER BY SUM(COALESCE({column}, 0)) DESC, token LIMIT ?{place}"
        ),
        &params,
    )
}

/// Adds to a token's counts: to one of its rows, or as a row where it has none.
pub(super) fn add_token(tx: &mut WriteTx<'_>, chat: Option<ChatId>, delta: &TokenDelta, now: Timestamp) -> Result<()> {
    let TokenDelta { token, spam, ham } = delta;
    let total = spam.saturating_add(*ham);
    let Some(chat) = chat else {
        let params = params![token, spam, ham, total, now];
        // Of several rows the first: `rowid` is SQLite's name for a row that no key tells from another.
        tx.execute(
            "UPDATE bayes_tokens
             SET spam_count = COALESCE(spam_count, 0) + ?2, ham_count = COALESCE(ham_count, 0) + ?3,
                 total_count = COALESCE(total_count, 0) + ?4, updated_at = ?5
             WHERE rowid = (SELECT MIN(rowid) FROM bayes_tokens WHERE token = ?1 AND chat_id IS NULL)",
            params,
        )?;
        tx.execute(
            "INSERT INTO bayes_tokens (token, chat_id, spam_count, ham_count, total_count, created_at, updated_at)
             SELECT ?1, NULL, ?2, ?3, ?4, ?5, ?5
             WHERE NOT EXISTS (SELECT 1 FROM bayes_tokens WHERE token = ?1 AND chat_id IS NULL)",
            params,
        )?;
        return Ok(());
    };
    tx.execute(
        "INSERT INTO bayes_tokens (token, chat_id, spam_count, ham_count, total_count, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (token, chat_id) DO UPDATE
         SET spam_count = COALESCE(bayes_tokens.spam_count, 0) + excluded.spam_count,
             ham_count = COALESCE(bayes_tokens.ham_count, 0) + excluded.ham_count,
             total_count = COALESCE(bayes_tokens.total_count, 0) + excluded.total_count,
             updated_at = excluded.updated_at",
        params![token, chat, spam, ham, total, now],
    )?;
    Ok(())
}

/// Adds to a class's counts: to one of its rows, or as a row where it has none.
pub(super) fn add_class(tx: &mut WriteTx<'_>, chat: Option<ChatId>, delta: ClassDelta, now: Timestamp) -> Result<()> {
    let ClassDelta { is_spam, messages, tokens } = delta;
    let Some(chat) = chat else {
        let params = params![is_spam, messages, tokens, now];
        tx.execute(
            "UPDATE bayes_classes
             SET message_count = COALESCE(message_count, 0) + ?2, token_count = COALESCE(token_count, 0) + ?3,
                 updated_at = ?4
             WHERE rowid = (SELECT MIN(rowid) FROM bayes_classes WHERE is_spam = ?1 AND chat_id IS NULL)",
            params,
        )?;
        tx.execute(
            "INSERT INTO bayes_classes (chat_id, is_spam, message_count, token_count, created_at, updated_at)
             SELECT NULL, ?1, ?2, ?3, ?4, ?4
             WHERE NOT EXISTS (SELECT 1 FROM bayes_classes WHERE is_spam = ?1 AND chat_id IS NULL)",
            params,
        )?;
        return Ok(());
    };
    tx.execute(
        "INSERT INTO bayes_classes (chat_id, is_spam, message_count, token_count, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (chat_id, is_spam) DO UPDATE
         SET message_count = COALESCE(bayes_classes.message_count, 0) + excluded.message_count,
             token_count = COALESCE(bayes_classes.token_count, 0) + excluded.token_count,
             updated_at = excluded.updated_at",
        params![chat, is_spam, messages, tokens, now],
    )?;
    Ok(())
}
