//! Opening a database: looking at the file first, bringing it to this release's version, then the connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use rusqlite::Connection;

use super::checkpoint::Log;
use super::file::{self, FileId, Found};
use super::readers::Readers;
use super::writer::Writer;
use super::{Database, OpenError, SourceConfig, connection};
use crate::migrate::{self, Identity};
use crate::time::Clock;

/// What is known of a file before anything is made or changed.
pub(crate) enum Facts {
    /// There is none yet, or one without a byte.
    Nothing,
    /// What it says of itself.
    File(Identity, FileId),
}

/// Says whether a file may be used, before anything is made or changed.
pub(crate) type Admit<'a> = dyn Fn(&Facts) -> Result<(), OpenError> + 'a;

impl Database {
    /// Opens the database, creating or migrating it where needed. Whatever goes wrong, the file stays as it was.
    pub(crate) fn open(config: &SourceConfig, clock: &dyn Clock, admit: &Admit<'_>) -> Result<Self, OpenError> {
        let SourceConfig { path, timeout, durability, .. } = config;
        check_settings(config)?;
        let deadline = Instant::now() + *timeout;
        let found = file::look(path)?;
        // Absolute, so that a change of the working directory changes nothing; links stay as they are.
        let path = absolute(path)?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error, *timeout);
        match found {
            Found::Missing | Found::Empty => admit(&Facts::Nothing)?,
            Found::File => {
                let probe = connection::probe(&path, *timeout).map_err(failed)?;
                // The length first: what else is wrong with a file that was cut off follows from that.
                let checked = check_length(&path, &probe.connection)
                    .and_then(|()| migrate::check(&path, &probe.connection).map_err(|error| error.at(&path, *timeout)));
                checked.map_err(|error| with_log(&path, error))?;
                let id = FileId::of(&path).ok_or_else(|| replaced(&path))?;
                admit(&Facts::File(migrate::identity(&probe.connection).map_err(failed)?, id))?;
            }
        }
        if found == Found::Missing {
            file::create(&path)?;
        }
        let file = FileId::of(&path);
        let mut writer = connection::writer(&path, *timeout).map_err(failed)?;
        if writer.connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
            return Err(OpenError::NotPermitted { path, action: "written" });
        }
        let same_file = || file.filter(|file| FileId::of(&path) == Some(*file));
        same_file().ok_or_else(|| replaced(&path))?;
        migrate::run(&path, &writer.connection, clock).map_err(|error| error.at(&path, *timeout))?;
        if !connection::use_wal(&writer.connection, *durability, deadline).map_err(failed)? {
            return Err(OpenError::NoLog { path });
        }
        let file = same_file().ok_or_else(|| replaced(&path))?;
        let log = Log::new(config.name.clone(), path.clone(), file);
        log.watch(&mut writer).map_err(failed)?;
        Ok(Self::of(config, path, file, log, Writer::open(writer, *durability)))
    }

    /// Opens the database for reading only: nothing of it is ever changed, and what it lacks is not added.
    pub(crate) fn open_readonly(config: &SourceConfig, admit: &Admit<'_>) -> Result<Self, OpenError> {
        let SourceConfig { path, timeout, .. } = config;
        check_ranges(config)?;
        file::look_readonly(path)?;
        let path = absolute(path)?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error, *timeout);
        let file = FileId::of(&path).ok_or_else(|| replaced(&path))?;
        let probe = connection::reader(&path, *timeout).map_err(failed)?;
        migrate::check_readonly(&path, &probe.connection).map_err(|error| match error.at(&path, *timeout) {
            // SQLite cannot make the files beside it that even reading a database in this mode needs.
            OpenError::Other { path, .. } if file::lacks_log(&path) => OpenError::NeedsSeal { path },
            error => error,
        })?;
        check_length(&path, &probe.connection)?;
        admit(&Facts::File(migrate::identity(&probe.connection).map_err(failed)?, file))?;
        if FileId::of(&path) != Some(file) {
            return Err(replaced(&path));
        }
        let log = Log::new(config.name.clone(), path.clone(), file);
        Ok(Self::of(config, path, file, log, Writer::none()))
    }

    fn of(config: &SourceConfig, path: PathBuf, file: FileId, log: Arc<Log>, writer: Writer) -> Self {
        let SourceConfig { name, timeout, max_connections, durability, readonly, .. } = config;
        let most_readers = max_connections - usize::from(!readonly);
        Self {
            name: name.clone(),
            timeout: *timeout,
            file,
            looked: AtomicU64::new(connection::micros(Instant::now())),
            durability: *durability,
            log,
            writer,
            readers: Readers::new(path.clone(), file, most_readers),
            path,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    std::path::absolute(path).map_err(|error| OpenError::from_io(path, &error))
}

fn replaced(path: &Path) -> OpenError {
    OpenError::Other { path: path.to_owned(), detail: "it was replaced meanwhile".to_owned() }
}

fn check_settings(config: &SourceConfig) -> Result<(), OpenError> {
    check_ranges(config)?;
    if config.readonly {
        let (given, allowed) = ("true".to_owned(), "false: the one database of a bot is written");
        return Err(OpenError::InvalidSetting { setting: "readonly", given, allowed });
    }
    Ok(())
}

fn check_ranges(config: &SourceConfig) -> Result<(), OpenError> {
    let SourceConfig { timeout, max_connections, .. } = config;
    let wrong = |setting, given, allowed| Err(OpenError::InvalidSetting { setting, given, allowed });
    if !SourceConfig::TIMEOUTS.contains(timeout) {
        return wrong("timeout", format!("{timeout:?}"), "between 1 millisecond and 1 hour");
    }
    if !SourceConfig::CONNECTIONS.contains(max_connections) {
        return wrong("max_connections", max_connections.to_string(), "between 2 and 1000");
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
