//! A bot that is killed while it moves a chat, as it was asked to through its socket, and the chat talks: one owner,
//! every answer kept, nothing back from the dead; the bot that is started next completes the move or undoes it.
//!
//! The longer form takes some minutes:
//!
//! ```text
//! MOVE_KILLS=20 cargo test --release -p tests --features multi-source --test it db::killed -- --nocapture
//! ```

mod said;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bot::control::client::{Client, ClientError};
use bot::control::moves::{MoveRequest, MoveStep};
use bot::control::protocol::{Answer, Command};
use database::ChatId;
use database::multi::Stage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::said::Said;
use super::site::{Site, TWO, speak};
use crate::multi::live::fill_by;
use crate::multi::{config_of, open};
use crate::program::{Home, PATIENCE, Running};
use crate::support::{asked, pause, sqlite};

/// The chat that moves.
const CHAT: i64 = -200;
/// Those who said before what nobody touches, by number from here on.
const FIRST_OTHER: i64 = 1_000;

/// The default source first.
const SOURCES: [&str; 2] = ["primary", "archive"];
/// The stages of a move in their order.
const STAGES: [Stage; 7] = [
    Stage::Waiting,
    Stage::Tidying,
    Stage::Copying,
    Stage::Verifying,
    Stage::CatchingUp,
    Stage::Switching,
    Stage::Deleting,
];
/// The stages at which the bot is killed, and how long after they are told at most.
const KILLED_AT: [(Stage, Duration); 5] = [
    (Stage::Copying, Duration::from_millis(150)),
    (Stage::Verifying, Duration::from_millis(10)),
    (Stage::Switching, Duration::from_millis(15)),
    (Stage::Deleting, Duration::from_millis(100)),
    (Stage::Tidying, Duration::from_millis(30)),
];
/// What a kill counts as that came when the move was at its end.
const AT_THE_END: &str = "at the end";
/// How often a stage is tried to be met.
const MOST_TRIES: u32 = 20;

/// The kills, and the stage that was told last before each.
#[derive(Default)]
struct Kills {
    all: u32,
    at: BTreeMap<String, usize>,
}

impl Kills {
    fn count(&mut self, at: String) {
        self.all += 1;
        *self.at.entry(at).or_default() += 1;
    }

    fn hits(&self, stage: Stage) -> usize {
        self.at.get(&stage.to_string()).copied().unwrap_or_default()
    }
}

#[test]
fn a_bot_that_is_killed_while_it_moves_a_chat_loses_and_doubles_nothing() {
    let rounds: usize = asked("MOVE_KILLS", 2);
    let mut kills = Kills::default();
    let (mut undone, mut answered) = (0, 0);
    for round in 0..rounds {
        let mut chat = Moved::new();
        for (stage, longest) in KILLED_AT {
            let before = kills.hits(stage);
            for again in 1.. {
                assert!(again <= MOST_TRIES, "no kill came while {stage}: {:?}", kills.at);
                if stage == Stage::Tidying {
                    // What is tidied away is a part of a copy, or what the chat has left.
                    let left_at = if round.is_multiple_of(2) { Stage::Copying } else { Stage::Deleting };
                    kills.count(chat.kill_at(left_at, Duration::from_millis(50)));
                }
                // Anywhere in that time, and sooner where the stage was over.
                let after = longest * ((kills.all * 37 + 13) % 100) / 100 / again;
                kills.count(chat.kill_at(stage, after));
                undone += u32::from(chat.settle());
                if kills.hits(stage) > before {
                    break;
                }
            }
        }
        answered += chat.said.answered();
    }
    let Kills { all, at } = &kills;
    writeln!(
        std::io::stdout(),
        "{all} kills of bots that move a chat ({at:?}), {undone} undone, {answered} answered messages: none lost, none \
         doubled"
    )
    .unwrap();
    for (stage, _) in KILLED_AT {
        assert!(kills.hits(stage) >= rounds, "{stage}: {at:?}");
    }
    assert!(undone > 0 && answered > 0, "moves were undone, and the chat was answered");
}

/// A chat between two sources.
struct Moved {
    site: Site,
    said: Said,
    /// How many messages the others have said.
    others: i64,
    from: &'static str,
    to: &'static str,
    /// How often a move was brought to its end.
    settled: u32,
}

impl Moved {
    fn new() -> Self {
        let site = Site { home: Home::in_memory() };
        site.configure(TWO);
        assert_eq!(site.start().end().code, Some(0));
        // So many that comparing them takes some time.
        let others: i64 = asked("MOVED_MESSAGES", if cfg!(debug_assertions) { 3_000 } else { 10_000 });
        let (db, _) = open(&config_of(&site.home.data(), &SOURCES, &[(-100, "archive")]));
        fill_by(&db, ChatId(CHAT), FIRST_OTHER, others);
        db.close();
        Self { site, said: Said::default(), others, from: SOURCES[0], to: SOURCES[1], settled: 0 }
    }

    /// Has a bot move the chat while that talks, and kills it so long after a stage, or a later one, is told. Answers
    /// the stage that was told last.
    fn kill_at(&mut self, stage: Stage, after: Duration) -> String {
        let mut running = self.start();
        let mut input = running.take_input();
        let (folder, to, bot) = (self.site.home.data(), self.to, Pid::from_child(&running.child));
        let said = &mut self.said;
        let at = std::thread::scope(|scope| {
            let killer = scope.spawn(|| move_and_kill(&folder, to, stage, after, bot));
            while !killer.is_finished() {
                said.go_on(&mut input, &running);
            }
            killer.join().unwrap()
        });
        let ended = running.wait();
        assert_eq!(ended.code, None, "{ended:?}");
        ended.out.lines().for_each(|line| said.hear(line));
        at
    }

