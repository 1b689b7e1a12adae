//! What a source's own file remembers of chats that were moved away from it while the configuration still leads them
//! there.
//!
//! Where a chat was moved is one row in the default source. While that was never read (it is away, or another process
//! holds it), or where it knows nothing of a move (it was lost, or restored from an older copy), the configuration alone
//! would lead the chat back to the place that its rows have left: reads would find nothing, and what is written there
//! would be out of sight later. So the place that the configuration names keeps a mark in `switchyard_meta`, under
//! `moved:CHAT`, until the configuration says something else:
//!
//! - `perhaps`, on disk before a move is decided: the default source's record says whether it was;
//! - `to SOURCE` after that: the chat is not here, whoever knows it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::control::Control;
use super::datasource_router::{DataSourceRouter, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::params;
use crate::route::SourceName;
use crate::source::{BadColumn, Database, FromRow, ReadTx, Row, Source, SourceConfig, WriteTx};

/// What the keys of marks begin with.
const KEY: &str = "moved:";

/// What is remembered of a chat that may have left.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// It was about to.
    Perhaps,
    /// It did, to this source.
    To(String),
}

/// The marks of a file.
type Marks = BTreeMap<ChatId, Mark>;

/// What the files of sources say of chats that have left, as far as it counts.
#[derive(Default)]
pub(super) struct Departed {
    known: Mutex<Known>,
    /// Whether no call on a table with the routes has to look here: no file contradicts them.
    is_settled: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// Whether the default source was asked where chats were moved.
    routes: bool,
    /// What the files say that were opened.
    marks: HashMap<SourceName, Marks>,
    /// What of it contradicts the routes, once these are known; only sources where something does.
    held: HashMap<SourceName, Marks>,
}

impl Departed {
    /// Whether it is known where chats were moved.
    pub(super) fn knows_routes(&self) -> bool {
        self.known.lock().routes
    }

    /// Whether a chat that is led to this source can be served there. Asked once the source is open, by a call whose
    /// table was made with the routes that moves recorded or without them.
    pub(super) fn check(&self, op: &'static str, chat: ChatId, home: &SourceName, with_routes: bool) -> Result<()> {
        if with_routes && self.is_settled.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.known.lock().doubt(chat, home, with_routes) {
            None => Ok(()),
            Some(reason) => Err(Error::new(op, home, ErrorKind::SourceUnavailable { reason })),
        }
    }

    /// The routes are known from now on: what they decide is no question any more.
    pub(super) fn learned(&self, plan: &Plan) {
        let known = &mut *self.known.lock();
        known.routes = true;
        known.held.clear();
        for (home, marks) in std::mem::take(&mut known.marks) {
            known.hold(&home, contradicting(plan, &home, &marks));
            known.marks.insert(home, marks);
        }
        self.settle(known);
    }

    /// A file says this of a chat from now on.
    fn noted(&self, home: &SourceName, chat: ChatId, mark: Option<&Mark>) {
        let known = &mut *self.known.lock();
        let marks = known.marks.entry(home.clone()).or_default();
        match mark {
            None => marks.remove(&chat),
            Some(mark) => marks.insert(chat, mark.clone()),
        };
        let mut held = known.held.remove(home).unwrap_or_default();
        held.remove(&chat);
        known.hold(home, held);
        self.settle(known);
    }

    /// A source's file says this. Whether the routes were learned meanwhile is decided under the plan's lock, as where
    /// they are learned.
    fn opened(&self, plan: &Plan, home: &SourceName, marks: Marks) {
        let known = &mut *self.known.lock();
        if known.routes {
            known.hold(home, contradicting(plan, home, &marks));
        }
        known.marks.insert(home.clone(), marks);
        self.settle(known);
    }

    /// Whether a file says that the chat has left it, or may have.
    fn has_mark(&self, home: &SourceName, chat: ChatId) -> bool {
        self.known.lock().marks.get(home).is_some_and(|marks| marks.contains_key(&chat))
    }

    fn settle(&self, known: &Known) {
        let is_settled = known.routes && known.held.is_empty();
        self.is_settled.store(is_settled, Ordering::Release);
    }
}

impl Known {
    /// What of a source's marks contradicts the routes.
    fn hold(&mut self, home: &SourceName, marks: Marks) {
        if marks.is_empty() {
            self.held.remove(home);
        } else {
            self.held.insert(home.clone(), marks);
        }
    }

