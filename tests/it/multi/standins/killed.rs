//! A bot that is killed at any step of bringing chats home: whatever was written elsewhere is made at home once, however
//! often it begins.
//!
//! Each step is a system call that writes, syncs or removes, and strace kills the bot in it. In the short form every
//! so-many-th is tried; `HOMECOMING_EVERY=1` tries each.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use database::{ChatId, DatabaseConfig, DatabaseWrapper, Durability, NewMessage, OnUnavailable, Route, UserId, params};
use rstest::rstest;

use super::super::{config_of, eventually, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, asked, sqlite};

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

#[rstest]
#[case::stand_in("stand-in")]
#[case::default("default")]
fn a_bot_that_is_killed_at_any_step_of_coming_home_makes_each_write_once(#[case] policy: &str) {
    let template = waiting(policy_of(policy));
    let every = asked("HOMECOMING_EVERY", 40);
    let mut kills = 0;
    for nth in (1..).step_by(every) {
        let scratch = Scratch::new();
        // By another process: in this one only SQLite opens databases.
        let copied = Command::new("cp").arg("-a").arg(template.path().join(".")).arg(scratch.path()).status().unwrap();
        assert!(copied.success());
        let task = ["come-home", scratch.path().to_str().unwrap(), policy].map(OsStr::new);
        let inject = format!("inject={STEPS}:signal=KILL:when={nth}");
        let trace = format!("trace={STEPS}");
        let said = Child::start_traced(&["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject], &task).lines();
        let is_killed = said.is_empty();
        if is_killed {
            kills += 1;
            assert_eq!(Child::start(&task).answer(), "home");
        } else {
            assert_eq!(said, ["home"]);
        }
        let home = sqlite(&scratch.file("home.db"));
        let number = |sql: &str| -> i64 { home.query_row(sql, [], |row| row.get(0)).unwrap() };
        let count = number("SELECT CAST(value AS INTEGER) FROM chat_settings WHERE key = 'count'");
        assert_eq!(count, WRITES + 1, "killed at step {nth}");
        assert_eq!(number("SELECT COUNT(*) FROM chat_messages"), WRITES, "killed at step {nth}");
        assert_eq!(number("SELECT COUNT(*) FROM switchyard_parked"), 0);
        assert!(!scratch.file("standin/home.db").exists(), "killed at step {nth}");
        let primary = sqlite(&scratch.file("primary.db"));
        let waiting: i64 = primary.query_row("SELECT COUNT(*) FROM switchyard_journal", [], |row| row.get(0)).unwrap();
        assert_eq!(waiting, 0, "killed at step {nth}");
        if !is_killed {
            break;
        }
    }
    assert!(kills > 3, "{kills} kills");
    writeln!(std::io::stdout(), "{policy}: killed at {kills} steps of coming home").unwrap();
}
