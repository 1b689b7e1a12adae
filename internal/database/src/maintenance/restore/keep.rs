//! Keeping what is there before a backup is put back: copied where it can be read, moved aside where it cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::maintenance::copy::{self, CopyError, Tell};
use crate::maintenance::error::{MaintenanceError, detail};
use crate::maintenance::folder;
use crate::maintenance::manifest::{PART, order, stamp};
use crate::source::{Moment, OpenError, beside, create_new, folder_of};
use crate::time::Timestamp;

/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a file is called that holds what was there before.
const KEPT: &str = ".before-restore-";
/// The files that SQLite keeps beside a database.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Keeps what is there now, and answers where; `None` where there is nothing.
pub(super) fn keep(path: &Path, now: Timestamp, tell: &mut Tell<'_>) -> Result<Option<PathBuf>, MaintenanceError> {
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
            let finish = || fs::rename(&part, &target).and_then(|()| folder::sync(&folder_of(path)));
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

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure))
}

/// Moves a file that cannot be read out of the way, with what SQLite has beside it; answers where, `None` where there was
/// nothing.
pub(super) fn move_aside(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, String> {
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
    folder::sync(&folder_of(path)).map_err(|error| error.to_string())?;
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
            rest.strip_suffix(end).and_then(|rest| rest.strip_suffix(PART)).is_some_and(|name| order(name).is_some())
        });
        if is_ours {
            // What stays is half a copy, and harms nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
}
