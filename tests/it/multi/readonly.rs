//! Sources that are only read: they answer, they are never changed, and what cannot be read says what to do.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use database::{
    CacheType, ChatId, ChatType, DatabaseConfig, DatabaseWrapper, Error, ErrorKind, MediaId, MessageFilter, MessageId,
    NewChatInfo, NewMessage, NewTopic, Route, Row, TopicId, UserId, params,
};
use rstest::rstest;

use super::{config_of, name, open};
use crate::child::Child;
use crate::support::{self, Scratch, sqlite, time};
use crate::versions::schema::build;

const CHAT: ChatId = ChatId(-1);

/// Two sources in the folder, of which `archive` is only read and has the chat.
fn with_archive(folder: &Path) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "archive"], &[(CHAT.0, "archive")]);
    config.sources.get_mut(&name("archive")).unwrap().readonly = true;
    config
}

fn group(title: &str) -> NewChatInfo {
    NewChatInfo { title: Some(title.into()), username: None, chat_type: ChatType::Group, is_forum: false }
}

/// Somebody's message in an archive of this release, closed.
fn make_archive(path: &Path) {
    let db = support::open(path);
    db.update_chat_user(CHAT, UserId(7), "@ada", "Ada").unwrap();
    db.save_chat_message(CHAT, &NewMessage::text("1", time("2026-01-01 10:00:00"), UserId(7), "archived")).unwrap();
    db.update_chat_info(CHAT, &group("Archive")).unwrap();
    db.close();
}

/// A file's bytes and when it was written last.
fn look(path: &Path) -> (Vec<u8>, i64, i64, u64) {
    let found = path.metadata().unwrap();
    (std::fs::read(path).unwrap(), found.mtime(), found.mtime_nsec(), found.ino())
}

/// What reading the archive says; the folder is called `DIR`.
fn said(scratch: &Scratch) -> String {
    let (db, _) = open(&with_archive(scratch.path()));
    let answer = db.get_chat_messages_since(CHAT, &MessageFilter::default());
    db.close();
    match answer {
        Ok(found) => format!("{} messages", found.len()),
        Err(error) => error.to_string().replace(scratch.path().to_str().unwrap(), "DIR"),
    }
}

/// All that changes something, on the chat of the archive.
fn every_write(db: &DatabaseWrapper) -> Vec<Result<(), Error>> {
    let message = NewMessage::text("2", time("2026-01-02 10:00:00"), UserId(7), "new");
    vec![
        db.save_chat_message(CHAT, &message),
        db.save_chat_messages(CHAT, std::slice::from_ref(&message)).map(drop),
        db.update_chat_message_category(CHAT, &MessageId::from("1"), &database::MessageCategory::UserSpam),
        db.update_chat_user(CHAT, UserId(8), "@eve", "Eve"),
        db.mark_user_is_spammer(CHAT, UserId(7), true),
        db.update_user_metadata(CHAT, UserId(7), "{}"),
        db.erase_user(CHAT, UserId(7)).map(drop),
        db.add_user_data(CHAT, UserId(7), "key", "data"),
        db.clear_user_data(CHAT, UserId(7)),
        db.set_chat_setting(CHAT, "language", "nl"),
        db.clear_chat_settings(CHAT),
        db.update_chat_info(CHAT, &group("Another")),
        db.update_chat_topic_info(CHAT, TopicId(1), &NewTopic::default()),
        db.clear_bayes(Some(CHAT)),
        db.delete_spam_messages_by_user_id(CHAT, UserId(7)),
        db.write("test.insert", Route::Chat(CHAT), |tx| {
            tx.execute("INSERT INTO settings (key) VALUES ('x')", params![]).map(drop)
        }),
        db.write("test.nothing", Route::Chat(CHAT), |_| Ok(())),
    ]
}

