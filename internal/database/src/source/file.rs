//! The file of a database, seen from outside: `stat` and nothing else.
//!
//! Opening and closing a database file by other means than SQLite would drop the locks that SQLite holds in this
//! process (they belong to the process and go with *any* close), and acknowledged commits would be lost.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::open_error::OpenError;

/// Which file a path leads to: stays the same while the file does, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    /// The file that the path leads to now, or `None` where there is none (or it cannot be looked at).
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for FileId {
    fn from(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Whether there is anything at a path yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No file.
    Missing,
    /// A file that has no bytes.
    Empty,
    /// A file with something in it.
    File,
}

/// Looks at a path before SQLite does, for clear answers to what is wrong with it.
pub(super) fn look(path: &Path) -> Result<Found, OpenError> {
    check_name(path)?;
    let folder = folder_of(path);
    let found = length(path)?;
    if !folder.is_dir() {
        return Err(OpenError::FolderMissing { folder });
    }
    if found.is_some() {
        for (access, action) in [(Access::READ_OK, "read"), (Access::WRITE_OK, "written")] {
            check_access(path, access, action)?;
        }
    }
    if !may_write(&folder) {
        return Err(OpenError::FolderNotWritable { folder });
    }
    refuse_log_without_file(path, found)?;
    match found {
        None => Ok(Found::Missing),
        Some(0) => Ok(Found::Empty),
        // SQLite takes a file of one byte for an empty one.
        Some(1) => Err(OpenError::NotADatabase { path: path.to_owned() }),
        Some(_) => Ok(Found::File),
    }
}

/// Whether there is nothing at a path yet, and a database can be made there.
pub(crate) fn can_be_made(path: &Path) -> Result<bool, OpenError> {
    Ok(look(path)? != Found::File)
}

/// Looks at a path of which nothing is to be changed.
pub(super) fn look_readonly(path: &Path) -> Result<(), OpenError> {
    check_name(path)?;
    match length(path)? {
        None => Err(OpenError::Missing { path: path.to_owned() }),
        Some(0 | 1) => Err(OpenError::NotADatabase { path: path.to_owned() }),
        Some(_) => check_access(path, Access::READ_OK, "read"),
    }
}

/// How a database can be read so that nothing is different afterwards.
pub(super) enum WayIn {
    /// Its log is there, and stays: a connection that cannot write leaves everything as it is.
    Reader,
    /// No log is there; a connection that may make one takes it away again.
    Probe,
    /// There is none, for this reason.
    Writes(&'static str),
}

/// How a file can be looked at.
pub(super) fn way_in(path: &Path) -> WayIn {
    let length = |suffix| fs::metadata(beside(path, suffix)).ok().map(|found| found.len());
    if length("-journal").is_some_and(|length| length > 0) {
        return WayIn::Writes("a write that was interrupted has to be rolled back first");
    }
    match (length("-wal"), length("-shm")) {
        (Some(_), Some(_)) => WayIn::Reader,
        (None, None) if !may_write(&folder_of(path)) => WayIn::Reader,
        (None, None) if check_access(path, Access::WRITE_OK, "written").is_ok() => WayIn::Probe,
        (None, None) => WayIn::Writes("without leave to write it SQLite may leave files beside it"),
        _ => WayIn::Writes("its log has to be made whole first"),
    }
}

/// Whether there is a file with something in it, for somebody who only looks.
pub(super) fn is_there(path: &Path, readonly: bool) -> Result<bool, OpenError> {
    if readonly {
        return look_readonly(path).map(|()| true);
    }
    check_name(path)?;
    let found = length(path)?;
    refuse_log_without_file(path, found)?;
    if found.is_none_or(|length| length == 0) { Ok(false) } else { look_readonly(path).map(|()| true) }
}

/// How many bytes a database has, its log included; `None` where it cannot be looked at.
pub(super) fn bytes(path: &Path) -> Option<u64> {
    let length = |path: &Path| fs::metadata(path).ok().map(|found| found.len());
    Some(length(path)? + length(&beside(path, "-wal")).unwrap_or_default())
}

/// Whether reading a database needs files beside it that are not there and that this user cannot make.
pub(super) fn lacks_log(path: &Path) -> bool {
    let is_there = |suffix| beside(path, suffix).exists();
    let has_all = is_there("-wal") && is_there("-shm");
    !has_all && !may_write(&folder_of(path))
}

/// How many bytes the file has, or `None` where there is none.
fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(OpenError::Directory { path: path.to_owned() }),
        Ok(found) if !found.is_file() => {
            Err(OpenError::InvalidPath { path: path.to_owned(), reason: "it is a device, a pipe or a socket" })
        }
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(OpenError::NotPermitted { path: path.to_owned(), action: "read" })
        }
        Err(error) => Err(OpenError::from_io(path, &error)),
    }
}

