//! What can go wrong when a database is opened. In every case the file stays as it was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{ErrorCode, ffi};
use rustix::io::Errno;

use super::context::describe;
use super::file;

/// How many bytes SQLite needs for the index of a log before it reads anything.
const INDEX_BYTES: u64 = 32 << 10;

/// A database that could not be opened: why, and what to do. The file stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path names no file.
    #[error("`{path}` cannot be used as a database path: {reason}; give the path of a file")]
    InvalidPath {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting is out of range.
    #[error("{setting} is {given}, but must be {allowed}")]
    InvalidSetting {
        /// The setting's name.
        setting: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The path names a directory.
    #[error("{path} is a directory; give the path of a database file inside it, such as {path}/bot.db")]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// The folder the file is to be in does not exist.
    #[error("the folder {folder} does not exist; create it, or correct the path")]
    FolderMissing {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder the file is in cannot be written, which SQLite needs for the files beside a database.
    #[error("the folder {folder} cannot be written by this user; change its owner or mode, or use another folder")]
    FolderNotWritable {
        /// The folder.
        folder: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{path} cannot be {action} by this user; change its owner or mode")]
    NotPermitted {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
    },
    /// The file of a read-only source is not there.
    #[error("{path} does not exist, and a read-only source is never made; correct the path, or put the file back")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A database in write-ahead mode that this user can read, in a folder that they cannot write.
    #[error(
        "{path} cannot be read where it is: it is in write-ahead mode, and the files that SQLite needs beside it cannot be made in that folder; `bot db seal {path}` makes a copy that can be read anywhere"
    )]
    NeedsSeal {
        /// The file.
        path: PathBuf,
    },
    /// A read-only file with a journal beside it that would have to be undone first.
    #[error(
        "{path} was left half written by a process that was killed, and only opening it for writing can undo that; open it once without `readonly`"
    )]
    HalfWritten {
        /// The file.
        path: PathBuf,
    },
    /// A read-only file of a version that can only be used after a migration.
    #[error(
        "{path} has version {found}, and is read-only: it can be read as it is from version {oldest} on; open it once without `readonly`, which brings it up to date"
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: i64,
        /// The first version that can be read without a migration.
        oldest: i64,
    },
    /// The file is not the one that this source is known to have.
    #[error("{path} {what}; {remedy}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Another process is in charge of the data directory.
    #[error(
        "{data_dir} is in use by another bot{}; stop it, or give this one a data directory of its own",
        process.map_or_else(String::new, |process| format!(" (process {process})"))
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The other process's id, where it told.
        process: Option<u32>,
    },
    /// The lock of the data directory cannot be taken.
    #[error("{path} cannot be locked ({detail}); it says which process is in charge of the folder")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system answered.
        detail: String,
    },
    /// A file that is only looked at, and of which a look has found that it cannot be used.
    #[error("{reason}")]
    Looked {
        /// Why.
        reason: String,
    },
    /// What the databases remember of chats contradicts the configuration.
    #[error("{detail}")]
    Routes {
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The file is no SQLite database.
    #[error("{path} is not a SQLite database; correct the path, or move the file away to start with a new one")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of some other program.
    #[error("{path} is the database of another program (it has a table `{table}` and none of a bot); correct the path")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// One of its tables.
        table: String,
    },
    /// The file was written by a later release.
    #[error(
        "{path} has {what} version {found}, and this release knows versions up to {known}; use the release that wrote it, or a later one"
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Which of the file's versions.
        what: &'static str,
        /// The version it has.
        found: i64,
        /// The last version that is known.
        known: i64,
    },
    /// The file's version is not a number.
    #[error("{path} has a `db-migration-version` that is not a version number; restore a backup")]
    BadVersion {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{path} is damaged ({detail}); restore a backup, or recover what is left with `sqlite3 FILE .recover`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Other processes held the database for the whole of the timeout.
    #[error("{path} stayed locked by another process for {waited:.1?}; close that process, or try again")]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The file could not be copied before it was raised to this release's version.
    #[error(
        "{path} has to be brought to this release's version, but its copy {backup} could not be written first ({detail}); make room or change the folder's mode"
    )]
    Backup {
        /// The file.
        path: PathBuf,
        /// The copy.
        backup: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The log beside the file is another database's.
    #[error(
        "{log} belongs to another file than {path}, and would be mixed into it; put the file back that it belongs to, or move the log away"
    )]
    ForeignLog {
        /// The file.
        path: PathBuf,
        /// The log.
        log: PathBuf,
    },
    /// The file is missing, but the log of one is there.
    #[error(
        "{path} is {what}, but {log} is there, with writes that belong into it; put the database file back, or move the log away to start anew without them"
    )]
    LogWithoutFile {
        /// The file.
        path: PathBuf,
        /// `missing` or `empty`.
        what: &'static str,
        /// The log.
        log: PathBuf,
    },
    /// The file was put back without the log that it had, or before that.
    #[error(
        "{path} is there without all of its log {log}, in which answered writes stand that are not in the file; put the log beside it; if that is lost for good, restart the bot to go on without these writes"
    )]
    LogMissing {
        /// The file.
        path: PathBuf,
        /// The log.
        log: PathBuf,
    },
    /// The file system does not allow a write-ahead log.
    #[error(
        "{path} is on a file system that does not allow SQLite's write-ahead log (a network folder, perhaps); move it to a local disk"
    )]
    NoLog {
        /// The file.
        path: PathBuf,
    },
    /// The disk has no room left.
    #[error("{path} cannot be opened, the disk is full; make room")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The disk answers with an error.
    #[error("{path} cannot be opened ({detail})")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was answered.
        detail: String,
    },
    /// Anything else that SQLite or the system answered.
    #[error("{path} cannot be opened ({detail})")]
    Other {
        /// The file.
        path: PathBuf,
        /// What was answered.
        detail: String,
    },
}

