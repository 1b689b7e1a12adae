//! Telling whether two paths lead to one file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Which file a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// It is there: its device and inode, the same by whatever name.
    There(u64, u64),
    /// It is not there yet: its name, in a folder without links where that is there.
    Absent(PathBuf),
}

impl FileIdentity {
    pub(crate) fn of(path: &Path) -> Self {
        if let Ok(found) = fs::metadata(path) {
            return Self::There(found.dev(), found.ino());
        }
        let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        match (folder, path.file_name()) {
            (Some(folder), Some(name)) => Self::Absent(folder.join(name)),
            _ => Self::Absent(path.to_owned()),
        }
    }
}

/// An absolute path without `.`, and without `..` where nothing that is there could be a link.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(found) = fs::canonicalize(&path) {
        // A folder's links may be swapped while the bot runs: the path stays as it was written where it can.
        if !path.components().any(|part| part == Component::ParentDir) {
            return path;
        }
        return found;
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if !plain.is_symlink() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
