//! A row of an answer, read by column name.

use std::cell::Cell;

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

/// One row, valid until the next is read.
pub struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    /// Where the next name is looked for first: structs read their columns in the order of the statement.
    next: Cell<usize>,
}

impl<'r> Row<'r> {
    pub(crate) fn new(row: &'r rusqlite::Row<'r>) -> Self {
        Self { row, next: Cell::new(0) }
    }

    /// The value in a column.
    ///
    /// # Errors
    /// The value does not fit the type, or the statement has no such column.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, BadColumn> {
        let value = self.value(column)?;
        T::from_value(value).ok_or_else(|| self.bad(column, T::EXPECTED))
    }

    /// The value in the first column.
    pub(crate) fn first<T: FromValue>(&self) -> Result<T, BadColumn> {
        let column = self.row.as_ref().column_name(0).unwrap_or("the first");
        self.get(column)
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
        let statement = self.row.as_ref();
        let guess = self.next.get();
        let index = if statement.column_name(guess).is_ok_and(|name| name == column) {
            guess
        } else {
            statement.column_index(column).map_err(|_| missing())?
        };
        self.next.set(index + 1);
        self.row.get_ref(index).map(ValueRef::from_sqlite).map_err(|_| missing())
    }
}
