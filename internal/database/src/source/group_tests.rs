//! Writes that meet a fence, and writes that panic.

use super::*;
use crate::params;
use crate::source::writer_tests::{keys, open, set, soon};

const LONG: Duration = Duration::from_secs(30);

fn displaced() -> Displaced {
    Displaced::from(&"community".parse().unwrap())
}

fn recorder<'a>(displaced: Option<&'a Displaced>, observer: Option<&'a WriteObserver>) -> Recorder<'a> {
    Recorder { observer, displaced, op: "test.insert", route: Route::Shared }
}

fn insert(tx: &mut WriteTx<'_>, how: &str, key: &str) -> Result<()> {
    let sql = format!("{how} INTO settings (key, value, created_at, updated_at) VALUES (?1, 'x', '', '')");
    tx.execute(&sql, params![key]).map(drop)
}

/// Whether a write panics, which is to.
fn panics(database: &Database, recorder: Option<&Recorder<'_>>, f: impl FnMut(&mut WriteTx<'_>) -> Result<()>) -> bool {
    catch_unwind(AssertUnwindSafe(|| database.write("test.insert", soon(), recorder, f))).is_err()
}

#[test]
fn whoever_was_past_the_fence_before_it_went_up_begins_nothing_at_the_writer_once_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let raised = displaced.raise(LONG);
    assert!(database.while_nobody_writes("test.raise", soon(), || raised.is_up()).unwrap());
    let mut has_begun = false;
    let mut begin = |_: &mut WriteTx<'_>| {
        has_begun = true;
        Ok(())
    };
    let context = database.context("test.insert");
    let attempt = database.attempt(&context, soon(), false, Some(&recorder(Some(&displaced), None)), &mut begin);
    assert!(matches!(attempt, Attempt::Fenced));
    // The writer is free for others meanwhile.
    set(&database, "another's").unwrap();
    drop(raised);
    let attempt = database.attempt(&context, soon(), false, Some(&recorder(Some(&displaced), None)), &mut begin);
    assert!(matches!(attempt, Attempt::Ended(Ok(()))) && has_begun);
}

#[test]
fn whoever_waits_in_front_of_the_fence_has_no_more_time_than_the_call_and_goes_home_once_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let raised = displaced.raise(LONG);
    assert!(raised.is_up() && raised.keep());
    let write = |deadline: Instant| {
        let recorder = recorder(Some(&displaced), None);
        database.write("test.insert", deadline, Some(&recorder), |tx| insert(tx, "INSERT", "elsewhere"))
    };
    let error = write(Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert!(raised.end(|| ()));
    let error = write(soon()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Moved), "{error}");
    assert_eq!(keys(&database), Vec::<String>::new());
}

#[test]
fn a_write_is_kept_whose_observer_panics_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let observer: WriteObserver = Arc::new(|_| panic!("as it is to"));
    assert!(panics(&database, Some(&recorder(None, Some(&observer))), |tx| insert(tx, "INSERT", "told")));
    assert_eq!(keys(&database), ["told"]);
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after", "told"]);
}

#[test]
fn a_write_that_panics_after_a_statement_has_ended_the_transaction_leaves_nothing_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    set(&database, "before").unwrap();
    assert!(panics(&database, None, |tx| {
        insert(tx, "INSERT", "undone")?;
        let error = insert(tx, "INSERT OR ROLLBACK", "before").unwrap_err();
        panic!("{error}, as it is to");
    }));
    assert_eq!(keys(&database), ["before"]);
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after", "before"]);
}
