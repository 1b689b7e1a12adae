//! Messages that are delivered again: what was done stays done once, and what failed on the way is done then.

use bot::message::{Handle as _, Incoming};

use super::{ADA, BOB, Bench, GROUP, answer};
use crate::support::{rows, sqlite};

/// From now on nothing that fulfils the condition can be stored in this table; answers how to end that.
fn broken(bench: &Bench, table: &str, condition: &str) -> impl FnOnce(&Bench) + use<> {
    let sql = format!(
        "CREATE TRIGGER broken BEFORE INSERT ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'broken'); END"
    );
    sqlite(&bench.path()).execute_batch(&sql).unwrap();
    |bench: &Bench| sqlite(&bench.path()).execute_batch("DROP TRIGGER broken").unwrap()
}

/// All rows, without the ids that the bot's own messages have, and without their words: a command that finds its work
/// done may say so.
fn left(bench: &Bench) -> Vec<String> {
    let lines = rows(&bench.path()).into_values().flatten();
    let is_kept = |part: &str| !part.starts_with("message_id=") && !part.starts_with("message_text=");
    let of_bot = |line: &str| line.contains("user_id=Integer(99)");
    let kept = |line: &str| line.split("\" ").filter(|part| is_kept(part)).collect::<Vec<_>>().join(" ");
    lines.map(|line| if of_bot(&line) { kept(&line.replace(") ", ")\" ")) } else { line }).collect()
}

/// A bot with something to forget, unset and erase, and a filter that has learnt.
fn lived() -> Bench {
    let bench = Bench::new();
    for text in [
        "/remember tea green",
        "/set spam-threshold 50",
        "/spam cheap pills",
        "/ham lunch at noon",
        "/set detect-spam true",
    ] {
        bench.say(GROUP, BOB, text);
    }
    bench
}

#[test]
fn a_command_that_failed_on_the_way_is_done_when_it_is_delivered_again() {
    // Each with a table that it writes to, in which nothing can be stored at first.
    let commands = [
        ("/remember cake lemon", "user_data", "TRUE"),
        ("/set spam-threshold 60", "chat_settings", "TRUE"),
        ("/spam buy pills", "spam_messages", "TRUE"),
        ("/ham see you", "bayes_classes", "TRUE"),
        ("/remind 1h tea", "delayed_tasks", "TRUE"),
        ("/stats", "chat_messages", "NEW.user_id = 99"),
        ("/remember cake lemon", "chat_messages", "NEW.user_id = 99"),
        ("/forget tea", "chat_messages", "NEW.user_id = 99"),
        ("/unset spam-threshold", "chat_messages", "NEW.user_id = 99"),
        ("/spam buy pills", "chat_messages", "NEW.user_id = 99"),
        ("/remind 1h tea", "chat_messages", "NEW.user_id = 99"),
        ("/frobnicate", "chat_messages", "NEW.user_id = 99"),
        ("/mydata erase yes", "chat_messages", "NEW.user_id = 99"),
        ("cheap pills", "chat_messages", "NEW.user_id = 99"),
        ("/buy cheap pills", "chat_messages", "NEW.user_id = 99"),
    ];
    for (text, table, condition) in commands {
        let straight = lived();
        straight.send(straight.incoming(GROUP, BOB, text));

        let bench = lived();
        let incoming = bench.incoming(GROUP, BOB, text);
        let mend = broken(&bench, table, condition);
        let error = bench.bot.handle(incoming.clone()).unwrap_err();
        assert!(!error.to_string().contains("pills"), "{error}");
        mend(&bench);
        let again = bench.send(incoming.clone());
        assert!(!again.replies.is_empty(), "{text}: what was left undone is done");
        if !text.contains("erase") {
            assert!(again.duplicate, "{text}: it was stored before");
            assert_eq!(left(&bench), left(&straight), "{text}, with {table} broken at first");
            let before = rows(&bench.path());
            let third = bench.send(incoming);
            assert!(third.duplicate && third.replies.is_empty(), "{text}");
            assert_eq!(rows(&bench.path()), before, "{text}");
        }
    }
}

#[test]
fn a_reminder_asked_for_again_is_counted_from_when_it_was_first_asked_for() {
    let bench = Bench::new();
    let incoming = bench.incoming(GROUP, ADA, "/remind 1h tea");
    let mend = broken(&bench, "delayed_tasks", "TRUE");
    bench.bot.handle(incoming.clone()).unwrap_err();
    mend(&bench);
    bench.pass(600);
    // As it is dated by a transport that is told no date.
    let again = Incoming { date: bench.now(), ..incoming };
    assert_eq!(answer(&bench.send(again)), "I will remind you at 2026-01-01 13:00:00 (UTC).");
}

#[test]
fn what_is_delivered_again_otherwise_than_it_was_stored_is_not_obeyed() {
    let bench = lived();
    let incoming = bench.incoming(GROUP, BOB, "/remember cake lemon");
    let mend = broken(&bench, "user_data", "TRUE");
    bench.bot.handle(incoming.clone()).unwrap_err();
    mend(&bench);
    let changed = Incoming { text: "/forget tea".to_owned(), ..incoming.clone() };
    let by_another = Incoming { user: ADA.into(), ..incoming.clone() };
    for other in [changed, by_another] {
        let answered = bench.send(other);
        assert!(answered.duplicate && answered.replies.is_empty());
    }
    assert_eq!(bench.count("user_data WHERE key = 'tea'"), 1);
    assert_eq!(answer(&bench.send(incoming)), "I will remember cake.");
}

#[test]
fn what_was_said_to_be_no_spam_or_spam_is_not_judged_when_it_is_delivered_again() {
    let bench = lived();
    let spam = bench.incoming(GROUP, ADA, "cheap pills");
    assert!(answer(&bench.send(spam.clone())).starts_with("This looks like spam"));
    bench.reply(GROUP, BOB, &spam.message_id, "/ham");
    bench.say(GROUP, BOB, "/set detect-spam false");
    let unseen = bench.incoming(GROUP, ADA, "more cheap pills");
    bench.send(unseen.clone());
    bench.reply(GROUP, BOB, &unseen.message_id, "/spam");
    bench.say(GROUP, BOB, "/set detect-spam true");
    let before = rows(&bench.path());
    for message in [spam, unseen] {
        assert!(bench.send(message).replies.is_empty());
    }
    assert_eq!(rows(&bench.path()), before);
}