    /// Why a chat is not served by the source that it is led to.
    fn doubt(&self, chat: ChatId, home: &SourceName, with_routes: bool) -> Option<String> {
        let marks = if with_routes { &self.held } else { &self.marks };
        match (with_routes, marks.get(home).map(|marks| marks.get(&chat))) {
            (_, Some(None)) | (true, None) => None,
            (false, None) => Some(
                "whether the chat was moved away from it is not known, since neither it nor the default source could be \
                 asked; mend either"
                    .to_owned(),
            ),
            (false, Some(Some(_))) => Some(
                "the chat was moved away from it, where to is known to the default source, and that is unavailable; mend \
                 the default source"
                    .to_owned(),
            ),
            (true, Some(Some(mark))) => {
                let to = mark.to();
                Some(format!(
                    "the chat was moved from it to `{to}`, and the default source knows nothing of that; map the chat to \
                     `{to}` in [database.chat_mapping], or have it start anew here with `bot db adopt {home}`"
                ))
            }
        }
    }
}

/// Whether a mark says something else than the routes: that a chat is not where they lead. (Of one that came back, what the
/// configuration said when it left is in the record.)
fn contradicts(plan: &Plan, home: &SourceName, chat: ChatId, mark: &Mark) -> bool {
    matches!(mark, Mark::To(_)) && plan.config.chat_mapping.get(&chat) == Some(home) && plan.moved(chat).is_none()
}

/// Those of a file's marks that contradict the routes. Each is told of.
fn contradicting(plan: &Plan, home: &SourceName, marks: &Marks) -> Marks {
    let held: Marks = marks
        .iter()
        .filter(|(chat, mark)| contradicts(plan, home, **chat, mark))
        .map(|(chat, mark)| (*chat, mark.clone()))
        .collect();
    for (chat, mark) in &held {
        let to = mark.to();
        tracing::error!(target: "database::audit", source = %home, %chat, to, "a chat was moved away, of which the default source knows nothing; map it to where it is");
    }
    held
}

impl Mark {
    fn to(&self) -> &str {
        match self {
            Self::Perhaps => "another source",
            Self::To(name) => name,
        }
    }

    fn parse(text: &str) -> Self {
        text.strip_prefix("to ").map_or(Self::Perhaps, |name| Self::To(name.to_owned()))
    }

    fn text(&self) -> String {
        match self {
            Self::Perhaps => "perhaps".to_owned(),
            Self::To(name) => format!("to {name}"),
        }
    }
}

struct MarkRow(Option<ChatId>, Mark);

impl FromRow for MarkRow {
    const TABLE: &'static str = "switchyard_meta";
    const KEY: &'static [&'static str] = &["key"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        let chat = row.text("key")?.strip_prefix(KEY).and_then(|chat| chat.parse().ok());
        Ok(Self(chat.map(ChatId), Mark::parse(row.text("value")?)))
    }
}

fn read(tx: &ReadTx<'_>) -> Result<Marks> {
    tx.snapshot()?;
    if !tx.has_table("switchyard_meta")? {
        return Ok(Marks::new());
    }
    let sql = "SELECT key, value FROM switchyard_meta WHERE substr(key, 1, 6) = ?1 ORDER BY key";
    let rows: Vec<MarkRow> = tx.query(sql, params![KEY])?;
    Ok(rows.into_iter().filter_map(|MarkRow(chat, mark)| Some((chat?, mark))).collect())
}

/// Lets the file say this of a chat; `None` where it says nothing any more.
fn write(tx: &mut WriteTx<'_>, chat: ChatId, mark: Option<&Mark>) -> Result<()> {
    let key = format!("{KEY}{chat}");
    match mark {
        None => tx.execute("DELETE FROM switchyard_meta WHERE key = ?1", params![key]).map(drop),
        Some(mark) => {
            let sql = "INSERT INTO switchyard_meta (key, value) VALUES (?1, ?2)
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            tx.execute(sql, params![key, mark.text()]).map(drop)
        }
    }
}

impl DataSourceRouter {
    /// Takes notice of what a source's file says of chats that have left, before the first call uses it; brings the
    /// file up to date where the routes are known. `accepted`: an operator has said that the file is the source's as it
    /// is.
    pub(super) fn heed_marks(
        &self,
        config: &SourceConfig,
        database: &Database,
        deadline: Instant,
        accepted: bool,
    ) -> Result<()> {
        const OP: &str = "departed.heed_marks";
        let home = &config.name;
        let mut marks = database.read_at_opening(OP, deadline, read)?;
        if self.departed.knows_routes() && !config.readonly {
            let changes = self.with_plan(|plan| plan.changes(home, &marks, accepted));
            let bring_up_to_date =
                |tx: &mut WriteTx<'_>| changes.iter().try_for_each(|(chat, mark)| write(tx, *chat, mark.as_ref()));
            if !changes.is_empty()
                && let Err(error) = database.write(OP, deadline, None, bring_up_to_date)
            {
                tracing::warn!(source = %home, %error, "which chats have left a source cannot be noted in its file");
            }
            for (chat, mark) in changes {
                match mark {
                    None => marks.remove(&chat),
                    Some(mark) => marks.insert(chat, mark),
                };
            }
        }
        self.with_plan(|plan| self.departed.opened(plan, home, marks));
        Ok(())
    }

