//! The bot's handlers without a transport: messages as a platform delivers them, on a database of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bot::handlers::{Bot, Identity};
use bot::message::{ChatKind, Handle as _, Incoming, MessageIds};
use database::{ChatId, DatabaseWrapper, MessageId, TopicId, UserId};

use crate::program::Home;

const CHAT: ChatId = ChatId(-1_000_000_000_005);
const ANN: UserId = UserId(7);
const BOT: UserId = UserId(1_000);

fn bot_on(db: &DatabaseWrapper) -> Bot {
    let micros = AtomicI64::new(1_700_000_000_000_000);
    let ids = MessageIds::by(move || micros.fetch_add(1, Ordering::Relaxed));
    let clock = || "2025-06-01 12:00:00".parse().unwrap();
    let identity = Identity { user: BOT, name: "Switchyard".to_owned(), username: "@switchyard_bot".to_owned() };
    Bot::new(db.clone(), Arc::new(ids), Arc::new(clock), identity)
}

fn says(id: &str, text: &str) -> Incoming {
    let date = "2025-06-01 11:59:59".parse().unwrap();
    Incoming::new(CHAT, ANN, "Ann Lee", MessageId::from(id), date, text)
}

fn replies(bot: &Bot, incoming: Incoming) -> Vec<String> {
    bot.handle(incoming).unwrap().replies.into_iter().map(|reply| reply.text).collect()
}

#[test]
fn delivered_twice_a_message_is_stored_counted_and_obeyed_once() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    assert_eq!(replies(&bot, says("1", "hello")), [""; 0]);
    assert_eq!(replies(&bot, says("2", "/nothing")).len(), 1);
    let before = home.dump();
    for _ in 0..2 {
        assert_eq!(replies(&bot, says("1", "hello")), [""; 0]);
        assert_eq!(replies(&bot, says("2", "/nothing")), [""; 0]);
        // Not even where it was changed on the way.
        assert_eq!(replies(&bot, says("1", "hello again")), [""; 0]);
    }
    assert_eq!(home.dump(), before);
    assert_eq!(home.one("SELECT messages_count FROM chat_users WHERE user_id = 7"), 2);
    assert_eq!(home.one("SELECT SUM(messages_count) FROM chat_stats"), 3);
}

#[test]
fn an_id_counts_within_its_chat_only() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    replies(&bot, says("1", "here"));
    let mut elsewhere = says("1", "/nothing");
    elsewhere.chat = ChatId(-6);
    assert_eq!(replies(&bot, elsewhere).len(), 1);
}

#[test]
fn a_reply_stands_in_the_topic_and_names_what_it_answers() {
    let home = Home::new();
    let db = home.open();
    let mut question = says("5", "/nothing");
    question.thread = TopicId(3);
    question.reply_to = Some(MessageId::from("4"));
    replies(&bot_on(&db), question);
    let rows = home.texts(
        "SELECT user_id || ', ' || message_category || ', ' || thread_id || ', ' || reply_id || ', '
                || COALESCE(root_message_id, '-') || ', ' || date
         FROM chat_messages ORDER BY date",
    );
    assert_eq!(
        rows,
        ["7, user-command, 3, 4, 4, 2025-06-01 11:59:59", "1000, bot-command-reply, 3, 5, 5, 2025-06-01 12:00:00"]
    );
}

#[test]
fn a_name_that_is_not_told_leaves_the_known_one_and_a_told_one_replaces_it() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    let known = || {
        let user = db.get_chat_user(CHAT, ANN).unwrap().unwrap();
        (user.username, user.full_name)
    };
    let mut told = says("1", "hello");
    told.username = Some("ann".to_owned());
    replies(&bot, told);
    assert_eq!(known(), ("@ann".to_owned(), "Ann Lee".to_owned()));
    let mut unknown = says("2", "hello");
    unknown.user_name = String::new();
    replies(&bot, unknown);
    assert_eq!(known(), ("@ann".to_owned(), "Ann Lee".to_owned()));
    let mut renamed = says("3", "hello");
    renamed.user_name = "Ann Park".to_owned();
    replies(&bot, renamed);
    assert_eq!(known(), ("@ann".to_owned(), "Ann Park".to_owned()));
    let mut anew = says("4", "hello");
    anew.username = Some("annpark".to_owned());
    replies(&bot, anew);
    assert_eq!(known(), ("@annpark".to_owned(), "Ann Lee".to_owned()));
    let mut dropped = says("5", "hello");
    dropped.username = Some(String::new());
    replies(&bot, dropped);
    assert_eq!(known(), (String::new(), "Ann Lee".to_owned()));
}