#[test]
fn a_read_only_source_answers_is_not_written_and_nothing_is_left_beside_it() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    make_archive(&path);
    let before = look(&path);
    let (db, control) = open(&with_archive(scratch.path()));
    db.update_chat_user(ChatId(-2), UserId(7), "@ada", "Ada").unwrap();
    for _ in 0..2 {
        let found = db.get_chat_messages_since(CHAT, &MessageFilter::default()).unwrap();
        assert_eq!((found.len(), &*found[0].message_text, &*found[0].full_name), (1, "archived", "Ada"));
        for write in every_write(&db) {
            let error = write.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ReadOnly), "{error}");
            assert_eq!(error.source_name(), &name("archive"));
        }
    }
    let chats = db.get_user_chats(UserId(7)).unwrap();
    assert_eq!(chats.iter().map(|chat| chat.chat_id).collect::<Vec<_>>(), [CHAT]);
    assert_eq!(db.get_media_attachment(Some(CHAT), &MediaId::from("none")).unwrap(), None);
    let status = control.status().sources.remove(1).source;
    assert!(status.readonly && status.connections.0 == 1, "{status:?}");
    db.close();
    assert!(look(&path) == before);
    assert_eq!(scratch.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn no_closure_of_a_read_changes_anything_on_any_source() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    make_archive(&path);
    let (db, _) = open(&with_archive(scratch.path()));
    db.set_setting("kept", "yes").unwrap();
    let other = scratch.file("other.db");
    let other = other.display();
    let tries = [
        "INSERT INTO settings (key) VALUES ('x')".to_owned(),
        "DELETE FROM settings RETURNING 1".to_owned(),
        "WITH x(key) AS (SELECT 'x') INSERT INTO settings (key) SELECT key FROM x RETURNING 1".to_owned(),
        "WITH x AS (SELECT 1) UPDATE settings SET value = 'x' RETURNING 1".to_owned(),
        "WITH x AS (SELECT 1) DELETE FROM settings RETURNING 1".to_owned(),
        "SELECT 1; DELETE FROM settings".to_owned(),
        "SELECT 1; PRAGMA user_version=7".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT 1 -- \n; /* ; */ COMMIT".to_owned(),
        format!("ATTACH '{other}' AS other"),
        format!("SELECT 1; ATTACH '{other}' AS other"),
        "DETACH main".to_owned(),
        "PRAGMA journal_mode=DELETE".to_owned(),
        "PRAGMA user_version=7".to_owned(),
        "PRAGMA query_only=OFF".to_owned(),
        "PRAGMA writable_schema=ON".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
        "SELECT * FROM pragma_user_version".to_owned(),
        format!("VACUUM INTO '{other}'"),
        "VACUUM".to_owned(),
        "CREATE TEMP TABLE t (x)".to_owned(),
        "CREATE TABLE t (x)".to_owned(),
        "CREATE TEMP VIEW v AS SELECT 1".to_owned(),
        "REINDEX".to_owned(),
        "ANALYZE".to_owned(),
        "DROP TABLE settings".to_owned(),
        "BEGIN IMMEDIATE".to_owned(),
        "COMMIT".to_owned(),
        "ROLLBACK".to_owned(),
        "SAVEPOINT s".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        String::new(),
        "  -- nothing".to_owned(),
    ];
    let rows = || support::rows_of(&sqlite(&scratch.file("primary.db")), "settings");
    let (before, kept) = (look(&path), rows());
    for route in [Route::Chat(CHAT), Route::Shared] {
        for (sql, snapshot) in tries.iter().flat_map(|sql| [(sql, false), (sql, true)]) {
            let tried = db.read("test.read", route, |tx| {
                if snapshot {
                    tx.snapshot()?;
                }
                tx.scan(sql, params![], |_: &Row<'_>| Ok(std::ops::ControlFlow::Continue(())))
            });
            let error = tried.expect_err(sql);
            assert!(matches!(error.kind(), ErrorKind::ReadOnly | ErrorKind::Statement { .. }), "{sql}: {error}");
            // The connection is still good for reading, and sees everything.
            let count = "SELECT COUNT(*) FROM settings";
            let found: Option<i64> = db.read("test.count", route, |tx| tx.value("settings", count, params![])).unwrap();
            assert!(found > Some(0));
        }
    }
    assert!(look(&path) == before);
    assert_eq!(rows(), kept);
    db.close();
    assert_eq!(scratch.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[rstest]
fn files_of_versions_3_to_6_are_read_as_they_are(
    #[values(3, 4, 5, 6)] version: u32,
    #[values("delete", "wal")] journal: &str,
) {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    build(&path, version, journal);
    // The rows of a file that is built have the chats 1 and 2, and the dates that go with them.
    sqlite(&path).execute_batch("UPDATE chat_messages SET chat_id = -1; UPDATE chat_users SET chat_id = -1;").unwrap();
    let before = look(&path);
    let (db, control) = open(&with_archive(scratch.path()));
    assert_eq!(db.get_chat_messages_since(CHAT, &MessageFilter::default()).unwrap().len(), 2);
    assert_eq!(db.get_chat_users(CHAT, None, None).unwrap().len(), 2);
    db.get_chat_info(CHAT).unwrap();
    db.get_chat_topics(CHAT).unwrap();
    db.get_chat_settings(CHAT).unwrap();
    db.get_chat_totals(CHAT).unwrap();
    db.get_chat_days(CHAT, 10).unwrap();
    db.get_top_people(CHAT, 10).unwrap();
    db.get_user_footprint(CHAT, UserId(1)).unwrap();
    db.get_bayes_classes(Some(CHAT)).unwrap();
    assert!(db.get_spam_messages(None).unwrap().missing().is_empty());
    assert!(db.get_user_chats(UserId(1)).unwrap().missing().is_empty());
    assert!(db.get_all_group_chats().unwrap().missing().is_empty());
    db.get_cache_entry(CacheType::Weather, "key", None).unwrap();
    assert!(matches!(db.set_chat_setting(CHAT, "a", "b").unwrap_err().kind(), ErrorKind::ReadOnly));
    assert_eq!(control.status().sources[1].source.health, database::Health::Open);
    db.close();
    assert!(look(&path) == before);
    assert_eq!(scratch.names(), ["archive.db", "primary.db", "switchyard.lock"]);
}

#[test]
fn what_cannot_be_read_as_it_is_says_why_and_stays_as_it_was() {
    let archive = |make: &dyn Fn(&Path)| {
        let scratch = Scratch::new();
        let path = scratch.file("archive.db");
        make(&path);
        let before = path.is_file().then(|| look(&path));
        let said = said(&scratch);
        assert!(path.is_file().then(|| look(&path)) == before, "{said}");
        said.strip_prefix("messages.get_chat_messages_since on source `archive`: ").unwrap().to_owned()
    };
    let sql = |sql: &'static str| move |path: &Path| sqlite(path).execute_batch(sql).unwrap();
    let changed = |change: &'static str| {
        move |path: &Path| {
            make_archive(path);
            sqlite(path).execute_batch(change).unwrap();
        }
    };
    insta::assert_snapshot!(archive(&|_| {}), @"the source is unavailable (DIR/archive.db does not exist, and a read-only source is never made; correct the path, or put the file back); nothing was changed");
    insta::assert_snapshot!(archive(&|path| std::fs::write(path, "").unwrap()), @"the source is unavailable (DIR/archive.db is not a SQLite database; correct the path, or move the file away to start with a new one); nothing was changed");
    insta::assert_snapshot!(archive(&|path| std::fs::write(path, "Dear diary").unwrap()), @"the source is unavailable (DIR/archive.db is not a SQLite database; correct the path, or move the file away to start with a new one); nothing was changed");
    insta::assert_snapshot!(archive(&|path| std::fs::create_dir(path).unwrap()), @"the source is unavailable (DIR/archive.db is a directory; give the path of a database file inside it, such as DIR/archive.db/bot.db); nothing was changed");
    insta::assert_snapshot!(archive(&|path| build(path, 2, "wal")), @"the source is unavailable (DIR/archive.db has version 2, and is read-only: it can be read as it is from version 3 on; open it once without `readonly`, which brings it up to date); nothing was changed");
    insta::assert_snapshot!(archive(&|path| build(path, 0, "delete")), @"the source is unavailable (DIR/archive.db has version 0, and is read-only: it can be read as it is from version 3 on; open it once without `readonly`, which brings it up to date); nothing was changed");
    insta::assert_snapshot!(archive(&sql("CREATE TABLE moz_places (id INTEGER)")), @"the source is unavailable (DIR/archive.db is the database of another program (it has a table `moz_places` and none of a bot); correct the path); nothing was changed");
    insta::assert_snapshot!(archive(&sql("PRAGMA user_version=1")), @"the source is unavailable (DIR/archive.db has version 0, and is read-only: it can be read as it is from version 3 on; open it once without `readonly`, which brings it up to date); nothing was changed");
    insta::assert_snapshot!(archive(&changed("UPDATE settings SET value = '7' WHERE key = 'db-migration-version'")), @"the source is unavailable (DIR/archive.db has db-migration-version version 7, and this release knows versions up to 6; use the release that wrote it, or a later one); nothing was changed");
    insta::assert_snapshot!(archive(&changed("UPDATE switchyard_meta SET value = '99' WHERE key = 'schema'")), @"the source is unavailable (DIR/archive.db has Switchyard schema version 99, and this release knows versions up to 3; use the release that wrote it, or a later one); nothing was changed");
    insta::assert_snapshot!(archive(&|path| {
        make_archive(path);
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 4096]).unwrap();
    }), @"the source is unavailable (DIR/archive.db is damaged (database disk image is malformed, code 11); restore a backup, or recover what is left with `sqlite3 FILE .recover`); nothing was changed");
    // What a process leaves that is killed in the middle of a write, where no log is kept.
    insta::assert_snapshot!(archive(&|path| {
        let lived = path.with_file_name("lived");
        build(&lived, 6, "delete");
        let connection = sqlite(&lived);
        connection.execute_batch("PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; DELETE FROM chat_messages;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO user_data (user_id, chat_id, key, data) SELECT i, i, i, hex(zeroblob(500)) FROM n").unwrap();
        for suffix in ["", "-journal"] {
            let bytes = std::fs::read(format!("{}{suffix}", lived.display())).unwrap();
            std::fs::write(format!("{}{suffix}", path.display()), bytes).unwrap();
        }
    }), @"the source is unavailable (DIR/archive.db was left half written by a process that was killed, and only opening it for writing can undo that; open it once without `readonly`); nothing was changed");
}

