//! Folders, and the one small file in them that is no database: the only place here that opens anything but through SQLite.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::manifest::NAME;

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
