//! Opening a source only on the file that is its own: a wrong, an empty or a missing one is never taken for it.
//!
//! Each file that is written carries a uuid, and the mark of the installation: the set of databases that it is one of.
//! The default source remembers the name, the uuid and the path of each.

use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::datasource_router::DataSourceRouter;
use super::registry::{Adopt, Entry, Registry};
use crate::error::{Error, ErrorKind, Result};
use crate::migrate::{Identity, Role};
use crate::route::SourceName;
use crate::source::{Budget, Database, Facts, FileId, Left, OpenError, Opener, SourceConfig, Stays, can_be_made};
use crate::time::Clock;

/// Opens a source that is not the default one.
pub(super) struct NamedOpener {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    router: Weak<DataSourceRouter>,
}

/// What is remembered of a source and of other names for its file, or why that cannot be asked.
type Known = Result<Vec<Entry>, Error>;

impl NamedOpener {
    pub(super) fn new(registry: &Arc<Registry>, clock: &Arc<dyn Clock>, router: Weak<DataSourceRouter>) -> Self {
        Self { registry: Arc::clone(registry), clock: Arc::clone(clock), router }
    }

    /// Whether the file may be the source's.
    pub(super) fn admit(&self, config: &SourceConfig, known: &Known, facts: &Facts) -> Result<(), OpenError> {
        let name = &config.name;
        let refuse =
            |what: String, remedy: String| Err(OpenError::Identity { path: config.path.clone(), what, remedy });
        match (self.registry.accepted(name), facts) {
            (Some(_), Facts::File(..)) | (Some(Adopt::New), Facts::Nothing) => return Ok(()),
            _ => {}
        }
        let is_default = matches!(facts, Facts::File(Identity { role: Some(Role::Default), .. }, _));
        if is_default && !config.readonly && known.is_err() {
            return refuse(
                format!("is a default source's database, not that of the source `{name}`"),
                "correct the paths".into(),
            );
        }
        let Ok(known) = known else {
            // What cannot be looked up is believed where the file says that it is one of ours, as far as our mark was ever
            // seen; nothing is made.
            let ours = self.registry.installation();
            return match facts {
                Facts::File(Identity { installation: Some(mark), .. }, _)
                    if ours.is_none_or(|ours| ours == *mark) =>
                {
                    Ok(())
                }
                Facts::File(..) if config.readonly => Ok(()),
                _ => refuse(
                    "cannot be told from another file or from one that was lost, since the default source is unavailable".into(),
                    "mend the default source first".into(),
                ),
            };
        };
        let entry = known.iter().find(|entry| entry.name == name.as_str());
        match (entry, facts) {
            (None, Facts::Nothing) => Ok(()),
            (Some(entry), Facts::Nothing) => refuse(
                format!("is missing or empty, and the source `{name}` had a database before (at {})", entry.path),
                format!("put it back or correct the path, or accept an empty one with `bot db adopt {name} --new`"),
            ),
            (Some(entry), Facts::File(found, file)) => {
                let is_the_same = match &entry.uuid {
                    Some(uuid) => found.uuid.as_ref() == Some(uuid),
                    // Some file systems have another number for the device each time they are mounted.
                    None => {
                        let (device, inode) = numbers(*file);
                        entry.inode == inode && (entry.device == device || entry.path == shown(config))
                    }
                };
                if is_the_same {
                    return Ok(());
                }
                refuse(
                    format!("is another database than the one that the source `{name}` had"),
                    format!(
                        "put the right one back or correct the path, or accept this one with `bot db adopt {name}`"
                    ),
                )
            }
            (None, Facts::File(found, _)) => {
                if let Some(twin) = self.twin(name, known, found) {
                    return Err(is_twin(config, &twin));
                }
                match &found.installation {
                    Some(mark) if Some(mark) != self.registry.installation().as_ref() => refuse(
                        "belongs to the databases of another bot, or of another default source".into(),
                        format!("correct the path, or take it over with `bot db adopt {name}`"),
                    ),
                    _ if is_default && !config.readonly => refuse(
                        "is a default source's database".into(),
                        format!("correct the path, or take it over with `bot db adopt {name}`"),
                    ),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The other source of the configuration that has this file's uuid.
    fn twin(&self, name: &SourceName, known: &[Entry], found: &Identity) -> Option<String> {
        if let Some(default) = self.registry.default_with(found.uuid.as_deref()) {
            return Some(default.to_string());
        }
        let twin = same_uuid(known, found, name).filter(|twin| self.registry.is_configured(&twin.name))?;
        Some(twin.name.clone())
    }

    /// Makes the file known as the source's.
    fn enter(
        &self,
        config: &SourceConfig,
        deadline: Instant,
        known: &[Entry],
        database: &Database,
        made: bool,
    ) -> Result<(), OpenError> {
        let unread = |error: Error| unread(config, &error);
        let name = &config.name;
        let mut found = database.identity(deadline).map_err(unread)?;
        let installation = self.registry.installation();
        let is_marked = config.readonly || (found.installation == installation && found.role == Some(Role::Named));
        if is_marked && known.contains(&entry_of(config, &found, database)) {
            // As nearly always: nothing to write, and nobody to wait for.
            return Ok(());
        }
        // One at a time, on what is remembered now: of two names for one file, which are opened at once, one stays.
        let busy = || OpenError::Locked { path: config.path.clone(), waited: config.timeout };
        let _one = self.registry.entering.try_lock_until(deadline).ok_or_else(busy)?;
        let Ok(known) = self.registry.entries(name, found.uuid.as_deref(), deadline) else { return Ok(()) };
        let is_known = known.iter().any(|entry| entry.name == name.as_str() && entry.uuid == found.uuid);
        let twin = self.twin(name, &known, &found).filter(|_| !is_known);
        if let (Some(twin), None) = (&twin, self.registry.accepted(name)) {
            return Err(is_twin(config, twin));
        }
        if !config.readonly {
            if twin.is_some() {
                // A copy that was accepted becomes a database of its own.
                found.uuid = Some(uuid::Uuid::new_v4().to_string());
            }
            (found.installation, found.role) = (installation, Some(Role::Named));
            database.set_identity(deadline, &found).map_err(unread)?;
        }
        let entry = entry_of(config, &found, database);
        if known.contains(&entry) {
            return Ok(());
        }
        let before = known.iter().find(|known| known.name == entry.name);
        let earlier = same_uuid(&known, &found, name).filter(|twin| !self.registry.is_configured(&twin.name));
        let what = match (made, before, earlier) {
            (true, ..) => "a source was created",
            (false, None, Some(_)) => "a source has another name",
            (false, None, None) => "a source was adopted",
            (false, Some(before), _) if before.uuid == entry.uuid && before.path != entry.path => {
                "a source has another path"
            }
            (false, Some(before), _) if before.uuid == entry.uuid => "a source's file was moved or copied to its path",
            (false, Some(_), _) => "a source has another database, as it was told to accept",
        };
        tracing::info!(target: "database::audit", source = %name, path = %config.path.display(), "{what}");
        self.registry.enter(&entry, earlier.map(|earlier| earlier.name.as_str()), deadline).map_err(unread)
    }
}

impl Opener for NamedOpener {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        // Not all the time there is: where the default source hangs, this one is opened all the same.
        let half = || Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let known = self.registry.entries(&config.name, None, half());
        let made = Cell::new(false);
        let admit = |facts: &Facts| {
            made.set(matches!(facts, Facts::Nothing));
            match (&known, facts) {
                // Nothing is remembered of the name: perhaps of another one for this file.
                (Ok(known), Facts::File(Identity { uuid: Some(uuid), .. }, _)) if known.is_empty() => {
                    self.admit(config, &self.registry.entries(&config.name, Some(uuid), half()), facts)
                }
                _ => self.admit(config, &known, facts),
            }
        };
        let database = if config.readonly {
            Database::open_readonly(config, left, deadline, &admit)?
        } else {
            Database::open(config, left, deadline, &*self.clock, &admit)?
        };
        let accepted = self.registry.accepted(&config.name).is_some();
        if let Ok(known) = &known {
            self.enter(config, deadline, known, &database, made.get())?;
            self.registry.settle(&config.name);
        }
        if let Some(router) = self.router.upgrade() {
            let heeded = router.heed_marks(config, &database, deadline, accepted);
            heeded.map_err(|error| unread(config, &error))?;
            router.heed_arrivals(config, &database, deadline).map_err(|error| unread(config, &error))?;
        }
        Ok(database)
    }

    fn failed(&self, config: &SourceConfig) -> bool {
        self.router.upgrade().is_some_and(|router| router.failed(config))
    }

    fn would_make(&self, config: &SourceConfig) -> Result<bool, OpenError> {
        if config.readonly || !can_be_made(&config.path)? {
            return Ok(false);
        }
        let known = self.registry.entries(&config.name, None, Instant::now() + config.timeout);
        Ok(self.admit(config, &known, &Facts::Nothing).is_ok())
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        Some((Budget::of_process(), Stays::WhileThereIsRoom))
    }

    fn takes_as_left(&self, config: &SourceConfig) -> bool {
        // What an operator accepts is entered anew.
        self.registry.accepted(&config.name).is_none()
    }
}

/// What an error of a call means while a source is opened: what is busy is not down.
pub(super) fn unread(config: &SourceConfig, error: &Error) -> OpenError {
    match error.kind() {
        ErrorKind::Busy { waited } => OpenError::Locked { path: config.path.clone(), waited: *waited },
        // (Of what is noted of it in the default source that one's disk may be full.)
        ErrorKind::DiskFull if *error.source_name() == config.name => OpenError::DiskFull { path: config.path.clone() },
        _ => OpenError::Other { path: config.path.clone(), detail: error.to_string() },
    }
}

/// What is to be remembered of a source.
fn entry_of(config: &SourceConfig, found: &Identity, database: &Database) -> Entry {
    let (device, inode) = numbers(database.file_id());
    let (name, path) = (config.name.to_string(), shown(config));
    Entry { name, uuid: found.uuid.clone(), path, device, inode }
}

/// A source's path as it is remembered.
fn shown(config: &SourceConfig) -> String {
    config.path.display().to_string()
}

/// What is remembered of another name with this file's uuid.
fn same_uuid<'a>(known: &'a [Entry], found: &Identity, name: &SourceName) -> Option<&'a Entry> {
    let uuid = found.uuid.as_ref()?;
    known.iter().find(|entry| entry.uuid.as_ref() == Some(uuid) && entry.name != name.as_str())
}

fn is_twin(config: &SourceConfig, twin: &str) -> OpenError {
    OpenError::Identity {
        path: config.path.clone(),
        what: format!("is the database of the source `{twin}`, or a copy of it"),
        remedy: format!("give each source a file of its own, or accept the copy with `bot db adopt {}`", config.name),
    }
}

/// Device and inode as SQLite keeps numbers.
fn numbers(file: FileId) -> (i64, i64) {
    (file.device.cast_signed(), file.inode.cast_signed())
}
