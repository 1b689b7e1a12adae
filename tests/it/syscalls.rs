//! System calls that fail, by strace: a typed error, no corruption, and the database usable again; and what was answered
//! under durability "full" was synced before.
//!
//! Each call that a file's work is made of fails once, and from then on. In the short form every so-many-th is tried;
//! `SYSCALLS_EVERY=1` tries each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use database::{ChatId, DatabaseWrapper, Error, ErrorKind, NewMessage, OnUnavailable, OpenError, SourceConfig, UserId};
use rstest::rstest;

use crate::child::{self, Child};
use crate::support::{Scratch, asked, sqlite, time};

const CHAT: ChatId = ChatId(-1);
/// How many messages a helper writes.
const WRITES: i64 = 12;

fn message(number: i64) -> NewMessage {
    NewMessage::text(number, time("2026-01-01 00:00:00"), UserId(1), "x".repeat(3000))
}

/// A word for the kind of an error.
pub(crate) fn kind_of(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::OutcomeUnknown { .. } => "unknown",
        ErrorKind::Io { .. } => "io",
        ErrorKind::DiskFull => "full",
        ErrorKind::SourceUnavailable { .. } => "unavailable",
        ErrorKind::ReadOnly => "readonly",
        ErrorKind::Damaged { .. } => "damaged",
        _ => "else",
    }
}

/// The same of a database that could not be opened.
fn kind_of_opening(error: &OpenError) -> &'static str {
    match error {
        OpenError::Io { .. } => "io",
        OpenError::DiskFull { .. } => "full",
        OpenError::NotPermitted { .. } => "not permitted",
        // SQLite says no more of a file that it cannot open.
        OpenError::Other { detail, .. } if detail.contains("unable to open database file") => "cannot open",
        _ => "else",
    }
}

/// The kinds of errors that writing may have where such a call fails, and those that opening may have.
fn kinds(call: &str, error: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match (call, error) {
        // (The index beside the log cannot be made: an I/O error, since the disk has room in truth.)
        ("pwrite64", "ENOSPC") => (&["full"], &["full", "io"]),
        // What a commit has written before it failed is not known.
        ("pwrite64" | "fdatasync,fsync", _) => (&["unknown", "io"], &["io"]),
        // SQLite tries again to open a file that it cannot write, to read it. Once all are open nothing is.
        ("openat", "ENOSPC") => (&[], &["full", "not permitted", "cannot open"]),
        ("openat", _) => (&[], &["io", "not permitted", "cannot open"]),
        // Once it is open a file is cut only when it is closed: then the log is left as it is.
        ("ftruncate", _) => (&[], &["io"]),
        _ => panic!("{call} is not made to fail"),
    }
}

/// The kind in what the helper says of an error.
fn kind_in(said: &str) -> &str {
    said.split(": ").nth(1).unwrap_or_default()
}

/// A system call that fails, the n-th of its name in each thread, once or from then on.
pub(crate) struct Fault<'a> {
    pub(crate) call: &'a str,
    pub(crate) error: &'a str,
    pub(crate) nth: usize,
    pub(crate) for_good: bool,
}

impl Fault<'_> {
    /// What a helper says under strace with the options that make it fail. It does fail.
    pub(crate) fn strike(&self, run: impl FnOnce(&[&str]) -> Vec<String>) -> Vec<String> {
        let scratch = Scratch::new();
        let (log, trace, inject) = (scratch.file("log"), format!("trace={}", self.call), self.to_string());
        let said = run(&["-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject]);
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains("(INJECTED)"), "{self}: nothing failed: {said:?}\n{log}");
        said
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, error, nth, for_good } = self;
        write!(f, "inject={call}:error={error}:when={nth}{}", if *for_good { "+" } else { "" })
    }
}

