//! Every way in which opening is refused, provoked for real: what is said, and that nothing is touched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::{DatabaseWrapper, SourceConfig};

use crate::child::Child;
use crate::support::{Scratch, impatient, open, sqlite};
use crate::versions::schema::build;

/// Everything in a folder and below it, byte by byte.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        }
        found.insert(path.clone(), std::fs::read(&path).ok());
    }
    found
}

/// What opening a file in the folder says, with the folder called `DIR`; nothing in the folder may change.
fn refused(folder: &Path, config: &SourceConfig) -> String {
    let before = contents(folder);
    let error = DatabaseWrapper::open(config).err().expect("it is refused");
    assert!(contents(folder) == before, "{error}: left {:?}", crate::support::names_in(folder));
    error.to_string().replace(folder.to_str().unwrap(), "DIR")
}

/// A file of this release, closed, with some more SQL run on it.
fn file_with(scratch: &Scratch, sql: &str) -> SourceConfig {
    let path = scratch.file("bot.db");
    open(&path).close();
    sqlite(&path).execute_batch(sql).unwrap();
    SourceConfig::new(path)
}

/// What is said of a file with these bytes.
fn refused_bytes(bytes: &[u8]) -> String {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    std::fs::write(&path, bytes).unwrap();
    refused(scratch.path(), &SourceConfig::new(path))
}

#[test]
fn a_newer_version_is_refused_and_the_file_untouched() {
    for (journal, sql) in [("DELETE", ""), ("WAL", "")] {
        let scratch = Scratch::new();
        let newer = format!(
            "PRAGMA journal_mode={journal}; {sql} UPDATE settings SET value = '7' WHERE key = 'db-migration-version'"
        );
        let config = file_with(&scratch, &newer);
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused(scratch.path(), &config), @"DIR/bot.db has db-migration-version version 7, and this release knows versions up to 6; use the release that wrote it, or a later one");
        }
    }
    let scratch = Scratch::new();
    let config = file_with(&scratch, "UPDATE switchyard_meta SET value = '99' WHERE key = 'schema'");
    insta::assert_snapshot!(refused(scratch.path(), &config), @"DIR/bot.db has Switchyard schema version 99, and this release knows versions up to 3; use the release that wrote it, or a later one");
}

#[test]
fn a_newer_version_in_a_log_that_was_left_is_refused_and_the_log_untouched() {
    let scratch = Scratch::new();
    let lived = file_with(&scratch, "").path;
    let connection = sqlite(&lived);
    connection.execute_batch("UPDATE settings SET value = '8' WHERE key = 'db-migration-version'").unwrap();
    let other = Scratch::new();
    for suffix in ["", "-wal", "-shm"] {
        let bytes = std::fs::read(format!("{}{suffix}", lived.display())).unwrap();
        std::fs::write(other.file(&format!("bot.db{suffix}")), bytes).unwrap();
    }
    let before = contents(other.path());
    let error = DatabaseWrapper::open(&SourceConfig::new(other.file("bot.db"))).err().unwrap();
    assert!(error.to_string().contains("version 8"), "{error}");
    // The index of the log (`-shm`) is SQLite's scratch paper.
    for suffix in ["", "-wal"] {
        let path = other.file(&format!("bot.db{suffix}"));
        assert!(before[&path].as_deref() == Some(std::fs::read(&path).unwrap().as_slice()));
    }
    assert_eq!(other.names(), ["bot.db", "bot.db-shm", "bot.db-wal"]);
}

