//! `bot db check`: each kind of damage is found and told with what to do, healthy files are left in peace, and nothing
//! is changed by looking.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use insta::assert_snapshot;
use rstest::rstest;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::files;
use super::site::{Site, TWO, speak};
use crate::support::sqlite;

/// A site with two databases in which something was said, and no bot on it.
fn made() -> Site {
    let site = Site::new(TWO);
    let mut running = site.start();
    for chat in [-100, 7] {
        for number in 0..30 {
            speak(&mut running, chat, &format!("a secret of the chat {number}"));
        }
    }
    assert_eq!(running.end().code, Some(0));
    site
}

fn execute(site: &Site, file: &str, sql: &str) {
    sqlite(&site.data(file)).execute_batch(sql).unwrap();
}

/// Writes over a part of a file.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// Writes over the first page of the messages.
fn damage(path: &Path) {
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'chat_messages'";
    let page: u64 = sqlite(path).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap();
    overwrite(path, (page - 1) * 4096, &[0x5a; 4096]);
}

/// What is found that is not merely good to know, as `severity source: what; remedy`.
fn found(site: &Site, args: &[&str]) -> (i32, Vec<String>) {
    let mut all = vec!["db", "check", "--json"];
    all.extend(args);
    let said = site.run(&all);
    assert!(!said.out.contains("a secret"), "{said:?}");
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["severity"] != "note").map(|finding| {
        let [severity, source, what, remedy] = ["severity", "source", "what", "remedy"].map(|name| text(finding, name));
        assert!(!remedy.is_empty(), "{finding}");
        format!("{severity} {source}: {what}; {remedy}")
    });
    (said.code.unwrap(), findings.collect())
}

type Damage = fn(&Site);

/// The source `archive` is away, and something was said in its chat.
fn away(site: &Site) {
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let mut running = site.start();
    speak(&mut running, -100, "a secret elsewhere");
    assert_eq!(running.end().code, Some(0));
}

