//! Copying what a chat has in a source to another, beside what that has of it already.

use std::sync::Arc;

use super::rows::{Layout, Walk};
use super::tables::MOVED;
use super::{MOST_AT_ONCE, copy};
use crate::error::Result;
use crate::ids::ChatId;
use crate::source::Source;

/// Copies the rows that the other source does not have, and answers how many. (The attachments that they refer to are
/// found where they are, in the default source.)
///
/// # Errors
/// A source cannot be used.
pub(in crate::multi) fn bring(chat: ChatId, from: &Arc<Source>, to: &Arc<Source>) -> Result<u64> {
    const OP: &str = "relocate.bring";
    let mut brought = 0;
    for table in &MOVED {
        let mut columns = copy::columns_of(table.name, from)?;
        let mut layout = Layout::new(table, columns.clone());
        let mut walk = Walk::new(from, &layout.query, chat, MOST_AT_ONCE);
        if walk.next()?.is_none() {
            continue;
        }
        let known = copy::columns_of(table.name, to)?;
        columns.retain(|column| known.contains(column));
        layout = Layout::new(table, columns);
        let mut walk = Walk::new(from, &layout.query, chat, MOST_AT_ONCE);
        while let Some(chunk) = walk.next()? {
            let width = layout.columns.len();
            let rows = || chunk.rows().map(|row| row.values(width));
            brought += to.write(OP, None, |tx| tx.execute_stored(&layout.insert, rows()))?;
        }
    }
    Ok(brought)
}
