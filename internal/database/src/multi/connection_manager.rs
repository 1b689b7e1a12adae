//! The sources by name: made from the configuration, kept over reloads, opened when they are needed, closed when
//! nobody holds them any more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::closing::{Closing, close_all, close_within};
use super::datasource_router::{DataSourceRouter, RoutingTable};
use super::identity::NamedOpener;
use super::identity_default::DefaultOpener;
use super::reaper::Reaper;
use super::registry::Registry;
use crate::config::DatabaseConfig;
use crate::source::{Opener, Source};
use crate::time::Clock;

/// The sources of all tables that are in use.
pub(crate) struct ConnectionManager {
    pub(super) registry: Arc<Registry>,
    /// Opens the default source.
    default: Arc<dyn Opener>,
    /// Opens any other.
    named: Arc<dyn Opener>,
    pub(super) clock: Arc<dyn Clock>,
    /// Closes what only earlier tables hold.
    reaper: Reaper,
}

impl ConnectionManager {
    pub(super) fn new(config: &DatabaseConfig, clock: &Arc<dyn Clock>, router: Weak<DataSourceRouter>) -> Self {
        let registry = Arc::new(Registry::new(config, Arc::clone(clock)));
        Self {
            default: Arc::new(DefaultOpener::new(&registry, clock, router.clone())),
            named: Arc::new(NamedOpener::new(&registry, clock, router.clone())),
            clock: Arc::clone(clock),
            registry,
            reaper: Reaper::start(router),
        }
    }

    /// Of sources that are only looked at, all opened by this.
    pub(super) fn looking(
        config: &DatabaseConfig,
        clock: &Arc<dyn Clock>,
        opener: &Arc<dyn Opener>,
        router: Weak<DataSourceRouter>,
    ) -> Self {
        let looking = || Arc::clone(opener);
        Self { default: looking(), named: looking(), ..Self::new(config, clock, router) }
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
                let before = present.get(&settings.name);
                if let Some(same) = before.filter(|source| source.config() == settings) {
                    return Arc::clone(same);
                }
                let source = Source::lazy(settings.clone(), Arc::clone(opener));
                if let Some(before) = before {
                    source.follows(before);
                }
                Arc::new(source)
            })
            .collect();
        sources.sort_by(|one, other| (!is_default(one), one.name()).cmp(&(!is_default(other), other.name())));
        self.registry.now_of(config, sources.first());
        sources
    }

    /// Closes what an earlier table has and the next one does not, once no call uses that table or one before it;
    /// never on the thread of a caller.
    pub(super) fn retire(&self, before: Arc<RoutingTable>, next: &RoutingTable) {
        let gone = before.sources.iter().filter(|source| !next.has(source)).map(|source| {
            let name = source.name().clone();
            Closing::of(source).then(move || {
                tracing::info!(source = %name, "a source that is no longer configured so is closed");
            })
        });
        let over = before.stand_ins().filter(|away| !next.has(&away.serving)).map(|away| self.reaper.removal(away));
        let closings = gone.chain(over).collect();
        let within = close_within(&before.sources);
        // Each table comes, also one of which all sources stay: a later one may be without them while calls still
        // use this.
        self.reaper.retire(before, within, closings);
    }

    /// Closes all sources side by side, the default one last: the others' openings may still be noted there. One that
    /// does not close in its time, as on a disk that does not answer, is left behind.
    pub(super) fn close(&self, table: &RoutingTable) {
        let (default, others) = table.sources.split_at(1.min(table.sources.len()));
        let stand_ins = table.stand_ins().map(|away| &away.serving);
        let mut closings = self.reaper.end();
        closings.extend(others.iter().chain(stand_ins).map(Closing::of));
        close_all(closings);
        close_all(default.iter().map(Closing::of).collect());
        self.reaper.wait(Instant::now() + close_within(&table.sources));
    }
}