#[rstest]
#[case::a_page_that_was_overwritten(
    |site: &Site| damage(&site.data("archive.db")),
    "error archive: it is damaged ("
)]
#[case::a_header_that_was_overwritten(
    |site: &Site| overwrite(&site.data("archive.db"), 0, b"this is no database at all"),
    "error archive: [home]/data/archive.db is not a SQLite database; correct the path"
)]
#[case::a_file_that_was_cut_off(
    |site: &Site| {
        let file = std::fs::OpenOptions::new().write(true).open(site.data("archive.db")).unwrap();
        file.set_len(file.metadata().unwrap().len() - 4096).unwrap();
    },
    "error archive: [home]/data/archive.db is damaged ("
)]
#[case::a_file_that_is_gone(
    |site: &Site| std::fs::remove_file(site.data("archive.db")).unwrap(),
    "error archive: [home]/data/archive.db is missing or empty, and the source `archive` had a database before"
)]
#[case::another_file(
    |site: &Site| execute(site, "archive.db", "UPDATE switchyard_meta SET value = 'other' WHERE key = 'uuid'"),
    "error archive: [home]/data/archive.db is another database than the one that the source `archive` had"
)]
#[case::an_identity_that_was_deleted(
    |site: &Site| execute(site, "archive.db", "DELETE FROM switchyard_meta WHERE key = 'uuid'"),
    "error archive: [home]/data/archive.db is another database than the one that the source `archive` had"
)]
#[case::an_identity_of_the_default_source_that_was_deleted(
    |site: &Site| execute(site, "primary.db", "DELETE FROM switchyard_meta WHERE key = 'uuid'"),
    "error primary: it has no identity"
)]
#[case::a_file_that_is_not_up_to_date(
    |site: &Site| execute(site, "archive.db", "UPDATE switchyard_meta SET value = '2' WHERE key = 'schema'"),
    "warning archive: its schema has version 6 with additions 2, and this release's has 6 with 3; bring it up to date with `bot db migrate`"
)]
#[case::a_file_of_a_later_release(
    |site: &Site| execute(site, "archive.db", "UPDATE settings SET value = '9' WHERE key = 'db-migration-version'"),
    "error archive: [home]/data/archive.db has db-migration-version version 9, and this release knows versions up to 6"
)]
#[case::another_journal_mode(
    |site: &Site| execute(site, "archive.db", "PRAGMA journal_mode = DELETE"),
    "warning archive: its journal mode is `delete` and not `wal`"
)]
#[case::a_row_without_what_it_refers_to(
    |site: &Site| execute(site, "archive.db", "CREATE TABLE pages (id INTEGER PRIMARY KEY, book INTEGER REFERENCES books (id));
                                               CREATE TABLE books (id INTEGER PRIMARY KEY);
                                               PRAGMA foreign_keys = OFF;
                                               INSERT INTO pages VALUES (5, 9)"),
    "error archive: the row 5 of pages refers to a row of books that is not there"
)]
#[case::a_file_that_others_can_read(
    |site: &Site| {
        std::fs::set_permissions(site.data(""), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(site.data("archive.db"), Permissions::from_mode(0o644)).unwrap();
    },
    "warning archive: every user of this machine can read it (mode 644); `chmod 600 [home]/data/archive.db`"
)]
#[case::a_file_that_others_can_write(
    |site: &Site| {
        std::fs::set_permissions(site.data(""), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(site.data("archive.db"), Permissions::from_mode(0o602)).unwrap();
    },
    "warning archive: every user of this machine can write it (mode 602)"
)]
#[case::rows_of_a_chat_that_lives_elsewhere(
    |site: &Site| execute(site, "primary.db", "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at)
                                               VALUES (-100, 'k', 'v', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"),
    "warning primary: it has rows of chats that live in another source: -100; `bot db strays` shows them"
)]
#[case::a_chat_that_was_moved_to_nowhere(
    |site: &Site| execute(site, "primary.db", "INSERT INTO switchyard_routes VALUES (55, 'lost', NULL, '2026-01-01 00:00:00')"),
    "error lost: chats were moved to it, and it is not configured: 55; configure it again"
)]
#[case::a_move_that_was_broken_off(
    |site: &Site| execute(site, "primary.db",
                          "INSERT INTO switchyard_moves VALUES (7, 'primary', 'archive', 'copying', '2026-01-01 00:00:00')"),
    "warning primary: a move of the chat 7 to archive is under way or was broken off; `bot db move 7 --to archive`"
)]
#[case::writes_that_were_kept_aside(
    |site: &Site| execute(site, "archive.db", "INSERT INTO switchyard_parked VALUES ('e', 1, '{}', 'no reason')"),
    "warning archive: 1 writes were kept aside that could not be made there; see `bot db journal archive`"
)]
#[case::writes_that_wait(
    away,
    "warning archive: its chats are served by another file (stand-in), where 3 writes wait to come home"
)]
#[case::a_stand_in_that_is_damaged(
    |site: &Site| {
        away(site);
        damage(&site.data("standin/archive.db"));
    },
    "error the stand-in of archive: it is damaged ("
)]
#[case::writes_of_a_source_that_is_not_configured_any_more(
    |site: &Site| {
        away(site);
        std::fs::rename(site.data("standin/archive.db"), site.data("standin/old.db")).unwrap();
    },
    "error old: writes wait in its stand-in, and it is not configured as a source that can be written; configure it again"
)]
#[case::a_log_of_another_file(
    |site: &Site| {
        let other = site.home.path("other.db");
        let connection = sqlite(&other);
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let mut from = std::fs::File::open(site.home.path("other.db-wal")).unwrap();
        std::io::copy(&mut from, &mut std::fs::File::create(site.data("archive.db-wal")).unwrap()).unwrap();
        std::fs::write(site.data("archive.db-shm"), b"").unwrap();
    },
    "error archive: "
)]
fn each_damage_is_found_and_told_with_what_to_do(#[case] damage: Damage, #[case] expected: &str) {
    let site = made();
    assert_eq!(found(&site, &[]), (0, Vec::new()), "before");
    damage(&site);
    let before = files(&site.home.data());
    let (code, findings) = found(&site, &[]);
    assert_eq!(code, 3, "{findings:?}");
    assert!(findings.iter().any(|finding| finding.starts_with(expected)), "{findings:#?}");
    assert!(files(&site.home.data()) == before, "looking changed something");
}

