//! What can go wrong once a database is open; opening it has errors of its own ([`OpenError`](crate::OpenError)).

use std::fmt;
use std::time::Duration;

use crate::route::SourceName;

/// The result of a call on a database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call on a database that failed: which operation, on which source, and why.
///
/// Never carries message text, tokens or passwords.
#[derive(Clone, Debug)]
pub struct Error(Box<Failure>);

#[derive(Clone, Debug)]
struct Failure {
    op: &'static str,
    source: SourceName,
    kind: ErrorKind,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A row with this key is already there; nothing was changed.
    #[error("it is already there; nothing was changed")]
    Duplicate,
    /// The row that was to be changed is not there; nothing was changed.
    #[error("it is not there; nothing was changed")]
    NotFound,
    /// Others held the database for the whole of the source's `timeout`.
    #[error("the database stayed busy for {waited:.1?}; nothing was changed, try again")]
    Busy {
        /// How long the call waited.
        waited: Duration,
    },
    /// The call ran longer than the source's `timeout` and was stopped.
    #[error("it took longer than the timeout of {timeout:.1?} and was stopped; nothing was changed")]
    TimedOut {
        /// The source's `timeout`.
        timeout: Duration,
    },
    /// The source cannot be opened; others go on.
    #[error("the source is unavailable ({reason}); nothing was changed")]
    SourceUnavailable {
        /// Why, and what to do.
        reason: String,
    },
    /// The chat's source is away, and the call is one that was to be made there alone.
    #[error(
        "the chat's database is away, and nobody can stand in for it in this; nothing was changed, try again when it is back"
    )]
    Displaced,
    /// The chat has come home, or was moved, while the call waited. Calls are made again by themselves; one that
    /// answers so met it several times in a row.
    #[error("the chat's rows went to another source meanwhile; nothing was changed, try again")]
    Moved,
    /// The source cannot be written.
    #[error("the source is read-only; nothing was changed")]
    ReadOnly,
    /// A write was asked for on a wrapper that names a source explicitly, which is for reads only.
    #[error("naming a source explicitly is for reads; writes go where the chat's route says")]
    ExplicitWrite,
    /// The named source does not exist.
    #[error("there is no such source; known are: {known}")]
    UnknownSource {
        /// The names there are.
        known: String,
    },
    /// A write was started inside the closure of another write, which would wait for itself.
    #[error("a write inside a write would wait for itself; do both in one closure")]
    NestedWrite,
    /// A read was started inside the closure of a write, which must not act on what it finds.
    #[error(
        "a read inside a write: a write must not act on what is stored; read first, or put the condition into the SQL"
    )]
    NestedRead,
    /// The wrapper was closed.
    #[error("the database was closed")]
    Closed,
    /// The disk has no room left.
    #[error("the disk is full: free some space; nothing was changed")]
    DiskFull,
    /// The database's file was removed or another was put in its place while it was open.
    #[error(
        "the database file was moved, removed or replaced while it was open; put it back, what was being written may be in it"
    )]
    FileReplaced,
    /// The database is damaged.
    #[error("the database is damaged ({detail}); restore a backup")]
    Damaged {
        /// What SQLite found.
        detail: String,
    },
    /// A stored value does not fit its column's meaning.
    #[error("table `{table}`, column `{column}`, row {row}: expected {expected}, found {found}")]
    BadValue {
        /// The table the row is in.
        table: &'static str,
        /// The column.
        column: String,
        /// The row's key.
        row: String,
        /// What the column should hold.
        expected: &'static str,
        /// What kind of value it holds (never the value itself).
        found: String,
    },
    /// A chat cannot go on with this one: each has one successor and one predecessor, and no chain ends in itself.
    #[error("the group cannot go on as this supergroup: {reason}; nothing was changed")]
    NoSuccessor {
        /// What stands against it.
        reason: &'static str,
    },
    /// A rule of the schema forbids the change; nothing was changed.
    #[error("the schema does not allow it ({detail}); nothing was changed")]
    Constraint {
        /// Which rule, by table and column.
        detail: String,
    },
    /// The file could not be read or written.
    #[error("the file could not be read or written ({detail})")]
    Io {
        /// What the system answered.
        detail: String,
    },
    /// It is not known whether the write was kept: ending its transaction failed.
    #[error("it is not known whether the write was kept ({detail}); look before writing it again")]
    OutcomeUnknown {
        /// What failed.
        detail: String,
    },
    /// SQLite could not do it at this moment, for a reason that is not the statement's own.
    #[error("the database could not do it now ({detail}); nothing was changed, try again")]
    Passing {
        /// What SQLite answered.
        detail: String,
    },
    /// SQLite refused the statement.
    #[error("the database refused the statement ({detail})")]
    Statement {
        /// What SQLite answered.
        detail: String,
    },
}

impl Error {
    pub(crate) fn new(op: &'static str, source: &SourceName, kind: ErrorKind) -> Self {
        Self(Box::new(Failure { op, source: source.clone(), kind }))
    }

    /// The operation that failed, as `room.method`.
    pub fn op(&self) -> &'static str {
        self.0.op
    }

    /// The source that it failed on.
    pub fn source_name(&self) -> &SourceName {
        &self.0.source
    }

    /// Why it failed.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the source cannot answer anybody now, whatever is asked of it.
    pub(crate) fn is_unanswered(&self) -> bool {
        use ErrorKind as K;
        matches!(
            self.kind(),
            K::SourceUnavailable { .. }
                | K::Busy { .. }
                | K::TimedOut { .. }
                | K::FileReplaced
                | K::Damaged { .. }
                | K::Io { .. }
                | K::DiskFull
        )
    }

    /// Whether nothing was done because the source was not there: elsewhere it may be done.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.kind(), ErrorKind::SourceUnavailable { .. } | ErrorKind::Moved)
    }

    /// Why the source is taken for unavailable from now on, if it is. Being busy, full or misused is no such reason.
    pub(crate) fn outage(&self) -> Option<String> {
        use ErrorKind as K;
        match self.kind() {
            K::FileReplaced => {
                Some("its file was moved, removed or replaced while it was open; put the right one back".to_owned())
            }
            // It ended in the middle of a commit: what comes next is better asked of a file that was opened anew.
            kind @ (K::OutcomeUnknown { .. } | K::Damaged { .. } | K::Io { .. }) => Some(kind.to_string()),
            _ => None,
        }
    }

    /// Whether the row was already there.
    pub fn is_duplicate(&self) -> bool {
        matches!(self.kind(), ErrorKind::Duplicate)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { op, source, kind } = &*self.0;
        write!(f, "{op} on source `{source}`: {kind}")
    }
}

impl std::error::Error for Error {}
