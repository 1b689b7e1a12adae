//! System calls of one source's disk that fail while the others go on: what was answered is at home in the end, once
//! and in order, and what was not is never made elsewhere behind the caller's back. A disk without room is no outage:
//! writes that are told so are nowhere.
//!
//! In the short form the first, the middle and the last of the calls are tried; `SYSCALLS_EVERY=1` tries each.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use database::{ChatId, DatabaseConfig, NewMessage, OnUnavailable, UserId};
use rstest::rstest;

use super::super::{config_of, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, asked, sqlite};
use crate::syscalls::{FILES, Fault, calls, kind_of, under_strace};

const CHAT: ChatId = ChatId(-1);
/// A chat of the default source, whose disk is well.
const OTHER: ChatId = ChatId(-2);
const WRITES: usize = 12;
/// How long a write is made again and again. Where one call fails it is served the second time. Where all do from then on,
/// each new thread finds the disk well at first, and one that looks at it brings the chat home for a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the third and later tries wait: nobody can stand in before what stood in for that moment is removed.
const PAUSE: Duration = Duration::from_millis(50);
/// What a write is told that finds no room, made once more.
const NO_ROOM: [&str; 2] = ["full", "full"];

fn config(folder: &Path) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "home"], &[(CHAT.0, "home")]);
    config.sources.get_mut(&name("home")).unwrap().on_unavailable = OnUnavailable::StandIn;
    config
}

/// A folder whose sources are well, and known.
fn well() -> Scratch {
    let scratch = Scratch::new();
    let (db, _) = open(&config(scratch.path()));
    db.update_chat_user(CHAT, UserId(1), "@ada", "Ada").unwrap();
    db.close();
    scratch
}

/// The helper: each write that fails is made again, as whoever is not answered does. Those of the others never fail.
pub(crate) fn write_to_a_failing_disk(folder: &str) {
    let (db, control) = open(&config(Path::new(folder)));
    for number in (1_i64..).take(WRITES) {
        let message = NewMessage::text(number, db.now(), UserId(1), format!("message {number}"));
        let mut answers: Vec<&str> = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && answers.last() != Some(&"ok") && !answers.ends_with(&NO_ROOM) {
            if answers.len() > 1 {
                std::thread::park_timeout(PAUSE);
            }
            answers.push(match db.save_chat_message(CHAT, &message) {
                Ok(()) => "ok",
                // It is there all the same.
                Err(error) if error.is_duplicate() && answers.contains(&"unknown") => "ok",
                Err(error) => kind_of(&error),
            });
        }
        db.save_chat_message(OTHER, &message).unwrap();
        child::say(&format!("{number} {}", answers.join(" ")));
    }
    let outages = control.counts().outages;
    db.close();
    child::say(&format!("closed after {outages} outages"));
}

/// Runs the helper under strace, which tampers with the calls on the files of one source alone. What it said.
fn write_under_strace(scratch: &Scratch, files: &[&str], options: &[&str]) -> Vec<String> {
    let task = ["write-to-a-failing-disk", scratch.path().to_str().unwrap()];
    under_strace(&scratch.file("home.db"), files, &task, options)
}

/// The files whose calls fail. (Where only the index beside the log has no room, which is no full disk, the source fails.)
fn files(call: &str, error: &str) -> &'static [&'static str] {
    if (call, error) == ("pwrite64", "ENOSPC") { &["", "-wal"] } else { FILES }
}

/// Which of so many calls are tried.
fn tried(all: usize) -> BTreeSet<usize> {
    match asked::<usize>("SYSCALLS_EVERY", 0) {
        0 => [1, all.div_ceil(2), all].into(),
        every => (1..=all).filter(|nth| (all - nth).is_multiple_of(every)).collect(),
    }
}

/// The kinds of errors that a write may have before it is served elsewhere.
fn kinds(call: &str, error: &str) -> &'static [&'static str] {
    match (call, error) {
        ("pwrite64", "ENOSPC") => &["full"],
        ("pwrite64" | "fdatasync,fsync", _) => &["unknown", "io", "unavailable"],
        // SQLite tries again to open a log that it cannot write, to read it.
        ("openat", _) => &["readonly", "unavailable"],
        ("ftruncate", _) => &["unavailable"],
        _ => panic!("{call} is not made to fail"),
    }
}

