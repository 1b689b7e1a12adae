//! Putting backups back where there are many databases: which file is whose is looked at first, and no chat is to be left
//! without its rows; with a bot that runs, which closes the source meanwhile, and with none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::DirBuilder;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::control::Control;
use super::datasource_router::Plan;
use super::lock::DataDirLock;
use super::registry::Registry;
use super::site::unfinished_moves;
use crate::config::DatabaseConfig;
use crate::error::ErrorKind;
use crate::ids::ChatId;
use crate::maintenance::{
    BackupProgress, BackupSet, Checked, Loss, MaintenanceError, RestoreOutcome, Restored, put_back,
};
use crate::migrate::{self, Role};
use crate::route::{Route, SourceName};
use crate::source::{Moment, OpenError, SourceConfig, describe};
use crate::time::Timestamp;

pub use crate::maintenance::RestoreOptions;

/// How long locks of others are waited for while files are looked at.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the default source's file knows of the others.
#[derive(Default)]
struct Knowledge {
    uuids: BTreeMap<String, Option<String>>,
    recorded: Vec<(ChatId, String, Option<String>)>,
    aliases: HashMap<ChatId, ChatId>,
}

/// Puts backups back while no bot runs: takes the data folder meanwhile. Everything is looked at before anything is
/// written; then each source is by itself, and the answers say what became of it. Repeating it is safe.
///
/// # Errors
/// A process is in charge; the backup lacks a source that was named, has some that are not configured where none was named,
/// or is no backup of these databases; or chats would lose their rows. Nothing was changed.
pub fn restore(
    config: &DatabaseConfig,
    set: &BackupSet,
    options: &RestoreOptions,
    now: Timestamp,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<Vec<RestoreOutcome>, MaintenanceError> {
    let mut sources = set.wanted(&options.sources, &config.sources)?;
    // The default one first: it knows the others.
    sources.sort_by_key(|settings| (settings.name != config.default_source, &settings.name));
    let folder = &config.data_dir;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| OpenError::Lock { path: folder.clone(), detail: error.to_string() })?;
    let lock = DataDirLock::take(folder)?;
    let copies = sources.iter().map(|settings| Ok((*settings, set.checked(&settings.name)?)));
    let copies = copies.collect::<Result<Vec<_>, MaintenanceError>>()?;
    let present = config.sources.get(&config.default_source).and_then(live);
    let known = present.as_ref().map(|default| knowledge(default.connection())).transpose().ok().flatten();
    let of_default = copies.iter().find(|(settings, _)| settings.name == config.default_source);
    let then = of_default.map(|(_, copy)| knowledge(copy.moment.connection())).transpose();
    let then = then.map_err(|error| unusable(set, &error))?;
    for (settings, copy) in &copies {
        if settings.name == config.default_source {
            is_default(settings, copy, present.as_ref(), lock.mark())?;
        } else {
            let uuids: Vec<_> = [&known, &then].into_iter().flatten().map(|known| &known.uuids).collect();
            is_named(settings, copy, &uuids)?;
        }
    }
    drop(present);
    if !options.even_so {
        let plan_of =
            |known: &Knowledge| Plan { config: config.clone(), recorded: Registry::recorded(known.recorded.clone()) };
        let known = known.unwrap_or_default();
        let (before, after) = (plan_of(&known), then.as_ref().map_or_else(|| plan_of(&known), plan_of));
        let aliases = [&known.aliases, then.as_ref().map_or(&known.aliases, |then| &then.aliases)];
        refuse_loss(&Loss::of(set, &config.sources, &copies)?, [&before, &after], aliases)?;
    }
    let restored = copies.iter().map(|(settings, copy)| {
        let tried = put_back(settings, copy, now, tell);
        if tried.is_ok() {
            tracing::info!(target: "database::audit", source = %settings.name, from = %copy.moment.path().display(), "a backup was put back");
        }
        tried.map_or_else(|error| RestoreOutcome::failed(&settings.name, error.to_string()), RestoreOutcome::done)
    });
    Ok(restored.collect())
}

