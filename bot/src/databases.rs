//! Opening the databases that the configuration names: the one place that knows how.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use database::{DatabaseConfig, DatabaseWrapper, OpenError, SourceConfig};

/// Databases that were opened, and what is new.
pub struct Opened {
    /// The databases.
    pub db: DatabaseWrapper,
    /// What is to be told of them: where they are, and what was made.
    pub notes: Vec<String>,
}

/// Why the databases could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabasesError {
    /// The configuration names several sources.
    #[error(
        "the configuration names {0} databases, and this build works on one; several need a build with the cargo \
         feature `multi-source`, which this release does not have yet: leave one source in [database.sources]"
    )]
    Several(usize),
    /// The folder cannot be made.
    #[error("cannot create the data folder {}: {error}; create it, or name another (data_dir, --data-dir)", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database: {0}")]
    Open(#[from] OpenError),
}

impl DatabasesError {
    /// Whether the configuration has to be changed.
    pub fn is_misuse(&self) -> bool {
        matches!(self, Self::Several(_) | Self::Open(OpenError::InvalidPath { .. } | OpenError::InvalidSetting { .. }))
    }
}

/// Opens the databases of a configuration, making the folder where it is missing.
///
/// # Errors
/// They cannot be opened; files stay as they were.
pub fn open(config: &DatabaseConfig) -> Result<Opened, DatabasesError> {
    let source = only_source(config)?;
    let folder = &config.data_dir;
    let mut notes = Vec::new();
    if !folder.exists() {
        // What people say is nobody else's business.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| DatabasesError::DataDir { path: folder.clone(), error })?;
        notes.push(format!("Created the folder {}.", folder.display()));
    }
    let is_new = fs::metadata(&source.path).map_or(true, |found| found.len() == 0);
    let db = DatabaseWrapper::open(source)?;
    let what = if is_new { "Created" } else { "Using" };
    notes.push(format!("{what} the database {}.", source.path.display()));
    Ok(Opened { db, notes })
}

fn only_source(config: &DatabaseConfig) -> Result<&SourceConfig, DatabasesError> {
    match config.sources.get(&config.default_source) {
        Some(source) if config.sources.len() == 1 => Ok(source),
        _ => Err(DatabasesError::Several(config.sources.len())),
    }
}
