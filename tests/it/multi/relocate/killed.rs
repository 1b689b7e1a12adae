//! Moves that end in the middle: broken off, or killed, at every step and at any moment; gone on with, or undone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;

use database::multi::{MappingChange, MoveError, Progress, Stage};
use database::{ChatId, DatabaseWrapper, MediaId, NewMessage, UserId};

use super::{CHAT, OTHER, answers, files_with, fill, go_on, moved, name, open, rows_in, small, sources};
use crate::child::Child;
use crate::support::{Scratch, time};

const NEW: ChatId = ChatId(-10);

/// The files of a folder.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

fn folder_of(files: &Files) -> Scratch {
    let scratch = Scratch::in_memory();
    for (name, bytes) in files {
        std::fs::write(scratch.file(name), bytes).unwrap();
    }
    scratch
}

/// Two chats in the default source, one of which became a supergroup; all files closed. And what is answered.
fn made(messages: i64) -> (Files, Vec<String>) {
    let scratch = Scratch::in_memory();
    let (db, _) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "CANARY-ONE");
    fill(&db, OTHER, "CANARY-TWO");
    db.migrate_chat(CHAT, NEW).unwrap();
    let said = |number: i64| {
        let mut message = NewMessage::text(100 + number, time("2026-01-02 00:00:00"), UserId(1), "CANARY-ONE again");
        message.media_id = (number == 3).then(|| MediaId::from("CANARY-TWO-4"));
        message
    };
    db.save_chat_messages(NEW, &(0..messages).map(said).collect::<Vec<_>>()).unwrap();
    let before = answers::of(&db);
    db.close();
    (files(scratch.path()), before)
}

/// One owner, and every answer as before; then the move is gone on with.
fn goes_on(left: &Files, before: &[String]) {
    let scratch = folder_of(left);
    let (db, control) = open(&sources(scratch.path(), &[]));
    one_owner(&db, before);
    match moved(&control, NEW, "archive") {
        // It was at its end.
        Err(MoveError::AlreadyThere { .. }) => assert_eq!(control.explain(CHAT).source, name("archive")),
        report => drop(report.unwrap()),
    }
    assert_eq!(db.source_of(database::Route::Chat(CHAT)).unwrap(), name("archive"));
    one_owner(&db, before);
    assert_eq!(control.unfinished_moves().unwrap(), []);
    control.vacuum(&name("primary")).unwrap();
    db.close();
    assert_eq!(files_with(&scratch, "CANARY-ONE"), ["archive.db"]);
    assert_eq!(rows_in(&scratch.file("primary.db"), CHAT) + rows_in(&scratch.file("primary.db"), NEW), 0);
}