impl OpenError {
    /// What an error of SQLite means while a file is opened.
    pub(crate) fn from_sqlite(path: &Path, error: &rusqlite::Error, waited: Duration) -> Self {
        let path = path.to_owned();
        let detail = describe(error);
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, detail },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, waited },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::NotPermitted { path, action: "written" },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::SystemIoFailure) if lacks_room_for_index(&path, error) => Self::DiskFull { path },
            Some(ErrorCode::SystemIoFailure) => Self::Io { path, detail },
            _ => Self::Other { path, detail },
        }
    }

    /// What an error of the system means while a file is opened.
    pub(super) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        let (path, detail) = (path.to_owned(), error.to_string());
        let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        if is(Errno::IO) {
            Self::Io { path, detail }
        } else if is(Errno::NOSPC) || is(Errno::DQUOT) {
            Self::DiskFull { path }
        } else {
            Self::Other { path, detail }
        }
    }

    /// Whether what was there is damaged, missing, another file or on a disk that answers with errors; anything else
    /// passes, or is mended, with the file as it is.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Directory { .. }
            | Self::Missing { .. }
            | Self::Identity { .. }
            | Self::NotADatabase { .. }
            | Self::Foreign { .. }
            | Self::BadVersion { .. }
            | Self::Damaged { .. }
            | Self::ForeignLog { .. }
            | Self::LogWithoutFile { .. }
            | Self::LogMissing { .. }
            | Self::Io { .. } => true,
            Self::InvalidPath { .. }
            | Self::InvalidSetting { .. }
            | Self::FolderMissing { .. }
            | Self::FolderNotWritable { .. }
            | Self::NotPermitted { .. }
            | Self::NeedsSeal { .. }
            | Self::HalfWritten { .. }
            | Self::TooOld { .. }
            | Self::InUse { .. }
            | Self::Lock { .. }
            | Self::Routes { .. }
            | Self::Looked { .. }
            | Self::NewerVersion { .. }
            | Self::Locked { .. }
            | Self::Backup { .. }
            | Self::NoLog { .. }
            | Self::DiskFull { .. }
            | Self::Other { .. } => false,
        }
    }
}

/// Whether SQLite could not make the index beside a log for want of room, which it calls an I/O error.
fn lacks_room_for_index(path: &Path, error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let free = || file::free_bytes(&file::folder_of(&file::log_of(path)));
    code == Some(ffi::SQLITE_IOERR_SHMSIZE) && free().is_some_and(|free| free < INDEX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqlite_answers_while_a_file_is_opened_is_told_by_what_is_to_be_done() {
        let said = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::from_sqlite(Path::new("a.db"), &error, Duration::from_secs(2)).to_string()
        };
        for (code, expected) in [
            (ffi::SQLITE_NOTADB, "a.db is not a SQLite database; correct the path"),
            (ffi::SQLITE_CORRUPT, "a.db is damaged ("),
            (ffi::SQLITE_BUSY, "a.db stayed locked by another process for 2.0s; close that process"),
            (ffi::SQLITE_LOCKED, "a.db stayed locked by another process for 2.0s; close that process"),
            (ffi::SQLITE_READONLY, "a.db cannot be written by this user; change its owner or mode"),
            (ffi::SQLITE_PERM, "a.db cannot be written by this user; change its owner or mode"),
            (ffi::SQLITE_FULL, "a.db cannot be opened, the disk is full; make room"),
            (ffi::SQLITE_IOERR, "a.db cannot be opened (Error code 10: disk I/O error"),
            (ffi::SQLITE_CANTOPEN, "a.db cannot be opened ("),
        ] {
            assert!(said(code).starts_with(expected), "{code}: {}", said(code));
        }
    }

    #[test]
    fn a_file_is_lost_only_where_it_is_no_good_as_it_is() {
        let is_lost = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::from_sqlite(Path::new("a.db"), &error, Duration::from_secs(2)).is_lost()
        };
        for code in [ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT, ffi::SQLITE_IOERR] {
            assert!(is_lost(code), "{code}");
        }
        let passing = [ffi::SQLITE_BUSY, ffi::SQLITE_FULL, ffi::SQLITE_PERM, ffi::SQLITE_CANTOPEN, ffi::SQLITE_NOMEM];
        for code in passing {
            assert!(!is_lost(code), "{code}");
        }
        let of_io = |code| OpenError::from_io(Path::new("a.db"), &std::io::Error::from_raw_os_error(code)).is_lost();
        assert!(of_io(Errno::IO.raw_os_error()));
        for errno in [Errno::MFILE, Errno::NOSPC, Errno::DQUOT] {
            assert!(!of_io(errno.raw_os_error()), "{errno}");
        }
    }
}
