//! Standing in for a source that is away: which file serves its chats meanwhile, and what is found of that at a start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use super::standin_files as files;
use crate::config::DatabaseConfig;
use crate::route::SourceName;
use crate::source::{
    Budget, Database, Displaced, Facts, Left, OnUnavailable, OpenError, Opener, Source, SourceConfig, Stays,
};
use crate::time::Clock;

/// A source that is away, and who serves its chats.
#[derive(Clone)]
pub(crate) struct Away {
    pub(super) displaced: Displaced,
    /// Who serves its chats: a file of their own, or the default source.
    pub(super) serving: Arc<Source>,
    pub(super) by: ServedBy,
    pub(super) since: SystemTime,
    /// An earlier run left it, and whoever serves has not been open since.
    pub(super) is_left: bool,
    /// What opens the stand-in; `None` where the default source serves.
    stand_in: Option<Arc<StandInOpener>>,
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
    /// Whether its file is kept under another name rather than removed.
    is_set_aside: AtomicBool,
}

impl Opener for StandInOpener {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        let folder = config.path.parent().unwrap_or(Path::new("."));
        let failed = |error: std::io::Error| OpenError::Other { path: folder.to_owned(), detail: error.to_string() };
        files::make_folder(folder).map_err(failed)?;
        let was_there = self.was_there.load(Ordering::Acquire);
        if !was_there && files::is_over(&config.path) {
            // What would be written beside that would not be believed.
            files::remove(&config.path).map_err(failed)?;
        }
        if !was_there && matches!(config.path.try_exists(), Ok(false)) {
            // What is left of one that was being removed: its database, gone first, was at home.
            files::remove_rest(&config.path).map_err(failed)?;
        }
        let admit = |facts: &Facts| match facts {
            Facts::Nothing if was_there => Err(OpenError::Identity {
                path: config.path.clone(),
                what: format!(
                    "is missing or empty, and held what was written while the source `{}` is away",
                    config.name
                ),
                remedy: format!(
                    "put it back; if it is lost, `bot db retry {} --set-aside` goes on without it",
                    config.name
                ),
            }),
            _ => Ok(()),
        };
        let database = Database::open(config, left, deadline, &*self.clock, &admit)?;
        // Before anything can be written there.
        self.was_there.store(true, Ordering::Release);
        Ok(database)
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        Some((Budget::of_process(), Stays::WhileThereIsRoom))
    }
}

/// The settings of a source that another may serve for a while: it is configured so that what was written meanwhile can
/// be made there, and is not the default one.
pub(super) fn can_come_home<'a>(config: &'a DatabaseConfig, name: &SourceName) -> Option<&'a SourceConfig> {
    config.sources.get(name).filter(|settings| !settings.readonly && settings.name != config.default_source)
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
        match settings.on_unavailable {
            OnUnavailable::StandIn => {
                // One that this process did not begin holds what waits all the same.
                let was_there = files::may_hold_writes(&files::path(config, &settings.name));
                Some(Self::with_stand_in(config, settings, clock, was_there))
            }
            OnUnavailable::Default => Some(Self::by_default(&settings.name, default)),
            OnUnavailable::Fail => None,
        }
    }

    /// A source whose chats a stand-in serves: its settings, another file.
    fn with_stand_in(
        config: &DatabaseConfig,
        settings: &SourceConfig,
        clock: &Arc<dyn Clock>,
        was_there: bool,
    ) -> Self {
        let (was_there, is_set_aside) = (AtomicBool::new(was_there), AtomicBool::new(false));
        let opener = Arc::new(StandInOpener { clock: Arc::clone(clock), was_there, is_set_aside });
        let path = files::path(config, &settings.name);
        let own = SourceConfig { path, readonly: false, ..settings.clone() };
        let serving = Arc::new(Source::lazy(own, Arc::clone(&opener) as Arc<dyn Opener>));
        Self::new(&settings.name, ServedBy::StandIn, serving, Some(opener))
    }

    /// A source in whose place the default one is written.
    pub(super) fn by_default(name: &SourceName, default: &Arc<Source>) -> Self {
        Self::new(name, ServedBy::Default, Arc::clone(default), None)
    }

    fn new(name: &SourceName, by: ServedBy, serving: Arc<Source>, stand_in: Option<Arc<StandInOpener>>) -> Self {
        let (displaced, since) = (Displaced::from(name), SystemTime::now());
        Self { displaced, serving, by, since, is_left: false, stand_in }
    }

    /// Whether anything can have been written in the source's place. Where nothing can, and nothing can be begun, it
    /// need not be asked, nor be there.
    pub(super) fn may_hold_writes(&self) -> bool {
        self.stand_in.as_ref().is_none_or(|opener| opener.was_there.load(Ordering::Acquire))
    }

    /// Notes, on disk, that nothing waits in the stand-in any more: a bot that starts before it is removed goes by that.
    pub(super) fn note_over(&self) {
        if self.stand_in.is_some()
            && self.may_hold_writes()
            && let Err(error) = files::note_over(&self.serving.config().path)
        {
            tracing::warn!(source = %self.displaced.home, %error, "it cannot be noted that a stand-in is over");
        }
    }

    /// Takes that back: the stand-in goes on.
    pub(super) fn forget_over(&self) {
        if self.stand_in.is_some()
            && let Err(error) = files::forget_over(&self.serving.config().path)
        {
            tracing::error!(source = %self.displaced.home, %error, "a stand-in that goes on is noted as over; remove the file beside it that ends in `.over`");
        }
    }

    /// Has the stand-in's file be kept under another name when it goes.
    pub(super) fn keep_aside(&self) {
        if let Some(opener) = &self.stand_in {
            opener.is_set_aside.store(true, Ordering::Release);
        }
    }

    /// Removes the stand-in's file, which is closed, and which holds nothing that is not at home; or sets it aside.
    pub(super) fn remove(&self) {
        let path = &self.serving.config().path;
        if self.stand_in.as_ref().is_some_and(|opener| opener.is_set_aside.load(Ordering::Acquire)) {
            let source = &self.displaced.home;
            match files::set_aside(path) {
                Ok(Some(aside)) => {
                    let file = aside.display();
                    tracing::warn!(target: "database::audit", %source, %file, "a stand-in was set aside; what only it holds is not at home");
                }
                Ok(None) => {
                    tracing::warn!(target: "database::audit", %source, "a stand-in is gone, and the bot goes on without it; what was in it is not at home");
                }
                Err(error) => tracing::error!(file = %path.display(), %error, "a stand-in cannot be set aside"),
            }
        } else if let Err(error) = files::remove(path) {
            tracing::warn!(file = %path.display(), %error, "a stand-in cannot be removed");
        }
    }
}

