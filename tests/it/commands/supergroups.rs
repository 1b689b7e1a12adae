//! A group that became a supergroup goes on with what it was.

use bot::message::{Event, Handle as _};
use database::ChatId;

use super::{ADA, BOB, Bench, GROUP, OWNER, SUPER};
use crate::support::rows;

const BECOMES: Event = Event::MigratedTo(ChatId(SUPER));

/// A group with a history that became a supergroup.
fn migrated() -> Bench {
    let bench = Bench::new();
    let mut first = bench.incoming(GROUP, ADA, "hello old chat");
    first.chat_title = Some("Engines".to_owned());
    bench.send(first);
    bench.say(GROUP, BOB, "hello Ada");
    bench.say(GROUP, ADA, "/remember tea green");
    bench.say(GROUP, ADA, "/set spam-threshold 75");
    for _ in 0..3 {
        bench.say(GROUP, BOB, "/spam cheap pills");
        bench.say(GROUP, BOB, "/ham lunch");
    }
    bench.say(GROUP, ADA, "/remind 1d cake");
    let mut garden = bench.incoming(GROUP, ADA, "");
    garden.thread = 9.into();
    garden.event = Event::Topic(database::NewTopic { name: "Garden".to_owned(), ..Default::default() });
    bench.send(garden);
    bench.happen(GROUP, ADA, BECOMES);
    bench.pass(86_000);
    bench
}

#[test]
fn the_old_chats_history_settings_and_people_are_reachable_under_the_new_id() {
    let bench = migrated();
    bench.say(SUPER, BOB, "hello new chat");
    let history = bench.say(SUPER, ADA, "/history");
    assert_eq!(
        history.lines().map(|line| &line[17..]).collect::<Vec<_>>(),
        ["Ada: hello old chat", "Bob: hello Ada", "Bob: hello new chat"]
    );
    let found = bench.say(SUPER, ADA, "/search hello page=1");
    assert_eq!(found.lines().count(), 3, "{found}");
    assert_eq!(bench.say(SUPER, ADA, "/recall tea"), "green");
    let topics = bench.db.get_chat_topics(SUPER.into()).unwrap();
    assert_eq!(topics.iter().map(|topic| topic.name.as_deref()).collect::<Vec<_>>(), [Some("Garden")]);
    assert!(bench.say(SUPER, ADA, "/settings").contains("spam-threshold = 75:"));
    let stats = bench.say(SUPER, ADA, "/stats");
    assert!(stats.starts_with("Engines: ") && stats.contains("on 2 days, 2026-01-01 to 2026-01-02"), "{stats}");
    assert!(bench.say(SUPER, ADA, "/top").contains("Bob"));
    let bob = bench.db.get_chat_user(SUPER.into(), BOB.into()).unwrap().unwrap();
    assert_eq!((bob.full_name.as_str(), bob.messages_count), ("Bob", 8));
    assert_eq!(bench.db.get_chat_info(SUPER.into()).unwrap().unwrap().chat_type.to_string(), "supergroup");
    // What it was taught it goes on knowing.
    bench.say(SUPER, ADA, "/set detect-spam true");
    assert!(bench.say(SUPER, BOB, "cheap pills").starts_with("This looks like spam"));
}

#[test]
fn what_was_said_before_is_counted_among_the_topics() {
    let bench = migrated();
    let mut named = bench.incoming(SUPER, ADA, "");
    named.thread = 3.into();
    named.event = Event::Topic(database::NewTopic { name: "Tea".to_owned(), ..Default::default() });
    bench.send(named);
    let said = bench.count(&format!("chat_messages WHERE chat_id = {GROUP}"));
    assert_eq!(
        bench.say(SUPER, ADA, "/topics"),
        format!("Tea: 0 messages\nGarden: 0 messages\n(in no topic): {} messages", said + 1)
    );
}

