//! Looking at files that are not known yet, so that nothing is different afterwards.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;

use super::connection::{Link, leave_log, look, open};
use super::file;

/// A connection that looks at a file before it is known to be the bot's: it changes nothing.
///
/// Where no log is beside the file it may write all the same, as far as SQLite is concerned: only so it can roll back
/// what a killed process left half written, and takes the log that it makes away again.
pub(super) fn probe(path: &Path, timeout: Duration) -> rusqlite::Result<Link> {
    if file::log_of(path).exists() {
        return look(path, timeout);
    }
    let link = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout)?;
    link.connection.execute_batch("PRAGMA query_only=ON")?;
    Ok(link)
}

/// A connection that looks, and what is done after it is closed.
pub(super) struct Probe {
    link: Link,
    _tidies: Option<Tidies>,
}

/// That the log which a look made is taken away once its connection is closed.
struct Tidies {
    path: PathBuf,
    timeout: Duration,
}

impl Probe {
    /// The same as [`probe`] for a look that may take long: a log that is put beside the file meanwhile is not taken away
    /// for the one that looking made.
    pub(super) fn at_leisure(path: &Path, timeout: Duration) -> rusqlite::Result<Self> {
        let had_log = file::log_of(path).exists();
        let link = probe(path, timeout)?;
        if had_log {
            return Ok(link.into());
        }
        leave_log(&link.connection)?;
        Ok(Self { link, _tidies: Some(Tidies { path: path.to_owned(), timeout }) })
    }
}

impl From<Link> for Probe {
    fn from(link: Link) -> Self {
        Self { link, _tidies: None }
    }
}

impl Deref for Probe {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Tidies {
    fn drop(&mut self) {
        tidy(&self.path, self.timeout);
    }
}

/// Takes the log away that reading a database made, where nobody has written into it: only SQLite can tell that nobody
/// uses it, and does so when a connection that could write closes last. The file itself stays as it is.
pub(super) fn tidy(path: &Path, timeout: Duration) {
    let is_empty = fs::metadata(file::log_of(path)).is_ok_and(|found| found.len() == 0);
    if is_empty && let Ok(link) = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, timeout.min(Duration::from_secs(1))) {
        // A log that cannot be taken away is an empty file, and harms nobody.
        let _ = link.connection.execute_batch("PRAGMA query_only=ON; SELECT COUNT(*) FROM sqlite_schema");
    }
}