/// The stand-ins of sources that are not configured any more, or not so that something can be written there: what waits
/// in them waits for that. With their files.
pub fn ownerless(config: &DatabaseConfig) -> Vec<(SourceName, PathBuf)> {
    files::all(config)
        .into_iter()
        .filter(|(name, _)| can_come_home(config, name).is_none())
        .map(|(name, settings)| (name, settings.path))
        .collect()
}

/// The sources whose stand-ins an earlier run left, or in whose place it wrote in the default one, if they are
/// configured. Others are told of and left alone. What is over is removed.
pub(super) fn left_behind(config: &DatabaseConfig, default: &Arc<Source>, clock: &Arc<dyn Clock>) -> Vec<Away> {
    for path in files::all_over(config) {
        if let Err(error) = files::remove(&path) {
            tracing::error!(file = %path.display(), %error, "a stand-in that is over cannot be removed; what is in it is at home");
        }
    }
    for (_, path) in ownerless(config) {
        tracing::error!(
            file = %path.display(),
            "a stand-in holds writes of a source that is not configured any more, or is only read now; configure it as it was, so that they come home"
        );
    }
    left_of(config, default, clock, |_| true)
}

/// The same of some sources alone, as of those that are configured again.
pub(super) fn left_of(
    config: &DatabaseConfig,
    default: &Arc<Source>,
    clock: &Arc<dyn Clock>,
    is_meant: impl Fn(&SourceName) -> bool,
) -> Vec<Away> {
    let settings_of = |name: &SourceName| can_come_home(config, name).filter(|_| is_meant(name));
    let mut found = Vec::new();
    for (name, SourceConfig { path, .. }) in files::all(config) {
        let Some(settings) = settings_of(&name) else { continue };
        if files::is_empty(&path) {
            tracing::warn!(file = %path.display(), "a stand-in is empty, and is begun anew when it is needed");
            if let Err(error) = files::remove(&path) {
                tracing::warn!(file = %path.display(), %error, "a stand-in cannot be removed");
            }
        } else {
            found.push(Away { is_left: true, ..Away::with_stand_in(config, settings, clock, true) });
        }
    }
    // Where there is a stand-in too, what waits in the default source is older, and comes home first.
    for name in files::in_default(config) {
        if settings_of(&name).is_some() && found.iter().all(|away| away.displaced.home != name) {
            found.push(Away { is_left: true, ..Away::by_default(&name, default) });
        }
    }
    found
}
