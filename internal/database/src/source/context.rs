//! What every statement of one call shares: whose call it is, and how SQLite's errors read in its terms.

use std::time::Duration;

use rusqlite::ErrorCode;

use super::row::{BadColumn, FromRow, Row};
use crate::error::{Error, ErrorKind};
use crate::route::SourceName;

/// The call that statements belong to.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) op: &'static str,
    pub(crate) source: &'a SourceName,
    pub(crate) timeout: Duration,
}

impl Context<'_> {
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.op, self.source, kind)
    }

    pub(crate) fn sqlite(&self, error: &rusqlite::Error) -> Error {
        self.error(classify(error, self.timeout))
    }

    /// A closure passed over an error that had ended its transaction.
    pub(crate) fn transaction_gone(&self) -> Error {
        let detail = "an earlier statement ended the whole transaction: nothing of it was kept".to_owned();
        self.error(ErrorKind::Statement { detail })
    }

    pub(crate) fn bad_row<T: FromRow>(&self, row: &Row<'_>, bad: BadColumn) -> Error {
        self.bad_value(T::TABLE, row.key(T::KEY), bad)
    }

    pub(crate) fn bad_value(&self, table: &'static str, row: String, bad: BadColumn) -> Error {
        let BadColumn { column, expected, found } = bad;
        self.error(ErrorKind::BadValue { table, column, row, expected, found })
    }
}

/// What an error of SQLite means to a caller.
fn classify(error: &rusqlite::Error, timeout: Duration) -> ErrorKind {
    let detail = describe(error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy { waited: timeout },
        Some(
            ErrorCode::OutOfMemory
            | ErrorCode::OperationAborted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged,
        ) => ErrorKind::Passing { detail },
        Some(ErrorCode::OperationInterrupted) => ErrorKind::TimedOut { timeout },
        Some(ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => ErrorKind::ReadOnly,
        Some(ErrorCode::DiskFull) => ErrorKind::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Damaged { detail },
        Some(ErrorCode::ConstraintViolation) => ErrorKind::Constraint { detail },
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ErrorKind::Io { detail }
        }
        _ => ErrorKind::Statement { detail },
    }
}

/// SQLite's own words: they name tables and columns, never values, since values are always parameters.
pub(crate) fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) => format!("{message}, code {}", code.extended_code),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
