//! `bot db` on a source that is away: who serves its chats, what waits, what was kept aside, and what is left in files
//! that do not own it; asked of a bot that runs and of the files.

use insta::assert_snapshot;

use super::files;
use super::site::{Site, TWO, speak};
use crate::multi::carry;
use crate::program::{Running, until};
use crate::support::sqlite;

/// A site with a bot on it whose source `archive` is away, and where one message of chat -100 waits for it.
fn with_one_away() -> (Site, crate::program::Running) {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, -100, "before");
    assert_eq!(running.end().code, Some(0));
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let mut running = site.start();
    assert_eq!(speak(&mut running, -100, "a secret"), ("archive".to_owned(), String::new()));
    (site, running)
}

/// The columns of a journal's table that are the same each time.
fn without_ids(text: &str) -> String {
    let cells = |line: &str| {
        let cells: Vec<_> = line.split("  ").collect();
        match cells[..] {
            [source, _, _, chat, what, state] if source != "SOURCE" => {
                format!("{source}  ID  TIME  {chat}  {what}  {state}")
            }
            _ => line.to_owned(),
        }
    };
    text.lines().map(|line| cells(line) + "\n").collect()
}

#[test]
fn a_source_that_is_away_is_shown_with_who_serves_it_and_what_waits() {
    let (site, running) = with_one_away();
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 0);
    assert_snapshot!(said);
    let archive = &site.json(&["status"])["sources"][1];
    assert_eq!((&archive["served_by"], &archive["state"]), (&"stand_in".into(), &"unavailable".into()));
    assert!(archive["since"].is_string() && archive["waiting"].as_u64() > Some(0) && archive["parked"].is_null());
    let primary = &site.json(&["status"])["sources"][0];
    assert_eq!((&primary["version"], &primary["served_by"]), (&6.into(), &serde_json::Value::Null));
    assert!(primary["uuid"].is_string());
    let (code, said) = site.said(&["db", "journal"]);
    assert_eq!(code, 3, "of what was kept aside there nothing is known");
    assert!(!said.contains("secret"));
    assert_snapshot!(without_ids(&said));
    assert_eq!(running.end().code, Some(0));

    let before = files(site.home.data().as_path());
    let (code, said) = site.said(&["db", "status"]);
    assert_eq!(code, 3);
    assert_snapshot!(said);
    let listed = site.said(&["db", "journal", "archive"]).1;
    assert_snapshot!(without_ids(&listed));
    assert!(files(site.home.data().as_path()) == before, "looking changes nothing");
}

#[test]
fn a_stand_in_that_is_gone_is_told_of_with_its_reason_and_the_source_as_it_is() {
    let (site, running) = with_one_away();
    assert_eq!(running.end().code, Some(0));
    let mut running = Running::start(&mut site.bot(&["console", "--json"]));
    speak(&mut running, -100, "another");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(site.data(&format!("standin/archive.db{suffix}")));
    }
    until("its chat's calls fail", || speak(&mut running, -100, "lost").1.contains("--set-aside"));
    let archive = || site.json(&["status"])["sources"][1].clone();
    let is_of_stand_in = |archive: &serde_json::Value| {
        let reason = archive["waiting_reason"].as_str().unwrap_or_default();
        assert!(archive["waiting"].is_null() && reason.contains("standin/archive.db is missing or empty"), "{archive}");
        assert!(reason.contains("`bot db retry archive --set-aside`"), "{archive}");
    };
    let away = archive();
    is_of_stand_in(&away);
    assert_eq!(away["state"], "unavailable");
    let (_, said) = site.said(&["db", "status"]);
    assert!(said.contains("what waits cannot be read: [home]/data/standin/archive.db is missing or empty"), "{said}");
    let (code, said) = site.said(&["db", "journal"]);
    assert_eq!(code, 3);
    let (headline, rest) = said.split_once('\n').unwrap();
    assert_eq!(headline, "Nothing is known to wait or to be kept aside; not everything could be read:");
    assert!(rest.contains("standin/archive.db is missing or empty"), "{said}");

    // The source is told of as it is, whenever somebody happens to look at it next.
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    let back = archive();
    is_of_stand_in(&back);
    assert_eq!((&back["state"], &back["reason"]), (&"returning".into(), &serde_json::Value::Null), "{back}");
    assert!(site.json(&["retry", "archive", "--set-aside"])["file"].is_null());
    assert_eq!(speak(&mut running, -100, "at home"), ("archive".to_owned(), String::new()));
    let said = running.end();
    assert!(said.err.contains("a stand-in is gone") && !said.err.contains("aside-1"), "{}", said.err);
}

