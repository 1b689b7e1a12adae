//! The methods of [`DatabaseWrapper`](crate::DatabaseWrapper), a room for each domain, with the SQL beside the method.

mod aliases;
mod bayes;
mod cache;
mod chats;
mod footprint;
mod imports;
mod media;
mod messages;
mod search;
mod settings;
mod spam;
mod statistics;
mod summaries;
mod tasks;
mod topics;
mod user_data;
mod users;

pub use imports::{ImportBatch, ImportProgress, ImportedName, MessagePlace};

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::source::{BadColumn, FromRow, ReadTx, Row, ValueRef};

/// A row of a table of keys and values.
struct Pair {
    key: String,
    value: String,
}

impl FromRow for Pair {
    const TABLE: &'static str = "keys and values";
    const KEY: &'static [&'static str] = &["key"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { key: row.get("key")?, value: row.get("value")? })
    }
}

/// The rows of a statement that answers `key` and `value`.
fn pairs(tx: &ReadTx<'_>, sql: &str, params: &[ValueRef<'_>]) -> Result<BTreeMap<String, String>> {
    Ok(tx.query::<Pair>(sql, params)?.into_iter().map(|pair| (pair.key, pair.value)).collect())
}

/// How many rows a statement that counts them found.
fn count(tx: &ReadTx<'_>, table: &'static str, sql: &str, params: &[ValueRef<'_>]) -> Result<i64> {
    Ok(tx.value(table, sql, params)?.unwrap_or_default())
}

/// Goes on with a [`ReadTx::scan`].
const GO_ON: Result<ControlFlow<()>> = Ok(ControlFlow::Continue(()));
