//! Sealing: a copy of a database that can be read wherever it lies, also where nothing can be made beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::migrate;
use crate::source::{OpenError, at_rest, create_new, for_reading, for_reading_at_rest};

/// How long other processes' locks are waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A database that could not be sealed. It is as it was, and no copy is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The database cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is a file where the copy is to be.
    #[error("{} is there already, and is never written over; give the copy another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The copy cannot be made.
    #[error("{} cannot be made ({detail}); name a file for the copy in a folder that this user can write", path.display())]
    NotMade {
        /// The copy.
        path: PathBuf,
        /// What SQLite or the system answered.
        detail: String,
    },
    /// There is a log beside the database that this user cannot read.
    #[error(
        "{} has a log beside it whose writes cannot be read by a user who cannot write that folder; seal it as one who can",
        path.display()
    )]
    HasLog {
        /// The database.
        path: PathBuf,
    },
    /// Another process wrote the database meanwhile.
    #[error("{} was written by another process meanwhile; try again", path.display())]
    Written {
        /// The database.
        path: PathBuf,
    },
    /// The copy is not what the database is.
    #[error("the copy of {} is not the same ({detail}), and was taken away; see whether the disks are sound", path.display())]
    Differs {
        /// The database.
        path: PathBuf,
        /// What is different.
        detail: String,
    },
}

/// Makes a copy of a database that keeps no log: it can be read in a folder that cannot be written. The copy is readable
/// by its owner only, is named `NAME.sealed.db` beside the database where no name is given, and has its identity.
///
/// Others may use the database meanwhile; the copy is of one moment.
///
/// # Errors
/// The database cannot be read, or the copy cannot be made.
pub fn seal(file: &Path, to: Option<&Path>) -> Result<PathBuf, SealError> {
    let target = to.map_or_else(|| file.with_extension("sealed.db"), Path::to_owned);
    let before = at_rest(file);
    let source = match for_reading(file, TIMEOUT) {
        // Nobody but SQLite makes or removes a log, and there is none: so the file is all there is, for as long as it
        // stays what it is. That is looked at again in the end.
        Err(OpenError::NeedsSeal { .. }) if before.is_some() => for_reading_at_rest(file, TIMEOUT)?,
        Err(OpenError::NeedsSeal { .. }) => return Err(SealError::HasLog { path: file.to_owned() }),
        opened => return copy(file, opened?.connection(), &target, || true),
    };
    copy(file, source.connection(), &target, || at_rest(file) == before)
}

/// Copies what a connection sees at this moment, and looks whether that is what there is then.
fn copy(
    file: &Path,
    source: &Connection,
    target: &Path,
    is_as_it_was: impl Fn() -> bool,
) -> Result<PathBuf, SealError> {
    create_new(target).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => SealError::Exists { path: target.to_owned() },
        _ => SealError::NotMade { path: target.to_owned(), detail: error.to_string() },
    })?;
    let sealed =
        write(source, target).map_err(|detail| SealError::NotMade { path: target.to_owned(), detail }).and_then(|()| {
            let differs = |detail| Err(SealError::Differs { path: file.to_owned(), detail });
            match compare(source, target) {
                _ if !is_as_it_was() => Err(SealError::Written { path: file.to_owned() }),
                Ok(None) => Ok(target.to_owned()),
                Ok(Some(difference)) => differs(difference),
                Err(error) => differs(error.to_string()),
            }
        });
    if sealed.is_err() {
        // Nothing has it open any more.
        let _ = std::fs::remove_file(target);
    }
    sealed
}

/// Writes what the connection sees, from now until it is closed, into an empty file.
fn write(source: &Connection, target: &Path) -> Result<(), String> {
    let failed = |error: rusqlite::Error| error.to_string();
    source.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema;").map_err(failed)?;
    let mut sealed = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // All in one go: it waits for nobody, since the file is nobody else's.
    match Backup::new(source, &mut sealed).and_then(|backup| backup.step(-1)).map_err(failed)? {
        StepResult::Done => {}
        other => return Err(format!("the copy was not finished: {other:?}")),
    }
    // The copy says of itself, as the database does, that it keeps a log.
    let mode = sealed.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
    match mode.map_err(failed)?.as_str() {
        "delete" => sealed.close().map_err(|(_, error)| failed(error)),
        other => Err(format!("the copy keeps a log: {other}")),
    }
}

/// What is different in the copy.
fn compare(source: &Connection, target: &Path) -> rusqlite::Result<Option<String>> {
    let sealed = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let verdict: String = sealed.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    if migrate::identity(source)? != migrate::identity(&sealed)? {
        return Ok(Some("its identity".to_owned()));
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> = source.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        let count = |connection: &Connection| -> rusqlite::Result<i64> {
            let quoted = table.replace('"', "\"\"");
            connection.query_row(&format!("SELECT COUNT(*) FROM \"{quoted}\""), [], |row| row.get(0))
        };
        let (has, should) = (count(&sealed)?, count(source)?);
        if has != should {
            return Ok(Some(format!("{has} rows in {table} instead of {should}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a database of two rows, and a connection to it.
    fn made() -> (tempfile::TempDir, PathBuf, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.db");
        let connection = Connection::open(&file).expect("it opens");
        let sql = "CREATE TABLE switchyard_meta (key TEXT PRIMARY KEY, value TEXT);
                   INSERT INTO switchyard_meta VALUES ('uuid', 'one'), ('other', 'x');";
        connection.execute_batch(sql).expect("it is filled");
        (folder, file, connection)
    }

    #[test]
    fn the_copy_of_a_file_that_was_written_meanwhile_is_taken_away() {
        let (folder, file, connection) = made();
        let target = folder.path().join("copy.db");
        let sealed = copy(&file, &connection, &target, || false);
        assert!(matches!(sealed, Err(SealError::Written { .. })), "{sealed:?}");
        assert!(!target.exists());
        let again = Connection::open(&file).expect("it opens");
        assert_eq!(copy(&file, &again, &target, || true).expect("nobody wrote it"), target);
    }

    #[test]
    fn a_copy_with_other_rows_or_of_another_database_is_told_from_what_it_was_made_of() {
        let (folder, file, connection) = made();
        let target = folder.path().join("copy.db");
        copy(&file, &connection, &target, || true).expect("it is made");
        assert_eq!(compare(&connection, &target), Ok(None));
        let change = |sql| Connection::open(&target).and_then(|copy| copy.execute_batch(sql)).expect("it is changed");
        change("DELETE FROM switchyard_meta WHERE key = 'other'");
        let found = compare(&connection, &target);
        assert_eq!(found, Ok(Some("1 rows in switchyard_meta instead of 2".to_owned())));
        change("UPDATE switchyard_meta SET value = 'two' WHERE key = 'uuid'");
        assert_eq!(compare(&connection, &target), Ok(Some("its identity".to_owned())));
    }
}
