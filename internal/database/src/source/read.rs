//! What a read's closure is given: statements that return rows, on a connection that cannot write.

use std::cell::Cell;
use std::ops::ControlFlow;

use rusqlite::CachedStatement;
use rusqlite::types::ValueRef as SqliteRef;

use super::connection::Link;
use super::context::Context;
use super::row::{self, BadColumn, FromRow, Row};
use super::snapshot::Entrance;
use super::value::{FromValue, ValueRef, bind, bind_stored};
use super::write::begins_with;
use crate::error::{ErrorKind, Result};
use crate::params;

/// What begins a snapshot.
const BEGIN: &str = "BEGIN";

/// One read. A single statement sees one moment of the database by itself; a read of several says
/// [`ReadTx::snapshot`] first, so that all of them see the same moment.
pub struct ReadTx<'a> {
    link: &'a Link,
    context: Context<'a>,
    statements: Cell<u32>,
    held: Cell<bool>,
    /// Where its first statement comes to its snapshot, if that is not a new one in any case.
    entrance: Cell<Option<Entrance<'a>>>,
}

impl<'a> ReadTx<'a> {
    pub(super) fn new(link: &'a Link, context: Context<'a>) -> Self {
        let (statements, held, entrance) = (Cell::new(0), Cell::new(false), Cell::new(None));
        Self { link, context, statements, held, entrance }
    }

    /// The same for a read on a connection that may be in a snapshot which an earlier one has left open.
    pub(super) fn entering(self, entrance: Entrance<'a>) -> Self {
        self.entrance.set(Some(entrance));
        self
    }

    /// Makes all further statements of this read see the same moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn snapshot(&self) -> Result<()> {
        self.enter()?;
        if !self.held.get() && !self.link.in_snapshot.get() {
            let mut begin = self.prepare(BEGIN)?;
            begin.raw_execute().map_err(|error| self.context.sqlite(&error))?;
            self.link.prepared.used(&self.link.connection, BEGIN, &begin);
        }
        self.held.set(true);
        Ok(())
    }

    /// All rows of the answer.
    ///
    /// # Errors
    /// The statement fails, or a value does not fit.
    pub fn query<T: FromRow>(&self, sql: &str, params: &[ValueRef<'_>]) -> Result<Vec<T>> {
        let mut answer = Vec::new();
        self.scan(sql, params, |row| {
            answer.push(self.struct_of(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(answer)
    }

    /// The first row of the answer, or `None` where there is none.
    ///
    /// # Errors
    /// The statement fails, or a value does not fit.
    pub fn query_one<T: FromRow>(&self, sql: &str, params: &[ValueRef<'_>]) -> Result<Option<T>> {
        let mut answer = None;
        self.scan(sql, params, |row| {
            answer = Some(self.struct_of(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(answer)
    }

    /// One column of the first row of the answer, or `None` where there is no row.
    ///
    /// # Errors
    /// The statement fails, or the value does not fit.
    pub fn value<T: FromValue>(&self, table: &'static str, sql: &str, params: &[ValueRef<'_>]) -> Result<Option<T>> {
        let mut answer = None;
        self.visit(sql, params, |row| {
            answer = Some(row::first(row).map_err(|bad| self.bad_value(table, "the first of the answer", bad))?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(answer)
    }

    /// Whether there is a table: a file of an earlier release that is only read may have none of ours.
    pub(crate) fn has_table(&self, table: &str) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        self.value::<i64>("sqlite_schema", sql, params![table]).map(|count| count == Some(1))
    }

    /// Visits the rows one by one without keeping them, until the visitor breaks off.
    ///
    /// # Errors
    /// The statement fails, or the visitor does.
    pub fn scan(
        &self,
        sql: &str,
        params: &[ValueRef<'_>],
        mut visit: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut columns = None;
        self.visit(sql, params, |row| {
            // Not before the first row: only then has SQLite looked whether the schema has changed.
            let columns = columns.get_or_insert_with(|| self.link.columns.of(sql, row.as_ref()));
            visit(&Row::new(row, columns))
        })
    }

    /// Visits the rows as rusqlite gives them.
    fn visit(
        &self,
        sql: &str,
        params: &[ValueRef<'_>],
        mut visit: impl FnMut(&rusqlite::Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if !sql.starts_with("SELECT ") && !begins_with(sql, &["SELECT", "WITH", "VALUES", "EXPLAIN"]) {
            let detail = "a read is made of SELECT, WITH and VALUES; changes, transactions, pragmas and other databases are not its own";
            return Err(self.context.error(ErrorKind::Statement { detail: detail.to_owned() }));
        }
        let mut statement = self.prepare(sql)?;
        if self.link.may_write() && !statement.readonly() {
            return Err(self.context.error(ErrorKind::ReadOnly));
        }
        let failed = |error: rusqlite::Error| self.context.sqlite(&error);
        bind(&mut statement, params).map_err(failed)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            if visit(row)?.is_break() {
                break;
            }
        }
        drop(rows);
        self.link.prepared.used(&self.link.connection, sql, &statement);
        Ok(())
    }

    /// Visits rows exactly as SQLite has them, found by values as SQLite has them.
    pub(crate) fn scan_stored(
        &self,
        sql: &str,
        params: &[SqliteRef<'_>],
        mut visit: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        let failed = |error: rusqlite::Error| self.context.sqlite(&error);
        bind_stored(&mut statement, params.iter().copied()).map_err(failed)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            if visit(row).map_err(failed)?.is_break() {
                break;
            }
        }
        drop(rows);
        self.link.prepared.used(&self.link.connection, sql, &statement);
        Ok(())
    }

    /// The error for a row whose column does not fit.
    pub fn bad_value(&self, table: &'static str, row: &str, bad: BadColumn) -> crate::Error {
        self.context.bad_value(table, row.to_owned(), bad)
    }

    fn struct_of<T: FromRow>(&self, row: &Row<'_>) -> Result<T> {
        T::from_row(row).map_err(|bad| self.context.bad_row::<T>(row, bad))
    }

    /// Comes to its snapshot: that of the moment of its first statement, or one that is as good.
    #[inline]
    fn enter(&self) -> Result<()> {
        match self.entrance.take() {
            None => Ok(()),
            Some(entrance) => entrance.enter(self.link).map_err(|error| self.context.sqlite(&error)),
        }
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'a>> {
        let earlier = self.statements.replace(self.statements.get() + 1);
        debug_assert!(
            earlier == 0 || self.held.get(),
            "{}: a read of several statements says `snapshot` first",
            self.context.op
        );
        self.enter()?;
        self.link.connection.prepare_cached(sql).map_err(|error| self.context.sqlite(&error))
    }
}

impl Drop for ReadTx<'_> {
    fn drop(&mut self) {
        if self.held.get() && !self.link.in_snapshot.get() && !self.link.connection.is_autocommit() {
            // A read has nothing to lose; a connection that cannot even end it is found broken by its next call.
            let _ = self.link.connection.execute_batch("ROLLBACK");
        }
    }
}
