//! Telling whether two paths lead to one file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// More links one after the other the system does not follow either.
const MOST_LINKS: usize = 40;

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
        match fs::metadata(path) {
            Ok(found) => Self::There(found.dev(), found.ino()),
            Err(_) => Self::Absent(without_links(path, MOST_LINKS)),
        }
    }
}

/// The path to a file that is not there, with all links on the way replaced by what they lead to: the last one too,
/// which leads to where the file will be.
fn without_links(path: &Path, most: usize) -> PathBuf {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| without_links(folder, most));
    let path = folder.join(name);
    match fs::read_link(&path) {
        Ok(target) if most > 0 => without_links(&folder.join(target), most - 1),
        _ => path,
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
    let mut shortened = false;
    for part in path.components() {
        match part {
            // Behind a link it is not known what `..` is, nor what a further one is.
            Component::ParentDir if !plain.is_symlink() && !plain.ends_with("..") => {
                plain.pop();
                shortened = true;
            }
            part => plain.push(part),
        }
    }
    // The same path as when all of it is there: a configuration that is read again says what it said.
    if shortened { without_links(&plain, MOST_LINKS) } else { plain }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_stays_the_same_when_its_folder_is_made() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("real/configs")).unwrap();
        symlink("real", folder.path().join("linked")).unwrap();
        for path in ["linked/configs/../data", "linked/configs/../data/deeper", "linked/data"] {
            let path = folder.path().join(path);
            let before = resolve(&path);
            fs::create_dir_all(&path).unwrap();
            assert_eq!(resolve(&path), before);
            fs::remove_dir_all(fs::canonicalize(&path).unwrap()).unwrap();
        }
    }
}
