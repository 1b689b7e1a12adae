//! What whoever runs the bot can ask and do while it runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use super::counters::Counts;
use super::datasource_router::{DataSourceRouter, Why};
use super::particulars::Questions;
use super::registry::Adopt;
use super::reload::{Change, ReloadError, may_have_left_rows, moved_to_nothing};
use super::standin::ServedBy;
use crate::config::DatabaseConfig;
use crate::error::Result;
use crate::ids::ChatId;
use crate::params;
use crate::route::{Route, SourceName};
use crate::source::{Health, OpenError, Source, SourceStatus};
use crate::wrapper::DatabaseWrapper;

/// The databases as whoever runs the bot sees them. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(super) router: Arc<DataSourceRouter>,
    pub(super) db: DatabaseWrapper,
    pub(super) questions: Arc<Questions>,
}

/// All sources as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Counts the topologies since the start, from 1.
    pub generation: u64,
    /// The folder of the files.
    pub data_dir: PathBuf,
    /// The sources, the default one first, the others by name.
    pub sources: Vec<SourceReport>,
    /// The chats that files contradict each other about, whose calls fail: why, and what settles it.
    pub disputed: Vec<(ChatId, String)>,
}

/// A source as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceReport {
    /// The source itself.
    pub source: SourceStatus,
    /// Whether it has everything that is mapped nowhere.
    pub is_default: bool,
    /// How many chats are routed to it by name.
    pub chats: usize,
    /// Who serves its chats while it is away, and since when.
    pub away: Option<(ServedBy, SystemTime)>,
}

/// Where a chat lives now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteReport {
    /// The chat.
    pub chat: ChatId,
    /// The source that its rows are in.
    pub source: SourceName,
    /// What leads it there.
    pub why: Why,
    /// Where its line of the mapping leads, where that is not followed: it was moved elsewhere since.
    pub passed_over: Option<SourceName>,
    /// The topology that says so.
    pub generation: u64,
    /// Whether it is known which chats were moved and which groups became supergroups. Until the default source was
    /// open once, this is what the configuration alone says.
    pub is_certain: bool,
    /// Why its calls fail, where files contradict each other about where it is, and what settles it.
    pub disputed: Option<String>,
}

impl Control {
    pub(super) fn new(router: Arc<DataSourceRouter>, db: DatabaseWrapper) -> Self {
        Self { router, db, questions: Arc::default() }
    }

