//! Reminders: said once, at their time, in their chat; what they say is in the chat alone.

use bot::message::{Event, Handle as _};
use database::{MessageId, TopicId};

use super::{ADA, BOB, Bench, GROUP, OTHER, SUPER};
use crate::support::{rows, sqlite, time};

#[test]
fn a_reminder_is_said_once_and_not_before_its_time() {
    let bench = Bench::new();
    assert_eq!(bench.say(GROUP, ADA, "/remind 2m30s feed the cat"), "I will remind you at 2026-01-01 12:02:30 (UTC).");
    assert_eq!(bench.due(), []);
    bench.pass(149);
    assert_eq!(bench.due(), []);
    bench.pass(1);
    assert_eq!(bench.due(), [(GROUP, "Reminder for Ada: feed the cat".to_owned())]);
    assert_eq!(bench.due(), []);
    bench.pass(1_000_000);
    assert_eq!(bench.due(), []);
    // It is part of what was said, as an answer to the message that asked for it.
    assert_eq!(bench.count("chat_messages WHERE message_text LIKE 'Reminder%' AND reply_id = '1' AND user_id = 99"), 1);
    assert!(bench.say(GROUP, BOB, "/history").ends_with("Switchyard: Reminder for Ada: feed the cat"));
}

#[test]
fn reminders_survive_a_restart_and_come_in_the_order_of_their_times() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 3d later");
    bench.say(OTHER, BOB, "/remind 1h first");
    bench.say(GROUP, BOB, "/remind 2026-01-02T00:00 second");
    let bench = bench.restarted();
    assert_eq!(bench.due(), []);
    bench.pass(2 * 86_400);
    let second = (GROUP, "Reminder for Bob: second".to_owned());
    assert_eq!(bench.due(), [(OTHER, "Reminder for Bob: first".to_owned()), second]);
    let bench = bench.restarted();
    assert_eq!(bench.due(), []);
    bench.pass(86_400);
    assert_eq!(bench.due(), [(GROUP, "Reminder for Ada: later".to_owned())]);
}

#[test]
fn what_is_shared_holds_ids_and_no_text() {
    let bench = Bench::new();
    let mut incoming = bench.incoming(GROUP, ADA, "/remind 1h canary words");
    incoming.user_name = "canary name".to_owned();
    incoming.username = Some("canary_user".to_owned());
    incoming.chat_title = Some("canary title".to_owned());
    bench.send(incoming);
    let tasks = rows(&bench.path()).remove("delayed_tasks").unwrap();
    assert_eq!(tasks.len(), 1);
    assert!(!tasks[0].contains("canary"), "{tasks:?}");
    bench.pass(3600);
    assert_eq!(bench.due().len(), 1);
    let tasks = rows(&bench.path()).remove("delayed_tasks").unwrap();
    assert!(tasks[0].contains("is_done=Integer(1)") && !tasks[0].contains("canary"), "{tasks:?}");
}

#[test]
fn a_reminder_is_said_in_its_topic_with_the_text_as_it_was_changed() {
    let bench = Bench::new();
    let mut incoming = bench.incoming(SUPER, ADA, "/remind 1h tea");
    incoming.thread = TopicId(4);
    let mut edited = incoming.clone();
    bench.send(incoming);
    edited.event = Event::Edited;
    edited.text = "/remind 1h coffee\nand cake".to_owned();
    bench.send(edited);
    bench.pass(3600);
    let due = bench.bot.due(None).unwrap();
    assert_eq!((due[0].thread, due[0].text.as_str()), (TopicId(4), "Reminder for Ada: coffee\nand cake"));
    assert_eq!(bench.count("chat_messages WHERE thread_id = 4 AND message_text LIKE 'Reminder%'"), 1);
}

#[test]
fn a_reminder_whose_message_was_erased_is_not_said() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.say(GROUP, BOB, "/remind 1h cake");
    bench.say(GROUP, ADA, "/mydata erase yes");
    bench.pass(3600);
    assert_eq!(bench.due(), [(GROUP, "Reminder for Bob: cake".to_owned())]);
    assert_eq!(bench.count("delayed_tasks WHERE NOT is_done"), 0);
}

#[test]
fn a_reminder_that_was_not_heard_because_of_a_crash_is_said_a_minute_later() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.pass(3600);
    assert_eq!(bench.bot.due(None).unwrap().len(), 1);
    // The program dies before anybody has read it.
    let bench = bench.restarted();
    bench.pass(50);
    assert_eq!(bench.due(), [], "the other one may just be saying it");
    bench.pass(10);
    assert_eq!(bench.due(), [(GROUP, "Reminder for Ada: tea".to_owned())]);
    bench.pass(100);
    assert_eq!(bench.due(), []);
    assert_eq!(bench.count("delayed_tasks WHERE NOT is_done"), 0);
    assert_eq!(bench.count("chat_messages WHERE message_text LIKE 'Reminder%'"), 1);
}

#[test]
fn a_reminder_that_was_said_and_could_not_be_noted_is_not_said_again() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.pass(3600);
    let due = bench.bot.due(None).unwrap();
    let sql = "CREATE TRIGGER broken BEFORE UPDATE ON delayed_tasks BEGIN SELECT RAISE(ABORT, 'broken'); END";
    sqlite(&bench.path()).execute_batch(sql).unwrap();
    bench.bot.said(&due[0]).unwrap_err();
    for _ in 0..3 {
        bench.pass(100);
        assert!(bench.bot.due(None).is_err(), "it is complained of");
    }
    sqlite(&bench.path()).execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(bench.due(), []);
    assert_eq!(bench.count("delayed_tasks WHERE NOT is_done"), 0);
}

