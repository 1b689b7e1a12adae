//! What the bot does in a chat whose database is away, and what is at home afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bot::control::protocol::{Accept, Fault};
use bot::control::report::ReloadReport;
use bot::control::report::{RouteReport, ServedBy, SourceReport, StatusReport};
use bot::control::{Operator, Outage};
use bot::handlers::Bot;
use bot::message::{ChatKind, Event, Handle as _, Incoming};
use database::multi::Control;
use database::{
    ChatId, ChatType, ClassDelta, DatabaseConfig, DatabaseWrapper, MessageId, NewChatInfo, OnUnavailable, Options,
    SourceName, Timestamp, TokenDelta, UserId,
};

use super::{ADA, BOB, GROUP, OWNER, answer, bot_on};
use crate::multi::{carry, config_of, name};
use crate::support::{HandClock, Scratch, time};

/// A bot with a group whose database can be taken away.
struct Site {
    scratch: Scratch,
    clock: HandClock,
    now: Timestamp,
    config: DatabaseConfig,
    open: Option<(DatabaseWrapper, Control, Bot)>,
    next_id: i64,
}

impl Site {
    fn new() -> Self {
        let scratch = Scratch::new();
        let mut config = config_of(scratch.path(), &["primary", "community"], &[(GROUP, "community")]);
        config.sources.get_mut(&name("community")).unwrap().on_unavailable = OnUnavailable::StandIn;
        let clock = HandClock::at("2026-01-01 12:00:00");
        let now = time("2026-01-01 12:00:00");
        let mut site = Self { scratch, clock, now, config, open: None, next_id: 1 };
        site.start();
        site
    }

    fn start(&mut self) {
        let options = self.clock.options();
        let (db, control) = DatabaseWrapper::open_multi(&self.config, options.clone()).unwrap();
        let bot = bot_on(&db, &options);
        self.open = Some((db, control, bot));
    }

    fn stop(&mut self) {
        let (db, ..) = self.open.take().unwrap();
        db.close();
    }

    /// The bot is started anew while the group's database is away.
    fn take_away(&mut self) {
        self.stop();
        std::fs::rename(self.scratch.file("community.db"), self.scratch.file("away.db")).unwrap();
        self.pass(60);
        self.start();
        // Found out by the first call.
        self.db().get_chat_info(ChatId(GROUP)).unwrap();
        assert!(self.db().is_displaced(ChatId(GROUP)));
    }

    fn bring_back(&mut self) {
        std::fs::rename(self.scratch.file("away.db"), self.scratch.file("community.db")).unwrap();
        self.open.as_ref().unwrap().1.retry(&name("community")).unwrap();
        assert!(!self.db().is_displaced(ChatId(GROUP)));
    }

    fn db(&self) -> &DatabaseWrapper {
        &self.open.as_ref().unwrap().0
    }

    fn bot(&self) -> &Bot {
        &self.open.as_ref().unwrap().2
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.saturating_add_seconds(seconds);
        self.clock.set(self.now);
    }

    fn incoming(&mut self, user: i64, text: &str) -> Incoming {
        let id = MessageId::from(self.next_id);
        self.next_id += 1;
        let mut incoming = Incoming::new(ChatId(GROUP), UserId(user), format!("Person {user}"), id, self.now, text);
        incoming.username = Some(format!("person{user}"));
        incoming
    }

    fn say(&mut self, user: i64, text: &str) -> String {
        let incoming = self.incoming(user, text);
        answer(&self.bot().handle(incoming).unwrap())
    }
}

#[test]
fn what_is_not_told_of_chats_and_people_is_not_overwritten_at_home() {
    let mut site = Site::new();
    site.say(ADA, "hello");
    let forum = NewChatInfo {
        title: Some("Club".to_owned()),
        username: Some("@club".to_owned()),
        chat_type: ChatType::Supergroup,
        is_forum: true,
    };
    site.db().update_chat_info(ChatId(GROUP), &forum).unwrap();
    site.take_away();
    // Neither a title nor what sort of chat it is, no user name, and once no name at all.
    for (user, name) in [(ADA, ""), (BOB, "Bob")] {
        let mut incoming = site.incoming(user, "meanwhile");
        (incoming.username, incoming.user_name) = (None, name.to_owned());
        site.bot().handle(incoming).unwrap();
    }
    assert!(site.db().get_chat_info(ChatId(GROUP)).unwrap().unwrap().title.is_none());
    site.bring_back();
    let info = site.db().get_chat_info(ChatId(GROUP)).unwrap().unwrap();
    assert_eq!(NewChatInfo { title: info.title, username: info.username, ..forum.clone() }, forum);
    assert_eq!((info.chat_type, info.is_forum), (ChatType::Supergroup, true));
    let ada = site.db().get_chat_user(ChatId(GROUP), UserId(ADA)).unwrap().unwrap();
    assert_eq!((ada.username.as_str(), ada.full_name.as_str(), ada.messages_count), ("@person7", "Person 7", 2));
    // What is told is taken over: a new title.
    site.take_away();
    let mut titled = site.incoming(ADA, "");
    (titled.event, titled.chat_title) = (Event::Titled, Some("Society".to_owned()));
    titled.chat_kind = Some(ChatKind::Supergroup);
    site.bot().handle(titled).unwrap();
    site.bring_back();
    let info = site.db().get_chat_info(ChatId(GROUP)).unwrap().unwrap();
    assert_eq!(
        (info.title.as_deref(), info.username.as_deref(), info.is_forum),
        (Some("Society"), Some("@club"), true)
    );
    site.stop();
}