#[test]
fn a_version_that_is_no_number_is_refused() {
    for text in ["six", "-1", "6.0", "6\u{202e}"] {
        let scratch = Scratch::new();
        let sql = format!("UPDATE settings SET value = '{text}' WHERE key = 'db-migration-version'");
        let config = file_with(&scratch, &sql);
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused(scratch.path(), &config), @"DIR/bot.db has a `db-migration-version` that is not a version number; restore a backup");
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let long = "Dear diary, today I was taken for a database. ".repeat(100);
    let header_of_another = [b"SQLite format 2\0".as_slice(), &[7; 5000]].concat();
    for bytes in [long.as_bytes(), b"x", b"\0", &[0; 4096], &header_of_another] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused_bytes(bytes), @"DIR/bot.db is not a SQLite database; correct the path, or move the file away to start with a new one");
        }
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let scratch = Scratch::new();
    // Rows enough for pages of their own at the end of the file.
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                INSERT INTO settings (key, value) SELECT i, hex(zeroblob(200)) FROM n";
    let path = file_with(&scratch, rows).path;
    let whole = std::fs::read(&path).unwrap();
    insta::assert_snapshot!(refused_bytes(&whole[..8192]), @"DIR/bot.db is damaged (database disk image is malformed, code 11); restore a backup, or recover what is left with `sqlite3 FILE .recover`");
    insta::assert_snapshot!(refused_bytes(&whole[..whole.len() - 100]), @"DIR/bot.db is damaged (it has 368540 bytes and should have 368640); restore a backup, or recover what is left with `sqlite3 FILE .recover`");
    insta::assert_snapshot!(refused_bytes(&whole[..50]), @"DIR/bot.db is damaged (database disk image is malformed, code 11); restore a backup, or recover what is left with `sqlite3 FILE .recover`");
    let mut header = whole.clone();
    header[100..4096].fill(0xAA);
    insta::assert_snapshot!(refused_bytes(&header), @"DIR/bot.db is damaged (database disk image is malformed, code 11); restore a backup, or recover what is left with `sqlite3 FILE .recover`");
}

#[test]
fn damage_inside_a_file_that_has_to_be_migrated_is_refused_and_not_built_upon() {
    let scratch = Scratch::new();
    let path = scratch.file("old.db");
    let connection = sqlite(&path);
    connection
        .execute_batch(
            "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096;
             CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT, created_at TIMESTAMP, updated_at TIMESTAMP);
             INSERT INTO settings (key, value) VALUES ('db-migration-version', '1');
             CREATE TABLE chat_messages (chat_id INTEGER, message_id TEXT, message_text TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO chat_messages SELECT 1, i, hex(zeroblob(200)) FROM n;",
        )
        .unwrap();
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 4096].fill(0x5A);
    insta::assert_snapshot!(refused_bytes(&bytes), @r"
        DIR/bot.db is damaged (*** in database main ***
        Tree 4 page 14: btreeInitPage() returns error code 11); restore a backup, or recover what is left with `sqlite3 FILE .recover`
    ");
}

#[test]
fn the_database_of_another_program_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    sqlite(&path).execute_batch("CREATE TABLE moz_places (id INTEGER); CREATE TABLE settings (name TEXT)").unwrap();
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(path)), @"DIR/bot.db is the database of another program (it has a table `moz_places` and none of a bot); correct the path");
}

#[test]
fn a_path_that_names_no_file_is_refused() {
    let scratch = Scratch::new();
    let says = |path: &str| refused(scratch.path(), &SourceConfig::new(path)).replace('\0', "NUL");
    insta::assert_snapshot!(says(""), @"`` cannot be used as a database path: it is empty; give the path of a file");
    insta::assert_snapshot!(says(":memory:"), @"`:memory:` cannot be used as a database path: SQLite keeps such a database in memory only; give the path of a file");
    insta::assert_snapshot!(says("file:x?mode=memory"), @"`file:x?mode=memory` cannot be used as a database path: SQLite reads it as a URI; give the path of a file");
    insta::assert_snapshot!(says("a\0b"), @"`aNULb` cannot be used as a database path: it has a NUL character; give the path of a file");
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(scratch.path())), @"DIR is a directory; give the path of a database file inside it, such as DIR/bot.db");
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(scratch.file("no/such/bot.db"))), @"the folder DIR/no/such does not exist; create it, or correct the path");
    std::fs::write(scratch.file("file"), "x").unwrap();
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(scratch.file("file/bot.db"))), @"DIR/file/bot.db cannot be opened (Not a directory (os error 20))");
    std::os::unix::fs::symlink("nowhere/bot.db", scratch.file("link.db")).unwrap();
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(scratch.file("link.db"))), @"`DIR/link.db` cannot be used as a database path: it is a link that leads nowhere; give the path of a file");
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new("/dev/null")), @"`/dev/null` cannot be used as a database path: it is a device, a pipe or a socket; give the path of a file");
    assert_eq!(scratch.names(), ["file", "link.db"]);
}