#[test]
fn whoever_is_in_one_chat_takes_the_reminders_of_no_other() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.say(-55, ADA, "/remind 1h milk");
    bench.pass(3600);
    assert_eq!(bench.due_in(Some(OTHER)), []);
    assert_eq!(bench.due_in(Some(GROUP)), [(GROUP, "Reminder for Ada: tea".to_owned())]);
    assert_eq!(bench.due(), [(-55, "Reminder for Ada: milk".to_owned())]);
}

#[test]
fn of_several_programs_one_says_a_reminder() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.pass(3600);
    let other = bench.second_bot();
    let (first, second) = (bench.bot.due(None).unwrap(), other.due(None).unwrap());
    assert_eq!((first.len(), second.len()), (1, 0));
    bench.bot.said(&first[0]).unwrap();
    bench.pass(100);
    assert_eq!(other.due(None).unwrap(), []);
}

#[test]
fn many_reminders_that_fail_keep_no_later_one_from_being_said() {
    let bench = Bench::new();
    for person in 10..15 {
        for _ in 0..45 {
            bench.say(OTHER, person, "/remind 1h broken");
        }
    }
    bench.say(GROUP, ADA, "/remind 2h tea");
    sqlite(&bench.path()).execute("UPDATE chat_messages SET date = 'never' WHERE chat_id = -6", []).unwrap();
    bench.pass(2 * 3600);
    assert_eq!(bench.due(), [(GROUP, "Reminder for Ada: tea".to_owned())]);
}

#[test]
fn a_person_has_so_many_reminders_in_a_chat_and_no_more() {
    let bench = Bench::new();
    for _ in 0..50 {
        assert!(bench.say(GROUP, ADA, "/remind 1h tea").starts_with("I will remind you"));
    }
    let refused = "50 reminders of yours wait here already, and more I do not keep.";
    assert_eq!(bench.say(GROUP, ADA, "/remind 1h tea"), refused);
    for (chat, person) in [(GROUP, BOB), (OTHER, ADA)] {
        assert!(bench.say(chat, person, "/remind 1h tea").starts_with("I will remind you"));
    }
    bench.pass(3600);
    assert_eq!(bench.due().len(), 52);
    assert!(bench.say(GROUP, ADA, "/remind 1h tea").starts_with("I will remind you"));
}

#[test]
fn a_message_of_long_ago_reminds_of_nothing() {
    let bench = Bench::new();
    let dated = |date: &str, text: &str| {
        let mut incoming = bench.incoming(GROUP, ADA, text);
        incoming.date = time(date);
        super::answer(&bench.send(incoming))
    };
    assert_eq!(dated("2020-01-01 00:00:00", "/remind 1h tea"), "2020-01-01 01:00:00 (UTC) has passed already.");
    assert_eq!(
        dated("2099-01-01 00:00:00", "/remind 1h tea"),
        "I can remind you of something from a second to five years away."
    );
    assert_eq!(bench.count("delayed_tasks"), 0);
    // It may have been on its way for a moment.
    assert_eq!(dated("2026-01-01 11:59:30", "/remind 1s tea"), "I will remind you at 2026-01-01 11:59:31 (UTC).");
    assert_eq!(bench.due().len(), 1);
}

#[test]
fn one_reminder_that_fails_keeps_no_other_from_being_said() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remind 1h first");
    let broken = bench.tell(OTHER, ADA, "/remind 2h second");
    bench.say(GROUP, ADA, "/remind 3h third");
    sqlite(&bench.path())
        .execute("UPDATE chat_messages SET date = 'never' WHERE message_id = ?1", [broken.as_str()])
        .unwrap();
    bench.pass(4 * 3600);
    let said: Vec<_> = bench.due().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["Reminder for Ada: first", "Reminder for Ada: third"]);
    // It stays, and is complained of as long as nothing else is said.
    assert!(bench.bot.due(None).is_err());
    let mended = "UPDATE chat_messages SET date = '2026-01-01 12:00:00' WHERE message_id = ?1";
    sqlite(&bench.path()).execute(mended, [broken.as_str()]).unwrap();
    assert_eq!(bench.due(), [(OTHER, "Reminder for Ada: second".to_owned())]);
}

#[test]
fn a_time_with_an_offset_is_that_moment() {
    let bench = Bench::new();
    let at = |when: &str| bench.say(GROUP, ADA, &format!("/remind {when} tea"));
    assert_eq!(at("2026-01-31T08:00+02:00"), "I will remind you at 2026-01-31 06:00:00 (UTC).");
    assert_eq!(at("2026-01-31T08:00Z"), "I will remind you at 2026-01-31 08:00:00 (UTC).");
    assert_eq!(at("2026-01-31T08:00:30.9"), "I will remind you at 2026-01-31 08:00:30 (UTC).");
    // A zone without an offset would have to be guessed.
    assert!(at("2026-01-31T08:00[Europe/Berlin]").starts_with("Usage:"));
}

#[test]
fn a_command_delivered_twice_makes_one_reminder() {
    let bench = Bench::new();
    let incoming = bench.incoming(GROUP, ADA, "/remind 1h tea");
    assert!(!bench.send(incoming.clone()).duplicate);
    let again = bench.send(incoming);
    assert!(again.duplicate && again.replies.is_empty());
    bench.pass(3600);
    assert_eq!(bench.due().len(), 1);
    let own = MessageId::from(format!("remind:{GROUP}:1"));
    assert!(bench.db.get_chat_message_by_message_id(GROUP.into(), &own).unwrap().is_some());
}