#[test]
fn an_id_that_is_in_both_is_the_new_chats() {
    let bench = migrated();
    assert_eq!(message(&bench, "1"), "hello old chat");
    let mut same = bench.incoming(SUPER, BOB, "new number one");
    same.message_id = "1".into();
    assert!(!bench.send(same).duplicate);
    assert_eq!(message(&bench, "1"), "new number one");
    assert_eq!(message(&bench, "2"), "hello Ada");
    let old = bench.db.get_chat_message_by_message_id(GROUP.into(), &"1".into()).unwrap().unwrap();
    assert_eq!(old.message_text, "hello old chat");
    // An edit is the new chat's too.
    let mut edit = bench.incoming(SUPER, BOB, "edited");
    edit.message_id = "1".into();
    edit.event = Event::Edited;
    bench.send(edit);
    assert_eq!(bench.rows_with("hello old chat").len(), 1);
}

fn message(bench: &Bench, id: &str) -> String {
    bench.db.get_chat_message_by_message_id(SUPER.into(), &id.into()).unwrap().unwrap().message_text
}

#[test]
fn the_news_delivered_twice_changes_nothing() {
    let bench = migrated();
    bench.say(SUPER, ADA, "hello");
    let before = rows(&bench.path());
    bench.happen(GROUP, ADA, BECOMES);
    assert_eq!(rows(&bench.path()), before);
    // Nor does it bring back what the new chat dropped meanwhile.
    bench.say(SUPER, ADA, "/forget tea");
    bench.say(SUPER, ADA, "/unset spam-threshold");
    let before = rows(&bench.path());
    bench.happen(GROUP, ADA, BECOMES);
    assert_eq!(rows(&bench.path()), before);
    let bench = bench.restarted();
    bench.happen(GROUP, ADA, BECOMES);
    assert_eq!(rows(&bench.path()), before);
}

#[test]
fn what_is_forgotten_in_the_new_chat_is_forgotten_in_the_old_one() {
    let bench = migrated();
    assert_eq!(bench.say(SUPER, ADA, "/forget tea"), "I forgot tea.");
    assert_eq!(bench.count("user_data"), 0);
    assert!(bench.say(SUPER, ADA, "/mydata erase").contains("0 things remembered"));
}

#[test]
fn a_restart_keeps_what_the_chat_was() {
    let bench = migrated();
    let history = bench.say(SUPER, ADA, "/history");
    let bench = bench.restarted();
    assert_eq!(bench.say(SUPER, ADA, "/history"), history);
    assert_eq!(bench.say(SUPER, ADA, "/recall tea"), "green");
}

#[test]
fn a_reminder_of_the_old_chat_is_said_in_the_new_one() {
    let bench = migrated();
    bench.pass(400);
    assert_eq!(bench.due(), [(SUPER, "Reminder for Ada: cake".to_owned())]);
    assert!(bench.say(SUPER, ADA, "/history").contains("Reminder for Ada: cake"));
    bench.say(SUPER, ADA, "/mydata erase yes");
    assert_eq!(bench.rows_with("cake"), [""; 0]);
}

#[test]
fn the_two_are_listed_as_one_and_erased_as_one() {
    let bench = migrated();
    bench.say(SUPER, ADA, "hello new chat");
    assert_eq!(bench.say(OWNER, OWNER, "/chats"), format!("{SUPER} supergroup Engines"));
    let shown = bench.say(ADA, ADA, "/mydata show");
    assert_eq!(shown.matches("Kept about you").count(), 2, "{shown}");
    let others = bench.rows_with("hello Ada");
    let erased = bench.say(ADA, ADA, "/mydata erase yes");
    assert_eq!(erased.lines().count(), 2, "{erased}");
    assert_eq!(bench.count(&format!("chat_messages WHERE user_id = {ADA}")), 0);
    assert_eq!(bench.count(&format!("chat_users WHERE user_id = {ADA}")) + bench.count("user_data"), 0);
    assert_eq!(bench.rows_with("hello Ada"), others);
}

