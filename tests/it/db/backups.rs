//! `bot db backup`: sets of copies that are made while a bot writes, and how many of them are kept.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use database::{ChatId, NewMessage, UserId};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use super::files;
use super::site::{Site, TWO, speak};
use crate::multi::{config_of, open};
use crate::program::{Running, until};
use crate::support::{names_in, rows, sqlite, time};

/// A site with two databases in which something was said, and no bot on it.
pub(super) fn made() -> Site {
    let site = Site::new(TWO);
    let mut running = site.start();
    for chat in [-100, 7] {
        speak(&mut running, chat, "said before");
    }
    assert_eq!(running.end().code, Some(0));
    site
}

/// Makes a backup in `backups`, and answers with what it printed.
pub(super) fn backup(site: &Site, args: &[&str]) -> (i32, Value) {
    let folder = site.home.path("backups");
    let mut all = vec!["db", "backup", "--json", folder.to_str().unwrap()];
    all.extend(args);
    let said = site.run(&all);
    let report = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.code.unwrap(), report)
}

/// The folder of a set that was made.
pub(super) fn set_of(site: &Site, report: &Value) -> PathBuf {
    PathBuf::from(
        report["path"].as_str().unwrap().replace("[home]", site.home.path("").to_str().unwrap().trim_end_matches('/')),
    )
}

/// Moves the copy of a source from one set to another.
pub(super) fn add_copy(set: &Path, from: &Path, source: &str) {
    let manifest = |set: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(set.join("backup.json")).unwrap()).unwrap()
    };
    let (mut both, earlier) = (manifest(set), manifest(from));
    let copy = earlier["files"].as_array().unwrap().iter().find(|copy| copy["source"] == source).unwrap();
    both["files"].as_array_mut().unwrap().push(copy.clone());
    std::fs::write(set.join("backup.json"), both.to_string()).unwrap();
    let file = copy["file"].as_str().unwrap();
    std::fs::rename(from.join(file), set.join(file)).unwrap();
}

