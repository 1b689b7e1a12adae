//! A source's open database, held open: it is not closed for others meanwhile, and whether the source still works on it can
//! be asked.

use std::sync::Arc;
use std::time::Instant;

use super::Source;
use super::database::Database;
use crate::error::Result;

/// An open database and the source that worked on it.
pub(crate) struct Held {
    pub(super) source: Arc<Source>,
    pub(super) database: Arc<Database>,
}

impl Held {
    /// The database of this moment, opened where it is not.
    pub(crate) fn of(source: &Arc<Source>, op: &'static str) -> Result<Self> {
        let database = source.database(op, Instant::now() + source.config().timeout)?;
        Ok(Self { source: Arc::clone(source), database })
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Whether the source still works on it: what is opened anew may have other content.
    pub(crate) fn is_whole(&self) -> bool {
        self.source.door.open_now().is_some_and(|now| Arc::ptr_eq(&now, &self.database))
    }
}
