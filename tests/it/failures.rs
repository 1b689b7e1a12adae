//! Every way in which a call on an open database fails, provoked for real: what is said, and what is left.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use database::{
    ChatId, DatabaseWrapper, Error, ErrorKind, MessageFilter, NewMessage, Refusal, Route, SourceConfig, UserId, params,
};

use crate::child::{Child, numbered};
use crate::support::{Scratch, fresh, impatient, open, sqlite, time};

const CHAT: ChatId = ChatId(-1);

fn said<T>(result: Result<T, Error>) -> String {
    result.err().expect("it fails").to_string()
}

/// A message whose text nobody but its chat may see.
fn secret(id: i64) -> NewMessage {
    NewMessage::text(id, time("2026-01-01 10:00:00"), UserId(1), "SECRET")
}

fn with_soon(path: &Path, millis: u64) -> DatabaseWrapper {
    DatabaseWrapper::open(&impatient(path, Duration::from_millis(millis))).unwrap()
}

#[test]
fn a_key_that_is_taken_and_a_row_that_is_missing_are_said_and_nothing_is_kept() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.save_chat_message(CHAT, &secret(1)).unwrap();
    let error = db.save_chat_message(CHAT, &secret(1)).unwrap_err();
    assert!(error.is_duplicate() && error.op() == "messages.save_chat_message");
    assert_eq!(error.source_name().as_str(), "primary");
    insta::assert_snapshot!(error, @"messages.save_chat_message on source `primary`: it is already there; nothing was changed");
    let missing = db.write("test.rename", Route::Chat(CHAT), |tx| {
        tx.execute("INSERT INTO settings (key, value) VALUES ('kept', 'no')", params![])?;
        let changed = tx.execute("UPDATE chat_users SET full_name = ?1 WHERE user_id = 404", params!["SECRET"])?;
        tx.require(changed, Refusal::NotFound)
    });
    insta::assert_snapshot!(said(missing), @"test.rename on source `primary`: it is not there; nothing was changed");
    assert_eq!(db.get_setting("kept").unwrap(), None);
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 1);
}

#[test]
fn what_the_schema_or_sqlite_forbids_is_said_without_the_values() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let insert = |sql: &'static str| {
        db.write("test.insert", Route::Shared, |tx| {
            tx.execute("INSERT INTO settings (key) VALUES ('kept')", params![])?;
            tx.execute(sql, params!["SECRET"]).map(drop)
        })
    };
    insta::assert_snapshot!(said(insert("INSERT INTO chat_settings (chat_id, key) VALUES (NULL, ?1)")), @"test.insert on source `primary`: the schema does not allow it (NOT NULL constraint failed: chat_settings.chat_id, code 1299); nothing was changed");
    insta::assert_snapshot!(said(insert("INSERT INTO settings (key) VALUES ('kept'), (?1)")), @"test.insert on source `primary`: the schema does not allow it (UNIQUE constraint failed: settings.key, code 1555); nothing was changed");
    insta::assert_snapshot!(said(insert("INSERT INTO no_such_table VALUES (?1)")), @"test.insert on source `primary`: the database refused the statement (no such table: no_such_table, code 1)");
    insta::assert_snapshot!(said(insert("SELECT ?1")), @"test.insert on source `primary`: the database refused the statement (a write is made of INSERT, UPDATE, DELETE and WITH, and of CREATE, ALTER and DROP; transactions, pragmas and other databases are not its own)");
    insta::assert_snapshot!(said(insert("INSERT INTO settings (key) VALUES (?1), (?2)")), @"test.insert on source `primary`: the database refused the statement (Wrong number of parameters passed to query. Got 1, needed 2)");
    assert_eq!(crate::support::rows_of(&sqlite(&scratch.file("bot.db")), "settings").len(), 2, "nothing was kept");
}

#[test]
fn a_read_cannot_write() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.save_chat_message(CHAT, &secret(1)).unwrap();
    let tried = db.read("test.read", Route::Shared, |tx| {
        tx.value::<i64>("chat_messages", "DELETE FROM chat_messages RETURNING 1", params![])
    });
    insta::assert_snapshot!(said(tried), @"test.read on source `primary`: the database refused the statement (a read is made of SELECT, WITH and VALUES; changes, transactions, pragmas and other databases are not its own)");
    assert_eq!(db.get_user_footprint(CHAT, UserId(1)).unwrap().messages, 1);
}