#[test]
fn what_was_said_in_the_new_chat_before_the_news_and_what_the_old_one_was_are_put_together() {
    let bench = Bench::new();
    let mut first = bench.incoming(GROUP, ADA, "hello");
    first.chat_title = Some("Engines".to_owned());
    bench.send(first);
    bench.say(GROUP, BOB, "/spam cheap pills");
    bench.say(GROUP, BOB, "/ham lunch");
    bench.say(GROUP, ADA, "/set spam-threshold 75");
    bench.say(GROUP, ADA, "/set detect-spam true");
    bench.db.mark_user_is_spammer(GROUP.into(), ADA.into(), true).unwrap();
    bench.pass(60);
    let mut early = bench.incoming(SUPER, ADA, "hello there");
    early.user_name = String::new();
    bench.send(early);
    bench.say(SUPER, BOB, "/spam cheap watches");
    bench.say(SUPER, BOB, "/set spam-threshold 60");
    bench.happen(GROUP, ADA, BECOMES);
    bench.happen(GROUP, ADA, BECOMES);
    let info = bench.db.get_chat_info(SUPER.into()).unwrap().unwrap();
    assert_eq!((info.title.as_deref(), info.chat_type.to_string().as_str()), (Some("Engines"), "supergroup"));
    assert_eq!(info.created_at.to_string(), "2026-01-01 12:00:00");
    let settings = bench.say(SUPER, BOB, "/settings");
    assert!(settings.contains("spam-threshold = 60:") && settings.contains("detect-spam = true:"), "{settings}");
    let known = |user: i64| bench.db.get_chat_user(SUPER.into(), user.into()).unwrap().unwrap();
    assert_eq!((known(ADA).messages_count, known(ADA).full_name.as_str(), known(ADA).is_spammer), (4, "Ada", true));
    assert_eq!(known(BOB).messages_count, 5);
    let words = bench.db.get_bayes_tokens(Some(SUPER.into()), &["cheap", "pills", "watches", "lunch"]).unwrap();
    let words: Vec<_> = words.iter().map(|word| (word.token.as_str(), word.spam_count, word.ham_count)).collect();
    assert_eq!(words, [("cheap", 2, 0), ("lunch", 0, 1), ("pills", 1, 0), ("watches", 1, 0)]);
    let classes = bench.db.get_bayes_classes(Some(SUPER.into())).unwrap();
    let classes: Vec<_> = classes.iter().map(|class| (class.is_spam, class.message_count)).collect();
    assert_eq!(classes, [(false, 1), (true, 2)]);
}

#[test]
fn a_group_has_one_successor_and_a_supergroup_one_predecessor_and_nobody_is_his_own() {
    let bench = migrated();
    let before = rows(&bench.path());
    let refused = |old: i64, new: i64| {
        let mut news = bench.incoming(old, ADA, "");
        news.event = Event::MigratedTo(ChatId(new));
        let error = bench.bot.handle(news).unwrap_err().to_string();
        error.rsplit_once("source `primary`: ").unwrap().1.to_owned()
    };
    assert_eq!(
        refused(GROUP, -1_009),
        "the group cannot go on as this supergroup: the group became another supergroup before; nothing was changed"
    );
    assert_eq!(
        refused(SUPER, GROUP),
        "the group cannot go on as this supergroup: the supergroup is what the group was before; nothing was changed"
    );
    let aliases = |rows: &std::collections::BTreeMap<String, Vec<String>>| rows["switchyard_aliases"].clone();
    assert_eq!(aliases(&rows(&bench.path())), aliases(&before));
    bench.say(super::OTHER, ADA, "hello");
    assert_eq!(
        refused(super::OTHER, SUPER),
        "the group cannot go on as this supergroup: the supergroup comes of another group; nothing was changed"
    );
    assert!(bench.say(SUPER, BOB, "/history").contains("hello old chat"));
    // A longer ring.
    bench.happen(SUPER, ADA, Event::MigratedTo(ChatId(-1_009)));
    assert!(refused(-1_009, GROUP).contains("is what the group was before"));
}
