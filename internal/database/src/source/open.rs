//! Opening a database: looking at the file first, bringing it to this release's version, then the connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, ffi};

use super::checkpoint::Log;
use super::file::{self, FileId, Found};
use super::left::{Left, Needed, OpenLog};
use super::readers::Readers;
use super::writer::Writer;
use super::{Database, OpenError, SourceConfig, connection, probe};
use crate::migrate::{self, Failure, Identity};
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
    /// Opens the database, creating or migrating it where needed. Whatever goes wrong, the file stays as it was. What this
    /// process has left there has to be there still.
    pub(crate) fn open(
        config: &SourceConfig,
        left: Option<&Left>,
        deadline: Instant,
        clock: &dyn Clock,
        admit: &Admit<'_>,
    ) -> Result<Self, OpenError> {
        let SourceConfig { path, timeout, durability, .. } = config;
        check_settings(config)?;
        let time_left = || deadline.saturating_duration_since(Instant::now());
        let found = file::look(path)?;
        // Where the file is there now.
        left.map_or(Ok(()), |left| left.check(path))?;
        OpenLog::check(path)?;
        // Absolute, so that a change of the working directory changes nothing; links stay as they are.
        let path = absolute(path)?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error, *timeout);
        match found {
            Found::Missing | Found::Empty => admit(&Facts::Nothing)?,
            Found::File => {
                let probe = probe::probe(&path, time_left()).map_err(failed)?;
                // The length first: what else is wrong with a file that was cut off follows from that.
                let checked = check_length(&path, &probe.connection, *timeout)
                    .and_then(|()| migrate::check(&path, &probe.connection).map_err(|error| error.at(&path, *timeout)));
                checked.map_err(|error| with_log(&path, error))?;
                let id = FileId::of(&path).ok_or_else(|| replaced(&path))?;
                let identity = migrate::identity(&probe.connection).map_err(failed)?;
                check_log(&path, &identity)?;
                admit(&Facts::File(identity, id))?;
            }
        }
        if found == Found::Missing {
            file::create(&path)?;
        }
        let file = FileId::of(&path);
        let mut writer = connection::writer(&path, time_left()).map_err(failed)?;
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
        log.watch(&mut writer, None).map_err(failed)?;
        if let Some(Err(missing)) = left.map(|left| left.check_pages(&path, log.pages())) {
            connection::leave_log(&writer.connection).map_err(failed)?;
            return Err(missing);
        }
        Ok(Self::of(config, path, file, log, Writer::open(writer)))
    }

    /// Opens the database for reading only: nothing of it is ever changed, and what it lacks is not added.
    pub(crate) fn open_readonly(
        config: &SourceConfig,
        left: Option<&Left>,
        deadline: Instant,
        admit: &Admit<'_>,
    ) -> Result<Self, OpenError> {
        let SourceConfig { path, timeout, .. } = config;
        check_ranges(config)?;
        left.map_or(Ok(()), |left| left.check(path))?;
        let looked = for_reading(path, deadline.saturating_duration_since(Instant::now()))?;
        let path = looked.path.clone();
        let file = FileId::of(&path).ok_or_else(|| replaced(&path))?;
        let found = migrate::identity(looked.connection()).map_err(|error| unreadable(&path, &error, *timeout))?;
        check_log(&path, &found)?;
        admit(&Facts::File(found, file))?;
        let tidies = !looked.had_log;
        drop(looked);
        if FileId::of(&path) != Some(file) {
            return Err(replaced(&path));
        }
        let log = Log::new(config.name.clone(), path.clone(), file);
        let mut database = Self::of(config, path, file, log, Writer::none());
        database.tidies = tidies;
        Ok(database)
    }

    pub(super) fn of(config: &SourceConfig, path: PathBuf, file: FileId, log: Arc<Log>, writer: Writer) -> Self {
        let SourceConfig { name, timeout, max_connections, durability, readonly, .. } = config;
        let log_file = FileId::of(&file::log_of(&path));
        let most_readers = max_connections - usize::from(!readonly);
        Self {
            name: name.clone(),
            timeout: *timeout,
            file,
            log_file,
            open_log: Mutex::new(log_file.filter(|_| !readonly).map(|log| OpenLog::of(file, log))),
            log_needed: Needed::default(),
            is_given_up: AtomicBool::new(false),
            is_readonly: *readonly,
            tidies: false,
            looked: AtomicU64::new(connection::micros(Instant::now())),
            durability: *durability,
            log,
            writer,
            readers: Readers::new(path.clone(), file, most_readers),
            path,
            in_use: Arc::new(()),
            permit: Mutex::new(None),
        }
    }
}

