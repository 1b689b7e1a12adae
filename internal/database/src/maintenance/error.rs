//! What can go wrong while files are copied and put back.

use std::io;
use std::path::PathBuf;

use super::copy::CopyError;
use crate::source::{OpenError, describe};

/// A copy that was not made, or not put back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// No source has this name.
    #[error("there is no source `{name}`; known are: {known}")]
    NoSource {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Files cannot be made in a folder.
    #[error("the backup cannot be written: {} ({error}); name a folder that this user can write", path.display())]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// What is named as a folder is none.
    #[error("the backup cannot be written: {} is {what}; name a folder, or move that away", path.display())]
    NotAFolder {
        /// What was named, or what it is said to be in.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder in which a folder is to be made does not exist.
    #[error(
        "the backup cannot be written: the folder {} does not exist; correct the path, mount the disk that it is on, or create it", path.display()
    )]
    NoParent {
        /// The folder that is missing.
        path: PathBuf,
    },
    /// There is too little room.
    #[error("the disk of {} has too little room: {needed} bytes are needed, and {free} are free; make room", path.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// How many bytes are needed.
        needed: u64,
        /// How many are free.
        free: u64,
    },
    /// Not one source could be copied.
    #[error("nothing could be copied: {reasons}")]
    NothingCopied {
        /// Why, source by source.
        reasons: String,
    },
    /// It was broken off.
    #[error("it was broken off; nothing was changed")]
    BrokenOff,
    /// What was named is no backup.
    #[error("{} is no backup ({detail}); name a folder that `bot db backup` made, or a database file and its source with --source", path.display())]
    NoBackup {
        /// What was named.
        path: PathBuf,
        /// Why it is none.
        detail: String,
    },
    /// What was named is a folder of backups.
    #[error("{} is no backup itself, it holds backups; name one of them, the newest first: {sets}", path.display())]
    HoldsBackups {
        /// What was named.
        path: PathBuf,
        /// The first few of them.
        sets: String,
    },
    /// There is nothing of this name.
    #[error("{} does not exist; name a folder that `bot db backup` made, or a database file and its source with --source", path.display())]
    NothingThere {
        /// What was named.
        path: PathBuf,
    },
    /// The backup has nothing of a source.
    #[error("the backup {} has no copy of the source `{name}`; take another, or leave that source out", path.display())]
    NotInBackup {
        /// The backup.
        path: PathBuf,
        /// The source.
        name: String,
    },
    /// The backup has sources that are not configured.
    #[error(
        "the backup {} has copies of sources that are not configured: {names}; what their chats had would be missing. Configure [database.sources] and [database.chat_mapping] as they were when it was made, or name with --source what to put back", path.display()
    )]
    NotConfigured {
        /// The backup.
        path: PathBuf,
        /// The sources.
        names: String,
    },
    /// A file of the backup is not what it should be.
    #[error("the backup {} cannot be used: {detail}; take another", path.display())]
    BadBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file of the backup is another database's.
    #[error("the backup {} is of another database than the source `{name}` has ({detail}); take one of this source", path.display())]
    OtherDatabase {
        /// The file.
        path: PathBuf,
        /// The source.
        name: String,
        /// What says so.
        detail: String,
    },
    /// The backup is what it is to be put back over.
    #[error("{} is the database itself; name a copy of it", path.display())]
    Itself {
        /// The file.
        path: PathBuf,
    },
    /// The source is only read.
    #[error("the source `{name}` is read-only, so nothing is put back there; set `readonly = false` for it first")]
    ReadOnlySource {
        /// The source.
        name: String,
    },
    /// Chats would be left without their rows.
    #[error(
        "the backup knows nothing of chats that were moved since: {chats}; their rows would be gone. Put back the whole set under the configuration of its time, take a later backup, move them elsewhere with `bot db move` first, or put it back with --even-so"
    )]
    LosesChats {
        /// The chats, and where they live.
        chats: String,
    },
    /// Chats would be led to places that have none of the rows which the backup has of them.
    #[error(
        "the backup has chats in sources that they are not led to: {chats}; their rows would not be found. First put the lines of [database.chat_mapping] back as they were when it was made, or put it back with --even-so"
    )]
    LedElsewhere {
        /// The chats, where the backup has them, and where they are led.
        chats: String,
    },
    /// The present content could not be kept.
    #[error("what {} holds now could not be kept first ({detail}); nothing was changed", path.display())]
    NotKept {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The backup's content could not be written.
    #[error("the backup could not be written into {} ({detail}); do it again{}", path.display(), kept_at(kept.as_ref()))]
    NotPutBack {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
        /// Where what was there before is.
        kept: Option<PathBuf>,
    },
    /// What is there now is not what the backup has.
    #[error("{} is not what the backup has ({detail}); look at the disk, and do it again{}", path.display(), kept_at(kept.as_ref()))]
    Differs {
        /// The file.
        path: PathBuf,
        /// What is different.
        detail: String,
        /// Where what was there before is.
        kept: Option<PathBuf>,
    },
    /// Calls of the bot still use the file.
    #[error("the source `{name}` is in use ({detail}); do it again, or with the bot stopped")]
    InUse {
        /// The source.
        name: String,
        /// By whom.
        detail: String,
    },
    /// The default source is the bot's own.
    #[error(
        "the default source `{name}` is put back with the bot stopped; stop it, or name other sources with --source"
    )]
    DefaultSource {
        /// The source.
        name: String,
    },
    /// A file cannot be opened, or another process is in charge.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn kept_at(kept: Option<&PathBuf>) -> String {
    kept.map_or_else(String::new, |kept| format!("; what was there before is in {}", kept.display()))
}

/// What went wrong in words, but for being broken off.
pub(super) fn detail(error: CopyError) -> Result<String, MaintenanceError> {
    match error {
        CopyError::BrokenOff => Err(MaintenanceError::BrokenOff),
        CopyError::Sqlite(error) => Ok(describe(&error)),
    }
}
