//! A bot that is killed at any step of bringing chats home: whatever was written elsewhere is made at home once, however
//! often it begins.
//!
//! Each step is a system call that writes, syncs or removes, and strace kills the bot in it: in every kind of call on every
//! file that a run without kills makes, each by itself, so that what comes after the last write, and what other threads
//! do, has its turn. In the short form the first and the last call of each kind and every so-many-th are tried;
//! `HOMECOMING_EVERY=1` tries each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use database::{ChatId, DatabaseConfig, DatabaseWrapper, Durability, NewMessage, OnUnavailable, Route, UserId, params};
use rstest::rstest;

use super::super::{config_of, eventually, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, asked, names_in, sqlite};

const CHAT: ChatId = ChatId(-1);
/// More than are made at home in two transactions.
const WRITES: i64 = 450;
const STEPS: &str = "pwrite64,fdatasync,fsync,ftruncate,unlink";

fn config(folder: &Path, policy: OnUnavailable) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "home"], &[(CHAT.0, "home")]);
    for settings in config.sources.values_mut() {
        (settings.on_unavailable, settings.durability) = (policy, Durability::Normal);
    }
    config
}

fn policy_of(text: &str) -> OnUnavailable {
    if text == "default" { OnUnavailable::Default } else { OnUnavailable::StandIn }
}

/// Counts one up: made twice, it is seen.
pub(in crate::multi) fn count_up(db: &DatabaseWrapper, chat: ChatId) -> database::Result<()> {
    db.write("test.count_up", Route::Chat(chat), |tx| {
        tx.execute(
            "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES (?1, 'count', '1', 'x', 'x')
             ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1",
            params![chat],
        )
        .map(drop)
    })
}

/// The helper: has everything come home, and closes.
pub(crate) fn come_home(folder: &str, policy: &str) {
    let (db, control) = open(&config(Path::new(folder), policy_of(policy)));
    eventually("the chat is at home", || {
        let _ = control.retry(&name("home"));
        !db.is_displaced(CHAT)
    });
    db.close();
    child::say("home");
}

/// A folder in which a chat's writes wait to come home.
fn waiting(policy: OnUnavailable) -> Scratch {
    let scratch = Scratch::new();
    let config = config(scratch.path(), policy);
    let (db, _) = open(&config);
    db.update_chat_user(CHAT, UserId(1), "@ada", "Ada").unwrap();
    count_up(&db, CHAT).unwrap();
    db.close();
    std::fs::rename(scratch.file("home.db"), scratch.file("home.away")).unwrap();
    let (db, _) = open(&config);
    for number in 1..=WRITES {
        count_up(&db, CHAT).unwrap();
        db.save_chat_message(CHAT, &NewMessage::text(number, db.now(), UserId(1), "meanwhile")).unwrap();
    }
    db.close();
    std::fs::rename(scratch.file("home.away"), scratch.file("home.db")).unwrap();
    scratch
}

/// A copy of a folder, of which no file is open.
fn copy_of(template: &Scratch) -> Scratch {
    let scratch = Scratch::new();
    // By another process: in this one only SQLite opens databases.
    let copied = Command::new("cp").arg("-a").arg(template.path().join(".")).arg(scratch.path()).status().unwrap();
    assert!(copied.success());
    scratch
}

/// A kind of step: the call, and the file or folder that it is made on, as seen from the folder of the databases.
type Kind = (String, String);

