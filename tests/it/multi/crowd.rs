//! More sources than the process has descriptors for: those that were not used for the longest time are closed for
//! others, and nobody notices but by the time it takes.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use database::ChatId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{config_of, open};
use crate::child::{self, Child, numbered};
use crate::support::Scratch;

const SOURCES: i64 = 200;
const DESCRIPTORS: u64 = 128;
const THREADS: u64 = 8;
const ROUNDS: u64 = 300;

fn descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

/// A helper's task: threads write to and read from sources at random, with fewer descriptors than all of them need.
pub(crate) fn work(folder: &str) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum }).unwrap();
    let names: Vec<String> = (0..SOURCES).map(|source| format!("s{source}")).collect();
    let sources: Vec<&str> = std::iter::once("primary").chain(names.iter().map(String::as_str)).collect();
    let mapping: Vec<(i64, &str)> = (0..SOURCES).map(|chat| (-1 - chat, sources[chat as usize + 1])).collect();
    let (db, _) = open(&config_of(Path::new(folder), &sources, &mapping));
    let (most, written) = (AtomicU64::new(0), (0..SOURCES).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, most, written) = (db.clone(), &most, &written);
            scope.spawn(move || {
                let mut state = thread + 1;
                for round in 0..ROUNDS {
                    // (Knuth's multiplier: which chats come is the same each time.)
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let place = (state >> 33) as usize % SOURCES as usize;
                    let chat = ChatId(-1 - place as i64);
                    let message = numbered(&format!("{thread}"), u32::try_from(round).unwrap());
                    db.save_chat_message(chat, &message).unwrap();
                    let at_least = written[place].fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(db.get_chat_totals(chat).unwrap().messages as u64 >= at_least, "what was answered is read");
                    most.fetch_max(descriptors(), Ordering::Relaxed);
                }
            });
        }
    });
    for (place, written) in written.iter().enumerate() {
        let messages = db.get_chat_totals(ChatId(-1 - place as i64)).unwrap().messages;
        assert_eq!(messages as u64, written.load(Ordering::SeqCst), "source {place}");
    }
    // A question over all of them works too.
    assert!(db.get_all_group_chats().unwrap().missing().is_empty());
    db.close();
    let logs = crate::support::names_in(Path::new(folder)).iter().filter(|name| name.ends_with("-wal")).count();
    child::say(&format!("{} {logs}", most.load(Ordering::Relaxed)));
}

#[test]
fn two_hundred_sources_within_128_descriptors_lose_nothing_and_no_call_fails() {
    let scratch = Scratch::new();
    let task = ["crowd", scratch.path().to_str().unwrap()].map(OsStr::new);
    let answer = Child::start(&task).answer();
    let (most, logs) = answer.split_once(' ').unwrap();
    assert!(most.parse::<u64>().unwrap() <= DESCRIPTORS, "{answer}");
    assert_eq!(logs, "0", "all is moved into the files at the end");
}
