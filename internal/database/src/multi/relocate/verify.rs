//! Comparing a chat's rows at both places, to the last bit of every column.
//!
//! While the chat is written, rows differ that have changed meanwhile. So what is found is only suspected: whoever
//! captures the changes knows which rows had a reason.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::error::{Difference, Unlike};
use super::media::{Ids, Media, TABLE};
use super::pace::Pace;
use super::report::Meter;
use super::rows::{Chunk, Layout, Row, Walk};
use super::tables::{MOVED, place_of};
use super::{MoveError, Part, copy, count};
use crate::error::Result;
use crate::params;
use crate::source::{ChangedRow, Source, Stored};

/// How many differences of one comparison are looked into.
const MOST: usize = 100_000;

/// A row that is not the same at both places.
pub(super) struct Suspect {
    /// The row, where it has a key that tells it from others.
    pub(super) row: Option<ChangedRow>,
    pub(super) difference: Difference,
}

/// Compares all that is a chat's own.
pub(super) fn part(meter: &mut Meter<'_>, part: &Part, at_once: usize) -> Result<Vec<Suspect>, MoveError> {
    let mut found = Vec::new();
    let media = Media::between(&part.from, &part.to)?;
    for layout in copy::layouts(&part.from, &part.to)? {
        rows(meter, part, &layout, &media, at_once, &mut found)?;
    }
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
    found: &mut Vec<Suspect>,
) -> Result<(), MoveError> {
    let Part { chat, from, to } = part;
    let (mut walked, mut missing) = (0, 0);
    let mut walk = Walk::new(from, &layout.query, *chat, at_once);
    while let Some(chunk) = walk.next()? {
        let unlike =
            compare(part, chunk, layout, to, |row| move |other: &rusqlite::Row<'_>| layout.unlike(row, other))?;
        missing += unlike.iter().filter(|suspect| suspect.difference.what == Unlike::Missing).count() as u64;
        found.extend(unlike);
        if let Some(ids) = layout.media_ids(chunk) {
            attachments(part, media, &ids, Pace::Shared, found)?;
        }
        walked += chunk.len() as u64;
        meter.add(chunk.len() as u64)?;
        if found.len() >= MOST {
            return Ok(());
        }
    }
    if count(from, layout.table, *chat)? > walked {
        // What cannot be walked has no place in the order.
        let without = without_key(part, layout)?;
        if without > 0 {
            let what = Unlike::WithoutKey(without);
            found.push(Suspect {
                row: None,
                difference: Difference { table: layout.table.name, row: String::new(), what },
            });
        }
    }
    if count(to, layout.table, *chat)? > walked - missing {
        let mut walk = Walk::new(to, &layout.query, *chat, at_once);
        while let Some(chunk) = walk.next()? {
            let missing = compare(part, chunk, layout, from, |_| |_: &rusqlite::Row<'_>| Ok(Vec::new()))?;
            found.extend(missing.into_iter().map(|mut extra| {
                extra.difference.what = Unlike::Extra;
                extra
            }));
        }
    }
    Ok(())
}

/// How many rows have no place in the order that they are walked in.
fn without_key(part: &Part, layout: &Layout) -> Result<u64> {
    let is_null: Vec<_> = layout.table.walk.iter().map(|column| format!("{column} IS NULL")).collect();
    let (name, owner) = (layout.table.name, layout.table.owner);
    let sql = format!("SELECT COUNT(*) FROM {name} WHERE {owner} AND ({})", is_null.join(" OR "));
    part.from
        .read("relocate.without_key", |tx| tx.value::<u64>(name, &sql, params![part.chat]))
        .map(Option::unwrap_or_default)
}

/// The rows of a chunk that another source does not have, or not so.
fn compare<'c, F: FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Vec<String>>>(
    part: &Part,
    chunk: &'c Chunk,
    layout: &Layout,
    there: &Arc<Source>,
    unlike: impl Fn(Row<'c>) -> F,
) -> Result<Vec<Suspect>> {
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
            found.extend(what.map(|what| Suspect {
                row: Some(ChangedRow { owner: part.chat.0, place: place_of(layout.table), key: layout.owned_key(row) }),
                difference: Difference { table: layout.table.name, row: layout.name(row), what },
            }));
        }
        Ok(found)
    })
}

/// Compares the rows of these keys.
pub(super) fn keys(
    part: &Part,
    layouts: &[Layout],
    media: &Media,
    keys: &[&ChangedRow],
    pace: Pace,
) -> Result<Vec<Suspect>> {
    let mut found = Vec::new();
    let mut ids = Ids::new();
    for of_table in keys.chunk_by(|one, next| one.place == next.place) {
        let Some(layout) = of_table.first().and_then(|row| layouts.get(row.place)) else {
            ids.extend(of_table.iter().filter_map(|row| id_of(row)));
            continue;
        };
        let here = find(&part.from, layout, of_table, pace)?;
        let there = find(&part.to, layout, of_table, pace)?;
        for ((row, here), there) in of_table.iter().zip(&here).zip(&there) {
            let what = match (here.rows().next(), there.rows().next()) {
                (None, None) => None,
                (Some(_), None) => Some(Unlike::Missing),
                (None, Some(_)) => Some(Unlike::Extra),
                (Some(here), Some(there)) => {
                    let columns = layout.unlike_rows(here, there);
                    (!columns.is_empty()).then_some(Unlike::Columns(columns))
                }
            };
            found.extend(what.map(|what| Suspect {
                row: Some((*row).clone()),
                difference: Difference { table: layout.table.name, row: layout.name_of_key(part.chat, &row.key), what },
            }));
        }
    }
    let ids = Media::referred_to(part, &ids, pace)?;
    attachments(part, media, &ids, pace, &mut found)?;
    Ok(found)
}

/// The rows of these keys in a source, each in a chunk of its own, empty where there is none.
fn find(source: &Arc<Source>, layout: &Layout, keys: &[&ChangedRow], pace: Pace) -> Result<Vec<Chunk>> {
    pace.read(source, "relocate.find", |tx| {
        tx.snapshot()?;
        keys.iter()
            .map(|row| {
                let mut chunk = Chunk::of_width(layout.columns.len());
                let key: Vec<_> = row.key.iter().map(Stored::as_ref).collect();
                tx.scan_stored(&layout.find, &key, |found| {
                    chunk.push(found)?;
                    Ok(ControlFlow::Break(()))
                })?;
                Ok(chunk)
            })
            .collect()
    })
}

/// Looks whether the target has these attachments, and those that came with the move as they are.
fn attachments(part: &Part, media: &Media, ids: &Ids, pace: Pace, found: &mut Vec<Suspect>) -> Result<()> {
    for (id, what) in media.verify(part, ids, pace)? {
        let row = format!("file_unique_id=`{}`", String::from_utf8_lossy(&id));
        let difference = Difference { table: TABLE, row, what };
        found.push(Suspect { row: Some(row_of(id)), difference });
    }
    Ok(())
}

/// An attachment as a row that may have changed: it is nobody's own.
pub(super) fn row_of(id: Vec<u8>) -> ChangedRow {
    ChangedRow { owner: 0, place: MOVED.len(), key: vec![Stored::Text(id)] }
}

/// The attachment that a row that changed is.
pub(super) fn id_of(row: &ChangedRow) -> Option<Vec<u8>> {
    match (row.place == MOVED.len(), row.key.first()) {
        (true, Some(Stored::Text(id))) => Some(id.clone()),
        _ => None,
    }
}
