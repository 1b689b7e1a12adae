//! `bot db move --dry-run`: what it says, and that nothing is made or changed by asking.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::Value;

use super::files;
use super::site::{Site, TWO, speak};
use crate::program::Running;
use crate::support::sqlite;

/// What a configuration says that has one more source, at this path.
fn with_extra(path: &str) -> String {
    let extra = format!("[database.sources.extra]\npath = \"{path}\"\n[database.chat_mapping]\n-300 = \"extra\"\n");
    TWO.replace("[database.chat_mapping]\n", &extra)
}

/// A site with a source that is new since the bot was started; and the bot, where it runs.
fn with_new_source(runs: bool, path: &str) -> (Site, Option<Running>) {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, 7, "one");
    speak(&mut running, -300, "one");
    if !runs {
        assert_eq!(running.end().code, Some(0));
        site.configure(&with_extra(path));
        return (site, None);
    }
    site.configure(&with_extra(path));
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    (site, Some(running))
}

#[rstest]
fn asking_makes_and_changes_nothing(#[values(false, true)] runs: bool) {
    let (site, running) = with_new_source(runs, "extra.db");
    let before = files(&site.home.data());
    let ask = |args: &[&str]| site.said(&[&["db", "move"], args, &["--dry-run"]].concat());
    let (code, said) = ask(&["7", "--to", "extra"]);
    assert_eq!(code, 0, "{said}");
    allow_duplicates! {
        assert_snapshot!(said, @r#"
        Would move to extra: chat 7 from primary (5 rows, about 2 KiB, about 1 second).
        It would make the database extra: [home]/data/extra.db
        It would write to [database.chat_mapping]: 7 = "extra"
        "#);
    }
    // Elsewhere, of a chat that is led there already, of one that nobody knows, and of all.
    let all = ["7", "-300", "-300", "424242"].map(|chat| [chat, "--to"]);
    for (which, (to, expected)) in all.iter().zip([("archive", 0), ("extra", 0), ("archive", 0), ("extra", 1)]) {
        let (code, said) = ask(&[&which[..], &[to]].concat());
        assert_eq!(code, expected, "{said}");
    }
    for to in ["extra", "archive", "primary"] {
        let (code, said) = ask(&["--all", "--to", to]);
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!(ask(&["7", "--to", "primary"]).0, 1);
    assert!(!site.data("extra.db").exists());
    if !runs {
        assert!(files(&site.home.data()) == before);
    }
    let (code, said) = site.said(&["db", "move", "7", "--to", "extra"]);
    assert_eq!(code, 0, "{said}");
    assert!(site.data("extra.db").exists() && !said.contains("would"), "{said}");
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn the_help_says_how_the_time_is_estimated() {
    let help = Site::new(TWO).said(&["db", "move", "--help"]).1;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("by the first 200 of each table, the time by 20,000 rows a second, or 3,000 beside"),
        "{help}"
    );
}

#[rstest]
fn a_source_that_cannot_be_made_is_refused_with_the_reason(#[values(false, true)] runs: bool) {
    let (site, running) = with_new_source(runs, "nowhere/extra.db");
    for how in [&["--dry-run"][..], &[]] {
        let (code, said) = site.said(&[&["db", "move", "7", "--to", "extra"], how].concat());
        assert_eq!(code, 1);
        allow_duplicates! {
            assert_snapshot!(said, @"Chat 7 was not moved: the source `extra` cannot be used now: the folder [home]/data/nowhere does not exist; create it, or correct the path; see `bot db status`, then try again.");
        }
    }
    // What it says to see says it too.
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 0);
    let state = if runs { "closed" } else { "absent" };
    let reason = "the folder [home]/data/nowhere does not exist; create it, or correct the path";
    assert!(said.ends_with(&format!("\nextra is {state}: {reason}\n")), "{said}");
    let extra = site.json(&["status"])["sources"][2].clone();
    assert_eq!((&extra["name"], &extra["state"], &extra["reason"]), (&"extra".into(), &state.into(), &reason.into()));
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn sources_that_were_not_needed_yet_are_told_of_together() {
    let site = Site::new(TWO);
    let mut running = site.start();
    let more = (1..=7).map(|number| format!("[database.sources.more-{number}]\npath = \"{number}.db\"\n"));
    let table = "[database.chat_mapping]\n";
    site.configure(&TWO.replace(table, &(more.collect::<String>() + table)));
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    let said = site.said(&["db", "status"]).1;
    assert_snapshot!(said.lines().last().unwrap(), @"more-1, more-2, more-3, more-4, more-5 and 2 more are closed: not needed yet; its file is not there");
    // It is nothing that is to be mended.
    let status = site.json(&["status"]);
    let told = |place: usize| (&status["sources"][place]["reason"], &status["sources"][place]["why_closed"]);
    assert_eq!(told(0), (&Value::Null, &Value::Null));
    assert_eq!(told(2), (&Value::Null, &"not needed yet; its file is not there".into()));
    let said = speak(&mut running, 1, "/status").1;
    assert!(said.contains("closed).\n") && !said.contains("not needed yet"), "{said}");
    assert_eq!(running.end().code, Some(0));
    // Files that cannot be made are told of together too.
    let nowhere = (1..=7).map(|number| format!("[database.sources.more-{number}]\npath = \"nowhere/{number}.db\"\n"));
    site.configure(&TWO.replace(table, &(nowhere.collect::<String>() + table)));
    let said = site.said(&["db", "status"]).1;
    assert_snapshot!(said.lines().last().unwrap(), @"more-1, more-2, more-3, more-4, more-5 and 2 more are absent: the folder [home]/data/nowhere does not exist; create it, or correct the path");
}

#[test]
fn where_a_source_is_away_it_is_said_why_and_nothing_is_to_be_undone() {
    let (site, _) = with_new_source(false, "extra.db");
    std::fs::remove_file(site.data("archive.db")).unwrap();
    for args in [&["--all", "--to", "primary"][..], &["-100", "--to", "primary"]] {
        let (code, said) = site.said(&[&["db", "move"], args, &["--dry-run"]].concat());
        assert_eq!(code, 1);
        assert!(said.contains("the source `archive` cannot be used now: [home]/data/archive.db is missing"), "{said}");
        assert!(!said.contains("relocate.") && !said.contains("--abort"), "{said}");
    }
    let mut running = Running::start(&mut site.bot(&["-q", "console", "--json"]));
    speak(&mut running, -100, "meanwhile");
    let (code, said) = site.said(&["db", "move", "-100", "--to", "primary"]);
    assert_eq!(code, 1);
    assert!(said.contains("the source `archive` is away ([home]/data/archive.db is missing or empty"), "{said}");
    assert_eq!(running.end().code, Some(0));
    // So it is when the bot has ended, and what was written waits.
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "move", "7", "--to", "archive", "--dry-run"]);
    assert_eq!((code, said.contains("the source `archive` is away")), (1, true), "{said}");
    assert!(site.data("standin/archive.db").exists() && files(&site.home.data()) == before);
}

