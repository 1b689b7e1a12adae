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
mod taken_over;
mod tasks;
mod topics;
mod user_data;
mod users;

pub(crate) use aliases::read_aliases;
pub use imports::{ImportBatch, ImportProgress, ImportedName, MessagePlace};

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::source::{ReadTx, ValueRef};

/// The rows of a statement that answers `key` and `value`.
fn pairs(tx: &ReadTx<'_>, table: &'static str, sql: &str, params: &[ValueRef<'_>]) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    tx.scan(sql, params, |row| {
        let bad = |bad| tx.bad_value(table, &row.key(&["key"]), bad);
        found.insert(row.get("key").map_err(bad)?, row.get("value").map_err(bad)?);
        GO_ON
    })?;
    Ok(found)
}

/// How many rows a statement that counts them found.
fn count(tx: &ReadTx<'_>, table: &'static str, sql: &str, params: &[ValueRef<'_>]) -> Result<i64> {
    Ok(tx.value(table, sql, params)?.unwrap_or_default())
}

/// Goes on with a [`ReadTx::scan`].
const GO_ON: Result<ControlFlow<()>> = Ok(ControlFlow::Continue(()));
