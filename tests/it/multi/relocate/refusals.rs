//! What is refused, what is said then, and that nothing is changed.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::time::Duration;

use database::multi::{Clear, MoveError, MoveOptions, Progress, Stage};
use database::{DatabaseConfig, DatabaseWrapper, Durability, ErrorKind, Health, NewMessage, OnUnavailable, UserId};

use super::{CHAT, OTHER, answers, fill, go_on, moved, rows_in, small, sources, sqlite_columns};
use crate::child::Child;
use crate::multi::{eventually, name, open};
use crate::support::{HandClock, Scratch, rows, sqlite, time};

/// What moving the chat to a source is refused with. Planning it is refused with the same.
fn said(config: &DatabaseConfig, to: &str) -> String {
    let (db, control) = open(config);
    let before = (answers::of(&db), control.explain(CHAT));
    let refused = moved(&control, CHAT, to).unwrap_err().to_string();
    assert_eq!(control.plan_move(CHAT, &name(to), &small()).unwrap_err().to_string(), refused);
    assert_eq!((answers::of(&db), control.explain(CHAT)), before);
    assert_eq!(control.unfinished_moves().unwrap(), []);
    db.close();
    refused
}

#[test]
fn a_move_that_cannot_be_is_refused_before_anything_is_changed() {
    let scratch = Scratch::in_memory();
    let config = sources(scratch.path(), &[(-2, "archive")]);
    let (db, _) = open(&config);
    fill(&db, CHAT, "word");
    fill(&db, OTHER, "other");
    db.close();
    let mut seen = vec![said(&config, "nowhere"), said(&config, "primary")];
    let mut readonly = config.clone();
    readonly.sources.get_mut(&name("archive")).unwrap().readonly = true;
    seen.push(said(&readonly, "archive"));
    readonly.chat_mapping.insert(CHAT, name("archive"));
    seen.push(said(&readonly, "third"));
    // Old copies at the target.
    let add = "INSERT INTO chat_settings (chat_id, key, value) VALUES (-1, 'a', 'x'), (-1, 'b', 'x');
               INSERT INTO user_data (chat_id, user_id, key, data) VALUES (-1, 1, 'a', 'x')";
    sqlite(&scratch.file("archive.db")).execute_batch(add).unwrap();
    seen.push(said(&config, "archive"));
    sqlite(&scratch.file("archive.db")).execute("DELETE FROM user_data WHERE chat_id = -1", []).unwrap();
    sqlite(&scratch.file("archive.db")).execute("DELETE FROM chat_settings WHERE chat_id = -1", []).unwrap();
    // A column that somebody has added.
    sqlite(&scratch.file("primary.db")).execute("ALTER TABLE chat_users ADD COLUMN mood TEXT", []).unwrap();
    seen.push(said(&config, "archive"));
    insta::assert_snapshot!(seen.join("\n"), @"
    there is no source `nowhere`; known are: `primary`, `archive`, `third`
    the chat -1 is in `primary` already
    the source `archive` is read-only, so nothing can be moved there; set `readonly = false` for it first
    the chat -1 is in `archive`, which is read-only, so that its rows cannot be deleted there; leave them there with `--keep`, or set `readonly = false` for it first
    the source `archive` holds rows of the chat -1 already (chat_settings: 2, user_data: 1), and not from this move; `bot db verify -1` compares them; `bot db strays --clear` deletes those that are the same where the chat is, `bot db strays --clear --only-here -1` all of them, also what was written there meanwhile; then repeat the move
    the table `chat_users` has a column `mood` in `primary` and none in `archive`; no release of this bot made it, so add it there, or drop it here
    ");
}

#[test]
fn a_source_that_is_away_is_not_moved_to_or_from() {
    let scratch = Scratch::in_memory();
    let config = sources(scratch.path(), &[(-2, "archive")]);
    let (db, _) = open(&config);
    fill(&db, CHAT, "word");
    fill(&db, OTHER, "other");
    db.close();
    std::fs::rename(scratch.file("archive.db"), scratch.file("away.db")).unwrap();
    let (db, control) = open(&config);
    for (chat, to) in [(CHAT, "archive"), (OTHER, "primary")] {
        let refused = moved(&control, chat, to).unwrap_err();
        assert!(matches!(&refused, MoveError::Unavailable { name, .. } if name.as_str() == "archive"), "{refused}");
        assert!(refused.to_string().starts_with("the source `archive` cannot be used now: "), "{refused}");
        assert!(!scratch.file("archive.db").exists());
    }
    db.close();
}

#[test]
fn a_source_whose_chats_are_served_elsewhere_is_not_moved_to_or_from_until_they_are_home() {
    let scratch = Scratch::in_memory();
    let mut config = sources(scratch.path(), &[(-2, "archive")]);
    let archive = config.sources.get_mut(&name("archive")).unwrap();
    (archive.on_unavailable, archive.timeout) = (OnUnavailable::StandIn, Duration::from_millis(500));
    let (db, control) = open(&config);
    fill(&db, CHAT, "word");
    fill(&db, OTHER, "other");
    let stop = |progress: Progress| {
        if progress.stage == Stage::Copying && progress.done > 5 { ControlFlow::Break(()) } else { go_on(progress) }
    };
    control.move_chat(CHAT, &name("archive"), &small(), stop).unwrap_err();
    db.close();
    std::fs::rename(scratch.file("archive.db"), scratch.file("away.db")).unwrap();
    let (db, control) = open(&config);
    db.set_chat_setting(OTHER, "language", "meanwhile").unwrap();
    let refused = || {
        let moves =
            [moved(&control, CHAT, "archive"), moved(&control, OTHER, "primary"), moved(&control, OTHER, "third")];
        let undone = control.abort_move(CHAT, go_on);
        for refused in moves.into_iter().map(Result::unwrap_err).chain([undone.unwrap_err()]) {
            assert!(matches!(&refused, MoveError::Away { name, .. } if name.as_str() == "archive"), "{refused}");
        }
    };
    refused();
    // It is there and open again, but what was written cannot be made in it yet.
    std::fs::rename(scratch.file("away.db"), scratch.file("archive.db")).unwrap();
    let holder = sqlite(&scratch.file("archive.db"));
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    control.retry(&name("archive")).unwrap_err();
    let archive = control.status().sources.into_iter().find(|one| one.source.name == name("archive")).unwrap();
    assert_eq!((archive.source.health, archive.away.is_some()), (Health::Open, true));
    refused();
    drop(holder);
    eventually("its chats are home", || !db.is_displaced(OTHER));
    moved(&control, OTHER, "primary").unwrap();
    assert_eq!(db.get_chat_setting(OTHER, "language").unwrap().as_deref(), Some("meanwhile"));
    control.abort_move(CHAT, go_on).unwrap();
    db.close();
}

#[test]
fn leftovers_that_became_the_chats_own_are_not_deleted() {
    let scratch = Scratch::in_memory();
    let config = sources(scratch.path(), &[]);
    let mapped = sources(scratch.path(), &[(-1, "archive")]);
    let clock = HandClock::at("2026-01-02 00:00:00");
    let open = |config: &DatabaseConfig| DatabaseWrapper::open_multi(config, clock.options()).unwrap();
    let (db, control) = open(&config);
    fill(&db, CHAT, "word");
    let stop = |at: Stage| {
        move |progress: Progress| {
            if progress.stage == at && progress.done > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    };
    control.move_chat(CHAT, &name("archive"), &small(), stop(Stage::Copying)).unwrap_err();
    db.close();
    // The part of a copy is read and written as the chat's own now.
    clock.set(time("2026-01-02 00:01:00"));
    let (db, control) = open(&mapped);
    db.set_chat_setting(CHAT, "language", "new").unwrap();
    db.save_chat_message(CHAT, &NewMessage::text(77, db.now(), UserId(1), "said there")).unwrap();
    let mut seen = Vec::new();
    for refused in [moved(&control, CHAT, "archive"), moved(&control, CHAT, "primary"), moved(&control, CHAT, "third")]
    {
        seen.push(refused.unwrap_err().to_string());
    }
    seen.push(control.abort_move(CHAT, go_on).unwrap_err().to_string());
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("new"));
    db.close();
    seen.dedup();
    insta::assert_snapshot!(seen.join("\n"), @"a move of the chat -1 from `primary` to `archive` was broken off, and the chat was mapped to `archive` since then, where that move's leftovers are; map it to `primary` again, and repeat this: what was written in `archive` meanwhile is not deleted; or, where it is to stay in `archive`, give that move up with `bot db move -1 --abort --forget`, which deletes nothing");
    // Mapped back, as that says.
    let (db, control) = open(&config);
    let mut seen = vec![moved(&control, CHAT, "archive").unwrap_err().to_string()];
    seen.push(control.abort_move(CHAT, go_on).unwrap_err().to_string());
    seen.dedup();
    insta::assert_snapshot!(seen.join("\n"), @"a move of the chat -1 from `primary` to `archive` was broken off, and rows of the chat were written in `archive` since then (chat_messages: 1, chat_settings: 1, chat_stats: 1, chat_user_stats: 1), while it was mapped there; give that move up with `bot db move -1 --abort --forget`, which deletes nothing; then map the chat to `archive` again to keep it there, or see what is left there with `bot db strays`");
    let languages = "SELECT value FROM chat_settings WHERE key = 'language'";
    let language_at =
        |file: &str| -> String { sqlite(&scratch.file(file)).query_row(languages, [], |row| row.get(0)).unwrap() };
    assert_eq!((language_at("primary.db"), language_at("archive.db")), ("word".to_owned(), "new".to_owned()));
    // As that says: given up it stands against nothing, and nothing is deleted but what is named then.
    let before = [CHAT, OTHER].map(|chat| ["primary.db", "archive.db"].map(|file| rows_in(&scratch.file(file), chat)));
    control.forget_move(CHAT).unwrap();
    let refused = control.forget_move(CHAT).unwrap_err();
    assert!(matches!(refused, MoveError::NothingToAbort { .. }), "{refused}");
    let now = [CHAT, OTHER].map(|chat| ["primary.db", "archive.db"].map(|file| rows_in(&scratch.file(file), chat)));
    assert_eq!(before, now);
    assert!(matches!(moved(&control, CHAT, "archive").unwrap_err(), MoveError::ForeignRows { .. }));
    let same = control.clear_strays(Clear::AtHome).unwrap();
    assert!(same.cleared.iter().any(|one| one.only_here > 0), "{same:?}");
    assert!(matches!(moved(&control, CHAT, "archive").unwrap_err(), MoveError::ForeignRows { .. }));
    control.clear_strays(Clear::AllOf(CHAT)).unwrap();
    assert_eq!(rows_in(&scratch.file("archive.db"), CHAT), 0);
    assert_eq!(language_at("primary.db"), "word");
    control.move_chat(CHAT, &name("archive"), &small(), stop(Stage::Copying)).unwrap_err();
    // What is written where the chat is does not stand against it.
    db.set_chat_setting(CHAT, "language", "later").unwrap();
    control.abort_move(CHAT, go_on).unwrap();
    control.move_chat(CHAT, &name("archive"), &small(), stop(Stage::Deleting)).unwrap_err();
    db.close();
    // Mapped back by hand, to where some rows are left.
    clock.set(time("2026-01-02 00:02:00"));
    let (db, control) = open(&sources(scratch.path(), &[(-1, "primary")]));
    db.set_chat_setting(CHAT, "language", "newer").unwrap();
    let refused = moved(&control, CHAT, "archive").unwrap_err();
    insta::assert_snapshot!(refused, @"a move of the chat -1 from `primary` to `archive` was broken off, and the chat was mapped to `primary` since then, where that move's leftovers are; map it to `archive` again, and repeat this: what was written in `primary` meanwhile is not deleted; or, where it is to stay in `primary`, give that move up with `bot db move -1 --abort --forget`, which deletes nothing");
    db.close();
    assert!(rows_in(&scratch.file("archive.db"), CHAT) > 20);
    let (db, control) = open(&config);
    let refused = moved(&control, CHAT, "archive").unwrap_err();
    assert!(matches!(&refused, MoveError::WrittenSince { name, .. } if name.as_str() == "primary"), "{refused}");
    assert_eq!((language_at("primary.db"), language_at("archive.db")), ("newer".to_owned(), "later".to_owned()));
    // The same the other way round: the chat stays where it was moved, with all that it has there.
    let there = rows_in(&scratch.file("archive.db"), CHAT);
    control.forget_move(CHAT).unwrap();
    assert_eq!((control.explain(CHAT).source, control.unfinished_moves().unwrap()), (name("archive"), vec![]));
    control.clear_strays(Clear::AllOf(CHAT)).unwrap();
    assert_eq!([rows_in(&scratch.file("primary.db"), CHAT), rows_in(&scratch.file("archive.db"), CHAT)], [0, there]);
    moved(&control, CHAT, "primary").unwrap();
    assert_eq!((language_at("primary.db"), control.explain(CHAT).source), ("later".to_owned(), name("primary")));
    db.close();
}

#[test]
fn rewriting_a_file_that_another_process_writes_to_waits_no_longer_than_a_call() {
    let scratch = Scratch::in_memory();
    let mut config = sources(scratch.path(), &[]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_millis(500));
    let (db, control) = open(&config);
    fill(&db, CHAT, "word");
    let holder = sqlite(&scratch.file("primary.db"));
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(control.vacuum(&name("primary"))));
    let refused = tells.recv_timeout(Duration::from_secs(20)).expect("it waits no longer").unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Busy { .. }), "{refused}");
    drop(holder);
    db.close();
}

