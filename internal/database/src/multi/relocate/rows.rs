//! A chat's rows in chunks of bounded size, exactly as SQLite has them: walked in one source, found in another.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use rusqlite::types::ValueRef;

use super::tables::Table;
use crate::error::Result;
use crate::ids::ChatId;
use crate::source::{Source, Stored, same};

/// How many bytes a chunk has at most, but for a single row that is longer.
const MOST_BYTES: usize = 4 << 20;

/// The statements that walk rows: the first chunk, and what comes after a row. `?1` is the chat, `?2` the limit.
pub(super) struct Query {
    pub(super) first: String,
    /// What comes after a row among those that differ from it in the rowid alone, where the order ends with that. (Compared
    /// with several values at once, rows are found by an index only as far as it names the columns.)
    pub(super) alike: Option<String>,
    /// What comes after all those.
    pub(super) next: String,
    /// Where in a row the columns are that the order is by.
    walk: Vec<usize>,
    width: usize,
}

impl Query {
    /// Rows of a table in the order of some of the columns.
    pub(super) fn new(table: &str, columns: &[String], owner: &str, walk: &[&str]) -> Self {
        let listed = list(columns.iter().map(|column| quoted(column)));
        let named = match walk {
            [named @ .., "rowid"] if !named.is_empty() => named,
            _ => walk,
        };
        let select = |after: String| {
            let order = walk.join(", ");
            format!("SELECT {listed} FROM {table} WHERE {owner}{after} ORDER BY {order} LIMIT ?2")
        };
        let alike = || {
            let same = (3..).zip(named).map(|(place, column)| format!(" AND {column} = ?{place}"));
            select(same.chain([format!(" AND rowid > ?{}", 3 + named.len())]).collect())
        };
        let places = list((3..3 + named.len()).map(|place| format!("?{place}")));
        let place = |name: &&str| columns.iter().position(|column| column == name).unwrap_or(columns.len());
        Self {
            first: select(String::new()),
            alike: (named.len() < walk.len()).then(alike),
            next: select(format!(" AND ({}) > ({places})", named.join(", "))),
            walk: walk.iter().map(place).collect(),
            width: columns.len(),
        }
    }

    /// The statements that find what comes after a row, in their order, each with how many of its values they are told.
    fn after(&self) -> impl Iterator<Item = (&str, usize)> {
        let width = self.walk.len();
        let next = (&*self.next, width - usize::from(self.alike.is_some()));
        self.alike.as_deref().map(|alike| (alike, width)).into_iter().chain([next])
    }
}

/// A table as it is in a file, with the statements that its rows are moved by.
pub(super) struct Layout {
    pub(super) table: &'static Table,
    pub(super) columns: Vec<String>,
    /// Walks the rows; `rowid` stands behind the columns.
    pub(super) query: Query,
    /// Inserts a row, where there is none of its key.
    pub(super) insert: String,
    /// Finds a row by its key.
    pub(super) find: String,
    /// Deletes a row by its key.
    pub(super) delete: String,
    /// Deletes a row that was walked, where it is still there and still the chat's.
    pub(super) delete_walked: String,
    key: Vec<usize>,
}

