//! Outages under load, with processes that are killed in between, and kills without outages: whatever was answered is
//! at home in the end, once and in order, in whole transactions, and at no time in a file where it is not to be. Beside
//! those who write there are readers, and none of them sees time run backwards.
//!
//! The longer form, some minutes:
//!
//! ```text
//! OUTAGES=300 KILLS=1000 cargo test -p tests --features multi-source --test it standins::torture -- --nocapture
//! ```

mod canaries;
mod loading;
mod reading;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::{DatabaseConfig, Durability, OnUnavailable};

use super::super::{carry, config_of, eventually, name, put_back};
use crate::child::Child;
use crate::support::{Scratch, asked, names_in, sqlite};
use loading::{acked, noted};

pub(crate) use loading::load;

/// The sources that fail, what becomes of each then, and its chat.
const SOURCES: [(&str, OnUnavailable, i64); 3] =
    [("stands", OnUnavailable::StandIn, 1), ("falls", OnUnavailable::Fail, 2), ("lends", OnUnavailable::Default, 3)];
/// The chat of the default source.
const AT_HOME: i64 = 4;

fn config(folder: &Path) -> DatabaseConfig {
    let mapping = SOURCES.map(|(source, _, chat)| (-chat, source));
    let mut config = config_of(folder, &["primary", "falls", "lends", "stands"], &mapping);
    for (source, policy, _) in SOURCES {
        let settings = config.sources.get_mut(&name(source)).unwrap();
        settings.path = disk(folder).join(format!("{source}.db"));
        settings.on_unavailable = policy;
    }
    for settings in config.sources.values_mut() {
        settings.timeout = Duration::from_secs(2);
        settings.durability = Durability::Normal;
    }
    config
}

/// Where the files of the sources that fail are.
fn disk(folder: &Path) -> PathBuf {
    folder.join("disk")
}

/// What all that is said in a chat begins with: to be found in a file's bytes, however many there are.
fn canary(chat: i64) -> String {
    format!("CANARY-{chat}-")
}

fn words(chat: i64, number: i64) -> String {
    format!("{}{number}", canary(chat))
}

/// What happens to a source's file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    MovedAway,
    /// The folder's permission is taken while nothing is open.
    Forbidden,
    /// An empty file is in its place.
    Emptied,
    /// The header is overwritten while nothing is open.
    Damaged,
}

/// Numbers that look random, and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Trial {
    scratch: Scratch,
    chance: Chance,
    helper: Option<Child>,
    kills: usize,
    /// How often all files were looked through, and which ones held words that only they may.
    looks: usize,
    held: BTreeSet<String>,
    begun: Instant,
}

impl Trial {
    fn begin_load() -> Self {
        let scratch = Scratch::new();
        let everybodys = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        std::fs::create_dir(disk(scratch.path())).unwrap();
        [scratch.path(), &disk(scratch.path())].into_iter().for_each(everybodys);
        let (chance, held, begun) = (Chance(1), BTreeSet::new(), Instant::now());
        let mut trial = Self { scratch, chance, helper: None, kills: 0, looks: 0, held, begun };
        trial.start();
        // Not before each source is known: one that is new is made, wherever its file has gone meanwhile.
        let acks = trial.scratch.file("acks");
        eventually("each chat is written", || acked(&acks).len() == AT_HOME as usize);
        trial
    }

    fn start(&mut self) {
        let mut helper =
            Child::start_unprivileged(&["outage-load", self.scratch.path().to_str().unwrap()].map(OsStr::new));
        assert_eq!(helper.line(), "ready");
        self.helper = Some(helper);
    }

    fn kill(&mut self) {
        self.helper.take().unwrap().kill();
        self.kills += 1;
    }

    fn pause(&mut self, most: u64) {
        std::thread::park_timeout(Duration::from_millis(self.chance.below(most)));
    }

    fn file(&self, source: &str, suffix: &str) -> PathBuf {
        disk(self.scratch.path()).join(format!("{source}.{suffix}"))
    }

