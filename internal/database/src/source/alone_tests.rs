//! Writes in a transaction of their own that fail, and a log that is emptied while somebody writes.

use std::sync::mpsc;

use super::*;
use crate::source::writer_tests::{keys, set, soon};
use crate::source::{Refusal, SourceConfig};
use crate::time::SystemClock;

const LONG: Duration = Duration::from_secs(30);

/// A source whose answered writes need not be on disk, as far as that is its own affair.
fn source(folder: &tempfile::TempDir) -> (Arc<Source>, Arc<Database>) {
    source_of(folder, Durability::Normal)
}

fn source_of(folder: &tempfile::TempDir, durability: Durability) -> (Arc<Source>, Arc<Database>) {
    let config = SourceConfig { durability, ..SourceConfig::new(folder.path().join("a.db")) };
    let database = Database::open(&config, None, soon(), &SystemClock, &|_| Ok(())).unwrap();
    let source = Arc::new(Source::opened(config, database));
    let database = source.door.open_now().unwrap();
    (source, database)
}

fn insert(tx: &mut WriteTx<'_>, how: &str) -> Result<()> {
    let sql = format!("{how} INTO settings (key, value, created_at, updated_at) VALUES ('alone', 'x', '', '')");
    tx.execute(&sql, params![]).map(drop)
}

type Closure<'a> = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<()> + 'a>;

fn write_alone(source: &Arc<Source>, f: impl FnOnce(&mut WriteTx<'_>) -> Result<()>) -> Result<()> {
    write_by(source, soon(), f)
}

fn write_by(source: &Arc<Source>, deadline: Instant, f: impl FnOnce(&mut WriteTx<'_>) -> Result<()>) -> Result<()> {
    let f: Closure<'_> = Box::new(f);
    source.write_alone("test.alone", deadline, f)
}

/// What SQLite answers of what it waits for at a commit.
const NORMAL: i64 = 1;
const FULL: i64 = 2;

/// What SQLite waits for when the transaction ends that was begun last.
fn synchronous(database: &Database) -> i64 {
    let sql = "PRAGMA synchronous";
    let asked = database
        .on_writer("test.pragma", soon(), |link| Ok(link.connection.query_row(sql, [], |row| row.get(0)).unwrap()));
    asked.unwrap()
}

#[test]
fn one_that_is_refused_leaves_nothing_and_the_next_is_as_durable_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source(&folder);
    let refused = write_alone(&source, |tx| {
        insert(tx, "INSERT")?;
        let changed = tx.execute("DELETE FROM settings WHERE key = 'none'", params![])?;
        tx.require(changed, Refusal::NotFound)
    });
    let error = refused.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound), "{error}");
    assert_eq!(keys(&database), Vec::<String>::new());
    set(&database, "next").unwrap();
    assert_eq!((keys(&database), synchronous(&database)), (vec!["next".to_owned()], NORMAL));
    write_alone(&source, |tx| insert(tx, "INSERT")).unwrap();
    assert_eq!((keys(&database).len(), synchronous(&database)), (2, FULL));
    set(&database, "last").unwrap();
    assert_eq!((keys(&database).len(), synchronous(&database)), (3, NORMAL));
    source.close();
}

#[test]
fn one_that_is_not_waited_for_makes_no_other_less_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source_of(&folder, Durability::Full);
    let unsynced = |how: &'static str| {
        let f: Closure<'_> = Box::new(move |tx| insert(tx, how));
        source.write_unsynced("test.unsynced", f).map(drop)
    };
    for is_sync in [true, false] {
        unsynced("INSERT OR REPLACE").unwrap();
        assert_eq!(synchronous(&database), NORMAL);
        let after = if is_sync { source.sync("test.sync") } else { set(&database, "next") };
        after.unwrap();
        assert_eq!(synchronous(&database), FULL);
    }
    // A sync that writes nothing would sync nothing.
    assert!(source.empty_log("test.empty").unwrap());
    source.sync("test.sync").unwrap();
    assert!(folder.path().join("a.db-wal").metadata().unwrap().len() > 0);
    let refused = unsynced("INSERT").unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Constraint { .. }), "{refused}");
    set(&database, "last").unwrap();
    assert_eq!((keys(&database), synchronous(&database)), (["alone", "last", "next"].map(str::to_owned).into(), FULL));
    source.close();
}

#[test]
fn one_whose_transaction_a_statement_has_ended_is_not_answered_as_if_it_were_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source(&folder);
    set(&database, "before").unwrap();
    let gone = write_alone(&source, |tx| {
        insert(tx, "INSERT")?;
        // Whoever writes takes no notice of it.
        assert!(insert(tx, "INSERT OR ROLLBACK").is_err());
        Ok(())
    });
    let error = gone.unwrap_err();
    assert!(error.to_string().contains("nothing of it was kept"), "{error}");
    assert_eq!(keys(&database), ["before"]);
    source.close();
}

#[test]
fn one_whose_file_is_taken_away_meanwhile_is_not_answered() {
    for durability in [Durability::Normal, Durability::Full] {
        let folder = tempfile::tempdir().unwrap();
        let (source, _) = source_of(&folder, durability);
        let moved = write_alone(&source, |tx| {
            insert(tx, "INSERT")?;
            std::fs::rename(folder.path().join("a.db"), folder.path().join("away.db")).unwrap();
            Ok(())
        });
        let error = moved.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FileReplaced), "{error}");
        source.close();
    }
}

#[test]
fn one_for_which_another_process_leaves_no_time_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source(&folder);
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = write_by(&source, Instant::now() + Duration::from_millis(20), |_| panic!("nothing is begun"));
    let error = held.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    write_alone(&source, |tx| insert(tx, "INSERT")).unwrap();
    assert_eq!((keys(&database), synchronous(&database)), (vec!["alone".to_owned()], FULL));
    source.close();
}

#[test]
fn a_log_is_not_emptied_while_somebody_writes_and_nobody_waits_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source(&folder);
    let log = folder.path().join("a.db-wal");
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let goes = goes;
            write_alone(&source, |tx| {
                begun.send(()).unwrap();
                assert!(goes.recv().is_err());
                insert(tx, "INSERT")
            })
        });
        begins.recv_timeout(LONG).unwrap();
        assert!(!source.empty_log("test.empty").unwrap());
        drop(go);
        writing.join().unwrap().unwrap();
    });
    assert!(log.metadata().unwrap().len() > 0);
    assert!(source.empty_log("test.empty").unwrap());
    assert_eq!((log.metadata().unwrap().len(), keys(&database)), (0, vec!["alone".to_owned()]));
    source.close();
}

#[test]
fn one_whose_commit_fails_is_not_answered_as_if_it_were_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (source, database) = source(&folder);
    database
        .on_writer("test.keys", soon(), |link| Ok(link.connection.pragma_update(None, "foreign_keys", true)))
        .unwrap()
        .unwrap();
    let failed = write_alone(&source, |tx| {
        tx.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)", params![])?;
        let child = "CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)";
        tx.execute(child, params![])?;
        tx.execute("INSERT INTO child (parent) VALUES (1)", params![]).map(drop)
    });
    let error = failed.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutcomeUnknown { .. }), "{error}");
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after"]);
    source.close();
}
