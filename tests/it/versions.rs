//! Files of earlier releases: they open, keep every row, and can be opened by those releases again.

pub(crate) mod schema;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use database::{ChatId, DatabaseWrapper, MessageId, SourceConfig, UserId};
use rstest::rstest;
use rusqlite::Connection;

use self::schema::{build, described, found, without_history};
use crate::child::{Child, numbered};
use crate::support::{Scratch, open, rows, sqlite, tables};

/// Every row of a file by the columns that a version has; what migrating sets left out.
pub(crate) fn rows_at(path: &Path, version: u32) -> BTreeMap<String, Vec<String>> {
    let connection = sqlite(path);
    let shown = described().into_iter().filter(|(_, table)| table.since <= version.max(1));
    shown
        .map(|(name, table)| {
            let columns: Vec<_> = table.columns.iter().filter(|column| column.since <= version.max(1)).collect();
            let columns: Vec<_> = columns.iter().map(|column| format!("quote({})", column.name)).collect();
            let condition = if name == "settings" { "WHERE key NOT LIKE 'db-migration-%'" } else { "" };
            let sql = format!("SELECT {} FROM {name} {condition} ORDER BY 1", columns.join(" || ' ' || "));
            let mut statement = connection.prepare(&sql).unwrap();
            let found = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            (name, found)
        })
        .collect()
}

fn setting(path: &Path, key: &str) -> Option<String> {
    sqlite(path).query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0)).ok()
}

fn is_sound(connection: &Connection) -> bool {
    connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap() == "ok"
}

/// What an earlier release does with a file, as far as a file can tell: it finds its schema, and writes.
pub(crate) fn an_earlier_release_works_on(path: &Path) {
    let connection = sqlite(path);
    assert_eq!(found(&connection), without_history(described()));
    let foreign = "SELECT COUNT(*) FROM sqlite_schema WHERE name NOT LIKE 'switchyard~_%' ESCAPE '~'
                   AND type NOT IN ('table', 'index')";
    assert_eq!(connection.query_row(foreign, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(setting(path, "db-migration-version").as_deref(), Some("6"));
    connection
        .execute_batch(
            "INSERT INTO chat_messages (chat_id, message_id, date, user_id, message_text)
             VALUES (-5, 'earlier', '2026-01-01 00:00:00', 5, 'by an earlier release');
             INSERT INTO chat_users (chat_id, user_id, username, full_name) VALUES (-5, 5, '@e', 'E');",
        )
        .unwrap();
    assert!(is_sound(&connection));
    drop(connection);
    let db = open(path);
    let message = db.get_chat_message_by_message_id(ChatId(-5), &MessageId::from("earlier")).unwrap().unwrap();
    assert_eq!(message.message_text, "by an earlier release");
    assert!(!db.get_chat_user(ChatId(-5), UserId(5)).unwrap().unwrap().is_spammer);
    db.close();
}

#[rstest]
fn a_file_of_any_version_opens_keeps_every_row_and_still_suits_its_release(
    #[values(0, 1, 2, 3, 4, 5, 6)] version: u32,
    #[values("delete", "wal")] journal: &str,
) {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    build(&path, version, journal);
    let (before, all_before) = (rows_at(&path, version), rows(&path));
    assert!(before.values().all(|rows| rows.len() == 2), "a row in every table");

    open(&path).close();

    assert_eq!(rows_at(&path, version), before);
    let backup = scratch.file(&format!("bot.db.v{version}.bak"));
    let expected: &[&str] =
        if version < 6 { &["bot.db", backup.file_name().unwrap().to_str().unwrap()] } else { &["bot.db"] };
    assert_eq!(scratch.names(), expected);
    if version < 6 {
        assert_ne!(setting(&path, "db-migration-last-run").as_deref(), Some("2024-05-06T07:08:09"));
        assert_eq!(backup.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(rows(&backup), all_before);
        assert!(is_sound(&sqlite(&backup)));
    }
    an_earlier_release_works_on(&path);
}

#[rstest]
fn a_fresh_file_and_a_migrated_one_have_the_same_schema(#[values(0, 1, 3, 6)] version: u32) {
    let scratch = Scratch::new();
    let (fresh, old) = (scratch.file("fresh.db"), scratch.file("old.db"));
    build(&old, version, "delete");
    let [fresh, old] = [fresh, old].map(|path| {
        open(&path).close();
        let connection = sqlite(&path);
        let sql = "SELECT name || ': ' || sql FROM sqlite_schema WHERE name LIKE 'switchyard~_%' ESCAPE '~' ORDER BY 1";
        let mut statement = connection.prepare(sql).unwrap();
        let ours: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(ours.len() > 3);
        (found(&connection), tables(&connection), ours)
    });
    assert_eq!(fresh, old);
}

#[test]
fn a_fresh_file_is_its_owners_and_needs_no_copy() {
    let scratch = Scratch::new();
    open(&scratch.file("bot.db")).close();
    assert_eq!(scratch.names(), ["bot.db"]);
    assert_eq!(scratch.file("bot.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    an_earlier_release_works_on(&scratch.file("bot.db"));
}

#[test]
fn a_copy_is_never_written_over_an_earlier_one() {
    let scratch = Scratch::new();
    build(&scratch.file("bot.db"), 2, "delete");
    std::fs::write(scratch.file("bot.db.v2.bak"), "precious").unwrap();
    open(&scratch.file("bot.db")).close();
    assert_eq!(std::fs::read_to_string(scratch.file("bot.db.v2.bak")).unwrap(), "precious");
    assert_eq!(scratch.names(), ["bot.db", "bot.db.v2.2.bak", "bot.db.v2.bak"]);
}

#[test]
fn opening_a_current_file_does_not_write_it() {
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    open(&path).close();
    let look = || {
        let found = path.metadata().unwrap();
        (std::fs::read(&path).unwrap(), found.mtime(), found.mtime_nsec(), found.ino())
    };
    let before = look();
    let db = open(&path);
    assert_eq!(db.get_setting("db-migration-version").unwrap().as_deref(), Some("6"));
    db.close();
    assert!(look() == before);
    assert_eq!(scratch.names(), ["bot.db"]);
}

#[test]
fn what_an_earlier_release_left_half_written_when_it_was_killed_is_rolled_back() {
    let scratch = Scratch::new();
    let (lived, path) = (scratch.file("lived.db"), scratch.file("bot.db"));
    build(&lived, 3, "delete");
    let before = rows_at(&lived, 3);
    // A cache of no size writes pages into the file before the commit; copying the files is what a crash leaves.
    let connection = sqlite(&lived);
    connection.execute_batch("PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; DELETE FROM chat_messages").unwrap();
    let filler = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                  INSERT INTO user_data (user_id, chat_id, key, data) SELECT i, i, i, hex(zeroblob(500)) FROM n";
    connection.execute_batch(filler).unwrap();
    for suffix in ["", "-journal"] {
        let bytes = std::fs::read(format!("{}{suffix}", lived.display())).unwrap();
        std::fs::write(format!("{}{suffix}", path.display()), bytes).unwrap();
    }
    drop(connection);

    open(&path).close();
    assert_eq!(rows_at(&path, 3), before);
    an_earlier_release_works_on(&path);
}

#[test]
fn what_an_earlier_release_left_in_its_log_when_it_was_killed_is_kept() {
    let scratch = Scratch::new();
    let (lived, path) = (scratch.file("lived.db"), scratch.file("bot.db"));
    build(&lived, 6, "wal");
    let connection = sqlite(&lived);
    connection.execute_batch("INSERT INTO settings (key, value) VALUES ('in the log', 'kept')").unwrap();
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{suffix}", lived.display())).unwrap();
        std::fs::write(format!("{}{suffix}", path.display()), bytes).unwrap();
    }
    drop(connection);
    let db = open(&path);
    assert_eq!(db.get_setting("in the log").unwrap().as_deref(), Some("kept"));
    db.close();
    assert_eq!(scratch.names(), ["bot.db", "lived.db"]);
}

#[rstest]
fn of_many_that_start_at_once_all_work(#[values(None, Some(1))] version: Option<u32>) {
    for _ in 0..5 {
        let scratch = Scratch::in_memory();
        let path = scratch.file("bot.db");
        if let Some(version) = version {
            build(&path, version, "delete");
        }
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for number in 0..4_i64 {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    start.wait();
                    let db = open(path);
                    db.save_chat_message(ChatId(number + 10), &numbered("thread", 0)).unwrap();
                    db.close();
                });
            }
        });
        let copies = scratch.names().iter().filter(|name| name.ends_with(".bak")).count();
        assert_eq!(copies, usize::from(version.is_some()), "one migrates, the others find it done");
        assert_eq!(rows(&path)["chat_messages"].len(), 4 + 2 * copies);
        assert!(is_sound(&sqlite(&path)));
    }
}