#[test]
fn a_title_follows_what_the_platform_tells_and_the_rest_stays() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    let info = database::NewChatInfo {
        title: Some("Old".to_owned()),
        username: Some("circle".to_owned()),
        chat_type: database::ChatType::Supergroup,
        is_forum: true,
    };
    db.update_chat_info(CHAT, &info).unwrap();
    replies(&bot, says("1", "hello"));
    let known = |db: &DatabaseWrapper| {
        let info = db.get_chat_info(CHAT).unwrap().unwrap();
        (info.title, info.username, info.chat_type.to_string(), info.is_forum)
    };
    let expected = |title: &str, kind: &str| (Some(title.to_owned()), Some("circle".to_owned()), kind.to_owned(), true);
    assert_eq!(known(&db), expected("Old", "supergroup"));
    let mut told = says("2", "hello");
    told.chat_title = Some("New".to_owned());
    told.chat_kind = Some(ChatKind::Channel);
    replies(&bot, told);
    assert_eq!(known(&db), expected("New", "channel"));
    let mut empty = says("3", "hello");
    empty.chat_title = Some(String::new());
    replies(&bot, empty);
    assert_eq!(known(&db), expected("New", "channel"));
}

#[test]
fn the_sort_of_a_chat_is_what_was_told_and_a_guess_replaces_nothing() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    let kind = || db.get_chat_info(CHAT).unwrap().unwrap().chat_type.to_string();
    replies(&bot, says("1", "hello"));
    assert_eq!(kind(), "supergroup", "told from the id");
    let told = |id: &str, kind: Option<ChatKind>, title: Option<&str>| {
        let mut incoming = says(id, "hello");
        (incoming.chat_kind, incoming.chat_title) = (kind, title.map(str::to_owned));
        incoming
    };
    replies(&bot, told("2", Some(ChatKind::Channel), None));
    assert_eq!(kind(), "channel", "without a title that is new");
    replies(&bot, told("3", None, Some("New")));
    assert_eq!(kind(), "channel", "with a new title and no sort");
    assert_eq!(db.get_chat_info(CHAT).unwrap().unwrap().title.as_deref(), Some("New"));
    replies(&bot, told("4", Some(ChatKind::Group), None));
    assert_eq!(db.get_chat_info(CHAT).unwrap().unwrap().title.as_deref(), Some("New"));
}

#[test]
fn what_is_private_is_told_by_the_platform_before_the_id() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    let mut elsewhere = says("1", "hello");
    elsewhere.chat = ChatId(-6);
    replies(&bot, elsewhere);
    let shows = |id: &str, kind: Option<ChatKind>| {
        let mut incoming = says(id, "/mydata");
        incoming.chat_kind = kind;
        replies(&bot, incoming).concat().matches("Kept about you").count()
    };
    assert_eq!(shows("1", None), 1);
    assert_eq!(shows("2", Some(ChatKind::Private)), 2, "everywhere");
    assert_eq!(shows("3", None), 2, "as it was told before");
}

#[test]
fn nobody_speaks_as_the_bot() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    replies(&bot, says("1", "/help"));
    let before = home.dump();
    for text in ["hello", "/mydata erase yes"] {
        let mut own = says("2", text);
        own.user = BOT;
        let error = bot.handle(own).unwrap_err().to_string();
        assert_eq!(error, "not handled and not stored: user 1000 is the bot itself; speak as another");
    }
    assert_eq!(home.dump(), before);
}

#[test]
fn a_chat_that_is_new_is_known_with_its_kind_before_anybody_speaks_twice() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    replies(&bot, says("1", "/stats"));
    assert_eq!(home.texts("SELECT chat_id || ' ' || type FROM chat_info"), [format!("{CHAT} supergroup")]);
    assert_eq!(home.texts("SELECT username FROM chat_users WHERE user_id = 1000"), ["@switchyard_bot"]);
    // The bot's own id is told, so it is not among those who say most.
    replies(&bot, says("2", "/help"));
    assert_eq!(replies(&bot, says("3", "/top")).concat().matches('\n').count(), 0);
}

#[test]
fn a_database_that_is_gone_is_an_error_of_the_message() {
    let home = Home::new();
    let db = home.open();
    let bot = bot_on(&db);
    replies(&bot, says("1", "hello"));
    db.close();
    let error = bot.handle(says("2", "private words")).unwrap_err().to_string();
    assert!(!error.is_empty() && !error.contains("private words"), "{error}");
}
