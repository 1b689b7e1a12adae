//! `bot db verify`: values that cannot be read and rows that are not the same in two databases are named, and nothing is
//! changed.

use std::path::Path;

use insta::assert_snapshot;
use rstest::rstest;

use super::files;
use super::site::{Site, TWO, speak};
use crate::support::sqlite;

/// A site on which the chat 7 was moved to `archive` and left a copy in `primary`, with a message of a certain id.
fn made() -> Site {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, 7, "a secret");
    speak(&mut running, -100, "another secret");
    assert_eq!(running.end().code, Some(0));
    let sql =
        "UPDATE chat_messages SET message_id = '15', created_at = date WHERE chat_id = 7 AND message_text = 'a secret';
               INSERT INTO chat_settings VALUES (7, 'language', 'nl', '2026-01-01 00:00:00', '2026-01-01 00:00:00')";
    sqlite(&site.data("primary.db")).execute_batch(sql).unwrap();
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive", "--keep"]).code, Some(0));
    site
}

#[test]
fn what_is_the_same_on_both_sides_is_fine_and_stays_as_it_is() {
    let site = made();
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "verify", "7", "-100"]);
    assert_eq!(code, 0, "{said}");
    assert_snapshot!(said, @"
        CHAT  SOURCE  ROWS  UNREADABLE  SAME  DIFFERENT  ONLY THERE  ONLY AT HOME
        -100  archive  5  0  -  -  -  -
        7  archive  6  0  -  -  -  -
        7  also primary  6  0  6  0  0  0
        2 chats read; nothing is wrong with them.
        ");
    assert_eq!(site.said(&["db", "verify", "--all"]).0, 0);
    assert!(files(&site.home.data()) == before);
    let mut running = site.start();
    speak(&mut running, 7, "more");
    let report = site.json(&["verify", "7"]);
    let copy = &report["chats"][0]["copies"][0];
    assert_eq!((&copy["source"], &copy["only_there"]), (&"primary".into(), &0.into()));
    assert!(copy["only_at_home"].as_u64() > Some(0), "what was said since is at home only: {copy}");
    assert_eq!(running.end().code, Some(0));
}

#[rstest]
#[case::a_text_that_was_changed_at_home(
    "archive.db",
    "UPDATE chat_messages SET message_text = 'changed' WHERE message_id = '15'",
    "Chat 7: table `chat_messages`, row chat_id=7, message_id=`15`: different in primary and archive: message_text"
)]
#[case::a_text_that_was_changed_in_the_copy(
    "primary.db",
    "UPDATE chat_messages SET message_text = 'changed', quote_text = 'x' WHERE message_id = '15'",
    "Chat 7: table `chat_messages`, row chat_id=7, message_id=`15`: different in primary and archive: message_text, quote_text"
)]
#[case::a_row_that_is_missing_at_home(
    "archive.db",
    "DELETE FROM chat_messages WHERE message_id = '15'",
    "Chat 7: table `chat_messages`, row chat_id=7, message_id=`15`: only in primary"
)]
#[case::a_setting_that_is_missing_at_home(
    "archive.db",
    "DELETE FROM chat_settings WHERE chat_id = 7 AND key = 'language'",
    "Chat 7: table `chat_settings`, row chat_id=7, rowid="
)]
#[case::a_date_that_is_none(
    "archive.db",
    "UPDATE chat_messages SET date = 'tomorrow' WHERE message_id = '15'",
    "Chat 7: archive: table `chat_messages`, column `date`, row chat_id=7, message_id=`15`: expected"
)]
#[case::a_text_that_is_a_blob(
    "primary.db",
    "UPDATE chat_messages SET message_text = x'00ff' WHERE message_id = '15'",
    "Chat 7: primary: table `chat_messages`, column `message_text`, row chat_id=7, message_id=`15`: expected text, found"
)]
#[case::a_count_that_is_none(
    "archive.db",
    "UPDATE chat_users SET messages_count = 'many' WHERE chat_id = 7 AND user_id = 1",
    "Chat 7: archive: table `chat_users`, column `messages_count`, row chat_id=7, user_id=1: expected"
)]
#[case::a_day_that_is_none(
    "archive.db",
    "UPDATE chat_stats SET date = 'today' WHERE chat_id = 7",
    "Chat 7: archive: table `chat_stats`, column `date`, row chat_id=7, date=`today`: expected"
)]
#[case::a_message_of_nobody(
    "archive.db",
    "DELETE FROM chat_users WHERE chat_id = 7 AND user_id = 1",
    "Chat 7: archive: table `chat_messages`, column `user_id`, row chat_id=7, message_id=`15`: expected a person in chat_users, found nobody"
)]
fn what_is_wrong_is_named(#[case] file: &str, #[case] sql: &str, #[case] expected: &str) {
    let site = made();
    sqlite(&site.data(file)).execute_batch(sql).unwrap();
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "verify", "7"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.lines().any(|line| line.starts_with(expected)), "{said}");
    assert!(said.ends_with("1 chat read; something is wrong with 1.\n"), "{said}");
    assert!(!said.contains("secret") && !said.contains("tomorrow") && !said.contains("language"), "{said}");
    assert_eq!(site.said(&["db", "verify", "--all"]).0, 3);
    assert_eq!(site.said(&["db", "verify", "-100"]).0, 0, "of the other chat nothing is wrong");
    assert!(files(&site.home.data()) == before);
}

