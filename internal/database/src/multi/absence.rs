//! Which sources are away, and the changes between being at home and being served elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::counters::Count;
use super::datasource_router::{Current, DataSourceRouter};
use super::standin::{self, Away, ServedBy};
use crate::config::DatabaseConfig;
use crate::route::SourceName;
use crate::source::{Health, Raised, Source, SourceConfig};
use crate::time::Clock;

/// The sources that are away.
#[derive(Default)]
pub(super) struct Absent {
    /// Those whose chats another serves.
    pub(super) away: BTreeMap<SourceName, Away>,
    /// Those that are home again while their stand-in is not removed yet: nothing can stand in for them meanwhile.
    leaving: BTreeSet<SourceName>,
}

impl Absent {
    /// The sources whose stand-ins an earlier run left.
    pub(super) fn left_behind(config: &DatabaseConfig, clock: &Arc<dyn Clock>) -> Self {
        let left = standin::left_behind(config, clock);
        let away = left.into_iter().map(|away| (away.displaced.home.clone(), away)).collect();
        Self { away, leaving: BTreeSet::new() }
    }
}

impl DataSourceRouter {
    /// A source failed: from now on its chats are served as it is configured. Answers whether it will be looked at; one
    /// that is not configured so any more will not.
    pub(super) fn failed(&self, settings: &SourceConfig) -> bool {
        let name = &settings.name;
        let mut current = self.current.lock();
        let Current { plan, absent, .. } = &mut *current;
        if plan.config.sources.get(name) != Some(settings) {
            return false;
        }
        if !absent.away.contains_key(name)
            && !absent.leaving.contains(name)
            && let Some(away) = Away::of(&plan.config, settings, &self.table().sources[0], &self.connections.clock)
        {
            let by = away.by;
            tracing::warn!(target: "database::audit", source = %name, %by, "a source is away; its chats are served elsewhere");
            absent.away.insert(name.clone(), away);
            self.counters.add(Count::Outage, 1);
            self.swap_absent(&current);
        }
        drop(current);
        self.healer.failed(name)
    }

    /// A source in whose place the default one was written by an earlier run.
    pub(super) fn was_away(&self, name: &SourceName) {
        let mut current = self.current.lock();
        let Current { plan, absent, .. } = &mut *current;
        if standin::can_come_home(&plan.config, name).is_none() {
            tracing::error!(
                source = %name,
                "writes wait in the default source for a source that is not configured, or read-only; configure it so that \
                 it can be written, and they come home"
            );
            return;
        }
        if !absent.away.contains_key(name) {
            let away = Away::by_default(name, &self.table().sources[0]);
            absent.away.insert(name.clone(), away);
            self.swap_absent(&current);
        }
        drop(current);
        self.healer.failed(name);
    }

    /// A source's chats are home again, where everything is made. `false` where the source is configured otherwise by
    /// now, so that it was made in another file than the chats are led to, or where more may have been written.
    pub(super) fn returned(&self, home: &Arc<Source>, away: &Away, fence: Raised<'_>) -> bool {
        let name = home.name();
        let mut current = self.current.lock();
        let is_this = current.absent.away.get(name).is_some_and(|now| now.displaced.is(&away.displaced));
        if !is_this || !self.source(name).is_some_and(|now| Arc::ptr_eq(&now, home)) {
            return false;
        }
        fence.end(|| {
            let Current { absent, .. } = &mut *current;
            absent.away.remove(name);
            if away.by == ServedBy::StandIn {
                absent.leaving.insert(name.clone());
            }
            self.swap_absent(&current);
        })
    }

    /// A source's stand-in is removed: another can be made.
    pub(super) fn left(&self, name: &SourceName) {
        self.current.lock().absent.leaving.remove(name);
        if let Some(source) = self.source(name)
            && matches!(source.health(), Health::Unavailable { .. })
        {
            self.failed(source.config());
        }
    }

    /// Who serves a source's chats while it is away.
    pub(super) fn away(&self, name: &SourceName) -> Option<Away> {
        self.current.lock().absent.away.get(name).cloned()
    }

    /// The sources whose chats another serves.
    pub(super) fn all_away(&self) -> Vec<SourceName> {
        self.current.lock().absent.away.keys().cloned().collect()
    }
}
