//! The bot's commands and what else happens in chats, through `Bot::handle`, on a database file.

mod answers;
#[cfg(feature = "multi-source")]
mod displaced;
mod erasing;
mod events;
mod redelivery;
mod reminders;
mod spam;
mod supergroups;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bot::handlers::{Bot, Identity};
use bot::message::{Event, Handle as _, Handled, Incoming, MessageIds};
use config::Owner;
use database::{ChatId, DatabaseWrapper, MessageId, Options, Timestamp, UserId};

use super::support::{HandClock, Recording, Scratch, open_with, rows, sqlite, time};

/// A group, and another one.
pub(crate) const GROUP: i64 = -5;
pub(crate) const OTHER: i64 = -6;
/// A supergroup.
pub(crate) const SUPER: i64 = -1_001_234_567_890;
/// People; each one's private chat has the person's id.
pub(crate) const OWNER: i64 = 1;
pub(crate) const ADA: i64 = 7;
pub(crate) const BOB: i64 = 8;
/// The bot's own id.
pub(crate) const BOT: UserId = UserId(99);

/// A bot on a database file under a clock that is set by hand.
pub(crate) struct Bench {
    scratch: Scratch,
    clock: HandClock,
    now: AtomicI64,
    next_id: AtomicI64,
    /// What was written.
    pub(crate) recording: Recording,
    pub(crate) db: DatabaseWrapper,
    pub(crate) bot: Bot,
}

impl Bench {
    /// A bot that user 1 and whoever is called @grace own, at noon.
    pub(crate) fn new() -> Self {
        let scratch = Scratch::in_memory();
        let clock = HandClock::at("2026-01-01 12:00:00");
        let recording = Recording::default();
        let (db, bot) = start(&scratch, &clock, &recording);
        let now = AtomicI64::new(time("2026-01-01 12:00:00").unix_seconds());
        Self { scratch, clock, now, next_id: AtomicI64::new(1), recording, db, bot }
    }

    /// The same after the program ended and was started again.
    pub(crate) fn restarted(self) -> Self {
        // Ids come from the clock: no program starts again within the same microsecond.
        self.pass(1);
        self.db.close();
        let (db, bot) = start(&self.scratch, &self.clock, &self.recording);
        Self { db, bot, ..self }
    }

    /// Another program at work on the same file.
    pub(crate) fn second_bot(&self) -> Bot {
        start(&self.scratch, &self.clock, &self.recording).1
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.file("bot.db")
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.now.load(Ordering::Relaxed)).unwrap()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
        self.clock.set(self.now());
    }

    /// A message of a person without a user name, with the next id.
    pub(crate) fn incoming(&self, chat: i64, user: i64, text: &str) -> Incoming {
        let name = match user {
            ADA => "Ada".to_owned(),
            BOB => "Bob".to_owned(),
            OWNER => "Olga".to_owned(),
            other => format!("Person {other}"),
        };
        let id = MessageId::from(self.next_id.fetch_add(1, Ordering::Relaxed));
        Incoming::new(ChatId(chat), UserId(user), name, id, self.now(), text)
    }

    pub(crate) fn send(&self, incoming: Incoming) -> Handled {
        self.bot.handle(incoming).unwrap()
    }

    /// Says something in a chat; what the bot answers, nothing where it is silent.
    pub(crate) fn say(&self, chat: i64, user: i64, text: &str) -> String {
        answer(&self.send(self.incoming(chat, user, text)))
    }

    /// Answers the message of this id.
    pub(crate) fn reply(&self, chat: i64, user: i64, to: &MessageId, text: &str) -> String {
        let mut incoming = self.incoming(chat, user, text);
        incoming.reply_to = Some(to.clone());
        answer(&self.send(incoming))
    }

    /// Says something, and answers what id it has.
    pub(crate) fn tell(&self, chat: i64, user: i64, text: &str) -> MessageId {
        let incoming = self.incoming(chat, user, text);
        let id = incoming.message_id.clone();
        self.send(incoming);
        id
    }

    /// Something other than a message happens.
    pub(crate) fn happen(&self, chat: i64, user: i64, event: Event) {
        let mut incoming = self.incoming(chat, user, "");
        incoming.event = event;
        assert_eq!(self.send(incoming).replies, []);
    }

    /// What the bot says by itself now, and somebody hears: where, and what.
    pub(crate) fn due(&self) -> Vec<(i64, String)> {
        self.due_in(None)
    }

    /// The same to those who are in one chat.
    pub(crate) fn due_in(&self, chat: Option<i64>) -> Vec<(i64, String)> {
        let due = self.bot.due(chat.map(ChatId)).unwrap();
        due.iter().for_each(|due| self.bot.said(due).unwrap());
        due.into_iter().map(|due| (due.chat.0, due.text)).collect()
    }

    /// The rows of all tables that hold a text, in any column, with the table's name in front.
    pub(crate) fn rows_with(&self, text: &str) -> Vec<String> {
        let text = text.to_lowercase();
        let all = rows(&self.path()).into_iter();
        let lines = all.flat_map(|(table, lines)| lines.into_iter().map(move |line| format!("{table}: {line}")));
        lines.filter(|line| line.to_lowercase().contains(&text)).collect()
    }

    /// How many rows of a table fulfil a condition.
    pub(crate) fn count(&self, table_where: &str) -> i64 {
        sqlite(&self.path()).query_row(&format!("SELECT COUNT(*) FROM {table_where}"), [], |row| row.get(0)).unwrap()
    }
}

fn start(scratch: &Scratch, clock: &HandClock, recording: &Recording) -> (DatabaseWrapper, Bot) {
    let options = recording.of(clock.options());
    let db = open_with(&scratch.file("bot.db"), options.clone());
    let bot = bot_on(&db, &options);
    (db, bot)
}

/// A bot on databases that were opened with these options.
pub(crate) fn bot_on(db: &DatabaseWrapper, options: &Options) -> Bot {
    let ids = Arc::new(MessageIds::by({
        let clock = Arc::clone(&options.clock);
        move || clock.now().unix_seconds() * 1_000_000
    }));
    let identity = Identity { user: BOT, name: "Switchyard".to_owned(), username: "@switchyard_bot".to_owned() };
    let owners = vec![Owner::Id(UserId(OWNER)), Owner::Name("Grace".to_owned())];
    Bot::new(db.clone(), ids, Arc::clone(&options.clock), identity).owned_by(owners)
}

pub(crate) fn answer(handled: &Handled) -> String {
    let texts: Vec<_> = handled.replies.iter().map(|reply| reply.text.as_str()).collect();
    texts.join("\n---\n")
}
