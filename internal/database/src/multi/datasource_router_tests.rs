//! Changes that arrive when all is closed already, and writes that wait while their chat is led elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use super::datasource_router::DataSourceRouter;
use super::lock::DataDirLock;
use super::reload::{Rerouted, may_have_left_rows};
use super::standin_files;
use crate::config::{DatabaseConfig, Form, PartialResults};
use crate::error::ErrorKind;
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{OnUnavailable, SourceConfig};
use crate::sources::{SourceSet as _, Topology as _};
use crate::time::{Clock, SystemClock};
use crate::topology::OnTopology;
use crate::wrapper::{DatabaseWrapper, Options};

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
    // It is not open, and who serves its chats is what is to be said of that.
    let db = DatabaseWrapper::over(Box::new(Arc::clone(&router)), Options::default(), Arc::default());
    let told = Control::new(Arc::clone(&router), db.clone()).particulars(Duration::from_secs(30));
    let archive = &told[&name("archive")];
    assert_eq!((&archive.reason, &archive.why_closed), (&None, &None));
    db.close();
}

#[test]
fn a_source_that_is_open_may_have_left_rows_as_long_as_its_chats_are_not_home() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let router = router(&config);
    router.source(&name("archive")).unwrap().read("test.open", |_| Ok(())).unwrap();
    let left = [Rerouted { chat: OLD, from: name("archive"), to: name("primary") }];
    assert_eq!(may_have_left_rows(router.table(), &left), []);
    router.failed(&config.sources[&name("archive")]);
    let table = router.table();
    assert!(table.displaced(Route::Chat(OLD)).is_some());
    assert_eq!(may_have_left_rows(table, &left), left);
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

#[test]
fn whoever_makes_anothers_write_asks_whether_that_ones_table_may_still_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let router = router(&config);
    let db = DatabaseWrapper::over(Box::new(Arc::clone(&router)), Options::default(), Arc::default());
    // Some of what is asked stands in the file.
    db.set_chat_setting(OLD, "key", "value").unwrap();
    let table = router.table();
    let admit_on = |route| OnTopology::new(&*table, None).admit_write("test.admit", route);
    let admit = admit_on(Route::Chat(OLD)).unwrap();
    let is_refused = || admit().is_err_and(|error| matches!(error.kind(), ErrorKind::Moved));
    admit().unwrap();
    let closed = router.gates.close(&[OLD]);
    assert!(is_refused());
    drop(closed);
    admit().unwrap();
    router.gates.left(&[OLD], table.generation + 1, &Arc::downgrade(&table));
    assert!(is_refused());
    assert!(admit_on(Route::Shared).is_none());
    db.close();
}

#[test]
fn what_waits_for_the_writer_while_its_chats_gate_is_closed_is_written_once_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let router = router(&config(folder.path()));
    let db = DatabaseWrapper::over(Box::new(Arc::clone(&router)), Options::default(), Arc::default());
    thread::scope(|scope| {
        let (hold, held) = mpsc::channel();
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let db = &db;
        let holder = scope.spawn(move || {
            db.write("test.hold", Route::Chat(OLD), |_| {
                hold.send(()).unwrap();
                is_let_go.recv().unwrap();
                Ok(())
            })
        });
        held.recv().unwrap();
        let late = scope.spawn(|| db.set_chat_setting(OLD, "late", "kept"));
        // Until it stands in line.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            thread::park_timeout(Duration::from_millis(10));
        }
        let closed = router.gates.close(&[OLD]);
        let_go.send(()).unwrap();
        holder.join().unwrap().unwrap();
        assert_eq!(db.get_chat_setting(OLD, "late").unwrap(), None);
        assert!(!late.is_finished());
        drop(closed);
        late.join().unwrap().unwrap();
    });
    assert_eq!(db.get_chat_setting(OLD, "late").unwrap().as_deref(), Some("kept"));
    db.close();
}
