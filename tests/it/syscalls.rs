//! System calls that fail, by strace: a typed error, no corruption, and the database usable again; and what was answered
//! under durability "full" was synced before.
//!
//! Each call that a file's work is made of fails once, and from then on. In the short form every so-many-th is tried;
//! `SYSCALLS_EVERY=1` tries each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

use database::{ChatId, DatabaseWrapper, NewMessage, OnUnavailable, SourceConfig, UserId};
use rstest::rstest;

use crate::child::{self, Child};
use crate::support::{Scratch, asked, sqlite, time};

const CHAT: ChatId = ChatId(-1);
/// How many messages a helper writes.
const WRITES: i64 = 12;

fn message(number: i64) -> NewMessage {
    NewMessage::text(number, time("2026-01-01 00:00:00"), UserId(1), "x".repeat(3000))
}

/// The helper: writes messages and says after each what was answered. What fails it writes once more.
pub(crate) fn write_and_say(path: &str) {
    let config = SourceConfig { on_unavailable: OnUnavailable::Fail, ..SourceConfig::new(path) };
    let db = match DatabaseWrapper::open(&config) {
        Ok(db) => db,
        Err(error) => return child::say(&format!("not opened: {error}")),
    };
    let mut acks = std::fs::OpenOptions::new().append(true).create(true).open(format!("{path}.acks")).unwrap();
    for number in 1..=WRITES {
        for attempt in ["first", "again"] {
            match db.save_chat_message(CHAT, &message(number)) {
                Ok(()) => {
                    acks.write_all(format!("{number}\n").as_bytes()).unwrap();
                    break;
                }
                // The first attempt was "unknown", and is there.
                Err(error) if error.is_duplicate() && attempt == "again" => {
                    acks.write_all(format!("{number}\n").as_bytes()).unwrap();
                }
                Err(error) => child::say(&format!("{attempt}: {error}")),
            }
        }
    }
    db.close();
    child::say("closed");
}

/// Runs the helper under strace, which tampers with the calls on the database's files alone. What it said.
fn under_strace(path: &Path, options: &[&str]) -> Vec<String> {
    let text = path.to_str().unwrap();
    let files = ["", "-wal", "-shm"].map(|suffix| format!("{text}{suffix}"));
    let mut all: Vec<&str> = vec!["-f", "-qq"];
    for file in &files {
        all.extend(["-P", file]);
    }
    all.extend(options);
    Child::start_traced(&all, &["write-and-say", text].map(OsStr::new)).lines()
}

/// How many of such calls one thread makes at most, of one name, in a run that nothing happens to: strace counts them so.
fn calls(call: &str) -> usize {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    let log = scratch.file("log");
    let said = under_strace(&path, &["-o", log.to_str().unwrap(), "-e", &format!("trace={call}")]);
    assert_eq!(said, ["closed"]);
    let log = std::fs::read_to_string(log).unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    // Each line begins with the thread and the call's name.
    for (of, _) in log.lines().filter(|line| !line.contains("resumed")).filter_map(|line| line.split_once('(')) {
        *counts.entry(of).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

/// That what was answered is there, once, and the file is sound and usable.
fn check(path: &Path, said: &[String]) {
    let acks = std::fs::read_to_string(format!("{}.acks", path.display())).unwrap_or_default();
    // Anybody can open it and write once the disk is well.
    let db = DatabaseWrapper::open(&SourceConfig::new(path)).unwrap_or_else(|error| panic!("{error} after {said:?}"));
    db.save_chat_message(CHAT, &message(WRITES + 1)).unwrap();
    db.close();
    let connection = sqlite(path);
    let ok: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(ok, "ok", "{said:?}");
    let mut there = connection.prepare("SELECT 1 FROM chat_messages WHERE message_id = ?1").unwrap();
    for ack in acks.lines() {
        assert!(there.exists([ack]).unwrap(), "{ack} was answered: {said:?}");
    }
    let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    let counted = count("SELECT SUM(messages_count) FROM chat_stats");
    assert_eq!(count("SELECT COUNT(*) FROM chat_messages"), counted, "each is counted once: {said:?}");
}

#[rstest]
#[case::pwrite("pwrite64", 9)]
#[case::sync("fdatasync,fsync", 3)]
#[case::openat("openat", 2)]
#[case::truncate("ftruncate", 1)]
fn a_system_call_that_fails_is_a_typed_error_and_harms_nothing(
    #[case] call: &str,
    #[case] every: usize,
    #[values("EIO", "ENOSPC")] error: &str,
    #[values(false, true)] for_good: bool,
) {
    let every = asked("SYSCALLS_EVERY", every);
    let all = calls(call);
    assert!(all > 0, "{call} is never called");
    // The last one too.
    for nth in (1..=all).filter(|nth| (all - nth).is_multiple_of(every)) {
        let scratch = Scratch::new();
        let path = scratch.file("bot.db");
        let when = if for_good { format!("{nth}+") } else { nth.to_string() };
        let inject = format!("inject={call}:error={error}:when={when}");
        let log = scratch.file("log");
        let options = ["-o", log.to_str().unwrap(), "-e", &format!("trace={call}"), "-e", &inject];
        let said = under_strace(&path, &options);
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains("(INJECTED)"), "{inject}: nothing failed:\n{log}");
        // It went on to its end, whatever it was told on the way: no panic, no crash.
        let (end, errors) = said.split_last().expect("it said something");
        assert!(end == "closed" || end.starts_with("not opened: "), "{inject}: {said:?}");
        if !for_good {
            let again = errors.iter().filter(|said| said.starts_with("again: ")).count();
            assert_eq!(again, 0, "{inject}: usable again at once: {said:?}");
        }
        check(&path, &said);
    }
}

#[test]
fn what_was_answered_under_full_durability_was_synced_before() {
    let scratch = Scratch::new();
    let (path, log) = (scratch.file("bot.db"), scratch.file("log"));
    let acks = scratch.file("bot.db.acks");
    let options =
        ["-P", acks.to_str().unwrap(), "-o", log.to_str().unwrap(), "-e", "trace=fdatasync,fsync,pwrite64,write"];
    assert_eq!(under_strace(&path, &options), ["closed"]);
    let log = std::fs::read_to_string(log).unwrap();
    let (mut written, mut synced, mut answered) = (false, false, 0);
    for line in log.lines() {
        if line.contains("sync(") {
            (synced, written) = (true, false);
        } else if line.contains("pwrite64(") {
            written = true;
        } else if line.contains("write(") {
            assert!(synced && !written, "an answer before its sync:\n{log}");
            (synced, answered) = (false, answered + 1);
        }
    }
    assert_eq!(answered, WRITES, "{log}");
}