#[test]
fn a_setting_out_of_range_is_refused_before_any_file_is_made() {
    let scratch = Scratch::new();
    let config = SourceConfig::new(scratch.file("bot.db"));
    let timeout = |timeout| SourceConfig { timeout, ..config.clone() };
    let pool = |max_connections| SourceConfig { max_connections, ..config.clone() };
    insta::assert_snapshot!(refused(scratch.path(), &timeout(Duration::ZERO)), @"timeout is 0ns, but must be between 1 millisecond and 1 hour");
    insta::assert_snapshot!(refused(scratch.path(), &timeout(Duration::from_secs(3601))), @"timeout is 3601s, but must be between 1 millisecond and 1 hour");
    insta::assert_snapshot!(refused(scratch.path(), &pool(1)), @"max_connections is 1, but must be between 2 and 1000");
    insta::assert_snapshot!(refused(scratch.path(), &pool(1001)), @"max_connections is 1001, but must be between 2 and 1000");
    let readonly = SourceConfig { readonly: true, ..config.clone() };
    insta::assert_snapshot!(refused(scratch.path(), &readonly), @"readonly is true, but must be false: the one database of a bot is written");
    assert!(scratch.names().is_empty());
}

#[test]
fn a_file_that_another_process_keeps_locked_is_refused_after_the_timeout() {
    let scratch = Scratch::new();
    let path = file_with(&scratch, "PRAGMA journal_mode=DELETE").path;
    let mut holder = Child::start(&["hold", path.to_str().unwrap(), "BEGIN EXCLUSIVE"].map(OsStr::new));
    assert_eq!(holder.line(), "held");
    let start = Instant::now();
    let said = DatabaseWrapper::open(&impatient(&path, Duration::from_millis(300))).err().unwrap().to_string();
    let took = start.elapsed();
    insta::assert_snapshot!(said.replace(scratch.path().to_str().unwrap(), "DIR"), @"DIR/bot.db stayed locked by another process for 300.0ms; close that process, or try again");
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&took), "{took:?}");
    holder.finish();
    open(&path).close();
}

#[test]
fn a_file_whose_copy_cannot_be_written_is_not_migrated() {
    let scratch = Scratch::new();
    // With the copy's ending the name is longer than a name may be.
    let path = scratch.file(&"n".repeat(249));
    let connection = sqlite(&scratch.file("short"));
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE user_data (user_id INTEGER);
             CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT, created_at TIMESTAMP, updated_at TIMESTAMP);
             INSERT INTO settings (key, value) VALUES ('db-migration-version', '3');",
        )
        .unwrap();
    connection.close().unwrap();
    std::fs::rename(scratch.file("short"), &path).unwrap();
    let said = refused(scratch.path(), &SourceConfig::new(&path));
    insta::assert_snapshot!(said.replace(&"n".repeat(249), "NAME"), @"DIR/NAME has to be brought to this release's version, but its copy DIR/NAME.v3.bak could not be written first (DIR/NAME.v3.bak cannot be opened (File name too long (os error 36))); make room or change the folder's mode");
}

/// A folder in which `bot.db` is a good file, given away to everybody.
fn for_everybody() -> Scratch {
    let scratch = Scratch::new();
    open(&scratch.file("bot.db")).close();
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(scratch.file("bot.db"), Permissions::from_mode(0o666)).unwrap();
    scratch
}

