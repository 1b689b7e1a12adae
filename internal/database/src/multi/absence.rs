//! Which sources are away, and the changes between being at home and being served elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::counters::Count;
use super::datasource_router::{Current, DataSourceRouter};
use super::standin::{self, Away, ServedBy};
use super::standin_files;
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
    /// The sources that were away when an earlier run ended, and whose writes wait elsewhere.
    pub(super) fn left_behind(config: &DatabaseConfig, default: &Arc<Source>, clock: &Arc<dyn Clock>) -> Self {
        let left = standin::left_behind(config, default, clock);
        let away = left.into_iter().map(|away| (away.displaced.home.clone(), away)).collect();
        Self { away, leaving: BTreeSet::new() }
    }

    /// The same as a look has found it, for who serves no chats.
    pub(super) fn seen<'a>(names: impl Iterator<Item = &'a SourceName>, default: &Arc<Source>) -> Self {
        let away = names.map(|name| (name.clone(), Away::by_default(name, default))).collect();
        Self { away, leaving: BTreeSet::new() }
    }

    /// Takes up those of these sources whose writes wait elsewhere, as of a source that is configured again. Answers
    /// which they are.
    pub(super) fn take_up(
        &mut self,
        config: &DatabaseConfig,
        default: &Arc<Source>,
        clock: &Arc<dyn Clock>,
        names: &BTreeSet<SourceName>,
    ) -> Vec<SourceName> {
        if names.is_empty() {
            return Vec::new();
        }
        let is_meant =
            |name: &SourceName| names.contains(name) && !self.away.contains_key(name) && !self.leaving.contains(name);
        let left = standin::left_of(config, default, clock, is_meant);
        let taken = left.into_iter().map(|away| {
            let (name, by) = (away.displaced.home.clone(), away.by);
            tracing::warn!(target: "database::audit", source = %name, %by, "writes of a source that is configured again wait elsewhere, where its chats are served until they are home");
            self.away.insert(name.clone(), away);
            name
        });
        taken.collect()
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
            if by == ServedBy::Default {
                // Before anything is written there.
                note_in_default(&plan.config, name);
            }
            tracing::warn!(target: "database::audit", source = %name, %by, "a source is away; its chats are served elsewhere");
            absent.away.insert(name.clone(), away);
            self.counters.add(Count::Outage, 1);
            self.swap_absent(&current);
        }
        drop(current);
        self.healer.failed(name)
    }

    /// The default source is read for the first time, and no other's writes wait there than these sources'. Of another
    /// nothing waits that an earlier run said to be away: all of it was at home.
    pub(super) fn wait_in_default(&self, waiting: &[SourceName]) {
        let mut current = self.current.lock();
        let mut home = Vec::new();
        current.absent.away.retain(|name, away| {
            let stays = away.by != ServedBy::Default || !away.is_left || waiting.contains(name);
            // From now on something may be written there.
            away.is_left = false;
            if !stays {
                home.push(name.clone());
            }
            stays
        });
        if !home.is_empty() {
            self.swap_absent(&current);
        }
        for name in home {
            forget_in_default(&current.plan.config, &name);
        }
        drop(current);
        waiting.iter().for_each(|name| self.was_away(name));
    }

    /// A source in whose place the default one was written by an earlier run.
    fn was_away(&self, name: &SourceName) {
        let mut current = self.current.lock();
        let Current { plan, absent, .. } = &mut *current;
        // Also where it was not noted when it was written, as in a file that was restored; and for one that is
        // configured later.
        note_in_default(&plan.config, name);
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

    /// Whether this is the source that is away, and the absence, which have not ended or become others meanwhile.
    pub(super) fn is_coming_home(&self, home: &Arc<Source>, away: &Away) -> bool {
        self.is_now(&self.current.lock(), home, away)
    }

    fn is_now(&self, current: &Current, home: &Arc<Source>, away: &Away) -> bool {
        let name = home.name();
        current.absent.away.get(name).is_some_and(|now| now.displaced.is(&away.displaced))
            && self.source(name).is_some_and(|now| Arc::ptr_eq(&now, home))
    }

    /// A source's chats are home again, where everything is made. `false` where the source is configured otherwise by
    /// now, so that it was made in another file than the chats are led to, or where more may have been written.
    pub(super) fn returned(&self, home: &Arc<Source>, away: &Away, fence: Raised<'_>) -> bool {
        let name = home.name();
        let mut current = self.current.lock();
        if !self.is_now(&current, home, away) {
            drop(current);
            // Before the fence goes down with this.
            away.forget_over();
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

    /// Nothing of a source waits in the default one any more, unless it is away again, which is noted anew.
    pub(super) fn forgotten_in_default(&self, name: &SourceName) {
        let current = self.current.lock();
        if !current.absent.away.contains_key(name) {
            forget_in_default(&current.plan.config, name);
        }
    }

    /// Has a source's stand-in be set aside, and its chats' calls go to the source, or to another stand-in where it is
    /// away still. `false` where it does not stand in any more.
    pub(super) fn break_off(&self, away: &Away) -> bool {
        let name = &away.displaced.home;
        let mut current = self.current.lock();
        if !current.absent.away.get(name).is_some_and(|now| now.displaced.is(&away.displaced)) {
            return false;
        }
        away.keep_aside();
        away.displaced.break_off(|| {
            current.absent.away.remove(name);
            current.absent.leaving.insert(name.clone());
            self.swap_absent(&current);
        });
        true
    }

    /// Whether a stand-in of this source is still there that serves nobody any more.
    pub(super) fn is_leaving(&self, name: &SourceName) -> bool {
        self.current.lock().absent.leaving.contains(name)
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

/// Notes beside the stand-ins that the default source is written in the place of this one. A bot that is started while
/// the default source is away knows it from there. Done, and taken back, while nobody else changes who is away.
fn note_in_default(config: &DatabaseConfig, name: &SourceName) {
    if let Err(error) = standin_files::note_in_default(config, name) {
        tracing::warn!(source = %name, %error, "it cannot be noted that the default source is written in a source's place");
    }
}

/// Nothing of a source waits in the default one any more.
fn forget_in_default(config: &DatabaseConfig, name: &SourceName) {
    if let Err(error) = standin_files::forget_in_default(config, name) {
        tracing::warn!(source = %name, %error, "it cannot be noted that nothing of a source waits in the default one any more");
    }
}
