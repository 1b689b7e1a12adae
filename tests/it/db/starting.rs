//! What a bot with several databases says at the start, and who may start at all.

use insta::assert_snapshot;
use rustix::process::Signal;

use super::plain;
use super::site::{Site, TWO, speak};
use crate::program::Running;

/// Runs a bot to the end of no input, and answers what it said of what it found.
fn notes(site: &Site) -> (Option<i32>, String) {
    let said = site.run(&["console", "--json"]);
    assert_eq!(said.out, "");
    // The log, whose lines begin with a date, says the same once more.
    let notes = said.err.lines().filter(|line| !line.starts_with("20")).collect::<Vec<_>>();
    (said.code, plain(&notes.join("\n")))
}

#[test]
fn it_says_what_it_uses_what_it_makes_and_what_it_cannot_use() {
    let site = Site::new(TWO);
    let (code, said) = notes(&site);
    assert_eq!(code, Some(0));
    assert_snapshot!(said, @"
        Using the configuration [home]/bot.toml.
        Created the folder [home]/data.
        Created the database primary: [home]/data/primary.db.
        Created the database archive: [home]/data/archive.db.
        ");
    let (code, said) = notes(&site);
    assert_eq!(code, Some(0));
    assert_snapshot!(said, @"
        Using the configuration [home]/bot.toml.
        Using the database primary: [home]/data/primary.db.
        Using the database archive: [home]/data/archive.db.
        ");
    std::fs::remove_file(site.data("archive.db")).unwrap();
    let (code, said) = notes(&site);
    assert_eq!(code, Some(0));
    assert_snapshot!(said, @"
        Using the configuration [home]/bot.toml.
        Using the database primary: [home]/data/primary.db.
        The database archive cannot be used: [home]/data/archive.db is missing or empty, and the source `archive` had a database before (at [home]/data/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`.
        ");
    std::fs::write(site.data("primary.db"), "this is a text and no database at all".repeat(20)).unwrap();
    let (code, said) = notes(&site);
    assert_eq!(code, Some(1));
    assert_snapshot!(said, @"
        error: none of the databases can be used:
        primary: [home]/data/primary.db is not a SQLite database; correct the path, or move the file away to start with a new one
        archive: [home]/data/archive.db cannot be told from another file or from one that was lost, since the default source is unavailable; mend the default source first
        ");
    assert_eq!(site.home.names(), ["primary.db", "switchyard.lock"]);
}

#[test]
fn a_second_bot_is_told_who_is_in_charge() {
    let site = Site::new(TWO);
    let mut running = site.start();
    for args in [&["console", "--json"][..], &["run"], &["import", crate::program::SINGLE]] {
        let said = site.run(args);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{args:?}");
        assert!(said.err.contains(&format!("(process {})", running.child.id())), "{said:?}");
    }
    let (_, said) = site.said(&["import", crate::program::SINGLE]);
    assert_snapshot!(said, @"error: cannot open the database: [home]/data is in use by another bot (process N); stop it, or give this one a data directory of its own");
    // The first one is still asked.
    assert_eq!(site.json(&["status"])["process"], running.child.id());
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_data_folder_whose_path_is_too_long_for_a_socket_has_one_all_the_same() {
    let site = Site::new(TWO);
    let deep = site.home.path(&"deep".repeat(30));
    let args = |rest: &[&'static str]| {
        let mut all = vec!["--data-dir".to_owned(), deep.display().to_string()];
        all.extend(rest.iter().map(|arg| (*arg).to_owned()));
        all
    };
    let command = |rest: &[&'static str]| {
        let config = site.home.path("bot.toml");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bot-under-test"));
        command.arg("--config").arg(config).args(args(rest));
        command
    };
    let mut running = Running::start(&mut command(&["-q", "console", "--json"]));
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    let said = Running::start(&mut command(&["db", "route", "-100"])).end();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.contains("is in archive"), "{}", said.out);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn hanging_up_before_it_has_started_ends_nothing() {
    let site = Site::new(TWO);
    let mut running = Running::start(&mut site.bot(&["-v", "console", "--json"]));
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    for _ in 0..20 {
        running.signal(Signal::HUP);
    }
    assert_eq!(speak(&mut running, -100, "hello").0, "archive");
    let said = running.end();
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("SIGHUP"), "{}", said.err);
}

#[test]
fn a_signal_ends_it_with_the_socket_gone() {
    let site = Site::new(TWO);
    let running = site.start();
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(site.home.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}
