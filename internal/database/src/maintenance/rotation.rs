//! Removing old backups: only what this command made, and never more of it than what it knows by name.

use std::fs;
use std::io;
use std::path::Path;

use super::folder;
use super::manifest::{Manifest, NAME, PART, STAND_INS, order};
use crate::route::SourceName;

/// What stands behind a database's name in the files beside it.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// What became of old backups.
#[derive(Default)]
pub(super) struct Rotated {
    /// The names of the sets that were removed.
    pub(super) removed: Vec<String>,
    /// What stays though it should go, and why.
    pub(super) left: Vec<String>,
}

/// The number of the next set that is begun within a second: later than all that are there.
pub(super) fn next_number(folder: &Path, stamp: &str) -> u32 {
    let names = names(folder);
    let orders = names.iter().filter_map(|name| order(name.strip_suffix(PART).unwrap_or(name)));
    orders.filter(|(of, _)| *of == stamp).map(|(_, number)| number + 1).max().unwrap_or(1)
}

/// Keeps the newest so many sets of the same databases that are whole, and as many of those that are not; in any case
/// this one, which was made just now.
pub(super) fn rotate(folder: &Path, like: &Manifest, made: &Path, keep: usize) -> Rotated {
    let mut rotated = Rotated::default();
    let mut sets: Vec<_> = names(folder)
        .into_iter()
        .filter(|name| order(name).is_some())
        .filter_map(|name| Some((Manifest::read(&folder.join(&name)).ok()?, name)))
        .filter(|(manifest, _)| manifest.is_like(like))
        .collect();
    // Those that lack something must not push out those that have all.
    // (A clock that was set back would make it older than others.)
    let is_made = |name: &str| made.file_name().is_some_and(|made| made == name);
    sets.sort_by(|(one, first), (other, second)| {
        let key = |whole, name| (whole, is_made(name), order(name));
        key(one.is_whole(), first).cmp(&key(other.is_whole(), second))
    });
    for sets in sets.chunk_by(|(one, _), (other, _)| one.is_whole() == other.is_whole()) {
        for (_, name) in &sets[..sets.len().saturating_sub(keep)] {
            match remove(folder, name) {
                Ok(()) => rotated.removed.push(name.clone()),
                Err(error) => rotated.left.push(format!("{name}: {error}")),
            }
        }
    }
    rotated
}

/// The sets in a folder, the newest first, each with what is to be known before it is chosen: it is read when it is
/// asked for.
pub(super) fn sets_in(folder: &Path) -> impl ExactSizeIterator<Item = String> {
    let mut names = names(folder);
    names.retain(|name| order(name).is_some());
    names.sort_by(|one, other| order(other).cmp(&order(one)));
    names.into_iter().map(|name| {
        let path = folder.join(name);
        let is_whole = Manifest::read(&path).is_ok_and(|manifest| manifest.is_whole());
        format!("{}{}", path.display(), if is_whole { "" } else { " (incomplete)" })
    })
}

/// Removes what killed runs left unfinished.
pub(super) fn remove_unfinished(folder: &Path) {
    for name in names(folder) {
        let Some(finished) = name.strip_suffix(PART) else { continue };
        let path = folder.join(&name);
        if order(finished).is_none() {
            continue;
        }
        // Whoever makes it has it locked.
        let Ok(Some(_mine)) = folder::claim(&path) else { continue };
        if let Err(error) = empty(&path).and_then(|()| fs::remove_dir(&path)) {
            tracing::warn!(folder = %path.display(), %error, "an unfinished backup cannot be removed");
        }
    }
}

/// The names of the folders in a folder; links are none.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn remove(folder: &Path, name: &str) -> io::Result<()> {
    let set = folder.join(name);
    if let Some(other) = stranger(&set)? {
        return Err(io::Error::other(format!("it holds {other}, which is no copy; move that away")));
    }
    // Half removed it is a set no more.
    let part = folder.join(format!("{name}{PART}"));
    fs::rename(&set, &part)?;
    empty(&part)?;
    fs::remove_dir(&part)
}

/// Something in a set that is not of it.
fn stranger(set: &Path) -> io::Result<Option<String>> {
    for entry in set.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && name == STAND_INS {
            for inner in entry.path().read_dir()? {
                let inner = inner?;
                let name = inner.file_name().to_string_lossy().into_owned();
                if !inner.file_type()?.is_file() || !is_copy(&name) {
                    return Ok(Some(format!("{STAND_INS}/{name}")));
                }
            }
        } else if is_folder || (name != NAME && !is_copy(&name)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Removes copies, and nothing else.
fn empty(set: &Path) -> io::Result<()> {
    if let Some(other) = stranger(set)? {
        return Err(io::Error::other(format!("it holds {other}, which is no copy")));
    }
    for folder in [set.join(STAND_INS), set.to_owned()] {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() { fs::remove_dir(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}

fn is_copy(name: &str) -> bool {
    let bare = BESIDE.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    bare.strip_suffix(".db").is_some_and(|name| name.parse::<SourceName>().is_ok())
}