#[test]
fn a_named_source_is_for_reads_and_must_exist() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.set_setting("theme", "dark").unwrap();
    assert_eq!(db.on_source("primary").get_setting("theme").unwrap().as_deref(), Some("dark"));
    assert_eq!(db.on_source("primary").get_all_group_chats().unwrap().into_rows(), []);
    insta::assert_snapshot!(said(db.on_source("primary").set_setting("theme", "light")), @"settings.set_setting on source `primary`: naming a source explicitly is for reads; writes go where the chat's route says");
    insta::assert_snapshot!(said(db.on_source("archive").get_setting("theme")), @"settings.get_setting on source `archive`: there is no such source; known are: `primary`");
    insta::assert_snapshot!(said(db.on_source("archive").get_all_group_chats()), @"chats.get_all_group_chats on source `archive`: there is no such source; known are: `primary`");
    insta::assert_snapshot!(said(db.on_source("archive").get_chat_messages_by_user(CHAT, UserId(1), None)), @"messages.get_chat_messages_by_user on source `archive`: there is no such source; known are: `primary`");
}

#[test]
fn a_write_inside_a_write_is_an_error_and_not_a_deadlock() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let nested = db.write("test.outer", Route::Shared, |tx| {
        tx.execute("INSERT INTO settings (key) VALUES ('outer')", params![])?;
        // Refused each time, not only the first.
        assert!(matches!(db.set_setting("inner", "x").unwrap_err().kind(), ErrorKind::NestedWrite));
        insta::assert_snapshot!(said(db.get_setting("outer")), @"settings.get_setting on source `primary`: a read inside a write: a write must not act on what is stored; read first, or put the condition into the SQL");
        db.set_setting("inner", "x")
    });
    insta::assert_snapshot!(said(nested), @"settings.set_setting on source `primary`: a write inside a write would wait for itself; do both in one closure");
    assert_eq!(db.get_settings().unwrap().len(), 2);
    db.set_setting("after", "x").unwrap();
}

#[test]
fn calls_after_closing_fail_on_every_clone_and_only_the_file_is_left() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let clone = db.clone();
    db.set_setting("theme", "dark").unwrap();
    db.get_setting("theme").unwrap();
    db.close();
    insta::assert_snapshot!(said(clone.get_setting("theme")), @"settings.get_setting on source `primary`: the database was closed");
    insta::assert_snapshot!(said(clone.set_setting("theme", "light")), @"settings.set_setting on source `primary`: the database was closed");
    clone.close();
    assert_eq!(scratch.names(), ["bot.db"]);
}

#[test]
fn a_lock_that_others_hold_longer_than_the_timeout_is_busy_and_a_shorter_one_is_waited_for() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let db = with_soon(&path, 200);
    let hold = || {
        let mut holder = Child::start(&["hold", path.to_str().unwrap(), "BEGIN IMMEDIATE"].map(OsStr::new));
        assert_eq!(holder.line(), "held");
        holder
    };
    let holder = hold();
    let start = Instant::now();
    let error = db.save_chat_message(CHAT, &secret(1)).unwrap_err();
    let took = start.elapsed();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }));
    insta::assert_snapshot!(error, @"messages.save_chat_message on source `primary`: the database stayed busy for 200.0ms; nothing was changed, try again");
    assert!((Duration::from_millis(150)..Duration::from_secs(5)).contains(&took), "{took:?}");
    // Readers do not wait for a writer.
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 0);
    holder.finish();

    let patient = with_soon(&path, 20_000);
    let holder = hold();
    let (begun, begins) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.send(()).unwrap();
            patient.save_chat_message(CHAT, &secret(1)).unwrap();
        });
        begins.recv().unwrap();
        holder.finish();
    });
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 1);
}

#[test]
fn no_more_readers_than_allowed_are_lent_and_who_waits_too_long_is_told() {
    let scratch = Scratch::new();
    let config = SourceConfig { max_connections: 3, ..impatient(scratch.file("bot.db"), Duration::from_millis(200)) };
    let db = DatabaseWrapper::open(&config).unwrap();
    let read = || db.get_setting("theme");
    let nested = db.read("test.first", Route::Shared, |_| db.read("test.second", Route::Shared, |_| Ok(said(read()))));
    insta::assert_snapshot!(nested.unwrap(), @"settings.get_setting on source `primary`: the database stayed busy for 200.0ms; nothing was changed, try again");
    read().unwrap();
    let db_of_patient = DatabaseWrapper::open(&SourceConfig { timeout: Duration::from_secs(20), ..config }).unwrap();
    let (begun, begins) = channel();
    std::thread::scope(|scope| {
        let waits = db_of_patient.read("test.first", Route::Shared, |_| {
            db_of_patient.read("test.second", Route::Shared, |_| {
                let waits = scope.spawn(|| {
                    begun.send(()).unwrap();
                    db_of_patient.get_setting("theme")
                });
                begins.recv().unwrap();
                Ok(waits)
            })
        });
        assert_eq!(waits.unwrap().join().unwrap().unwrap(), None);
    });
}

