//! One process is in charge of a data directory: the lock that says so.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::source::OpenError;

/// The name of the lock's file in the data directory.
const NAME: &str = "switchyard.lock";

/// How long the lock is waited for: somebody may look just now whether it is taken.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Who is in charge of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// Its process, where it told.
    pub process: Option<u32>,
}

/// Who is in charge of a data directory now; `None` where nobody is, or where that cannot be looked at. Makes no file.
pub fn in_charge(data_dir: &Path) -> Option<Owner> {
    let mut file = OpenOptions::new().read(true).open(data_dir.join(NAME)).ok()?;
    match file.try_lock_shared() {
        // Given back at once, with the file.
        Ok(()) | Err(TryLockError::Error(_)) => None,
        Err(TryLockError::WouldBlock) => Some(Owner { process: process_in(&mut file) }),
    }
}

/// The process that a lock's file names: in its first line.
fn process_in(file: &mut File) -> Option<u32> {
    text_of(file)?.lines().next()?.trim().parse().ok()
}

/// The mark of the databases that a lock's file names: in its second line.
fn mark_of(file: &mut File) -> Option<String> {
    text_of(file)?.lines().nth(1).map(|mark| mark.trim().to_owned()).filter(|mark| !mark.is_empty())
}

/// How many moves of chats there were, as a lock's file remembers: in its third line.
fn moves_of(file: &mut File) -> u64 {
    let moves = text_of(file).and_then(|text| text.lines().nth(2)?.trim().parse().ok());
    moves.unwrap_or_default()
}

fn text_of(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    Some(text)
}

/// The mark of the databases that belong into a data directory, as that remembers. Makes no file.
pub(super) fn mark_in(data_dir: &Path) -> Option<String> {
    mark_of(&mut File::open(data_dir.join(NAME)).ok()?)
}

/// The data directory is this process's for as long as this is there.
pub(crate) struct DataDirLock {
    file: File,
    mark: Option<String>,
    moves: u64,
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
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::park_timeout(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::InUse { data_dir: data_dir.to_owned(), process: process_in(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
        }
        // For whoever finds it taken. The lock goes with the process, whatever stands here.
        let (mark, moves) = (mark_of(&mut file), moves_of(&mut file));
        note(&mut file, mark.as_deref(), moves).map_err(|error| failed(&error))?;
        Ok(Self { file, mark, moves })
    }

    /// What the databases that belong here are marked with.
    pub(super) fn mark(&self) -> Option<String> {
        self.mark.clone()
    }

    /// Remembers what the databases that belong here are marked with.
    pub(super) fn remember(&mut self, mark: &str) {
        if self.mark.as_deref() == Some(mark) {
            return;
        }
        if let Err(error) = note(&mut self.file, Some(mark), self.moves) {
            // The files remember as well.
            tracing::warn!(%error, "which databases belong into the data directory cannot be noted there");
        }
        self.mark = Some(mark.to_owned());
    }

    /// How many moves of chats there were.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Remembers how many moves of chats there were.
    pub(super) fn remember_moves(&mut self, moves: u64) {
        if moves == self.moves {
            return;
        }
        if let Err(error) = note(&mut self.file, self.mark.as_deref(), moves) {
            tracing::warn!(%error, "how many chats were moved cannot be noted in the data directory");
        }
        self.moves = moves;
    }
}

fn note(file: &mut File, mark: Option<&str>, moves: u64) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let process = std::process::id();
    let rest = match (mark, moves) {
        (None, 0) => String::new(),
        (mark, 0) => format!("{}\n", mark.unwrap_or_default()),
        (mark, moves) => format!("{}\n{moves}\n", mark.unwrap_or_default()),
    };
    file.write_all(format!("{process}\n{rest}").as_bytes())
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started by another thread has it open, too, until it
        // runs a program of its own. Where it fails, closing it is all that is left.
        let _ = self.file.unlock();
    }
}
