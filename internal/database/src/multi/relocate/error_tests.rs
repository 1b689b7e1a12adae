//! What is said of a move that was stopped.

use super::error::{Difference, MoveError, Unlike};
use super::report::{MoveReport, Stage};
use crate::error::{Error, ErrorKind};
use crate::ids::ChatId;
use crate::route::SourceName;

fn name(name: &str) -> SourceName {
    name.parse().unwrap()
}

#[test]
fn a_move_that_was_broken_off_says_at_what_and_what_can_be_done() {
    let either = "repeat it to bring it to its end, or undo it with `--abort`";
    let table = [
        (Stage::Waiting, "waiting for earlier calls", "repeat it to bring it to its end"),
        // It may be an earlier one that is switched already: that cannot be undone.
        (Stage::Tidying, "tidying", "repeat it to bring it to its end"),
        (Stage::Copying, "copying", either),
        (Stage::Verifying, "verifying", either),
        (Stage::Switching, "switching", either),
        (Stage::Deleting, "deleting", "repeat it to bring it to its end"),
    ];
    for (stage, at, advice) in table {
        let expected = format!("the move was broken off while {at}; {advice}");
        assert_eq!(MoveError::Interrupted { stage }.to_string(), expected);
    }
}

#[test]
fn what_stops_a_move_after_the_switch_is_said_without_advice_that_would_undo_it() {
    let archive = name("archive");
    let failed = || Error::new("relocate.clear", &archive, ErrorKind::DiskFull);
    let (interrupted, failed_alone) = ("it was broken off while deleting", failed().to_string());
    let table = [
        (MoveError::Interrupted { stage: Stage::Deleting }, interrupted.to_owned()),
        (MoveError::Database(failed()), failed_alone),
    ];
    for (error, why) in table {
        let stopped = error.after_the_switch(MoveReport::to(&archive));
        assert!(matches!(stopped, MoveError::Leftovers { .. }), "{stopped}");
        let expected = format!(
            "the chat is in `archive`; its old rows are not all deleted, since {why}; repeat the move, which deletes them"
        );
        assert_eq!(stopped.to_string(), expected);
        assert!(!stopped.to_string().contains("--abort"));
    }
    // What refuses a move is said as it is.
    let refused = MoveError::NothingToAbort { chat: ChatId(-1) };
    let said = refused.to_string();
    assert_eq!(refused.after_the_switch(MoveReport::to(&archive)).to_string(), said);
}

#[test]
fn a_copy_that_is_not_the_same_says_in_what() {
    let columns = Unlike::Columns(vec!["date".to_owned(), "text".to_owned()]);
    let table = [
        (Unlike::Missing, "table `chat_messages` lacks the row 1, 7"),
        (Unlike::Extra, "table `chat_messages` has a row too many: 1, 7"),
        (columns, "table `chat_messages`, row 1, 7, differs in date, text"),
        (Unlike::WithoutKey(3), "table `chat_messages` has rows without a key (3)"),
    ];
    let mut differences = Vec::new();
    for (what, said) in table {
        let difference = Difference { table: "chat_messages", row: "1, 7".to_owned(), what };
        assert_eq!(difference.to_string(), said);
        differences.push(difference);
    }
    differences.drain(1..3);
    let error = MoveError::Differs { chat: ChatId(-1), from: name("primary"), to: name("archive"), differences };
    assert_eq!(
        error.to_string(),
        "the copy in `archive` is not the same as what is in `primary`: table `chat_messages` lacks the row 1, 7; table \
         `chat_messages` has rows without a key (3); the chat stays in `primary`; try again, or undo it with `bot db move \
         -1 --abort`, and check the disk if it comes again"
    );
}
