//! What a chat says is in its source and nowhere else: each chat speaks of a canary of its own, in everything that it
//! says and is called, and no other source's files ever hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use bot::handlers::Bot;
use bot::message::{Event, Handle as _, Incoming};
use database::{ChatId, DatabaseWrapper, MessageId, NewMedia, NewTopic, TopicId, UserId};
use proptest::prelude::*;

use super::config_of;
use crate::commands::{ADA, BOB, GROUP, OTHER, OWNER, SUPER, answer, bot_on};
use crate::replay::writes::{KINDS, Write};
use crate::support::{HandClock, Scratch, asked, time};

/// What the group becomes; it is where the group is.
const GROUP_LATER: i64 = -1_000_000_000_055;
/// The chats with their sources. A private chat has its person's id.
const CHATS: [(i64, &str); 7] =
    [(GROUP, "b"), (OTHER, "c"), (SUPER, "d"), (ADA, "c"), (OWNER, "b"), (BOB, "a"), (GROUP_LATER, "b")];
const SOURCES: [&str; 4] = ["a", "b", "c", "d"];
const PEOPLE: [i64; 3] = [ADA, BOB, OWNER];
/// What is given to calls that are about no chat.
const OF_NO_CHAT: &str = "kanarisharedx";

/// What people say; `{c}` is the chat's canary.
const SAID: [&str; 34] = [
    "hello {c}",
    "/{c}",
    "/start {c}",
    "/help",
    "/help {c}",
    "/stats",
    "/top",
    "/history",
    "/search {c}",
    "/topics",
    "/remember key{c} text {c}",
    "/remember {c} {c}",
    "/recall",
    "/recall key{c}",
    "/forget key{c}",
    "/remind 10s tea {c}",
    "/remind 2h cake {c}",
    "/settings",
    "/set detect-spam true",
    "/set spam-threshold 1",
    "/set {c} {c}",
    "/unset detect-spam",
    "/unset {c}",
    "/spam",
    "/spam buy {c}",
    "/ham",
    "/ham lunch {c}",
    "/mydata",
    "/route",
    "/mydata show",
    "/mydata erase",
    "/mydata erase yes",
    "/chats",
    "/status",
];

#[derive(Clone, Debug)]
enum Act {
    /// Somebody says something, perhaps in answer to what was said last.
    Say {
        chat: usize,
        user: usize,
        said: usize,
        answers: bool,
    },
    /// With a picture.
    Show {
        chat: usize,
        user: usize,
    },
    Happen {
        chat: usize,
        user: usize,
        event: usize,
    },
    /// A call that is made on the wrapper itself.
    Write(usize, Write),
    /// Time goes by, and reminders fall due.
    Pass(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let (chat, user) = (0..CHATS.len(), 0..PEOPLE.len());
    prop_oneof![
        10 => (chat.clone(), user.clone(), 0..SAID.len(), any::<bool>())
            .prop_map(|(chat, user, said, answers)| Act::Say { chat, user, said, answers }),
        1 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Act::Show { chat, user }),
        3 => (chat.clone(), user, 0..6_usize).prop_map(|(chat, user, event)| Act::Happen { chat, user, event }),
        6 => (chat, Write::any()).prop_map(|(chat, write)| Act::Write(chat, write)),
        2 => prop::sample::select(vec![1_i64, 15, 8_000]).prop_map(Act::Pass),
    ]
}

/// A bot whose chats are spread over four sources.
struct Yard {
    scratch: Scratch,
    clock: HandClock,
    seconds: i64,
    next_id: i64,
    last: BTreeMap<usize, MessageId>,
    db: DatabaseWrapper,
    bot: Bot,
}

impl Yard {
    fn new() -> Self {
        let scratch = Scratch::in_memory();
        // The chat of the default source is mapped nowhere, the later one inherits.
        let mapping: Vec<_> =
            CHATS.into_iter().filter(|(chat, source)| *source != "a" && *chat != GROUP_LATER).collect();
        let clock = HandClock::at("2026-01-01 12:00:00");
        let options = clock.options();
        let config = config_of(scratch.path(), &SOURCES, &mapping);
        let (db, _) = DatabaseWrapper::open_multi(&config, options.clone()).unwrap();
        let bot = bot_on(&db, &options);
        let mut yard = Self { scratch, clock, seconds: 0, next_id: 1, last: BTreeMap::new(), db, bot };
        for (chat, (id, _)) in CHATS.into_iter().enumerate() {
            for user in 0..PEOPLE.len() {
                if id == GROUP_LATER && user == 0 {
                    // Before anybody speaks there: only then it is known where that is.
                    yard.happen(0, user, Event::MigratedTo(ChatId(GROUP_LATER)));
                }
                yard.say(chat, user, "hello {c}", false);
            }
        }
        yard
    }