/// So many settings of the chat 7, where they are not there yet.
fn add_settings(path: &Path, rows: u32) {
    let sql = format!(
        "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {rows})
         INSERT OR IGNORE INTO chat_settings
         SELECT 7, 'key ' || number, 'nl', '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM numbers"
    );
    sqlite(path).execute_batch(&sql).unwrap();
}

#[test]
fn of_several_copies_it_is_said_for_which_there_is_more() {
    let site = made();
    let third = "[database.sources.third]\npath = \"third.db\"\n[database.chat_mapping]\n7 = \"archive\"\n";
    site.configure(&TWO.replace("[database.chat_mapping]\n", third));
    let (code, said) = site.said(&["db", "move", "7", "--to", "third", "--keep"]);
    assert_eq!(code, 0, "{said}");
    add_settings(&site.data("third.db"), 50);
    let (code, said) = site.said(&["db", "verify", "7"]);
    assert_eq!(code, 0, "{said}");
    let more: Vec<_> = said.lines().filter(|line| line.contains(" more; ")).collect();
    assert_snapshot!(more.join("\n"), @"
        Chat 7 in `archive`: and 45 more; `--json` names them all
        Chat 7 in `primary`: and 45 more; `--json` names them all
        ");
}

#[test]
fn of_many_rows_that_are_only_in_one_place_the_first_are_named_and_the_others_counted() {
    let site = made();
    let add = |rows: u32| add_settings(&site.data("archive.db"), rows);
    let told = || {
        let (code, said) = site.said(&["db", "verify", "7"]);
        let lines: Vec<_> = said.lines().skip(3).map(str::to_owned).collect();
        let (named, rest) = lines.split_at(5);
        assert!(named.iter().all(|line| line.contains("only at home, in archive")) == (code == 0), "{said}");
        (code, named[0].clone(), rest.join("\n"))
    };
    add(50);
    let (code, _, rest) = told();
    assert_eq!(code, 0);
    assert_snapshot!(rest, @"
        Chat 7: and 45 more; `--json` names them all
        1 chat read; nothing is wrong with it.
        ");
    add(1_240);
    // What is wrong is among those that are named.
    let missing = "DELETE FROM chat_messages WHERE message_id = '15'";
    sqlite(&site.data("archive.db")).execute_batch(missing).unwrap();
    let (code, first, rest) = told();
    assert_eq!(code, 3);
    assert!(first.contains("only in primary"), "{first}");
    assert_snapshot!(rest, @"
        Chat 7: and 1,236 more; `--json` names the first 50
        1 chat read; something is wrong with 1.
        ");
    let copy = site.json(&["verify", "7"])["chats"][0]["copies"][0].clone();
    assert_eq!((copy["differences"].as_array().unwrap().len(), &copy["only_at_home"]), (50, &1_240.into()));
}

#[test]
fn a_database_that_cannot_be_read_is_named_and_the_others_are_read() {
    let site = made();
    std::fs::remove_file(site.data("archive.db")).unwrap();
    let (code, said) = site.said(&["db", "verify", "7"]);
    assert_eq!(code, 3);
    assert!(said.contains("Not read: archive: [home]/data/archive.db is missing or empty"), "{said}");
}

/// A site on which a move of the chat 7 to `archive` was killed while it copied: messages without those who wrote them.
fn broken_off() -> Site {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, 7, "a secret");
    speak(&mut running, 7, "another secret");
    assert_eq!(running.end().code, Some(0));
    let archive = site.data("archive.db");
    let sql = format!(
        "ATTACH '{}' AS there; INSERT INTO there.chat_messages SELECT * FROM chat_messages WHERE chat_id = 7;
         INSERT INTO switchyard_moves VALUES (7, 'primary', 'archive', 'copying', '2999-01-01 00:00:00')",
        archive.display()
    );
    sqlite(&site.data("primary.db")).execute_batch(&sql).unwrap();
    site
}

#[test]
fn what_a_move_has_left_that_was_broken_off_is_said_first_and_not_held_against_the_chat() {
    let site = broken_off();
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "verify", "7"]);
    assert_eq!(code, 0, "{said}");
    assert_snapshot!(said, @"
        Chat 7: a move to archive is under way or was broken off, and the rows in archive are its unfinished copy, not held against it; `bot db move 7 --to archive` brings it to its end, `bot db move 7 --abort` undoes it

        CHAT  SOURCE  ROWS  UNREADABLE  SAME  DIFFERENT  ONLY THERE  ONLY AT HOME
        7  primary  6  0  -  -  -  -
        7  also archive  2  -  2  0  0  4
        1 chat read; nothing is wrong with it.
        ");
    let chat = site.json(&["verify", "7"])["chats"][0].clone();
    assert_eq!((&chat["bad_rows"], &chat["unfinished"]["to"]), (&0.into(), &"archive".into()), "{chat}");
    assert!(files(&site.home.data()) == before);
    // What is wrong at home is told all the same.
    let nobody = "DELETE FROM chat_users WHERE chat_id = 7";
    sqlite(&site.data("primary.db")).execute_batch(nobody).unwrap();
    let (code, said) = site.said(&["db", "verify", "7"]);
    assert_eq!(code, 3);
    assert!(said.contains("7  primary  5  2  -") && said.contains("Chat 7: primary: table `chat_messages`"), "{said}");
    assert!(!said.contains("Chat 7: archive: "), "{said}");
}

#[test]
fn strays_that_a_move_has_left_that_was_broken_off_are_told_as_such_with_a_bot_and_without() {
    let site = broken_off();
    let told = "Chat 7: a move to archive is under way or was broken off, and the rows in archive are its unfinished copy; \
                `bot db move 7 --to archive` brings it to its end, `bot db move 7 --abort` undoes it\n";
    let (code, said) = site.said(&["db", "strays"]);
    assert_eq!(code, 0);
    assert!(said.ends_with(told), "{said}");
    let running = site.start();
    let said = site.said(&["db", "strays"]).1;
    assert!(said.ends_with(told), "{said}");
    let unfinished = site.json(&["strays"])["unfinished"].clone();
    assert_eq!((&unfinished[0]["chat"], &unfinished[0]["source"]), (&7.into(), &"archive".into()), "{unfinished}");
    let (code, said) = site.said(&["db", "strays", "--clear"]);
    assert_eq!(code, 3);
    assert!(
        said.contains("archive, chat 7: a move of the chat 7 to archive is under way or was broken off; "),
        "{said}"
    );
    assert_eq!(running.end().code, Some(0));
    assert_eq!(site.said(&["db", "move", "7", "--abort"]).0, 0);
    let said = site.said(&["db", "strays"]).1;
    assert!(said.ends_with("No database has rows of chats that live in another.\n"), "{said}");
}

#[test]
fn where_only_old_rows_are_left_to_delete_nobody_is_told_to_undo_the_move() {
    let site = broken_off();
    let switched = "UPDATE switchyard_moves SET state = 'deleting' WHERE chat_id = 7";
    sqlite(&site.data("primary.db")).execute_batch(switched).unwrap();
    site.configure(&format!("{TWO}7 = \"archive\"\n"));
    let (_, said) = site.said(&["db", "verify", "7"]);
    let first = said.lines().next().unwrap();
    assert_snapshot!(first, @"Chat 7: a move to archive is under way or was broken off, and the rows in primary are old ones that it is to delete, not held against it; `bot db move 7 --to archive` brings it to its end");
    for args in [&["db", "check"][..], &["db", "strays"]] {
        let said = site.said(args).1;
        assert!(said.contains("`bot db move 7 --to archive` brings it to its end\n"), "{said}");
        assert!(!said.contains("--abort"), "{said}");
    }
    // Where it lives among what the move has left, neither is right before that is settled.
    site.configure(&format!("{TWO}7 = \"primary\"\n"));
    let said = site.said(&["db", "check"]).1;
    assert!(
        said.contains("the chat was mapped to primary since then; `bot db move 7 --to archive` says how"),
        "{said}"
    );
}
