//! Many databases while no bot runs, for whoever only asks what would be: nothing is locked, made, migrated or written.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::absence::Absent;
use super::arrived::read_counted;
use super::connection_manager::ConnectionManager;
use super::control::Control;
use super::datasource_router::DataSourceRouter;
use super::identity::unread;
use super::look::{Overview, look};
use crate::aliases::Aliases;
use crate::config::DatabaseConfig;
use crate::migrate;
use crate::route::SourceName;
use crate::source::{Contents, Database, Found, Left, OpenError, Opener, SourceConfig, can_be_made};
use crate::wrapper::{DatabaseWrapper, Options};

impl DatabaseWrapper {
    /// Many databases as their files are, with a [`Control`] that can be asked and does nothing: a write fails. What was
    /// found wrong with a file is what its calls fail with; so do those of a file that is not there yet, and of one that
    /// a bot would have to change before it can use it.
    ///
    /// # Errors
    /// The configuration is contradictory.
    pub fn look_multi(config: &DatabaseConfig, options: Options) -> Result<(Self, Control), OpenError> {
        super::check(config)?;
        let overview = look(config);
        let longest = config.sources.values().map(|source| source.timeout).max().unwrap_or_default();
        let (aliases, clock) = (Arc::new(Aliases::default()), Arc::clone(&options.clock));
        let connections = |router: Weak<DataSourceRouter>| {
            let opener: Arc<dyn Opener> = Arc::new(LookingOpener::new(&overview, router.clone()));
            ConnectionManager::looking(config, &clock, &opener, router)
        };
        let away = overview.sources.iter().filter(|source| source.served_by.is_some()).map(|source| &source.name);
        let router = DataSourceRouter::of(config, &aliases, connections, |default| Absent::seen(away, default));
        let db = Self::over(Box::new(Arc::clone(&router)), options, aliases);
        let control = Control::new(Arc::clone(&router), db.clone());
        let Overview { sources, disputed, is_complete, plan, aliases } = overview;
        if is_complete {
            // Nothing has changed by that.
            let _ = router.learn(aliases, plan.recorded);
        }
        if !disputed.is_empty() {
            // Each file says what of it.
            let names: Vec<_> = sources.into_iter().map(|source| source.name).collect();
            control.warm_up(&names, longest);
        }
        Ok((db, control))
    }
}

/// Opens sources for reading alone, as a look has found them.
struct LookingOpener {
    found: BTreeMap<SourceName, Found>,
    default: Option<SourceName>,
    router: Weak<DataSourceRouter>,
}

impl LookingOpener {
    fn new(overview: &Overview, router: Weak<DataSourceRouter>) -> Self {
        let found = overview.sources.iter().map(|source| (source.name.clone(), source.look.found.clone())).collect();
        let default = overview.sources.iter().find(|source| source.is_default).map(|source| source.name.clone());
        Self { found, default, router }
    }

    fn is_default(&self, config: &SourceConfig) -> bool {
        self.default.as_ref() == Some(&config.name)
    }

    /// Refuses what cannot be read as it is.
    fn check(&self, config: &SourceConfig) -> Result<(), OpenError> {
        let path = config.path.display();
        let reason = match self.found.get(&config.name) {
            Some(Found::Database(Contents { version, additions, .. }))
                if config.readonly || (*version, *additions) == migrate::latest() =>
            {
                return Ok(());
            }
            Some(Found::Database(_)) => {
                format!("{path} has to be brought to this release's version first, which `bot db migrate` does")
            }
            Some(Found::Unusable { reason }) => reason.clone(),
            Some(Found::Nothing) | None => format!("{path} is not there yet; a bot makes it when it is started"),
        };
        Err(OpenError::Looked { reason })
    }
}

impl Opener for LookingOpener {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        self.check(config)?;
        let config = SourceConfig { readonly: true, ..config.clone() };
        let database = Database::open_readonly(&config, left, deadline, &|_| Ok(()))?;
        if let Some(router) = self.router.upgrade() {
            let heeded = if self.is_default(&config) {
                let counted = database.read("looking.counted", deadline, read_counted);
                counted.map(|counted| {
                    router.learned_moves(counted);
                })
            } else {
                router.heed_arrivals(&config, &database, deadline)
            };
            heeded.map_err(|error| unread(&config, &error))?;
        }
        Ok(database)
    }

    fn would_make(&self, config: &SourceConfig) -> Result<bool, OpenError> {
        let is_to_be_there = config.readonly || self.is_default(config);
        Ok(!is_to_be_there && self.found.get(&config.name) == Some(&Found::Nothing) && can_be_made(&config.path)?)
    }
}
