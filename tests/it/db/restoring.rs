//! `bot db restore`: backups are put back whole or not at all, onto the databases that they are of, and nothing that was
//! there is lost.

use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use database::{ChatId, NewMessage, UserId};
use rstest::rstest;
use rusqlite::Connection;

use super::backups::{add_copy, backup, made, set_of};
use super::files;
use super::site::{Site, TWO, speak};
use crate::multi::{config_of, open};
use crate::program::Running;
use crate::support::{names_in, rows, sqlite, time};

fn texts(path: &Path) -> Vec<String> {
    let connection = sqlite(path);
    let sql = "SELECT message_text FROM chat_messages WHERE message_text LIKE 'said %' ORDER BY message_id";
    connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn integrity(path: &Path) -> String {
    sqlite(path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

/// Says this in both chats, through a bot of its own.
fn say(site: &Site, text: &str) {
    let mut running = site.start();
    for chat in [-100, 7] {
        speak(&mut running, chat, text);
    }
    assert_eq!(running.end().code, Some(0));
}

fn restore(site: &Site, set: &Path, args: &[&str]) -> (i32, String) {
    let mut all = vec!["db", "restore", set.to_str().unwrap()];
    all.extend(args);
    site.said(&all)
}

/// What was kept of a database when it was restored.
fn kept(site: &Site, name: &str) -> Vec<PathBuf> {
    let beginning = format!("{name}.before-restore-");
    let names = names_in(&site.home.data()).into_iter().filter(|found| found.starts_with(&beginning));
    names.map(|name| site.data(&name)).collect()
}

#[test]
fn a_set_is_put_back_and_what_was_there_is_kept() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    say(&site, "said after");
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 0, "{said}");
    for name in ["primary.db", "archive.db"] {
        assert_eq!(rows(&site.data(name)), rows(&set.join(name)));
        assert_eq!(texts(&site.data(name)), ["said before"]);
        let [kept] = &kept(&site, name)[..] else { panic!("{:?}", kept(&site, name)) };
        assert_eq!(texts(kept), ["said before", "said after"]);
        assert_eq!(std::fs::metadata(kept).unwrap().mode() & 0o777, 0o600);
        let mode: String = sqlite(&site.data(name)).query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
    assert_eq!(site.run(&["db", "check"]).code, Some(0), "identities are kept");
    say(&site, "said then");
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said then"]);
    // And the other way round, from what was kept.
    let before = kept(&site, "archive.db")[0].clone();
    let (code, said) = restore(&site, &before, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said after"]);
    assert_eq!(kept(&site, "archive.db").len(), 2);
}

#[test]
fn a_bot_that_runs_puts_a_source_back_and_goes_on_and_the_default_one_waits_for_its_end() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    let mut running = site.start();
    speak(&mut running, -100, "said after");
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("the default source `primary` is put back with the bot stopped; stop it"), "{said}");
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said after"]);
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(speak(&mut running, -100, "said then").0, "archive");
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said then"]);
    assert_eq!(site.json(&["status"])["sources"][1]["state"], "open");
    // What cannot be read is put back just so.
    let id = std::fs::metadata(site.data("archive.db")).unwrap().ino();
    std::fs::rename(site.data("archive.db"), site.home.path("lost.db")).unwrap();
    std::fs::write(site.data("archive.db"), "no database".repeat(100)).unwrap();
    crate::program::until("it is served elsewhere", || speak(&mut running, -100, "said elsewhere").1.is_empty());
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    assert_ne!(std::fs::metadata(site.data("archive.db")).unwrap().ino(), id);
    crate::program::until("it is home", || site.json(&["status"])["sources"][1]["served_by"].is_null());
    running.end();
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said elsewhere"], "what was said meanwhile came home");
    assert_eq!(integrity(&site.data("archive.db")), "ok");
}

#[test]
fn calls_wait_for_a_source_that_is_put_back_and_none_is_lost() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    let running = site.start();
    let mut input = { running };
    let said = std::thread::scope(|scope| {
        let restoring =
            scope.spawn(|| (0..5).map(|_| restore(&site, &set, &["--source", "archive"])).collect::<Vec<_>>());
        let mut said = 0;
        while !restoring.is_finished() {
            assert_eq!(speak(&mut input, -100, &format!("said {said}")).0, "archive");
            said += 1;
        }
        for (code, said) in restoring.join().unwrap() {
            assert_eq!(code, 0, "{said}");
        }
        said
    });
    speak(&mut input, -100, "said last");
    assert_eq!(input.end().code, Some(0));
    assert!(said > 0);
    // What was answered is in one of the files: what was kept, or what is there.
    let mut all = texts(&site.data("archive.db"));
    assert_eq!(all.last().map(String::as_str), Some("said last"));
    all.extend(kept(&site, "archive.db").iter().flat_map(|kept| texts(kept)));
    for number in 0..said {
        assert!(all.contains(&format!("said {number}")), "{number} of {said}");
    }
}

