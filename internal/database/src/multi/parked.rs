//! Writes that were kept aside since they could not be made at home: made again where their chats are now, or given up.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::control::Control;
use super::journal_report::{JournalEntry, id, told};
use crate::error::{Error, ErrorKind, Result};
use crate::route::{Route, SourceName};
use crate::source::{Aside, Noted, Operation, Source, Tried};
use crate::sources::{Topology as _, unknown_source};

/// What came of dealing with writes that were kept aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettledWrites {
    /// How many were made now, or given up: they are kept aside no more.
    pub settled: u64,
    /// Those that still cannot be made, and why. One whose chat has another source by now was tried there, and where it
    /// failed there is kept aside there from now on.
    pub still: Vec<JournalEntry>,
}

/// What came of making a write again at the source that has its chat now.
enum There {
    Made,
    /// It failed there and is kept aside there.
    Kept(SourceName, String),
    /// It could not be tried.
    Not(String),
}

impl Control {
    /// Makes the writes that were kept aside at a source again, in the order in which they were, each whole or not at
    /// all, and each where its chat is now: never in a file that does not own the chat. What was written since then is
    /// there already: a retry that sets a value sets it now.
    ///
    /// # Errors
    /// There is no such source, it is away, or it cannot be written: nothing was changed there. Writes of chats that are
    /// elsewhere by now may have been made there; the next retry does not make them twice.
    pub fn retry_parked(&self, source: &SourceName) -> Result<SettledWrites> {
        let home = self.present(source)?;
        let there = self.retry_elsewhere(&home)?;
        let what = |noted: &Noted| match there.get(&key(noted)) {
            Some(There::Made | There::Kept(..)) => Aside::Gone,
            Some(There::Not(reason)) => Aside::Stays(reason.clone()),
            // Asked while nobody can write here: a write that is made now is made before the chat is led elsewhere.
            None => match self.leads_to(&home, noted) {
                Ok(()) => Aside::Make,
                Err(error) => Aside::Stays(error.kind().to_string()),
            },
        };
        let mut settled = SettledWrites::default();
        for Tried { noted, still } in home.settle_parked(&what)? {
            let (source, reason) = match there.get(&key(&noted)) {
                Some(There::Kept(owner, reason)) => (owner, Some(reason.clone())),
                _ => (source, still),
            };
            settled.take(source, &noted, "retry", reason);
        }
        Ok(settled)
    }

    /// Gives up a write that was kept aside at a source, by its [`id`](JournalEntry::id), for good. Answers whether
    /// there was one.
    ///
    /// # Errors
    /// There is no such source, it is away, or it cannot be written: nothing was changed.
    pub fn drop_parked(&self, source: &SourceName, wanted: &str) -> Result<bool> {
        let is_wanted = |noted: &Noted| id(&noted.episode, noted.seq) == wanted;
        let what = |noted: &Noted| if is_wanted(noted) { Aside::Gone } else { Aside::Leave };
        let mut settled = SettledWrites::default();
        for Tried { noted, still } in self.present(source)?.settle_parked(&what)? {
            settled.take(source, &noted, "drop", still);
        }
        Ok(settled.settled > 0)
    }

    /// A source that is not away: what waits for it is older than nothing that was kept aside there.
    fn present(&self, name: &SourceName) -> Result<Arc<Source>> {
        const OP: &str = "multi.settle_parked";
        let table = self.router.table();
        let source = table.named(name.as_str()).ok_or_else(|| unknown_source(&*table, OP, name.as_str()))?;
        if self.router.away(name).is_some() {
            let reason = "it is away, or its chats are on their way home; see `bot db status`".to_owned();
            return Err(Error::new(OP, name, ErrorKind::SourceUnavailable { reason }));
        }
        Ok(Arc::clone(source))
    }

    /// Makes those again whose chats have another source by now: there, once, however often that is begun. Each has a
    /// name of its own there, under which it is remembered.
    fn retry_elsewhere(&self, home: &Arc<Source>) -> Result<HashMap<(String, i64), There>> {
        let (mut made, mut failing) = (HashMap::new(), BTreeSet::new());
        for noted in home.all_parked()? {
            let Some(owner) = self.owner(&noted).filter(|owner| !Arc::ptr_eq(owner, home)) else { continue };
            let name = owner.name().clone();
            let there = if failing.contains(&name) {
                // Those of a chat are made in their order.
                There::Not(format!("its chat is in `{name}` now, where an earlier one could not be tried"))
            } else {
                self.retry_at(&owner, &noted).unwrap_or_else(|error| {
                    failing.insert(name.clone());
                    There::Not(format!("its chat is in `{name}` now: {}", error.kind()))
                })
            };
            made.insert(key(&noted), there);
        }
        Ok(made)
    }

    fn retry_at(&self, owner: &Arc<Source>, noted: &Noted) -> Result<There> {
        if owner.config().readonly {
            return Err(Error::new("multi.retry_at", owner.name(), ErrorKind::ReadOnly));
        }
        let episode = format!("{}/{}", noted.episode, noted.seq);
        let noted = Noted { episode, ..noted.clone() };
        owner.make_noted(std::slice::from_ref(&noted), None, &|| self.leads_to(owner, &noted))?;
        Ok(match owner.why_parked(&noted)? {
            None => There::Made,
            Some(reason) => There::Kept(owner.name().clone(), reason),
        })
    }

    /// The source that has the chat of a write now; `None` where it is of none, or is not understood.
    fn owner(&self, noted: &Noted) -> Option<Arc<Source>> {
        Some(Arc::clone(self.router.table().of_chat(chat(noted)?)))
    }

    /// Refuses where the chat of a write is not served by this source now.
    fn leads_to(&self, source: &Arc<Source>, noted: &Noted) -> Result<()> {
        const OP: &str = "multi.leads_to";
        let Some(chat) = chat(noted) else { return Ok(()) };
        let table = self.router.table();
        if !Arc::ptr_eq(table.of_chat(chat), source) {
            return Err(Error::new(OP, source.name(), ErrorKind::Moved));
        }
        if !Arc::ptr_eq(table.resolve(Route::Chat(chat)), source) {
            let reason = "it is away; try it again when it is back".to_owned();
            return Err(Error::new(OP, source.name(), ErrorKind::SourceUnavailable { reason }));
        }
        table.check(OP, Route::Chat(chat))
    }
}

impl SettledWrites {
    fn take(&mut self, source: &SourceName, noted: &Noted, what: &'static str, still: Option<String>) {
        let id = id(&noted.episode, noted.seq);
        let (op, chat, at) = told(&noted.operation);
        tracing::info!(
            target: "database::audit", %source, id, op, what, still, "a write that was kept aside was dealt with"
        );
        match still {
            None => self.settled += 1,
            reason => self.still.push(JournalEntry { source: source.clone(), id, op, chat, at, reason }),
        }
    }
}

fn key(noted: &Noted) -> (String, i64) {
    (noted.episode.clone(), noted.seq)
}

fn chat(noted: &Noted) -> Option<crate::ids::ChatId> {
    match serde_json::from_str(&noted.operation) {
        Ok(Operation { route: Route::Chat(chat), .. }) => Some(chat),
        _ => None,
    }
}
