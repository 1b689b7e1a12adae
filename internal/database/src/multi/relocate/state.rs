//! How far moves are, in the shared source: noted before the first row is copied, and gone when the last is deleted.
//!
//! That a chat lives at the new place is one transaction: the recorded routes, and that the move is switched.

use std::sync::Arc;
use std::time::Instant;

use super::super::arrived;
use super::super::datasource_router::Recorded;
use super::Part;
use crate::error::Result;
use crate::ids::ChatId;
use crate::params;
use crate::source::Source;
use crate::time::Timestamp;
use crate::wrapper::DatabaseWrapper;

/// The chat lives where it was; the target may hold a part of a copy.
const COPYING: &str = "copying";
/// The chat lives in the target; the old place may hold rows that are to be deleted.
const DELETING: &str = "deleting";

/// What a move copies is no younger than this, and it is renewed before it is over: what it leaves when it is killed can
/// be told by that from what was written in the same place later.
pub(super) struct Lease<'a> {
    db: &'a DatabaseWrapper,
    shared: Arc<Source>,
    chats: Vec<ChatId>,
    until: Timestamp,
}

/// How long a lease is, in seconds, and how much of it is to be left.
const LEASE: i64 = 3;
const LEFT: i64 = 1;

impl<'a> Lease<'a> {
    /// Notes moves that begin.
    pub(super) fn begin(db: &'a DatabaseWrapper, shared: &Arc<Source>, parts: &[Part]) -> Result<Self> {
        let until = db.now().saturating_add_seconds(LEASE);
        begin(shared, parts, until)?;
        let chats = parts.iter().map(|part| part.chat).collect();
        Ok(Self { db, shared: Arc::clone(shared), chats, until })
    }

    /// Renews it where little is left. Asked before rows are copied.
    pub(super) fn renew(&mut self) -> Result<()> {
        let now = self.db.now();
        if now.saturating_add_seconds(LEFT) < self.until {
            return Ok(());
        }
        let until = now.saturating_add_seconds(LEASE);
        self.shared.write_alone("relocate.renew", soon(&self.shared), |tx| {
            self.chats.iter().try_for_each(|chat| {
                let sql = "UPDATE switchyard_moves SET updated_at = ?2 WHERE chat_id = ?1";
                tx.execute(sql, params![chat, until]).map(drop)
            })
        })?;
        self.until = until;
        Ok(())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Nothing is copied any more. A process that is killed leaves it as it is, a few seconds too late.
        let now = self.db.now();
        let ended = self.shared.write("relocate.end_lease", None, |tx| {
            self.chats.iter().try_for_each(|chat| {
                let sql = "UPDATE switchyard_moves SET updated_at = ?2 WHERE chat_id = ?1 AND state = ?3";
                tx.execute(sql, params![chat, now, COPYING]).map(drop)
            })
        });
        if let Err(error) = ended {
            tracing::debug!(%error, "when a move ended is not noted");
        }
    }
}

/// When a write has to be done. On disk, before what it announces is: that may come there with others' writes.
fn soon(shared: &Source) -> Instant {
    Instant::now() + shared.config().timeout
}

fn begin(shared: &Arc<Source>, parts: &[Part], now: Timestamp) -> Result<()> {
    shared.write_alone("relocate.begin", soon(shared), |tx| {
        for Part { chat, from, to } in parts {
            tx.execute(
                "INSERT INTO switchyard_moves (chat_id, from_source, to_source, state, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (chat_id) DO UPDATE SET
                     from_source = excluded.from_source, to_source = excluded.to_source, state = excluded.state,
                     updated_at = excluded.updated_at",
                params![chat, from.name().as_str(), to.name().as_str(), COPYING, now],
            )?;
        }
        Ok(())
    })
}

/// Makes the target the owner: records where the chats' routes lead from now on (`None`: where the configuration leads
/// them) and the number of each chat's move, and that there is something to delete (or not, where it is kept). It is on
/// disk when this answers.
pub(super) fn switch(
    shared: &Arc<Source>,
    parts: &[Part],
    routes: &[(ChatId, Option<Recorded>)],
    numbers: &[(ChatId, u64)],
    keep: bool,
    now: Timestamp,
    deadline: Instant,
) -> Result<()> {
    shared.write_alone("relocate.switch", deadline, |tx| {
        for (chat, route) in routes {
            tx.execute("DELETE FROM switchyard_routes WHERE chat_id = ?1", params![chat])?;
            if let Some(Recorded { source, file_said }) = route {
                tx.execute(
                    "INSERT INTO switchyard_routes (chat_id, source, file_said, updated_at) VALUES (?1, ?2, ?3, ?4)",
                    params![chat, source.as_str(), file_said.text(), now],
                )?;
            }
        }
        for (chat, number) in numbers {
            arrived::count(tx, *chat, *number)?;
        }
        for Part { chat, .. } in parts {
            if keep {
                tx.execute("DELETE FROM switchyard_moves WHERE chat_id = ?1", params![chat])?;
            } else {
                tx.execute(
                    "UPDATE switchyard_moves SET state = ?2, updated_at = ?3 WHERE chat_id = ?1",
                    params![chat, DELETING, now],
                )?;
            }
        }
        Ok(())
    })
}

/// Forgets a move that is at its end.
pub(super) fn forget(shared: &Arc<Source>, chat: ChatId) -> Result<()> {
    shared.write("relocate.forget", None, |tx| {
        tx.execute("DELETE FROM switchyard_moves WHERE chat_id = ?1", params![chat]).map(drop)
    })
}
