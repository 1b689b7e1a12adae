//! Chats that were mapped to another source by hand, while their rows stayed where they were.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Barrier;

use database::multi::{Control, MoveError, MoveOptions, Strays, Why};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, MessageFilter, NewMessage, UserId};

use super::{CHAT, OTHER, answers, fill, go_on, moved, rows_in, small, sources};
use crate::multi::{name, open};
use crate::support::Scratch;

/// Databases where a chat has its history in `primary`, and a configuration that leads it to `archive`.
fn left_behind(scratch: &Scratch) -> (DatabaseConfig, Vec<String>) {
    let (db, _) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "word");
    fill(&db, OTHER, "other");
    let before = answers::of(&db);
    db.close();
    (sources(scratch.path(), &[(-1, "archive")]), before)
}

/// How many rows of the chat each source has.
fn there(scratch: &Scratch) -> [usize; 3] {
    ["primary", "archive", "third"].map(|source| rows_in(&scratch.file(&format!("{source}.db")), CHAT))
}

fn is_whole(db: &DatabaseWrapper, control: &Control, before: &[String]) {
    assert_eq!(answers::of(db), before);
    let report = control.explain(CHAT);
    assert_eq!((report.source, report.why, report.passed_over), (name("archive"), Why::Mapped, None));
    assert_eq!((control.strays(), control.unfinished_moves().unwrap()), (Strays::default(), vec![]));
}

#[test]
fn a_chat_that_was_mapped_by_hand_and_wrote_nothing_since_has_its_history_brought_along() {
    let scratch = Scratch::in_memory();
    let (mapped, before) = left_behind(&scratch);
    // While it runs, as a reload leaves it.
    let (db, control) = open(&sources(scratch.path(), &[]));
    let rows = there(&scratch)[0];
    control.reload(&mapped).unwrap();
    assert_ne!(answers::of(&db), before, "it has started anew");
    let plan = control.plan_move(CHAT, &name("archive"), &small()).unwrap();
    assert_eq!((plan.chats, plan.mapping), (vec![(CHAT, name("primary"))], vec![]));
    assert_ne!(answers::of(&db), before, "planning moves nothing");
    let report = moved(&control, CHAT, "archive").unwrap();
    assert_eq!((report.chats, report.mapping), (vec![(CHAT, name("primary"))], vec![]));
    assert!(!report.is_nowhere);
    is_whole(&db, &control, &before);
    db.set_chat_setting(CHAT, "language", "written there").unwrap();
    assert_eq!(there(&scratch), [0, rows, 0]);
    db.close();
    let (db, control) = open(&mapped);
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("written there"));
    assert_eq!(control.status().disputed, []);
    // And the other way: its line was taken away.
    db.set_chat_setting(CHAT, "language", "word").unwrap();
    let before = answers::of(&db);
    db.close();
    let (db, control) = open(&sources(scratch.path(), &[]));
    assert_ne!(answers::of(&db), before);
    moved(&control, CHAT, "primary").unwrap();
    assert_eq!(answers::of(&db), before);
    assert_eq!((there(&scratch), control.explain(CHAT).why), ([rows, 0, 0], Why::Default));
    db.close();
}

#[test]
fn with_keep_the_rows_stay_where_they_were_left_too() {
    let scratch = Scratch::in_memory();
    let (mapped, before) = left_behind(&scratch);
    let (db, control) = open(&mapped);
    let rows = there(&scratch)[0];
    let keep = MoveOptions { keep: true, ..small() };
    control.move_chat(CHAT, &name("archive"), &keep, go_on).unwrap();
    assert_eq!((answers::of(&db), there(&scratch)), (before, [rows, rows, 0]));
    db.close();
}

#[test]
fn a_group_and_the_supergroup_that_it_became_are_brought_along_together() {
    let scratch = Scratch::in_memory();
    let (db, _) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "group");
    db.migrate_chat(CHAT, ChatId(-10)).unwrap();
    fill(&db, ChatId(-10), "supergroup");
    let before = answers::of(&db);
    db.close();
    for mapping in [&[(-1, "archive")][..], &[(-1, "third"), (-10, "third")]] {
        let (db, control) = open(&sources(scratch.path(), mapping));
        let report = moved(&control, ChatId(-10), mapping[0].1).unwrap();
        assert_eq!(report.chats.len(), 2);
        assert_eq!(answers::of(&db), before);
        assert_eq!(control.strays(), Strays::default());
        db.close();
    }
}