    fn incoming(&mut self, chat: usize, user: usize, text: &str) -> Incoming {
        let canary = canary(chat);
        let id = MessageId::from(self.next_id);
        self.next_id += 1;
        let now = time("2026-01-01 12:00:00").saturating_add_seconds(self.seconds);
        let (name, text) = (format!("Person {canary}"), text.replace("{c}", &canary));
        let mut incoming = Incoming::new(ChatId(CHATS[chat].0), UserId(PEOPLE[user]), name, id, now, text);
        incoming.username = Some(format!("user{}{canary}", PEOPLE[user]));
        incoming.chat_title = Some(format!("Title {canary}"));
        incoming
    }

    fn send(&mut self, chat: usize, incoming: Incoming) -> String {
        let id = incoming.message_id.clone();
        let handled = self.bot.handle(incoming).unwrap();
        assert_eq!(handled.source, CHATS[chat].1);
        self.last.insert(chat, id);
        answer(&handled)
    }

    fn say(&mut self, chat: usize, user: usize, text: &str, answers: bool) -> String {
        let mut incoming = self.incoming(chat, user, text);
        incoming.reply_to = answers.then(|| self.last.get(&chat).cloned()).flatten();
        self.send(chat, incoming)
    }

    fn happen(&mut self, chat: usize, user: usize, event: Event) {
        let mut incoming = self.incoming(chat, user, "");
        incoming.event = event;
        self.send(chat, incoming);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Say { chat, user, said, answers } => drop(self.say(*chat, *user, SAID[*said], *answers)),
            Act::Show { chat, user } => {
                let mut incoming = self.incoming(*chat, *user, "look {c}");
                incoming.media = Some(picture(*chat));
                self.send(*chat, incoming);
            }
            Act::Happen { chat, user, event } => {
                let event = match event {
                    0 => {
                        // What was said last is said otherwise.
                        let mut incoming = self.incoming(*chat, *user, "/remind 10s other {c}");
                        incoming.event = Event::Edited;
                        incoming.message_id = self.last[chat].clone();
                        // What another one said stays as it is.
                        return drop(self.bot.handle(incoming));
                    }
                    1 => Event::Joined,
                    2 => Event::Left,
                    3 => Event::Titled,
                    4 => {
                        let mut incoming = self.incoming(*chat, *user, "");
                        let (icon_color, icon_custom_emoji_id) = (Some(1), Some(canary(*chat)));
                        let topic = NewTopic { icon_color, icon_custom_emoji_id, name: canary(*chat) };
                        (incoming.event, incoming.thread) = (Event::Topic(topic), TopicId(3));
                        return drop(self.send(*chat, incoming));
                    }
                    _ => {
                        return self.happen(0, *user, Event::MigratedTo(ChatId(GROUP_LATER)));
                    }
                };
                self.happen(*chat, *user, event);
            }
            Act::Write(chat, write) => {
                let op = KINDS[write.kind].0;
                let room = op.split_once('.').unwrap().0;
                let of_no_chat = match room {
                    // Which chat goes on with which is told as an event.
                    "aliases" => return,
                    "media" | "bayes" => !write.flag && op != "spam.learn_example",
                    _ => matches!(room, "tasks" | "cache") || op == "settings.set_setting",
                };
                let mark = if of_no_chat { OF_NO_CHAT.to_owned() } else { canary(*chat) };
                let write = Write { chat: -CHATS[*chat].0, mark, ..write.clone() };
                match write.make(&self.db) {
                    Err(error) if !error.is_duplicate() => panic!("{write:?}: {error}"),
                    _ => {}
                }
            }
            Act::Pass(seconds) => {
                self.seconds += seconds;
                self.clock.set(time("2026-01-01 12:00:00").saturating_add_seconds(self.seconds));
                let due = self.bot.due(None).unwrap();
                for said in due {
                    let chat = CHATS.iter().position(|(chat, _)| *chat == said.chat.0).unwrap();
                    // A reminder of the group is said in what it became.
                    assert!(said.text.contains(&canary(chat)) || said.chat.0 == GROUP_LATER, "{}", said.text);
                    self.bot.said(&said).unwrap();
                }
            }
        }
    }

    /// Which canaries the files of each source hold.
    fn canaries(&self, read: impl Fn(&Path) -> Vec<u8>) -> BTreeMap<&'static str, BTreeSet<String>> {
        let all: Vec<_> = (0..CHATS.len()).map(canary).chain([OF_NO_CHAT.to_owned()]).collect();
        let mut found: BTreeMap<_, BTreeSet<String>> = SOURCES.into_iter().map(|of| (of, BTreeSet::new())).collect();
        for file in self.scratch.names() {
            let bytes = read(&self.scratch.file(&file));
            let held = all.iter().filter(|canary| memchr::memmem::find(&bytes, canary.as_bytes()).is_some()).cloned();
            let source = SOURCES.into_iter().find(|of| file.starts_with(&format!("{of}.db")));
            // The lock is no source's, and holds nothing.
            source.map_or(&mut BTreeSet::new(), |of| found.get_mut(of).unwrap()).extend(held);
        }
        found
    }
}

