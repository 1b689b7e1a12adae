//! Teaching the spam filter of a chat, and being warned by it.

use bot::message::Event;
use database::{MessageCategory, MessageId};

use super::{ADA, BOB, Bench, GROUP, OTHER, OWNER, SUPER};

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
    assert_eq!(
        bench.count("chat_messages WHERE message_text = '/buy cheap pills now' AND message_category = 'user-spam'"),
        1
    );
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

/// What a chat's model has learnt: of each kind the messages, and each word with its counts.
type Model = (Vec<(bool, i64, i64)>, Vec<(String, i64, i64)>);

fn model(bench: &Bench, chat: i64) -> Model {
    let classes = bench.db.get_bayes_classes(Some(chat.into())).unwrap();
    let classes = classes.iter().map(|class| (class.is_spam, class.message_count, class.token_count)).collect();
    let mut words = bench.db.get_top_spam_tokens(Some(chat.into()), 1000).unwrap();
    words.extend(bench.db.get_top_ham_tokens(Some(chat.into()), 1000).unwrap());
    let mut words: Vec<_> = words.into_iter().map(|word| (word.token, word.spam_count, word.ham_count)).collect();
    words.sort();
    words.dedup();
    (classes, words)
}

#[test]
fn the_opposite_lesson_takes_the_first_one_back() {
    let bench = taught();
    let before = model(&bench, GROUP);
    let message = bench.tell(GROUP, ADA, "cheap lunch");
    bench.reply(GROUP, BOB, &message, "/ham");
    let as_ham = model(&bench, GROUP);
    bench.reply(GROUP, BOB, &message, "/spam");
    assert_eq!(category(&bench, GROUP, &message), MessageCategory::UserSpam);
    let as_spam = model(&bench, GROUP);
    // Back and forth it stays the same, also where the message was changed between.
    for _ in 0..2 {
        let mut edit = bench.incoming(GROUP, ADA, "cheaper lunch");
        edit.message_id = message.clone();
        edit.event = Event::Edited;
        bench.send(edit);
        assert_eq!(bench.reply(GROUP, BOB, &message, "/ham"), "I learnt that this is no spam.");
        assert_eq!(category(&bench, GROUP, &message), MessageCategory::User);
        assert_eq!((bench.count("spam_messages"), bench.count("ham_messages")), (3, 4));
        let mut back = bench.incoming(GROUP, ADA, "cheap lunch");
        back.message_id = message.clone();
        back.event = Event::Edited;
        bench.send(back);
        bench.reply(GROUP, BOB, &message, "/spam");
        assert_eq!(model(&bench, GROUP), as_spam);
    }
    bench.reply(GROUP, BOB, &message, "/ham");
    assert_eq!(model(&bench, GROUP), as_ham);
    bench.say(GROUP, ADA, "/mydata erase yes");
    assert_eq!(model(&bench, GROUP), before);
}

#[test]
fn a_lesson_of_the_group_is_taken_back_in_the_supergroup() {
    let bench = taught();
    let before = model(&bench, GROUP);
    let message = bench.tell(GROUP, ADA, "cheap lunch");
    bench.reply(GROUP, BOB, &message, "/spam");
    bench.happen(GROUP, ADA, Event::MigratedTo(SUPER.into()));
    assert_eq!(bench.reply(SUPER, BOB, &message, "/ham"), "I learnt that this is no spam.");
    assert_eq!(model(&bench, GROUP), before);
    assert_eq!(category(&bench, GROUP, &message), MessageCategory::User);
    bench.say(SUPER, ADA, "/mydata erase yes");
    assert_eq!(model(&bench, SUPER), before);
}

#[test]
fn a_message_of_words_that_nobody_taught_is_not_judged_by_what_was_taught_more() {
    let bench = Bench::new();
    for number in 0..12 {
        bench.say(GROUP, BOB, &format!("/spam cheap pills {number}{number}"));
    }
    bench.say(GROUP, BOB, "/ham lunch");
    bench.say(GROUP, BOB, "/set detect-spam true");
    bench.say(GROUP, BOB, "/set spam-threshold 51");
    for harmless in ["see you", "lunch", "see you at lunch"] {
        assert_eq!(bench.say(GROUP, ADA, harmless), "", "{harmless}");
    }
    assert!(bench.say(GROUP, ADA, "cheap pills").starts_with("This looks like spam"));
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