/// Has the helper write on a disk that fails so, brings the chat home, and looks whether all is there as it was
/// answered. Answers whether a write was told of the failure, or was led elsewhere for it.
fn is_felt(fault: &Fault<'_>) -> bool {
    let Fault { call, error, for_good, .. } = *fault;
    let scratch = well();
    let said = fault.strike(|options| write_under_strace(&scratch, files(call, error), options));
    let (end, answers) = said.split_last().expect("it said something");
    let outages = end.strip_prefix("closed after ").and_then(|end| end.strip_suffix(" outages"));
    let outages: u64 = outages.unwrap_or_else(|| panic!("{fault}: {said:?}")).parse().unwrap();
    assert_eq!(answers.len(), WRITES, "{fault}: {said:?}");
    if (call, error) == ("pwrite64", "ENOSPC") {
        assert_eq!(outages, 0, "a full disk is no outage: {fault}: {said:?}");
    }
    // (strace counts for each thread by itself: under it every look at the disk may fail.)
    let task = ["come-home", scratch.path().to_str().unwrap(), "stand-in"].map(OsStr::new);
    assert_eq!(Child::start(&task).answer(), "home", "{fault}: {said:?}");
    assert!(!scratch.file("standin/home.db").exists(), "{fault}: {said:?}");

    let (mut kept, mut felt) = (Vec::new(), outages > 0);
    for answer in answers {
        let mut told: Vec<_> = answer.split(' ').collect();
        let number = told.remove(0);
        if told == NO_ROOM {
            assert_eq!((call, error, for_good), ("pwrite64", "ENOSPC", true), "{fault}: {said:?}");
            felt = true;
            continue;
        }
        let is_soon = for_good || told.len() <= 2;
        assert_eq!((told.pop(), is_soon), (Some("ok"), true), "it is served, here or elsewhere: {fault}: {said:?}");
        assert!(told.iter().all(|kind| kinds(call, error).contains(kind)), "{fault}: {said:?}");
        felt |= !told.is_empty();
        kept.push(number);
    }

    let home = sqlite(&scratch.file("home.db"));
    let mut messages = home.prepare("SELECT message_id FROM chat_messages ORDER BY rowid").unwrap();
    let there: Vec<String> = messages.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(there, kept, "what was answered, in order, and nothing else: {fault}: {said:?}");
    let counted = "SELECT COALESCE(SUM(messages_count), 0) FROM chat_stats";
    let counted: i64 = home.query_row(counted, [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(counted), Ok(kept.len()), "each is counted once: {fault}: {said:?}");
    let primary = sqlite(&scratch.file("primary.db"));
    let number = |sql: &str| -> i64 { primary.query_row(sql, [], |row| row.get(0)).unwrap() };
    let all = number("SELECT COUNT(*) FROM chat_messages");
    let others = number("SELECT COUNT(*) FROM chat_messages WHERE chat_id = -2");
    assert_eq!((all, others), (WRITES as i64, WRITES as i64), "{fault}: the others go on, alone: {said:?}");
    for connection in [&home, &primary] {
        let ok: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(ok, "ok", "{fault}: {said:?}");
    }
    felt
}

#[rstest]
fn what_is_answered_while_calls_on_one_disk_fail_is_at_home_once_and_in_order(
    #[values("fdatasync,fsync", "pwrite64", "openat", "ftruncate")] call: &str,
    #[values("EIO", "ENOSPC")] error: &str,
    #[values(false, true)] for_good: bool,
) {
    let all = calls(call, |options| {
        let said = write_under_strace(&well(), files(call, error), options);
        let answers = (1..=WRITES).map(|number| format!("{number} ok"));
        assert_eq!(said, answers.chain(["closed after 0 outages".to_owned()]).collect::<Vec<_>>());
    });
    let faults = tried(all).into_iter().map(|nth| Fault { call, error, nth, for_good });
    let felt = faults.filter(is_felt).count();
    // (What finds no room once may be made again before it is answered.)
    assert!(felt > 0 || (call, error, for_good) == ("pwrite64", "ENOSPC", false), "of {all} calls none is missed");
}