    /// Starts the bot, and looks at what there is: the chat is in one place, which is the one that is noted, with all
    /// that was answered.
    fn start(&mut self) -> Running {
        let running = self.site.start();
        let route = self.route();
        let owner = route["source"].as_str().unwrap();
        let noted = self.noted();
        let is_right = match noted.as_deref() {
            Some("copying") => owner == self.from,
            Some(_) => owner == self.to,
            None => SOURCES.contains(&owner),
        };
        assert!(is_right, "from {} to {}, {noted:?}: {route}", self.from, self.to);
        self.check(owner);
        running
    }

    /// Brings a move to its end; each second time undoes it before, where that can be, and answers whether it was.
    fn settle(&mut self) -> bool {
        let mut running = self.start();
        let noted = self.noted();
        let mut is_undone = false;
        if self.settled.is_multiple_of(2) {
            let answer = self.site.json(&["move", "-200", "--abort"]);
            is_undone = answer["moves"][0]["outcome"] == "undone";
            assert_eq!(is_undone, noted.as_deref() == Some("copying"), "{noted:?}: {answer}");
        }
        if is_undone {
            self.check_whole(self.from);
        }
        let answer = self.site.json(&["move", "-200", "--to", self.to]);
        let moved = &answer["moves"][0];
        let is_complete = match moved["outcome"].as_str() {
            Some("moved" | "mapped") => true,
            // All was done before, the line in the configuration too.
            Some("failed") if noted.is_none() => {
                moved["error"].as_str().unwrap().contains(&format!("is in `{}` already", self.to))
            }
            _ => false,
        };
        assert!(is_complete, "{noted:?}: {answer}");
        self.check_whole(self.to);
        assert_eq!(speak(&mut running, CHAT, "it goes on").0, self.to);
        assert_eq!(running.end().code, Some(0));
        self.settled += 1;
        std::mem::swap(&mut self.from, &mut self.to);
        is_undone
    }

    /// The chat is in this source alone, and the configuration says so.
    fn check_whole(&mut self, owner: &str) {
        let route = self.route();
        assert_eq!((&route["source"], &route["not_followed"]), (&owner.into(), &Value::Null), "{route}");
        assert_eq!(self.noted(), None);
        self.check(owner);
        let text = std::fs::read_to_string(self.site.home.path("bot.toml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("-200 = "));
        // What is mapped nowhere is in the default source.
        assert_eq!(line, (owner != SOURCES[0]).then_some("\"archive\""), "{text}");
        for other in SOURCES.into_iter().filter(|name| *name != owner) {
            let connection = sqlite(&self.file(other));
            let tables = ["chat_messages", "chat_settings", "chat_stats", "chat_users", "chat_user_stats", "user_data"];
            for table in tables {
                let sql = format!("SELECT count(*) FROM {table} WHERE chat_id = {CHAT}");
                let left: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
                assert_eq!(left, 0, "{table} in {other}");
            }
        }
    }

    /// This source has all that was answered, and what the others said, each counted once.
    fn check(&mut self, owner: &str) {
        let connection = sqlite(&self.file(owner));
        self.said.check(&connection);
        let sql = format!(
            "SELECT count(*), sum(user_id >= {FIRST_OTHER}),
                    (SELECT sum(messages_count) FROM chat_stats WHERE chat_id = {CHAT}),
                    (SELECT sum(messages_count) FROM chat_users WHERE chat_id = {CHAT})
             FROM chat_messages WHERE chat_id = {CHAT}"
        );
        let [all, others, by_day, by_person]: [i64; 4] =
            connection.query_row(&sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
        assert_eq!((others, by_day, by_person), (self.others, all, all));
    }

    /// Where the chat is, as the bot tells it.
    fn route(&self) -> Value {
        let route = self.site.json(&["route", "-200"]);
        assert_eq!((&route["certain"], &route["disputed"]), (&true.into(), &Value::Null), "{route}");
        route
    }

    /// How far a move is that is not at its end.
    fn noted(&self) -> Option<String> {
        let sql = format!("SELECT max(state) FROM switchyard_moves WHERE chat_id = {CHAT}");
        sqlite(&self.file(SOURCES[0])).query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    fn file(&self, source: &str) -> PathBuf {
        self.site.data(&format!("{source}.db"))
    }
}

/// Asks a bot to move the chat, and kills it so long after a stage, or a later one, is told. Answers the stage that was
/// told last.
fn move_and_kill(folder: &Path, to: &str, wanted: Stage, after: Duration, bot: Pid) -> String {
    let client = Client::connect(folder).unwrap().expect("a bot that listens");
    let request = MoveRequest { chats: vec![CHAT], to: Some(to.to_owned()), ..MoveRequest::default() };
    let place = |stage: &str| STAGES.iter().position(|one| one.to_string() == stage).unwrap();
    let wanted_place = place(&wanted.to_string());
    let (mut at, mut is_killed) = (String::new(), false);
    let mut follow = |step: Option<MoveStep>| -> ControlFlow<()> {
        let Some(step) = step else { return ControlFlow::Continue(()) };
        let is_there = place(&step.stage) >= wanted_place;
        if !is_killed && is_there {
            pause(after);
            kill_process(bot, Signal::KILL).unwrap();
            is_killed = true;
        }
        at = step.stage;
        ControlFlow::Continue(())
    };
    let answer = client.ask_and_follow(Command::Move(request), PATIENCE, &mut follow);
    match answer {
        Ok(Answer::Moves(_)) => {
            kill_process(bot, Signal::KILL).unwrap();
            AT_THE_END.to_owned()
        }
        // The last word may be cut.
        Ok(Answer::Progress(_)) | Err(ClientError::HungUp { .. } | ClientError::Garbled { .. }) if is_killed => at,
        other => panic!("{other:?}"),
    }
}
