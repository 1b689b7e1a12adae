//! `bot db` where no bot runs: the files are looked at, and are the same afterwards.

use insta::assert_snapshot;

use super::files;
use super::site::{Site, TWO, speak};
use crate::program::until;
use crate::support::sqlite;

const LOOKS: [&[&str]; 4] =
    [&["db", "status"], &["db", "status", "--json"], &["db", "route", "-100"], &["db", "route", "7", "--json"]];

/// Looks in every way, and holds that nothing is different afterwards.
fn look(site: &Site) -> String {
    let before = files(&site.home.path(""));
    for args in LOOKS {
        let said = site.run(args);
        assert!(matches!(said.code, Some(0 | 3)), "{args:?}: {said:?}");
    }
    let said = site.said(&["db", "status"]);
    let after = files(&site.home.path(""));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(before == after, "a file's bytes changed");
    format!("{}\n{}", said.0, said.1)
}

#[test]
fn before_the_first_start_nothing_is_there_and_nothing_is_made() {
    let site = Site::new(TWO);
    assert_snapshot!(look(&site), @"
        0
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  absent  the rest  -  -  -  [home]/data/primary.db
        archive  absent  1  -  -  -  [home]/data/archive.db
        ");
    assert!(!site.home.data().exists());
}

#[test]
fn what_a_bot_left_is_shown() {
    let site = Site::new(&format!("{TWO}-200 = \"archive\"\n"));
    let mut running = site.start();
    for chat in [-100, -200, 5] {
        speak(&mut running, chat, "hello");
    }
    drop(running.end());
    assert_snapshot!(look(&site), @"
        0
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  2  6  # KiB  [home]/data/primary.db
        archive  readable  2  2  6  # KiB  [home]/data/archive.db
        ");
    assert_eq!(site.home.names(), ["archive.db", "primary.db", "switchyard.lock"]);
    assert_snapshot!(site.said(&["db", "route", "-100"]).1, @"
        No bot runs on [home]/data. By the configuration and the files:
        Chat -100 is in archive: [database.chat_mapping] says so.
        ");
    assert_snapshot!(site.said(&["db", "route", "7"]).1, @"
        No bot runs on [home]/data. By the configuration and the files:
        Chat 7 is in primary: it is mapped nowhere, and that is the default source.
        ");
    let status = site.json(&["status"]);
    assert_eq!((&status["running"], &status["generation"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(status["sources"][0]["uuid"].as_str().unwrap().len(), 36);
}

#[test]
fn what_the_default_source_knows_of_chats_counts() {
    let site = Site::new(TWO);
    drop(site.start().end());
    let primary = sqlite(&site.data("primary.db"));
    let now = "2026-01-01 00:00:00";
    primary
        .execute_batch(&format!(
            "INSERT INTO switchyard_routes VALUES (-300, 'archive', NULL, '{now}'), (-400, 'archive', 'archive', '{now}');
             INSERT INTO switchyard_aliases VALUES (-1000, -100, '{now}');"
        ))
        .unwrap();
    drop(primary);
    // The configuration says another thing of -400 than when it was moved, so that move does not count.
    let why = ["-300", "-400", "-1000"].map(|chat| site.json(&["route", chat])["why"].as_str().unwrap().to_owned());
    assert_eq!(why, ["moved", "default", "inherited"]);
    assert_eq!(site.json(&["status"])["sources"][1]["routed"], 3);
    assert_eq!(site.json(&["route", "-1000"])["inherited_from"], -100);
}

#[test]
fn files_that_a_bot_would_refuse_are_told_as_it_would() {
    let site = Site::new(&format!("{TWO}[database.sources.old]\npath = \"old.db\"\nreadonly = true\n"));
    drop(site.start().end());
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    std::fs::write(site.data("old.db"), "this is a text and no database at all".repeat(20)).unwrap();
    assert_snapshot!(look(&site), @"
        3
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  1  6  # KiB  [home]/data/primary.db
        archive  unusable  1  -  -  -  [home]/data/archive.db
        old  unusable, read-only  0  -  -  # KiB  [home]/data/old.db

        archive is unusable: [home]/data/archive.db is missing or empty, and the source `archive` had a database before (at [home]/data/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`

        old is unusable: [home]/data/old.db is not a SQLite database; correct the path, or move the file away to start with a new one
        ");
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    std::fs::rename(site.data("primary.db"), site.home.path("away.db")).unwrap();
    assert_snapshot!(look(&site), @"
        3
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  unusable  the rest  -  -  -  [home]/data/primary.db
        archive  readable  1  0  6  # KiB  [home]/data/archive.db
        old  unusable, read-only  0  -  -  # KiB  [home]/data/old.db

        primary is unusable: [home]/data/primary.db is missing or empty, and the source `archive` belongs to a default database that was there; put it back, or accept an empty one with `bot db adopt primary --new`

        old is unusable: [home]/data/old.db is not a SQLite database; correct the path, or move the file away to start with a new one
        ");
    // Chats may have been moved, for all that can be told without the default source.
    let route = site.json(&["route", "-100"]);
    assert_eq!((&route["source"], &route["certain"]), (&"archive".into(), &false.into()));
    assert_eq!(site.said(&["db", "route", "-100"]).0, 3);
}

#[test]
fn files_of_a_bot_that_was_killed_are_left_as_they_are() {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, -100, "hello");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert!(site.data("control.sock").exists() && site.data("archive.db-wal").exists());
    assert_snapshot!(look(&site), @"
        0
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  1  6  # KiB  [home]/data/primary.db
        archive  readable  1  1  6  # KiB  [home]/data/archive.db
        ");
    // A log without the index that goes with it would be given one by reading.
    std::fs::remove_file(site.data("archive.db-shm")).unwrap();
    assert_snapshot!(look(&site), @"
        3
        No bot runs on [home]/data. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  1  6  # KiB  [home]/data/primary.db
        archive  unusable  1  -  -  # KiB  [home]/data/archive.db

        archive is unusable: [home]/data/archive.db was not read, since its log has to be made whole first; a bot that opens it can read it
        ");
    // A start puts all in order, the socket too.
    let mut running = site.start();
    assert_eq!(speak(&mut running, -100, "again").0, "archive");
    assert_eq!(site.json(&["status"])["running"], true);
    assert_eq!(running.end().code, Some(0));
    assert_eq!(site.home.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn what_only_a_bot_can_do_is_refused_and_adopting_is_done() {
    let site = Site::new(TWO);
    let (code, said) = site.said(&["db", "adopt", "archive"]);
    assert_eq!(code, 1);
    assert_snapshot!(said, @"error: the data folder [home]/data does not exist; name another (data_dir, --data-dir), or start the bot, which makes it");
    drop(site.start().end());
    let mut told = String::new();
    for args in [&["db", "retry", "archive"][..], &["db", "reload"]] {
        let (code, said) = site.said(args);
        assert_eq!(code, 1);
        told += &said;
    }
    assert_snapshot!(told, @"
        error: No bot runs on [home]/data. A bot opens its databases when it starts.
        error: No bot runs on [home]/data. A bot reads its configuration when it starts.
        ");
    assert_eq!(site.said(&["db", "adopt", "nowhere"]).0, 2);
    std::fs::remove_file(site.data("archive.db")).unwrap();
    assert_eq!(site.said(&["db", "adopt", "archive"]).0, 1);
    assert!(!site.data("archive.db").exists());
    let (code, said) = site.said(&["db", "adopt", "archive", "--new"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        archive is open: [home]/data/archive.db (1 chat by name)
        It is new and empty: what its chats had before, if anything, is only in the file that was there. `bot db restore` puts back what a backup has of it.
        "#);
    assert_eq!(site.home.names(), ["archive.db", "primary.db", "switchyard.lock"]);
    let mut running = site.start();
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    drop(running);
}

#[test]
fn a_process_that_cannot_be_asked_is_told_of() {
    let site = Site::new(TWO);
    let running = site.start();
    std::fs::remove_file(site.data("control.sock")).unwrap();
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 3);
    assert_snapshot!(said, @"
        Process N is in charge of [home]/data and cannot be asked: it is a command at work such as `bot db move`, a bot that starts or ends, or one without a control socket. This is what the files show.
        Configuration: [home]/bot.toml.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  1  6  # KiB  [home]/data/primary.db
        archive  readable  1  0  6  # KiB  [home]/data/archive.db
        ");
    assert_eq!(site.said(&["db", "reload"]).0, 1);
    assert_eq!(site.said(&["db", "adopt", "archive"]).0, 1);
    assert_eq!(running.end().code, Some(0));
    until("the lock is free", || site.json(&["status"])["process"].is_null());
}
