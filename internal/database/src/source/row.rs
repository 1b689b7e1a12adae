//! A row of an answer, read by column name.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::value::{FromValue, ValueRef};

/// A struct that a row maps to. Written once for each struct, by column name.
pub trait FromRow: Sized {
    /// The table that the row is in, for error messages.
    const TABLE: &'static str;
    /// The columns that tell which row it is, for error messages.
    const KEY: &'static [&'static str];

    /// The struct of a row.
    ///
    /// # Errors
    /// The first column whose value does not fit.
    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn>;
}

/// A column's value that does not fit the column's meaning.
#[derive(Debug)]
pub struct BadColumn {
    pub(crate) column: String,
    pub(crate) expected: &'static str,
    pub(crate) found: String,
}

/// What the statements of one connection call their columns, looked up once for each statement rather than for every
/// row. The statement used last stands first.
#[derive(Default)]
pub(super) struct KnownColumns(RefCell<Vec<Columns>>);

/// For how many statements the columns are kept.
const KNOWN: usize = 128;

struct Columns {
    sql: Box<str>,
    names: Names,
}

/// The names of a statement's columns, in order.
type Names = Arc<[Box<str>]>;

impl KnownColumns {
    /// The columns of a statement that has given a row.
    pub(super) fn of(&self, sql: &str, statement: &rusqlite::Statement<'_>) -> Names {
        let mut known = self.0.borrow_mut();
        if let Some(place) = known.iter().position(|columns| *columns.sql == *sql) {
            // Step by step, so that one that is used now and then does not move all others.
            known.swap(place, place / 2);
            return Arc::clone(&known[place / 2].names);
        }
        let names: Names = statement.column_names().map(Box::from).collect();
        // A text without a star names its columns itself, so they stay whatever becomes of the tables.
        if !sql.contains('*') {
            known.truncate(KNOWN - 1);
            known.push(Columns { sql: sql.into(), names: Arc::clone(&names) });
        }
        names
    }
}

/// The value in the first column.
pub(super) fn first<T: FromValue>(row: &rusqlite::Row<'_>) -> Result<T, BadColumn> {
    let bad = |found: &str| {
        let column = row.as_ref().column_name(0).unwrap_or("the first").to_owned();
        BadColumn { column, expected: T::EXPECTED, found: found.to_owned() }
    };
    let value = row.get_ref(0).map(ValueRef::from_sqlite).map_err(|_| bad("no column"))?;
    T::from_value(value).ok_or_else(|| bad(value.kind()))
}

/// One row, valid until the next is read.
pub struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    names: &'r [Box<str>],
    /// Where the next name is looked for first: structs read their columns in the order of the statement.
    next: Cell<usize>,
}

impl<'r> Row<'r> {
    pub(super) fn new(row: &'r rusqlite::Row<'r>, names: &'r [Box<str>]) -> Self {
        Self { row, names, next: Cell::new(0) }
    }

    /// The value in a column.
    ///
    /// # Errors
    /// The value does not fit the type, or the statement has no such column.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, BadColumn> {
        let value = self.value(column)?;
        T::from_value(value).ok_or_else(|| self.bad(column, T::EXPECTED))
    }

    /// The text in a column, borrowed from the row.
    ///
    /// # Errors
    /// The value is not text, or the statement has no such column.
    pub fn text(&self, column: &str) -> Result<&str, BadColumn> {
        match self.value(column)? {
            ValueRef::Text(text) => Ok(text),
            _ => Err(self.bad(column, "text")),
        }
    }

    /// The error for a column whose value does not fit.
    pub fn bad(&self, column: &str, expected: &'static str) -> BadColumn {
        let found = self.value(column).map_or_else(|bad| bad.found, |value| value.kind().to_owned());
        BadColumn { column: column.to_owned(), expected, found }
    }

    /// The row's key as `column=value, ...`, for error messages.
    pub(crate) fn key(&self, columns: &[&str]) -> String {
        let part = |column: &&str| {
            let value = match self.value(column) {
                Ok(ValueRef::Integer(number)) => number.to_string(),
                Ok(ValueRef::Text(text)) => format!("`{}`", text.chars().take(64).collect::<String>()),
                Ok(value) => value.kind().to_owned(),
                Err(_) => "unknown".to_owned(),
            };
            format!("{column}={value}")
        };
        match columns {
            [] => "unnamed".to_owned(),
            columns => columns.iter().map(part).collect::<Vec<_>>().join(", "),
        }
    }

    fn value(&self, column: &str) -> Result<ValueRef<'_>, BadColumn> {
        let missing = || BadColumn {
            column: column.to_owned(),
            expected: "a column of the statement",
            found: "none of that name".to_owned(),
        };
        let guess = self.next.get();
        let index = if self.names.get(guess).is_some_and(|name| **name == *column) {
            guess
        } else {
            self.names.iter().position(|name| name.eq_ignore_ascii_case(column)).ok_or_else(missing)?
        };
        self.next.set(index + 1);
        self.row.get_ref(index).map(ValueRef::from_sqlite).map_err(|_| missing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(known: &KnownColumns, connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap().unwrap();
        known.of(sql, row.as_ref()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_are_kept_for_as_long_as_they_cannot_change() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2);").unwrap();
        let known = KnownColumns::default();
        for _ in 0..2 {
            assert_eq!(names(&known, &connection, "SELECT b, a AS c FROM t"), ["b", "c"]);
            assert_eq!(names(&known, &connection, "SELECT * FROM t"), ["a", "b"]);
        }
        connection.execute_batch("ALTER TABLE t RENAME COLUMN a TO d").unwrap();
        assert_eq!(names(&known, &connection, "SELECT * FROM t"), ["d", "b"]);
        for number in 0..2 * KNOWN {
            assert_eq!(names(&known, &connection, &format!("SELECT b AS x{number} FROM t")), [format!("x{number}")]);
        }
        assert_eq!(known.0.borrow().len(), KNOWN);
    }
}
