//! Deleting a chat's rows in batches. SQLite overwrites what is deleted.

use std::sync::Arc;

use super::MoveError;
use super::pace::Steps;
use super::report::Meter;
use super::rows::{Layout, Walk};
use super::tables::{MOVED, Table};
use crate::ids::ChatId;
use crate::source::Source;

/// Deletes all rows of a chat, and answers how many. They are found by readers, so that others wait for the deleting alone.
pub(super) fn rows(
    meter: &mut Meter<'_>,
    source: &Arc<Source>,
    chat: ChatId,
    steps: &mut Steps,
) -> Result<u64, MoveError> {
    let mut deleted = 0;
    for table in &MOVED {
        let layout = Layout::new(table, needed(table));
        let mut walk = Walk::new(source, &layout.query, chat, steps.rows());
        while let Some(chunk) = walk.next_of(steps.rows())? {
            let walked = chunk.rows().map(|row| layout.walked(chat, row));
            let rows = steps.write(source, "relocate.clear", |tx| tx.execute_stored(&layout.delete_walked, walked))?;
            deleted += rows;
            meter.add(rows)?;
            steps.rest();
        }
    }
    Ok(deleted)
}

/// The columns that rows are walked and told apart by.
fn needed(table: &Table) -> Vec<String> {
    let others = table.walk.iter().filter(|column| **column != "rowid" && !table.key.contains(column));
    table.key.iter().chain(others).map(|column| (*column).to_owned()).collect()
}
