//! Teaching the spam filter of a chat, and being warned by it.

use bot::message::Event;
use database::{MessageCategory, MessageId};

use super::{ADA, BOB, Bench, GROUP, OTHER, OWNER};

fn category(bench: &Bench, chat: i64, message: &MessageId) -> MessageCategory {
    bench.db.get_chat_message_by_message_id(chat.into(), message).unwrap().unwrap().message_category
}

/// A group that has learnt what spam is: of both kinds three examples.
fn taught() -> Bench {
    let bench = Bench::new();
    for number in 1..=3 {
        bench.say(GROUP, BOB, &format!("/spam cheap pills buy now {number}"));
        bench.say(GROUP, BOB, &format!("/ham shall we meet for lunch tomorrow {number}"));
    }
    bench
}

#[test]
fn it_learns_from_the_message_that_is_answered() {
    let bench = Bench::new();
    let offer = bench.tell(GROUP, ADA, "Cheap pills! CHEAP!");
    assert_eq!(bench.reply(GROUP, BOB, &offer, "/spam"), "I learnt that this is spam.");
    assert_eq!(bench.reply(GROUP, OWNER, &offer, "/spam"), "I learnt that already.");
    let kept = bench.db.get_spam_messages_by_user_id(GROUP.into(), ADA.into()).unwrap();
    assert_eq!((kept.len(), kept[0].text.as_str(), &kept[0].message_id), (1, "Cheap pills! CHEAP!", &offer));
    assert_eq!(category(&bench, GROUP, &offer), MessageCategory::UserSpam);
    let tokens = bench.db.get_top_spam_tokens(Some(GROUP.into()), 10).unwrap();
    let tokens: Vec<_> = tokens.iter().map(|token| (token.token.as_str(), token.spam_count)).collect();
    assert_eq!(tokens, [("cheap", 1), ("pills", 1)]);

    let lunch = bench.tell(GROUP, ADA, "lunch?");
    assert_eq!(bench.reply(GROUP, BOB, &lunch, "/ham"), "I learnt that this is no spam.");
    assert_eq!(category(&bench, GROUP, &lunch), MessageCategory::User);
    assert_eq!((bench.count("ham_messages"), bench.count("spam_messages")), (1, 1));
}

#[test]
fn it_learns_from_a_text() {
    let bench = Bench::new();
    assert_eq!(bench.say(GROUP, BOB, "/spam cheap pills"), "I learnt that this is spam.");
    assert_eq!(bench.count("spam_messages WHERE user_id = 8 AND text = 'cheap pills' AND reason = 'user'"), 1);
    bench.say(GROUP, OWNER, "/spam more pills");
    assert_eq!(bench.count("spam_messages WHERE user_id = 1 AND text = 'more pills' AND reason = 'admin'"), 1);
    let missing = MessageId::from("nothing");
    assert_eq!(bench.reply(GROUP, BOB, &missing, "/spam"), "I do not have the message that you answer.");
}

#[test]
fn what_a_chat_teaches_is_its_own() {
    let bench = taught();
    for chat in [GROUP, OTHER] {
        bench.say(chat, ADA, "/set detect-spam true");
    }
    assert!(bench.say(GROUP, ADA, "buy cheap pills now").starts_with("This looks like spam (score "));
    assert_eq!(bench.say(OTHER, ADA, "buy cheap pills now"), "");
    let of_no_chat = "bayes_tokens WHERE chat_id IS NULL OR chat_id <> -5";
    assert_eq!((bench.count(of_no_chat), bench.count("bayes_classes WHERE chat_id IS NULL")), (0, 0));
}

#[test]
fn it_flags_only_where_the_setting_asks_for_it() {
    let bench = taught();
    let unasked = bench.tell(GROUP, ADA, "buy cheap pills now");
    assert_eq!(category(&bench, GROUP, &unasked), MessageCategory::User);
    bench.say(GROUP, ADA, "/set detect-spam true");
    assert_eq!(bench.say(GROUP, ADA, "lunch tomorrow?"), "");
    assert_eq!(bench.say(GROUP, ADA, "words that nobody ever said"), "");
    let flagged = bench.tell(GROUP, ADA, "buy cheap pills now");
    assert_eq!(category(&bench, GROUP, &flagged), MessageCategory::UserSpam);
    assert_eq!(bench.count("chat_messages WHERE message_category = 'bot-spam-notification'"), 1);
    bench.say(GROUP, ADA, "/set detect-spam false");
    assert_eq!(bench.say(GROUP, ADA, "buy cheap pills now"), "");
}