fn canary(chat: usize) -> String {
    format!("kanari{chat}x")
}

fn picture(chat: usize) -> NewMedia {
    let canary = || Some(canary(chat));
    NewMedia {
        file_id: canary(),
        metadata: format!("{{\"name\": {:?}}}", canary()),
        mime_type: canary(),
        local_url: canary(),
        prompt: canary(),
        description: canary(),
        ..NewMedia::new(canary().unwrap())
    }
}

/// The bytes of a file that SQLite may have open in this process: read by another, since closing it in this one would
/// take SQLite's locks away.
fn read_elsewhere(path: &Path) -> Vec<u8> {
    let read = Command::new("cat").arg(path).output().unwrap();
    assert!(read.status.success());
    read.stdout
}

/// The canaries that a source may hold.
fn own(source: &str) -> BTreeSet<String> {
    let of_chats = (0..CHATS.len()).filter(|chat| CHATS[*chat].1 == source).map(canary);
    of_chats.chain((source == "a").then(|| OF_NO_CHAT.to_owned())).collect()
}

/// Fails where a source's files hold what another's chat said.
fn check(held: &BTreeMap<&'static str, BTreeSet<String>>) {
    for (source, held) in held {
        let strange: Vec<_> = held.difference(&own(source)).cloned().collect();
        assert!(strange.is_empty(), "{source} holds {strange:?}");
    }
}

fn cases() -> u32 {
    asked("ISOLATION_CASES", 256)
}

#[test]
fn every_command_there_is_is_given() {
    let mut yard = Yard::new();
    let help = yard.say(0, 2, "/help", false);
    let listed: BTreeSet<_> = help.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert!(listed.len() >= 19, "{help}");
    let given: BTreeSet<_> = SAID.iter().map(|said| said.split_whitespace().next().unwrap()).collect();
    let missing: Vec<_> = listed.difference(&given).collect();
    assert!(missing.is_empty(), "{missing:?} are not given");
}

#[test]
fn a_canary_is_found_where_it_belongs_before_and_after_closing() {
    let yard = Yard::new();
    yard.db.set_setting("key", OF_NO_CHAT).unwrap();
    let expected: BTreeMap<_, _> = SOURCES.into_iter().map(|source| (source, own(source))).collect();
    assert_eq!(yard.canaries(read_elsewhere), expected);
    yard.db.clone().close();
    assert_eq!(yard.canaries(|path| std::fs::read(path).unwrap()), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sources_files_ever_hold_what_another_sources_chat_said(acts in prop::collection::vec(act(), 1..60)) {
        let mut yard = Yard::new();
        acts.iter().for_each(|act| yard.act(act));
        check(&yard.canaries(read_elsewhere));
        yard.db.clone().close();
        check(&yard.canaries(|path| std::fs::read(path).unwrap()));
    }
}