#[test]
fn wherever_it_is_broken_off_nothing_is_lost_and_the_same_command_completes_it() {
    let (mut seen, mut is_done) = ([0, 0], false);
    for stop in 0.. {
        let scratch = Scratch::in_memory();
        let (mapped, before) = left_behind(&scratch);
        let (db, control) = open(&mapped);
        let steps = Cell::new(0);
        let break_off = |_| {
            steps.set(steps.get() + 1);
            if steps.get() > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = control.move_chat(CHAT, &name("archive"), &MoveOptions::default(), break_off);
        let report = control.explain(CHAT);
        if report.source == name("primary") {
            // Led back, and not on its way any more.
            assert_eq!((answers::of(&db), report.passed_over), (before.clone(), Some(name("archive"))), "{stop}");
            assert_eq!(
                ended.unwrap_err().to_string().contains("--abort"),
                !control.unfinished_moves().unwrap().is_empty()
            );
            seen[0] += 1;
        } else if ended.is_err() && there(&scratch)[1] > 0 {
            assert_eq!(answers::of(&db), before, "{stop}: it has come, and old rows are left");
            seen[1] += 1;
        } else if let Err(error) = ended {
            assert!(!error.to_string().contains("--abort"), "there is nothing to undo");
        } else {
            is_done = true;
        }
        db.close();
        let (db, control) = open(&mapped);
        if !is_done {
            if stop % 2 == 0 && control.explain(CHAT).source == name("primary") {
                let undone = control.abort_move(CHAT, go_on);
                assert!(matches!(undone, Ok(_) | Err(MoveError::NothingToAbort { .. })), "{undone:?}");
                assert_eq!(answers::of(&db), before, "{stop}");
            }
            moved(&control, CHAT, "archive").unwrap();
        }
        is_whole(&db, &control, &before);
        assert_eq!(there(&scratch)[0], 0);
        db.close();
        if is_done {
            break;
        }
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn what_is_written_at_that_very_moment_is_found_wherever_the_chat_is_then() {
    const CHATS: i64 = 60;
    let scratch = Scratch::in_memory();
    let chats: Vec<_> = (1..=CHATS).map(|number| ChatId(-100 - number)).collect();
    let (db, control) = open(&sources(scratch.path(), &[]));
    let say = |chat: ChatId, text: &str| {
        db.save_chat_message(chat, &NewMessage::text(text, db.now(), UserId(1), text)).unwrap();
    };
    for chat in &chats {
        db.update_chat_user(*chat, UserId(1), "@ada", "Ada").unwrap();
        say(*chat, "before");
    }
    let mapping: Vec<_> = chats.iter().map(|chat| (chat.0, "archive")).collect();
    control.reload(&sources(scratch.path(), &mapping)).unwrap();
    let (mut brought, mut refused) = (0, 0);
    for (round, chat) in chats.iter().enumerate() {
        let begin = Barrier::new(2);
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                begin.wait();
                // At another moment of the move each time.
                for _ in 0..round * 40 {
                    db.get_chat_setting(*chat, "language").unwrap();
                }
                db.update_chat_user(*chat, UserId(1), "@ada", "Ada").unwrap();
                say(*chat, "meanwhile");
            });
            begin.wait();
            moved(&control, *chat, "archive")
        });
        let texts = || {
            let said = db.get_chat_messages_since(*chat, &MessageFilter::default()).unwrap();
            let mut texts: Vec<_> = said.into_iter().map(|message| message.message_text).collect();
            texts.sort();
            texts
        };
        let behind = || rows_in(&scratch.file("primary.db"), *chat);
        match ended {
            Ok(_) => {
                assert_eq!((texts(), behind()), (vec!["before".to_owned(), "meanwhile".to_owned()], 0));
                brought += 1;
            }
            Err(MoveError::AlreadyThere { .. }) => {
                assert_eq!((texts(), behind() > 0), (vec!["meanwhile".to_owned()], true));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        let report = control.explain(*chat);
        assert_eq!((report.source, report.why), (name("archive"), Why::Mapped));
    }
    assert!(brought > 0, "{refused} were refused");
    db.close();
}

#[test]
fn where_it_cannot_be_told_which_history_is_meant_it_says_how_each_is_gone_on_with() {
    let scratch = Scratch::in_memory();
    let (mapped, _) = left_behind(&scratch);
    let refused = |config: &DatabaseConfig, to: &str| {
        let (db, control) = open(config);
        let refused = moved(&control, CHAT, to).unwrap_err().to_string();
        assert_eq!(control.plan_move(CHAT, &name(to), &small()).unwrap_err().to_string(), refused);
        db.close();
        refused
    };
    let mut seen = Vec::new();
    // Something was written there since.
    let (db, _) = open(&mapped);
    db.set_chat_setting(CHAT, "language", "since").unwrap();
    db.close();
    let before = there(&scratch);
    seen.push(refused(&mapped, "archive"));
    // In two other places.
    seen.push(refused(&sources(scratch.path(), &[(-1, "third")]), "third"));
    assert_eq!(there(&scratch), before);
    // Where its rows cannot be deleted.
    let scratch = Scratch::in_memory();
    let (db, _) = open(&sources(scratch.path(), &[(-1, "archive")]));
    fill(&db, CHAT, "word");
    db.close();
    let mut readonly = sources(scratch.path(), &[(-1, "third")]);
    readonly.sources.get_mut(&name("archive")).unwrap().readonly = true;
    seen.push(refused(&readonly, "third"));
    insta::assert_snapshot!(seen.join("\n"), @r#"
        the chat -1 is in `archive` already, which holds rows of it (1), and so do others (`primary`: 30); two histories are not joined, and `bot db verify -1` compares them. To stay with that of `archive` nothing has to be done. To go on with that of `primary`, and lose what only `archive` holds: have [database.chat_mapping] say `-1 = "primary"`, then `bot db reload` (where the bot runs); once `bot db route -1` says `primary`, `bot db strays --clear --only-here -1`; then repeat the move
        the chat -1 is in `third` already, where nothing of it is, and other sources hold rows of it (`primary`: 30, `archive`: 1); to bring what `primary` holds, have [database.chat_mapping] say `-1 = "primary"`, then `bot db reload` (where the bot runs), then repeat the move
        the chat -1 is in `third` already, where nothing of it is, and other sources hold rows of it (`archive`: 30); to bring what `archive` holds, have [database.chat_mapping] say `-1 = "archive"`, then `bot db reload` (where the bot runs), then repeat the move
        "#);
}

#[test]
fn a_chat_that_nobody_knows_is_led_nowhere_and_one_that_is_mapped_is_though_nothing_is_anywhere() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[(-1, "archive")]));
    fill(&db, OTHER, "other");
    let unknown = ChatId(424_242);
    let refused = control.plan_move(unknown, &name("third"), &small()).unwrap_err();
    assert!(matches!(refused, MoveError::Unknown { .. }), "{refused}");
    assert_eq!(moved(&control, unknown, "third").unwrap_err().to_string(), refused.to_string());
    let report = control.explain(unknown);
    assert_eq!((report.source, report.why), (name("primary"), Why::Default));
    assert!(!scratch.file("third.db").exists(), "nothing is made for it");
    assert!(control.plan_move(CHAT, &name("third"), &small()).unwrap().is_nowhere);
    assert!(!control.plan_move(OTHER, &name("archive"), &small()).unwrap().is_nowhere);
    assert!(moved(&control, CHAT, "third").unwrap().is_nowhere);
    assert_eq!(control.explain(CHAT).source, name("third"));
    // That it was moved before is known of it too.
    assert!(moved(&control, CHAT, "archive").unwrap().is_nowhere);
    fill(&db, CHAT, "word");
    assert!(!moved(&control, CHAT, "third").unwrap().is_nowhere);
    db.close();
}

#[test]
fn undoing_a_move_tells_of_how_many_rows_from_its_beginning() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "word");
    let stop = |progress: database::multi::Progress| {
        if progress.stage == database::multi::Stage::Verifying { ControlFlow::Break(()) } else { go_on(progress) }
    };
    control.move_chat(CHAT, &name("archive"), &small(), stop).unwrap_err();
    let mut totals = Vec::new();
    let undone = control.abort_move(CHAT, |progress| {
        totals.push((progress.done, progress.total));
        go_on(progress)
    });
    let undone = undone.unwrap();
    assert!(totals.contains(&(0, undone)) && totals.iter().all(|(_, total)| *total >= undone), "{undone}: {totals:?}");
    db.close();
}
