//! Calls that began before the configuration was changed, and are under way when a chat is moved.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use database::multi::{MoveError, MoveOptions, Progress, Stage};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, Route, params};
use rstest::rstest;

use super::super::{config_of, name, open};
use super::{MOVED, fill, go_on, hold_read, move_to};
use crate::support::{HandClock, Scratch, time};

/// A setting of the chat that is written and not committed before it is let go: when this is dropped, or told so.
struct Held<'scope> {
    let_go: Option<Sender<()>>,
    write: Option<std::thread::ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Held<'scope> {
    fn write<'env>(scope: &'scope Scope<'scope, 'env>, db: &'env DatabaseWrapper) -> Self {
        let (begun, has_begun) = channel::<()>();
        let (let_go, is_let_go): (_, Receiver<()>) = channel();
        let write = scope.spawn(move || {
            let mut first = Some((begun, is_let_go));
            db.write("test.hold", Route::Chat(MOVED), |tx| {
                let now = db.now();
                tx.execute(
                    "INSERT INTO chat_settings (chat_id, key, value, updated_at) VALUES (-1, 'late', 'kept', ?1)",
                    params![now],
                )?;
                if let Some((begun, is_let_go)) = first.take() {
                    begun.send(()).unwrap();
                    // The other end is dropped.
                    let _ = is_let_go.recv();
                }
                Ok(())
            })
            .unwrap();
        });
        has_begun.recv().unwrap();
        Self { let_go: Some(let_go), write: Some(write) }
    }

    /// Lets it be committed and answered.
    fn end(&mut self) {
        drop(self.let_go.take());
        if let Some(write) = self.write.take() {
            write.join().unwrap();
        }
    }
}

/// With settings of the source that the chat is in that are others than those that it is open with.
fn altered(config: &DatabaseConfig, is_readonly: bool) -> DatabaseConfig {
    let mut next = config.clone();
    let archive = next.sources.get_mut(&name("archive")).unwrap();
    (archive.readonly, archive.max_connections) = (is_readonly, archive.max_connections + 1);
    next
}

/// The same file is open twice from then on, and what is written through the first is not noticed by the second.
#[rstest]
fn a_write_that_began_before_a_reload_moves_with_its_chat(#[values(false, true)] is_readonly: bool) {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive"], &[(MOVED.0, "archive")]);
    let (db, control) = open(&config);
    fill(&db, MOVED, 1_000);
    let mut stages = Vec::new();
    std::thread::scope(|scope| {
        let mut late = Held::write(scope, &db);
        control.reload(&altered(&config, is_readonly)).unwrap();
        let options = MoveOptions { keep: is_readonly, ..MoveOptions::default() };
        let show = |progress: Progress| {
            if stages.last() != Some(&progress.stage) {
                stages.push(progress.stage);
            }
            // If nobody waited for it, that would be too late for the copy.
            if matches!(progress.stage, Stage::Waiting | Stage::Switching) {
                late.end();
            }
            ControlFlow::Continue(())
        };
        control.move_chat(MOVED, &name("primary"), &options, show).unwrap();
        late.end();
    });
    assert_eq!(control.explain(MOVED).source, name("primary"));
    assert_eq!(db.get_chat_setting(MOVED, "late").unwrap().as_deref(), Some("kept"), "it was answered");
    assert_eq!(stages[0], Stage::Waiting);
    db.close();
}

/// Whichever chat that is of: the table does not say.
#[rstest]
fn a_move_waits_for_an_earlier_call_for_a_while_and_then_moves_nothing(#[values(MOVED, ChatId(-2))] chat: ChatId) {
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(MOVED.0, "archive")]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_millis(500));
    let (db, control) = open(&config);
    fill(&db, MOVED, 100);
    std::thread::scope(|scope| {
        let let_go = hold_read(scope, &db, chat);
        control.reload(&altered(&config, false)).unwrap();
        let error = move_to(&control, "primary").unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"calls that began before the configuration was changed, or before the source of the chat -1 came home, have not ended in 1.5s, and what one of them may still write in the chat would not be moved; the chat is where it was; repeat the move when they have ended");
        }
        let broken_off =
            control.move_chat(MOVED, &name("primary"), &MoveOptions::default(), |_| ControlFlow::Break(()));
        assert!(matches!(broken_off, Err(MoveError::Interrupted { stage: Stage::Waiting })));
        drop(let_go);
    });
    assert_eq!(control.explain(MOVED).source, name("archive"));
    assert_eq!(control.unfinished_moves().unwrap(), []);
    move_to(&control, "primary").unwrap();
    assert_eq!(db.get_chat_totals(MOVED).unwrap().messages, 100);
    db.close();
}