#[test]
fn little_room_is_told() {
    let site = made();
    let (code, findings) = found(&site, &["--least-free", "999999999"]);
    assert_eq!((code, findings.len()), (3, 2), "{findings:?}");
    assert!(findings[0].contains("MiB free, less than 999999999 MiB; make room"), "{findings:?}");
}

#[test]
fn healthy_files_are_well_and_stay_as_they_are_with_a_bot_and_without() {
    let site = made();
    let before = files(&site.home.data());
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 0);
    assert_snapshot!(without_sizes(&said), @"
        SOURCE  FOUND  CHATS  VERSION  JOURNAL  MODE  SIZE  FREE  PATH
        primary  ok  2  6  wal  600  # KiB  # MiB  [home]/data/primary.db
        archive  ok  1  6  wal  600  # KiB  # MiB  [home]/data/archive.db

        Nothing is wrong.
        ");
    assert!(files(&site.home.data()) == before);

    // A bot writes meanwhile.
    let mut running = site.start();
    speak(&mut running, -100, "again");
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(speak(&mut running, -100, "and again").0, "archive");
    assert_eq!(running.end().code, Some(0));
}

/// A table whose sizes and free room are the same everywhere.
fn without_sizes(said: &str) -> String {
    let words = said.split("  ").map(|cell| if cell.ends_with(" MiB") { "# MiB" } else { cell });
    words.collect::<Vec<_>>().join("  ")
}

#[test]
fn one_file_is_checked_just_so() {
    let site = Site::new("path = \"bot.db\"\n");
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 0);
    assert!(said.contains("there is no file yet, and a bot makes it"), "{said}");
    assert!(!site.home.data().exists());
    let mut running = site.start();
    speak(&mut running, 7, "hello");
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Nothing is wrong."), "{said}");
    assert_eq!(running.end().code, Some(0));
    let before = files(&site.home.data());
    assert_eq!(found(&site, &[]), (0, Vec::new()));
    assert!(files(&site.home.data()) == before);
    damage(&site.data("bot.db"));
    let (code, findings) = found(&site, &[]);
    assert_eq!(code, 3);
    assert!(findings[0].starts_with("error primary: it is damaged ("), "{findings:?}");
}

#[test]
fn a_file_that_cannot_be_made_is_found() {
    let site = Site::new(
        "default_source = \"primary\"\n[database.sources.primary]\npath = \"primary.db\"\n\
         [database.sources.archive]\npath = \"nowhere/archive.db\"\n",
    );
    let (code, findings) = found(&site, &[]);
    assert_eq!(code, 3);
    let told = findings.iter().find(|line| line.starts_with("error archive")).unwrap();
    assert!(told.contains("there is no file yet, and its folder") && told.contains("is not there"), "{findings:?}");
}

#[test]
fn an_index_that_lacks_a_row_is_found() {
    let site = made();
    let connection: Connection = sqlite(&site.data("archive.db"));
    // An index over fewer rows than it says.
    connection.execute_batch("PRAGMA writable_schema = ON").unwrap();
    let sql = "UPDATE sqlite_schema SET sql = replace(sql, 'media_id IS NOT NULL', 'media_id IS NULL') WHERE name = ?1";
    assert_eq!(connection.execute(sql, params!["switchyard_chat_messages_media"]).unwrap(), 1);
    drop(connection);
    let (code, findings) = found(&site, &[]);
    assert_eq!(code, 3);
    assert!(findings[0].contains("missing from index switchyard_chat_messages_media"), "{findings:?}");
}
