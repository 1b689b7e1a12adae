//! Bringing a file of an earlier release to the version that this release works on.
//!
//! `settings['db-migration-version']` is what earlier releases know: 0 to 6, and it stays at 6, so that they can open
//! the file again. What is ours beyond it has a version of its own in `switchyard_meta`.

mod backup;
mod legacy;
mod switchyard;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::source::OpenError;
use crate::time::Clock;

/// What stops a migration: our own refusal, or SQLite's.
pub(crate) enum Failure {
    Refused(OpenError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    pub(crate) fn at(self, path: &Path, timeout: Duration) -> OpenError {
        match self {
            Self::Refused(error) => error,
            Self::Sqlite(error) => OpenError::from_sqlite(path, &error, timeout),
        }
    }
}

/// The versions of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Versions {
    legacy: i64,
    switchyard: i64,
}

const CURRENT: Versions = Versions { legacy: legacy::LATEST, switchyard: switchyard::LATEST };

/// The versions that this release brings a file to: what earlier releases know, and what is ours.
pub(crate) const fn latest() -> (i64, i64) {
    (CURRENT.legacy, CURRENT.switchyard)
}

/// What a file says of itself to somebody who only looks.
pub(crate) struct Survey {
    /// The version that earlier releases know.
    pub(crate) version: i64,
    /// The version of what is ours.
    pub(crate) additions: i64,
    /// How many chats are known.
    pub(crate) chats: u64,
}

/// Refuses a file that this release cannot work on, or cannot read as it is, and tells of any other.
pub(crate) fn survey(path: &Path, connection: &Connection, readonly: bool) -> Result<Survey, Failure> {
    let found = if readonly {
        check_readonly(path, connection)?;
        versions(path, connection)?
    } else {
        check_versions(path, connection)?
    };
    let chats: i64 = match has_table(connection, "chat_info")? {
        true => connection.query_row("SELECT COUNT(*) FROM chat_info", [], |row| row.get(0))?,
        false => 0,
    };
    Ok(Survey { version: found.legacy, additions: found.switchyard, chats: chats.unsigned_abs() })
}

/// Refuses a file that this release cannot work on, by reading only.
pub(crate) fn check(path: &Path, connection: &Connection) -> Result<(), Failure> {
    if check_versions(path, connection)? != CURRENT {
        // It is about to be changed: damage that is there already must not be built upon.
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(Failure::Refused(OpenError::Damaged { path: path.to_owned(), detail: verdict }));
        }
    }
    Ok(())
}

fn check_versions(path: &Path, connection: &Connection) -> Result<Versions, Failure> {
    let found = versions(path, connection)?;
    let newer = |what, found, known| {
        Err(Failure::Refused(OpenError::NewerVersion { path: path.to_owned(), what, found, known }))
    };
    if found.legacy > CURRENT.legacy {
        return newer("db-migration-version", found.legacy, CURRENT.legacy);
    }
    if found.switchyard > CURRENT.switchyard {
        return newer("Switchyard schema", found.switchyard, CURRENT.switchyard);
    }
    if found.legacy == 0
        && !legacy::has_table_of_ours(connection)?
        && let Some(table) = any_table(connection)?
    {
        return Err(Failure::Refused(OpenError::Foreign { path: path.to_owned(), table }));
    }
    Ok(found)
}