#[test]
fn what_a_killed_process_left_in_the_log_is_read_and_the_log_stays() {
    let scratch = Scratch::new();
    let (lived, path) = (scratch.file("lived.db"), scratch.file("archive.db"));
    make_archive(&lived);
    let connection = sqlite(&lived);
    connection.execute_batch("UPDATE chat_messages SET message_text = 'in the log'").unwrap();
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{suffix}", lived.display())).unwrap();
        std::fs::write(format!("{}{suffix}", path.display()), bytes).unwrap();
    }
    drop(connection);
    let log = scratch.file("archive.db-wal");
    let before = (look(&path), look(&log));
    let (db, _) = open(&with_archive(scratch.path()));
    let found = db.get_chat_messages_since(CHAT, &MessageFilter::default()).unwrap();
    assert_eq!(found[0].message_text, "in the log");
    db.close();
    assert!((look(&path), look(&log)) == before);
}

#[test]
fn what_another_process_writes_is_seen_by_the_next_read_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    make_archive(&path);
    let (db, _) = open(&with_archive(scratch.path()));
    let mut writer = Child::start(&["write", path.to_str().unwrap(), "other", "10"].map(OsStr::new));
    assert_eq!(writer.line(), "ready");
    while db.get_chat_totals(ChatId(1)).is_err() {}
    writer.finish();
    let written = db.on_source("archive").get_chat_totals(ChatId(1)).unwrap().messages;
    assert_eq!(written, 10);
    db.close();
    assert_eq!(support::rows(&path)["chat_messages"].len(), 11);
}

