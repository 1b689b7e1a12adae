//! The files of stand-ins: where they are, what is noted beside them, and how they go.
//!
//! Beside `standin/NAME.db` there may be, both empty:
//!
//! - `NAME.over`: all that was written there is made at home, so it is removed whoever comes upon it, and never believed;
//! - `NAME.default`: what was written in the source's place is in the default source, or may be. Without it a bot that
//!   starts while the default source cannot be read would not know that writes wait there.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::DatabaseConfig;
use crate::maintenance::folder;
use crate::route::SourceName;
use crate::source::{SourceConfig, folder_of};

/// The folder of the stand-ins in the data directory.
const FOLDER: &str = "standin";
const OVER: &str = "over";
const IN_DEFAULT: &str = "default";
/// What the names of stand-ins that were set aside go on with after `NAME.db`, before a number.
const ASIDE: &str = ".aside-";
/// What SQLite keeps beside a database: the last while it is made and has no log yet.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where the stand-in of a source is.
pub(super) fn path(config: &DatabaseConfig, name: &SourceName) -> PathBuf {
    config.data_dir.join(FOLDER).join(format!("{name}.db"))
}

/// Makes the folder where there is none.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Notes, on disk, that all of a stand-in is at home.
pub(super) fn note_over(stand_in: &Path) -> io::Result<()> {
    put(&stand_in.with_extension(OVER))
}

/// Takes that back.
pub(super) fn forget_over(stand_in: &Path) -> io::Result<()> {
    take_away(&stand_in.with_extension(OVER))
}

/// Whether all of a stand-in is at home.
pub(super) fn is_over(stand_in: &Path) -> bool {
    stand_in.with_extension(OVER).exists()
}

/// Removes a stand-in that is closed, and which holds nothing that is not at home.
pub(super) fn remove(stand_in: &Path) -> io::Result<()> {
    // The database before its log: a log without it says nothing, a database without its log would be believed. What
    // says that it is over goes last.
    remove_parts(stand_in, &[""])?;
    remove_rest(stand_in)?;
    forget_over(stand_in)
}

/// Removes what is left of one whose database is gone: that was at home.
pub(super) fn remove_rest(stand_in: &Path) -> io::Result<()> {
    remove_parts(stand_in, &BESIDE)
}

/// Gives a stand-in that is closed another name, under which nobody takes it for one; answers that, or `None` where there
/// was no file.
pub(super) fn set_aside(stand_in: &Path) -> io::Result<Option<PathBuf>> {
    let named = |number: usize| with_suffix(stand_in, &format!("{ASIDE}{number}"));
    let aside = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    forget_over(stand_in)?;
    let mut was_there = false;
    // The database last.
    for suffix in BESIDE.into_iter().rev().chain([""]) {
        was_there = match std::fs::rename(with_suffix(stand_in, suffix), with_suffix(&aside, suffix)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
    }
    sync_folder(stand_in)?;
    Ok(was_there.then_some(aside))
}

/// Notes, on disk, that the default source is written in the place of this one.
pub(super) fn note_in_default(config: &DatabaseConfig, name: &SourceName) -> io::Result<()> {
    let stand_in = path(config, name);
    stand_in.parent().map_or(Ok(()), make_folder)?;
    put(&stand_in.with_extension(IN_DEFAULT))
}

/// Takes that back: nothing of it waits there.
pub(super) fn forget_in_default(config: &DatabaseConfig, name: &SourceName) -> io::Result<()> {
    take_away(&path(config, name).with_extension(IN_DEFAULT))
}

/// The sources in whose place the default one was written, or may have been.
pub(super) fn in_default(config: &DatabaseConfig) -> Vec<SourceName> {
    named(config, IN_DEFAULT).into_iter().map(|(name, _)| name).collect()
}

/// The stand-ins whose files are there and that are not over, by the names of the sources that they stand for,
/// configured or not.
pub(super) fn all(config: &DatabaseConfig) -> Vec<(SourceName, SourceConfig)> {
    let settings = |name: &SourceName, path| SourceConfig { name: name.clone(), ..SourceConfig::new(path) };
    let found = named(config, "db").into_iter().filter(|(_, path)| !is_over(path));
    found.map(|(name, path)| (name.clone(), settings(&name, path))).collect()
}

/// The stand-ins that are over and were not removed.
pub(super) fn all_over(config: &DatabaseConfig) -> Vec<PathBuf> {
    named(config, OVER).into_iter().map(|(_, path)| path.with_extension("db")).collect()
}

/// The stand-ins of a source that were set aside.
pub(super) fn all_aside(config: &DatabaseConfig, name: &SourceName) -> Vec<PathBuf> {
    let beginning = format!("{name}.db{ASIDE}");
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.strip_prefix(&beginning)).is_some_and(is_number)
    };
    let mut found: Vec<_> = entries(config).into_iter().filter(is_one).collect();
    found.sort();
    found
}

/// Whether a stand-in never held anything: its making was broken off.
pub(super) fn is_empty(stand_in: &Path) -> bool {
    let bytes = |path: PathBuf| std::fs::metadata(path).map(|found| found.len());
    let has_none = |found: io::Result<u64>| match found {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    matches!(bytes(stand_in.to_owned()), Ok(0)) && has_none(bytes(with_suffix(stand_in, "-wal")))
}

/// Whether a stand-in may hold writes that are not at home. One that cannot be looked at may.
pub(super) fn may_hold_writes(stand_in: &Path) -> bool {
    let is_none = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let may_be_there = std::fs::metadata(stand_in).map_or_else(|error| !is_none(&error), |_| true);
    may_be_there && !is_over(stand_in) && !is_empty(stand_in)
}

/// The files in the folder with this extension, by the sources that they are called after.
fn named(config: &DatabaseConfig, extension: &str) -> Vec<(SourceName, PathBuf)> {
    let mut found = Vec::new();
    for path in entries(config) {
        if path.extension().is_some_and(|found| found == extension)
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str()?.parse::<SourceName>().ok())
        {
            found.push((name, path));
        }
    }
    found.sort();
    found
}

fn entries(config: &DatabaseConfig) -> Vec<PathBuf> {
    let Ok(entries) = config.data_dir.join(FOLDER).read_dir() else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

fn remove_parts(path: &Path, suffixes: &[&str]) -> io::Result<()> {
    suffixes.iter().try_for_each(|suffix| unlink(&with_suffix(path, suffix)))
}

/// Removes a file that says something by being there; it is gone for good afterwards.
fn take_away(path: &Path) -> io::Result<()> {
    if path.exists() {
        unlink(path)?;
        sync_folder(path)?;
    }
    Ok(())
}

fn unlink(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes an empty file, on disk.
fn put(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?.sync_all()?;
    sync_folder(path)
}

/// Has the disk know which files there are beside this one.
fn sync_folder(path: &Path) -> io::Result<()> {
    folder::sync(&folder_of(path))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