#[test]
fn of_a_chat_that_files_contradict_each_other_about_no_row_would_be_moved() {
    let (site, _) = with_new_source(false, "extra.db");
    let older = std::fs::read(site.data("primary.db")).unwrap();
    assert_eq!(site.said(&["db", "move", "7", "--to", "archive"]).0, 0);
    std::fs::write(site.data("primary.db"), older).unwrap();
    site.configure(TWO);
    assert!(site.said(&["db", "route", "7"]).1.contains("go on with what is in `archive`"));
    let before = files(&site.home.data());
    for to in ["archive", "primary"] {
        let (code, said) = site.said(&["db", "move", "7", "--to", to, "--dry-run"]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("Chat 7: no row would be copied to {to}; ")), "{said}");
    }
    assert!(files(&site.home.data()) == before);
}

#[test]
fn a_database_of_an_earlier_release_stays_as_it_is() {
    let (site, _) = with_new_source(false, "extra.db");
    let older = "UPDATE switchyard_meta SET value = '1' WHERE key = 'schema'";
    assert_eq!(sqlite(&site.data("archive.db")).execute(older, []).unwrap(), 1);
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "move", "7", "--to", "archive", "--dry-run"]);
    assert_eq!(code, 1);
    assert!(said.contains("has to be brought to this release's version first, which `bot db migrate` does"), "{said}");
    assert!(files(&site.home.data()) == before);
}

#[test]
fn that_a_file_keeps_its_size_is_said_where_much_leaves_it() {
    let site = Site::new(TWO);
    let mut running = site.start();
    for _ in 0..24 {
        speak(&mut running, 7, &"long ".repeat(10_000));
    }
    assert_eq!(running.end().code, Some(0));
    let last = |args: &[&str]| {
        let (code, said) = site.said(&[&["db", "move", "7"], args].concat());
        assert_eq!(code, 0, "{said}");
        said.lines().last().unwrap().trim_start().to_owned()
    };
    assert_snapshot!(last(&["--to", "archive", "--dry-run"]), @"The file of `primary` would keep its size; `--vacuum` gives the room back, about 1 MiB.");
    assert_snapshot!(last(&["--to", "archive"]), @"The file of `primary` keeps its size: what comes fills the room, about 1 MiB, or the next move from there gives it back with `--vacuum`.");
    assert!(last(&["--to", "primary", "--vacuum"]).starts_with("Removed from "));
    assert!(last(&["--to", "archive", "--keep"]).starts_with("Written to "));
}