type Damage = fn(&Site, &Path);

#[rstest]
#[case::that_is_missing(|_: &Site, set: &Path| std::fs::remove_file(set.join("archive.db")).unwrap(), "does not exist")]
#[case::that_was_cut_off(
    |_: &Site, set: &Path| {
        let file = std::fs::OpenOptions::new().write(true).open(set.join("archive.db")).unwrap();
        file.set_len(file.metadata().unwrap().len() - 4096).unwrap();
    },
    "is damaged ("
)]
#[case::that_is_damaged(
    |_: &Site, set: &Path| {
        let path = set.join("archive.db");
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'chat_messages'";
        let page: i64 = sqlite(&path).query_row(sql, [], |row| row.get(0)).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0x5a; 4096], (page - 1) as u64 * 4096).unwrap();
    },
    "cannot be used: "
)]
#[case::of_another_database(
    |_: &Site, set: &Path| {
        let sql = "UPDATE switchyard_meta SET value = 'another' WHERE key = 'uuid'";
        sqlite(&set.join("archive.db")).execute_batch(sql).unwrap();
    },
    "is of another database than the source `archive` has (its uuid is another and not "
)]
#[case::of_another_source(
    |_: &Site, set: &Path| {
        std::fs::write(set.join("archive.db"), std::fs::read(set.join("primary.db")).unwrap()).unwrap();
    },
    "is of another database than the source `archive` has"
)]
#[case::of_which_a_stand_in_cannot_be_read(
    |_: &Site, set: &Path| {
        // The default source's copy: writes for others may wait there.
        std::fs::write(set.join("primary.db"), "no database at all".repeat(50)).unwrap();
    },
    "primary.db cannot be used: writes that may wait in it cannot be read"
)]
#[case::of_a_later_release(
    |_: &Site, set: &Path| {
        let sql = "UPDATE switchyard_meta SET value = '99' WHERE key = 'schema'";
        sqlite(&set.join("archive.db")).execute_batch(sql).unwrap();
    },
    "has Switchyard schema version 99, and this release knows versions up to"
)]
#[case::that_is_no_database(
    |_: &Site, set: &Path| std::fs::write(set.join("archive.db"), "no database at all".repeat(50)).unwrap(),
    "is not a SQLite database"
)]
#[case::without_a_manifest(
    |_: &Site, set: &Path| std::fs::remove_file(set.join("backup.json")).unwrap(),
    "is no backup (its backup.json: "
)]
#[case::whose_manifest_leads_elsewhere(
    |_: &Site, set: &Path| {
        let text = std::fs::read_to_string(set.join("backup.json")).unwrap();
        std::fs::write(set.join("backup.json"), text.replace("\"archive.db\"", "\"../archive.db\"")).unwrap();
    },
    "is no backup (its backup.json names files that are none of a backup)"
)]
fn a_backup_is_refused_and_nothing_is_changed(
    #[case] damage: Damage,
    #[case] expected: &str,
    #[values(false, true)] runs: bool,
) {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    damage(&site, &set);
    let running = runs.then(|| site.start());
    let before: Vec<_> = ["archive.db", "primary.db"].map(|name| rows(&site.data(name))).into();
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(expected), "{said}");
    let after: Vec<_> = ["archive.db", "primary.db"].map(|name| rows(&site.data(name))).into();
    assert_eq!(before, after);
    assert!(kept(&site, "archive.db").is_empty());
    if let Some(mut running) = running {
        assert_eq!(speak(&mut running, -100, "goes on").0, "archive");
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn what_is_named_wrongly_is_said() {
    let site = made();
    let set = set_of(&site, &backup(&site, &["--source", "archive"]).1);
    let told = |set: &Path, args: &[&str]| restore(&site, set, args).1;
    assert!(told(&set, &["--source", "primary"]).contains("has no copy of the source `primary`"));
    assert!(
        told(&set, &["--source", "nowhere"]).contains("there is no source `nowhere`; known are: `archive`, `primary`")
    );
    assert!(told(&set.join("archive.db"), &[]).contains("a file is of one source, which --source names"));
    assert!(told(&site.home.path("nowhere"), &["--source", "archive"]).contains("does not exist; name a folder"));
    assert!(
        told(&site.data("archive.db"), &["--source", "archive"]).contains("is the database itself; name a copy of it")
    );
    let part = set.with_file_name("20260101T000000Z.part");
    std::fs::create_dir(&part).unwrap();
    assert!(told(&part, &[]).contains("it was not finished"));
    assert_eq!(texts(&site.data("archive.db")), ["said before"]);
}

#[test]
fn of_a_folder_of_backups_the_newest_are_named_first_and_none_is_taken() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    let folder = set.parent().unwrap();
    // A file that is no set has no place among them, nor has a set that was not finished.
    std::fs::create_dir(folder.join("photos")).unwrap();
    let manifest = std::fs::read_to_string(set.join("backup.json")).unwrap();
    let lacking = manifest.replace("\"moved\": []", "\"moved\": [7]");
    assert_ne!(lacking, manifest);
    let names =
        ["20200101T000000Z", "20200103T000000Z-2", "20200103T000000Z", "20200103T000000Z-10", "20200102T000000Z"];
    for name in names.iter().chain(&["20200104T000000Z.part"]) {
        std::fs::create_dir(folder.join(name)).unwrap();
        let text = if *name == "20200103T000000Z-2" { &lacking } else { &manifest };
        std::fs::write(folder.join(name).join("backup.json"), text).unwrap();
    }
    std::fs::rename(&set, folder.join("20200105T000000Z")).unwrap();
    // One that is only counted is not read.
    std::fs::write(folder.join("20200101T000000Z/backup.json"), "no manifest").unwrap();
    std::fs::remove_file(folder.join("20200102T000000Z/backup.json")).unwrap();
    for args in [&[][..], &["--source", "archive"]] {
        let (code, said) = restore(&site, folder, args);
        assert_eq!(code, 1);
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"error: [home]/backups is no backup itself, it holds backups; name one of them, the newest first: [home]/backups/20200105T000000Z, [home]/backups/20200103T000000Z-10, [home]/backups/20200103T000000Z-2 (incomplete), [home]/backups/20200103T000000Z, [home]/backups/20200102T000000Z (incomplete), and 1 more");
        }
    }
    assert_eq!(restore(&site, &folder.join("20200105T000000Z"), &[]).0, 0);
}