/// A folder with an archive that everybody can read and, from now on, only its owner can write.
pub(super) fn archive_for_everybody(journal: &str) -> Scratch {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    make_archive(&path);
    sqlite(&path).pragma_update(None, "journal_mode", journal).unwrap();
    close_to_others(&scratch);
    scratch
}

/// Lets others read what is in the folder, and write nothing.
pub(super) fn close_to_others(scratch: &Scratch) {
    for name in scratch.names() {
        std::fs::set_permissions(scratch.file(&name), Permissions::from_mode(0o444)).unwrap();
    }
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o555)).unwrap();
}

/// What a user for whom permissions count is told on reading `name` in the folder.
pub(super) fn said_to_others(scratch: &Scratch, name: &str) -> String {
    let path = scratch.file(name);
    let child = Child::start_unprivileged(&["read-archive", path.to_str().unwrap()].map(OsStr::new));
    child.answer().replace(scratch.path().to_str().unwrap(), "DIR")
}

/// A helper's task: reads the chat of an archive, with a default source of its own.
pub(crate) fn read_archive(path: &str) -> String {
    assert!(!rustix::process::geteuid().is_root(), "permissions do not count for root");
    let scratch = Scratch::new();
    let mut config = with_archive(scratch.path());
    config.sources.get_mut(&name("archive")).unwrap().path = path.into();
    let (db, _) = open(&config);
    let answer = match db.get_chat_messages_since(CHAT, &MessageFilter::default()) {
        Ok(found) => found.iter().map(|message| message.message_text.as_str()).collect::<Vec<_>>().join(", "),
        Err(error) => error.to_string(),
    };
    db.close();
    answer
}

