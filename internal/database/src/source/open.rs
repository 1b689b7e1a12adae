//! Opening a database: looking at the file first, bringing it to this release's version, then the connections.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::file::{self, FileId, Found};
use super::readers::Readers;
use super::{OpenError, Source, SourceConfig, Writer, connection};
use crate::migrate;
use crate::time::Clock;

impl Source {
    /// Opens the database, creating or migrating it where needed. Whatever goes wrong, the file stays as it was.
    pub(crate) fn open(config: &SourceConfig, clock: &dyn Clock) -> Result<Self, OpenError> {
        let SourceConfig { name, path, timeout, max_connections, durability, .. } = config;
        check_settings(config)?;
        let deadline = Instant::now() + *timeout;
        let found = file::prepare(path)?;
        let file = FileId::of(path);
        // Absolute, so that a change of the working directory changes nothing; links stay as they are.
        let path = std::path::absolute(path).map_err(|error| OpenError::from_io(path, &error))?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error, *timeout);

        if found == Found::File {
            let probe = connection::probe(&path, *timeout).map_err(failed)?;
            let checked = migrate::check(&path, &probe.connection).map_err(|error| error.at(&path, *timeout));
            checked.and_then(|()| check_length(&path, &probe.connection)).map_err(|error| with_log(&path, error))?;
        }
        let writer = connection::writer(&path, *timeout).map_err(failed)?;
        if writer.connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
            return Err(OpenError::NotPermitted { path, action: "written" });
        }
        let same_file = || file.filter(|file| FileId::of(&path) == Some(*file));
        let replaced = || OpenError::Other { path: path.clone(), detail: "it was replaced meanwhile".to_owned() };
        same_file().ok_or_else(replaced)?;
        migrate::run(&path, &writer.connection, clock).map_err(|error| error.at(&path, *timeout))?;
        if !connection::use_wal(&writer.connection, *durability, deadline).map_err(failed)? {
            return Err(OpenError::NoLog { path });
        }
        let file = same_file().ok_or_else(replaced)?;
        Ok(Self {
            name: name.clone(),
            timeout: *timeout,
            file,
            looked: AtomicU64::new(connection::micros(Instant::now())),
            durability: *durability,
            writer: Mutex::new(Writer::Open(writer)),
            readers: Readers::new(path.clone(), file, max_connections - 1),
            path,
        })
    }
}

fn check_settings(config: &SourceConfig) -> Result<(), OpenError> {
    let SourceConfig { timeout, max_connections, .. } = config;
    let wrong = |setting, given, allowed| Err(OpenError::InvalidSetting { setting, given, allowed });
    if !SourceConfig::TIMEOUTS.contains(timeout) {
        return wrong("timeout", format!("{timeout:?}"), "between 1 millisecond and 1 hour");
    }
    if !SourceConfig::CONNECTIONS.contains(max_connections) {
        return wrong("max_connections", max_connections.to_string(), "between 2 and 1000");
    }
    if config.readonly {
        return wrong("readonly", "true".to_owned(), "false: the one database of a bot is written");
    }
    Ok(())
}

/// What looks like damage may be a log that belongs to another file.
fn with_log(path: &Path, error: OpenError) -> OpenError {
    let log = file::beside(path, "-wal");
    match error {
        OpenError::Damaged { path, detail } if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) => {
            let hint = format!(
                "{detail}; if the file was restored or copied there, first move its old log {} away",
                log.display()
            );
            OpenError::Damaged { path, detail: hint }
        }
        other => other,
    }
}

/// A file shorter than its own header says was cut off. (With a log beside it, the log may hold the rest.)
///
/// The sizes are asked for in this order because others may be writing: pages only move from the log to the file.
fn check_length(path: &Path, probe: &Connection) -> Result<(), OpenError> {
    let pages = |pragma| probe.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (Ok(count), Ok(size)) = (pages("page_count"), pages("page_size")) else { return Ok(()) };
    let log = std::fs::metadata(file::beside(path, "-wal")).map_or(0, |found| found.len());
    let Ok(length) = std::fs::metadata(path).map(|found| found.len()) else { return Ok(()) };
    if log == 0 && i64::try_from(length).is_ok_and(|length| length < count * size) {
        let detail = format!("it has {length} bytes and should have {}", count * size);
        return Err(OpenError::Damaged { path: path.to_owned(), detail });
    }
    Ok(())
}