#[rstest]
#[case::that_is_missing(|site: &Site| std::fs::remove_file(site.data("archive.db")).unwrap(), 0)]
#[case::that_is_empty(|site: &Site| std::fs::write(site.data("archive.db"), "").unwrap(), 0)]
#[case::that_is_no_database(|site: &Site| std::fs::write(site.data("archive.db"), "x".repeat(5000)).unwrap(), 1)]
#[case::that_is_damaged(
    |site: &Site| {
        let file = std::fs::OpenOptions::new().write(true).open(site.data("archive.db")).unwrap();
        file.write_all_at(&[0x5a; 4096 * 8], 4096).unwrap();
    },
    1
)]
#[case::that_was_cut_off(
    |site: &Site| {
        let file = std::fs::OpenOptions::new().write(true).open(site.data("archive.db")).unwrap();
        file.set_len(8000).unwrap();
    },
    1
)]
#[case::of_which_only_the_log_is_left(
    |site: &Site| {
        std::fs::remove_file(site.data("archive.db")).unwrap();
        std::fs::write(site.data("archive.db-wal"), "writes").unwrap();
    },
    1
)]
#[case::that_is_another(
    |site: &Site| {
        sqlite(&site.data("archive.db"))
            .execute_batch("UPDATE switchyard_meta SET value = 'another' WHERE key = 'uuid'")
            .unwrap();
    },
    1
)]
fn a_file_is_replaced_and_kept(#[case] damage: fn(&Site), #[case] files_kept: usize) {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    damage(&site);
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(texts(&site.data("archive.db")), ["said before"]);
    assert_eq!(kept(&site, "archive.db").len(), files_kept, "{:?}", names_in(&site.home.data()));
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
}

