//! The databases that the configuration names: the one place that chooses between one file and many sources.
//!
//! What depends on the cargo feature `multi-source` is in one of two rooms of the same shape: `one` in a build for one
//! file, `many` in a build for many sources.

#[cfg(feature = "multi-source")]
mod many;
#[cfg(not(feature = "multi-source"))]
mod one;
pub mod upkeep;

use std::fs::{self, DirBuilder};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Layers};
use database::maintenance::{Finding, led_elsewhere};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, OpenError, SourceConfig, SourceName};

use crate::control::client::{Client, ClientError};
use crate::control::leftovers::{Clearing, JournalReport, SetAsideReport, Settle, SettledReport, StraysReport};
use crate::control::moves::{MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::{Accept, Fault};
use crate::control::report::{RouteReport, SourceReport, StatusReport};
use crate::control::{Operator, Plain};
use crate::transport::signals::StopSignals;

#[cfg(feature = "multi-source")]
use many as sources;
#[cfg(not(feature = "multi-source"))]
use one as sources;

/// Whether this build works on several databases.
pub const SEVERAL: bool = cfg!(feature = "multi-source");

/// Databases that were opened, and what is new.
pub struct Opened {
    /// The databases.
    pub db: DatabaseWrapper,
    /// What is to be told of them: where they are, what was made, and what cannot be used.
    pub notes: Vec<String>,
    /// What only whoever opened them knows of them.
    pub operator: Arc<dyn Operator>,
    running: sources::Running,
}

/// Whom to ask about the databases.
pub enum Reached {
    /// The bot that is in charge of them.
    Bot(Client),
    /// The files: no bot is in charge.
    Nobody,
    /// The files, though a process is in charge: it cannot be asked.
    Mute(Option<u32>),
}

/// Why the databases could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabasesError {
    /// The configuration names several sources.
    #[error(
        "the configuration names {0} databases, and this build works on one; build it for several with `cargo build \
         --release -p bot --features multi-source`, or leave one source that can be written in [database.sources]"
    )]
    Several(usize),
    /// What was asked for is there for sources only.
    #[error(
        "there are no sources by name here, only one database file; name sources in [database.sources], and use a bot \
         built with `cargo build --release -p bot --features multi-source`"
    )]
    OneFile,
    /// The folder cannot be made.
    #[error("cannot create the data folder {}: {error}; create it, or name another (data_dir, --data-dir)", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// There is no folder.
    #[error("the data folder {} does not exist; name another (data_dir, --data-dir), or start the bot, which makes it", .0.display())]
    NoDataDir(PathBuf),
    /// A process works on a file that chats would move from or to, and not by way of this data folder.
    #[error("{} is open in another program (process {process}), as in a bot that works on this one file: stop that first, since it would not know where the chats have gone", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process's number.
        process: u32,
    },
    /// It needs a build for several databases.
    #[error("this takes a bot that is built with `cargo build --release -p bot --features multi-source`")]
    NotBuilt,
    /// A file was not sealed.
    #[error("{0}")]
    Seal(String),
    /// Files were not copied, or not put back.
    #[error(transparent)]
    Maintenance(#[from] database::maintenance::MaintenanceError),
    /// Not one source can be opened.
    #[error("none of the databases can be used:\n{0}")]
    NoneUsable(String),
    /// The database cannot be opened.
    #[error("cannot open the database: {0}")]
    Open(#[from] OpenError),
    /// The configuration cannot be followed.
    #[error("cannot watch the configuration: {0}")]
    Watch(io::Error),
    /// The bot cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It was not done.
    #[error(transparent)]
    Refused(#[from] Fault),
}

impl DatabasesError {
    /// Whether the configuration has to be changed, or what was asked for.
    pub fn is_misuse(&self) -> bool {
        use crate::control::protocol::FaultKind::{OneFile, UnknownSource};
        match self {
            Self::Several(_) | Self::OneFile | Self::NotBuilt => true,
            Self::Open(error) => matches!(error, OpenError::InvalidPath { .. } | OpenError::InvalidSetting { .. }),
            Self::Refused(fault) => matches!(fault.kind, OneFile | UnknownSource),
            Self::Maintenance(error) => {
                use database::maintenance::MaintenanceError::{NoSource, NotConfigured};
                matches!(error, NoSource { .. } | NotConfigured { .. })
            }
            _ => false,
        }
    }
}

/// Opens the databases of a configuration, making the folder where it is missing.
///
/// # Errors
/// They cannot be opened; files stay as they were. Of several it is enough that one can.
pub fn open(config: &Config) -> Result<Opened, DatabasesError> {
    sources::open(config)
}

/// Whether this build can work on the databases of a configuration. Looks at none.
///
/// # Errors
/// It cannot.
pub fn can_run(config: &DatabaseConfig) -> Result<(), DatabasesError> {
    sources::can_run(config)
}

/// Whether the databases of a configuration can be gone over to another one while they are open.
pub fn can_reload(config: &DatabaseConfig) -> bool {
    sources::can_reload(config)
}

/// Finds out whom to ask about the databases of a configuration.
///
/// # Errors
/// A bot's socket is there and cannot be connected to.
pub fn reach(config: &DatabaseConfig) -> Result<Reached, DatabasesError> {
    sources::reach(config)
}

/// The bot that is in charge of a data folder, where one can be asked: for when the configuration is wrong by now.
///
/// # Errors
/// A bot's socket is there and cannot be connected to.
pub fn bot_in(data_dir: &Path) -> Result<Option<Client>, DatabasesError> {
    sources::bot_in(data_dir)
}

/// The databases as their files show them. Changes nothing.
///
/// # Errors
/// This build cannot work on them.
pub fn look(config: &DatabaseConfig) -> Result<StatusReport, DatabasesError> {
    sources::look(config)
}

/// Where a chat would live, by the configuration and what the files show. Changes nothing.
///
/// # Errors
/// This build cannot work on them.
pub fn look_for(config: &DatabaseConfig, chat: ChatId) -> Result<RouteReport, DatabasesError> {
    sources::look_for(config, chat)
}

/// Accepts another file in the place of the one that a source had, while no bot runs: takes the data folder meanwhile.
///
/// # Errors
/// There are no sources, there is none of this name, it cannot be opened all the same, or a process is in charge.
pub fn adopt(config: &Config, source: &SourceName, what: Accept) -> Result<SourceReport, DatabasesError> {
    sources::adopt(config, source, what)
}

/// Moves chats one after the other while no bot runs: takes the data folder meanwhile. Answers for each; after one that
/// `progress` broke off, for no more.
///
/// # Errors
/// There are no sources, there is none of this name, or a process is in charge.
pub fn move_chats(
    config: &Config,
    what: &MoveRequest,
    progress: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
) -> Result<MovesReport, DatabasesError> {
    sources::move_chats(config, what, progress)
}

/// What waits for sources and what was kept aside, as the files show it: of each so many at most. Changes nothing.
///
/// # Errors
/// There are no sources, or there is none of this name.
pub fn look_at_journal(
    config: &DatabaseConfig,
    source: Option<&SourceName>,
    most: usize,
) -> Result<JournalReport, DatabasesError> {
    sources::look_at_journal(config, source, most)
}

/// Deals with what was kept aside at a source, while no bot runs: takes the data folder meanwhile.
///
/// # Errors
/// There are no sources, there is none of this name, it cannot be written, or a process is in charge.
pub fn settle(config: &Config, source: &SourceName, what: &Settle) -> Result<SettledReport, DatabasesError> {
    sources::settle(config, source, what)
}

/// Goes on without the stand-in of a source, which is damaged or lost: its file is kept under another name. Takes the
/// data folder meanwhile.
///
/// # Errors
/// There are no sources, there is none of this name, nothing stands in for it or what does is well, or a process is in
/// charge.
pub fn set_aside(config: &Config, source: &SourceName) -> Result<SetAsideReport, DatabasesError> {
    sources::set_aside(config, source)
}

/// The rows of chats in files that do not own them, as the files show them. Changes nothing.
///
/// # Errors
/// There are no sources.
pub fn look_at_strays(config: &DatabaseConfig) -> Result<StraysReport, DatabasesError> {
    sources::look_at_strays(config)
}

/// Deletes those of them that are the same at home, and others where that is wanted, while no bot runs: takes the data
/// folder meanwhile.
///
/// # Errors
/// There are no sources, the default one cannot be read, or a process is in charge.
pub fn clear_strays(config: &Config, what: Clearing) -> Result<StraysReport, DatabasesError> {
    sources::clear_strays(config, what)
}

/// Makes a copy of a database that can be read where nothing can be made beside it; answers where it is.
///
/// # Errors
/// The database cannot be read, the copy cannot be made, or this build cannot do it.
pub fn seal(file: &Path, to: Option<&Path>) -> Result<PathBuf, DatabasesError> {
    sources::seal(file, to)
}

impl Opened {
    /// Goes over to what the configuration comes to say, when its files change and when SIGHUP comes, where that is
    /// possible.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn follow(&self, layers: Layers, config: &Config, signals: &StopSignals) -> Result<(), DatabasesError> {
        self.running.follow(layers, config, signals).map_err(DatabasesError::Watch)
    }

    /// Closes the databases once the calls under way have ended, and lets go of everything that is there for them.
    pub fn close(self) {
        self.running.stop();
        self.db.close();
    }
}

/// Opens one file as earlier releases did: without a lock and without a socket.
fn open_one(config: &DatabaseConfig, source: &SourceConfig) -> Result<Opened, DatabasesError> {
    let mut notes = make_folder(&config.data_dir)?;
    let is_new = is_new(&source.path);
    let db = DatabaseWrapper::open(source)?;
    if let Some(Finding { what, remedy, .. }) = led_elsewhere(source) {
        tracing::warn!(file = %source.path.display(), "{what}; {remedy}");
    }
    let what = if is_new { "Created" } else { "Using" };
    notes.push(format!("{what} the database {}.", source.path.display()));
    let operator = Arc::new(Plain::new(db.clone()));
    Ok(Opened { db, notes, operator, running: sources::Running::beside_one_file() })
}

/// Makes the data folder where it is missing; answers with what is to be told of that.
fn make_folder(folder: &Path) -> Result<Vec<String>, DatabasesError> {
    if folder.exists() {
        return Ok(Vec::new());
    }
    // What people say is nobody else's business.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| DatabasesError::DataDir { path: folder.to_owned(), error })?;
    Ok(vec![format!("Created the folder {}.", folder.display())])
}

/// Whether there is no database at a path yet.
pub fn is_new(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.len() == 0)
}

/// Looks at one file.
fn look_at_one(config: &DatabaseConfig, source: &SourceConfig) -> StatusReport {
    let look = database::look(source);
    let report = SourceReport::of_file(source.name.as_str(), look, source.readonly, true, 0);
    StatusReport { data_dir: config.data_dir.display().to_string(), sources: vec![report], ..StatusReport::default() }
}

/// The one source there is, if it is one that can be written.
fn only_source(config: &DatabaseConfig) -> Result<&SourceConfig, DatabasesError> {
    match config.sources.get(&config.default_source) {
        Some(source) if config.sources.len() == 1 => Ok(source),
        _ => Err(DatabasesError::Several(config.sources.len())),
    }
}
