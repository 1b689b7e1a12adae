//! Standing in for a source that is away: which file serves its chats meanwhile, and what is found of that at a start.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use crate::config::DatabaseConfig;
use crate::route::SourceName;
use crate::source::{
    Budget, Database, Displaced, Facts, OnUnavailable, OpenError, Opener, Source, SourceConfig, Stays,
};
use crate::time::Clock;

/// The folder of the stand-ins in the data directory.
const FOLDER: &str = "standin";

/// A source that is away, and who serves its chats.
#[derive(Clone)]
pub(crate) struct Away {
    pub(super) displaced: Displaced,
    /// Who serves its chats: a file of their own, or the default source.
    pub(super) serving: Arc<Source>,
    pub(super) by: ServedBy,
    pub(super) since: SystemTime,
}

/// Who serves the chats of a source that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServedBy {
    /// A database of their own.
    StandIn,
    /// The default source.
    Default,
}

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StandIn => "stand-in",
            Self::Default => "default",
        })
    }
}

/// Opens a stand-in: made where there was none, with nothing in it.
struct StandInOpener {
    clock: Arc<dyn Clock>,
    /// Whether there was one, with writes that wait: then it is not made anew.
    was_there: AtomicBool,
}

impl Opener for StandInOpener {
    fn open(&self, config: &SourceConfig, deadline: Instant) -> Result<Database, OpenError> {
        let folder = config.path.parent().unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| OpenError::Other { path: folder.to_owned(), detail: error.to_string() })?;
        let was_there = self.was_there.load(Ordering::Relaxed);
        if !was_there && matches!(config.path.try_exists(), Ok(false)) {
            // What is left of one that was being removed: its database, gone first, was at home.
            remove(&config.path, &["-wal", "-shm"]);
        }
        let admit = |facts: &Facts| match facts {
            Facts::Nothing if was_there => Err(OpenError::Identity {
                path: config.path.clone(),
                what: format!(
                    "is missing or empty, and held what was written while the source `{}` is away",
                    config.name
                ),
                remedy: "put it back; if it is lost, restart the bot, which begins another".to_owned(),
            }),
            _ => Ok(()),
        };
        let database = Database::open(config, deadline, &*self.clock, &admit)?;
        self.was_there.store(true, Ordering::Relaxed);
        Ok(database)
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        Some((Budget::of_process(), Stays::WhileThereIsRoom))
    }
}

/// Where the stand-in of a source is.
pub(super) fn path(config: &DatabaseConfig, name: &SourceName) -> PathBuf {
    config.data_dir.join(FOLDER).join(format!("{name}.db"))
}

/// The settings of a source that another may serve for a while: it is configured so that what was written meanwhile can
/// be made there, and is not the default one.
pub(super) fn can_come_home<'a>(config: &'a DatabaseConfig, name: &SourceName) -> Option<&'a SourceConfig> {
    config.sources.get(name).filter(|settings| !settings.readonly && settings.name != config.default_source)
}

/// The stand-in of a source: its settings, another file.
fn stand_in(config: &DatabaseConfig, settings: &SourceConfig, clock: &Arc<dyn Clock>, was_there: bool) -> Arc<Source> {
    let opener = StandInOpener { clock: Arc::clone(clock), was_there: AtomicBool::new(was_there) };
    let settings = SourceConfig { path: path(config, &settings.name), readonly: false, ..settings.clone() };
    Arc::new(Source::lazy(settings, Arc::new(opener)))
}

impl Away {
    /// What becomes of a source that fails; `None` where its calls fail with it.
    pub(super) fn of(
        config: &DatabaseConfig,
        settings: &SourceConfig,
        default: &Arc<Source>,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        can_come_home(config, &settings.name)?;
        let (by, serving) = match settings.on_unavailable {
            OnUnavailable::StandIn => (ServedBy::StandIn, stand_in(config, settings, clock, false)),
            OnUnavailable::Default => (ServedBy::Default, Arc::clone(default)),
            OnUnavailable::Fail => return None,
        };
        Some(Self::new(&settings.name, by, serving))
    }

    fn new(name: &SourceName, by: ServedBy, serving: Arc<Source>) -> Self {
        let displaced = Displaced::from(name);
        Self { displaced, serving, by, since: SystemTime::now() }
    }

    /// A source in whose place the default one was written, as its journal says.
    pub(super) fn by_default(name: &SourceName, default: &Arc<Source>) -> Self {
        Self::new(name, ServedBy::Default, Arc::clone(default))
    }

    /// Removes the stand-in's file, which is closed, and which holds nothing that is not at home.
    pub(super) fn remove(&self) {
        // The database first: a log without it says nothing, a database without its log would be believed.
        remove(&self.serving.config().path, &["", "-wal", "-shm"]);
    }
}

fn remove(path: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %Path::new(&name).display(), %error, "a stand-in cannot be removed");
            }
            _ => {}
        }
    }
}

/// The stand-ins whose files are there, by the names of the sources that they stand for, configured or not.
pub(super) fn files(config: &DatabaseConfig) -> Vec<(SourceName, SourceConfig)> {
    let Ok(entries) = config.data_dir.join(FOLDER).read_dir() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "db") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<SourceName>().ok());
        if let Some(name) = name {
            let settings = SourceConfig { name: name.clone(), ..SourceConfig::new(path) };
            found.push((name, settings));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// The stand-ins of sources that are not configured any more, or not so that something can be written there: what waits
/// in them waits for that. With their files.
pub fn ownerless(config: &DatabaseConfig) -> Vec<(SourceName, PathBuf)> {
    files(config)
        .into_iter()
        .filter(|(name, _)| can_come_home(config, name).is_none())
        .map(|(name, settings)| (name, settings.path))
        .collect()
}

/// The stand-ins that an earlier run left, of sources that are configured. Others are told of and left alone.
pub(super) fn left_behind(config: &DatabaseConfig, clock: &Arc<dyn Clock>) -> Vec<Away> {
    let mut found = Vec::new();
    for (name, SourceConfig { path, .. }) in files(config) {
        match can_come_home(config, &name) {
            Some(settings) => {
                found.push(Away::new(&settings.name, ServedBy::StandIn, stand_in(config, settings, clock, true)));
            }
            None => tracing::error!(
                file = %path.display(),
                "a stand-in holds writes of a source that is not configured any more, or is only read now; configure it as it was, so that they come home"
            ),
        }
    }
    found
}