/// The move is undone, which it can be until it is switched. Answers whether it was.
fn is_undone(left: &Files, before: &[String]) -> bool {
    let scratch = folder_of(left);
    let (db, control) = open(&sources(scratch.path(), &[]));
    let owner = control.explain(CHAT).source;
    let undone = match control.abort_move(CHAT, go_on) {
        Ok(_) => true,
        Err(MoveError::AlreadySwitched { .. }) => false,
        Err(MoveError::NothingToAbort { .. }) => owner == name("primary"),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(undone, owner == name("primary"));
    assert_eq!(control.explain(CHAT).source, owner);
    one_owner(&db, before);
    control.vacuum(&name("archive")).unwrap();
    db.close();
    if undone {
        assert_eq!(files_with(&scratch, "CANARY-ONE"), ["primary.db"]);
        let archive = scratch.file("archive.db");
        assert_eq!(rows_in(&archive, CHAT) + rows_in(&archive, NEW), 0);
    }
    undone
}

fn one_owner(db: &DatabaseWrapper, before: &[String]) {
    let source = |chat| db.source_of(database::Route::Chat(chat)).unwrap();
    assert_eq!(source(CHAT), source(NEW), "both are in one source");
    assert_eq!(answers::of(db), before);
}

#[test]
fn a_move_that_is_broken_off_at_any_step_is_gone_on_with_or_undone() {
    let (start, before) = made(7);
    let mut stages = BTreeMap::new();
    for step in 0.. {
        let scratch = folder_of(&start);
        let (db, control) = open(&sources(scratch.path(), &[]));
        let mut left = step;
        let stop = |progress: Progress| {
            left -= 1;
            if left >= 0 {
                return ControlFlow::Continue(());
            }
            *stages.entry(progress.stage).or_insert(0) += 1;
            ControlFlow::Break(())
        };
        match control.move_chat(CHAT, &name("archive"), &small(), stop) {
            Ok(_) => break,
            Err(MoveError::Interrupted { .. }) => assert_eq!(control.explain(CHAT).source, name("primary")),
            Err(MoveError::Leftovers { report, .. }) => {
                assert_eq!(control.explain(CHAT).source, name("archive"));
                assert_eq!(report.mapping, [MappingChange::Set { chat: CHAT, source: name("archive") }]);
            }
            Err(error) => panic!("{error}"),
        }
        // In the same process as well as in the next.
        one_owner(&db, &before);
        db.close();
        let left = files(scratch.path());
        goes_on(&left, &before);
        is_undone(&left, &before);
    }
    let few = stages.iter().find(|(stage, times)| **times < 5 && **stage != Stage::Switching);
    assert!(few.is_none() && stages.len() == 4, "{stages:?}");
}

#[test]
fn a_move_that_is_killed_at_any_step_is_gone_on_with_or_undone() {
    let (start, before) = made(7);
    let mut stages = BTreeMap::<String, u32>::new();
    for step in 0.. {
        let scratch = folder_of(&start);
        let stop = step.to_string();
        let mut child = Child::start(&[OsStr::new("move"), scratch.path().as_os_str(), OsStr::new("8"), stop.as_ref()]);
        let mut last = String::new();
        for _ in 0..=step {
            last = child.line();
            // How often it looks whether others have come to an end depends on chance.
            if last == "done" {
                break;
            }
        }
        if last == "done" {
            child.finish();
            break;
        }
        child.kill();
        *stages.entry(last).or_default() += 1;
        let left = files(scratch.path());
        goes_on(&left, &before);
        is_undone(&left, &before);
    }
    assert_eq!(
        stages.keys().map(String::as_str).collect::<Vec<_>>(),
        ["copying", "deleting", "switching", "verifying"]
    );
}

#[test]
fn a_move_that_is_killed_at_any_moment_is_gone_on_with_or_undone() {
    let (start, before) = made(400);
    let mut outcomes = [0, 0];
    for round in 0..20 {
        let scratch = folder_of(&start);
        let task = [OsStr::new("move"), scratch.path().as_os_str(), OsStr::new("16"), OsStr::new("never")];
        let mut child = Child::start(&task);
        // It does not wait there: what it is in the middle of depends on chance.
        for _ in 0..=round * 8 {
            if child.line() == "done" {
                break;
            }
        }
        child.kill();
        let left = files(scratch.path());
        goes_on(&left, &before);
        outcomes[usize::from(is_undone(&left, &before))] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "each happens: {outcomes:?}");
}

#[test]
fn undoing_and_going_on_can_be_broken_off_themselves() {
    let (start, before) = made(7);
    let scratch = folder_of(&start);
    let (db, control) = open(&sources(scratch.path(), &[]));
    let at = |stage: Stage| {
        move |progress: Progress| {
            if progress.stage == stage && progress.done > 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    };
    let archive = name("archive");
    control.move_chat(CHAT, &archive, &small(), at(Stage::Copying)).unwrap_err();
    control.abort_move(CHAT, at(Stage::Tidying)).unwrap_err();
    one_owner(&db, &before);
    assert_eq!(control.unfinished_moves().unwrap().len(), 2);
    // A move to another place has to wait.
    let refused = moved(&control, CHAT, "third").unwrap_err();
    insta::assert_snapshot!(refused, @"a move of the chat -10 from `primary` to `archive` was broken off; bring it to its end with `bot db move -10 --to archive`, or undo it with `bot db move -10 --abort`");
    control.abort_move(NEW, go_on).unwrap();
    let refused = control.abort_move(CHAT, go_on).unwrap_err();
    insta::assert_snapshot!(refused, @"no move of the chat -1 was broken off; there is nothing to undo");

    let mut told = Vec::new();
    for stage in [Stage::Deleting, Stage::Tidying] {
        told.push(control.move_chat(CHAT, &archive, &small(), at(stage)).unwrap_err().to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    the chat is in `archive`; its old rows are not all deleted, since it was broken off while deleting; repeat the move, which deletes them
    the chat is in `archive`; its old rows are not all deleted, since it was broken off while tidying; repeat the move, which deletes them
    ");
    one_owner(&db, &before);
    let refused = control.abort_move(CHAT, go_on).unwrap_err();
    insta::assert_snapshot!(refused, @"the chat -10 is in `archive` already, and only its old rows in `primary` are left to delete; end that with `bot db move -10 --to archive`, or move it back with `bot db move -10 --to primary`");
    // What is left there is not what the chat has by now: the old rows go before it comes back.
    db.set_chat_setting(NEW, "language", "later").unwrap();
    let before = answers::of(&db);
    let report = moved(&control, CHAT, "primary").unwrap();
    assert!(report.tidied > 0 && report.chats.len() == 2);
    one_owner(&db, &before);
    control.vacuum(&archive).unwrap();
    db.close();
    assert_eq!(files_with(&scratch, "CANARY-ONE"), ["primary.db"]);
}
