//! What a write's closure is given: statements that change rows, recorded where a recording is wanted.

use rusqlite::types::ValueRef as SqliteRef;

use super::connection::Link;
use super::context::Context;
use super::operation::{Changed, Refusal, Step};
use super::value::{Value, ValueRef, bind, bind_stored};
use crate::error::{ErrorKind, Result};

/// One write: statements in one transaction, all kept or none.
///
/// A write is blind: it cannot read, and learns of its statements' effect only through [`WriteTx::require`] and
/// [`WriteTx::only_if`]. That is what makes it replayable on another database. Conditions on data go into the SQL.
pub struct WriteTx<'a> {
    /// `None` where it is only recorded.
    link: Option<&'a Link>,
    context: Context<'a>,
    recording: Option<Vec<Step>>,
    statements: u32,
    /// In the body of an `only_if` whose condition does not hold, after a refusal that is for another to judge, or where
    /// nothing is run at all: recorded, not run.
    skipping: bool,
    /// Whether it is made in the place of a source that is away, which judges by rows of its own.
    is_elsewhere: bool,
    /// What the caller is told, where it is.
    refused: Option<Refusal>,
    /// Whether a statement has failed, or was refused.
    has_failed: bool,
}

impl<'a> WriteTx<'a> {
    pub(super) fn new(link: &'a Link, context: Context<'a>, record: bool) -> Self {
        Self::on(Some(link), context, record.then(Vec::new))
    }

    /// One that is recorded and not made.
    pub(super) fn only_recorded(context: Context<'a>) -> Self {
        Self::on(None, context, Some(Vec::new()))
    }

    fn on(link: Option<&'a Link>, context: Context<'a>, recording: Option<Vec<Step>>) -> Self {
        Self {
            link,
            context,
            recording,
            statements: 0,
            skipping: link.is_none(),
            is_elsewhere: false,
            refused: None,
            has_failed: false,
        }
    }

