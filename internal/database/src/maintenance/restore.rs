//! Putting a backup back: its content is written into the file that is there, by SQLite, so that whoever has the file open
//! sees either the old content or the new. What was there before is kept beside it.

mod keep;
mod loss;
mod set;
mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::BackupProgress;
use super::copy::{self, CopyError, Tell};
use super::error::MaintenanceError;
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{
    FileId, Moment, OpenError, SourceConfig, beside, describe, folder_of, free_bytes, to_be_overwritten,
};
use crate::time::Timestamp;

pub use set::BackupSet;

pub(crate) use loss::Loss;
pub(crate) use set::Checked;

use keep::{is_damage, keep, move_aside};
use waiting::make_waiting;

/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it takes besides the contents, in bytes.
const BESIDES: u64 = 1 << 20;

/// What is put back, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The sources; all that the backup has copies of where none is named.
    pub sources: Vec<SourceName>,
    /// Whether chats may lose their rows: those that were moved since the backup, or are led elsewhere than it has them.
    pub even_so: bool,
}

/// A source whose backup was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restored {
    /// The source.
    pub source: String,
    /// Its file.
    pub path: String,
    /// The copy.
    pub from: String,
    /// Where what was there before is; null where there was nothing.
    pub kept: Option<String>,
    /// How many rows there are now, in all tables.
    pub rows: u64,
    /// How many writes waited in the backup for the source and were made.
    pub made: u64,
    /// How many of them could not be made and were kept aside.
    pub parked: u64,
}

/// What became of one of the sources that were to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreOutcome {
    /// The source.
    pub source: String,
    /// What was done; null where it failed.
    pub restored: Option<Restored>,
    /// Why it failed and what to do; null where it did not.
    pub error: Option<String>,
}

impl RestoreOutcome {
    /// It was put back.
    pub fn done(restored: Restored) -> Self {
        Self { source: restored.source.clone(), restored: Some(restored), error: None }
    }

    /// It was not, for this reason.
    pub fn failed(source: &SourceName, reason: String) -> Self {
        Self { source: source.to_string(), restored: None, error: Some(reason) }
    }
}