#[test]
fn a_call_that_runs_past_the_timeout_is_stopped_and_the_connection_stays_good() {
    const FOR_EVER: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let db =
        DatabaseWrapper::open(&SourceConfig { max_connections: 2, ..impatient(&path, Duration::from_millis(200)) })
            .unwrap();
    let start = Instant::now();
    let read = db.read("test.for_ever", Route::Shared, |tx| tx.value::<i64>("n", FOR_EVER, params![]));
    insta::assert_snapshot!(said(read), @"test.for_ever on source `primary`: it took longer than the timeout of 200.0ms and was stopped; nothing was changed");
    let write = db.write("test.for_ever", Route::Shared, |tx| {
        tx.execute("INSERT INTO settings (key) VALUES ('kept')", params![])?;
        tx.execute(&format!("INSERT INTO settings (key) {FOR_EVER}"), params![]).map(drop)
    });
    insta::assert_snapshot!(said(write), @"test.for_ever on source `primary`: it took longer than the timeout of 200.0ms and was stopped; nothing was changed");
    assert!(start.elapsed() < Duration::from_secs(10));
    db.set_setting("after", "x").unwrap();
    assert_eq!(db.get_settings().unwrap().len(), 3);
}

#[test]
fn a_file_that_is_removed_while_open_fails_the_next_call() {
    for reads_first in [false, true] {
        let scratch = Scratch::new();
        let path = scratch.file("bot.db");
        let db = open(&path);
        db.set_setting("theme", "dark").unwrap();
        std::fs::remove_file(&path).unwrap();
        if reads_first {
            // No reader is open yet, and one opened now would find nothing or something else.
            assert!(matches!(db.get_setting("theme").unwrap_err().kind(), ErrorKind::FileReplaced));
        }
        let error = said(db.set_setting("theme", "light"));
        insta::allow_duplicates! { insta::assert_snapshot!(error, @"settings.set_setting on source `primary`: the database file was moved, removed or replaced while it was open; put it back, what was being written may be in it"); }
        assert!(!path.exists(), "it is not made anew");
    }
}

