//! `bot db restore` under another configuration than that of the backup: no chat is left without its rows, and what has to
//! be configured again is named.

use std::path::{Path, PathBuf};

use rstest::rstest;

use super::backups::{add_copy, backup, made, set_of};
use super::files;
use super::site::{Site, TWO, speak};
use crate::support::{rows, sqlite};

/// The sources of [`TWO`] without the line that leads a chat.
const NO_LINES: &str = "default_source = \"primary\"\n[database.sources.primary]\npath = \"primary.db\"\n\
                        [database.sources.archive]\npath = \"archive.db\"\n";
const ONE_FILE: &str = "path = \"primary.db\"\n";

fn restore(site: &Site, set: &Path, args: &[&str]) -> (i32, String) {
    let mut all = vec!["db", "restore", set.to_str().unwrap()];
    all.extend(args);
    site.said(&all)
}

/// The set of a site, and what is in its two copies.
fn set(site: &Site) -> PathBuf {
    let (code, report) = backup(site, &[]);
    assert_eq!(code, 0, "{report}");
    set_of(site, &report)
}

fn is_as_in(site: &Site, set: &Path) -> bool {
    ["primary.db", "archive.db"].iter().all(|name| rows(&site.data(name)) == rows(&set.join(name)))
}

fn messages(path: &Path, chat: i64) -> i64 {
    let sql = "SELECT COUNT(*) FROM chat_messages WHERE chat_id = ?1";
    sqlite(path).query_row(sql, [chat], |row| row.get(0)).unwrap()
}

/// Deletes what the default source has of a chat.
fn erase(site: &Site, chat: i64) {
    let connection = sqlite(&site.data("primary.db"));
    for table in ["chat_messages", "chat_users", "chat_info", "chat_stats", "chat_user_stats"] {
        connection.execute(&format!("DELETE FROM {table} WHERE chat_id = ?1"), [chat]).unwrap();
    }
}

#[test]
fn a_set_of_several_sources_is_not_put_back_over_one_file() {
    let site = made();
    let set = set(&site);
    assert_eq!(site.run(&["db", "move", "--all", "--to", "primary"]).code, Some(0));
    site.configure(ONE_FILE);
    assert_eq!(messages(&site.data("primary.db"), -100), 1);
    let before = files(&site.home.data());
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(" has copies of sources that are not configured: `archive`; "), "{said}");
    let (code, said) = restore(&site, &set, &["--source", "primary"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("that were moved since: -100 (in primary); "), "{said}");
    assert!(files(&site.home.data()) == before, "nothing was changed");
    // Under the configuration of then it is put back.
    site.configure(TWO);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(is_as_in(&site, &set));
    assert_eq!(site.json(&["route", "-100"])["source"], "archive");
}

#[rstest]
fn a_set_with_sources_that_are_not_configured_is_put_back_as_far_as_they_are_named(#[values(false, true)] runs: bool) {
    let three = format!("{TWO}[database.sources.attic]\npath = \"attic.db\"\n");
    let site = Site::new(&three);
    assert_eq!(site.start().end().code, Some(0));
    for (chat, source) in [("-200", "attic"), ("-1", "archive")] {
        let mut running = site.start();
        speak(&mut running, chat.parse().unwrap(), "said before");
        assert_eq!(site.json(&["move", chat, "--to", source])["moves"][0]["outcome"], "moved");
        assert_eq!(running.end().code, Some(0));
    }
    let set = set_of(&site, &backup(&site, &["--source", "archive", "--source", "attic"]).1);
    assert_eq!(site.run(&["db", "move", "-200", "--to", "primary"]).code, Some(0));
    let text = std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    std::fs::write(site.home.path("bot.toml"), text.replace("[database.sources.attic]\npath = \"attic.db\"\n", ""))
        .unwrap();
    let running = runs.then(|| site.start());
    let before = ["archive.db", "primary.db", "attic.db"].map(|name| rows(&site.data(name)));
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(" has copies of sources that are not configured: `attic`; "), "{said}");
    assert!(said.contains("or name with --source what to put back"), "{said}");
    assert!(
        ["archive.db", "primary.db", "attic.db"].map(|name| rows(&site.data(name))) == before,
        "nothing was changed"
    );
    // Of what is not put back no copy has to be whole.
    std::fs::write(set.join("attic.db"), "no database").unwrap();
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn chats_whose_lines_are_missing_are_named_where_all_is_put_back_anew() {
    let site = made();
    let set = set(&site);
    std::fs::remove_dir_all(site.home.data()).unwrap();
    site.configure(NO_LINES);
    let refused = "error: the backup has chats in sources that they are not led to: -100 (in archive, led to primary); their \
                   rows would not be found. First put the lines of [database.chat_mapping] back as they were when it was \
                   made, or put it back with --even-so\n";
    assert_eq!(restore(&site, &set, &[]), (1, refused.to_owned()));
    assert!(!site.data("primary.db").exists() && !site.data("archive.db").exists());
    site.configure(TWO);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(is_as_in(&site, &set));
    site.configure(NO_LINES);
    assert_eq!(restore(&site, &set, &["--even-so"]).0, 0);
    // One source after the other: where the default one is not there yet, where its chats were moved is not known.
    std::fs::remove_dir_all(site.home.data()).unwrap();
    assert_eq!(restore(&site, &set, &["--source", "primary"]).0, 0);
    assert_eq!(restore(&site, &set, &["--source", "archive"]), (1, refused.to_owned()));
}

