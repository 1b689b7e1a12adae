//! Putting a backup back: its content is written into the file that is there, by SQLite, so that whoever has the file open
//! sees either the old content or the new. What was there before is kept beside it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};

use super::backup::file_in_set;
use super::check::free_bytes;
use super::copy::{self, CopyError, Rows, Tell};
use super::error::{MaintenanceError, detail};
use super::manifest::{Manifest, PART, stamp};
use super::{BackupProgress, Role};
use crate::migrate;
use crate::route::SourceName;
use crate::source::{
    Database, FileId, Moment, Noted, OpenError, SourceConfig, beside, create_new, describe, folder_of,
    to_be_overwritten,
};
use crate::time::{Clock, SystemClock, Timestamp};

/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a file is called that holds what was there before.
const KEPT: &str = ".before-restore-";
/// What it takes besides the contents, in bytes.
const BESIDES: u64 = 1 << 20;
/// The files that SQLite keeps beside a database.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How many writes that wait are made at a time.
const CHUNK: usize = 200;

/// What there is to be put back: copies by the names of their sources.
#[derive(Clone, Debug)]
pub struct BackupSet {
    path: PathBuf,
    /// The copies of the sources.
    files: BTreeMap<SourceName, PathBuf>,
    /// Files in which writes of sources may wait: stand-ins, and the default source's.
    journals: Vec<PathBuf>,
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

impl BackupSet {
    /// What is at a path: a folder that a backup made, or a database file, which is of the one source that is named.
    ///
    /// # Errors
    /// It is neither.
    pub fn open(path: &Path, source: Option<&SourceName>) -> Result<Self, MaintenanceError> {
        let refuse = |detail: &str| MaintenanceError::NoBackup { path: path.to_owned(), detail: detail.to_owned() };
        let absolute = std::path::absolute(path).map_err(|error| refuse(&error.to_string()))?;
        if !path.is_dir() {
            let source = source.ok_or_else(|| refuse("a file is of one source, which --source names"))?;
            if !path.is_file() {
                return Err(refuse("there is no such file or folder"));
            }
            let files = BTreeMap::from([(source.clone(), absolute.clone())]);
            return Ok(Self { path: absolute, files, journals: Vec::new() });
        }
        if absolute.as_os_str().to_string_lossy().ends_with(PART) {
            return Err(refuse("it was not finished"));
        }
        let manifest = Manifest::read(&absolute).map_err(|error| refuse(&format!("its backup.json: {error}")))?;
        let (mut files, mut journals) = (BTreeMap::new(), Vec::new());
        for file in &manifest.files {
            let role = if file.stand_in { Role::StandIn } else { Role::Named };
            let Some(name) = file.source.parse().ok().filter(|name| file.file == file_in_set(role, name)) else {
                return Err(refuse("its backup.json names files that are none of a backup"));
            };
            let path = absolute.join(&file.file);
            if file.stand_in || file.default {
                journals.push(path.clone());
            }
            if !file.stand_in {
                files.insert(name, path);
            }
        }
        Ok(Self { path: absolute, files, journals })
    }

