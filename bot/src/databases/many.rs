//! The databases in a build for many: sources behind a router, steered through a socket, gone over to another
//! configuration while the bot runs. A single file is opened as in any other build.

mod following;
mod leftovers;
mod moving;
mod upkeep;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Layers};
use database::multi::{self, Adopt, Control, Particulars, Status};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Form, Health, Options, SourceConfig, SourceName};

use super::{DatabasesError, Opened, Reached, is_new, look_at_one, make_folder, only_source, open_one};
use crate::control::client::Client;
use crate::control::leftovers::{Clearing, JournalReport, SetAsideReport, Settle, SettledReport, StraysReport};
use crate::control::moves::{MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::{Accept, Fault, FaultKind};
use crate::control::report::{Counts, Disputed, ReloadReport, RouteReport, SourceReport, State, StatusReport, Why};
use crate::control::server::Server;
use crate::control::upkeep::Restored;
use crate::control::{Operator, Outage, absolute};
use crate::text::chart::counted;
use crate::transport::signals::StopSignals;

use following::Following;

pub(super) use leftovers::{clear_strays, look_at_journal, look_at_strays, set_aside, settle};
pub(super) use moving::{move_chats, seal};
pub(super) use upkeep::{migrate, restore, site, stray_findings};

/// How many sources are opened at a time at the start. Where there are more, the others are opened when they are needed.
const AT_ONCE: usize = 32;
/// How long is waited for that.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long is waited for what a source's file says of it.
const TO_SAY: Duration = Duration::from_secs(2);

/// What runs beside the databases: nothing beside one file.
pub(super) struct Running {
    many: Option<Arc<Many>>,
    server: Option<Server>,
}

/// Whoever is in charge of many databases.
struct Many {
    control: Control,
    files: Vec<String>,
    following: Following,
}

pub(super) fn open(config: &Config) -> Result<Opened, DatabasesError> {
    let databases = &config.database;
    if databases.form == Form::SingleFile {
        return open_one(databases, only_source(databases)?);
    }
    let mut notes = make_folder(&databases.data_dir)?;
    let new: Vec<&SourceConfig> = databases.sources.values().filter(|source| is_new(&source.path)).collect();
    let (db, control) = DatabaseWrapper::open_multi(databases, Options::default())?;
    let files = config.files.iter().map(|file| absolute(file)).collect();
    let many = Arc::new(Many { control: control.clone(), files, following: Following::default() });
    let operator: Arc<dyn Operator> = Arc::clone(&many) as Arc<dyn Operator>;
    let server = match Server::start(&databases.data_dir, Arc::clone(&operator)) {
        Ok(server) => Some(server),
        Err(error) => {
            let path = Server::path_in(&databases.data_dir);
            notes.push(format!("Cannot listen on {}, so `bot db` cannot ask this bot: {error}.", path.display()));
            None
        }
    };
    let running = Running { many: Some(many), server };
    if let Err(reasons) = warm_up(&control) {
        running.stop();
        db.close();
        return Err(DatabasesError::NoneUsable(reasons));
    }
    let sources = control.status().sources;
    let told = sources.iter().filter_map(|report| {
        let was_new = new.iter().any(|new| new.name == report.source.name);
        note(&report.source, was_new)
    });
    let before = notes.len();
    notes.extend(told);
    let untold = (sources.len() + before).saturating_sub(notes.len()) as u64;
    if untold > 0 {
        let databases = counted(untold, "more database is", "more databases are");
        notes.push(format!("{databases} opened when needed; `bot db status` lists them."));
    }
    Ok(Opened { db, notes, operator, running })
}

/// Opens sources until one can be used; fails with the reasons where none can.
fn warm_up(control: &Control) -> Result<(), String> {
    let names: Vec<SourceName> = control.status().sources.iter().map(|one| one.source.name.clone()).collect();
    for some in names.chunks(AT_ONCE) {
        control.warm_up(some, WARM_UP);
        let status = control.status();
        let is_down = |health: &Health| matches!(health, Health::Unavailable { .. });
        if status.sources.iter().any(|one| some.contains(&one.source.name) && !is_down(&one.source.health)) {
            return Ok(());
        }
    }
    let reasons = control.status().sources.into_iter().filter_map(|one| match one.source.health {
        Health::Unavailable { reason, .. } => Some(format!("{}: {reason}", one.source.name)),
        _ => None,
    });
    Err(reasons.collect::<Vec<_>>().join("\n"))
}

/// What has happened to sources, as it is told.
fn counts(counts: multi::Counts) -> Counts {
    let multi::Counts { outages, looks, returns, writes_made, writes_parked, .. } = counts;
    Counts { outages, looks, returns, writes_made, writes_parked }
}

/// What is told of a source at the start.
fn note(source: &database::SourceStatus, was_new: bool) -> Option<String> {
    let (name, path) = (&source.name, source.path.display());
    let how = if source.readonly { " (read-only)" } else { "" };
    match &source.health {
        Health::Open if was_new => Some(format!("Created the database {name}: {path}.")),
        Health::Open => Some(format!("Using the database {name}: {path}{how}.")),
        Health::Unavailable { reason, .. } => Some(format!("The database {name} cannot be used: {reason}.")),
        Health::Opening => Some(format!("The database {name} is still being opened: {path}.")),
        _ => None,
    }
}

pub(super) fn can_run(_: &DatabaseConfig) -> Result<(), DatabasesError> {
    Ok(())
}

pub(super) fn can_reload(config: &DatabaseConfig) -> bool {
    config.form == Form::Sources
}

pub(super) fn reach(config: &DatabaseConfig) -> Result<Reached, DatabasesError> {
    if config.form == Form::SingleFile {
        return Ok(Reached::Nobody);
    }
    if let Some(client) = bot_in(&config.data_dir)? {
        return Ok(Reached::Bot(client));
    }
    Ok(multi::in_charge(&config.data_dir).map_or(Reached::Nobody, |owner| Reached::Mute(owner.process)))
}

pub(super) fn bot_in(data_dir: &Path) -> Result<Option<Client>, DatabasesError> {
    Ok(Client::connect(data_dir)?)
}

pub(super) fn look(config: &DatabaseConfig) -> Result<StatusReport, DatabasesError> {
    if config.form == Form::SingleFile {
        return Ok(look_at_one(config, only_source(config)?));
    }
    let overview = multi::look(config);
    let sources = overview.sources.into_iter().map(|source| {
        let multi::SourceLook {
            name,
            look,
            why_not_made,
            readonly,
            is_default,
            chats,
            served_by,
            waiting,
            waiting_reason,
            parked,
            ..
        } = source;
        let served_by = served_by.map(leftovers::served_by);
        let report = SourceReport::of_file(name.as_str(), look, readonly, is_default, chats as u64);
        let reason = report.reason.clone().or(why_not_made);
        SourceReport { reason, served_by, waiting, waiting_reason, parked, ..report }
    });
    let data_dir = config.data_dir.display().to_string();
    let (sources, ownerless) = (sources.collect(), leftovers::ownerless(config));
    let disputed = overview.disputed.into_iter().map(|(chat, reason)| Disputed { chat: chat.0, reason }).collect();
    Ok(StatusReport { data_dir, sources, ownerless, disputed, ..StatusReport::default() })
}

pub(super) fn look_for(config: &DatabaseConfig, chat: ChatId) -> Result<RouteReport, DatabasesError> {
    if config.form == Form::SingleFile {
        return Ok(RouteReport::only(chat, &only_source(config)?.name));
    }
    let overview = multi::look(config);
    let (source, why) = overview.explain(chat);
    Ok(RouteReport {
        running: false,
        certain: overview.is_complete,
        not_followed: overview.passed_over(chat).map(ToString::to_string),
        disputed: overview.disputed.get(&chat).cloned(),
        ..route(chat, &source, &why)
    })
}

pub(super) fn adopt(config: &Config, source: &SourceName, what: Accept) -> Result<SourceReport, DatabasesError> {
    leftovers::has_sources(&config.database, Some(source))?;
    Ok(leftovers::in_charge(config, |many| many.adopt(source, what))??)
}

impl Running {
    pub(super) fn beside_one_file() -> Self {
        Self { many: None, server: None }
    }

    pub(super) fn follow(&self, layers: Layers, config: &Config, signals: &StopSignals) -> io::Result<()> {
        match &self.many {
            Some(many) => many.following.start(layers, config, &many.control, signals),
            None => Ok(()),
        }
    }

    /// First whoever may ask for something, then what may change something; the databases are closed after that.
    pub(super) fn stop(self) {
        if let Some(server) = self.server {
            server.stop();
        }
        if let Some(many) = self.many {
            many.following.stop();
        }
    }
}

impl Operator for Many {
    fn status(&self) -> StatusReport {
        self.control.catch_up(TO_SAY);
        let Status { generation, data_dir, sources, disputed, .. } = self.control.status();
        let particulars = self.control.particulars(TO_SAY);
        let report = |one: &multi::SourceReport| {
            let report = SourceReport::of(&one.source, one.is_default, one.chats as u64);
            let report = match one.away {
                None => report,
                Some((by, since)) => report.served_by(leftovers::served_by(by), since),
            };
            let Particulars { version, reason, why_closed, uuid, parked, waiting, waiting_reason, .. } =
                particulars.get(&one.source.name).cloned().unwrap_or_default();
            // A moment lies between the two.
            let (reason, why_closed) =
                if report.state == State::Closed { (reason, why_closed) } else { (report.reason.clone(), None) };
            SourceReport { reason, why_closed, version, uuid, parked, waiting, waiting_reason, ..report }
        };
        StatusReport {
            running: true,
            process: Some(std::process::id()),
            data_dir: data_dir.display().to_string(),
            configuration: self.files.clone(),
            generation: Some(generation),
            last_reload: self.following.last(),
            sources: sources.iter().map(report).collect(),
            ownerless: leftovers::ownerless(&self.control.config()),
            disputed: disputed.into_iter().map(|(chat, reason)| Disputed { chat: chat.0, reason }).collect(),
            counts: Some(counts(self.control.counts())),
        }
    }

    fn route(&self, chat: ChatId) -> RouteReport {
        let report = self.control.explain(chat);
        RouteReport {
            certain: report.is_certain,
            not_followed: report.passed_over.map(|line| line.to_string()),
            disputed: report.disputed,
            ..route(chat, &report.source, &report.why)
        }
    }

    fn retry(&self, source: &SourceName) -> Result<SourceReport, Fault> {
        self.control.retry(source).map_err(|error| self.fault(&error))?;
        self.one(source)
    }

    fn set_aside(&self, source: &SourceName) -> Result<SetAsideReport, Fault> {
        self.was_set_aside(source)
    }

    fn adopt(&self, source: &SourceName, what: Accept) -> Result<SourceReport, Fault> {
        let what = match what {
            Accept::Present => Adopt::Present,
            Accept::New => Adopt::New,
        };
        self.control.adopt(source, what).map_err(|error| self.fault(&error))?;
        self.one(source)
    }

    fn reload(&self) -> Result<ReloadReport, Fault> {
        let what =
            "this process does not follow its configuration: it imports, or is starting or ending; ask again later";
        self.following.reload().ok_or_else(|| Fault::new(FaultKind::NotNow, what))
    }

    fn outages(&self) -> Vec<Outage> {
        let outages = self.control.outages().into_iter();
        outages
            .map(|multi::Outage { source, reason, since, served_by, .. }| Outage {
                source: source.to_string(),
                reason,
                // A clock that was set back makes it new.
                lasted: since.elapsed().unwrap_or_default(),
                served_by: served_by.map(leftovers::served_by),
            })
            .collect()
    }

    fn journal(&self, source: Option<&SourceName>, most: usize) -> Result<JournalReport, Fault> {
        self.told_journal(source, most)
    }

    fn settle(&self, source: &SourceName, what: &Settle) -> Result<SettledReport, Fault> {
        self.settled(source, what)
    }

    fn move_chats(
        &self,
        what: &MoveRequest,
        tell: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
    ) -> Result<MovesReport, Fault> {
        self.moved(what, tell)
    }

    fn strays(&self) -> Result<StraysReport, Fault> {
        Ok(leftovers::told_strays(&self.control))
    }

    fn clear_strays(&self, what: Clearing) -> Result<StraysReport, Fault> {
        self.cleared(what, true)
    }

    fn restore(&self, source: &SourceName, from: &Path, even_so: bool) -> Result<Restored, Fault> {
        self.put_back(source, from, even_so)
    }
}

impl Many {
    /// A source as it is now.
    fn one(&self, name: &SourceName) -> Result<SourceReport, Fault> {
        let sources = self.status().sources;
        let known = || self.control.status().sources.into_iter().map(|one| one.source.name).collect::<Vec<_>>();
        sources
            .into_iter()
            .find(|source| source.name == name.as_str())
            .ok_or_else(|| unknown(name.as_str(), known().iter()))
    }

    fn fault(&self, error: &database::Error) -> Fault {
        match error.kind() {
            ErrorKind::UnknownSource { known } => unknown_among(error.source_name().as_str(), known),
            ErrorKind::SourceUnavailable { reason } => Fault::new(FaultKind::Failed, reason),
            kind => Fault::new(FaultKind::Failed, kind.to_string()),
        }
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a SourceName>) -> Fault {
    unknown_among(name, &known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

fn unknown_among(name: &str, known: &str) -> Fault {
    Fault::new(FaultKind::UnknownSource, format!("there is no source `{name}`; known are: {known}"))
}

fn route(chat: ChatId, source: &SourceName, why: &multi::Why) -> RouteReport {
    let (why, inherited_from) = match why {
        multi::Why::Mapped => (Why::Mapped, None),
        multi::Why::Moved => (Why::Moved, None),
        multi::Why::Inherited(old) => (Why::Inherited, Some(old.0)),
        _ => (Why::Default, None),
    };
    RouteReport {
        running: true,
        chat: chat.0,
        source: source.to_string(),
        why,
        inherited_from,
        certain: true,
        not_followed: None,
        disputed: None,
    }
}