impl Control {
    /// Puts a source's backup back while the bot runs: the source is closed meanwhile, and its calls wait within their
    /// timeout. What its chats wrote elsewhere while it was away comes home afterwards.
    ///
    /// # Errors
    /// It is the default source, or a read-only one; the backup is none of it; chats would lose their rows or are being
    /// moved; or it cannot be written.
    pub fn restore(
        &self,
        name: &SourceName,
        set: &BackupSet,
        even_so: bool,
        now: Timestamp,
        tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
    ) -> Result<Restored, MaintenanceError> {
        const OP: &str = "restoring.restore";
        let config = self.config();
        let settings = set.wanted(std::slice::from_ref(name), &config.sources)?[0];
        if *name == config.default_source {
            return Err(MaintenanceError::DefaultSource { name: name.to_string() });
        }
        let in_use = |detail: String| MaintenanceError::InUse { name: name.to_string(), detail };
        let Some(source) = self.router.source(name) else { return Err(in_use("it is not configured any more".into())) };
        if settings.readonly {
            return Err(MaintenanceError::ReadOnlySource { name: name.to_string() });
        }
        let refuse_moves = || {
            let moves = self.db.read(OP, Route::Shared, unfinished_moves).map_err(|error| in_use(error.to_string()))?;
            match moves.iter().find(|of| [&of.from, &of.to].contains(&&name.to_string())) {
                Some(of) => Err(in_use(format!("a move of the chat {} is under way or was broken off", of.chat))),
                None => Ok(()),
            }
        };
        refuse_moves()?;
        let copy = set.checked(name)?;
        let entries = self.router.connections.registry.entries(name, None, Instant::now() + settings.timeout);
        let entries = entries.map_err(|error| in_use(format!("the default source cannot be asked: {error}")))?;
        let uuids = entries.into_iter().map(|entry| (entry.name, entry.uuid)).collect();
        is_named(settings, &copy, &[&uuids])?;
        let copies = [(settings, copy)];
        let present = || {
            let plan =
                self.router.with_plan(|plan| Plan { recorded: plan.recorded.clone(), config: plan.config.clone() });
            (plan, self.router.aliases.all())
        };
        let loss = if even_so { None } else { Some(Loss::of(set, &config.sources, &copies)?) };
        let refuse_loss = |(plan, aliases): &(Plan, _)| match &loss {
            Some(loss) => refuse_loss(loss, [plan, plan], [aliases, aliases]),
            None => Ok(()),
        };
        let before = present();
        refuse_loss(&before)?;
        let [(settings, copy)] = &copies;
        let put_back = || {
            // Looking at the copy takes long, and chats move meanwhile. From here on none comes here: whoever moves one
            // waits for the source, as all calls do.
            refuse_moves()?;
            if !self.router.source(name).is_some_and(|now| Arc::ptr_eq(&now, &source)) {
                return Err(in_use("it was configured otherwise meanwhile".into()));
            }
            let after = present();
            if after.0.recorded != before.0.recorded || after.1 != before.1 || after.0.config != before.0.config {
                refuse_loss(&after)?;
            }
            put_back(settings, copy, now, tell)
        };
        let restored = source.while_closed(OP, put_back).map_err(|error| match error.kind() {
            // A move holds its sources open.
            ErrorKind::Busy { .. } => {
                refuse_moves().err().unwrap_or_else(|| in_use("calls that are under way do not end in time".to_owned()))
            }
            kind => in_use(kind.to_string()),
        })?;
        if restored.is_ok() {
            tracing::info!(target: "database::audit", source = %name, from = %copy.moment.path().display(), "a backup was put back");
        }
        // Also where it failed: whoever waits is let in.
        if let Err(error) = self.retry(name) {
            tracing::warn!(source = %name, %error, "a source is not open after its backup was put back");
        }
        restored
    }
}

/// What is there of a source now, where it can be read.
fn live(settings: &SourceConfig) -> Option<Moment> {
    Moment::of(&settings.path, PATIENCE).ok()
}

fn other(settings: &SourceConfig, copy: &Checked, detail: String) -> MaintenanceError {
    let (path, name) = (copy.moment.path().to_owned(), settings.name.to_string());
    MaintenanceError::OtherDatabase { path, name, detail }
}