    /// Chats are about to be moved: where the configuration leads them it is noted, on disk, that they may not be there.
    pub(super) fn may_leave(&self, chats: &[ChatId]) -> Result<()> {
        for (chat, home) in self.mapped(chats) {
            let is_there = self.explain(chat).0 == *home.name();
            match self.note(&home, chat, Some(&Mark::Perhaps)) {
                // Where it is not, an earlier move has left a mark there.
                Err(error) if !is_there => untold(&home, chat, &error),
                noted => noted?,
            }
        }
        Ok(())
    }

    /// Chats were moved to this source.
    pub(super) fn have_left(&self, chats: &[ChatId], to: &SourceName) {
        for (chat, home) in self.mapped(chats).into_iter().filter(|(_, home)| home.name() != to) {
            if let Err(error) = self.note(&home, chat, Some(&Mark::To(to.to_string()))) {
                // It says "perhaps", which will do.
                untold(&home, chat, &error);
            }
        }
        // Its file may say that they have left it before, or are about to.
        let Some(place) = self.source(to) else { return };
        for chat in chats.iter().filter(|chat| self.departed.has_mark(to, **chat)) {
            if let Err(error) = self.note(&place, *chat, None) {
                // It is over, and goes with the next opening.
                tracing::warn!(source = %to, %chat, %error, "the mark of a chat that has come back stays");
            }
        }
    }

    fn note(&self, home: &Arc<Source>, chat: ChatId, mark: Option<&Mark>) -> Result<()> {
        const OP: &str = "departed.note";
        home.write_alone(OP, Instant::now() + home.config().timeout, |tx| write(tx, chat, mark))?;
        self.departed.noted(home.name(), chat, mark);
        Ok(())
    }

    /// The sources that the configuration alone leads these chats to, where they can keep a mark. (Where that is the
    /// default one, a chat is not served while its routes are unknown.)
    fn mapped(&self, chats: &[ChatId]) -> Vec<(ChatId, Arc<Source>)> {
        let named = self.with_plan(|plan| -> Vec<_> {
            let elsewhere = |name: &&SourceName| **name != plan.config.default_source;
            let mapped = |chat| plan.config.chat_mapping.get(chat).filter(elsewhere).cloned();
            chats.iter().filter_map(|chat| Some((*chat, mapped(chat)?))).collect()
        });
        let sources = named.into_iter().filter_map(|(chat, name)| Some((chat, self.source(&name)?)));
        sources.filter(|(_, source)| !source.config().readonly).collect()
    }
}

fn untold(home: &Arc<Source>, chat: ChatId, error: &Error) {
    tracing::warn!(source = %home.name(), %chat, %error, "where a chat was moved cannot be noted in the source that the configuration names");
}

impl Plan {
    /// What is to be changed in a file's marks, so that they say what the routes say.
    fn changes(&self, home: &SourceName, marks: &Marks, accepted: bool) -> Vec<(ChatId, Option<Mark>)> {
        let is_mapped_here = |chat: &ChatId| self.config.chat_mapping.get(chat) == Some(home);
        let gone: Marks = self
            .recorded
            .keys()
            .filter(|chat| is_mapped_here(chat))
            .filter_map(|chat| Some((*chat, Mark::To(self.moved(*chat).filter(|to| *to != home)?.to_string()))))
            .collect();
        let stays = |chat: &ChatId, mark: &Mark| !accepted && contradicts(self, home, *chat, mark);
        let over = marks.iter().filter(|(chat, mark)| !gone.contains_key(chat) && !stays(chat, mark));
        let over: Vec<_> = over.map(|(chat, _)| (*chat, None)).collect();
        let new = gone.into_iter().filter(|(chat, mark)| marks.get(chat) != Some(mark));
        over.into_iter().chain(new.map(|(chat, mark)| (chat, Some(mark)))).collect()
    }
}

impl Control {
    /// Takes what the file of a source says of chats that have left for settled: an operator has accepted it.
    pub(super) fn forget_departed(&self, name: &SourceName) -> Result<()> {
        const OP: &str = "departed.forget";
        let Some(source) = self.router.source(name) else { return Ok(()) };
        let held = self.router.departed.known.lock().held.get(name).cloned().unwrap_or_default();
        if held.is_empty() || source.config().readonly {
            return Ok(());
        }
        source.write(OP, None, |tx| held.keys().try_for_each(|chat| write(tx, *chat, None)))?;
        for chat in held.keys() {
            self.router.departed.noted(name, *chat, None);
            tracing::info!(target: "database::audit", source = %name, %chat, "a chat that was moved away starts anew");
        }
        let anew: Vec<_> = held.keys().copied().collect();
        self.go_on_here(&anew, name)
    }
}
