//! What is told of lines of the mapping: those that lead chats away from what they had, and those that are not followed,
//! since the chat was moved.

use database::ChatId;
use database::maintenance::{CheckOptions, Severity, check};
use database::multi::{Control, Why};

use super::{CHAT, fill, moved, sources};
use crate::multi::{logged, name, open};
use crate::support::Scratch;

#[test]
fn a_reload_names_the_chats_that_start_anew_and_how_many_more_there_are() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    (1..=7).for_each(|chat| fill(&db, ChatId(-chat), &format!("word {chat}")));
    let mapping: Vec<_> = (1..=7).map(|chat| (-chat, "archive")).collect();
    let (_, log) = logged(|| control.reload(&sources(scratch.path(), &mapping)).unwrap());
    let told = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(told.contains("-7 (primary -> archive), -6 (primary -> archive), "), "{told}");
    assert!(told.contains("-3 (primary -> archive), and 2 more") && !told.contains("-2 (primary"), "{told}");
    assert!(told.contains("`bot db move CHAT --to SOURCE`"), "{told}");
    db.close();
}

#[test]
fn a_reload_names_no_chat_that_has_left_nothing_behind() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "word");
    let reloaded = |mapping: &[(i64, &str)]| {
        let (change, log) = logged(|| control.reload(&sources(scratch.path(), mapping)).unwrap());
        (change.rerouted.len(), log.lines().find(|line| line.contains("WARN")).map(str::to_owned))
    };
    assert_eq!(reloaded(&[(-7, "archive"), (-8, "third")]), (2, None), "nothing was ever said in these");
    let (rerouted, told) = reloaded(&[(-1, "archive"), (-7, "third"), (-8, "archive")]);
    let told = told.unwrap();
    assert_eq!(rerouted, 3);
    assert!(told.contains("-1 (primary -> archive)"), "{told}");
    // Of a source that is not open it is not known whether it has anything.
    assert!(told.contains("-7 (archive -> third)") && told.contains("-8 (third -> archive)"), "{told}");
    db.close();
}

#[test]
fn a_line_that_is_not_followed_since_the_chat_was_moved_is_told_of() {
    let scratch = Scratch::in_memory();
    let lined = sources(scratch.path(), &[(-1, "archive")]);
    let without = sources(scratch.path(), &[]);
    let (db, control) = open(&lined);
    fill(&db, CHAT, "word");
    moved(&control, CHAT, "primary").unwrap();
    let line = |control: &Control| control.explain(CHAT).passed_over;
    assert_eq!(line(&control), Some(name("archive")));
    // The line goes, as a move has it written, and an older configuration comes back.
    let (change, log) = logged(|| control.reload(&without).unwrap());
    assert_eq!((change.passed_over, line(&control), log.contains("WARN")), (vec![], None, false));
    let (change, log) = logged(|| control.reload(&lined).unwrap());
    assert_eq!(change.passed_over.len(), 1);
    let told = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(told.contains("-1 -> archive") && told.contains("are not followed"), "{told}");
    assert!(told.contains("`bot db move CHAT --to SOURCE`"), "{told}");
    assert_eq!((line(&control), control.explain(CHAT).source), (Some(name("archive")), name("primary")));
    // Once is enough.
    let again = sources(scratch.path(), &[(-1, "archive"), (-2, "archive")]);
    assert_eq!(control.reload(&again).unwrap().passed_over, []);
    control.reload(&lined).unwrap();
    db.close();
    let findings = || {
        let mut found = check(&database::multi::site(&lined), CheckOptions::default()).findings;
        found.retain(|finding| finding.what.contains("chat_mapping"));
        found
    };
    assert_eq!(findings().len(), 1);
    assert_eq!((findings()[0].severity, findings()[0].source.as_str()), (Severity::Note, "primary"));
    insta::assert_snapshot!(format!("{}; {}", findings()[0].what, findings()[0].remedy), @"lines of [database.chat_mapping] that lead to `archive` are not followed, since these chats were moved here: -1; `bot db move CHAT --to archive` moves a chat to where its line leads");
    // What it names makes it so.
    let (db, control) = open(&lined);
    moved(&control, CHAT, "archive").unwrap();
    assert_eq!((line(&control), control.explain(CHAT).why), (None, Why::Mapped));
    db.close();
    assert_eq!(findings(), []);
}
