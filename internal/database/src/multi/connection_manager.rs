//! The sources by name: made from the configuration, kept over reloads, opened when they are needed, closed when
//! nobody holds them any more.

use std::collections::HashMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::datasource_router::{DataSourceRouter, RoutingTable};
use super::identity::{DefaultOpener, NamedOpener};
use super::registry::Registry;
use super::standin::StandInOpener;
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
    /// Opens what stands in for a source.
    pub(super) stand_in: Arc<dyn Opener>,
    /// Earlier tables, to the thread that closes what only they hold.
    retired: Mutex<Option<Sender<Arc<RoutingTable>>>>,
    router: Weak<DataSourceRouter>,
}

impl ConnectionManager {
    pub(super) fn new(config: &DatabaseConfig, clock: &Arc<dyn Clock>, router: Weak<DataSourceRouter>) -> Self {
        let registry = Arc::new(Registry::new(config, Arc::clone(clock)));
        Self {
            default: Arc::new(DefaultOpener::new(&registry, clock, router.clone())),
            named: Arc::new(NamedOpener::new(&registry, clock, router.clone())),
            stand_in: Arc::new(StandInOpener::new(clock)),
            registry,
            retired: Mutex::new(None),
            router,
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

    /// Closes the sources of an earlier table that `now` no longer has, once no call uses them; never on the thread
    /// of a caller.
    pub(super) fn retire(&self, before: Arc<RoutingTable>, now: &RoutingTable) {
        let is_kept = |source: &Arc<Source>| now.has(source);
        if before.sources.iter().all(is_kept) && before.stand_ins().all(|away| is_kept(&away.serving)) {
            return;
        }
        let mut retired = self.retired.lock();
        let sender = retired.get_or_insert_with(|| self.start_reaper());
        // It fails where no thread could be started: then they are closed when the last call lets go of them.
        let _ = sender.send(before);
    }

    fn start_reaper(&self) -> Sender<Arc<RoutingTable>> {
        let (sender, tables) = mpsc::channel::<Arc<RoutingTable>>();
        let router = self.router.clone();
        let reap = move || {
            // In their order: a source that is in several tables is closed after the last of them.
            for table in tables {
                while Arc::strong_count(&table) > 1 {
                    std::thread::park_timeout(LOOK_EVERY);
                }
                let kept = router.upgrade().map(|router| router.table());
                for source in &table.sources {
                    if !kept.as_ref().is_some_and(|now| now.has(source)) {
                        tracing::info!(source = %source.name(), "a source that is no longer configured is closed");
                        source.close();
                    }
                }
                for away in table.stand_ins() {
                    if !kept.as_ref().is_some_and(|now| now.has(&away.serving)) {
                        away.serving.close();
                        if away.displaced.is_over() {
                            away.remove();
                            if let Some(router) = router.upgrade() {
                                router.left(&away.displaced.home);
                            }
                        }
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("closes sources".into()).spawn(reap) {
            tracing::warn!(%error, "no thread can be started that closes sources");
        }
        sender
    }

    /// Closes all sources, the default one last: the others' openings may still be noted there.
    pub(super) fn close(&self, table: &RoutingTable) {
        *self.retired.lock() = None;
        // (What was retired before is closed by the thread, which ends with that.)
        table.stand_ins().for_each(|away| away.serving.close());
        table.sources.iter().rev().for_each(|source| source.close());
    }
}