fn check_access(path: &Path, access: Access, action: &'static str) -> Result<(), OpenError> {
    accessat(CWD, path, access, AtFlags::EACCESS).map_err(|_| OpenError::NotPermitted { path: path.to_owned(), action })
}

/// Whether this user may write a file, or make files in a folder.
pub(crate) fn may_write(path: &Path) -> bool {
    let access = if path.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// SQLite would drop a log whose file is not there, and with it what was acknowledged. (An empty file may have a
/// rollback journal: a process that was killed while it made the file leaves that.)
fn refuse_log_without_file(path: &Path, found: Option<u64>) -> Result<(), OpenError> {
    let (what, logs): (_, &[&str]) = match found {
        None if path.is_symlink() => {
            return Err(OpenError::InvalidPath { path: path.to_owned(), reason: "it is a link that leads nowhere" });
        }
        None => ("missing", &["-wal", "-journal"]),
        Some(0) => ("empty", &["-wal"]),
        Some(_) => return Ok(()),
    };
    for log in logs.iter().map(|suffix| beside(path, suffix)) {
        let is_left = fs::metadata(&log).is_ok_and(|found| found.len() > 0);
        // Looked at again: another process may have made file and log just now.
        if is_left && fs::metadata(path).ok().map(|now| now.len()) == found {
            return Err(OpenError::LogWithoutFile { path: path.to_owned(), what, log });
        }
    }
    Ok(())
}

/// What changes whenever somebody writes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look(FileId, u64, SystemTime);

/// A look at a file that has no log beside it, neither of the one kind nor of the other.
pub(crate) fn at_rest(path: &Path) -> Option<Look> {
    let is_quiet = ["-wal", "-journal"].iter().all(|log| !beside(path, log).exists());
    let found = fs::metadata(path).ok().filter(|_| is_quiet)?;
    Some(Look(FileId::from(&found), found.len(), found.modified().ok()?))
}

/// Makes an empty file; another process that did it first is as good. (No lock of ours can be on a file that was not
/// there, so closing it here drops none.)
pub(crate) fn create(path: &Path) -> Result<(), OpenError> {
    match create_new(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::from_io(path, &error)),
    }
}

/// Makes an empty file where there is none.
pub(crate) fn create_new(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// How many bytes this user may still write on a folder's disk; `None` where the system does not say.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The path of a database's log: SQLite has it beside the file itself, wherever a link to that is.
pub(super) fn log_of(path: &Path) -> PathBuf {
    fs::canonicalize(path).map_or_else(|_| beside(path, "-wal"), |path| beside(&path, "-wal"))
}

/// The path of a file beside a database, such as its `-wal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn check_name(path: &Path) -> Result<(), OpenError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let reason = if bytes.is_empty() {
        "it is empty"
    } else if bytes == b":memory:" {
        "SQLite keeps such a database in memory only"
    } else if bytes.starts_with(b"file:") {
        "SQLite reads it as a URI"
    } else if bytes.contains(&0) {
        "it has a NUL character"
    } else {
        return Ok(());
    };
    Err(OpenError::InvalidPath { path: path.to_owned(), reason })
}
