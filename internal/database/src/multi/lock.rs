//! One process is in charge of a data directory: the lock that says so.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::source::OpenError;

/// The name of the lock's file in the data directory.
const NAME: &str = "switchyard.lock";

/// The data directory is this process's for as long as this is there.
pub(crate) struct DataDirLock {
    file: File,
}

impl DataDirLock {
    /// Takes the lock of a directory, or says who has it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join(NAME);
        let failed = |error: &io::Error| OpenError::Lock { path: path.clone(), detail: error.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let read = file.read_to_string(&mut owner);
                let process = read.ok().and_then(|_| owner.trim().parse().ok());
                return Err(OpenError::InUse { data_dir: data_dir.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // For whoever finds it taken. The lock goes with the process, whatever stands here.
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(|error| failed(&error))?;
        Ok(Self { file })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started by another thread has it open, too, until it
        // runs a program of its own. Where it fails, closing it is all that is left.
        let _ = self.file.unlock();
    }
}