#[test]
fn rows_that_are_kept_stay_and_the_chat_does_not_come_back_over_them() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "word");
    let before = answers::of(&db);
    let keep = MoveOptions { keep: true, ..small() };
    let report = control.move_chat(CHAT, &name("archive"), &keep, go_on).unwrap();
    assert_eq!((report.deleted, control.explain(CHAT).source), (0, name("archive")));
    assert_eq!(answers::of(&db), before);
    let (here, there) = (scratch.file("primary.db"), scratch.file("archive.db"));
    assert_eq!(rows_in(&here, CHAT), rows_in(&there, CHAT));
    assert!(matches!(moved(&control, CHAT, "primary"), Err(MoveError::ForeignRows { .. })));
    assert_eq!(control.unfinished_moves().unwrap(), []);
    db.close();
}

#[test]
fn a_chat_comes_out_of_a_read_only_source_with_its_rows_left_there() {
    let scratch = Scratch::in_memory();
    let mut config = sources(scratch.path(), &[(-1, "archive")]);
    let (db, _) = open(&config);
    fill(&db, CHAT, "word");
    db.close();
    config.sources.get_mut(&name("archive")).unwrap().readonly = true;
    let there = rows(&scratch.file("archive.db"));
    let (db, control) = open(&config);
    let before = answers::of(&db);
    let keep = MoveOptions { keep: true, ..small() };
    let plan = control.plan_move(CHAT, &name("third"), &keep).unwrap();
    let report = control.move_chat(CHAT, &name("third"), &keep, go_on).unwrap();
    assert_eq!((&report.rows, report.deleted), (&plan.rows, 0));
    assert_eq!((answers::of(&db), control.explain(CHAT).source), (before, name("third")));
    db.set_chat_setting(CHAT, "language", "new").unwrap();
    assert_eq!(control.unfinished_moves().unwrap(), []);
    db.close();
    assert_eq!(rows(&scratch.file("archive.db")), there);
}