/// Refuses a file that cannot be read as it is.
pub(crate) fn check_readonly(path: &Path, connection: &Connection) -> Result<(), Failure> {
    let found = versions(path, connection)?;
    let path = path.to_owned();
    let refused = if found.legacy > CURRENT.legacy {
        let (what, found, known) = ("db-migration-version", found.legacy, CURRENT.legacy);
        OpenError::NewerVersion { path, what, found, known }
    } else if found.switchyard > CURRENT.switchyard {
        let (what, found, known) = ("Switchyard schema", found.switchyard, CURRENT.switchyard);
        OpenError::NewerVersion { path, what, found, known }
    } else if found.legacy < legacy::OLDEST_READABLE {
        match any_table(connection)? {
            Some(table) if !legacy::has_table_of_ours(connection)? => OpenError::Foreign { path, table },
            _ => OpenError::TooOld { path, found: found.legacy, oldest: legacy::OLDEST_READABLE },
        }
    } else {
        return Ok(());
    };
    Err(Failure::Refused(refused))
}

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What it alone is called; `None` in a file that this project has not opened for writing yet.
    pub(crate) uuid: Option<String>,
    /// The set of databases that it is one of.
    pub(crate) installation: Option<String>,
    /// What it is among these.
    pub(crate) role: Option<Role>,
}

/// What a database is among those of a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The default source's: it has what belongs to no chat, and knows the others.
    Default,
    /// Another source's.
    Named,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Named => "named",
        }
    }
}

/// What the file says of itself.
pub(crate) fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    if !has_table(connection, switchyard::META)? {
        return Ok(Identity::default());
    }
    let value = |key| -> rusqlite::Result<Option<String>> {
        let sql = "SELECT value FROM switchyard_meta WHERE key = ?1";
        connection.query_row(sql, [key], |row| row.get(0)).optional()
    };
    let role = value("role")?;
    let role = [Role::Default, Role::Named].into_iter().find(|known| role.as_deref() == Some(known.as_str()));
    Ok(Identity { uuid: value("uuid")?, installation: value("installation")?, role })
}

/// Brings the file to the current versions in one transaction; a copy of what was there is written first where an
/// earlier release left it. A file that is current already is not written at all.
pub(crate) fn run(path: &Path, connection: &Connection, clock: &dyn Clock) -> Result<(), Failure> {
    if versions(path, connection)? == CURRENT {
        return Ok(());
    }
    // IMMEDIATE: of several processes that start at once one migrates, and the others find it done.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut copy = None;
    let done = migrate(path, connection, clock, &mut copy).and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    if done.is_err() {
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        // A copy of what is as it was helps nobody, and every further try would leave another one.
        if let Some(copy) = copy
            && versions(path, connection).is_ok_and(|found| found.legacy < CURRENT.legacy)
        {
            let _ = std::fs::remove_file(copy);
        }
    }
    done
}

fn migrate(path: &Path, connection: &Connection, clock: &dyn Clock, copy: &mut Option<PathBuf>) -> Result<(), Failure> {
    // Again, now that nobody else can change it.
    check(path, connection)?;
    let found = versions(path, connection)?;
    let started = any_table(connection)?.is_some();
    if found.legacy < CURRENT.legacy {
        if started {
            let copy = copy.insert(backup::write(path, found.legacy)?);
            tracing::info!(copy = %copy.display(), version = found.legacy, "copied the file before migrating it");
        }
        legacy::raise(connection, found.legacy, clock)?;
    }
    if found.switchyard < CURRENT.switchyard {
        switchyard::raise(connection, found.switchyard)?;
    }
    if started {
        tracing::info!(file = %path.display(), from = found.legacy, to = CURRENT.legacy, "migrated the database");
    }
    Ok(())
}

fn versions(path: &Path, connection: &Connection) -> Result<Versions, Failure> {
    let legacy = if has_table(connection, "settings")? { legacy::version(path, connection)? } else { 0 };
    let switchyard = if has_table(connection, switchyard::META)? { switchyard::version(path, connection)? } else { 0 };
    Ok(Versions { legacy, switchyard })
}

pub(crate) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

fn any_table(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name";
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn version_number(path: &Path, text: Option<&str>) -> Result<i64, Failure> {
    match text.map(|text| text.trim().parse::<i64>()) {
        None => Ok(0),
        Some(Ok(version)) if version >= 0 => Ok(version),
        Some(_) => Err(Failure::Refused(OpenError::BadVersion { path: path.to_owned() })),
    }
}
