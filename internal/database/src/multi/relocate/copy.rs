//! Copying a chat's rows into another source, chunk by chunk. What changes meanwhile may be copied as it was or as it is, or
//! not at all: whoever captures the changes puts it right.

use std::sync::Arc;

use super::media::Media;
use super::pace::Steps;
use super::report::{Meter, MoveReport};
use super::rows::{Layout, Walk};
use super::state::Lease;
use super::{MoveError, Part};
use crate::error::Result;
use crate::source::Source;

/// Copies all that is a chat's own, and notes how much in the report.
pub(super) fn part(
    meter: &mut Meter<'_>,
    part: &Part,
    steps: &mut Steps,
    lease: &mut Lease<'_>,
    report: &mut MoveReport,
) -> Result<(), MoveError> {
    let media = Media::between(&part.from, &part.to)?;
    for layout in layouts(&part.from, &part.to)? {
        let mut walk = Walk::new(&part.from, &layout.query, part.chat, steps.rows());
        while let Some(chunk) = walk.next_of(steps.rows())? {
            lease.renew()?;
            if let Some(ids) = layout.media_ids(chunk) {
                let copied = media.copy(part, &ids, steps)?;
                report.media += copied;
                meter.add(copied)?;
            }
            let columns = layout.columns.len();
            let rows = steps.write(&part.to, "relocate.copy", |tx| {
                tx.execute_stored(&layout.insert, chunk.rows().map(|row| row.values(columns)))
            })?;
            *report.rows.entry(layout.table.name).or_default() += rows;
            meter.add(rows)?;
            steps.rest();
        }
    }
    Ok(())
}

/// The tables that move, as they are at both places.
pub(super) fn layouts(from: &Arc<Source>, to: &Arc<Source>) -> Result<Vec<Layout>, MoveError> {
    super::tables::MOVED.iter().map(|table| Ok(Layout::new(table, columns(table.name, from, to)?))).collect()
}

/// The columns of a table, all of which the target has too, where its file is there.
pub(super) fn columns(table: &'static str, from: &Arc<Source>, to: &Arc<Source>) -> Result<Vec<String>, MoveError> {
    let columns = columns_of(table, from)?;
    if to.would_be_made("relocate.columns")? {
        return Ok(columns);
    }
    let known = columns_of(table, to)?;
    match columns.iter().find(|column| !known.contains(column)) {
        None => Ok(columns),
        Some(missing) => {
            let (column, from, to) = (missing.clone(), from.name().clone(), to.name().clone());
            Err(MoveError::MissingColumn { table, column, from, to })
        }
    }
}

pub(super) fn columns_of(table: &'static str, source: &Arc<Source>) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    source.read("relocate.columns", |tx| {
        columns.clear();
        tx.scan("SELECT name FROM pragma_table_info(?1) ORDER BY cid", crate::params![table], |row| {
            let name = row.text("name").map_err(|bad| tx.bad_value("pragma_table_info", table, bad))?;
            columns.push(name.to_owned());
            Ok(std::ops::ControlFlow::Continue(()))
        })
    })?;
    Ok(columns)
}
