//! A disk that does not answer when a source is closed.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use database::ChatId;

use super::{Log, config_of, eventually, name, open};
use crate::child::{self, Child};
use crate::support::Scratch;

/// A helper's task: takes two sources out of the configuration, the first of which does not close.
pub(crate) fn drop_hanging(folder: &str) {
    let (log, folder) = (Log::default(), Path::new(folder));
    let writer = log.clone();
    // Of every thread: the one that tells has no caller.
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let mut config = config_of(folder, &["primary", "hung", "well"], &[(-1, "hung"), (-2, "well")]);
    config.sources.values_mut().for_each(|source| source.timeout = Duration::from_secs(1));
    let (db, control) = open(&config);
    for (chat, gone) in [(-1, "hung"), (-2, "well")] {
        db.set_chat_setting(ChatId(chat), "language", "nl").unwrap();
        config.sources.remove(&name(gone));
        config.chat_mapping.remove(&ChatId(chat));
        control.reload(&config).unwrap();
    }
    eventually("what is retired later is closed", || !folder.join("well.db-wal").exists());
    assert!(folder.join("hung.db-wal").exists(), "it hangs");
    let told = "a database does not close and is left behind";
    let tells = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().matches(told).count();
    assert_eq!(tells(), 0, "the other was not waited for");
    eventually("it is told of", || tells() > 0);
    let start = Instant::now();
    db.close();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(tells(), 1, "once, and of no other");
    child::say("closed");
}

#[test]
fn a_source_that_does_not_close_holds_up_none_that_goes_later_and_is_told_of() {
    let scratch = Scratch::new();
    let config = config_of(scratch.path(), &["primary", "hung", "well"], &[(-1, "hung"), (-2, "well")]);
    let (db, _) = open(&config);
    for chat in [-1, -2] {
        db.set_chat_setting(ChatId(chat), "language", "fr").unwrap();
    }
    db.close();
    // From here on the file itself, without its log, is synced only when that is moved into it: then the disk does not
    // answer.
    let file = scratch.file("hung.db");
    let delay = "inject=fdatasync,fsync:delay_enter=60000000";
    let options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", delay, "-P"];
    let options: Vec<_> = options.into_iter().chain(file.to_str()).collect();
    let task = ["drop-hanging", scratch.path().to_str().unwrap()].map(OsStr::new);
    let mut helper = Child::start_traced(&options, &task);
    assert_eq!(helper.line(), "closed");
    helper.kill();
}