#[test]
fn it_flags_from_the_threshold_on() {
    let bench = taught();
    bench.say(GROUP, ADA, "/set detect-spam true");
    let notice = bench.say(GROUP, ADA, "cheap lunch pills");
    assert_eq!(notice, "");
    bench.say(GROUP, ADA, "/set spam-threshold 50");
    assert_eq!(
        bench.say(GROUP, ADA, "cheap lunch pills"),
        "This looks like spam (score 80 of 100). If it is not, answer it with /ham."
    );
    bench.say(GROUP, ADA, "/set spam-threshold 80.1");
    assert_eq!(bench.say(GROUP, ADA, "cheap lunch pills"), "");
    bench.say(GROUP, ADA, "/set spam-threshold 0");
    assert!(bench.say(GROUP, ADA, "shall we meet").starts_with("This looks like spam (score 2 of 100)"));
}

#[test]
fn nothing_is_flagged_until_both_kinds_are_known() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/set detect-spam true");
    bench.say(GROUP, ADA, "/set spam-threshold 0");
    bench.say(GROUP, BOB, "/spam cheap pills");
    assert_eq!(bench.say(GROUP, ADA, "cheap pills"), "");
    bench.say(GROUP, BOB, "/ham lunch");
    assert_ne!(bench.say(GROUP, ADA, "cheap pills"), "");
}

#[test]
fn a_flagged_message_is_cleared_by_answering_it_or_the_notice() {
    let bench = taught();
    bench.say(GROUP, ADA, "/set detect-spam true");
    for notice_is_answered in [false, true] {
        let flagged = bench.tell(GROUP, ADA, "buy cheap pills now");
        let answered = if notice_is_answered {
            let sql = "SELECT message_id FROM chat_messages WHERE reply_id = ?1 AND message_category = 'bot-spam-notification'";
            let connection = crate::support::sqlite(&bench.path());
            let id: String = connection.query_row(sql, [flagged.as_str()], |row| row.get(0)).unwrap();
            MessageId::from(id)
        } else {
            flagged.clone()
        };
        assert_eq!(bench.reply(GROUP, BOB, &answered, "/ham"), "I learnt that this is no spam.");
        assert_eq!(category(&bench, GROUP, &flagged), MessageCategory::User);
        assert_eq!(bench.count(&format!("ham_messages WHERE message_id = '{flagged}' AND user_id = 7")), 1);
    }
}

#[test]
fn what_is_no_command_of_the_bots_is_judged_like_any_message() {
    let bench = taught();
    bench.say(GROUP, ADA, "/set detect-spam true");
    let warning = bench.say(GROUP, ADA, "/buy cheap pills now");
    assert!(warning.starts_with("This looks like spam"), "{warning}");
    assert_eq!(bench.count("chat_messages WHERE message_text = '/buy cheap pills now' AND message_category = 'user-spam'"), 1);
    assert_eq!(bench.say(GROUP, ADA, "/lunch tomorrow"), "I do not know /lunch. /help lists what I know.");
    // What teaches it names what it is about.
    assert_eq!(bench.say(GROUP, ADA, "/spam buy cheap pills now"), "I learnt that this is spam.");
}

#[test]
fn a_message_that_becomes_spam_by_an_edit_is_flagged_once() {
    let bench = taught();
    bench.say(GROUP, ADA, "/set detect-spam true");
    let edit = |id: &MessageId, text: &str| {
        let mut edit = bench.incoming(GROUP, ADA, text);
        edit.message_id = id.clone();
        edit.event = Event::Edited;
        super::answer(&bench.send(edit))
    };
    let id = bench.tell(GROUP, ADA, "lunch tomorrow?");
    assert!(edit(&id, "buy cheap pills now").starts_with("This looks like spam"));
    assert_eq!(category(&bench, GROUP, &id), MessageCategory::UserSpam);
    assert_eq!(edit(&id, "buy cheap pills now"), "");
    assert_eq!(edit(&id, "buy cheap pills now!"), "");
    bench.reply(GROUP, BOB, &id, "/ham");
    assert_eq!(edit(&id, "buy cheap pills now!!"), "");
    assert_eq!(category(&bench, GROUP, &id), MessageCategory::User);
    // The message itself may have come before the bot did.
    assert!(edit(&"unknown".into(), "buy cheap pills now").starts_with("This looks like spam"));
    assert_eq!(category(&bench, GROUP, &"unknown".into()), MessageCategory::UserSpam);
}

#[test]
fn it_does_not_learn_from_itself() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remember tea green");
    bench.say(GROUP, ADA, "/recall");
    let sql = "SELECT message_id FROM chat_messages WHERE message_text = 'tea: green'";
    let id: String = crate::support::sqlite(&bench.path()).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(bench.reply(GROUP, BOB, &id.as_str().into(), "/ham"), "I do not learn from what I said myself.");
    assert_eq!(
        bench.count("chat_messages WHERE message_text = 'tea: green' AND message_category = 'bot-command-reply'"),
        1
    );
}