/// Has writers stop at its end.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn integrity(path: &Path) -> String {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_set_has_a_copy_of_each_database_that_stands_alone_and_says_what_it_has() {
    let site = made();
    let mut running = site.start();
    speak(&mut running, -100, "said while it runs");
    let (code, report) = backup(&site, &[]);
    assert_eq!(code, 0, "{report}");
    let set = set_of(&site, &report);
    assert_eq!(names_in(&set), ["archive.db", "backup.json", "primary.db"]);
    assert_eq!(names_in(&site.home.path("backups")).len(), 1);
    assert_eq!(std::fs::metadata(&set).unwrap().mode() & 0o777, 0o700);
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(set.join("backup.json")).unwrap()).unwrap();
    for (file, of) in manifest["files"].as_array().unwrap().iter().zip(["archive", "primary"]) {
        let copy = set.join(format!("{of}.db"));
        assert_eq!(std::fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
        assert_eq!(file["source"], of);
        assert_eq!(file["bytes"], std::fs::metadata(&copy).unwrap().len());
        assert_eq!(integrity(&copy), "ok");
        let uuid = |path: &Path| -> String {
            let sql = "SELECT value FROM switchyard_meta WHERE key = 'uuid'";
            sqlite(path).query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(file["uuid"], uuid(&copy));
        assert_eq!(rows(&copy), rows(&site.data(&format!("{of}.db"))));
        let count: usize = rows(&copy).values().map(Vec::len).sum();
        // (`rows` leaves the uuid out, and SQLite's own table of numbers.)
        assert!(file["rows"].as_u64().unwrap() as usize > count, "{file}");
    }
    assert_eq!(names_in(&set), ["archive.db", "backup.json", "primary.db"], "nothing is left beside them");
    assert_eq!(running.end().code, Some(0));
    let before = files(&site.home.data());
    assert_eq!(backup(&site, &["--source", "archive"]).0, 0);
    assert!(files(&site.home.data()) == before, "what is copied stays as it is");
}

#[test]
fn what_is_copied_under_load_is_a_prefix_of_every_writers_writes_with_all_that_was_answered_before() {
    const WRITERS: i64 = 8;
    let site = made();
    let config = config_of(&site.home.data(), &["primary", "archive"], &[(-100, "archive")]);
    let (db, _control) = open(&config);
    let goes_on = AtomicBool::new(true);
    let answered: Vec<AtomicU32> = (0..WRITERS).map(|_| AtomicU32::new(0)).collect();
    let chat_of = |writer: i64| ChatId([-100, 7, -100, 8][(writer % 4) as usize]);
    let mut sets = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, goes_on, answered) = (&db, &goes_on, &answered[writer as usize]);
            scope.spawn(move || {
                for number in 0..u32::MAX {
                    if !goes_on.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{writer}-{number}");
                    let text = "x".repeat(2000);
                    let message = NewMessage::text(id, time("2026-01-01 00:00:00"), UserId(1), text);
                    db.save_chat_message(chat_of(writer), &message).unwrap();
                    answered.store(number + 1, Ordering::SeqCst);
                }
            });
        }
        // Also where something below fails.
        let stopping = Stopping(&goes_on);
        until("there is something", || answered.iter().all(|count| count.load(Ordering::SeqCst) > 50));
        for _ in 0..3 {
            let before: Vec<u32> = answered.iter().map(|count| count.load(Ordering::SeqCst)).collect();
            let (code, report) = backup(&site, &[]);
            assert_eq!(code, 0, "{report}");
            sets.push((before, set_of(&site, &report)));
        }
        drop(stopping);
    });
    db.close();
    for (before, set) in &sets {
        let mut found: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for name in ["primary", "archive"] {
            assert_eq!(integrity(&set.join(format!("{name}.db"))), "ok");
            let copy = sqlite(&set.join(format!("{name}.db")));
            let mut ids = copy.prepare("SELECT message_id FROM chat_messages WHERE message_text LIKE 'xx%'").unwrap();
            for id in ids.query_map([], |row| row.get::<_, String>(0)).unwrap() {
                let id = id.unwrap();
                let (writer, number) = id.split_once('-').unwrap();
                found.entry(writer.parse().unwrap()).or_default().push(number.parse().unwrap());
            }
        }
        for (writer, answered) in (0..WRITERS).zip(before) {
            let mut numbers = found.remove(&writer).unwrap();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "of writer {writer} there is a prefix");
            assert!(
                numbers.len() as u32 >= *answered,
                "writer {writer} had {answered} answered, {} are there",
                numbers.len()
            );
        }
        assert!(found.is_empty());
    }
    // The last one is put back, and is what it was.
    let set = &sets.last().unwrap().1;
    let said = site.run(&["db", "restore", set.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for name in ["primary.db", "archive.db"] {
        assert_eq!(rows(&set.join(name)), rows(&site.data(name)));
        assert_eq!(integrity(&site.data(name)), "ok");
    }
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
}

#[test]
fn so_many_sets_are_kept_and_nothing_else_is_removed() {
    let site = made();
    let folder = site.home.path("backups");
    // What looks like a set and is none of these databases.
    for name in ["photos", "20200101T000000Z", "20200102T000000Z.part", "20200103T000000Z", "20200104T000000Z-1"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("20200102T000000Z.part/letter.txt"), "dear").unwrap();
    let foreign = r#"{"format":1,"made_at":"","data_dir":"/elsewhere","release":"","asked":[],"files":[],"missing":[],"moved":[]}"#;
    std::fs::write(folder.join("20200103T000000Z/backup.json"), foreign).unwrap();
    std::fs::write(folder.join("20200105T000000Z"), "a file").unwrap();
    symlink(folder.join("20200103T000000Z"), folder.join("20200106T000000Z")).unwrap();
    // What a killed run left.
    std::fs::create_dir_all(folder.join("20200107T000000Z.part/standin")).unwrap();
    std::fs::write(folder.join("20200107T000000Z.part/primary.db"), "half").unwrap();
    std::fs::write(folder.join("20200107T000000Z.part/standin/archive.db-journal"), "half").unwrap();
    // A clock that was set back: what was made "later" does not push out what is made now.
    let later = set_of(&site, &backup(&site, &["--source", "archive"]).1);
    std::fs::rename(&later, later.with_file_name("29990101T000000Z")).unwrap();
    let (code, report) = backup(&site, &["--source", "archive", "--keep", "1"]);
    assert_eq!((code, &report["removed"][0]), (0, &"29990101T000000Z".into()), "{report}");
    std::fs::remove_dir_all(set_of(&site, &report)).unwrap();
    let others = |mut names: Vec<String>| {
        names.retain(|name| name.starts_with("2020") || name == "photos");
        names
    };
    let mut before = others(names_in(&folder));
    before.retain(|name| name != "20200107T000000Z.part");

    let first = set_of(&site, &backup(&site, &["--keep", "2"]).1);
    let of_one = set_of(&site, &backup(&site, &["--keep", "2", "--source", "archive"]).1);
    let second = set_of(&site, &backup(&site, &["--keep", "2"]).1);
    // Somebody put something beside the copies of the second.
    std::fs::write(second.join("notes.txt"), "mine").unwrap();
    let (code, report) = backup(&site, &["--keep", "2"]);
    assert_eq!((code, report["removed"].as_array().unwrap().len()), (0, 1), "{report}");
    assert!(!first.exists() && second.exists() && of_one.exists());
    let (code, report) = backup(&site, &["--keep", "2"]);
    assert_eq!((code, report["removed"].as_array().unwrap().len()), (3, 0), "{report}");
    assert!(
        report["left"][0].as_str().unwrap().ends_with("it holds notes.txt, which is no copy; move that away"),
        "{report}"
    );
    assert_eq!(names_in(&second), ["archive.db", "backup.json", "notes.txt", "primary.db"]);
    std::fs::remove_file(second.join("notes.txt")).unwrap();
    let (code, report) = backup(&site, &["--keep", "1"]);
    assert_eq!((code, report["removed"].as_array().unwrap().len()), (0, 3), "{report}");
    let sets: Vec<_> = names_in(&folder).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(sets.len(), 2, "{sets:?}");
    assert_eq!(others(names_in(&folder)), before);
    assert_eq!(names_in(&folder.join("20200102T000000Z.part")), ["letter.txt"]);
}

#[test]
fn sets_that_lack_something_do_not_push_out_those_that_have_all() {
    let site = made();
    let whole = set_of(&site, &backup(&site, &["--keep", "1"]).1);
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    for _ in 0..2 {
        let (code, report) = backup(&site, &["--keep", "1"]);
        assert_eq!(code, 3, "{report}");
        assert_eq!(report["missing"][0]["source"], "archive");
        assert!(report["missing"][0]["reason"].as_str().unwrap().contains("put it back or correct the path"));
        assert_eq!(names_in(&set_of(&site, &report)), ["backup.json", "primary.db"]);
    }
    assert!(whole.exists());
    assert_eq!(names_in(&site.home.path("backups")).len(), 2);
}

#[test]
fn where_nothing_can_be_copied_there_is_no_set() {
    let site = made();
    for name in ["archive.db", "primary.db"] {
        std::fs::rename(site.data(name), site.home.path(name)).unwrap();
    }
    let folder = site.home.path("backups");
    let (code, said) = site.said(&["db", "backup", folder.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(said.starts_with("error: nothing could be copied: primary: "), "{said}");
    assert!(names_in(&folder).is_empty());
    let (code, said) = site.said(&["db", "backup", folder.to_str().unwrap(), "--source", "nowhere"]);
    assert_eq!((code, said.as_str()), (2, "error: there is no source `nowhere`; known are: `primary`, `archive`\n"));
}

#[test]
fn what_stands_in_for_a_source_is_copied_too() {
    let site = made();
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let mut running = site.start();
    speak(&mut running, -100, "said elsewhere");
    let (code, report) = backup(&site, &[]);
    assert_eq!(code, 3, "{report}");
    let set = set_of(&site, &report);
    assert_eq!(names_in(&set), ["backup.json", "primary.db", "standin"]);
    let sql = "SELECT COUNT(*) FROM chat_messages WHERE message_text = 'said elsewhere'";
    assert_eq!(sqlite(&set.join("standin/archive.db")).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn it_goes_on_until_it_is_told_to_stop_and_beyond_a_round_that_failed() {
    let site = made();
    let folder = site.home.path("backups");
    let args = ["db", "backup", folder.to_str().unwrap(), "--every", "1s", "--keep", "2"];
    let running = Running::start(&mut site.bot(&args));
    let sets = || names_in(&folder).into_iter().filter(|name| !name.ends_with(".part")).collect::<Vec<_>>();
    until("there are two", || folder.is_dir() && sets().len() == 2);
    let first = sets();
    until("there are others", || sets() != first && sets().len() == 2);
    // A round that fails: a file is where the folder should be.
    std::fs::rename(&folder, site.home.path("elsewhere")).unwrap();
    std::fs::write(&folder, "a file").unwrap();
    std::thread::park_timeout(std::time::Duration::from_millis(1500));
    std::fs::remove_file(&folder).unwrap();
    until("it is tried again", || folder.is_dir() && !sets().is_empty());
    running.signal(Signal::TERM);
    let said = running.wait();
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("error: the backup cannot be written: "), "{said:?}");
    assert!(names_in(&folder).iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn a_source_that_is_added_later_is_in_the_next_set_and_a_configuration_that_is_wrong_fails_a_round() {
    let site = made();
    let all = site.home.path("bot.toml");
    let (text, folder) = (std::fs::read_to_string(&all).unwrap(), site.home.path("backups"));
    site.configure("default_source = \"primary\"\n[database.sources.primary]\npath = \"primary.db\"\n");
    let args = ["db", "backup", folder.to_str().unwrap(), "--every", "1s", "--keep", "2"];
    let running = Running::start(&mut site.bot(&args));
    let sets = || names_in(&folder).into_iter().filter(|name| !name.ends_with(".part")).collect::<Vec<_>>();
    let last = || folder.is_dir().then(sets).and_then(|sets| sets.last().map(|set| names_in(&folder.join(set))));
    until("there is one", || last().is_some());
    assert_eq!(last().unwrap(), ["backup.json", "primary.db"]);
    std::fs::write(&all, &text).unwrap();
    until("there is one of both", || last().is_some_and(|set| set == ["archive.db", "backup.json", "primary.db"]));
    std::fs::write(&all, "[database]\nsources = 7\n").unwrap();
    std::thread::park_timeout(std::time::Duration::from_millis(1500));
    let before = sets();
    std::fs::write(&all, &text).unwrap();
    until("it is tried again", || sets() != before);
    running.signal(Signal::TERM);
    let said = running.wait();
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("error: the configuration is wrong"), "{said:?}");
}

#[test]
fn too_little_room_is_told_before_anything_is_made() {
    let site = made();
    // A file as large as it says, without a byte on the disk.
    let file = std::fs::OpenOptions::new().write(true).open(site.data("archive.db")).unwrap();
    file.set_len(1 << 50).or_else(|_| file.set_len(1 << 43)).unwrap();
    let folder = site.home.path("backups");
    let (code, said) = site.said(&["db", "backup", folder.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(said.contains("has too little room: ") && said.contains("make room"), "{said}");
    assert!(names_in(&folder).is_empty());
}