#[test]
fn a_chat_that_is_mapped_elsewhere_and_back_meanwhile_is_copied_again_when_its_writes_there_have_ended() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive", "third"], &[]);
    let (db, control) = open(&config);
    fill(&db, MOVED, 1_000);
    let mut elsewhere = config.clone();
    elsewhere.chat_mapping.insert(MOVED, name("third"));
    let mut stages = Vec::new();
    std::thread::scope(|scope| {
        let mut late: Option<Held<'_>> = None;
        let show = |progress: Progress| {
            if stages.last() != Some(&progress.stage) {
                stages.push(progress.stage);
            }
            match (progress.stage, &mut late) {
                (Stage::Verifying, None) => {
                    control.reload(&elsewhere).unwrap();
                    late = Some(Held::write(scope, &db));
                    control.reload(&config).unwrap();
                }
                (Stage::Waiting, Some(late)) => late.end(),
                _ => {}
            }
            ControlFlow::Continue(())
        };
        control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), show).unwrap();
    });
    use Stage::{Copying, Deleting, Switching, Tidying, Verifying, Waiting};
    let expected = [Copying, Verifying, Switching, Waiting, Tidying, Copying, Verifying, Switching, Deleting];
    assert_eq!(stages, expected);
    assert_eq!(db.get_chat_setting(MOVED, "late").unwrap(), None, "a mapping moves no rows");
    assert_eq!(db.on_source("third").get_chat_setting(MOVED, "late").unwrap().as_deref(), Some("kept"));
    db.close();
}

/// Of rows that were written since a move was broken off it is said so, also where they come late.
#[rstest]
#[case::undoing(Stage::Copying)]
#[case::bringing_it_to_its_end(Stage::Deleting)]
fn what_a_move_has_left_is_deleted_only_when_calls_that_may_write_there_have_ended(#[case] broken_off_at: Stage) {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "archive"], &[]);
    let clock = HandClock::at("2026-01-02 00:00:00");
    let (db, control) = DatabaseWrapper::open_multi(&config, clock.options()).unwrap();
    fill(&db, MOVED, 3_000);
    let stop = |progress: Progress| {
        if progress.stage == broken_off_at && progress.done > 5 { ControlFlow::Break(()) } else { go_on(progress) }
    };
    control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), stop).unwrap_err();
    clock.set(time("2026-01-02 00:01:00"));
    // For a while it is mapped to where the leftovers are.
    let (at_first, left_in) = match broken_off_at {
        Stage::Copying => ("primary", "archive"),
        _ => ("archive", "primary"),
    };
    let mapped_to = |to: &str| {
        let mut next = config.clone();
        next.chat_mapping.insert(MOVED, name(to));
        next
    };
    control.reload(&mapped_to(left_in)).unwrap();
    std::thread::scope(|scope| {
        let mut late = Held::write(scope, &db);
        control.reload(&mapped_to(at_first)).unwrap();
        let mut has_waited = false;
        let show = |progress: Progress| {
            has_waited |= progress.stage == Stage::Waiting;
            // If nobody waited for it, that would be too late to be seen.
            if matches!(progress.stage, Stage::Waiting | Stage::Tidying) {
                late.end();
            }
            ControlFlow::Continue(())
        };
        let refused = match broken_off_at {
            Stage::Copying => control.abort_move(MOVED, show).map(drop),
            _ => control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), show).map(drop),
        };
        late.end();
        assert!(matches!(&refused, Err(MoveError::WrittenSince { .. })), "{refused:?}");
        assert!(has_waited);
    });
    assert_eq!(db.on_source(left_in).get_chat_setting(MOVED, "late").unwrap().as_deref(), Some("kept"));
    db.close();
}