#[test]
fn in_a_folder_that_cannot_be_written_a_file_is_read_or_says_what_to_do() {
    let scratch = archive_for_everybody("wal");
    insta::assert_snapshot!(said_to_others(&scratch, "archive.db"), @"messages.get_chat_messages_since on source `archive`: the source is unavailable (DIR/archive.db cannot be read where it is: it is in write-ahead mode, and the files that SQLite needs beside it cannot be made in that folder; `bot db seal DIR/archive.db` makes a copy that can be read anywhere); nothing was changed");
    assert_eq!(scratch.names(), ["archive.db"]);
    let scratch = archive_for_everybody("delete");
    assert_eq!(said_to_others(&scratch, "archive.db"), "archived");
    // While another process has it open, its log is there to be read.
    let scratch = Scratch::new();
    make_archive(&scratch.file("archive.db"));
    let live = support::open(&scratch.file("archive.db"));
    live.save_chat_message(CHAT, &NewMessage::text("2", time("2026-01-02 10:00:00"), UserId(7), "in the log")).unwrap();
    close_to_others(&scratch);
    assert_eq!(said_to_others(&scratch, "archive.db"), "in the log, archived");
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    live.close();
    // A log whose index is gone.
    let lived = Scratch::new();
    make_archive(&lived.file("archive.db"));
    let connection = sqlite(&lived.file("archive.db"));
    connection.execute_batch("UPDATE chat_messages SET message_text = 'in the log'").unwrap();
    let scratch = Scratch::new();
    for name in ["archive.db", "archive.db-wal"] {
        std::fs::write(scratch.file(name), std::fs::read(lived.file(name)).unwrap()).unwrap();
    }
    close_to_others(&scratch);
    insta::assert_snapshot!(said_to_others(&scratch, "archive.db"), @"messages.get_chat_messages_since on source `archive`: the source is unavailable (DIR/archive.db cannot be read where it is: it is in write-ahead mode, and the files that SQLite needs beside it cannot be made in that folder; `bot db seal DIR/archive.db` makes a copy that can be read anywhere); nothing was changed");
    std::fs::set_permissions(scratch.file("archive.db"), Permissions::from_mode(0o000)).unwrap();
    insta::assert_snapshot!(said_to_others(&scratch, "archive.db"), @"messages.get_chat_messages_since on source `archive`: the source is unavailable (DIR/archive.db cannot be read by this user; change its owner or mode); nothing was changed");
}
