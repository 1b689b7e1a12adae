//! What happens while a chat is moved: late writers, sources that change or fail, a second move.

use std::ops::ControlFlow;
use std::time::Duration;

use database::multi::{MoveError, MoveOptions, Progress, Stage};
use database::{ErrorKind, OnUnavailable, Route, params};
use rstest::rstest;

use super::super::{carry, config_of, eventually, name, open, take_away};
use super::{MOVED, OTHERS, config, fill, go_on, hold_read, move_to};
use crate::support::{Scratch, sqlite};

#[test]
fn whoever_has_begun_to_write_before_the_cut_over_writes_where_the_chat_is() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    fill(&db, MOVED, 100);
    // They wait behind another chat's write when the chat is led over, with the table of before in their hands.
    let held = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let (db, held) = (&db, &held);
        let mut has_begun = false;
        let mut late = Vec::new();
        let begin = |progress: Progress| {
            if progress.stage == Stage::Switching && !has_begun {
                has_begun = true;
                scope.spawn(move || {
                    let mut is_first = true;
                    db.write("test.hold", Route::Chat(OTHERS[0].0), |tx| {
                        tx.execute("UPDATE switchyard_meta SET value = value WHERE key = 'schema'", params![])?;
                        if std::mem::take(&mut is_first) {
                            held.wait();
                            std::thread::park_timeout(Duration::from_millis(300));
                        }
                        Ok(())
                    })
                    .unwrap();
                });
                held.wait();
                late = (0..8)
                    .map(|number| {
                        scope.spawn(move || db.set_chat_setting(MOVED, &format!("late-{number}"), "kept").unwrap())
                    })
                    .collect();
            }
            ControlFlow::Continue(())
        };
        control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), begin).unwrap();
        late.into_iter().for_each(|late| late.join().unwrap());
    });
    assert_eq!(db.get_chat_settings(MOVED).unwrap().len(), 8);
    assert_eq!(db.on_source("primary").get_chat_settings(MOVED).unwrap().len(), 0);
    db.close();
}

/// While a call uses the file that was open before, it stays open and can be compared with.
#[rstest]
fn a_source_that_is_opened_anew_meanwhile_has_the_move_begin_anew(#[values(false, true)] is_used: bool) {
    let scratch = Scratch::new();
    let config = config(&scratch);
    let (db, control) = open(&config);
    fill(&db, MOVED, 1_000);
    let mut next = config.clone();
    next.sources.get_mut(&name("primary")).unwrap().max_connections += 1;
    let mut times = 0;
    std::thread::scope(|scope| {
        // Let go as soon as this is at its end, well or badly.
        let mut let_go = None;
        let alter = |progress: Progress| {
            if progress.stage == Stage::Verifying && progress.done == 0 {
                times += 1;
                if times == 1 {
                    let_go = is_used.then(|| hold_read(scope, &db, MOVED));
                    // The next calls are made on another connection, where nobody notices them.
                    control.reload(&next).unwrap();
                    db.set_chat_setting(MOVED, "unnoticed", "kept").unwrap();
                }
            }
            // It is compared with what is open still, and begins anew when nobody uses that any more.
            if progress.stage == Stage::Waiting && is_used {
                let_go.take();
            }
            ControlFlow::Continue(())
        };
        control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), alter).unwrap();
    });
    assert_eq!(times, 2, "it was copied again");
    assert_eq!(db.get_chat_setting(MOVED, "unnoticed").unwrap().as_deref(), Some("kept"));
    db.close();
}

#[test]
fn a_target_whose_file_is_another_in_the_end_does_not_have_the_chat_led_there() {
    let scratch = Scratch::new();
    let mut config = config(&scratch);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_secs(2));
    let (db, control) = open(&config);
    fill(&db, MOVED, 1_000);
    let (other, key) = (OTHERS[1].0, "there");
    db.set_chat_setting(other, key, "as it was").unwrap();
    let before = scratch.file("before.db");
    sqlite(&scratch.file("archive.db")).execute("VACUUM INTO ?1", [before.to_str().unwrap()]).unwrap();
    let mut is_replaced = false;
    let replace = |progress: Progress| {
        if progress.stage == Stage::Switching && !std::mem::replace(&mut is_replaced, true) {
            carry(&scratch.file("archive.db"), &scratch.file("away.db"));
            std::fs::rename(&before, scratch.file("archive.db")).unwrap();
            // Whoever calls finds that out, and has it opened where that can be.
            (0..20).any(|_| {
                std::thread::park_timeout(Duration::from_millis(20));
                db.get_chat_setting(other, key).is_ok()
            });
        }
        ControlFlow::Continue(())
    };
    let moved = control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), replace);
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 1_000, "{moved:?}");
    if moved.is_err() {
        eventually("it is moved", || move_to(&control, "archive").is_ok());
    }
    assert_eq!(control.explain(MOVED).source, name("archive"));
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 1_000);
    db.close();
}