/// A helper's task: says what a move to a disk with little room is refused with.
pub(crate) fn move_to_little_room(folder: &str) -> String {
    let scratch = Scratch::new();
    let mut config = sources(scratch.path(), &[]);
    let archive = config.sources.get_mut(&name("archive")).unwrap();
    archive.path = std::path::Path::new(folder).join("archive.db");
    archive.durability = Durability::Full;
    let (db, control) = open(&config);
    fill(&db, CHAT, "word");
    let refused = moved(&control, CHAT, "archive").unwrap_err();
    assert!(matches!(refused, MoveError::TooLittleDisk { .. }), "{refused}");
    db.close();
    refused.to_string()
}

#[test]
fn a_disk_with_too_little_room_is_not_filled() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=4m none {folder}; \"$0\" \"$@\"");
    let child = Child::start_in_namespace(&script, &["move-to-little-room", folder].map(OsStr::new));
    insta::assert_snapshot!(child.answer(), @"the disk of `archive` has too little room: about 17 MB are needed, 4 MB are free; make room first");
}

#[test]
fn rows_without_a_key_are_told_of_and_the_chat_stays() {
    let scratch = Scratch::new();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "ours");
    // As another program may have written it.
    let primary = sqlite(&scratch.file("primary.db"));
    let columns = sqlite_columns(&primary, "chat_summarization_cache");
    let others: Vec<_> = columns.into_iter().filter(|column| column != "csid").collect();
    let others = others.join(", ");
    let sql = format!(
        "INSERT INTO chat_summarization_cache (csid, {others}) SELECT NULL, {others} FROM chat_summarization_cache LIMIT 1"
    );
    // (More of them than are read at once.)
    for _ in 0..5 {
        assert_eq!(primary.execute(&sql, []).unwrap(), 1);
    }
    let error = moved(&control, CHAT, "archive").unwrap_err();
    assert!(error.to_string().contains("`chat_summarization_cache` has rows without a key (5)"), "{error}");
    assert_eq!(control.explain(CHAT).source, name("primary"));
    db.close();
}

