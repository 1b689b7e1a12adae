//! How a copy is not what was copied.

use std::fmt;

/// A row that is not the same at both places.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row's key; numbers only where the key has words of people.
    pub row: String,
    /// What is different.
    pub what: Unlike,
}

/// How a row is not the same at both places.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlike {
    /// The copy does not have it.
    Missing,
    /// Only the copy has it.
    Extra,
    /// These columns are different.
    Columns(Vec<String>),
    /// So many rows have no key, so that they cannot be told apart.
    WithoutKey(u64),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, what } = self;
        match what {
            Unlike::Missing => write!(f, "table `{table}` lacks the row {row}"),
            Unlike::Extra => write!(f, "table `{table}` has a row too many: {row}"),
            Unlike::Columns(columns) => write!(f, "table `{table}`, row {row}, differs in {}", columns.join(", ")),
            Unlike::WithoutKey(count) => write!(f, "table `{table}` has rows without a key ({count})"),
        }
    }
}
