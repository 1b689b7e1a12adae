//! The writer's connection when it has to be given up, and what is left open on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, Outcome};
use super::writer::{Held, Open};
use super::{Database, SourceConfig, WriteTx};
use crate::error::ErrorKind;
use crate::params;
use crate::time::SystemClock;

pub(super) fn open(folder: &tempfile::TempDir, file: &str) -> Database {
    let config = SourceConfig::new(folder.path().join(file));
    Database::open(&config, None, soon(), &SystemClock, &|_| Ok(())).unwrap()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(super) fn insert(tx: &mut WriteTx<'_>, how: &str, key: &str) -> crate::Result<()> {
    let sql = format!("{how} INTO settings (key, value, created_at, updated_at) VALUES (?1, 'x', '', '')");
    tx.execute(&sql, params![key]).map(drop)
}

pub(super) fn set(database: &Database, key: &str) -> crate::Result<()> {
    database.write("test.set", soon(), None, |tx| insert(tx, "INSERT", key))
}

pub(super) fn keys(database: &Database) -> Vec<String> {
    let sql = "SELECT group_concat(key) FROM (SELECT key FROM settings WHERE value = 'x' ORDER BY key)";
    let all: Option<Option<String>> =
        database.read_as_writer("test.keys", soon(), |tx| tx.value("settings", sql, params![])).unwrap();
    all.flatten().map_or_else(Vec::new, |all| all.split(',').map(str::to_owned).collect())
}

fn give_up(database: &Database) {
    database.writer.take(soon()).unwrap().state().connection = Held::Broken;
}

#[test]
fn a_connection_that_was_given_up_is_opened_anew_by_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    set(&database, "before").unwrap();
    give_up(&database);
    assert!(!database.writer.is_open());
    set(&database, "after").unwrap();
    assert!(database.writer.is_open());
    assert_eq!(keys(&database), ["after", "before"]);
}

#[test]
fn it_is_not_opened_anew_on_a_file_that_took_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (database, other) = (open(&folder, "a.db"), open(&folder, "b.db"));
    set(&database, "before").unwrap();
    other.close();
    give_up(&database);
    std::fs::rename(folder.path().join("b.db"), folder.path().join("a.db")).unwrap();
    let error = set(&database, "after").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileReplaced), "{error}");
    assert!(!database.writer.is_open());
}

#[test]
fn what_is_left_open_is_undone_and_its_members_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let sql = "BEGIN IMMEDIATE; INSERT INTO settings (key, value, created_at, updated_at) VALUES ('left', 'x', '', '')";
    let begun = database.on_writer("test.left", soon(), |link| Ok(link.connection.execute_batch(sql)));
    begun.unwrap().unwrap();
    assert_eq!(keys(&database), Vec::<String>::new());
    // The same where whoever has the writer panics.
    let batch = Batch::new();
    let mut seat = database.writer.take(soon()).unwrap();
    let state = seat.state();
    let Held::Open(link) = &state.connection else { panic!("it is open") };
    link.connection.execute_batch(sql).unwrap();
    let (members, since, recorded, observer) = (1, Instant::now(), Vec::new(), None);
    state.open = Some(Open { batch: Arc::clone(&batch), members, since, recorded, observer, delegated: Vec::new() });
    drop(seat);
    assert_eq!(batch.wait(), Outcome::Lost);
    assert_eq!(keys(&database), Vec::<String>::new());
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after"]);
}

#[test]
fn a_database_that_is_only_read_has_no_connection_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder, "a.db").close();
    let config = SourceConfig { readonly: true, ..SourceConfig::new(folder.path().join("a.db")) };
    let database = Database::open_readonly(&config, None, soon(), &|_| Ok(())).unwrap();
    let error = set(&database, "after").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ReadOnly), "{error}");
    assert!(!database.writer.is_open());
}

/// In debug builds every use of a cached statement is looked at.
#[cfg(debug_assertions)]
mod prepared_again {
    use super::super::connection::Link;
    use super::super::context::Context;
    use super::super::writer::run;
    use super::super::{ReadTx, WriteTx};
    use super::*;

    /// Uses the writer's connection before and after all that is prepared on it has expired, for no reason.
    fn use_expired(work: impl Fn(&Link, Context<'_>)) {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder, "a.db");
        let mut seat = database.writer.take(soon()).unwrap();
        let Held::Open(link) = &mut seat.state().connection else { panic!("it is open") };
        let name = crate::SourceName::primary();
        let context = || Context { op: "test.expired", source: &name, timeout: Duration::ZERO };
        work(link, context());
        let allow = |_: rusqlite::hooks::AuthContext<'_>| rusqlite::hooks::Authorization::Allow;
        link.connection.authorizer(Some(allow)).unwrap();
        work(link, context());
    }

    #[test]
    #[should_panic(expected = "the schema is the same: BEGIN IMMEDIATE")]
    fn what_begins_and_ends_transactions_stays_prepared() {
        use_expired(|link, _| {
            run(link, "BEGIN IMMEDIATE").unwrap();
            run(link, "COMMIT").unwrap();
        });
    }

    #[test]
    #[should_panic(expected = "the schema is the same: DELETE FROM settings WHERE key = ?1")]
    fn what_moves_rows_stays_prepared() {
        use_expired(|link, context| {
            let rows = [[rusqlite::types::ValueRef::Text(b"a")]];
            WriteTx::new(link, context, false).execute_stored("DELETE FROM settings WHERE key = ?1", rows).unwrap();
        });
    }

    #[test]
    #[should_panic(expected = "the schema is the same: BEGIN")]
    fn what_begins_a_snapshot_stays_prepared() {
        use_expired(|link, context| {
            ReadTx::new(link, context).snapshot().unwrap();
        });
    }
}
