//! The sources by name: made from the configuration, kept over reloads, opened when they are needed, closed when
//! nobody holds them any more.

use std::collections::HashMap;
use std::sync::mpsc::{self, SendError, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::closing::{close_all, closes_within, has_ended};
use super::datasource_router::{DataSourceRouter, RoutingTable};
use super::identity::NamedOpener;
use super::identity_default::DefaultOpener;
use super::registry::Registry;
use super::standin::Away;
use crate::config::DatabaseConfig;
use crate::source::{Opener, Source};
use crate::time::Clock;

/// How often it is looked whether an earlier table is still in use.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The sources of all tables that are in use.
pub(crate) struct ConnectionManager {
    pub(super) registry: Arc<Registry>,
    /// Opens the default source.
    default: Arc<dyn Opener>,
    /// Opens any other.
    named: Arc<dyn Opener>,
    pub(super) clock: Arc<dyn Clock>,
    /// The thread that closes what only earlier tables hold.
    reaper: Mutex<Option<Reaper>>,
    router: Weak<DataSourceRouter>,
}

/// A thread, and its way of being told of earlier tables.
struct Reaper {
    tables: Sender<Retired>,
    /// `None` where no thread could be started.
    thread: Option<JoinHandle<()>>,
    /// What no thread closes: it waits for the end.
    unclosed: Vec<Arc<Source>>,
}

/// An earlier table, and what of it the next one does not have.
struct Retired {
    table: Arc<RoutingTable>,
    /// Sources that are configured no more, or otherwise.
    gone: Vec<Arc<Source>>,
    /// What stood in for sources that are home again.
    over: Vec<Away>,
}

impl Reaper {
    fn start(router: Weak<DataSourceRouter>) -> Self {
        let (sender, tables) = mpsc::channel::<Retired>();
        let reap = move || {
            // In their order: a source that is in several tables is closed after the last of them.
            for Retired { table, gone, over } in tables {
                while Arc::strong_count(&table) > 1 {
                    std::thread::park_timeout(LOOK_EVERY);
                }
                for source in gone {
                    tracing::info!(source = %source.name(), "a source that is no longer configured so is closed");
                    source.close();
                }
                for away in over {
                    away.serving.close();
                    away.remove();
                    if let Some(router) = router.upgrade() {
                        router.left(&away.displaced.home);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("closes sources".into()).spawn(reap);
        if let Err(error) = &thread {
            tracing::warn!(%error, "no thread can be started that closes sources");
        }
        Self { tables: sender, thread: thread.ok(), unclosed: Vec::new() }
    }
}

impl ConnectionManager {
    pub(super) fn new(config: &DatabaseConfig, clock: &Arc<dyn Clock>, router: Weak<DataSourceRouter>) -> Self {
        let registry = Arc::new(Registry::new(config, Arc::clone(clock)));
        Self {
            default: Arc::new(DefaultOpener::new(&registry, clock, router.clone())),
            named: Arc::new(NamedOpener::new(&registry, clock, router.clone())),
            clock: Arc::clone(clock),
            router,
            registry,
            reaper: Mutex::new(None),
        }
    }

    /// The sources of a configuration, the default one first, the others by name. One whose settings are those of a
    /// source that is there already is that source; no other is opened here.
    pub(super) fn sources(&self, config: &DatabaseConfig, present: &[Arc<Source>]) -> Vec<Arc<Source>> {
        let present: HashMap<_, _> = present.iter().map(|source| (source.name(), source)).collect();
        let is_default = |source: &Source| *source.name() == config.default_source;
        let mut sources: Vec<Arc<Source>> = config
            .sources
            .values()
            .map(|settings| {
                let opener = if settings.name == config.default_source { &self.default } else { &self.named };
                let same = present.get(&settings.name).filter(|source| source.config() == settings);
                same.map_or_else(
                    || Arc::new(Source::lazy(settings.clone(), Arc::clone(opener))),
                    |same| Arc::clone(same),
                )
            })
            .collect();
        sources.sort_by(|one, other| (!is_default(one), one.name()).cmp(&(!is_default(other), other.name())));
        self.registry.now_of(config, sources.first());
        sources
    }

    /// Closes what an earlier table has and the next one does not, once no call uses that table or one before it;
    /// never on the thread of a caller.
    pub(super) fn retire(&self, before: Arc<RoutingTable>, next: &RoutingTable) {
        let gone = before.sources.iter().filter(|source| !next.has(source)).cloned().collect();
        let over = before.stand_ins().filter(|away| !next.has(&away.serving)).cloned().collect();
        let mut reaper = self.reaper.lock();
        let reaper = reaper.get_or_insert_with(|| Reaper::start(self.router.clone()));
        // Each table comes, also one of which all sources stay: a later one may be without them while calls still
        // use this.
        if let Err(SendError(unclosed)) = reaper.tables.send(Retired { table: before, gone, over }) {
            reaper.unclosed.extend(unclosed.gone);
            reaper.unclosed.extend(unclosed.over.into_iter().map(|away| away.serving));
        }
    }

    /// Closes all sources side by side, the default one last: the others' openings may still be noted there. One that
    /// does not close in its time, as on a disk that does not answer, is left behind.
    pub(super) fn close(&self, table: &RoutingTable) {
        let reaper = self.reaper.lock().take();
        let (default, others) = table.sources.split_at(1.min(table.sources.len()));
        let unclosed = reaper.iter().flat_map(|reaper| &reaper.unclosed);
        let stand_ins = table.stand_ins().map(|away| &away.serving);
        close_all(others.iter().chain(stand_ins).chain(unclosed).cloned().collect());
        close_all(default.to_vec());
        if let Some(Reaper { tables, thread: Some(thread), .. }) = reaper {
            // It ends when it has closed what was retired before, once no call uses that.
            drop(tables);
            let deadline = Instant::now() + table.sources.iter().map(closes_within).max().unwrap_or_default();
            if !has_ended(&thread, deadline) {
                tracing::warn!("sources that are no longer configured are not closed yet, and are left behind");
            }
        }
    }
}