#[test]
fn a_bot_that_runs_does_not_put_chats_where_it_would_not_look_for_them() {
    let site = made();
    let set = set(&site);
    assert_eq!(site.run(&["db", "move", "-100", "--to", "primary"]).code, Some(0));
    erase(&site, -100);
    let mut running = site.start();
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("-100 (in archive, led to primary)"), "{said}");
    assert_eq!(messages(&site.data("archive.db"), -100), 0);
    // Once it has something there, the copy is an old one.
    speak(&mut running, -100, "said after");
    assert_eq!(restore(&site, &set, &["--source", "archive"]).0, 0);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_chat_whose_line_a_move_has_written_since_is_not_put_back_past_it() {
    let site = made();
    let set = set(&site);
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive"]).code, Some(0));
    assert_eq!(restore(&site, &set, &["--source", "archive", "--even-so"]).0, 0);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("that they are not led to: 7 (in primary, led to archive); "), "{said}");
    site.configure(TWO);
    assert_eq!(restore(&site, &set, &[]).0, 0);
    assert!(is_as_in(&site, &set));
    assert_eq!(site.json(&["route", "7"])["source"], "primary");
}

#[test]
fn rows_that_are_elsewhere_besides_hinder_nothing() {
    // Those that a move has left.
    let site = made();
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive", "--keep"]).code, Some(0));
    let kept = set(&site);
    let (code, said) = restore(&site, &kept, &[]);
    assert_eq!(code, 0, "{said}");
    // Those of a chat that was led elsewhere by hand, and has said nothing there yet.
    let site = made();
    site.configure(&format!("{TWO}7 = \"archive\"\n"));
    let (code, said) = restore(&site, &set(&site), &[]);
    assert_eq!(code, 0, "{said}");
    // Those that the default source has of a chat that it served, and that home does not have yet.
    site.configure(&TWO.replace("path = \"archive.db\"\n", "path = \"archive.db\"\non_unavailable = \"default\"\n"));
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let text = std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    std::fs::write(site.home.path("bot.toml"), text + "-200 = \"archive\"\n").unwrap();
    let mut running = site.start();
    assert_eq!(speak(&mut running, -200, "said elsewhere").0, "primary");
    let (code, report) = backup(&site, &[]);
    assert_eq!(code, 3, "{report}");
    assert_eq!(running.end().code, Some(0));
    let (code, said) = restore(&site, &set_of(&site, &report), &[]);
    assert_eq!(code, 0, "where the source is away: {said}");
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    let (code, said) = restore(&site, &set_of(&site, &report), &[]);
    assert_eq!(code, 0, "where its writes wait: {said}");
    // They are no excuse for another chat, of which nothing waits.
    std::fs::write(
        site.home.path("bot.toml"),
        std::fs::read_to_string(site.home.path("bot.toml")).unwrap() + "7 = \"archive\"\n",
    )
    .unwrap();
    erase(&site, 7);
    let (code, said) = restore(&site, &set_of(&site, &report), &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("that they are not led to: 7 (in primary, led to archive); "), "{said}");
}

#[test]
fn a_chat_of_which_all_waits_in_the_backup_is_named_where_its_line_is_missing() {
    let site = made();
    let archive = set(&site);
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let lines = format!("{TWO}-200 = \"archive\"\n");
    site.configure(&lines);
    let mut running = site.start();
    speak(&mut running, -200, "said elsewhere");
    let set = set_of(&site, &backup(&site, &[]).1);
    assert_eq!(running.end().code, Some(0));
    std::fs::remove_dir_all(site.home.data()).unwrap();
    add_copy(&set, &archive, "archive");
    site.configure(TWO);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("that they are not led to: -200 (in archive, led to primary); "), "{said}");
    site.configure(&lines);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(messages(&site.data("archive.db"), -200), 1);
}
