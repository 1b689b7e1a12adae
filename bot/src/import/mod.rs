//! Bringing real chat history in: an export's records become batches, and each batch is stored with how far it is.

pub mod export;

mod batch;
mod chat;
mod report;
mod sink;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use database::DatabaseWrapper;
use indicatif::{ProgressBar, ProgressStyle};

use export::{Counted, ReadError, read_export};
use sink::{DatabaseSink, Stop};

pub use report::{ChatReport, Report};

/// The file's name in an export's folder.
const RESULT: &str = "result.json";
/// How much of a file's beginning tells it from others.
const HEAD: u64 = 1 << 20;

/// How an import is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Offer every record again, even those that an earlier import from the same file stored.
    pub again: bool,
    /// Show on standard error how far it is, where that is a terminal.
    pub progress_bar: bool,
}

/// Why an import ended before the end of the file. What came before is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be opened.
    #[error("cannot open {path}: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The folder has no export in it.
    #[error("the folder has no {RESULT} in it; give the result.json that Telegram Desktop wrote")]
    NoResult,
    /// The file is one of the databases that are open: reading it by other means than SQLite would drop SQLite's locks.
    #[error("this is the bot's own database; give the result.json that Telegram Desktop wrote")]
    OwnDatabase,
    /// The file is no export, or broken.
    #[error(transparent)]
    Read(#[from] ReadError<database::Error>),
    /// It was asked to stop.
    #[error("stopped; run the same command again to go on from there")]
    Stopped,
}

impl ImportError {
    /// Whether it was asked to stop.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Stopped)
    }
}

/// Stores what an export holds; what is stored already is neither stored nor counted again. `stop` is asked now and
/// then whether to end early.
///
/// Whatever goes wrong, all records before that are stored, and the report tells of them.
pub fn import(db: &DatabaseWrapper, path: &Path, options: &Options, stop: &dyn Fn() -> bool) -> Report {
    let mut report = Report::new(path);
    let opened = open(path, db);
    let (file, identity) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            report.error = Some(error);
            return report;
        }
    };
    let length = file.metadata().map_or(0, |found| found.len());
    let read = Arc::new(AtomicU64::new(0));
    let bar = progress_bar(length, options.progress_bar);
    let mut sink = DatabaseSink::new(db, identity, options.again, stop, &mut report, || {
        bar.set_position(read.load(Ordering::Relaxed));
    });
    let outcome = read_export(Counted::new(file, Arc::clone(&read)), &mut sink);
    // What was read before a break is kept.
    let last = sink.flush();
    bar.finish_and_clear();
    report.error = match (outcome, last) {
        (Ok(summary), Ok(())) => {
            report.take_summary(summary);
            None
        }
        (Err(ReadError::Sink(Stop::Asked)), Ok(())) => Some(ImportError::Stopped),
        (Err(error), Ok(())) => Some(ImportError::Read(without_stop(error))),
        (_, Err(error)) => Some(ImportError::Read(ReadError::Sink(error))),
    };
    report
}

/// The error in terms of the database: asking to stop is dealt with before.
fn without_stop(error: ReadError<Stop>) -> ReadError<database::Error> {
    match error {
        ReadError::NotJson { found, place } => ReadError::NotJson { found, place },
        ReadError::NotExport { found, place } => ReadError::NotExport { found, place },
        ReadError::CutShort { place } => ReadError::CutShort { place },
        ReadError::Broken { place, what } => ReadError::Broken { place, what },
        ReadError::Input { place, source } => ReadError::Input { place, source },
        ReadError::Sink(Stop::Database(error)) => ReadError::Sink(error),
        ReadError::Sink(Stop::Asked) => ReadError::CutShort { place: export::Place::default() },
    }
}

/// The file, and what tells it from others: its length and a checksum of its beginning.
fn open(path: &Path, db: &DatabaseWrapper) -> Result<(File, String), ImportError> {
    let in_folder = path.join(RESULT);
    let path = match path.is_dir() {
        true if !in_folder.exists() => return Err(ImportError::NoResult),
        true => &in_folder,
        false => path,
    };
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    let own =
        db.sources().into_iter().any(|source| identity(&source.path).is_some_and(|own| Some(own) == identity(path)));
    if own {
        return Err(ImportError::OwnDatabase);
    }
    let look = || -> io::Result<(File, String)> {
        let mut file = File::open(path)?;
        let mut checksum = flate2::Crc::new();
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
        checksum.update(&head);
        file.rewind()?;
        let length = file.metadata()?.len();
        Ok((file, format!("{length}-{:08x}", checksum.sum())))
    };
    look().map_err(|error| ImportError::Open { path: path.to_owned(), error })
}

fn progress_bar(length: u64, wanted: bool) -> ProgressBar {
    if !wanted {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let style = "{bar:30} {percent:>3} %  {binary_bytes} of {binary_total_bytes}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