#[test]
fn a_chat_that_was_moved_since_is_not_left_without_its_rows_unless_that_is_wanted() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive"]).code, Some(0));
    assert_eq!(texts(&site.data("archive.db")).len(), 2);
    let refused = "the backup knows nothing of chats that were moved since: 7 (in archive)";
    for source in ["archive", "primary"] {
        let (code, said) = restore(&site, &set, &["--source", source]);
        // The default source's backup leads the chat to itself, where its rows are.
        let expected = if source == "archive" { 1 } else { 0 };
        assert_eq!(code, expected, "{source}: {said}");
        assert_eq!(said.contains(refused), source == "archive", "{said}");
    }
    // With a bot that runs, and where it is wanted.
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive"]).code, Some(0));
    let running = site.start();
    let (code, said) = restore(&site, &set, &["--source", "archive"]);
    assert!(code == 1 && said.contains(refused), "{said}");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(restore(&site, &set, &["--source", "archive", "--even-so"]).0, 0);
    assert_eq!(texts(&site.data("archive.db")), ["said before"]);
    // With the whole set it is where the set has it, and where the configuration of then leads it.
    site.configure(TWO);
    assert_eq!(restore(&site, &set, &[]).0, 0);
    assert_eq!(texts(&site.data("primary.db")), ["said before"]);
    assert_eq!(site.json(&["route", "7"])["source"], "primary");
}

#[test]
fn the_default_source_alone_is_not_put_back_where_it_would_forget_where_a_chat_is() {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, -100, "said before");
    assert_eq!(running.end().code, Some(0));
    let set = set_of(&site, &backup(&site, &[]).1);
    say(&site, "said after");
    assert_eq!(site.run(&["db", "move", "7", "--to", "archive"]).code, Some(0));
    // Where the configuration says it too, nothing is forgotten.
    site.configure(TWO);
    let (code, said) = restore(&site, &set, &["--source", "primary"]);
    assert_eq!(code, 1);
    assert!(said.contains("moved since: 7 (in archive)"), "{said}");
}

#[test]
fn writes_that_waited_when_the_backup_was_made_are_made() {
    let site = made();
    let archive = set_of(&site, &backup(&site, &["--source", "archive"]).1);
    std::fs::rename(site.data("archive.db"), site.home.path("away.db")).unwrap();
    let mut running = site.start();
    speak(&mut running, -100, "said elsewhere");
    let set = set_of(&site, &backup(&site, &[]).1);
    assert_eq!(running.end().code, Some(0));
    // All of it was lost, and the copy of the source is of another set.
    std::fs::remove_dir_all(site.home.data()).unwrap();
    add_copy(&set, &archive, "archive");
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("archive: 3 writes that waited were made, 0 kept aside."), "{said}");
    assert_eq!(texts(&site.data("archive.db")), ["said before", "said elsewhere"]);
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
    say(&site, "said then");
}

