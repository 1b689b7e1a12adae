//! Folders, and the one small file in them that is no database: the only place here that opens anything but through SQLite.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::MaintenanceError;
use super::manifest::NAME;
use crate::source::folder_of;

/// A folder that is there.
pub(super) struct Ready {
    /// Where it is, without links and `..`.
    pub(super) path: PathBuf,
    /// Whether it was made.
    pub(super) is_new: bool,
}

/// Makes a folder where it is missing, for its owner alone. What it is in has to be there: a path that is mistyped, or of a
/// disk that is not mounted, would be filled elsewhere.
pub(super) fn prepare(folder: &Path) -> Result<Ready, MaintenanceError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let not_a_folder = |path: &Path, what| Err(MaintenanceError::NotAFolder { path: path.to_owned(), what });
    let is_new = match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => true,
        Err(_) if folder.is_dir() => false,
        Err(_) if folder.is_file() => return not_a_folder(&folder, "a file"),
        Err(error) => match error.kind() {
            ErrorKind::AlreadyExists if !folder.exists() => {
                return not_a_folder(&folder, "a link that leads nowhere");
            }
            ErrorKind::AlreadyExists => return not_a_folder(&folder, "no folder"),
            ErrorKind::NotFound => return Err(MaintenanceError::NoParent { path: folder_of(&folder) }),
            ErrorKind::NotADirectory => {
                let file = folder.ancestors().find(|path| path.exists()).unwrap_or(&folder);
                return not_a_folder(file, if file.is_file() { "a file" } else { "no folder" });
            }
            _ => return Err(MaintenanceError::Folder { path: folder, error }),
        },
    };
    Ok(Ready { path: fs::canonicalize(&folder).unwrap_or(folder), is_new })
}

/// Whoever has this makes a folder's content; others leave it alone.
pub(super) struct Mine {
    _folder: File,
}

/// A folder for this process alone, until the answer is dropped; `None` where another has it.
pub(super) fn claim(folder: &Path) -> io::Result<Option<Mine>> {
    let opened = open(folder)?;
    match opened.try_lock() {
        Ok(()) => Ok(Some(Mine { _folder: opened })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Sees to it that what a folder's files are called is on disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    open(folder)?.sync_all()
}

/// Opens what is a folder, and nothing else.
fn open(folder: &Path) -> io::Result<File> {
    let only_folders = i32::try_from(rustix::fs::OFlags::DIRECTORY.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(only_folders).open(folder)
}

/// What the manifest in a folder says.
pub(super) fn manifest(folder: &Path) -> io::Result<String> {
    let mut text = String::new();
    OpenOptions::new().read(true).open(folder.join(NAME))?.read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a folder's manifest, on disk.
pub(super) fn write_manifest(folder: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(NAME))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