    fn begin(&self, fault: Fault, source: &str) {
        match fault {
            Fault::MovedAway => carry(&self.file(source, "db"), &self.file(source, "away")),
            Fault::Emptied => {
                carry(&self.file(source, "db"), &self.file(source, "away"));
                std::fs::write(self.file(source, "db"), "").unwrap();
            }
            Fault::Forbidden => {
                std::fs::set_permissions(disk(self.scratch.path()), Permissions::from_mode(0o000)).unwrap();
            }
            Fault::Damaged => self.overwrite(source, &[0; 16]),
        }
    }

    fn end(&self, fault: Fault, source: &str) {
        match fault {
            Fault::MovedAway | Fault::Emptied => {
                if fault == Fault::Emptied {
                    assert_eq!(std::fs::metadata(self.file(source, "db")).unwrap().len(), 0, "it is left alone");
                    std::fs::remove_file(self.file(source, "db")).unwrap();
                }
                assert!(!self.file(source, "db").exists(), "nothing is made in its place");
                put_back(&self.file(source, "away"), &self.file(source, "db"));
            }
            Fault::Forbidden => {
                std::fs::set_permissions(disk(self.scratch.path()), Permissions::from_mode(0o777)).unwrap();
            }
            Fault::Damaged => self.overwrite(source, b"SQLite format 3\0"),
        }
    }

    fn overwrite(&self, source: &str, header: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.file(source, "db")).unwrap();
        file.write_all_at(header, 0).unwrap();
    }

    /// One outage: it begins, the bot goes on for a while, it ends, and the bot is killed on the way home or not.
    fn outage(&mut self, round: u64) {
        let fault = [Fault::MovedAway, Fault::Forbidden, Fault::Emptied, Fault::Damaged][(round % 4) as usize];
        let source = SOURCES[(round / 4 % 3) as usize].0;
        if matches!(fault, Fault::Forbidden | Fault::Damaged) {
            self.kill();
            self.begin(fault, source);
            self.start();
        } else {
            self.begin(fault, source);
        }
        self.pause(250);
        if self.chance.below(4) == 0 {
            self.kill();
            self.start();
            self.pause(100);
        }
        if is_looked_through(round) {
            self.look_through();
        }
        self.end(fault, source);
        if self.chance.below(2) == 0 {
            // Somewhere between the first look and the removal of the stand-in.
            self.ask("retry");
            self.pause(60);
            self.kill();
            let _ = std::fs::remove_file(self.scratch.file("retry"));
            self.start();
        } else {
            self.ask("retry");
            eventually("it is looked at", || !self.scratch.file("retry").exists());
        }
        if is_looked_through(round) {
            self.look_through();
        }
        self.check_reads();
    }

    /// Looks for what is in a file where it is not to be.
    fn look_through(&mut self) {
        self.held.extend(canaries::look_through(self.scratch.path()));
        self.looks += 1;
    }

    /// Whether words were seen in such a file.
    fn was_held_in(&self, beginning: &str) -> bool {
        self.held.iter().any(|file| file.starts_with(beginning))
    }

    fn check_reads(&self) {
        assert_eq!(reading::wrong(self.scratch.path()), "", "after {} kills", self.kills);
    }

    fn ask(&self, what: &str) {
        std::fs::write(self.scratch.file(what), "").unwrap();
    }
}

fn outages() -> u64 {
    asked("OUTAGES", 12)
}

/// In which rounds all files are looked through, in the outage and after it: the more is said, the longer that takes.
/// Five has no divisor in common with the twelve pairs of a fault and a source, so that each has its turn.
fn is_looked_through(round: u64) -> bool {
    outages() <= 60 || round.is_multiple_of(5)
}

#[test]
fn outages_under_load_lose_nothing_double_nothing_and_keep_the_order() {
    let mut trial = Trial::begin_load();
    for round in 0..outages() {
        trial.outage(round);
    }
    settle_and_check(&mut trial, &format!("{} outages", outages()));
    assert_eq!(names_in(&trial.scratch.file("standin")), Vec::<String>::new(), "no stand-in is left");
    // Or neither looks nor reads would say anything of an absence.
    assert!(trial.was_held_in("standin/stands.db"), "{:?}", trial.held);
    let [_, elsewhere] = reading::reads(trial.scratch.path());
    assert!(elsewhere > 0);
}

