//! System calls of one source's disk that fail while the others go on: what was answered is at home in the end, once, and
//! what was not is never made elsewhere behind the caller's back.
//!
//! In the short form some of the calls are tried; `SYSCALLS_EVERY=1` tries each.

use std::ffi::OsStr;
use std::path::Path;

use database::{ChatId, DatabaseConfig, ErrorKind, NewMessage, OnUnavailable, UserId};
use rstest::rstest;

use super::super::{config_of, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, asked, sqlite};

const CHAT: ChatId = ChatId(-1);
const WRITES: i64 = 12;

fn config(folder: &Path) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "home"], &[(CHAT.0, "home")]);
    config.sources.get_mut(&name("home")).unwrap().on_unavailable = OnUnavailable::StandIn;
    config
}

/// The helper: each write that fails is made once more, as whoever is not answered does.
pub(crate) fn write_to_a_failing_disk(folder: &str) {
    let (db, _) = open(&config(Path::new(folder)));
    for number in 1..=WRITES {
        let message = NewMessage::text(number, db.now(), UserId(1), format!("message {number}"));
        let mut answers = Vec::new();
        for _ in 0..2 {
            match db.save_chat_message(CHAT, &message) {
                Err(error) if !error.is_duplicate() => {
                    let what = match error.kind() {
                        ErrorKind::OutcomeUnknown { .. } => "unknown",
                        ErrorKind::Io { .. } => "io",
                        ErrorKind::DiskFull => "full",
                        ErrorKind::SourceUnavailable { .. } => "unavailable",
                        _ => "else",
                    };
                    answers.push(what);
                }
                _ => {
                    answers.push("ok");
                    break;
                }
            }
        }
        child::say(&format!("{number} {}", answers.join(" ")));
    }
    db.close();
    child::say("closed");
}

#[rstest]
#[case::sync("fdatasync,fsync", 4)]
#[case::write("pwrite64", 15)]
fn a_write_whose_sync_fails_is_unknown_and_made_again_once(#[case] call: &str, #[case] every: usize) {
    let every = asked("SYSCALLS_EVERY", every);
    let mut failures = 0;
    for nth in (1..).step_by(every) {
        let scratch = Scratch::new();
        // Well at first, and known.
        let (db, _) = open(&config(scratch.path()));
        db.update_chat_user(CHAT, UserId(1), "@ada", "Ada").unwrap();
        db.close();
        let files = ["home.db", "home.db-wal"].map(|file| scratch.file(file).to_str().unwrap().to_owned());
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO:when={nth}"));
        let options = ["-f", "-qq", "-P", &files[0], "-P", &files[1], "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let task = ["write-to-a-failing-disk", scratch.path().to_str().unwrap()].map(OsStr::new);
        let said = Child::start_traced(&options, &task).lines();
        let (end, answers) = said.split_last().expect("it said something");
        assert_eq!(end, "closed", "{inject}: {said:?}");
        // (strace counts for each thread by itself: under it every look at the disk may fail.)
        let task = ["come-home", scratch.path().to_str().unwrap(), "stand-in"].map(OsStr::new);
        assert_eq!(Child::start(&task).answer(), "home");
        for answer in answers {
            assert!(answer.ends_with(" ok"), "the second time it is served elsewhere: {inject}: {said:?}");
            assert!(!answer.contains("else"), "{inject}: {said:?}");
        }
        let home = sqlite(&scratch.file("home.db"));
        let number = |sql: &str| -> i64 { home.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(number("SELECT COUNT(*) FROM chat_messages"), WRITES, "{inject}: {said:?}");
        assert_eq!(number("SELECT SUM(messages_count) FROM chat_stats"), WRITES, "each is counted once: {inject}");
        assert!(!scratch.file("standin/home.db").exists());
        let failed = answers.iter().any(|answer| answer.contains("unknown") || answer.contains("io"));
        failures += usize::from(failed);
        // A run that makes fewer calls has come to its end without a failure.
        if !failed && nth > 40 {
            break;
        }
    }
    assert!(failures > 1, "{failures} calls failed");
}
