//! Sealed copies: the same rows and the same identity, readable where nothing can be written beside them.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use database::multi::{SealError, seal};
use database::{ChatId, MessageFilter, NewMessage, UserId};

use super::readonly::{archive_for_everybody, close_to_others, said_to_others};
use super::{config_of, name, open};
use crate::child::Child;
use crate::support::{self, Scratch, rows, sqlite, time};

const CHAT: ChatId = ChatId(-1);

fn uuid(path: &Path) -> String {
    sqlite(path).query_row("SELECT value FROM switchyard_meta WHERE key = 'uuid'", [], |row| row.get(0)).unwrap()
}

fn said(scratch: &Scratch, sealed: Result<std::path::PathBuf, SealError>) -> String {
    sealed.unwrap_err().to_string().replace(scratch.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_sealed_copy_has_the_same_rows_and_identity_keeps_no_log_and_is_its_owners() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    let live = support::open(&path);
    for index in 0..300 {
        let message = NewMessage::text(index, time("2026-01-01 10:00:00"), UserId(7), "x".repeat(500));
        live.save_chat_message(CHAT, &message).unwrap();
    }
    // While it is open and written, and its log holds most of it.
    let sealed = seal(&path, None).unwrap();
    live.save_chat_message(CHAT, &NewMessage::text("late", time("2026-01-01 10:00:00"), UserId(7), "late")).unwrap();
    live.close();
    assert_eq!(sealed, scratch.file("archive.sealed.db"));
    assert_eq!(scratch.names(), ["archive.db", "archive.sealed.db"]);
    assert_eq!(sealed.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mode: String = sqlite(&sealed).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    assert_eq!(uuid(&sealed), uuid(&path));
    let (mut before, after) = (rows(&path), rows(&sealed));
    before.get_mut("chat_messages").unwrap().retain(|row| !row.contains("late"));
    before.remove("chat_users");
    assert_eq!(before["chat_messages"], after["chat_messages"]);
    assert_eq!(after["chat_messages"].len(), 300);
    assert_eq!(before["settings"], after["settings"]);
}

#[test]
fn a_sealed_copy_takes_the_place_of_what_it_was_made_of() {
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")]);
    let (db, _) = open(&config);
    db.update_chat_user(CHAT, UserId(7), "@ada", "Ada").unwrap();
    db.save_chat_message(CHAT, &NewMessage::text("1", db.now(), UserId(7), "archived")).unwrap();
    db.close();
    let archive = config.sources.get_mut(&name("archive")).unwrap();
    archive.path = seal(&archive.path, Some(&scratch.file("old times.db"))).unwrap();
    archive.readonly = true;
    let (db, _) = open(&config);
    assert_eq!(db.get_chat_messages_since(CHAT, &MessageFilter::default()).unwrap().len(), 1);
    db.close();
    assert_eq!(scratch.names(), ["archive.db", "old times.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn what_cannot_be_sealed_says_why_and_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    support::open(&path).close();
    std::fs::write(scratch.file("archive.sealed.db"), "precious").unwrap();
    insta::assert_snapshot!(said(&scratch, seal(&path, None)), @"DIR/archive.sealed.db is there already, and is never written over; give the copy another name");
    std::os::unix::fs::symlink("nowhere", scratch.file("link.db")).unwrap();
    insta::assert_snapshot!(said(&scratch, seal(&path, Some(&scratch.file("link.db")))), @"DIR/link.db is there already, and is never written over; give the copy another name");
    insta::assert_snapshot!(said(&scratch, seal(&path, Some(&path))), @"DIR/archive.db is there already, and is never written over; give the copy another name");
    insta::assert_snapshot!(said(&scratch, seal(&path, Some(&scratch.file("no/such.db")))), @"DIR/no/such.db cannot be made (No such file or directory (os error 2)); name a file for the copy in a folder that this user can write");
    insta::assert_snapshot!(said(&scratch, seal(&scratch.file("missing.db"), None)), @"DIR/missing.db does not exist, and a read-only source is never made; correct the path, or put the file back");
    insta::assert_snapshot!(said(&scratch, seal(&scratch.file("archive.sealed.db"), None)), @"DIR/archive.sealed.db is not a SQLite database; correct the path, or move the file away to start with a new one");
    // Damage inside is found in the copy.
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                INSERT INTO settings (key, value) SELECT i, hex(zeroblob(200)) FROM n";
    sqlite(&path).execute_batch(rows).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0x5A);
    std::fs::write(&path, bytes).unwrap();
    let damaged = said(&scratch, seal(&path, Some(&scratch.file("copy.db"))));
    assert!(damaged.starts_with("the copy of DIR/archive.db is not the same ("), "{damaged}");
    assert_eq!(std::fs::read_to_string(scratch.file("archive.sealed.db")).unwrap(), "precious");
    assert_eq!(scratch.names(), ["archive.db", "archive.sealed.db", "link.db"]);
}

/// A helper's task: seals as a user for whom permissions count, and says how that went.
pub(crate) fn seal_unprivileged(path: &str, to: &str) -> String {
    assert!(!rustix::process::geteuid().is_root(), "permissions do not count for root");
    match seal(Path::new(path), Some(Path::new(to))) {
        Ok(made) => {
            std::fs::set_permissions(made, Permissions::from_mode(0o444)).unwrap();
            "sealed".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn said_on_sealing(scratch: &Scratch, to: &Path) -> String {
    let task = ["seal", scratch.file("archive.db").to_str().unwrap(), to.to_str().unwrap()].map(str::to_owned);
    let child = Child::start_unprivileged(&task.each_ref().map(OsStr::new));
    child.answer().replace(scratch.path().to_str().unwrap(), "DIR")
}

#[test]
fn whoever_is_told_to_seal_can_and_reads_the_copy_where_nothing_can_be_written() {
    let scratch = archive_for_everybody("wal");
    let elsewhere = Scratch::new();
    std::fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(said_to_others(&scratch, "archive.db").contains("bot db seal"));
    let copy = elsewhere.file("a copy?.db");
    assert_eq!(said_on_sealing(&scratch, &copy), "sealed");
    close_to_others(&elsewhere);
    assert_eq!(said_to_others(&elsewhere, "a copy?.db"), "archived");
    insta::assert_snapshot!(said_on_sealing(&scratch, &scratch.file("copy.db")), @"DIR/copy.db cannot be made (Permission denied (os error 13)); name a file for the copy in a folder that this user can write");
    // A log that cannot be read holds what is not in the file.
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::write(scratch.file("archive.db-wal"), "what was acknowledged").unwrap();
    close_to_others(&scratch);
    std::fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o777)).unwrap();
    insta::assert_snapshot!(said_on_sealing(&scratch, &elsewhere.file("other.db")), @"DIR/archive.db has a log beside it whose writes cannot be read by a user who cannot write that folder; seal it as one who can");
    assert_eq!(elsewhere.names(), ["a copy?.db"]);
}
