//! Looking after the files of databases from outside: checking them, copying them while they are in use, putting a copy
//! back, reading a chat row by row.
//!
//! A [`Site`] is the files that belong together, with what is known of them: one file ([`Site::of_file`]), or all of many
//! databases. Nothing here goes through a wrapper, so all of it works beside a bot that runs, in another process.

mod backup;
mod check;
mod copy;
mod elsewhere;
mod error;
mod finding;
pub(crate) mod folder;
#[cfg(feature = "multi-source")]
mod in_use;
mod manifest;
mod restore;
mod rotation;
mod unfinished;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::DatabaseConfig;
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{Look, SourceConfig, look_closer};

pub use backup::{BackupOptions, BackupProgress, BackupReport, backup};
pub use check::{CheckOptions, CheckReport, FileReport, check};
pub use elsewhere::led_elsewhere;
pub use error::MaintenanceError;
pub(crate) use finding::named;
pub use finding::{Finding, Severity};
#[cfg(feature = "multi-source")]
pub use in_use::in_use;
pub use manifest::{BackupFile, Manifest, NotCopied};
pub use restore::{BackupSet, RestoreOptions, RestoreOutcome, Restored, restore_file};
pub use unfinished::UnfinishedMove;

pub use verify::{BadRow, ChatCopy, RowDifference, VerifiedChat, VerifyReport, verify};

pub(crate) use restore::{Checked, Loss, put_back};

/// The files of a bot's databases as they were found at one moment.
#[derive(Clone)]
pub struct Site {
    pub(crate) data_dir: PathBuf,
    /// Stand-ins first, then the default source, then the others by name: the order in which copies are made. What comes
    /// home meanwhile is then in a later copy, if it is in no earlier one.
    pub(crate) files: Vec<SiteFile>,
    /// The chats that are led to a source by name.
    pub(crate) homes: Homes,
    /// The moves that are not at their end.
    pub(crate) moves: Vec<UnfinishedMove>,
    /// What is to be said of them all together.
    pub(crate) findings: Vec<Finding>,
    /// Looks where chats are led now; `None` where that cannot be asked.
    pub(crate) homes_now: Arc<dyn Fn() -> Option<Homes> + Send + Sync>,
}

/// The chats that are led to a source by name.
pub(crate) type Homes = BTreeMap<ChatId, SourceName>;

/// One of the files.
#[derive(Clone)]
pub(crate) struct SiteFile {
    /// The source that it is, or stands in for.
    pub(crate) name: SourceName,
    pub(crate) role: Role,
    pub(crate) settings: SourceConfig,
    /// What was found. A file that is not the source's own is unusable.
    pub(crate) look: Look,
    /// How many chats are led to it by name.
    pub(crate) routed: u64,
}

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The default source's, or the only one.
    Default,
    /// Another source's.
    Named,
    /// It stands in for a source that is away.
    StandIn,
}

impl Site {
    /// One file, as a bot without sources by name has it.
    pub fn of_file(config: &DatabaseConfig, source: &SourceConfig) -> Self {
        let seen = look_closer(source);
        let findings = elsewhere::led_elsewhere_by(&seen, source).into_iter().collect();
        let (name, settings) = (source.name.clone(), source.clone());
        let file = SiteFile { name, role: Role::Default, settings, look: seen.look, routed: 0 };
        Self {
            data_dir: config.data_dir.clone(),
            files: vec![file],
            homes: Homes::new(),
            moves: Vec::new(),
            findings,
            homes_now: Arc::new(|| Some(Homes::new())),
        }
    }

    /// The names of the sources, the default one first.
    pub fn sources(&self) -> impl Iterator<Item = &SourceName> {
        self.files.iter().filter(|file| file.role != Role::StandIn).map(|file| &file.name)
    }
}

impl SiteFile {
    /// What it is called in reports and errors.
    pub(crate) fn called(&self) -> String {
        match self.role {
            Role::StandIn => format!("the stand-in of {}", self.name),
            Role::Default | Role::Named => self.name.to_string(),
        }
    }
}
