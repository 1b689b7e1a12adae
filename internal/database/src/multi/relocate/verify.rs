//! Comparing a chat's rows at both places, to the last bit of every column.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::error::{Difference, Unlike};
use super::media::Media;
use super::report::Meter;
use super::rows::{Chunk, Layout, Row, Walk};
use super::{MoveError, Part, copy, count};
use crate::error::Result;
use crate::source::Source;

/// How many differences are told.
const MOST_TOLD: usize = 10;

/// Compares all that is a chat's own, and answers the first differences.
pub(super) fn part(meter: &mut Meter<'_>, part: &Part, at_once: usize) -> Result<Vec<Difference>, MoveError> {
    let mut found = Vec::new();
    let media = Media::between(&part.from, &part.to)?;
    for layout in copy::layouts(&part.from, &part.to)? {
        rows(meter, part, &layout, &media, at_once, &mut found)?;
    }
    found.truncate(MOST_TOLD);
    Ok(found)
}

/// Compares the rows of a table. Both places have the same rows where each row here is there, and there are no more of
/// them there.
fn rows(
    meter: &mut Meter<'_>,
    part: &Part,
    layout: &Layout,
    media: &Media,
    at_once: usize,
    found: &mut Vec<Difference>,
) -> Result<(), MoveError> {
    let Part { chat, from, to } = part;
    let mut walked = 0;
    let mut walk = Walk::new(from, &layout.query, *chat, at_once);
    while let Some(chunk) = walk.next()? {
        found.extend(compare(chunk, layout, to, |row| move |other: &rusqlite::Row<'_>| layout.unlike(row, other))?);
        if let Some(ids) = layout.media_ids(chunk) {
            media.verify(part, &ids, found)?;
        }
        walked += chunk.len() as u64;
        meter.add(chunk.len() as u64)?;
    }
    let there = count(from, layout.table, *chat)?;
    if there > walked {
        let row = String::new();
        found.push(Difference { table: layout.table.name, row, what: Unlike::WithoutKey(there - walked) });
    }
    if count(to, layout.table, *chat)? > walked {
        let mut walk = Walk::new(to, &layout.query, *chat, at_once);
        while let Some(chunk) = walk.next()? {
            let missing = compare(chunk, layout, from, |_| |_: &rusqlite::Row<'_>| Ok(Vec::new()))?;
            found.extend(missing.into_iter().map(|extra| Difference { what: Unlike::Extra, ..extra }));
        }
    }
    Ok(())
}

/// The rows of a chunk that another source does not have, or not so.
fn compare<'c, F: FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Vec<String>>>(
    chunk: &'c Chunk,
    layout: &Layout,
    there: &Arc<Source>,
    unlike: impl Fn(Row<'c>) -> F,
) -> Result<Vec<Difference>> {
    there.read("relocate.verify", |tx| {
        tx.snapshot()?;
        let mut found = Vec::new();
        for row in chunk.rows() {
            let mut what = Some(Unlike::Missing);
            let mut unlike = unlike(row);
            tx.scan_stored(&layout.find, &layout.key(row), |other| {
                let columns = unlike(other)?;
                what = (!columns.is_empty()).then_some(Unlike::Columns(columns));
                Ok(ControlFlow::Break(()))
            })?;
            let table = layout.table.name;
            found.extend(what.map(|what| Difference { table, row: layout.name(row), what }));
            if found.len() >= MOST_TOLD {
                break;
            }
        }
        Ok(found)
    })
}
