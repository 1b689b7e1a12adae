//! Changes that arrive when all is closed already.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::datasource_router::DataSourceRouter;
use super::lock::DataDirLock;
use super::standin_files;
use crate::config::{DatabaseConfig, Form, PartialResults};
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{OnUnavailable, SourceConfig};
use crate::sources::{SourceSet as _, Topology as _};
use crate::time::{Clock, SystemClock};

const OLD: ChatId = ChatId(-1);
const NEW: ChatId = ChatId(-100);

fn name(name: &str) -> SourceName {
    name.parse().unwrap()
}

/// Two sources, and a chat in the one that is not the default.
pub(super) fn config(folder: &Path) -> DatabaseConfig {
    let source = |of: &str| {
        let path = folder.join(format!("{of}.db"));
        let settings =
            SourceConfig { name: name(of), on_unavailable: OnUnavailable::StandIn, ..SourceConfig::new(path) };
        (name(of), settings)
    };
    DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources: BTreeMap::from([source("primary"), source("archive")]),
        default_source: name("primary"),
        chat_mapping: BTreeMap::from([(OLD, name("archive"))]),
        partial_results: PartialResults::Warn,
    }
}

fn router(config: &DatabaseConfig) -> Arc<DataSourceRouter> {
    let lock = DataDirLock::take(&config.data_dir).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    DataSourceRouter::new(config, lock, &clock, &Arc::default())
}

/// A source fails, and a group becomes a supergroup. Answers whether the source will be looked at.
fn happen(router: &Arc<DataSourceRouter>, config: &DatabaseConfig) -> bool {
    let is_looked_at = router.failed(&config.sources[&name("archive")]);
    router.aliases.add(HashMap::from([(NEW, OLD)]));
    router.aliases_changed();
    is_looked_at
}

#[test]
fn changes_make_another_table() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let router = router(&config);
    let before = router.table();
    assert!(happen(&router, &config));
    let after = router.table();
    assert_eq!((before.generation, after.generation), (1, 2));
    assert!(before.displaced(Route::Chat(OLD)).is_none() && after.displaced(Route::Chat(OLD)).is_some());
    assert!(!before.is_routed(NEW) && after.is_routed(NEW));
    router.close();
}

#[test]
fn a_source_that_is_configured_again_is_away_where_its_writes_wait() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut without = config.clone();
    without.sources.remove(&name("archive"));
    without.chat_mapping.clear();
    let router = router(&without);
    assert!(router.all_away().is_empty());
    standin_files::note_in_default(&without, &name("archive")).unwrap();
    router.reload(&config).unwrap();
    let table = router.table();
    assert_eq!(router.all_away(), [name("archive")]);
    assert_eq!(table.resolve(Route::Chat(OLD)).name(), &config.default_source);
    assert!(table.displaced(Route::Chat(OLD)).is_some());
    router.close();
}

#[test]
fn no_table_takes_the_place_of_the_last_when_all_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let router = router(&config);
    router.close();
    let before = router.table();
    assert!(!happen(&router, &config));
    router.swap_absent(&router.current.lock());
    assert!(Arc::ptr_eq(&before, &router.table()));
    // The folder may be another's by now.
    assert!(!folder.path().join("standin").exists());
}