#[test]
fn nobody_is_judged_and_nothing_is_learnt() {
    let mut site = Site::new();
    let teach = |site: &mut Site| {
        for number in 1..=3 {
            site.say(BOB, &format!("/spam cheap pills buy now {number}"));
            site.say(BOB, &format!("/ham shall we meet for lunch tomorrow {number}"));
        }
    };
    teach(&mut site);
    site.say(OWNER, "/set detect-spam true");
    assert!(site.say(ADA, "cheap pills").contains("looks like spam"));
    site.take_away();
    // As if everything for it were there: it was all said to the stand-in.
    site.db().set_chat_setting(ChatId(GROUP), "detect-spam", "true").unwrap();
    let tokens = ["cheap", "pills"].map(|token| TokenDelta { token: token.to_owned(), spam: 9, ham: 0 });
    let classes = [true, false].map(|is_spam| ClassDelta { is_spam, messages: 9, tokens: 18 });
    site.db().update_bayes(Some(ChatId(GROUP)), &tokens, &classes).unwrap();
    assert!(site.say(BOB, "/spam cheap pills").contains("cannot learn now"));
    assert!(site.say(BOB, "/ham lunch").contains("cannot learn now"));
    assert_eq!(site.say(ADA, "cheap pills"), "");
    site.bring_back();
    assert!(site.say(ADA, "cheap pills").contains("looks like spam"));
    site.stop();
}

/// A bot that finds its group's database gone in the middle of a command: when the clock is looked at for this time. It
/// is back afterwards.
fn taken_away_at(nth: usize, ask: impl FnOnce(&mut Site) -> String) -> (Site, String, bool) {
    let mut site = Site::new();
    let left = Arc::new(AtomicUsize::new(0));
    site.stop();
    let (from, to) = (site.scratch.file("community.db"), site.scratch.file("away.db"));
    let (clock, hook_left) = (site.clock.options().clock, Arc::clone(&left));
    let now = move || {
        if hook_left.load(Ordering::Relaxed) > 0 && hook_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            carry(&from, &to);
            // So long a file is not looked at again.
            std::thread::park_timeout(Duration::from_millis(150));
        }
        clock.now()
    };
    let options = Options { clock: Arc::new(now), ..Options::default() };
    let (db, control) = DatabaseWrapper::open_multi(&site.config, options.clone()).unwrap();
    let bot = bot_on(&db, &options);
    site.open = Some((db, control, bot));
    for number in 1..=3 {
        site.say(BOB, &format!("/spam cheap pills buy now {number}"));
        site.say(BOB, &format!("/ham shall we meet for lunch tomorrow {number}"));
    }
    left.store(nth, Ordering::Relaxed);
    let answer = ask(&mut site);
    let was_taken = left.swap(0, Ordering::Relaxed) == 0;
    if was_taken {
        carry(&site.scratch.file("away.db"), &site.scratch.file("community.db"));
    }
    site.open.as_ref().unwrap().1.retry(&name("community")).unwrap();
    assert!(!site.db().is_displaced(ChatId(GROUP)));
    (site, answer, was_taken)
}

/// How many examples of spam the group was taught, and how many of its tokens are known from them.
fn taught(site: &Site) -> (i64, i64) {
    let examples = site.db().get_examples_of_user(ChatId(GROUP), UserId(BOB)).unwrap();
    let classes = site.db().get_bayes_classes(Some(ChatId(GROUP))).unwrap();
    let messages = classes.iter().filter(|class| class.is_spam).map(|class| class.message_count).sum();
    (examples.iter().filter(|example| example.is_spam).count() as i64, messages)
}

