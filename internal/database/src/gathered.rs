//! Answers put together from every source.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Deref;

use crate::ids::ChatId;
use crate::route::SourceName;

/// The rows of every source that answered, in one order, and what is missing. Behaves as the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered<T> {
    rows: Vec<T>,
    missing: Vec<Missing>,
}

/// A source that could not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The source.
    pub source: SourceName,
    /// Why its rows are missing.
    pub reason: String,
}

impl<T> Gathered<T> {
    pub(crate) fn new(rows: Vec<T>, missing: Vec<Missing>) -> Self {
        Self { rows, missing }
    }

    /// The rows alone.
    pub fn into_rows(self) -> Vec<T> {
        self.rows
    }

    /// The sources whose rows are missing; empty where the answer is complete.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }
}

impl<T> Deref for Gathered<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows
    }
}

impl<T> IntoIterator for Gathered<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Gathered<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

/// How the rows of several sources become one answer.
pub struct Merge<T, K, O> {
    /// The chat that a row belongs to: of two copies the one from the source that owns the chat is taken.
    pub chat: fn(&T) -> ChatId,
    /// What makes two rows copies of one.
    pub key: fn(&T) -> K,
    /// The order of the answer: total, so that it is the same however the rows are spread.
    pub order: fn(&T) -> O,
    /// How many rows at most, counted after merging.
    pub limit: Option<usize>,
}

impl<T, K: Eq + Hash, O: Ord> Merge<T, K, O> {
    /// One answer of the rows of several sources; `owned` tells whether the source that a row is from owns its chat.
    /// Where several copies are equally good the earliest source wins.
    pub(crate) fn apply(&self, mut from: Vec<(bool, T)>) -> Vec<T> {
        from.sort_by_key(|(owned, _)| !owned);
        let mut seen = HashSet::with_capacity(from.len());
        let mut rows: Vec<T> =
            from.into_iter().map(|(_, row)| row).filter(|row| seen.insert((self.key)(row))).collect();
        rows.sort_by_cached_key(self.order);
        rows.truncate(self.limit.unwrap_or(usize::MAX));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_row_wins_then_the_earlier_source_and_the_limit_counts_merged_rows() {
        let merge: Merge<(i64, &str), i64, i64> =
            Merge { chat: |row| ChatId(row.0), key: |row| row.0, order: |row| -row.0, limit: Some(2) };
        let from = vec![
            (false, (1, "copy")),
            (false, (2, "first")),
            (true, (1, "owner")),
            (false, (2, "second")),
            (true, (0, "cut")),
        ];
        assert_eq!(merge.apply(from), [(2, "first"), (1, "owner")]);
    }
}