    /// The sources that it has copies of.
    pub fn sources(&self) -> impl Iterator<Item = &SourceName> {
        self.files.keys()
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The copy of a source, looked at as a whole.
    pub(crate) fn checked(&self, name: &SourceName) -> Result<Checked, MaintenanceError> {
        let Some(path) = self.files.get(name) else {
            return Err(MaintenanceError::NotInBackup { path: self.path.clone(), name: name.to_string() });
        };
        let bad = |detail: String| MaintenanceError::BadBackup { path: path.clone(), detail };
        let moment = Moment::of(path, PATIENCE).map_err(|error| bad(error.to_string()))?;
        let connection = moment.connection();
        migrate::survey(path, connection, false).map_err(|error| bad(error.at(path, PATIENCE).to_string()))?;
        let failed = |error: rusqlite::Error| bad(describe(&error));
        if let Some(difference) = copy::difference(connection, moment.identity(), None).map_err(failed)? {
            return Err(bad(format!("it is damaged ({difference})")));
        }
        let rows = copy::count(connection).map_err(failed)?;
        let journals = self.journals.iter().filter(|journal| *journal != path).cloned().collect();
        Ok(Checked { moment, rows, journals })
    }
}

/// A copy that is fit to be put back.
pub(crate) struct Checked {
    pub(crate) moment: Moment,
    rows: Rows,
    journals: Vec<PathBuf>,
}

/// Puts a backup back over one file, as a bot without sources by name has it. Nobody has to be asked, but a bot that runs on
/// it knows what it had read before: it is better stopped.
///
/// # Errors
/// The backup cannot be used, or what is there cannot be kept or written. The content is the old or the new one as a
/// whole.
pub fn restore_file(
    settings: &SourceConfig,
    set: &BackupSet,
    now: Timestamp,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Restored, MaintenanceError> {
    let checked = set.checked(&settings.name)?;
    let present = Moment::of(&settings.path, PATIENCE).ok().and_then(|present| present.identity().uuid.clone());
    let found = checked.moment.identity().uuid.clone();
    if let (Some(present), Some(found)) = (present, found)
        && present != found
    {
        let (path, name) = (checked.moment.path().to_owned(), settings.name.to_string());
        let detail = format!("its uuid is {found} and not {present}");
        return Err(MaintenanceError::OtherDatabase { path, name, detail });
    }
    put_back(settings, &checked, now, tell)
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

/// Refuses where the disk has too little room: for what is kept, and for the log that the new content goes through.
fn room(path: &Path, moment: &Moment) -> Result<(), MaintenanceError> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let needed = length(path) + length(&beside(path, "-wal")) + length(moment.path()) + BESIDES;
    let folder = folder_of(path);
    match free_bytes(&folder) {
        Some(free) if free < needed => Err(MaintenanceError::NoRoom { path: folder, needed, free }),
        _ => Ok(()),
    }
}

/// Keeps what is there now, and answers where; `None` where there is nothing.
fn keep(path: &Path, now: Timestamp, tell: &mut Tell<'_>) -> Result<Option<PathBuf>, MaintenanceError> {
    let not_kept = |detail: String| MaintenanceError::NotKept { path: path.to_owned(), detail };
    remove_unfinished(path);
    if fs::metadata(path).map_or(0, |found| found.len()) == 0 {
        // What a killed run left beside an empty file is its own; a log without its file is not.
        let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|found| found.len() > 0);
        return if has_log || !path.exists() { move_aside(path, now).map_err(not_kept) } else { Ok(None) };
    }
    let moment = match Moment::of(path, PATIENCE) {
        Ok(moment) => moment,
        Err(
            error @ (OpenError::Locked { .. }
            | OpenError::NotPermitted { .. }
            | OpenError::Directory { .. }
            | OpenError::InvalidPath { .. }
            | OpenError::NeedsSeal { .. }),
        ) => return Err(not_kept(error.to_string())),
        Err(_) => return move_aside(path, now).map_err(not_kept),
    };
    let target = free_name(path, now);
    let part = beside(&target, PART);
    create_new(&part).map_err(|error| not_kept(error.to_string()))?;
    let copied = copy::copy(&moment, &part, tell).and_then(|()| Ok(has_same_pages(&moment, &part)?));
    drop(moment);
    let failed = match copied {
        Ok(true) => {
            let finish = || fs::rename(&part, &target).and_then(|()| File::open(folder_of(path))?.sync_all());
            return finish().map(|()| Some(target)).map_err(|error| not_kept(error.to_string()));
        }
        Ok(false) => "its copy has fewer pages".to_owned(),
        Err(CopyError::Sqlite(error)) if is_damage(&error) => {
            let _ = fs::remove_file(&part);
            return move_aside(path, now).map_err(not_kept);
        }
        Err(error) => {
            let _ = fs::remove_file(&part);
            detail(error)?
        }
    };
    Err(not_kept(failed))
}

/// Whether a copy has as many pages. More is not asked for: what is kept may be damaged.
fn has_same_pages(moment: &Moment, copy: &Path) -> rusqlite::Result<bool> {
    let pages = |connection: &Connection| connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0));
    Ok(pages(moment.connection())? == pages(&copy::reader(copy)?)?)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure))
}

