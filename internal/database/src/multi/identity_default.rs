//! Opening the default source only on the file that is its own. It knows the others, so nobody it could ask knows it: what
//! speaks for or against a file is what it says of itself, what was open before, what the data directory remembers, and
//! what the other files say.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::arrived::read_counted;
use super::datasource_router::DataSourceRouter;
use super::identity::unread;
use super::registry::{Adopt, DefaultBefore, Registry, read_recorded, read_waiting};
use crate::error::Error;
use crate::migrate::{self, Role};
use crate::route::SourceName;
use crate::source::{Budget, Database, Facts, Left, OpenError, Opener, SourceConfig, Stays};
use crate::store::read_aliases;
use crate::time::Clock;

/// Opens the default source, and learns from it what the router has to know.
pub(super) struct DefaultOpener {
    registry: Weak<Registry>,
    clock: Arc<dyn Clock>,
    router: Weak<DataSourceRouter>,
}

impl DefaultOpener {
    pub(super) fn new(registry: &Arc<Registry>, clock: &Arc<dyn Clock>, router: Weak<DataSourceRouter>) -> Self {
        Self { registry: Arc::downgrade(registry), clock: Arc::clone(clock), router }
    }
}

impl Opener for DefaultOpener {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        let Some(registry) = self.registry.upgrade() else {
            return Err(OpenError::Other { path: config.path.clone(), detail: "the databases were closed".into() });
        };
        let installation = RefCell::new(None);
        let accepted = registry.accepted(&config.name);
        let admit = |facts: &Facts| {
            let marked = || registry.others().iter().filter_map(marked).collect();
            let mark = admit_default(config, facts, accepted, &registry.default_before(), marked)?;
            *installation.borrow_mut() = mark;
            Ok(())
        };
        let database = Database::open(config, left, deadline, &*self.clock, &admit)?;
        let unread = |error: Error| unread(config, &error);
        let mut found = database.identity(deadline).map_err(unread)?;
        let installation = installation.into_inner().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        found.role = Some(Role::Default);
        found.installation = Some(installation.clone());
        database.set_identity(deadline, &found).map_err(unread)?;
        registry.set_default(&config.name, &found);
        registry.settle(&config.name);
        if let Some(router) = self.router.upgrade() {
            let recorded = database.read_as_writer("multi.recorded", deadline, read_recorded).map_err(unread)?;
            let aliases = database.read_as_writer("multi.aliases", deadline, read_aliases).map_err(unread)?;
            router
                .learn(aliases, Registry::recorded(recorded))
                .tell_cause("the default source was asked where chats were moved");
            if let Some(lock) = &mut *router.lock.lock() {
                lock.remember(&installation);
            }
            let counted = database.read_as_writer("multi.counted", deadline, read_counted).map_err(unread)?;
            if router.learned_moves(counted) {
                tracing::warn!(
                    source = %config.name,
                    "the default database is older than the last move of a chat, as after a restore; chats that others say they have are not served until `bot db move` settles where they are (`bot db status`)"
                );
                router.arrived.has_fallen_behind();
            }
            let waiting = database.read_as_writer("multi.waiting", deadline, read_waiting).map_err(unread)?;
            router.wait_in_default(&waiting);
        }
        Ok(database)
    }

    fn failed(&self, config: &SourceConfig) -> bool {
        self.router.upgrade().is_some_and(|router| router.failed(config))
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        // Opening any other reads it.
        Some((Budget::of_process(), Stays::Always))
    }
}

/// Whether a file may be the default source's, and the mark of the installation where one is known. `marked` are the
/// sources that say which installation they belong to.
pub(super) fn admit_default(
    config: &SourceConfig,
    facts: &Facts,
    accepted: Option<Adopt>,
    before: &DefaultBefore,
    marked: impl FnOnce() -> Vec<(SourceName, String)>,
) -> Result<Option<String>, OpenError> {
    let name = &config.name;
    let found = match facts {
        Facts::Nothing => None,
        Facts::File(found, _) => Some(found),
    };
    let own = found.and_then(|found| found.installation.clone());
    if accepted == Some(Adopt::New) || (found.is_some() && accepted.is_some()) {
        // It becomes one of the others, where these are of one mind.
        let mut marks: Vec<_> = marked().into_iter().map(|(_, mark)| mark).collect();
        marks.sort();
        marks.dedup();
        let theirs = if marks.len() == 1 { marks.pop() } else { before.mark.clone().or_else(|| marks.pop()) };
        return Ok(theirs.or_else(|| before.mark.clone()).or(own));
    }
    let refuse = |what: String| {
        let remedy = match found {
            Some(_) => format!("put the right one back, or accept this one with `bot db adopt {name}`"),
            None => format!("put it back, or accept an empty one with `bot db adopt {name} --new`"),
        };
        Err(OpenError::Identity { path: config.path.clone(), what, remedy })
    };
    if found.is_some_and(|found| found.role == Some(Role::Named)) {
        return refuse("is the database of another source than the default one".into());
    }
    match (found, &before.uuid) {
        (None, Some(_)) => return refuse("is missing or empty, and was there before".into()),
        (Some(found), Some(_)) if found.uuid != before.uuid => {
            return refuse("is another database than the default one that was there before".into());
        }
        _ => {}
    }
    let Some(own) = own else {
        // Only one that was never the default of these databases comes here: the others are asked.
        let Some((other, mark)) = marked().into_iter().next() else {
            return match (found, &before.mark) {
                (None, Some(_)) => {
                    refuse("is missing or empty, and the databases of this folder had a default one".into())
                }
                (_, mark) => Ok(mark.clone()),
            };
        };
        return match found {
            // What this process had open is the right one, even restored from the time before it was marked.
            Some(_) if before.uuid.is_some() => Ok(Some(mark)),
            Some(_) => refuse(format!("is not the default database that the source `{other}` belongs to")),
            None => refuse(format!(
                "is missing or empty, and the source `{other}` belongs to a default database that was there"
            )),
        };
    };
    // Another mark than the data directory remembers is right where the other databases came along.
    let is_foreign = before.mark.as_ref().is_some_and(|mark| *mark != own);
    if is_foreign && marked().iter().all(|(_, mark)| *mark != own) {
        return refuse("belongs to the databases of another bot".into());
    }
    Ok(Some(own))
}

/// The installation that a source's file belongs to, where it is there and says so.
///
/// One that is only read may be another bot's, and is not touched here: looking at it as at one that is written would
/// undo what a killed process left in it.
fn marked(config: &SourceConfig) -> Option<(SourceName, String)> {
    if config.readonly {
        return None;
    }
    let probe = crate::source::probe(&config.path, config.timeout)?;
    let mark = migrate::identity(&probe).ok()?.installation?;
    Some((config.name.clone(), mark))
}
