//! What the themes share: scratch folders, clocks that are set by hand, and all rows of a file as text.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use database::{DatabaseWrapper, Operation, Options, SourceConfig, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// How much of a test's longer form an environment variable asks for; without it, so much.
pub(crate) fn asked<T: FromStr<Err: Debug>>(variable: &str, otherwise: T) -> T {
    let number = |text: String| text.parse().unwrap_or_else(|error| panic!("{variable} is a number: {error:?}"));
    std::env::var(variable).map_or(otherwise, number)
}

/// Waits for so long, whoever wakes the thread meanwhile.
#[cfg(feature = "multi-source")]
pub(crate) fn pause(time: Duration) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < time {
        std::thread::park_timeout(time.saturating_sub(begun.elapsed()));
    }
}

/// A folder that goes away with the test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A folder in memory where the system has one, for tests that make many files and ask nothing of the disk.
    pub(crate) fn in_memory() -> Self {
        Self(TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names in the folder, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.path())
    }
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A clock that shows what it was last set to.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn at(text: &str) -> Self {
        Self(Arc::new(AtomicI64::new(time(text).unix_seconds())))
    }

    pub(crate) fn set(&self, moment: Timestamp) {
        self.0.store(moment.unix_seconds(), Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> Options {
        let clock = Arc::clone(&self.0);
        let now = move || Timestamp::from_unix_seconds(clock.load(Ordering::Relaxed)).unwrap();
        Options { clock: Arc::new(now), ..Options::default() }
    }
}

/// Writes as the observer was told of them.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<Operation>>>);

impl Recording {
    pub(crate) fn of(&self, options: Options) -> Options {
        let kept = Arc::clone(&self.0);
        let observer = move |operation: &Operation| kept.lock().unwrap().push(operation.clone());
        Options { observer: Some(Arc::new(observer)), ..options }
    }

    pub(crate) fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A source that gives up soon.
pub(crate) fn impatient(path: impl Into<PathBuf>, timeout: Duration) -> SourceConfig {
    SourceConfig { timeout, ..SourceConfig::new(path) }
}

pub(crate) fn open(path: &Path) -> DatabaseWrapper {
    DatabaseWrapper::open(&SourceConfig::new(path)).unwrap()
}

pub(crate) fn open_with(path: &Path, options: Options) -> DatabaseWrapper {
    DatabaseWrapper::open_with(&SourceConfig::new(path), options).unwrap()
}

/// A fresh database with a clock that stands still.
pub(crate) fn fresh(scratch: &Scratch) -> DatabaseWrapper {
    open_with(&scratch.file("bot.db"), HandClock::at("2026-01-01 12:00:00").options())
}

/// SQLite itself, as an earlier release or a person in a shell would use it.
pub(crate) fn sqlite(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).unwrap()
}

pub(crate) fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY 1";
    connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// All rows of all tables, each as one line of `column=value`, in order; the file's identity left out.
pub(crate) fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = sqlite(path);
    let names = tables(&connection);
    names.into_iter().map(|table| (table.clone(), rows_of(&connection, &table))).collect()
}

pub(crate) fn rows_of(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = found.next().unwrap() {
        let mut line = String::new();
        for (index, column) in columns.iter().enumerate() {
            match row.get_ref(index).unwrap() {
                ValueRef::Text(text) => write!(line, "{column}={:?} ", String::from_utf8_lossy(text)),
                value => write!(line, "{column}={value:?} "),
            }
            .unwrap();
        }
        if !line.contains("key=\"uuid\"") {
            lines.push(line);
        }
    }
    lines.sort();
    lines
}
