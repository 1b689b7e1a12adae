//! Writes that were kept aside since they could not be made at home: dealt with when an operator asks for it.

use std::time::Instant;

use rusqlite::OptionalExtension as _;

use super::connection::Link;
use super::database::Database;
use super::journal::{Made, Noted, make};
use crate::error::Result;

/// What is done with a write that was kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It is none of those that are asked about.
    Leave,
    /// It is made here, and kept aside again where that fails.
    Make,
    /// It is kept aside no more: given up, or made where its chat is now.
    Gone,
    /// It stays, for this reason.
    Stays(String),
}

/// A write that was kept aside, and what came of trying again: `None` where it is kept aside no more.
pub(crate) struct Tried {
    pub(crate) noted: Noted,
    pub(crate) still: Option<String>,
}

impl Database {
    /// Deals with the writes that were kept aside here, in the order in which they were: each by itself, all in one
    /// transaction. What is to be done with each is asked once nobody else can write here.
    pub(crate) fn settle_parked(&self, what: &dyn Fn(&Noted) -> Aside, deadline: Instant) -> Result<Vec<Tried>> {
        const OP: &str = "parked.settle_parked";
        let context = self.context(OP);
        self.on_writer(OP, deadline, |link| {
            let failed = |error: rusqlite::Error| context.sqlite(&error);
            link.begin(self.durability).map_err(failed)?;
            let parked = parked(link).map_err(failed)?;
            let mut tried = Vec::new();
            for noted in parked {
                let still = match what(&noted) {
                    Aside::Leave => continue,
                    Aside::Gone => None,
                    Aside::Stays(reason) => Some(reason),
                    Aside::Make => match make(link, context, &noted)? {
                        Made::Settled => None,
                        Made::Parked(reason) => Some(reason),
                    },
                };
                let Noted { episode, seq, .. } = &noted;
                match &still {
                    None => {
                        let sql = "DELETE FROM switchyard_parked WHERE episode = ?1 AND seq = ?2";
                        link.execute(sql, (episode, seq))
                    }
                    Some(reason) => {
                        let sql = "UPDATE switchyard_parked SET reason = ?3 WHERE episode = ?1 AND seq = ?2";
                        link.execute(sql, (episode, seq, reason))
                    }
                }
                .map_err(failed)?;
                tried.push(Tried { noted, still });
            }
            link.commit().map_err(failed)?;
            Ok(tried)
        })
    }

    /// The writes that were kept aside here, in the order in which they were.
    pub(crate) fn all_parked(&self, deadline: Instant) -> Result<Vec<Noted>> {
        const OP: &str = "parked.all_parked";
        let context = self.context(OP);
        self.on_writer(OP, deadline, |link| parked(link).map_err(|error| context.sqlite(&error)))
    }

    /// Why a write is kept aside here, if it is.
    pub(crate) fn why_parked(&self, noted: &Noted, deadline: Instant) -> Result<Option<String>> {
        const OP: &str = "parked.why_parked";
        let context = self.context(OP);
        let sql = "SELECT reason FROM switchyard_parked WHERE episode = ?1 AND seq = ?2";
        self.on_writer(OP, deadline, |link| {
            let found = link.connection.query_row(sql, (&noted.episode, noted.seq), |row| row.get(0)).optional();
            found.map_err(|error| context.sqlite(&error))
        })
    }
}

fn parked(link: &Link) -> rusqlite::Result<Vec<Noted>> {
    let sql = "SELECT seq, episode, operation FROM switchyard_parked ORDER BY rowid";
    let mut statement = link.connection.prepare_cached(sql)?;
    let noted = |row: &rusqlite::Row<'_>| Ok(Noted { seq: row.get(0)?, episode: row.get(1)?, operation: row.get(2)? });
    let parked = statement.query_map([], noted)?.collect();
    link.prepared.used(&link.connection, sql, &statement);
    parked
}