#[test]
fn where_it_cannot_be_noted_that_a_chat_has_come_nothing_is_deleted_until_it_is() {
    let scratch = Scratch::new();
    let (db, control) = open(&sources(scratch.path(), &[(CHAT.0, "archive")]));
    fill(&db, CHAT, "ours");
    moved(&control, CHAT, "primary").unwrap();
    let before = rows_in(&scratch.file("primary.db"), CHAT);
    let refuse = "CREATE TRIGGER refuses BEFORE INSERT ON switchyard_meta WHEN NEW.key = 'here:-1'
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    sqlite(&scratch.file("archive.db")).execute_batch(refuse).unwrap();
    let error = moved(&control, CHAT, "archive").unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    // It is decided.
    assert_eq!(control.explain(CHAT).source, name("archive"));
    assert_eq!(rows_in(&scratch.file("primary.db"), CHAT), before);
    sqlite(&scratch.file("archive.db")).execute_batch("DROP TRIGGER refuses").unwrap();
    moved(&control, CHAT, "archive").unwrap();
    assert_eq!(control.unfinished_moves().unwrap(), []);
    db.close();
    assert_eq!(rows_in(&scratch.file("archive.db"), CHAT), before);
    assert_eq!(rows_in(&scratch.file("primary.db"), CHAT), 0);
}