impl Layout {
    /// The columns in which another row, read by [`find`](Self::find), differs from this one.
    pub(super) fn unlike(&self, row: Row<'_>, other: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<String>> {
        let mut columns = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            if !same(row.value(index), other.get_ref(index)?) {
                columns.push(column.clone());
            }
        }
        Ok(columns)
    }

    /// The columns in which two rows of the table differ.
    pub(super) fn unlike_rows(&self, one: Row<'_>, other: Row<'_>) -> Vec<String> {
        let unlike = |place: &usize| !same(one.value(*place), other.value(*place));
        (0..self.columns.len()).filter(unlike).map(|place| self.columns[place].clone()).collect()
    }

    pub(super) fn new(table: &'static Table, columns: Vec<String>) -> Self {
        let name = table.name;
        let listed = list(columns.iter().map(|column| quoted(column)));
        let places = list((1..=columns.len()).map(|place| format!("?{place}")));
        let same: Vec<_> = (1..).zip(table.key).map(|(place, column)| format!("{column} = ?{place}")).collect();
        let key = table.key.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect();
        let key_walked: Vec<_> = (3..).zip(table.key).map(|(place, column)| format!("{column} = ?{place}")).collect();
        let with_rowid: Vec<_> = columns.iter().cloned().chain(["rowid".to_owned()]).collect();
        Self {
            table,
            query: Query::new(name, &with_rowid, table.owner, table.walk),
            insert: format!("INSERT INTO {name} ({listed}) VALUES ({places}) ON CONFLICT DO NOTHING"),
            find: format!("SELECT {listed} FROM {name} WHERE {}", same.join(" AND ")),
            delete: format!("DELETE FROM {name} WHERE {}", same.join(" AND ")),
            delete_walked: format!(
                "DELETE FROM {name} WHERE rowid = ?2 AND {} AND {}",
                table.owner,
                key_walked.join(" AND ")
            ),
            columns,
            key,
        }
    }

    /// The attachments that the rows refer to; `None` where the table's rows refer to none.
    pub(super) fn media_ids(&self, chunk: &Chunk) -> Option<BTreeSet<Vec<u8>>> {
        self.columns.iter().position(|column| column == "media_id").map(|place| chunk.texts(place))
    }

    /// The values that tell a row from all others.
    pub(super) fn key<'c>(&self, row: Row<'c>) -> Vec<ValueRef<'c>> {
        self.key.iter().map(|place| row.value(*place)).collect()
    }

    /// What [`delete_walked`](Self::delete_walked) is told of a row of a chat.
    pub(super) fn walked<'c>(&self, chat: ChatId, row: Row<'c>) -> Vec<ValueRef<'c>> {
        let rowid = row.value(self.columns.len());
        [ValueRef::Integer(chat.0), rowid].into_iter().chain(self.key(row)).collect()
    }

    /// The row's name for people.
    pub(super) fn name(&self, row: Row<'_>) -> String {
        let part = |column: &&str| {
            let place = self.columns.iter().position(|known| known == column).unwrap_or(self.columns.len());
            shown(column, row.value(place))
        };
        self.table.shown.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// The name of a row of which nothing is known but its key.
    pub(super) fn name_of_key(&self, chat: ChatId, key: &[Stored]) -> String {
        let part = |column: &&str| {
            let place = self.table.key.iter().position(|known| known == column);
            match place.and_then(|place| key.get(place)) {
                Some(value) => shown(column, value.as_ref()),
                None => format!("{column}={chat}"),
            }
        };
        self.table.shown.iter().filter(|column| **column != "rowid").map(part).collect::<Vec<_>>().join(", ")
    }

    /// The values that tell a row from all others, to be kept.
    pub(super) fn owned_key(&self, row: Row<'_>) -> Vec<Stored> {
        self.key(row).into_iter().map(Stored::from).collect()
    }
}

/// Some rows, all in two allocations that the next chunk uses again.
#[derive(Default)]
pub(super) struct Chunk {
    width: usize,
    cells: Vec<Cell>,
    bytes: Vec<u8>,
}

enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

/// A row of a chunk.
#[derive(Clone, Copy)]
pub(super) struct Row<'c> {
    cells: &'c [Cell],
    bytes: &'c [u8],
}

impl Chunk {
    pub(super) fn of_width(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.cells.len() / self.width.max(1)
    }

