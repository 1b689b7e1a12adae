//! Attachments: with whom they move, where they stay, and what undoing a move leaves of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use database::multi::{Progress, Stage};
use database::{ChatId, DatabaseWrapper, MediaId, MessageFilter, NewMedia, NewMessage, UserId};

use super::{CHAT, OTHER, moved, small, sources};
use crate::multi::{name, open};
use crate::support::{Scratch, sqlite, time};

fn media(id: &str, description: &str) -> NewMedia {
    NewMedia { description: Some(description.to_owned()), ..NewMedia::new(id) }
}

fn show(db: &DatabaseWrapper, chat: ChatId, message: i64, id: &str) {
    db.update_chat_user(chat, UserId(1), "", "Ada").unwrap();
    let mut message = NewMessage::text(message, time("2026-01-01 00:00:00"), UserId(1), "look");
    message.media_id = Some(MediaId::from(id));
    db.save_chat_message(chat, &message).unwrap();
}

/// What the chat's messages show, the last first.
fn shown(db: &DatabaseWrapper, chat: ChatId) -> Vec<Option<String>> {
    let messages = db.get_chat_messages_since(chat, &MessageFilter::default()).unwrap();
    messages.into_iter().map(|message| message.media.and_then(|media| media.description)).collect()
}

fn ids(scratch: &Scratch, source: &str) -> BTreeSet<String> {
    let connection = sqlite(&scratch.file(&format!("{source}.db")));
    let mut statement = connection.prepare("SELECT file_unique_id FROM media_attachments").unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn an_attachment_of_two_chats_is_copied_and_stays_for_the_other() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[(-1, "third"), (-2, "third")]));
    db.add_media_attachment(Some(CHAT), &media("both", "of both")).unwrap();
    db.add_media_attachment(Some(CHAT), &media("own", "of one")).unwrap();
    for (message, id) in [(1, "both"), (2, "own"), (3, "own")] {
        show(&db, CHAT, message, id);
    }
    show(&db, OTHER, 1, "both");
    let report = moved(&control, CHAT, "archive").unwrap();
    assert_eq!(report.media, 2);
    assert_eq!((ids(&scratch, "third"), ids(&scratch, "archive")), (set(&["both"]), set(&["both", "own"])));
    assert_eq!(shown(&db, CHAT), some(&["of one", "of one", "of both"]));
    assert_eq!(shown(&db, OTHER), some(&["of both"]));
    // The target has one of them already.
    let report = moved(&control, OTHER, "archive").unwrap();
    assert_eq!(report.media, 0);
    assert_eq!((ids(&scratch, "third"), ids(&scratch, "archive")), (set(&[]), set(&["both", "own"])));
    assert_eq!(shown(&db, OTHER), some(&["of both"]));
    db.close();
}

#[test]
fn the_default_sources_attachments_stay_for_the_chats_of_other_sources_that_show_them() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[(-2, "third")]));
    for id in ["everybody's", "own", "nobody's"] {
        db.add_media_attachment(None, &media(id, id)).unwrap();
    }
    for (message, id) in [(1, "everybody's"), (2, "own")] {
        show(&db, CHAT, message, id);
    }
    show(&db, OTHER, 1, "everybody's");
    moved(&control, CHAT, "archive").unwrap();
    assert_eq!(ids(&scratch, "primary"), set(&["everybody's", "nobody's"]));
    assert_eq!(shown(&db, CHAT), some(&["own", "everybody's"]));
    assert_eq!(shown(&db, OTHER), some(&["everybody's"]));
    db.close();
}

#[test]
fn the_default_sources_attachments_stay_where_a_source_cannot_say_whether_it_shows_them() {
    let scratch = Scratch::in_memory();
    let config = sources(scratch.path(), &[(-2, "third")]);
    let (db, _) = open(&config);
    db.add_media_attachment(None, &media("everybody's", "x")).unwrap();
    show(&db, CHAT, 1, "everybody's");
    show(&db, OTHER, 1, "everybody's");
    db.close();
    std::fs::rename(scratch.file("third.db"), scratch.file("away.db")).unwrap();
    let (db, control) = open(&config);
    moved(&control, CHAT, "archive").unwrap();
    assert_eq!(ids(&scratch, "primary"), set(&["everybody's"]));
    db.close();
}

#[test]
fn undoing_a_move_takes_away_what_it_brought_and_nothing_else() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[(-2, "archive")]));
    db.add_media_attachment(Some(CHAT), &media("both", "of the first")).unwrap();
    db.add_media_attachment(Some(CHAT), &media("own", "of one")).unwrap();
    db.add_media_attachment(Some(CHAT), &media("later", "of one")).unwrap();
    db.add_media_attachment(Some(OTHER), &media("both", "of the second")).unwrap();
    db.add_media_attachment(Some(OTHER), &media("not shown yet", "of the second")).unwrap();
    for (message, id) in [(1, "both"), (2, "own"), (3, "later")] {
        show(&db, CHAT, message, id);
    }
    show(&db, OTHER, 1, "both");
    let stop = |progress: Progress| {
        if progress.stage == Stage::Verifying { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    control.move_chat(CHAT, &name("archive"), &small(), stop).unwrap_err();
    assert_eq!(ids(&scratch, "archive"), set(&["both", "own", "later", "not shown yet"]));
    // By now somebody else shows one of those that were brought.
    show(&db, OTHER, 2, "later");
    control.abort_move(CHAT, super::go_on).unwrap();
    assert_eq!(ids(&scratch, "archive"), set(&["both", "later", "not shown yet"]));
    assert_eq!(ids(&scratch, "primary"), set(&["both", "own", "later"]));
    assert_eq!(shown(&db, CHAT), some(&["of one", "of one", "of the first"]));
    assert_eq!(shown(&db, OTHER), some(&["of one", "of the second"]));
    db.close();
}
