//! A running bot follows its configuration, whatever way the file is changed in and with nobody telling it: its
//! handlers work on what the file says within three seconds, once.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::site::speak;
use crate::program::{Home, PATIENCE, Running};
use crate::support::{asked, sqlite};
use crate::watch::changes::{Followed, Way, ways};
use crate::watch::{LIVE, SETTLED};

/// The chat whose route is another in each round.
const CHAT: i64 = -200;
/// How long the bot has between two messages.
const REST: Duration = Duration::from_millis(20);

/// `RELOAD_ROUNDS=50 cargo test -p tests --features multi-source db::reloading` tries each way 50 times.
fn rounds() -> usize {
    asked("RELOAD_ROUNDS", 2)
}

/// A bot, and the file that it follows.
struct Bot {
    running: Running,
    home: Home,
    root: PathBuf,
    file: PathBuf,
    /// Where the chat is by what the file said last.
    source: &'static str,
    /// What was said while there was no doubt where the chat is, and where that was.
    said: Vec<(String, &'static str)>,
}

#[test]
fn whatever_way_the_file_is_changed_in_handlers_work_on_it_in_time_and_once() {
    // Side by side, each with a bot of its own.
    let threads = ways::<Bot>().map(|way| (way.name, thread::spawn(move || many(&way))));
    for (name, thread) in threads {
        thread.join().unwrap_or_else(|_| panic!("{name}"));
    }
}

fn many(way: &Way<Bot>) {
    let mut bot = Bot::new(way);
    let start = bot.generation();
    for round in 1..=rounds() {
        // The poll is anywhere in its second.
        bot.stays_for(Duration::from_millis(170 * round as u64 % 1000));
        let written = (way.change)(&mut bot, &text(round), round);
        bot.moves_to(source(round), written);
        assert_eq!(bot.generation(), start + round as u64);
    }
    bot.stays_for(SETTLED);
    let status = bot.status();
    assert_eq!(status["generation"], start + rounds() as u64);
    assert_eq!(status["last_reload"]["outcome"], "applied");
    bot.end();
}

impl Bot {
    fn new(way: &Way<Self>) -> Self {
        let home = Home::in_memory();
        let root = home.path("");
        (way.prepare)(&root, &text(0));
        let file = root.join(way.folder).join("bot.toml");
        let running = Running::start(&mut home.bot(&["--config", file.to_str().unwrap(), "-q", "console", "--json"]));
        let mut bot = Self { running, home, root, file, source: source(0), said: Vec::new() };
        bot.is_where_it_was();
        bot
    }

    /// What `bot db status --json` tells.
    fn status(&self) -> Value {
        let args = ["--config", self.file.to_str().unwrap(), "db", "--json", "status"];
        let said = Running::start(&mut self.home.bot(&args)).end();
        let status: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        assert_eq!(status["process"], self.running.child.id());
        status
    }

    fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().unwrap()
    }

    /// Something is said in the chat, which is where it was.
    #[track_caller]
    fn is_where_it_was(&mut self) {
        let text = format!("said as number {}", self.said.len());
        let (source, replies) = speak(&mut self.running, CHAT, &text);
        assert_eq!(source, self.source, "{replies}");
        self.said.push((text, self.source));
    }

    /// The chat comes to be in this source in time after the last write.
    #[track_caller]
    fn moves_to(&mut self, source: &'static str, written: Instant) {
        loop {
            // A call that begins later than that works on what the file says.
            let begun = written.elapsed();
            let (found, replies) = speak(&mut self.running, CHAT, "meanwhile");
            if found == source {
                break;
            }
            assert!(begun < LIVE, "after {begun:?} it is in {found}: {replies}");
            assert_eq!(found, self.source, "{replies}");
            thread::park_timeout(REST);
        }
        self.source = source;
        self.is_where_it_was();
        let told = speak(&mut self.running, CHAT, "/route").1;
        assert_eq!(told, format!("Chat {CHAT} is in {source}: [database.chat_mapping] says so."));
    }

    /// Ends the bot; what was said is in the files of the sources that it answered.
    fn end(self) {
        let Self { running, home, said, .. } = self;
        assert_eq!(running.end().code, Some(0));
        for source in ["primary", "archive", "third"] {
            let database = sqlite(&home.data().join(format!("{source}.db")));
            let sql = "SELECT message_text FROM chat_messages WHERE chat_id = ?1 AND message_text LIKE 'said as%'";
            let mut statement = database.prepare(sql).unwrap();
            let mut found: Vec<String> =
                statement.query_map([CHAT], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let mut wanted: Vec<_> =
                said.iter().filter(|(_, at)| *at == source).map(|(text, _)| text.clone()).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{source}");
        }
    }
}

impl Followed for Bot {
    fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self) -> &Path {
        &self.file
    }

    fn stays_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.is_where_it_was();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left.min(REST));
        }
    }

    fn is_refused(&mut self) {
        let start = Instant::now();
        while self.status()["last_reload"]["outcome"] != "refused" {
            assert!(start.elapsed() < PATIENCE, "not told");
            self.stays_for(REST);
        }
        self.is_where_it_was();
    }
}

/// Where the chat is in a round.
fn source(round: usize) -> &'static str {
    ["archive", "third"][round % 2]
}

/// What the file says in a round.
fn text(round: usize) -> String {
    format!(
        "[bot]\nowners = [1]\n[database]\ndefault_source = \"primary\"\n[database.sources.primary]\n\
         path = \"primary.db\"\n[database.sources.archive]\npath = \"archive.db\"\n[database.sources.third]\n\
         path = \"third.db\"\n[database.chat_mapping]\n-100 = \"archive\"\n{CHAT} = \"{}\"\n-{} = \"archive\"\n",
        source(round),
        2000 + round
    )
}
