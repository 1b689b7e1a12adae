//! Reminders of chats that are mapped elsewhere.

use bot::message::{Handle as _, Incoming};
use database::{ChatId, DatabaseWrapper, MessageId, UserId};

use super::{config_of, logged};
use crate::commands::{ADA, GROUP, bot_on};
use crate::support::{HandClock, Scratch, time};

#[test]
fn a_reminder_that_is_given_up_since_its_chat_was_mapped_elsewhere_is_told_of() {
    let scratch = Scratch::new();
    let clock = HandClock::at("2026-01-01 12:00:00");
    let options = clock.options();
    let (db, _) = DatabaseWrapper::open_multi(&config_of(scratch.path(), &["a", "b"], &[]), options.clone()).unwrap();
    let text = "/remind 1h feed the cat";
    let incoming = Incoming::new(
        ChatId(GROUP),
        UserId(ADA),
        "Ada".to_owned(),
        MessageId::from(1),
        time("2026-01-01 12:00:00"),
        text,
    );
    bot_on(&db, &options).handle(incoming).unwrap();
    db.close();
    clock.set(time("2026-01-01 14:00:00"));
    let mapped = config_of(scratch.path(), &["a", "b"], &[(GROUP, "b")]);
    let (db, _) = DatabaseWrapper::open_multi(&mapped, options.clone()).unwrap();
    let (due, log) = logged(|| bot_on(&db, &options).due(None).unwrap());
    assert!(due.is_empty(), "{due:?}");
    let warned: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{log}");
    assert!(warned[0].contains("a reminder is given up") && warned[0].contains("source=b"), "{log}");
    assert!(!log.contains("cat"), "{log}");
    db.close();
}