/// The helper: writes messages and says what fails, and of what kind that is. What fails it writes once more.
pub(crate) fn write_and_say(path: &str) {
    let config = SourceConfig { on_unavailable: OnUnavailable::Fail, ..SourceConfig::new(path) };
    let db = match DatabaseWrapper::open(&config) {
        Ok(db) => db,
        Err(error) => return child::say(&format!("not opened: {}: {error}", kind_of_opening(&error))),
    };
    let mut acks = std::fs::OpenOptions::new().append(true).create(true).open(format!("{path}.acks")).unwrap();
    for number in 1..=WRITES {
        let mut earlier = "";
        for attempt in ["first", "again"] {
            match db.save_chat_message(CHAT, &message(number)) {
                Ok(()) => {
                    acks.write_all(format!("{number}\n").as_bytes()).unwrap();
                    break;
                }
                // It is there all the same.
                Err(error) if error.is_duplicate() && earlier == "unknown" => {
                    acks.write_all(format!("{number}\n").as_bytes()).unwrap();
                }
                Err(error) => {
                    earlier = kind_of(&error);
                    child::say(&format!("{attempt}: {earlier}: {error}"));
                }
            }
        }
    }
    db.close();
    child::say("closed");
}

/// What the files of a database end with.
pub(crate) const FILES: &[&str] = &["", "-wal", "-shm"];

/// Runs a helper under strace, which tampers with the calls on these files of the database alone. What it said.
pub(crate) fn under_strace(path: &Path, files: &[&str], task: &[&str], options: &[&str]) -> Vec<String> {
    let text = path.to_str().unwrap();
    let files: Vec<_> = files.iter().map(|end| format!("{text}{end}")).collect();
    let mut all: Vec<&str> = vec!["-f", "-qq"];
    for file in &files {
        all.extend(["-P", file]);
    }
    all.extend(options);
    let task: Vec<&OsStr> = task.iter().map(OsStr::new).collect();
    Child::start_traced(&all, &task).lines()
}

fn write_under_strace(path: &Path, options: &[&str]) -> Vec<String> {
    under_strace(path, FILES, &["write-and-say", path.to_str().unwrap()], options)
}

/// How many of such calls one thread makes at most, of one name, in a run that nothing happens to: strace counts them
/// so.
pub(crate) fn calls(call: &str, run: impl FnOnce(&[&str])) -> usize {
    let scratch = Scratch::new();
    let log = scratch.file("log");
    run(&["-o", log.to_str().unwrap(), "-e", &format!("trace={call}")]);
    let log = std::fs::read_to_string(log).unwrap();
    let mut counts = BTreeMap::<&str, usize>::new();
    // Each line begins with the thread and the call's name.
    for (of, _) in log.lines().filter(|line| !line.contains("resumed")).filter_map(|line| line.split_once('(')) {
        *counts.entry(of).or_default() += 1;
    }
    let most = counts.into_values().max().unwrap_or_default();
    assert!(most > 0, "{call} is never called");
    most
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
    let (of_writing, of_opening) = kinds(call, error);
    let all = calls(call, |options| {
        let scratch = Scratch::new();
        assert_eq!(write_under_strace(&scratch.file("bot.db"), options), ["closed"]);
    });
    // The last one too.
    for nth in (1..=all).filter(|nth| (all - nth).is_multiple_of(every)) {
        let scratch = Scratch::new();
        let path = scratch.file("bot.db");
        let fault = Fault { call, error, nth, for_good };
        let said = fault.strike(|options| write_under_strace(&path, options));
        // It went on to its end, whatever it was told on the way: no panic, no crash.
        let (end, errors) = said.split_last().expect("it said something");
        let is_refused = end.starts_with("not opened: ") && of_opening.contains(&kind_in(end));
        assert!(end == "closed" || is_refused, "{fault}: {said:?}");
        assert!(errors.iter().all(|told| of_writing.contains(&kind_in(told))), "{fault}: {said:?}");
        if !for_good {
            let again = errors.iter().filter(|said| said.starts_with("again: ")).count();
            assert_eq!(again, 0, "{fault}: usable again at once: {said:?}");
            assert!(errors.len() <= 1, "{fault}: one call failed: {said:?}");
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
    assert_eq!(write_under_strace(&path, &options), ["closed"]);
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
