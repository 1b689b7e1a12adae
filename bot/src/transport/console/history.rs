//! The file of lines typed in earlier runs. Nobody but its owner may read it, for it holds what people wrote.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Editor, Helper};

/// Longer ones are not kept: nobody brings a pasted book back to edit it.
const LONGEST_ENTRY: usize = 4096;
const OWNER_ONLY: u32 = 0o600;

/// Where the history is kept.
pub(super) struct History {
    path: PathBuf,
}

/// The history cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("history file {path}: {source}", path = path.display())]
pub(super) struct HistoryError {
    path: PathBuf,
    source: io::Error,
}

impl History {
    /// How many lines are kept.
    pub(super) const ENTRIES: usize = 1000;

    /// The history in this file, which is made if it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, HistoryError> {
        let open = || {
            let file = OpenOptions::new().append(true).create(true).mode(OWNER_ONLY).open(&path)?;
            if file.metadata()?.permissions().mode() & 0o077 != 0 {
                file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
            }
            // Found out now, once, rather than at each line.
            std::fs::read_to_string(&path).map(drop)
        };
        match open() {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(HistoryError { path, source }),
        }
    }

    pub(super) fn load<H: Helper>(&self, editor: &mut Editor<H, FileHistory>) -> rustyline::Result<()> {
        editor.load_history(&self.path)
    }

    /// Keeps a line, in the file at once: the program may be ended while it waits for the next.
    pub(super) fn add<H: Helper>(&self, editor: &mut Editor<H, FileHistory>, line: &str) -> Result<(), HistoryError> {
        if line.len() > LONGEST_ENTRY || line.trim().is_empty() {
            return Ok(());
        }
        let added = editor.add_history_entry(line).and_then(|_| editor.append_history(&self.path));
        added.map_err(|error| HistoryError {
            path: self.path.clone(),
            source: match error {
                ReadlineError::Io(error) => error,
                other => io::Error::other(other.to_string()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        History::open(path.clone()).unwrap();
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        History::open(path.clone()).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_file_that_is_no_history_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        std::fs::write(&path, b"\xff\xfe").unwrap();
        let error = History::open(path.clone()).err().unwrap().to_string();
        assert_eq!(error, format!("history file {}: stream did not contain valid UTF-8", path.display()));
        assert_eq!(std::fs::read(&path).unwrap(), b"\xff\xfe");
        assert!(History::open(dir.path().to_owned()).is_err());
        assert!(History::open(dir.path().join("missing/history")).is_err());
    }
}