/// A file that is only looked at. Where it had no log, the one that looking made is taken away in the end.
pub(crate) struct Looked {
    connection: Option<Connection>,
    path: PathBuf,
    had_log: bool,
    timeout: Duration,
}

impl Looked {
    /// The connection.
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("there is one until the end")
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        drop(self.connection.take());
        if !self.had_log {
            probe::tidy(&self.path, self.timeout);
        }
    }
}

/// Looks at a file that could be a read-only source.
pub(crate) fn for_reading(path: &Path, timeout: Duration) -> Result<Looked, OpenError> {
    file::look_readonly(path)?;
    let path = absolute(path)?;
    let had_log = file::beside(&path, "-wal").exists();
    let connection = connection::look(&path, timeout).and_then(|link| link.into_connection(timeout));
    let connection = connection.map_err(|error| unreadable(&path, &error, timeout))?;
    let looked = Looked { connection: Some(connection), path, had_log, timeout };
    let (path, connection) = (&looked.path, looked.connection());
    let checked = check_length(path, connection, timeout).and_then(|()| check_readonly(path, connection, timeout));
    checked.map_err(|error| with_log(path, error))?;
    Ok(looked)
}

/// The same for a file in write-ahead mode that lies where nothing can be made beside it: without its log and without
/// locks. What somebody writes meanwhile is missed, or read by halves: it is for the caller to see whether the file
/// has stayed as it was.
pub(crate) fn for_reading_at_rest(path: &Path, timeout: Duration) -> Result<Looked, OpenError> {
    let path = absolute(path)?;
    let connection = connection::at_rest(&path).map_err(|error| unreadable(&path, &error, timeout))?;
    check_readonly(&path, &connection, timeout)?;
    Ok(Looked { connection: Some(connection), path, had_log: true, timeout })
}

/// Refuses a file that cannot be read as it is.
fn check_readonly(path: &Path, connection: &Connection, timeout: Duration) -> Result<(), OpenError> {
    migrate::check_readonly(path, connection).map_err(|error| match error {
        Failure::Refused(refused) => refused,
        Failure::Sqlite(error) => unreadable(path, &error, timeout),
    })
}

/// What an error of SQLite means where the file is to be read and not changed.
pub(super) fn unreadable(path: &Path, error: &rusqlite::Error, timeout: Duration) -> OpenError {
    let code = error.sqlite_error_code();
    let path = path.to_owned();
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_READONLY_ROLLBACK) => OpenError::HalfWritten { path },
        // SQLite cannot make the files beside it that even reading a database in this mode needs.
        _ if matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) && file::lacks_log(&path) => {
            OpenError::NeedsSeal { path }
        }
        _ => OpenError::from_sqlite(&path, error, timeout),
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

/// Refuses a log that was left by another database: read along with it, the file would be a mixture of the two. What the
/// file says of itself alone is then not what it says through the log. (A file that is in its log for the most part
/// says nothing alone.)
pub(super) fn check_log(path: &Path, through: &Identity) -> Result<(), OpenError> {
    let log = file::beside(path, "-wal");
    if !std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    let alone = connection::at_rest(path).and_then(|connection| migrate::identity(&connection));
    match alone {
        Ok(Identity { uuid: Some(alone), .. }) if through.uuid.as_ref().is_some_and(|through| *through != alone) => {
            Err(OpenError::ForeignLog { path: path.to_owned(), log })
        }
        _ => Ok(()),
    }
}

/// A file shorter than its own header says was cut off. (With a log beside it, the log may hold the rest.)
///
/// The sizes are asked for in this order because others may be writing: pages only move from the log to the file.
pub(super) fn check_length(path: &Path, probe: &Connection, timeout: Duration) -> Result<(), OpenError> {
    let pages = |pragma| probe.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (count, size) = match pages("page_count").and_then(|count| Ok((count, pages("page_size")?))) {
        Ok(both) => both,
        // All the time there is was waited; the next statement would wait as long again.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            return Err(OpenError::from_sqlite(path, &error, timeout));
        }
        Err(_) => return Ok(()),
    };
    let log = std::fs::metadata(file::beside(path, "-wal")).map_or(0, |found| found.len());
    let Ok(length) = std::fs::metadata(path).map(|found| found.len()) else { return Ok(()) };
    if log == 0 && i64::try_from(length).is_ok_and(|length| length < count * size) {
        let detail = format!("it has {length} bytes and should have {}", count * size);
        return Err(OpenError::Damaged { path: path.to_owned(), detail });
    }
    Ok(())
}