#[test]
fn a_file_that_was_taken_away_just_now_is_told_of() {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, -100, "before");
    assert_eq!(site.json(&["status"])["sources"][1]["state"], "open");
    carry(&site.data("archive.db"), &site.home.path("away.db"));
    let archive = &site.json(&["status"])["sources"][1];
    assert_eq!((&archive["state"], &archive["bytes"]), (&"unavailable".into(), &serde_json::Value::Null), "{archive}");
    carry(&site.home.path("away.db"), &site.data("archive.db"));
    let archive = &site.json(&["status"])["sources"][1];
    assert!(archive["state"] == "open" || archive["state"] == "returning", "{archive}");
    assert_eq!(archive["reason"], serde_json::Value::Null);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn what_was_kept_aside_is_listed_and_made_again_or_given_up_with_a_bot_and_without() {
    let (site, mut running) = with_one_away();
    speak(&mut running, -100, "another");
    let forbid = "CREATE TRIGGER forbidden BEFORE INSERT ON chat_messages BEGIN SELECT RAISE(ABORT, 'forbidden'); END";
    sqlite(&site.home.path("away.db")).execute_batch(forbid).unwrap();
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    assert_eq!(site.said(&["db", "retry", "archive"]).0, 0);
    until("nothing waits", || site.json(&["status"])["sources"][1]["served_by"].is_null());
    let archive = site.json(&["status"])["sources"][1].clone();
    assert_eq!((&archive["waiting"], &archive["parked"]), (&0.into(), &2.into()));
    let (code, said) = site.said(&["db", "journal"]);
    assert_eq!(code, 0);
    assert_snapshot!(without_ids(&said));
    let (code, said) = site.said(&["db", "journal", "archive", "--retry"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot be made, and stay aside"), "{said}");
    let counts = site.json(&["status"])["counts"].clone();
    let numbers = ["outages", "returns", "writes_made", "writes_parked"].map(|name| counts[name].as_u64().unwrap());
    assert_eq!(numbers[..2], [1, 1], "{counts}");
    assert!(numbers[2] > numbers[3] && numbers[3] == 2 && counts["looks"].as_u64() > Some(0), "{counts}");
    let (_, said) = site.said(&["db", "status"]);
    let told =
        format!("Since the start: 1 outage, 1 return; {} writes brought home, 2 of them kept aside.", numbers[2]);
    assert!(said.contains(&told), "{said}");
    let entries = site.json(&["journal", "archive"])["entries"].clone();
    let id = entries[0]["id"].as_str().unwrap();
    let (code, said) = site.said(&["db", "journal", "archive", "--drop", id]);
    assert_eq!((code, said.as_str()), (0, "archive: 1 write dealt with.\n"));
    assert_eq!(site.said(&["db", "journal", "archive", "--drop", id]).0, 1, "it is gone");
    assert_eq!(running.end().code, Some(0));

    sqlite(&site.data("archive.db")).execute_batch("DROP TRIGGER forbidden").unwrap();
    assert_eq!(site.json(&["journal"])["counts"][0]["parked"], 1);
    let (code, said) = site.said(&["db", "journal", "archive", "--retry"]);
    assert_eq!((code, said.as_str()), (0, "archive: 1 write dealt with.\n"));
    let (code, said) = site.said(&["db", "-q", "journal"]);
    assert_eq!((code, said.as_str()), (0, "Nothing waits, and nothing was kept aside.\n"));
    let sql = "SELECT COUNT(*) FROM chat_messages WHERE message_text = 'another'";
    assert_eq!(sqlite(&site.data("archive.db")).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn a_damaged_stand_in_is_set_aside_with_a_bot_and_without() {
    let (site, running) = with_one_away();
    let (code, said) = site.said(&["db", "retry", "archive", "--set-aside"]);
    assert_eq!(code, 1);
    assert!(said.contains("is well, and all of it comes home"), "{said}");
    assert_eq!(running.end().code, Some(0));
    let damage = || std::fs::write(site.data("standin/archive.db"), "no database ".repeat(1_000)).unwrap();
    damage();
    let archive = &site.json(&["status"])["sources"][1];
    assert!(archive["waiting"].is_null() && archive["waiting_reason"].is_string(), "{archive}");
    let (code, said) = site.said(&["db", "-q", "retry", "archive", "--set-aside"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("/data/standin/archive.db.aside-1; what only it holds is not at home\n"), "{said}");
    damage();
    let running = site.start();
    let answer = site.json(&["retry", "archive", "--set-aside"]);
    assert!(answer["file"].as_str().unwrap().ends_with("/standin/archive.db.aside-2"), "{answer}");
    let (code, said) = site.said(&["db", "journal"]);
    assert_eq!(code, 3);
    assert!(said.contains("archive.db.aside-1") && said.contains("archive.db.aside-2"), "{said}");
    std::fs::rename(site.home.path("away.db"), site.data("archive.db")).unwrap();
    assert_eq!(site.said(&["db", "retry", "archive"]).0, 0);
    assert_eq!(site.said(&["db", "route", "-100"]).0, 0);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn strays_are_listed_and_cleared_with_a_bot_and_without() {
    let site = Site::new(&TWO.replace("[database.chat_mapping]\n-100 = \"archive\"\n", ""));
    let mut running = site.start();
    speak(&mut running, -100, "hello");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(site.said(&["db", "move", "-100", "--to", "archive", "--keep"]).0, 0);
    let (code, said) = site.said(&["db", "strays"]);
    assert_eq!(code, 0);
    assert_snapshot!(said);
    let running = site.start();
    let strays = site.json(&["strays"])["strays"].clone();
    assert_eq!(
        (&strays[0]["source"], &strays[0]["home"], &strays[0]["chat"]),
        (&"primary".into(), &"archive".into(), &serde_json::json!(-100))
    );
    let change = "UPDATE chat_messages SET message_text = 'changed' WHERE chat_id = -100";
    sqlite(&site.data("archive.db")).execute_batch(change).unwrap();
    let (code, said) = site.said(&["db", "strays", "--clear"]);
    assert_eq!(code, 3);
    // The bot's own ids come from the clock.
    let (before, after) = said.split_once("message_id=`").unwrap();
    assert_snapshot!(format!("{before}message_id=ID{}", after.trim_start_matches(|letter: char| letter != ',')));
    assert_eq!(running.end().code, Some(0));
    let (code, said) = site.said(&["db", "strays", "--clear", "--only-here", "-101"]);
    assert_eq!((code, said.as_str()), (0, "No database has rows of chat -101 that lives in another.\n"));
    sqlite(&site.data("archive.db")).execute_batch("DELETE FROM chat_messages WHERE chat_id = -100").unwrap();
    let (code, said) = site.said(&["db", "strays", "--clear", "--different"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(site.said(&["db", "strays", "--clear", "--only-here", "-100", "--different"]).0, 2);
    let (code, said) = site.said(&["db", "strays", "--clear", "--only-here", "-100"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = site.said(&["db", "-q", "strays"]);
    assert_eq!((code, said.as_str()), (0, "No database has rows of chats that live in another.\n"));
}

/// The commands of `docs/troubleshooting.md`, "A lost disk".
#[test]
fn a_lost_database_is_replaced_by_a_backup_elsewhere_and_what_was_said_since_comes_home() {
    let (site, running) = with_one_away();
    let new = site.home.path("new.db");
    std::fs::rename(site.home.path("away.db"), &new).unwrap();
    site.configure(&TWO.replace("path = \"archive.db\"", &format!("path = \"{}\"", new.display())));
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    assert_eq!(site.said(&["db", "retry", "archive"]).0, 0);
    until("its chats are home", || site.json(&["status"])["sources"][1]["served_by"].is_null());
    assert_eq!(
        site.said(&["db", "journal", "archive"]),
        (0, "Nothing waits, and nothing was kept aside.\n".to_owned())
    );
    assert_eq!(running.end().code, Some(0));
    let texts = "SELECT COUNT(*) FROM chat_messages WHERE message_text IN ('before', 'a secret')";
    assert_eq!(sqlite(&new).query_row(texts, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    assert!(!site.data("standin/archive.db").exists() && !site.data("archive.db").exists());
}

#[test]
fn a_lost_database_without_a_backup_is_made_anew_and_has_what_was_said_since() {
    let (site, running) = with_one_away();
    assert_eq!(site.said(&["db", "adopt", "archive", "--new"]).0, 0);
    until("its chats are home", || site.json(&["status"])["sources"][1]["served_by"].is_null());
    assert_eq!(running.end().code, Some(0));
    let texts = "SELECT COUNT(*) FROM chat_messages WHERE message_text = 'a secret'";
    assert_eq!(sqlite(&site.data("archive.db")).query_row(texts, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert!(!site.data("standin/archive.db").exists());
}

#[test]
fn there_is_neither_beside_one_file() {
    let site = Site::new("path = \"bot.db\"\n");
    for args in [&["db", "journal"][..], &["db", "strays"], &["db", "strays", "--clear"]] {
        let (code, said) = site.said(args);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("only one database file"), "{said}");
    }
}
