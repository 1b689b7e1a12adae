//! `bot db` where a bot runs: it is asked through its control socket.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use insta::assert_snapshot;
use rustix::process::Signal;

use super::plain;
use super::site::{Site, TWO, speak};
use crate::program::until;

#[test]
fn each_command_is_answered_by_the_bot() {
    let site = Site::new(TWO);
    let mut running = site.start();
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @"
        The bot (process N) runs on [home]/data.
        Configuration: [home]/bot.toml (generation 1).

        SOURCE  STATE  ROUTED  CONNECTIONS  VERSION  SIZE  PATH
        primary  open  the rest  some of 5  6  # KiB  [home]/data/primary.db
        archive  open  1  some of 5  6  # KiB  [home]/data/archive.db
        ");
    let mut told = String::new();
    for args in
        [&["db", "route", "-100"][..], &["db", "route", "7"], &["db", "retry", "archive"], &["db", "adopt", "archive"]]
    {
        let (code, said) = site.said(args);
        assert_eq!(code, 0, "{said}");
        told += &said;
    }
    assert_snapshot!(told, @"
        Chat -100 is in archive: [database.chat_mapping] says so.
        Chat 7 is in primary: it is mapped nowhere, and that is the default source.
        archive is open: [home]/data/archive.db (1 chat by name)
        archive is open: [home]/data/archive.db (1 chat by name)
        ");
    let (code, said) = site.said(&["db", "reload"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @"DATE TIME UTC, without effect");
    let refused = [["db", "retry", "nowhere"], ["db", "adopt", "nowhere"]].map(|args| site.said(&args));
    assert_snapshot!(refused.map(|(code, said)| format!("{code}: {said}")).concat(), @"
        2: error: there is no source `nowhere`; known are: `primary`, `archive`
        2: error: there is no source `nowhere`; known are: `primary`, `archive`
        ");
    let status = site.json(&["status"]);
    assert_eq!((&status["running"], &status["generation"]), (&true.into(), &1.into()));
    assert_eq!(status["process"], running.child.id());
    assert_eq!(status["sources"][1]["connections"]["most"], 5);
    assert_eq!(site.json(&["route", "-100"])["why"], "mapped");
    assert_eq!(site.json(&["reload"])["outcome"], "unchanged");
    let socket = std::fs::symlink_metadata(site.data("control.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    assert_eq!(running.end().code, Some(0));
    assert_eq!(site.home.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn a_source_that_is_down_is_shown_and_taken_back_when_it_is_told_to() {
    let site = Site::new(&format!("on_unavailable = \"fail\"\n{TWO}"));
    drop(site.start().end());
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let mut running = site.start();
    assert!(speak(&mut running, -100, "hello").1.contains("bot db adopt archive --new"));
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @"
        The bot (process N) runs on [home]/data.
        Configuration: [home]/bot.toml (generation 1).

        SOURCE  STATE  ROUTED  CONNECTIONS  VERSION  SIZE  PATH
        primary  open  the rest  some of 5  6  # KiB  [home]/data/primary.db
        archive  unavailable  1  0 of 5  -  -  [home]/data/archive.db

        archive is unavailable since DATE TIME UTC: [home]/data/archive.db is missing or empty, and the source `archive` had a database before (at [home]/data/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`
        ");
    let (code, said) = site.said(&["db", "retry", "archive"]);
    assert_eq!(code, 1);
    assert_snapshot!(said, @"error: [home]/data/archive.db is missing or empty, and the source `archive` had a database before (at [home]/data/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`");
    assert!(!site.data("archive.db").exists());
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    assert_eq!(site.said(&["db", "retry", "archive"]).0, 0);
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    // Another file on purpose.
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        std::fs::remove_file(site.data(name)).unwrap();
    }
    until("the loss is noticed", || speak(&mut running, -100, "hello").0.is_empty());
    assert_eq!(site.said(&["db", "retry", "archive"]).0, 1);
    assert_eq!(site.said(&["db", "adopt", "archive"]).0, 1);
    assert_eq!(site.said(&["db", "adopt", "archive", "--new"]).0, 0);
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    assert_eq!(running.end().code, Some(3));
}

#[test]
fn owners_ask_the_same_in_the_chat() {
    let site = Site::new(TWO);
    let mut running = site.start();
    let routes = ["/route", "/route -100", "/route 7", "/route x"].map(|text| speak(&mut running, -100, text).1);
    assert_snapshot!(routes.join("\n"), @"
        Chat -100 is in archive: [database.chat_mapping] says so.
        Chat -100 is in archive: [database.chat_mapping] says so.
        Chat 7 is in primary: it is mapped nowhere, and that is the default source.
        Usage: /route [CHAT] (a chat is a whole number; without one it is this chat)
        ");
    let status = speak(&mut running, 1, "/status").1;
    let status: Vec<_> = status.lines().filter(|line| !line.contains("running for")).collect();
    let root = site.home.path("").display().to_string();
    assert_snapshot!(plain(&status.join("\n").replace(&root, "[home]/")), @"
        Database primary: [home]/data/primary.db (# KiB, open).
        Database archive: [home]/data/archive.db (# KiB, open, 1 chat by name).
        Configuration 1.
        0 tasks waiting.
        ");
    running.say("{\"chat\":-100,\"user\":2,\"text\":\"/route\"}");
    assert!(running.hear().contains("/route is for the bot's owners."));
    drop(running);
}

#[test]
fn hanging_up_reloads_and_a_broken_file_leaves_what_was() {
    let site = Site::new(TWO);
    let mut running = site.start();
    assert_eq!(speak(&mut running, -200, "hello").0, "primary");
    let more = format!("{TWO}-200 = \"archive\"\n");
    site.configure(&more);
    running.signal(Signal::HUP);
    site.last_reload("applied");
    assert_eq!(speak(&mut running, -200, "hello").0, "archive");
    site.configure(&format!("{more}-300 = \"nowhere\"\n"));
    running.signal(Signal::HUP);
    let reason = site.last_reload("refused")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("`database.chat_mapping.-300` names no source"), "{reason}");
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 0);
    assert_snapshot!(said.split("\n\n").next().unwrap(), @r#"
        The bot (process N) runs on [home]/data.
        Configuration: [home]/bot.toml (generation 2).
        Last change: DATE TIME UTC, refused: [home]/bot.toml:12: `database.chat_mapping.-300` names no source; there are "archive", "primary"
        "#);
    assert_eq!(site.said(&["db", "reload"]).0, 1);
    assert_eq!(speak(&mut running, -200, "hello").0, "archive");
    // What the bot cannot go over to while it runs is refused by the databases, not by the reading.
    site.configure(&more.replace("primary.db", "other.db"));
    let (code, said) = site.said(&["db", "reload"]);
    assert_eq!(code, 1);
    assert_snapshot!(said, @"DATE TIME UTC, refused: the default source's file cannot change from [home]/data/primary.db to [home]/data/other.db while the bot runs, since what belongs to no chat would be left behind; restart the bot, and see `bot db move` for the chats");
    site.configure(TWO);
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    assert_eq!(speak(&mut running, -200, "hello").0, "primary");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_move_says_so_where_the_bot_has_refused_the_configuration_on_disk() {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, -200, "one");
    site.configure(&format!("{TWO}-300 = \"nowhere\"\n-301 = 7\n"));
    assert_eq!(site.said(&["db", "reload"]).0, 1);
    let note = "The configuration on disk is refused, and the bot goes on with that of before: ";
    let planned = site.json(&["move", "-200", "--to", "archive", "--dry-run"]);
    assert!(planned["note"].as_str().unwrap().starts_with(note), "{planned}");
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 0, "{said}");
    let last = said.lines().last().unwrap();
    assert_snapshot!(last, @r#"The configuration on disk is refused, and the bot goes on with that of before: [home]/bot.toml:11: `database.chat_mapping.-300` names no source; there are "archive", "primary"; [home]/bot.toml:12: `database.chat_mapping.-301` is a whole number, but must be the name of a source. Mend it (see `bot config check`), then `bot db reload`."#);
    assert_eq!(speak(&mut running, -200, "four").0, "archive");
    // Once it is mended there is nothing to be said of it.
    site.configure(&format!("{TWO}-200 = \"archive\"\n"));
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    assert_eq!(site.json(&["move", "-200", "--to", "primary"])["note"], serde_json::Value::Null);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_change_of_the_file_is_noticed_without_being_told() {
    let site = Site::new(TWO);
    let mut running = site.start();
    site.configure(&format!("{TWO}-200 = \"archive\"\n"));
    site.last_reload("applied");
    assert_eq!(speak(&mut running, -200, "hello").0, "archive");
    assert_eq!(site.json(&["status"])["generation"], 2);
    drop(running);
}

#[test]
fn a_bot_that_was_stopped_is_said_to_be_silent() {
    let site = Site::new(TWO);
    let running = site.start();
    running.signal(Signal::STOP);
    let (code, said) = site.said(&["db", "route", "7"]);
    running.signal(Signal::CONT);
    assert_eq!(code, 1);
    assert!(said.contains("did not answer within 10s"), "{said}");
    assert_eq!(running.end().code, Some(0));
}
