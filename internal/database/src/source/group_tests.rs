//! Writes that meet a fence, and writes that panic.

use std::sync::Arc;

use super::*;
use crate::params;
use crate::source::operation::Refusal;
use crate::source::writer_tests::{insert, keys, open, set, soon};

const LONG: Duration = Duration::from_secs(30);

fn displaced() -> Displaced {
    Displaced::from(&"community".parse().unwrap())
}

fn recorder<'a>(displaced: Option<&'a Displaced>, observer: Option<&'a WriteObserver>) -> Recorder<'a> {
    Recorder { observer, displaced, op: "test.insert", route: Route::Shared }
}

fn call<'a>(database: &'a Database, deadline: Instant, recorder: Option<&'a Recorder<'a>>) -> Call<'a> {
    Call { context: database.context("test.insert"), deadline, recorder, delegate: None, is_for_another: false }
}

fn write(database: &Database, deadline: Instant, recorder: Option<&Recorder<'_>>, f: Closure<'_>) -> Result<()> {
    database.write("test.insert", deadline, recorder, f)
}

fn attempt(database: &Database, deadline: Instant, recorder: Option<&Recorder<'_>>, f: Closure<'_>) -> Attempt {
    database.attempt(&call(database, deadline, recorder), false, f)
}

/// Whether a write panics, which is to.
fn panics(database: &Database, recorder: Option<&Recorder<'_>>, f: Closure<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| write(database, soon(), recorder, f))).is_err()
}

/// Two members of one transaction: the first inserts a row, and what the second does is this. Answers what both are told.
fn together(database: &Database, deadline: Instant, second: Closure<'_>) -> [Attempt; 2] {
    let mut seat = database.writer.take(soon()).unwrap();
    let first = database.part(seat.state(), &call(database, soon(), None), &mut |tx| insert(tx, "INSERT", "first"));
    let second = database.part(seat.state(), &call(database, deadline, None), second);
    database.commit(seat.state()).unwrap();
    drop(seat);
    [first, second].map(|part| answer(&database.context("test.insert"), part))
}

#[test]
fn whoever_was_past_the_fence_before_it_went_up_begins_nothing_at_the_writer_once_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let raised = displaced.raise(LONG);
    assert!(database.while_nobody_writes("test.raise", soon(), || raised.is_up()).unwrap());
    let recorder = recorder(Some(&displaced), None);
    let mut has_begun = false;
    let mut begin = |_: &mut WriteTx<'_>| {
        has_begun = true;
        Ok(())
    };
    assert!(matches!(attempt(&database, soon(), Some(&recorder), &mut begin), Attempt::Fenced));
    // The writer is free for others meanwhile.
    set(&database, "another's").unwrap();
    drop(raised);
    assert!(matches!(attempt(&database, soon(), Some(&recorder), &mut begin), Attempt::Ended(Ok(()))));
    assert!(has_begun);
}

#[test]
fn whoever_waits_in_front_of_the_fence_has_no_more_time_than_the_call_and_goes_home_once_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let raised = displaced.raise(LONG);
    assert!(raised.is_up() && raised.keep());
    let recorder = recorder(Some(&displaced), None);
    let elsewhere =
        |deadline: Instant| write(&database, deadline, Some(&recorder), &mut |tx| insert(tx, "INSERT", "elsewhere"));
    let error = elsewhere(Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert!(raised.end(|| ()));
    let error = elsewhere(soon()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Moved), "{error}");
    assert_eq!(keys(&database), Vec::<String>::new());
}

#[test]
fn a_write_is_kept_whose_observer_panics_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let observer: WriteObserver = Arc::new(|_| panic!("as it is to"));
    assert!(panics(&database, Some(&recorder(None, Some(&observer))), &mut |tx| insert(tx, "INSERT", "told")));
    assert_eq!(keys(&database), ["told"]);
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after", "told"]);
}

#[test]
fn a_write_that_panics_after_a_statement_has_ended_the_transaction_leaves_nothing_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    set(&database, "before").unwrap();
    assert!(panics(&database, None, &mut |tx| {
        insert(tx, "INSERT", "undone")?;
        let error = insert(tx, "INSERT OR ROLLBACK", "before").unwrap_err();
        panic!("{error}, as it is to");
    }));
    assert_eq!(keys(&database), ["before"]);
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after", "before"]);
}

#[test]
fn a_member_that_is_refused_or_panics_takes_nothing_of_another_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let refuse: Closure<'_> = &mut |tx| {
        insert(tx, "INSERT", "second")?;
        insert(tx, "INSERT", "first")
    };
    let [first, second] = together(&database, soon(), refuse);
    assert!(matches!(first, Attempt::Ended(Ok(()))));
    let Attempt::Ended(Err(error)) = second else { panic!("it is refused once the first is kept") };
    assert!(matches!(error.kind(), ErrorKind::Constraint { .. }), "{error}");
    assert_eq!(keys(&database), ["first"]);
    let database = open(&folder, "b.db");
    let panic: Closure<'_> = &mut |tx| {
        insert(tx, "INSERT", "second")?;
        panic!("as it is to");
    };
    let [first, second] = together(&database, soon(), panic);
    assert!(matches!(first, Attempt::Ended(Ok(()))) && matches!(second, Attempt::Panicked(_)));
    assert_eq!(keys(&database), ["first"]);
}