/// How often each kind of step is made by one thread at most, in a run that nothing happens to.
fn kinds(template: &Scratch, policy: &str) -> BTreeMap<Kind, usize> {
    let scratch = copy_of(template);
    let (folder, logs) = (scratch.path().to_str().unwrap(), Scratch::new());
    let log = logs.file("log");
    let task = ["come-home", folder, policy].map(OsStr::new);
    let trace = format!("trace={STEPS}");
    let options = ["-f", "-qq", "-y", "-s", "0", "-o", log.to_str().unwrap(), "-e", &trace];
    assert_eq!(Child::start_traced(&options, &task).lines(), ["home"]);
    let mut by_thread: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    let log = std::fs::read_to_string(log).unwrap();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((call, rest)) = call.trim_start().split_once('(') else { continue };
        let is_here =
            |path: &&str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let named = |after: char, before: char| rest.split_once(after)?.1.split_once(before).map(|(path, _)| path);
        let path = if call == "unlink" { named('"', '"') } else { named('<', '>') };
        if let Some(path) = path.filter(is_here) {
            let kind = (call.to_owned(), path[folder.len()..].trim_start_matches('/').to_owned());
            *by_thread.entry((kind, thread)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((kind, _), count) in by_thread {
        let known: &mut usize = most.entry(kind).or_default();
        *known = (*known).max(count);
    }
    most
}

/// Which calls of a kind are tried, of so many.
fn tried(most: usize, every: usize) -> BTreeSet<usize> {
    (1..=most).filter(|nth| *nth == 1 || *nth == most || nth.is_multiple_of(every)).collect()
}

/// Kills the bot in this step, begins again where it was killed, and looks whether each write is there once. Answers
/// whether it was killed.
fn kill(template: &Scratch, policy: &str, (call, file): &Kind, nth: usize) -> bool {
    let scratch = copy_of(template);
    let path = scratch.path().join(file);
    let path = path.to_str().unwrap().trim_end_matches('/');
    let task = ["come-home", scratch.path().to_str().unwrap(), policy].map(OsStr::new);
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={nth}"));
    let options = ["-f", "-qq", "-o", "/dev/null", "-P", path, "-e", &trace, "-e", &inject];
    let said = Child::start_traced(&options, &task).lines();
    let step = format!("killed in {call} number {nth} on `{file}`");
    // It may have said so and been killed while it ended.
    let is_home = said == ["home"];
    assert!(is_home || said.is_empty(), "{step}: {said:?}");
    if !is_home {
        assert_eq!(Child::start(&task).answer(), "home");
    }
    let home = sqlite(&scratch.file("home.db"));
    let number = |sql: &str| -> i64 { home.query_row(sql, [], |row| row.get(0)).unwrap() };
    let count = number("SELECT CAST(value AS INTEGER) FROM chat_settings WHERE key = 'count'");
    assert_eq!(count, WRITES + 1, "{step}");
    assert_eq!(number("SELECT COUNT(*) FROM chat_messages"), WRITES, "{step}");
    assert_eq!(number("SELECT COUNT(*) FROM switchyard_parked"), 0, "{step}");
    assert_eq!(names_in(&scratch.file("standin")), [""; 0], "{step}");
    let primary = sqlite(&scratch.file("primary.db"));
    let waiting: i64 = primary.query_row("SELECT COUNT(*) FROM switchyard_journal", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0, "{step}");
    !is_home
}

/// Steps of which each decides something: that home is synced, what is noted, forgotten and removed.
fn decisive(policy: &str) -> Vec<(&'static str, &'static str)> {
    let mut steps = vec![("pwrite64", "home.db-wal"), ("fsync", "home.db-wal")];
    steps.extend(match policy {
        "default" => vec![("pwrite64", "primary.db-wal"), ("unlink", "standin/home.default"), ("fsync", "standin")],
        _ => vec![
            ("fsync", "standin/home.over"),
            ("fsync", "standin"),
            ("unlink", "standin/home.db"),
            ("unlink", "standin/home.over"),
        ],
    });
    steps
}

#[rstest]
#[case::stand_in("stand-in")]
#[case::default("default")]
fn a_bot_that_is_killed_at_any_step_of_coming_home_makes_each_write_once(#[case] policy: &str) {
    let template = waiting(policy_of(policy));
    let every = asked("HOMECOMING_EVERY", 40);
    let kinds = kinds(&template, policy);
    for (call, file) in decisive(policy) {
        // SQLite is built to sync with the one or the other.
        let names: &[_] = if call == "fsync" { &["fsync", "fdatasync"] } else { &[call] };
        let is_made = names.iter().any(|call| kinds.contains_key(&((*call).to_owned(), file.to_owned())));
        assert!(is_made, "no {call} on `{file}`: {kinds:?}");
    }
    let mut kills = 0;
    for (kind, most) in &kinds {
        // The last ones of a kind are not made in every run.
        let killed = tried(*most, every).into_iter().filter(|nth| kill(&template, policy, kind, *nth)).count();
        assert!(killed > 0, "never killed in {kind:?}");
        kills += killed;
    }
    let many = kinds.len();
    writeln!(std::io::stdout(), "{policy}: killed at {kills} steps of coming home, of {many} kinds").unwrap();
}
