//! The copy of a file that is written before an earlier release's version is raised.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::Failure;
use crate::source::OpenError;

/// Pages copied in one go; nobody else writes meanwhile.
const PAGES: i32 = 4096;

/// Copies the database to `NAME.vN.bak` beside it, never over an earlier copy, and answers where it is.
///
/// The caller holds the write lock, so the copy is of this moment; it is read by a connection of its own, since a
/// connection inside a write transaction cannot be the source of a backup.
pub(super) fn write(path: &Path, version: i64) -> Result<PathBuf, Failure> {
    let target = free_name(path, version);
    let copy = || -> rusqlite::Result<()> {
        let from = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut to = Connection::open_with_flags(&target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        Backup::new(&from, &mut to)?.run_to_completion(PAGES, Duration::ZERO, None)
    };
    let failed = |detail| Failure::Refused(OpenError::Backup { path: path.to_owned(), backup: target.clone(), detail });
    crate::source::create_private(&target).map_err(|error| failed(error.to_string()))?;
    match copy() {
        Ok(()) => Ok(target),
        Err(error) => {
            // Half a copy helps nobody. It is not a database that anything has open any more.
            let _ = std::fs::remove_file(&target);
            Err(failed(error.to_string()))
        }
    }
}

fn free_name(path: &Path, version: i64) -> PathBuf {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let first = named(&format!(".v{version}.bak"));
    let others = (2_u32..).map(|number| named(&format!(".v{version}.{number}.bak")));
    std::iter::once(first.clone()).chain(others).find(|candidate| !candidate.exists()).unwrap_or(first)
}