#[test]
fn a_source_that_fails_meanwhile_keeps_the_chat() {
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", "archive", "third"], &[(MOVED.0, "archive")]);
    config.sources.get_mut(&name("archive")).unwrap().on_unavailable = OnUnavailable::StandIn;
    let (db, control) = open(&config);
    fill(&db, MOVED, 1_000);
    let mut is_away = false;
    let take_away = |progress: Progress| {
        if progress.stage == Stage::Verifying && !is_away {
            is_away = true;
            take_away(&scratch, "archive");
            // Whoever calls finds that out.
            while db.set_chat_setting(MOVED, "meanwhile", "kept").is_err() {}
            assert!(db.is_displaced(MOVED));
        }
        ControlFlow::Continue(())
    };
    let error = control.move_chat(MOVED, &name("third"), &MoveOptions::default(), take_away).unwrap_err();
    assert!(
        matches!(&error, MoveError::SourceChanged { .. } | MoveError::Away { .. } | MoveError::Database(_)),
        "{error}"
    );
    assert_eq!(control.explain(MOVED).source, name("archive"));
    std::fs::rename(scratch.file("archive.away"), scratch.file("archive.db")).unwrap();
    control.retry(&name("archive")).unwrap();
    eventually("the chat is home", || !db.is_displaced(MOVED));
    control.move_chat(MOVED, &name("third"), &MoveOptions::default(), go_on).unwrap();
    assert_eq!(db.get_chat_setting(MOVED, "meanwhile").unwrap().as_deref(), Some("kept"));
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 1_000);
    db.close();
}

#[test]
fn a_move_that_is_broken_off_while_it_catches_up_leaves_the_chat_and_the_next_one_goes_on() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    fill(&db, MOVED, 100);
    let mut is_changed = false;
    let break_off = |progress: Progress| match progress.stage {
        Stage::Verifying if !std::mem::replace(&mut is_changed, true) => {
            db.set_chat_setting(MOVED, "meanwhile", "kept").unwrap();
            ControlFlow::Continue(())
        }
        Stage::CatchingUp => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let error = control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), break_off).unwrap_err();
    insta::assert_snapshot!(error, @"the move was broken off while catching up; repeat it to bring it to its end, or undo it with `--abort`");
    assert_eq!(control.explain(MOVED).source, name("primary"));
    move_to(&control, "archive").unwrap();
    assert_eq!(db.get_chat_setting(MOVED, "meanwhile").unwrap().as_deref(), Some("kept"));
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 100);
    db.close();
}

#[test]
fn a_chat_is_moved_by_one_at_a_time() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    fill(&db, MOVED, 100);
    let mut refused = Vec::new();
    let again = |progress: Progress| {
        if progress.stage == Stage::Copying && refused.is_empty() {
            refused.push(move_to(&control, "archive").unwrap_err());
            refused.push(control.abort_move(MOVED, go_on).unwrap_err());
        }
        ControlFlow::Continue(())
    };
    control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), again).unwrap();
    assert!(refused.iter().all(|error| matches!(error, MoveError::UnderWay { chat } if *chat == MOVED)));
    db.close();
}

#[test]
fn the_default_source_failing_at_the_very_moment_loses_nothing() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    fill(&db, MOVED, 100);
    let fail = |progress: Progress| {
        if progress.stage == Stage::Switching {
            let _ = std::fs::rename(scratch.file("primary.db"), scratch.file("primary.away"));
        }
        ControlFlow::Continue(())
    };
    let error = control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), fail).unwrap_err();
    assert!(!matches!(error, MoveError::Leftovers { .. }), "{error}");
    std::fs::rename(scratch.file("primary.away"), scratch.file("primary.db")).unwrap();
    eventually("the default is back", || match db.set_chat_setting(MOVED, "after", "kept") {
        Ok(()) => true,
        Err(error) => {
            assert!(!matches!(error.kind(), ErrorKind::Moved), "{error}");
            false
        }
    });
    move_to(&control, "archive").unwrap();
    assert_eq!(db.get_chat_setting(MOVED, "after").unwrap().as_deref(), Some("kept"));
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 100);
    db.close();
}