/// Puts a backup back over one file, as a bot without sources by name has it. Nobody has to be asked, but a bot that runs on
/// it knows what it had read before: it is better stopped.
///
/// # Errors
/// Another source was named; the backup cannot be used, or has other sources too, and none was named; chats would lose their
/// rows; or what is there cannot be kept or written. The content is the old or the new one as a whole.
pub fn restore_file(
    settings: &SourceConfig,
    set: &BackupSet,
    options: &RestoreOptions,
    now: Timestamp,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Restored, MaintenanceError> {
    let sources = BTreeMap::from([(settings.name.clone(), settings.clone())]);
    set.wanted(&options.sources, &sources)?;
    let copies = [(settings, set.checked(&settings.name)?)];
    let [(_, checked)] = &copies;
    let present = Moment::of(&settings.path, PATIENCE).ok();
    let uuid = present.as_ref().and_then(|present| present.identity().uuid.as_ref());
    if let (Some(present), Some(found)) = (uuid, &checked.moment.identity().uuid)
        && present != found
    {
        let (path, name) = (checked.moment.path().to_owned(), settings.name.to_string());
        let detail = format!("its uuid is {found} and not {present}");
        return Err(MaintenanceError::OtherDatabase { path, name, detail });
    }
    if !options.even_so {
        // What cannot be read knows of none.
        let moved = |moment: &Moment| loss::moved(moment.connection()).unwrap_or_default();
        let moved: Vec<ChatId> = present.iter().chain([&checked.moment]).flat_map(moved).collect();
        let only = || settings.name.clone();
        Loss::of(set, &sources, &copies)?.refuse(moved, |_| [only(), only()])?;
    }
    drop(present);
    put_back(settings, checked, now, tell)
}

/// Writes a copy into a source's file. Whoever calls has seen to it that nobody else writes there.
pub(crate) fn put_back(
    settings: &SourceConfig,
    checked: &Checked,
    now: Timestamp,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Restored, MaintenanceError> {
    let Checked { moment, rows, .. } = checked;
    let name = settings.name.to_string();
    if settings.readonly {
        return Err(MaintenanceError::ReadOnlySource { name });
    }
    // Where a link leads to the file, it is the file that is kept and written.
    let path = fs::canonicalize(&settings.path).or_else(|_| std::path::absolute(&settings.path));
    let path = path.unwrap_or_else(|_| settings.path.clone());
    if FileId::of(&path).is_some_and(|live| FileId::of(moment.path()) == Some(live)) {
        return Err(MaintenanceError::Itself { path });
    }
    room(&path, moment)?;
    let mut told = |done, total| tell(BackupProgress { file: name.clone(), done, total });
    let kept = keep(&path, now, &mut told)?;
    if let Err(error) = write(&path, moment, &mut told) {
        let again = matches!(&error, WriteError::Damaged(_)) && move_aside(&path, now).is_ok();
        let tried = if again { write(&path, moment, &mut told) } else { Err(error) };
        tried.map_err(|error| error.at(&path, kept.as_ref()))?;
    }
    let differs = |detail| MaintenanceError::Differs { path: path.clone(), detail, kept: kept.clone() };
    let found = copy::reader(&path).and_then(|live| copy::difference(&live, moment.identity(), Some(rows)));
    match found {
        Ok(None) => {}
        Ok(Some(difference)) => return Err(differs(difference)),
        Err(error) => return Err(differs(describe(&error))),
    }
    let (made, parked) = make_waiting(settings, checked).map_err(|detail| {
        let detail = format!("its content is there, and writes that wait in the backup could not be made: {detail}");
        MaintenanceError::NotPutBack { path: path.clone(), detail, kept: kept.clone() }
    })?;
    Ok(Restored {
        source: name.clone(),
        path: path.display().to_string(),
        from: moment.path().display().to_string(),
        kept: kept.map(|kept| kept.display().to_string()),
        rows: rows.values().sum(),
        made,
        parked,
    })
}

/// Refuses where the disk has too little room: for what is kept, for the log that the new content goes
/// through, and for that in the file.
fn room(path: &Path, moment: &Moment) -> Result<(), MaintenanceError> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let needed = length(path) + length(&beside(path, "-wal")) + 2 * length(moment.path()) + BESIDES;
    let folder = folder_of(path);
    match free_bytes(&folder) {
        Some(free) if free < needed => Err(MaintenanceError::NoRoom { path: folder, needed, free }),
        _ => Ok(()),
    }
}

/// Why a copy's content was not written.
enum WriteError {
    /// What is there is no database that SQLite writes into.
    Damaged(String),
    Other(String),
    BrokenOff,
}

impl WriteError {
    fn at(self, path: &Path, kept: Option<&PathBuf>) -> MaintenanceError {
        match self {
            Self::BrokenOff => MaintenanceError::BrokenOff,
            Self::Damaged(detail) | Self::Other(detail) => {
                MaintenanceError::NotPutBack { path: path.to_owned(), detail, kept: kept.cloned() }
            }
        }
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        let told = describe(&error);
        if is_damage(&error) { Self::Damaged(told) } else { Self::Other(told) }
    }
}

impl From<CopyError> for WriteError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Sqlite(error) => error.into(),
            CopyError::BrokenOff => Self::BrokenOff,
        }
    }
}

/// Writes the content as one transaction, and leaves the file as a bot wants it: in write-ahead mode, with nothing in the
/// log.
fn write(path: &Path, moment: &Moment, tell: &mut Tell<'_>) -> Result<(), WriteError> {
    let mut live = to_be_overwritten(path, PATIENCE).map_err(|error| match error {
        OpenError::NotADatabase { .. } | OpenError::Damaged { .. } => WriteError::Damaged(error.to_string()),
        other => WriteError::Other(other.to_string()),
    })?;
    let page_size = |connection: &Connection| connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    live.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    if page_size(&live)? != page_size(moment.connection())? {
        // With a log the size of pages cannot change.
        let _: String = live.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    }
    copy::pour(moment.connection(), &mut live, tell)?;
    let mode: String = live.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(WriteError::Other(format!("its journal mode is {mode}, not wal")));
    }
    // Whether somebody reads and holds it back does not matter.
    live.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    live.close().map_err(|(_, error)| error.into())
}
