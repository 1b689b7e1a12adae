//! A database as it is at one moment, for whoever copies it while others write on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::connection;
use super::open::{check_length, check_log, unreadable};
use super::probe::Probe;
use super::{OpenError, ReadTx, context::Context, file};
use crate::error::Result;
use crate::migrate::{self, Identity};
use crate::route::SourceName;

/// A connection that sees one moment of a database until it is dropped, and changes nothing of it. Writers do not wait
/// for it; only their log grows as long as it is there.
pub(crate) struct Moment {
    link: Probe,
    path: PathBuf,
    identity: Identity,
    patience: Duration,
}

impl Moment {
    /// This moment of a database. Waits so long for locks of others.
    pub(crate) fn of(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        file::look_readonly(path)?;
        let path = std::path::absolute(path).map_err(|error| OpenError::from_io(path, &error))?;
        let failed = |error: rusqlite::Error| unreadable(&path, &error, patience);
        // Where no log is beside it, only a connection that may write takes the one that it makes away again.
        let link = if file::may_write(&path) && file::may_write(&file::folder_of(&path)) {
            Probe::at_leisure(&path, patience)
        } else {
            connection::look(&path, patience).map(Probe::from)
        };
        let link = link.map_err(failed)?;
        check_length(&path, &link.connection, patience)?;
        link.connection.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema;").map_err(failed)?;
        let identity = migrate::identity(&link.connection).map_err(failed)?;
        check_log(&path, &identity)?;
        Ok(Self { link, path, identity, patience })
    }

    /// Reads one statement from it.
    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        source: &SourceName,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        f(&ReadTx::new(&self.link, Context { op, source, timeout: self.patience }))
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.link.connection
    }

    /// The file, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of itself.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// A connection that another database's content is written through: made for whoever has the file to themselves. Where
/// there is no file it is made, readable by its owner only.
pub(crate) fn to_be_overwritten(path: &Path, patience: Duration) -> Result<Connection, OpenError> {
    file::create(path)?;
    let failed = |error: rusqlite::Error| OpenError::from_sqlite(path, &error, patience);
    connection::overwriter(path, patience).and_then(|link| link.into_connection(patience)).map_err(failed)
}