#[test]
fn a_file_with_pages_of_another_size_is_put_back() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    let copy = set.join("archive.db");
    sqlite(&copy).execute_batch("PRAGMA page_size = 8192; VACUUM;").unwrap();
    say(&site, "said after");
    let (code, said) = restore(&site, &copy, &["--source", "archive"]);
    assert_eq!(code, 0, "{said}");
    let size: i64 = sqlite(&site.data("archive.db")).query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    assert_eq!((size, texts(&site.data("archive.db"))), (8192, vec!["said before".to_owned()]));
    say(&site, "said then");
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_content_or_the_new_and_repeating_it_finishes() {
    let kills = crate::support::asked("RESTORE_KILLS", 12_u32);
    let site = made();
    let fill = |first: u32, count: u32| {
        let config = config_of(&site.home.data(), &["primary", "archive"], &[(-100, "archive")]);
        let (db, _control) = open(&config);
        let message =
            |number: u32| NewMessage::text(i64::from(number), time("2026-01-01 00:00:00"), UserId(1), "y".repeat(3000));
        let messages: Vec<_> = (first..first + count).map(message).collect();
        for chunk in messages.chunks(500) {
            db.save_chat_messages(ChatId(-100), chunk).unwrap();
        }
        db.close();
    };
    fill(0, 3000);
    let set = set_of(&site, &backup(&site, &[]).1);
    fill(3000, 1500);
    let count = |path: &Path| -> Option<i64> {
        let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
        assert_eq!(sound, "ok");
        connection
            .query_row("SELECT COUNT(*) FROM chat_messages WHERE message_text LIKE 'y%'", [], |row| row.get(0))
            .ok()
    };
    let args = ["db", "restore", set.to_str().unwrap(), "--source", "archive"];
    let began = std::time::Instant::now();
    assert_eq!(site.run(&args).code, Some(0));
    let whole = began.elapsed();
    let mut old = 0;
    for kill in 0..kills {
        // Back to the old content, by way of what was kept first.
        let first = kept(&site, "archive.db").into_iter().find(|kept| count(kept) == Some(4500)).unwrap();
        let (code, said) = restore(&site, &first, &["--source", "archive"]);
        assert_eq!(code, 0, "{said}");
        for later in kept(&site, "archive.db").into_iter().filter(|kept| *kept != first) {
            std::fs::remove_file(later).unwrap();
        }
        let mut running = Running::start(&mut site.bot(&args));
        std::thread::park_timeout(whole.mul_f64(f64::from(kill + 1) / f64::from(kills + 1)));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        let found = count(&site.data("archive.db"));
        assert!(matches!(found, Some(3000 | 4500)), "{found:?}");
        old += u32::from(found == Some(4500));
        assert_eq!(site.run(&args).code, Some(0));
        assert_eq!(count(&site.data("archive.db")), Some(3000));
        let names = names_in(&site.home.data());
        assert!(names.iter().all(|name| !name.contains(".part")), "{names:?}");
        assert!(kept(&site, "archive.db").iter().any(|kept| count(kept) == Some(4500)), "what was there is kept");
    }
    assert!(old > 0, "no kill came before the end in {whole:?}");
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
}

#[test]
fn while_a_process_is_in_charge_that_cannot_be_asked_nothing_is_put_back() {
    let site = made();
    let set = set_of(&site, &backup(&site, &[]).1);
    let config = config_of(&site.home.data(), &["primary", "archive"], &[(-100, "archive")]);
    let (db, _control) = open(&config);
    let before = files(&set);
    let (code, said) = restore(&site, &set, &[]);
    assert_eq!(code, 1);
    assert!(said.contains("is in use by another bot"), "{said}");
    db.close();
    assert!(files(&set) == before);
    assert!(kept(&site, "archive.db").is_empty());
}
