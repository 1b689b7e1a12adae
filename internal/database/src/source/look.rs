//! Looking at a database's file while no bot is asked: nothing is made, migrated or written, and nothing is left beside
//! it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connection;
use super::context::Context;
use super::file::{self, FileId, WayIn};
use super::open::{check_length, check_log, unreadable};
use super::probe::Probe;
use super::{Facts, OpenError, ReadTx, SourceConfig};
use crate::error::Result;
use crate::migrate::{self, Survey};
use crate::route::SourceName;

/// How long a look waits at most for other processes, however long the source's calls may wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a look at a database's file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The file, absolute.
    pub path: PathBuf,
    /// How many bytes it has, its log included; `None` where it cannot be looked at.
    pub bytes: Option<u64>,
    /// What it is.
    pub found: Found,
}

/// What is at a database's path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// No file, or one without a byte. It is made when a bot opens it.
    Nothing,
    /// A database that this release can use.
    Database(Contents),
    /// Something that cannot be used or was not read.
    Unusable {
        /// Why, and what to do.
        reason: String,
    },
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The schema's version as earlier releases know it, 0 to 6.
    pub version: i64,
    /// The version of what this project adds; 0 where it has added nothing yet.
    pub additions: i64,
    /// What the file alone is called; `None` before this project has written to it.
    pub uuid: Option<String>,
    /// How many chats have something in it.
    pub chats: u64,
}

/// What a look at a source's file found, for who wants to know more.
pub(crate) struct Seen {
    pub(crate) look: Look,
    /// What speaks for or against its being the source's; `None` where that is not known.
    pub(crate) facts: Option<Facts>,
    name: SourceName,
    timeout: Duration,
    link: Option<Probe>,
}

impl Seen {
    /// Reads from the file; `None` where there is nothing to read from.
    pub(crate) fn read<T>(&self, op: &'static str, f: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Option<Result<T>> {
        let context = Context { op, source: &self.name, timeout: self.timeout };
        self.link.as_ref().map(|link| f(&ReadTx::new(link, context)))
    }

    /// The connection, for who reads the file as a whole: it has no deadline. `None` where there is nothing to read from.
    pub(crate) fn unhurried(&self) -> Option<&rusqlite::Connection> {
        let link = self.link.as_ref()?;
        link.without_deadline();
        Some(&link.connection)
    }

    /// What was found, without the connection.
    pub(crate) fn into_facts(self) -> (Look, Option<Facts>) {
        (self.look, self.facts)
    }
}

/// Looks at a database's file without changing anything. A database that cannot be read without leaving files beside it
/// is not read, and the answer says so.
pub fn look(config: &SourceConfig) -> Look {
    look_closer(config).look
}

pub(crate) fn look_closer(config: &SourceConfig) -> Seen {
    let path = std::path::absolute(&config.path).unwrap_or_else(|_| config.path.clone());
    let bytes = file::bytes(&path);
    let (found, facts, link) = match read(&path, config) {
        Ok(None) => (Found::Nothing, Some(Facts::Nothing), None),
        Ok(Some((contents, facts, link))) => (Found::Database(contents), Some(facts), Some(link)),
        Err(reason) => (Found::Unusable { reason }, None, None),
    };
    let SourceConfig { name, timeout, .. } = config.clone();
    Seen { look: Look { path, bytes, found }, facts, name, timeout, link }
}

fn read(path: &Path, config: &SourceConfig) -> Result<Option<(Contents, Facts, Probe)>, String> {
    let timeout = config.timeout.min(PATIENCE);
    let refused = |error: OpenError| error.to_string();
    let failed = |error: rusqlite::Error| refused(unreadable(path, &error, timeout));
    if !file::is_there(path, config.readonly).map_err(refused)? {
        return Ok(None);
    }
    let link = match file::way_in(path) {
        WayIn::Reader => connection::look(path, timeout).map_err(failed)?.into(),
        WayIn::Probe => Probe::at_leisure(path, timeout).map_err(failed)?,
        WayIn::Writes(what) => {
            let path = path.display();
            return Err(format!("{path} was not read, since {what}; a bot that opens it can read it"));
        }
    };
    link.until(Instant::now() + timeout);
    check_length(path, &link.connection, timeout).map_err(refused)?;
    let survey = migrate::survey(path, &link.connection, config.readonly);
    let Survey { version, additions, chats } = survey.map_err(|error| refused(error.at(path, timeout)))?;
    let identity = migrate::identity(&link.connection).map_err(failed)?;
    check_log(path, &identity).map_err(refused)?;
    let file = FileId::of(path).ok_or_else(|| refused(OpenError::Missing { path: path.to_owned() }))?;
    let contents = Contents { version, additions, uuid: identity.uuid.clone(), chats };
    Ok(Some((contents, Facts::File(identity, file), link)))
}