/// Refuses a copy that is not of the default source.
fn is_default(
    settings: &SourceConfig,
    copy: &Checked,
    present: Option<&Moment>,
    mark: Option<String>,
) -> Result<(), MaintenanceError> {
    let found = copy.moment.identity();
    if found.role == Some(Role::Named) {
        return Err(other(settings, copy, "it is of another source than the default one".to_owned()));
    }
    if let (Some(mark), Some(found)) = (mark, &found.installation)
        && mark != *found
    {
        return Err(other(settings, copy, "it is of another bot's databases".to_owned()));
    }
    let present = present.map(Moment::identity).filter(|present| present.role != Some(Role::Named));
    match (present.and_then(|present| present.uuid.as_ref()), &found.uuid) {
        (Some(present), Some(found)) if present != found => {
            Err(other(settings, copy, format!("its uuid is {found} and not {present}")))
        }
        _ => Ok(()),
    }
}

/// Refuses a copy that is not of a source, as far as the default source remembers that, now or in its own backup.
fn is_named(
    settings: &SourceConfig,
    copy: &Checked,
    known: &[&BTreeMap<String, Option<String>>],
) -> Result<(), MaintenanceError> {
    let found = copy.moment.identity();
    let Some(uuid) = &found.uuid else {
        return Err(other(settings, copy, "it has no uuid".to_owned()));
    };
    let expected: BTreeSet<_> = known.iter().filter_map(|known| known.get(settings.name.as_str())?.as_ref()).collect();
    if expected.contains(uuid) {
        return Ok(());
    }
    if let Some(expected) = expected.first() {
        return Err(other(settings, copy, format!("its uuid is {uuid} and not {expected}")));
    }
    // Nobody remembers the source: then its file has to say so itself, or there is none.
    match (found.role, live(settings).and_then(|live| live.identity().uuid.clone())) {
        (Some(Role::Default), _) => Err(other(settings, copy, "it is of a default source".to_owned())),
        (_, Some(present)) if present != *uuid => {
            Err(other(settings, copy, format!("its uuid is {uuid} and not {present}")))
        }
        _ => Ok(()),
    }
}

/// Refuses where chats would be led to a place that has none of their rows.
fn refuse_loss(
    loss: &Loss<'_>,
    [before, after]: [&Plan; 2],
    [aliases, aliases_then]: [&HashMap<ChatId, ChatId>; 2],
) -> Result<(), MaintenanceError> {
    let home = |plan: &Plan, aliases, chat| {
        plan.route(chat, aliases).map_or(&plan.config.default_source, |(name, _)| name).clone()
    };
    let moved = before.recorded.keys().chain(after.recorded.keys()).copied();
    loss.refuse(moved, |chat| [home(before, aliases, chat), home(after, aliases_then, chat)])
}

/// What a default source's file knows of the others.
fn knowledge(connection: &Connection) -> rusqlite::Result<Knowledge> {
    if !migrate::has_table(connection, "switchyard_sources")? {
        return Ok(Knowledge::default());
    }
    let mut known = Knowledge::default();
    let mut statement = connection.prepare("SELECT name, uuid FROM switchyard_sources ORDER BY name")?;
    known.uuids = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut statement =
        connection.prepare("SELECT chat_id, source, file_said FROM switchyard_routes ORDER BY chat_id")?;
    let route = |row: &rusqlite::Row<'_>| Ok((ChatId(row.get(0)?), row.get(1)?, row.get(2)?));
    known.recorded = statement.query_map([], route)?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare("SELECT new_chat_id, old_chat_id FROM switchyard_aliases ORDER BY 1")?;
    let alias = |row: &rusqlite::Row<'_>| Ok((ChatId(row.get(0)?), ChatId(row.get(1)?)));
    known.aliases = statement.query_map([], alias)?.collect::<Result<_, _>>()?;
    Ok(known)
}

fn unusable(set: &BackupSet, error: &rusqlite::Error) -> MaintenanceError {
    MaintenanceError::BadBackup { path: set.path().to_owned(), detail: describe(error) }
}
