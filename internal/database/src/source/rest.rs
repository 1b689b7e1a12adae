//! A source that was closed for others to have room: what it left, and whether that is still so.
//!
//! Nothing is moved from the log into the file then, and neither is taken away: what is on disk is what a source that is
//! open has there. As long as nobody has touched it, the source is opened again without the looks that a file needs
//! which nobody knows, as if it had stayed open.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use super::checkpoint::Log;
use super::file::{FileId, log_of};
use super::writer::Writer;
use super::{Database, OpenError, SourceConfig, connection};

/// A database's files as they were left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    file: Trace,
    log: Trace,
    /// How many pages the log has, as far as that is known.
    pages: u32,
}

/// What changes whenever anybody changes a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace {
    id: FileId,
    length: u64,
    /// When it was changed last, in seconds and nanoseconds.
    changed: (i64, i64),
}

impl Trace {
    /// The file that the path leads to now, as it is; `None` where there is none (or it cannot be looked at).
    pub(super) fn at(path: &Path) -> Option<Self> {
        // By a clock that nobody can set back.
        fs::metadata(path).ok().map(|found| Self::of(&found, (found.ctime(), found.ctime_nsec())))
    }

    fn of(found: &Metadata, changed: (i64, i64)) -> Self {
        Self { id: FileId::from(found), length: found.len(), changed }
    }
}

impl Rest {
    /// The files as they are now.
    pub(super) fn of(path: &Path, pages: u32) -> Option<Self> {
        // (The log is found anew each time: through a link the same file may be elsewhere by now, and SQLite would look for
        // its log there.)
        let (file, log) = (Trace::at(path)?, fs::metadata(log_of(path)).ok()?);
        Some(Self {
            file,
            // (SQLite has root give it its owner again each time.)
            log: Trace::of(&log, (log.mtime(), log.mtime_nsec())),
            pages,
        })
    }

    pub(super) fn is_of(&self, file: FileId) -> bool {
        self.file.id == file
    }

    /// Whether nobody has touched them since.
    pub(super) fn is_untouched(&self, path: &Path) -> bool {
        Self::of(path, self.pages) == Some(*self)
    }
}

impl Database {
    /// Opens a database again that this process has closed and nobody has touched since.
    pub(super) fn reopen(config: &SourceConfig, deadline: Instant, rest: &Rest) -> Result<Self, OpenError> {
        let SourceConfig { name, path, timeout, durability, .. } = config;
        let path = std::path::absolute(path).map_err(|error| OpenError::from_io(path, &error))?;
        let failed = |error: rusqlite::Error| OpenError::from_sqlite(&path, &error, *timeout);
        let mut writer =
            connection::writer(&path, deadline.saturating_duration_since(Instant::now())).map_err(failed)?;
        connection::make_durable(&writer.connection, *durability).map_err(failed)?;
        let log = Log::new(name.clone(), path.clone(), rest.file.id);
        log.watch(&mut writer, Some(rest.pages)).map_err(failed)?;
        // After it was opened, and before a byte of it is believed.
        if !rest.is_untouched(&path) {
            let detail = "it was changed meanwhile".to_owned();
            return Err(OpenError::Other { path, detail });
        }
        Ok(Self::of(config, path, rest.file.id, log, Writer::open(writer)))
    }
}
