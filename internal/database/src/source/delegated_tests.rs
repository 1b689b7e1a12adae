//! Writes that whoever has the writer makes for those who wait for it.

use std::sync::Mutex;
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::params;
use crate::source::part::{Attempt, answer};
use crate::source::turn::Borrowed;
use crate::source::writer_tests::{insert, keys, open, soon};

/// What one who delegates is told, and who asked for it whether it may be made.
struct Told {
    answer: Result<()>,
    asked: Vec<ThreadId>,
}

/// A call that nobody else makes.
fn call<'a>(database: &'a Database, op: &'static str) -> Call<'a> {
    let (context, deadline) = (database.context(op), soon());
    Call { context, deadline, recorder: None, delegate: None, is_for_another: false }
}

/// This thread is a member of the open transaction and has the writer; another delegates an insert; this one does with
/// that what it is told to, and commits.
fn delegate(
    database: &Database,
    (how, key): (&'static str, &'static str),
    deadline: Instant,
    is_admitted: bool,
    and: impl Fn(&Database, &mut Seat<'_>),
) -> Told {
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let mut seat = database.writer.take(soon()).unwrap();
    let call = call(database, "test.first");
    drop(database.part(seat.state(), &call, &mut |tx| insert(tx, "INSERT", "first")));
    let answer = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let admit = || -> Option<Admit> {
                let (asked, error) = (asked.clone(), database.context("test.second").error(ErrorKind::Moved));
                let refusal = Mutex::new((!is_admitted).then_some(error));
                Some(Box::new(move || {
                    asked.lock().unwrap().push(thread::current().id());
                    refusal.lock().unwrap().take().map_or(Ok(()), Err)
                }))
            };
            database.write_delegated("test.second", deadline, None, &admit, &mut |tx| insert(tx, how, key))
        });
        and(database, &mut seat);
        database.commit(seat.state()).unwrap();
        drop(seat);
        other.join().unwrap()
    });
    let asked = asked.lock().unwrap().clone();
    Told { answer, asked }
}

/// The other's part, once that is in line.
fn borrow(seat: &Seat<'_>) -> Borrowed<Delegated> {
    let until = soon();
    while Instant::now() < until {
        if let Some(borrowed) = seat.borrow_delegated() {
            return borrowed;
        }
        thread::yield_now();
    }
    panic!("nobody has delegated anything");
}

/// Makes the other's part, as whoever has the writer does.
fn make(database: &Database, seat: &mut Seat<'_>) {
    let mut borrowed = borrow(seat);
    borrowed.job().make(database, seat);
    give_back(borrowed, seat);
}

#[test]
fn whoever_has_the_writer_makes_the_part_of_the_next_in_line_as_a_member_of_the_same_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let told = delegate(&database, ("INSERT", "second"), soon(), true, |database, seat| {
        make(database, seat);
        assert_eq!(seat.state().open.as_ref().unwrap().members, 2);
        assert_eq!(keys_committed(&folder), Vec::<String>::new());
    });
    told.answer.unwrap();
    assert_eq!(told.asked, [thread::current().id()]);
    assert_eq!(keys(&database), ["first", "second"]);
}

/// What another connection finds.
fn keys_committed(folder: &tempfile::TempDir) -> Vec<String> {
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    let mut keys = other.prepare("SELECT key FROM settings WHERE value = 'x'").unwrap();
    keys.query_map([], |row| row.get(0)).unwrap().map(|key| key.unwrap()).collect()
}

#[test]
fn what_is_refused_is_told_to_whoever_delegated_it_and_takes_nothing_of_another_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let told = delegate(&database, ("INSERT", "first"), soon(), true, make);
    let error = told.answer.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Constraint { .. }) && error.to_string().contains("test.second"),
        "{error}"
    );
    assert_eq!(keys(&database), ["first"]);
}

#[test]
fn what_may_not_be_written_any_more_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let told = delegate(&database, ("INSERT", "second"), soon(), false, make);
    assert!(matches!(told.answer.unwrap_err().kind(), ErrorKind::Moved));
    assert_eq!((told.asked.len(), keys(&database)), (1, vec!["first".to_owned()]));
}

#[test]
fn where_it_ends_the_transaction_for_all_it_is_made_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    // What it collides with is lost with it.
    let told = delegate(&database, ("INSERT OR ROLLBACK", "first"), soon(), true, make);
    told.answer.unwrap();
    assert_eq!((told.asked.len(), keys(&database)), (1, vec!["first".to_owned()]));
    let first = "SELECT COUNT(*) FROM settings WHERE key = 'first'";
    let count = database.read_as_writer("test.count", soon(), |tx| tx.value::<i64>("settings", first, params![]));
    assert_eq!(count.unwrap(), Some(1));
}

/// While this thread has the writer, others delegate an insert each; it does with that what it is told to once all are in
/// line, and gives the writer back.
fn delegate_to(database: &Database, inserted: &[&'static str], and: impl FnOnce(&mut Seat<'_>)) {
    let mut seat = database.writer.take(soon()).unwrap();
    thread::scope(|scope| {
        let others: Vec<_> = inserted
            .iter()
            .map(|key| {
                let insert = move || {
                    let part: Closure<'_> = &mut |tx| insert(tx, "INSERT", key);
                    database.write_delegated("test.delegates", soon(), None, &|| None, part)
                };
                let other = scope.spawn(insert);
                // Until it stands in line, behind the last one.
                thread::park_timeout(Duration::from_millis(50));
                other
            })
            .collect();
        and(&mut seat);
        drop(seat);
        others.into_iter().for_each(|other| other.join().unwrap().unwrap());
    });
}