#[test]
fn whenever_its_database_goes_away_what_is_said_to_be_erased_is_unlearnt_too() {
    for nth in 1.. {
        let ask = |site: &mut Site| {
            let incoming = site.incoming(BOB, "/mydata erase yes");
            site.bot().handle(incoming).map_or_else(|_| String::new(), |handled| answer(&handled))
        };
        let (mut site, said, was_taken) = taken_away_at(nth, ask);
        match said.as_str() {
            said if said.starts_with("Erased") => assert_eq!(taught(&site), (0, 0), "{nth}: {said}"),
            said if said.starts_with("Nothing was erased") => assert_eq!(taught(&site), (3, 3), "{nth}: {said}"),
            said => assert!(said.is_empty() || said.starts_with("Not everything"), "{nth}: {said}"),
        }
        site.stop();
        if !was_taken {
            assert!(said.starts_with("Erased") && nth > 1, "{said}");
            break;
        }
    }
}

#[test]
fn whenever_its_database_goes_away_a_lesson_is_learnt_whole_or_not_at_all() {
    for nth in 1.. {
        let ask = |site: &mut Site| {
            let mut incoming = site.incoming(BOB, "/ham");
            // The first lesson, which is taken back.
            incoming.reply_to = Some(MessageId::from(1));
            site.bot().handle(incoming).map_or_else(|_| String::new(), |handled| answer(&handled))
        };
        let (mut site, said, was_taken) = taken_away_at(nth, ask);
        let examples = site.db().get_examples_of_user(ChatId(GROUP), UserId(BOB)).unwrap();
        let ham = examples.iter().filter(|example| !example.is_spam).count() as i64;
        let (spam, messages) = taught(&site);
        let is_learnt = said.starts_with("I learnt that this is no spam");
        assert!(is_learnt || said.is_empty() || said.starts_with("I cannot learn now"), "{nth}: {said}");
        let is_whole = (spam, messages, ham) == (2, 2, 4);
        let is_displaced = site.db().is_displaced(ChatId(GROUP));
        assert!(
            is_whole || (spam, messages, ham) == (3, 3, 3),
            "{nth}: {spam} {messages} {ham}: {said} (displaced: {is_displaced})"
        );
        // Where it fails in the middle of the commit nothing is said, and it may be kept.
        assert!(is_whole == is_learnt || said.is_empty(), "{nth}: {said}");
        site.stop();
        if !was_taken {
            assert!(is_learnt && nth > 1, "{said}");
            break;
        }
    }
}

#[test]
fn answers_that_are_made_of_what_was_before_say_that_it_is_missing() {
    let mut site = Site::new();
    site.say(ADA, "/remember tea green");
    site.take_away();
    let away = "away for now";
    for command in ["/history", "/recall", "/stats", "/settings", "/mydata"] {
        let answer = site.say(ADA, command);
        assert!(answer.contains(away), "{command}: {answer}");
    }
    assert!(!site.say(ADA, "/help").contains(away));
    site.bring_back();
    assert_eq!(site.say(ADA, "/recall tea"), "green");
    site.stop();
}

#[test]
fn what_is_forgotten_is_forgotten_at_home_and_nothing_is_erased_by_half() {
    let mut site = Site::new();
    site.say(ADA, "/remember tea green");
    site.take_away();
    assert_eq!(site.say(ADA, "/forget tea"), "I forgot tea.");
    let erased = site.say(ADA, "/mydata erase yes");
    assert!(erased.contains("Nothing was erased in this chat"), "{erased}");
    site.bring_back();
    assert!(site.say(ADA, "/recall tea").contains("I know no tea"));
    assert!(site.db().get_chat_user(ChatId(GROUP), UserId(ADA)).unwrap().unwrap().messages_count >= 3);
    site.stop();
}

#[test]
fn an_edit_of_a_message_that_is_away_is_at_home_afterwards_and_nobody_elses_is_touched() {
    let mut site = Site::new();
    let mut hello = site.incoming(ADA, "helo");
    site.bot().handle(hello.clone()).unwrap();
    let mut others = site.incoming(BOB, "Bob's");
    site.bot().handle(others.clone()).unwrap();
    site.take_away();
    (hello.event, hello.text) = (Event::Edited, "hello".to_owned());
    site.bot().handle(hello.clone()).unwrap();
    (others.event, others.text, others.user) = (Event::Edited, "forged".to_owned(), UserId(ADA));
    site.bot().handle(others.clone()).unwrap();
    site.bring_back();
    let text = |id: &MessageId| {
        site.db().get_chat_message_by_message_id(ChatId(GROUP), id).unwrap().map(|message| message.message_text)
    };
    assert_eq!(text(&hello.message_id).as_deref(), Some("hello"));
    assert_eq!(text(&others.message_id).as_deref(), Some("Bob's"));
    site.stop();
}