/// What opening says as a user for whom permissions count.
fn said_to_others(scratch: &Scratch, name: &str) -> String {
    let path = scratch.file(name);
    let before = contents(scratch.path());
    let child = Child::start_unprivileged(&["open-unprivileged", path.to_str().unwrap(), "1000"].map(OsStr::new));
    let said = child.answer();
    if said != "opened" {
        assert!(contents(scratch.path()) == before, "{said}");
    }
    said.replace(scratch.path().to_str().unwrap(), "DIR")
}

#[test]
fn what_permissions_forbid_is_said_to_those_for_whom_they_count() {
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let scratch = for_everybody();
    assert_eq!(said_to_others(&scratch, "bot.db"), "opened");
    mode(&scratch.file("bot.db"), 0o222);
    insta::assert_snapshot!(said_to_others(&scratch, "bot.db"), @"DIR/bot.db cannot be read by this user; change its owner or mode");
    mode(&scratch.file("bot.db"), 0o444);
    insta::assert_snapshot!(said_to_others(&scratch, "bot.db"), @"DIR/bot.db cannot be written by this user; change its owner or mode");
    mode(&scratch.file("bot.db"), 0o666);
    mode(scratch.path(), 0o555);
    insta::assert_snapshot!(said_to_others(&scratch, "bot.db"), @"the folder DIR cannot be written by this user; change its owner or mode, or use another folder");
    insta::assert_snapshot!(said_to_others(&scratch, "new.db"), @"the folder DIR cannot be written by this user; change its owner or mode, or use another folder");
    mode(scratch.path(), 0o666);
    insta::assert_snapshot!(said_to_others(&scratch, "bot.db"), @"DIR/bot.db cannot be read by this user; change its owner or mode");
    mode(scratch.path(), 0o755);
}

/// What opening says in a folder of a size of its own, in which `bot.db` is a copy of `old` where one is given. The
/// copy must stay as it was, with nothing beside it; where there was no file, an empty one may be left.
fn said_in_a_small_folder(size: u64, old: Option<&Path>) -> String {
    let scratch = Scratch::new();
    let folder = scratch.path().display();
    let old = old.unwrap_or(Path::new("/dev/null")).display();
    let script = format!(
        "mount -t tmpfs -o size={size} none {folder}; cp {old} {folder}/bot.db;
         \"$0\" \"$@\"; test \"$(ls {folder})\" = bot.db; cmp {old} {folder}/bot.db"
    );
    let path = scratch.file("bot.db");
    let child = Child::start_in_namespace(&script, &["open", path.to_str().unwrap(), "1000"].map(OsStr::new));
    child.answer().replace(scratch.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_full_disk_is_said_so_and_leaves_what_was_there() {
    insta::assert_snapshot!(said_in_a_small_folder(8 << 10, None), @"DIR/bot.db cannot be opened, the disk is full; make room");
    let scratch = Scratch::new();
    let old = scratch.file("old.db");
    build(&old, 1, "delete");
    let length = old.metadata().unwrap().len();
    // Room for a part of the copy; then for the copy, but not for the tables that are new.
    insta::assert_snapshot!(said_in_a_small_folder(length + (16 << 10), Some(&old)), @"DIR/bot.db has to be brought to this release's version, but its copy DIR/bot.db.v1.bak could not be written first (database or disk is full); make room or change the folder's mode");
    insta::assert_snapshot!(said_in_a_small_folder(2 * length + (32 << 10), Some(&old)), @"DIR/bot.db cannot be opened, the disk is full; make room");
}

#[test]
fn a_log_whose_file_is_missing_or_empty_is_not_dropped() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    std::fs::write(scratch.file("bot.db-wal"), "acknowledged").unwrap();
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(&path)), @"DIR/bot.db is missing, but DIR/bot.db-wal is there, with writes that belong into it; put the database file back, or move the log away to start anew without them");
    std::fs::write(&path, "").unwrap();
    insta::assert_snapshot!(refused(scratch.path(), &SourceConfig::new(&path)), @"DIR/bot.db is empty, but DIR/bot.db-wal is there, with writes that belong into it; put the database file back, or move the log away to start anew without them");
}