#[test]
fn a_database_that_is_put_in_the_place_of_an_open_one_is_neither_read_nor_written() {
    let scratch = Scratch::new();
    let [path, other] = ["bot.db", "restored.db"].map(|name| scratch.file(name));
    let restored = open(&other);
    for index in 0..50 {
        restored.save_chat_message(CHAT, &numbered("restored", index)).unwrap();
    }
    restored.close();
    let db = open(&path);
    db.save_chat_message(CHAT, &secret(1)).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(matches!(db.get_chat_totals(CHAT).unwrap_err().kind(), ErrorKind::FileReplaced));
    insta::assert_snapshot!(said(db.save_chat_message(CHAT, &secret(2))), @"messages.save_chat_message on source `primary`: the database file was moved, removed or replaced while it was open; put it back, what was being written may be in it");
    insta::assert_snapshot!(said(db.get_chat_totals(CHAT)), @"statistics.get_chat_totals on source `primary`: the database file was moved, removed or replaced while it was open; put it back, what was being written may be in it");
    db.close();

    let db = open(&path);
    assert_eq!(db.get_user_footprint(CHAT, UserId(1)).unwrap().messages, 50);
    db.close();
    let sound: String = sqlite(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn damage_that_a_read_meets_is_said() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let db = open(&path);
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    let long: Vec<_> = (0..200).map(|index| numbered("long", index)).collect();
    db.save_chat_messages(CHAT, &long).unwrap();
    db.close();
    let connection = sqlite(&path);
    let root: u32 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'chat_messages'", [], |row| row.get(0))
        .unwrap();
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = root as usize * 4096;
    bytes[page - 4096..page].fill(0x5A);
    std::fs::write(&path, bytes).unwrap();
    let db = open(&path);
    insta::assert_snapshot!(said(db.get_chat_messages_since(CHAT, &MessageFilter::default())), @"messages.get_chat_messages_since on source `primary`: the database is damaged (database disk image is malformed, code 11); restore a backup");
    insta::assert_snapshot!(said(db.save_chat_message(CHAT, &secret(1))), @"messages.save_chat_message on source `primary`: the database is damaged (database disk image is malformed, code 11); restore a backup");
    assert_eq!(db.get_chat_users(CHAT, None, None).unwrap().len(), 1, "what is whole is read");
}

#[test]
fn a_stored_value_that_does_not_fit_is_named_by_table_column_and_row_and_never_shown() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.update_chat_user(CHAT, UserId(1), "@one", "One").unwrap();
    db.save_chat_message(CHAT, &secret(1)).unwrap();
    db.set_chat_setting(CHAT, "model", "m1").unwrap();
    db.add_delayed_task("t1", 1, "f", "{}").unwrap();
    let spoil = |sql: &str| sqlite(&scratch.file("bot.db")).execute_batch(sql).unwrap();
    let all = MessageFilter::default();
    let mut seen = Vec::new();
    let mut add = |line: String| {
        assert!(!line.contains("SECRET"), "{line}");
        seen.push(line);
    };

    spoil("UPDATE chat_messages SET date = '2026-01-01T10:00:00 SECRET'");
    add(said(db.get_chat_messages_since(CHAT, &all)));
    add(said(db.get_user_footprint(CHAT, UserId(1))));
    spoil("UPDATE chat_messages SET date = '2026-01-01 10:00:00', message_text = x'534543524554'");
    add(said(db.get_chat_messages_since(CHAT, &all)));
    add(said(db.search_messages(
        CHAT,
        database::Search {
            words: &["a"],
            categories: &[database::MessageCategory::Unspecified],
            page: database::Page { number: 0, size: 1 },
        },
    )));
    spoil("UPDATE chat_users SET is_spammer = 'SECRET'");
    add(said(db.get_chat_user(CHAT, UserId(1))));
    spoil("UPDATE chat_settings SET value = x'534543524554'");
    add(said(db.get_chat_setting(CHAT, "model")));
    add(said(db.get_chat_settings(CHAT)));
    spoil("UPDATE delayed_tasks SET delayed_ts = 'SECRET'");
    add(said(db.get_pending_delayed_tasks()));
    insta::assert_snapshot!(seen.join("\n"), @r"
        messages.get_chat_messages_since on source `primary`: table `chat_messages`, column `date`, row chat_id=-1, message_id=`1`: expected a time as YYYY-MM-DD HH:MM:SS, found text
        footprint.get_user_footprint on source `primary`: table `chat_messages`, column `MIN(date)`, row the first of the answer: expected a time as YYYY-MM-DD HH:MM:SS, found text
        messages.get_chat_messages_since on source `primary`: table `chat_messages`, column `message_text`, row chat_id=-1, message_id=`1`: expected text, found a blob
        search.search_messages on source `primary`: table `chat_messages`, column `message_text`, row of chat -1: expected text, found a blob
        users.get_chat_user on source `primary`: table `chat_users`, column `is_spammer`, row chat_id=-1, user_id=1: expected 0 or 1, found text
        settings.get_chat_setting on source `primary`: table `chat_settings`, column `value`, row the first of the answer: expected text, found a blob
        settings.get_chat_settings on source `primary`: table `chat_settings`, column `value`, row key=`model`: expected text, found a blob
        tasks.get_pending_delayed_tasks on source `primary`: table `delayed_tasks`, column `delayed_ts`, row id=`t1`: expected an integer, found text
    ");
}

#[test]
fn a_write_cannot_end_its_own_transaction() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    let ended = db.write("test.commit", Route::Shared, |tx| tx.execute("COMMIT", params![]).map(drop));
    insta::assert_snapshot!(said(ended), @"test.commit on source `primary`: the database refused the statement (a write is made of INSERT, UPDATE, DELETE and WITH, and of CREATE, ALTER and DROP; transactions, pragmas and other databases are not its own)");
    db.set_setting("after", "x").unwrap();
}

#[test]
fn a_closure_that_passes_over_the_loss_of_its_transaction_writes_nothing_outside_of_it() {
    let scratch = Scratch::new();
    let db = fresh(&scratch);
    db.set_setting("taken", "x").unwrap();
    let passed_over = db.write("test.passes_over", Route::Shared, |tx| {
        tx.execute("INSERT INTO settings (key, value) VALUES ('before', 'x')", params![])?;
        let lost = tx.execute("INSERT OR ROLLBACK INTO settings (key, value) VALUES ('taken', 'x')", params![]);
        assert!(matches!(lost.unwrap_err().kind(), ErrorKind::Constraint { .. }));
        insta::allow_duplicates! {
            insta::assert_snapshot!(said(tx.execute("INSERT INTO settings (key, value) VALUES ('after', 'x')", params![])), @"test.passes_over on source `primary`: the database refused the statement (an earlier statement ended the whole transaction: nothing of it was kept)");
        }
        Ok(())
    });
    insta::assert_snapshot!(said(passed_over), @"test.passes_over on source `primary`: the database refused the statement (an earlier statement ended the whole transaction: nothing of it was kept)");
    assert_eq!(db.get_setting("before").unwrap().or(db.get_setting("after").unwrap()), None);
    db.set_setting("later", "x").unwrap();
}

#[test]
fn a_full_disk_is_loud_nothing_half_written_stays_and_all_goes_on_once_there_is_room() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=2m none {folder}; \"$0\" \"$@\"");
    let mut child = Child::start_in_namespace(&script, &["fill", folder].map(OsStr::new));
    insta::assert_snapshot!(child.line(), @"messages.save_chat_message on source `primary`: the disk is full: free some space; nothing was changed");
    assert_eq!(child.line(), "written once there was room");
    child.finish();
}