    /// The same, made in the place of a source that is away. Where that is refused here it may be accepted there: so all
    /// of it is recorded, and the refusal kept.
    pub(super) fn elsewhere(self) -> Self {
        Self { is_elsewhere: true, ..self }
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The statement fails: the whole write is then undone.
    pub fn execute(&mut self, sql: &str, params: &[ValueRef<'_>]) -> Result<Changed> {
        let statement = self.statements;
        self.statements += 1;
        if let Some(steps) = &mut self.recording {
            let params = params.iter().map(|param| param.to_value()).collect();
            steps.push(Step::Execute { sql: sql.to_owned(), params });
        }
        let rows = if self.skipping { 0 } else { self.run(sql, params).inspect_err(|_| self.has_failed = true)? };
        Ok(Changed { statement, rows })
    }

    /// Goes on only where the statement has changed a row; otherwise nothing of the write is kept and the caller is
    /// told.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] or [`ErrorKind::NotFound`], as asked for.
    pub fn require(&mut self, changed: Changed, otherwise: Refusal) -> Result<()> {
        if let Some(steps) = &mut self.recording {
            steps.push(Step::Require { changed: changed.statement, otherwise });
        }
        if changed.rows > 0 || self.skipping {
            return Ok(());
        }
        if self.is_elsewhere && self.recording.is_some() {
            self.refused = Some(otherwise);
            self.skipping = true;
            return Ok(());
        }
        self.has_failed = true;
        Err(self.context.error(otherwise.into()))
    }

    /// Whoever makes a write from its steps ends at the first that fails, so its closure must not go on after one.
    pub(super) fn check_nothing_failed(&self) -> Result<()> {
        if self.has_failed {
            return Err(self.malformed("a delegated write went on after a statement that failed".to_owned()));
        }
        Ok(())
    }

    /// Takes further steps only where the statement has changed a row.
    ///
    /// # Errors
    /// Those of the body.
    pub fn only_if(&mut self, changed: Changed, then: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let holds = changed.rows > 0;
        let Some(outer) = self.recording.take() else {
            return if holds { then(self) } else { Ok(()) };
        };
        // The body is recorded whether it runs or not: where the write is made again its condition may hold.
        let skipping = self.skipping;
        self.skipping |= !holds;
        self.recording = Some(Vec::new());
        let result = then(self);
        let body = self.recording.replace(outer).unwrap_or_default();
        self.skipping = skipping || self.refused.is_some();
        if let Some(steps) = &mut self.recording {
            steps.push(Step::OnlyIf { changed: changed.statement, then: body });
        }
        result
    }

    /// Runs a statement once for each row of values exactly as SQLite has them, and answers how many rows that changed.
    /// For what moves rows between sources: it is no part of any recording.
    pub(crate) fn execute_stored<'v, R: IntoIterator<Item = SqliteRef<'v>>>(
        &mut self,
        sql: &str,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<u64> {
        let link = self.link()?;
        let run = || {
            let mut statement = link.connection.prepare_cached(sql)?;
            let mut changed = 0;
            for row in rows {
                bind_stored(&mut statement, row)?;
                changed += statement.raw_execute()? as u64;
            }
            link.prepared.used(&link.connection, sql, &statement);
            Ok(changed)
        };
        run().map_err(|error| self.context.sqlite(&error))
    }

    /// Takes recorded steps again.
    pub(crate) fn replay(&mut self, steps: &[Step]) -> Result<()> {
        self.replay_into(steps, &mut Vec::new())
    }

    fn replay_into(&mut self, steps: &[Step], done: &mut Vec<Changed>) -> Result<()> {
        let unknown = |number: u32| format!("a recorded step speaks of statement {number}, which does not come before");
        for step in steps {
            match step {
                Step::Execute { sql, params } => {
                    let params: Vec<_> = params.iter().map(Value::as_ref).collect();
                    done.push(self.execute(sql, &params)?);
                }
                Step::Require { changed, otherwise } => {
                    let changed = *done.get(*changed as usize).ok_or_else(|| self.malformed(unknown(*changed)))?;
                    self.require(changed, *otherwise)?;
                }
                Step::OnlyIf { changed, then } => {
                    let changed = *done.get(*changed as usize).ok_or_else(|| self.malformed(unknown(*changed)))?;
                    let before = done.len();
                    self.only_if(changed, |tx| tx.replay_into(then, done))?;
                    if done.len() == before {
                        skip(then, done);
                    }
                }
            }
        }
        Ok(())
    }

    /// What was recorded; nothing further is.
    pub(super) fn take_recording(&mut self) -> Option<Vec<Step>> {
        self.recording.take()
    }

    /// The refusal that was kept. What comes after it is run again.
    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        let refused = self.refused.take();
        self.skipping &= refused.is_none();
        refused
    }

    fn run(&self, sql: &str, params: &[ValueRef<'_>]) -> Result<u64> {
        let is_change = sql.starts_with("INSERT ")
            || sql.starts_with("UPDATE ")
            || begins_with(sql, &["INSERT", "UPDATE", "DELETE", "WITH", "REPLACE"]);
        if !is_change && !alters_schema(sql) {
            return Err(self.malformed(
                "a write is made of INSERT, UPDATE, DELETE and WITH, and of CREATE, ALTER and DROP; transactions, \
                 pragmas and other databases are not its own"
                    .to_owned(),
            ));
        }
        let link = self.link()?;
        // It would be kept at once and by itself.
        if link.connection.is_autocommit() {
            return Err(self.context.transaction_gone());
        }
        if !is_change {
            link.prepared.changes();
        }
        let run = || {
            let mut statement = link.connection.prepare_cached(sql)?;
            bind(&mut statement, params)?;
            let rows = statement.raw_execute()?;
            link.prepared.used(&link.connection, sql, &statement);
            Ok(rows)
        };
        // SQLite leaves the count of the last change where a statement changes no rows.
        run().map(|rows| if is_change { rows as u64 } else { 0 }).map_err(|error| self.context.sqlite(&error))
    }

    fn link(&self) -> Result<&'a Link> {
        self.link.ok_or_else(|| self.malformed("it is only recorded, and nothing is to be run".to_owned()))
    }

    pub(super) fn malformed(&self, detail: String) -> crate::Error {
        self.context.error(ErrorKind::Statement { detail })
    }
}

/// Whether a statement changes what tables there are.
pub(super) fn alters_schema(sql: &str) -> bool {
    begins_with(sql, &["CREATE", "ALTER", "DROP"])
}

/// Whether a statement begins with one of these words.
pub(super) fn begins_with(sql: &str, words: &[&str]) -> bool {
    let sql = sql.as_bytes().trim_ascii_start();
    words.iter().any(|word| {
        sql.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()))
            && sql.get(word.len()).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_')
    })
}

/// Counts the statements of a body that is not run, so that later ones keep their numbers.
fn skip(steps: &[Step], done: &mut Vec<Changed>) {
    for step in steps {
        match step {
            Step::Execute { .. } => {
                let statement = u32::try_from(done.len()).unwrap_or(u32::MAX);
                done.push(Changed { statement, rows: 0 });
            }
            Step::Require { .. } => {}
            Step::OnlyIf { then, .. } => skip(then, done),
        }
    }
}
