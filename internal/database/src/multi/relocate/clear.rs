//! Deleting a chat's rows in batches. SQLite overwrites what is deleted.

use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::MoveError;
use super::pace::Steps;
use super::report::Meter;
use super::tables::{MOVED, Table};
use crate::ids::ChatId;
use crate::source::Source;

/// Deletes all rows of a chat, and answers how many.
pub(super) fn rows(
    meter: &mut Meter<'_>,
    source: &Arc<Source>,
    chat: ChatId,
    steps: &mut Steps,
) -> Result<u64, MoveError> {
    let mut deleted = 0;
    for table in &MOVED {
        let sql = delete(table);
        loop {
            let limit = i64::try_from(steps.rows()).unwrap_or(i64::MAX);
            let params = [ValueRef::Integer(chat.0), ValueRef::Integer(limit)];
            let rows = steps.write(source, "relocate.clear", |tx| tx.execute_stored(&sql, [params]))?;
            if rows == 0 {
                break;
            }
            deleted += rows;
            meter.add(rows)?;
        }
    }
    Ok(deleted)
}

fn delete(table: &Table) -> String {
    let Table { name, owner, walk, .. } = table;
    let order = walk.join(", ");
    format!("DELETE FROM {name} WHERE rowid IN (SELECT rowid FROM {name} WHERE {owner} ORDER BY {order} LIMIT ?2)")
}