#[test]
fn whoever_goes_on_makes_and_commits_what_was_delegated_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    delegate_to(&database, &["first", "second"], |seat| {
        database.go_on(seat).unwrap();
        assert!(seat.state().open.is_none());
        assert_eq!(keys_committed(&folder), ["first", "second"]);
    });
}

#[test]
fn whoever_has_gone_on_for_long_enough_leaves_the_rest_to_those_who_want_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    delegate_to(&database, &["first"], |seat| {
        database.make_delegated(seat, Instant::now() - OLDEST);
        assert!(seat.state().open.is_none());
    });
    assert_eq!(keys(&database), ["first"]);
}

#[test]
fn whoever_goes_on_waits_for_no_other_process_and_leaves_that_to_whoever_delegated() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let other = rusqlite::Connection::open(folder.path().join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    delegate_to(&database, &["first", "second"], |seat| {
        let begun = Instant::now();
        database.go_on(seat).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        other.execute_batch("ROLLBACK").unwrap();
    });
    assert_eq!(keys(&database), ["first", "second"]);
}

#[test]
fn what_changes_the_schema_is_not_delegated() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let call = Call { delegate: Some(&|| None), ..call(&database, "test.alters") };
    let delegated = |sql: &'static str| {
        Delegated::record(&call, &mut |tx| {
            let inserted = tx.execute("INSERT INTO settings (key, value) VALUES ('k', 'x')", params![])?;
            tx.only_if(inserted, |tx| tx.execute(sql, params![]).map(drop))
        })
    };
    assert!(delegated("DELETE FROM settings").is_some());
    assert!(delegated(" create TABLE t (x)").is_none());
}

/// What one delegates that inserts two rows.
fn two(first: &str, second: &str) -> impl Fn(&mut WriteTx<'_>) -> Result<()> {
    move |tx| insert(tx, "INSERT", first).and_then(|()| insert(tx, "INSERT", second))
}

#[test]
fn one_that_fails_halfway_is_lost_with_all_members_and_those_that_follow_are_undone_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let mut seat = database.writer.take(soon()).unwrap();
    let delegating = |part: &dyn Fn(&mut WriteTx<'_>) -> Result<()>| {
        let call = Call { delegate: Some(&|| None), ..call(&database, "test.two") };
        Delegated::record(&call, &mut |tx| part(tx)).unwrap()
    };
    let first = |seat: &mut Seat<'_>, key: &str| {
        database.part(seat.state(), &call(&database, "test.first"), &mut |tx| insert(tx, "INSERT", key))
    };
    // It changed a row before it failed: the first member's is gone with it, and will be made again by itself.
    let (lost, mut halfway) = (first(&mut seat, "taken"), delegating(&two("second", "taken")));
    halfway.make(&database, &mut seat);
    assert!(seat.state().open.is_none() && seat.state().careful > 0);
    for part in [lost, halfway.part.take().unwrap()] {
        assert!(matches!(answer(&database.context("test.answer"), part), Attempt::Lost(_)));
    }
    // From now on each is undone alone.
    let (kept, mut halfway) = (first(&mut seat, "taken"), delegating(&two("second", "taken")));
    halfway.make(&database, &mut seat);
    let mut other = delegating(&two("third", "fourth"));
    other.make(&database, &mut seat);
    database.commit(seat.state()).unwrap();
    drop(seat);
    let answers = [kept, halfway.part.take().unwrap(), other.part.take().unwrap()];
    let answers = answers.map(|part| matches!(answer(&database.context("test.answer"), part), Attempt::Ended(Ok(()))));
    assert_eq!(answers, [true, false, true]);
    assert_eq!(keys(&database), ["fourth", "taken", "third"]);
}

#[test]
fn what_was_borrowed_and_not_made_is_made_by_whoever_wanted_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let told = delegate(&database, ("INSERT", "second"), soon(), true, |_, seat| drop(borrow(seat)));
    told.answer.unwrap();
    assert_eq!((told.asked.len(), keys(&database)), (0, vec!["first".to_owned(), "second".to_owned()]));
}

#[test]
fn a_part_whose_time_is_over_is_not_begun_and_its_caller_is_told_before_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let deadline = Instant::now() + Duration::from_millis(200);
    let told = delegate(&database, ("INSERT", "second"), deadline, true, |database, seat| {
        let mut borrowed = borrow(seat);
        while Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(10));
        }
        borrowed.job().make(database, seat);
        assert!(!borrowed.job().waits());
    });
    assert!(matches!(told.answer.unwrap_err().kind(), ErrorKind::Busy { .. }));
    assert_eq!((told.asked.len(), keys(&database)), (0, vec!["first".to_owned()]));
}

#[test]
fn whoever_goes_on_after_a_statement_that_failed_is_refused_whoever_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder, "a.db");
    let passes_over: Closure<'_> = &mut |tx| {
        insert(tx, "INSERT", "once")?;
        let _ = insert(tx, "INSERT", "once");
        Ok(())
    };
    let error = database.write_delegated("test.passes_over", soon(), None, &|| None, passes_over).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Statement { .. }), "{error}");
    assert_eq!(keys(&database), Vec::<String>::new());
}