    /// Opens the default source, which knows the aliases and the moves. Whether that fails is told elsewhere.
    pub(super) fn learn(&self) -> Result<(), OpenError> {
        let opened = self.db.read("multi.learn", Route::Shared, |tx| {
            tx.value::<i64>("switchyard_sources", "SELECT COUNT(*) FROM switchyard_sources", params![])
        });
        if self.router.arrived.take_behind() {
            // Before the first call: what they say may stand against serving a chat.
            let status = self.router.table();
            let names: Vec<_> = status.sources.iter().skip(1).map(|source| source.name().clone()).collect();
            let longest = status.sources.iter().map(|source| source.config().timeout).max().unwrap_or_default();
            let are_asked = self.open_all(&names, longest);
            self.router.asked_for_arrivals(are_asked);
        }
        let missing = self.router.with_plan(|plan| moved_to_nothing(plan, &plan.config));
        match missing {
            Some(error) if opened.is_ok() => {
                self.db.clone().close();
                Err(OpenError::Routes { detail: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Sees to the sources whose stand-ins an earlier run left.
    pub(super) fn heal_what_was_left(&self) {
        for name in self.router.all_away() {
            self.router.healer.failed(&name);
        }
    }

    /// Goes over to another configuration. Calls that are under way end on the one they began with. No source is
    /// opened; those that are configured no more are closed when no call uses them.
    ///
    /// # Errors
    /// That configuration cannot be gone over to; everything stays as it is.
    pub fn reload(&self, config: &DatabaseConfig) -> Result<Change, ReloadError> {
        let change = self.router.reload(config)?;
        // First: asking may take a moment.
        change.tell();
        change.warn(&may_have_left_rows(self.router.table(), &change.rerouted));
        Ok(change)
    }

    /// The sources as they are now. Opens none.
    pub fn status(&self) -> Status {
        let table = self.router.table();
        let mut chats = vec![0; table.sources.len()];
        let places: HashMap<*const Source, usize> = table.sources.iter().map(Arc::as_ptr).zip(0..).collect();
        for place in table.routes().filter_map(|(_, source)| places.get(&Arc::as_ptr(source))) {
            chats[*place] += 1;
        }
        let sources = table.sources.iter().zip(chats).enumerate();
        let disputes = self.router.arrived.disputes();
        Status {
            generation: table.generation,
            data_dir: self.router.with_plan(|plan| plan.config.data_dir.clone()),
            sources: sources
                .map(|(place, (source, chats))| SourceReport {
                    source: source.status(),
                    is_default: place == 0,
                    chats,
                    away: table.away_of(place).map(|away| (away.by, away.since)),
                })
                .collect(),
            disputed: disputes.iter().map(|(chat, dispute)| (*chat, dispute.reason(*chat))).collect(),
        }
    }

    /// Has what is known of the sources catch up with their files, so that [`status`](Self::status) tells how they are by
    /// now: one that failed is looked at where its file has changed since, and one whose file is gone is given up. Waits
    /// for that long at most; a look goes on after that.
    pub fn catch_up(&self, wait: Duration) {
        let deadline = Instant::now() + wait;
        let table = self.router.table();
        let changed = table.sources.iter().filter(|source| {
            source.notice_replaced();
            source.is_changed_since_it_failed()
        });
        let looks: Vec<_> = changed.filter_map(|source| self.router.healer.begin_look(source.name()).ok()?).collect();
        for look in looks {
            // What was found is in the status.
            let _ = look.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// The configuration that is in force.
    pub fn config(&self) -> DatabaseConfig {
        self.router.with_plan(|plan| plan.config.clone())
    }

    /// What has happened to sources since the start.
    pub fn counts(&self) -> Counts {
        self.router.counters.now()
    }

    /// Opens sources side by side, and waits for that long at most. One that takes longer goes on being opened, and
    /// what became of each is in [`status`](Self::status).
    pub fn warm_up(&self, names: &[SourceName], wait: Duration) {
        self.open_all(names, wait);
    }

    /// The same; answers whether all are open.
    fn open_all(&self, names: &[SourceName], wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let (opened, done) = mpsc::channel();
        for source in names.iter().filter_map(|name| self.router.source(name)) {
            let opened = opened.clone();
            let open = move || {
                let is_open = source.read("multi.warm_up", |_| Ok(())).is_ok();
                // Whoever waited may have given up.
                let _ = opened.send(is_open);
            };
            if let Err(error) = std::thread::Builder::new().name("warms up".into()).spawn(open) {
                tracing::warn!(%error, "no thread can be started that opens sources; they are opened when they are needed");
            }
        }
        drop(opened);
        let next = || done.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(next).filter(|is_open| *is_open).count() == names.len()
    }

    /// Where a chat lives, and why.
    pub fn explain(&self, chat: ChatId) -> RouteReport {
        let (source, why) = self.router.explain(chat);
        let is_certain = self.router.departed.knows_routes();
        let disputed = self.router.arrived.dispute(chat).map(|dispute| dispute.reason(chat));
        let passed_over = self.router.with_plan(|plan| plan.passed_over(chat).cloned());
        let generation = self.router.table().generation;
        RouteReport { chat, source, why, passed_over, generation, is_certain, disputed }
    }

    /// Opens a source if it is not open, however short ago that failed, and brings its chats home where they are away.
    ///
    /// # Errors
    /// There is no such source, it cannot be opened, or its chats cannot come home.
    pub fn retry(&self, name: &SourceName) -> Result<()> {
        if let Some(source) = self.router.source(name)
            && (self.router.away(name).is_some() || !matches!(source.health(), Health::Open))
            && let Some(found) = self.router.healer.look(name)
        {
            return found;
        }
        self.db.on_source(name.as_str()).read("multi.retry", Route::Shared, |tx| {
            tx.value::<i64>("sqlite_schema", "SELECT COUNT(*) FROM sqlite_schema", params![]).map(drop)
        })
    }

    /// Accepts another file in the place of the one that a source had, and opens it.
    ///
    /// # Errors
    /// There is no such source, or it cannot be opened all the same.
    pub fn adopt(&self, name: &SourceName, what: Adopt) -> Result<()> {
        self.router.connections.registry.accept(name, what);
        let mut is_again = false;
        if let Some(source) = self.router.source(name) {
            // What is open is not what was accepted where another file took its place, and an attempt that is under way
            // may have begun too early to know of this.
            source.notice_replaced();
            is_again = source.is_opening();
        }
        let mut opened = self.retry(name);
        if is_again && opened.is_err() {
            opened = self.retry(name);
        }
        self.router.connections.registry.settle(name);
        opened?;
        self.forget_departed(name)
    }
}