#[rstest]
fn of_processes_that_start_at_once_all_work(#[values(None, Some(1))] version: Option<u32>) {
    let scratch = Scratch::in_memory();
    let path = scratch.file("bot.db");
    if let Some(version) = version {
        build(&path, version, "delete");
    }
    let task = |name: &'static str| ["write", path.to_str().unwrap(), name, "10"];
    let children = ["one", "two", "three"].map(|name| Child::start(&task(name).map(OsStr::new)));
    children.into_iter().for_each(Child::finish);
    assert_eq!(rows(&path)["chat_messages"].len(), 30 + if version.is_some() { 2 } else { 0 });
    assert!(is_sound(&sqlite(&path)));
}

#[rstest]
fn a_real_file_of_an_earlier_release_opens_and_keeps_every_row(#[values(1, 6)] version: u32) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("TEST_SHARED").map_or(beside, PathBuf::from);
    let from = folder.join(format!("legacy/legacy-v{version}.db"));
    let Ok(bytes) = std::fs::read(&from) else {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "not there, so nothing was tried: {}", from.display()).unwrap();
        return;
    };
    let scratch = Scratch::new();
    let path = scratch.file("bot.db");
    std::fs::write(&path, bytes).unwrap();
    let before = rows_at(&path, version);
    assert!(before["chat_messages"].len() > 10);
    let db = DatabaseWrapper::open(&SourceConfig::new(&path)).unwrap();
    // Every kind of row is read through the program's own structs too.
    let chats: Vec<i64> = {
        let connection = sqlite(&path);
        let mut statement = connection.prepare("SELECT DISTINCT chat_id FROM chat_messages").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for chat in chats.into_iter().map(ChatId) {
        db.get_chat_messages_since(chat, &database::MessageFilter::default()).unwrap();
        db.get_chat_users(chat, None, None).unwrap();
        db.get_chat_info(chat).unwrap();
        db.get_chat_topics(chat).unwrap();
        db.get_chat_settings(chat).unwrap();
        db.get_chat_totals(chat).unwrap();
        db.get_bayes_classes(Some(chat)).unwrap();
    }
    db.get_spam_messages(None).unwrap();
    db.get_pending_delayed_tasks().unwrap();
    db.get_bayes_classes(None).unwrap();
    db.get_top_spam_tokens(None, 10).unwrap();
    db.get_cache_storage().unwrap();
    assert_eq!(db.get_setting("who").unwrap().as_deref(), Some("legacy"));
    db.close();
    assert_eq!(rows_at(&path, version), before);
    an_earlier_release_works_on(&path);
}