#[test]
fn where_a_member_ends_the_transaction_the_others_are_made_again_and_it_is_told() {
    for bears_it in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder, "a.db");
        let end: Closure<'_> = &mut |tx| {
            let ended = insert(tx, "INSERT OR ROLLBACK", "first");
            if bears_it { Ok(()) } else { ended }
        };
        let [first, second] = together(&database, soon(), end);
        assert!(matches!(first, Attempt::Lost(_)));
        match second {
            Attempt::Ended(Err(error)) if bears_it => {
                assert!(error.to_string().contains("nothing of it was kept"), "{error}");
            }
            // What it was refused for is undone too.
            Attempt::Lost(_) if !bears_it => {}
            _ => panic!("it is not told"),
        }
        assert_eq!(keys(&database), Vec::<String>::new());
    }
}

#[test]
fn whoever_has_no_time_left_at_the_writer_or_is_to_write_at_home_begins_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let begin: Closure<'_> = &mut |_| panic!("nothing is begun");
    let is_busy = |attempt: &Attempt| matches!(attempt, Attempt::Ended(Err(error)) if matches!(error.kind(), ErrorKind::Busy { .. }));
    // The turn comes at the last moment, or not at all.
    let [first, second] = together(&database, Instant::now(), begin);
    assert!(matches!(first, Attempt::Ended(Ok(()))) && is_busy(&second));
    let seat = database.writer.take(soon()).unwrap();
    assert!(is_busy(&attempt(&database, Instant::now(), None, &mut |_| panic!("nothing is begun"))));
    drop(seat);
    displaced.break_off(|| ());
    let over = attempt(&database, soon(), Some(&recorder(Some(&displaced), None)), &mut |_| panic!("nothing is begun"));
    assert!(matches!(over, Attempt::Ended(Err(error)) if matches!(error.kind(), ErrorKind::Moved)));
    assert_eq!(keys(&database), ["first"]);
}

#[test]
fn what_is_refused_in_the_place_of_a_source_that_is_away_is_told_and_left_to_that_to_judge() {
    let folder = tempfile::tempdir().unwrap();
    let (database, displaced) = (open(&folder, "a.db"), displaced());
    let refused = write(&database, soon(), Some(&recorder(Some(&displaced), None)), &mut |tx| {
        insert(tx, "INSERT", "undone")?;
        let changed = tx.execute("DELETE FROM settings WHERE key = 'none'", params![])?;
        tx.require(changed, Refusal::NotFound)
    });
    let error = refused.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound), "{error}");
    let sql = "SELECT COUNT(*) FROM switchyard_journal";
    let waiting = database.read("test.waiting", soon(), |tx| tx.value::<i64>("switchyard_journal", sql, params![]));
    assert_eq!((waiting.unwrap(), keys(&database)), (Some(1), vec![]));
}

#[test]
fn a_crowd_in_which_some_end_the_transaction_for_all_has_every_other_write_kept_once() {
    const THREADS: usize = 8;
    const WRITES: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    set(&database, "there").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = &database;
            scope.spawn(move || {
                for number in 0..WRITES {
                    let key = format!("{thread}-{number:02}");
                    if number % 5 == thread % 5 {
                        let end = &mut |tx: &mut WriteTx<'_>| insert(tx, "INSERT OR ROLLBACK", "there");
                        write(database, soon(), None, end).unwrap_err();
                    } else if number % 2 == 0 {
                        let f: Closure<'_> = &mut |tx| insert(tx, "INSERT", &key);
                        database.write_delegated("test.insert", soon(), None, &|| None, f).unwrap();
                    } else {
                        write(database, soon(), None, &mut |tx| insert(tx, "INSERT", &key)).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(keys(&database).len(), 1 + THREADS * (WRITES - WRITES / 5));
}

#[test]
fn a_file_that_is_taken_away_meanwhile_or_closed_keeps_nothing_that_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.db", "b.db"].map(|file| open(&folder, file));
    let moved = write(&a, soon(), None, &mut |tx| {
        insert(tx, "INSERT", "moved")?;
        std::fs::rename(folder.path().join("a.db"), folder.path().join("away.db")).unwrap();
        Ok(())
    });
    let error = moved.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FileReplaced), "{error}");
    b.close();
    let error = write(&b, soon(), None, &mut |_| panic!("nothing is begun")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error}");
}

#[test]
fn a_write_waits_for_another_process_no_longer_than_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin: Closure<'_> = &mut |_| panic!("nothing is begun");
    let error = write(&database, Instant::now() + Duration::from_millis(20), None, begin).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    set(&database, "after").unwrap();
    assert_eq!(keys(&database), ["after"]);
}