#[test]
fn a_reminder_whose_message_is_away_waits_for_it() {
    let mut site = Site::new();
    assert!(site.say(ADA, "/remind 10m feed the cat").contains("I will remind you"));
    site.take_away();
    site.pass(3600);
    assert_eq!(site.bot().due(None).unwrap(), []);
    site.bring_back();
    let due = site.bot().due(None).unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].text, "Reminder for Person 7: feed the cat");
    site.stop();
}

/// An operator who knows of outages only.
#[derive(Default)]
struct Outages(Mutex<Vec<Outage>>);

impl Operator for Outages {
    fn status(&self) -> StatusReport {
        StatusReport::default()
    }

    fn route(&self, chat: ChatId) -> RouteReport {
        RouteReport::only(chat, &SourceName::primary())
    }

    fn retry(&self, _: &SourceName) -> Result<SourceReport, Fault> {
        unreachable!()
    }

    fn adopt(&self, _: &SourceName, _: Accept) -> Result<SourceReport, Fault> {
        unreachable!()
    }

    fn reload(&self) -> Result<ReloadReport, Fault> {
        unreachable!()
    }

    fn outages(&self) -> Vec<Outage> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn an_owner_who_is_known_by_name_alone_is_told_once_they_have_written() {
    let mut site = Site::new();
    let operator = Arc::new(Outages::default());
    let (db, _, bot) = site.open.take().unwrap();
    let bot = bot.with_operator(Arc::clone(&operator) as Arc<dyn Operator>);
    *operator.0.lock().unwrap() =
        vec![Outage { source: "community".to_owned(), reason: None, lasted: Duration::from_secs(60), served_by: None }];
    let told = || bot.due(None).unwrap().into_iter().map(|due| due.chat.0).collect::<Vec<_>>();
    let mut write = |user, name: &str| {
        let mut incoming = site.incoming(user, "hello");
        incoming.username = Some(name.to_owned());
        bot.handle(incoming).unwrap();
    };
    write(ADA, "ada");
    assert_eq!(told(), [OWNER]);
    write(BOB, "grace");
    assert_eq!(told(), [OWNER, BOB], "in the chat that they have with the bot alone");
    // The name goes to somebody else, who has it once they write; whoever had it is no owner any more.
    write(BOB, "bob");
    assert_eq!(told(), [OWNER]);
    write(ADA, "Grace");
    assert_eq!(told(), [OWNER, ADA]);
    db.close();
}

#[test]
fn owners_are_told_of_an_outage_once() {
    let mut site = Site::new();
    let operator = Arc::new(Outages::default());
    let (db, _, bot) = site.open.take().unwrap();
    let bot = bot.with_operator(Arc::clone(&operator) as Arc<dyn Operator>);
    let lasts = |seconds| {
        *operator.0.lock().unwrap() = vec![Outage {
            source: "community".to_owned(),
            reason: Some("the file is missing".to_owned()),
            lasted: Duration::from_secs(seconds),
            served_by: Some(ServedBy::StandIn),
        }];
    };
    assert_eq!(bot.due(None).unwrap(), []);
    lasts(1);
    assert_eq!(bot.due(None).unwrap(), [], "what is over at once is no news");
    lasts(5);
    let due = bot.due(None).unwrap();
    assert_eq!(due.len(), 1, "the other owner's id is not known");
    assert_eq!((due[0].chat, bot.due(Some(ChatId(GROUP))).unwrap().len()), (ChatId(OWNER), 0));
    assert!(due[0].text.contains("community") && due[0].text.contains("missing"), "{}", due[0].text);
    assert!(due[0].text.contains("served by a stand-in"));
    assert_eq!(bot.due(None).unwrap(), due, "nobody has heard it yet");
    bot.said(&due[0]).unwrap();
    for _ in 0..5 {
        site.pass(500);
        assert_eq!(bot.due(None).unwrap(), [], "however long it lasts");
    }
    // It comes and goes: one outage.
    operator.0.lock().unwrap().clear();
    site.pass(300);
    assert_eq!(bot.due(None).unwrap(), []);
    lasts(5);
    assert_eq!(bot.due(None).unwrap(), []);
    operator.0.lock().unwrap().clear();
    site.pass(600);
    assert_eq!(bot.due(None).unwrap(), []);
    lasts(5);
    assert_eq!(bot.due(None).unwrap().len(), 1, "another one");
    db.close();
}