/// Moves a file that cannot be read out of the way, with what SQLite has beside it; answers where, `None` where there was
/// nothing.
fn move_aside(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, String> {
    let target = free_name(path, now);
    let mut moved = None;
    for suffix in [""].into_iter().chain(SIDE_FILES) {
        let (from, to) = (beside(path, suffix), beside(&target, suffix));
        match fs::rename(&from, &to) {
            Ok(()) => {
                moved.get_or_insert(to);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{} cannot be moved: {error}", from.display())),
        }
    }
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(|error| error.to_string())?;
    Ok(moved)
}

/// A name beside a file that nothing has yet.
fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let first = beside(path, &format!("{KEPT}{}", stamp(now)));
    let is_free = |name: &PathBuf| ["", PART].into_iter().chain(SIDE_FILES).all(|end| !beside(name, end).exists());
    let others = (2_u32..).map(|number| beside(&first, &format!("-{number}")));
    std::iter::once(first.clone()).chain(others).find(is_free).unwrap_or(first)
}

/// Removes copies that killed runs did not finish.
fn remove_unfinished(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let beginning = format!("{name}{KEPT}");
    for entry in folder_of(path).read_dir().into_iter().flatten().flatten() {
        let found = entry.file_name();
        let Some(rest) = found.to_str().and_then(|found| found.strip_prefix(&beginning)) else { continue };
        let is_ours = ["", "-journal", "-wal", "-shm"].iter().any(|end| {
            rest.strip_suffix(end)
                .and_then(|rest| rest.strip_suffix(PART))
                .is_some_and(|name| super::manifest::order(name).is_some())
        });
        if is_ours {
            // What stays is half a copy, and harms nobody.
            let _ = fs::remove_file(entry.path());
        }
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

/// Makes the writes that waited for the source when the backup was made: they were answered, and are in no other copy.
/// Answers how many were made, and how many of them were kept aside.
fn make_waiting(settings: &SourceConfig, checked: &Checked) -> Result<(u64, u64), String> {
    let (mut made, mut parked) = (0, 0);
    let mut home = None;
    for journal in &checked.journals {
        let mut last = 0;
        loop {
            let chunk = waiting(journal, &settings.name, last).map_err(|error| describe(&error))?;
            let Some(end) = chunk.last() else { break };
            last = end.seq;
            let deadline = Instant::now() + settings.timeout.max(PATIENCE);
            let home = match &home {
                Some(home) => home,
                None => {
                    let clock: &dyn Clock = &SystemClock;
                    let opened = Database::open(settings, deadline, clock, &|_| Ok(()));
                    home.insert(opened.map_err(|error| error.to_string())?)
                }
            };
            parked += home.make_noted(&chunk, &|| Ok(()), deadline).map_err(|error| error.to_string())?;
            made += chunk.len() as u64;
        }
    }
    if let Some(home) = home {
        home.close();
    }
    Ok((made - parked, parked))
}

/// The writes that wait for a source in a copy, in order.
fn waiting(journal: &Path, name: &SourceName, last: i64) -> rusqlite::Result<Vec<Noted>> {
    let copy = copy::reader(journal)?;
    if !migrate::has_table(&copy, "switchyard_journal")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT seq, episode, operation FROM switchyard_journal
               WHERE source = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let noted = |row: &rusqlite::Row<'_>| {
        Ok(Noted { seq: row.get("seq")?, episode: row.get("episode")?, operation: row.get("operation")? })
    };
    copy.prepare(sql)?.query_map((name.as_str(), last, CHUNK as i64), noted)?.collect()
}