    /// How many bytes the rows have, about.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + 4 * self.cells.len()
    }

    /// Whether no row is added any more.
    fn is_full(&self) -> bool {
        self.bytes.len() >= MOST_BYTES
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.chunks_exact(self.width.max(1)).map(|cells| Row { cells, bytes: &self.bytes })
    }

    /// The texts in a column, each once.
    pub(super) fn texts(&self, column: usize) -> BTreeSet<Vec<u8>> {
        let text = |value| if let ValueRef::Text(text) = value { Some(text.to_vec()) } else { None };
        self.rows().filter_map(|row| text(row.value(column))).collect()
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.bytes.clear();
    }

    /// Adds a row as a statement gives it.
    pub(super) fn push(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        (0..self.width).try_for_each(|index| {
            self.push_value(row.get_ref(index)?);
            Ok(())
        })
    }

    fn push_value(&mut self, value: ValueRef<'_>) {
        let cell = match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Real(number) => Cell::Real(number),
            ValueRef::Text(text) => Cell::Text(self.keep(text)),
            ValueRef::Blob(bytes) => Cell::Blob(self.keep(bytes)),
        };
        self.cells.push(cell);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl<'c> Row<'c> {
    pub(super) fn value(self, index: usize) -> ValueRef<'c> {
        match self.cells.get(index) {
            None | Some(Cell::Null) => ValueRef::Null,
            Some(Cell::Integer(number)) => ValueRef::Integer(*number),
            Some(Cell::Real(number)) => ValueRef::Real(*number),
            Some(Cell::Text(range)) => ValueRef::Text(&self.bytes[range.clone()]),
            Some(Cell::Blob(range)) => ValueRef::Blob(&self.bytes[range.clone()]),
        }
    }

    /// The first so many values.
    pub(super) fn values(self, count: usize) -> impl Iterator<Item = ValueRef<'c>> {
        (0..count).map(move |index| self.value(index))
    }
}

/// A walk along a chat's rows, chunk by chunk, each read by itself.
pub(super) struct Walk<'a> {
    source: &'a Arc<Source>,
    query: &'a Query,
    chat: ChatId,
    at_once: usize,
    chunk: Chunk,
    /// Of the last row, what the order is by.
    last: Chunk,
    is_over: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: &'a Arc<Source>, query: &'a Query, chat: ChatId, at_once: usize) -> Self {
        let chunk = Chunk::of_width(query.width);
        let last = Chunk::of_width(query.walk.len());
        Self { source, query, chat, at_once, chunk, last, is_over: false }
    }

    /// The same, so many rows at most.
    pub(super) fn next_of(&mut self, at_once: usize) -> Result<Option<&Chunk>> {
        self.at_once = at_once;
        self.next()
    }

    /// The next rows, or `None` where there are no more.
    pub(super) fn next(&mut self) -> Result<Option<&Chunk>> {
        if self.is_over {
            return Ok(None);
        }
        let Self { source, query, chat, at_once, chunk, last, .. } = self;
        chunk.clear();
        let statements = match last.len() {
            0 => vec![(&*query.first, 0)],
            _ => query.after().collect(),
        };
        source.read("relocate.walk", |tx| {
            if statements.len() > 1 {
                tx.snapshot()?;
            }
            for (sql, values) in &statements {
                let wanted = at_once.saturating_sub(chunk.len());
                if wanted == 0 || chunk.is_full() {
                    break;
                }
                let limit = ValueRef::Integer(i64::try_from(wanted).unwrap_or(i64::MAX));
                let after = last.rows().flat_map(|row| row.values(*values));
                let params: Vec<_> = [ValueRef::Integer(chat.0), limit].into_iter().chain(after).collect();
                tx.scan_stored(sql, &params, |row| {
                    chunk.push(row)?;
                    Ok(if chunk.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })?;
            }
            Ok(())
        })?;
        let Some(row) = self.chunk.rows().last() else {
            self.is_over = true;
            return Ok(None);
        };
        self.last.clear();
        self.query.walk.iter().for_each(|place| self.last.push_value(row.value(*place)));
        Ok(Some(&self.chunk))
    }
}

fn shown(column: &str, value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => format!("{column}={number}"),
        ValueRef::Text(text) => format!("{column}=`{}`", String::from_utf8_lossy(text)),
        value => format!("{column} is {}", value.data_type()),
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn quoted(column: &str) -> String {
    if column == "rowid" { column.to_owned() } else { format!("\"{}\"", column.replace('"', "\"\"")) }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