#[test]
fn kills_under_load_lose_nothing_double_nothing_and_leave_whole_transactions() {
    let kills = asked("KILLS", 12);
    let mut trial = Trial::begin_load();
    for _ in 0..kills {
        trial.pause(120);
        trial.kill();
        trial.start();
    }
    settle_and_check(&mut trial, "no outage");
}

/// Lets all come home, and checks that each chat's home has what was answered.
fn settle_and_check(trial: &mut Trial, what: &str) {
    trial.ask("settle");
    let mut helper = trial.helper.take().unwrap();
    assert_eq!(helper.line(), "settled");
    helper.finish();
    trial.check_reads();
    trial.look_through();
    assert!(trial.was_held_in("disk/stands.db") && trial.was_held_in("disk/falls.db"), "{:?}", trial.held);
    let acked = acked(&trial.scratch.file("acks"));
    let file = |chat: i64| match SOURCES.iter().find(|(.., of)| *of == chat) {
        Some((source, ..)) => trial.file(source, "db"),
        None => trial.scratch.file("primary.db"),
    };
    for (chat, numbers) in &acked {
        check(&file(*chat), *chat, numbers);
        let [begun, counted, refused] =
            ["begun", "counted", "refused"].map(|what| noted(&trial.scratch.file("acks"), what, *chat));
        let sql = "SELECT CAST(value AS INTEGER) FROM chat_settings WHERE chat_id = ?1 AND key = 'count'";
        let count: i64 = sqlite(&file(*chat)).query_row(sql, [-chat], |row| row.get(0)).unwrap();
        // At most the one that was under way at each kill or failure is not known of.
        assert!(begun - refused - counted <= 2 * trial.kills as i64 + outages() as i64, "chat {chat}");
        assert!(
            (counted..=begun - refused).contains(&count),
            "chat {chat}: {counted} <= {count} <= {begun} - {refused}"
        );
    }
    let answered: usize = acked.values().map(Vec::len).sum();
    let [home, elsewhere] = reading::reads(trial.scratch.path());
    assert!(home > 0);
    let (kills, looks, seconds) = (trial.kills, trial.looks, trial.begun.elapsed().as_secs());
    writeln!(
        std::io::stdout(),
        "{what}, {kills} kills, {answered} answered writes in {seconds} s: none lost, none doubled; {home} reads at \
         home and {elsewhere} elsewhere, none behind an earlier one or what was answered; all files looked through \
         {looks} times, no secret in another chat's"
    )
    .unwrap();
}

/// That a chat's home has what was answered, once and in order.
fn check(path: &Path, chat: i64, answered: &[i64]) {
    let home = sqlite(path);
    let number = |sql: &str| -> i64 { home.query_row(sql, [-chat], |row| row.get(0)).unwrap() };
    let ok: String = home.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(ok, "ok");
    let mut statement = home.prepare("SELECT 1 FROM chat_messages WHERE chat_id = ?1 AND message_id = ?2").unwrap();
    for number in answered {
        assert!(statement.exists((-chat, number.to_string())).unwrap(), "{} was answered", words(chat, *number));
    }
    let messages = number("SELECT COUNT(*) FROM chat_messages WHERE chat_id = ?1");
    let counted = number("SELECT SUM(messages_count) FROM chat_stats WHERE chat_id = ?1");
    assert_eq!(messages, counted, "chat {chat}: each is counted once");
    let highest = number("SELECT MAX(CAST(message_id AS INTEGER)) FROM chat_messages WHERE chat_id = ?1");
    let last = number("SELECT CAST(value AS INTEGER) FROM chat_settings WHERE chat_id = ?1 AND key = 'last'");
    assert!(last >= *answered.last().unwrap() && last <= highest, "chat {chat}: {last} was said last, of {highest}");
    let twin = number("SELECT CAST(value AS INTEGER) FROM chat_settings WHERE chat_id = ?1 AND key = 'twin'");
    assert_eq!(last, twin, "chat {chat}: a transaction is kept whole");
    let parked = "SELECT COUNT(*) FROM switchyard_parked WHERE ?1 < 0";
    assert_eq!(number(parked), 0, "nothing is kept aside");
}
