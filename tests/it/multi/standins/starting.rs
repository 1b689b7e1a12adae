//! What a start finds of absences: stand-ins that are over, empty, damaged or were never made, and writes that wait in a
//! default source which cannot be read.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use database::multi::{Control, look, look_at_journal};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, OnUnavailable, Route};
use rstest::rstest;

use super::{AWAY, config, say, texts, with_its_source_away};
use crate::child::Child;
use crate::multi::{carry, eventually, name, open};
use crate::support::{Scratch, names_in, sqlite};

fn come_back(scratch: &Scratch) {
    carry(&scratch.file("away.db"), &scratch.file("community.db"));
}

/// The same configuration over a copy of its folder, as a machine that stops now would leave it.
fn as_of_now(scratch: &Scratch, policy: OnUnavailable) -> (Scratch, DatabaseConfig) {
    let copy = Scratch::new();
    // By another process: in this one only SQLite opens databases.
    let copied = Command::new("cp").arg("-a").arg(scratch.path().join(".")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let config = config(&copy, policy);
    (copy, config)
}

/// What the helpers of this module leave: a bot that is home and was killed before its stand-in was removed.
fn killed_when_home(policy: OnUnavailable) -> (Scratch, DatabaseConfig) {
    let (scratch, config) = with_its_source_away(policy);
    let (db, control) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    come_back(&scratch);
    let (begun, has_begun) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let copy = std::thread::scope(|scope| {
        // A call that is under way keeps what it began with.
        let db_of_call = db.clone();
        scope.spawn(move || {
            let _ = db_of_call.read("test.hold", Route::Shared, |_| {
                begun.send(()).unwrap();
                let _ = ends.recv();
                Ok(())
            });
        });
        has_begun.recv().unwrap();
        control.retry(&name("community")).unwrap();
        say(&db, "3", "at home").unwrap();
        let copy = as_of_now(&scratch, policy);
        assert_eq!(copy.0.file("standin/community.db").exists(), policy == OnUnavailable::StandIn);
        end.send(()).unwrap();
        copy
    });
    db.close();
    copy
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn a_bot_that_was_killed_when_its_chats_were_home_shows_nothing_older_at_its_start(#[case] policy: OnUnavailable) {
    let (scratch, config) = killed_when_home(policy);
    assert_eq!(look(&config).sources[1].served_by, None);
    // So that nobody who looks at it makes it right.
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    let (db, _) = open(&config);
    assert!(!db.is_displaced(AWAY), "home serves from the first call on");
    assert_eq!(names_in(&scratch.file("standin")), [""; 0]);
    carry(&scratch.file("away.db"), &scratch.file("community.db"));
    assert_eq!(texts(&db), ["at home", "before", "meanwhile"]);
    db.close();
}

#[test]
fn a_stand_in_that_is_begun_anew_is_believed() {
    let (scratch, config) = killed_when_home(OnUnavailable::StandIn);
    let (db, _) = open(&config);
    db.close();
    // As if what says that it is over had stayed.
    std::fs::create_dir_all(scratch.file("standin")).unwrap();
    std::fs::write(scratch.file("standin/community.over"), "").unwrap();
    let (db, _) = open(&config);
    std::fs::write(scratch.file("standin/community.over"), "").unwrap();
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    let _ = say(&db, "4", "lost in between");
    eventually("it is served elsewhere", || say(&db, "5", "away again").is_ok());
    db.close();
    let (db, _) = open(&config);
    assert!(texts(&db).contains(&"away again".to_owned()));
    assert!(db.is_displaced(AWAY));
    db.close();
}

#[test]
fn chats_come_home_where_a_stand_in_could_never_be_made() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    std::fs::write(scratch.file("standin"), "in the way").unwrap();
    let (db, control) = open(&config);
    let refused = say(&db, "2", "refused").unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::SourceUnavailable { .. }), "{refused}");
    come_back(&scratch);
    control.retry(&name("community")).unwrap();
    assert!(!db.is_displaced(AWAY));
    say(&db, "3", "after").unwrap();
    assert_eq!(texts(&db), ["after", "before"]);
    db.close();
}

#[test]
fn a_stand_in_whose_making_was_broken_off_keeps_no_chat_away() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    std::fs::create_dir(scratch.file("standin")).unwrap();
    std::fs::write(scratch.file("standin/community.db"), "").unwrap();
    std::fs::write(scratch.file("standin/community.db-journal"), "half a journal").unwrap();
    let (db, control) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    come_back(&scratch);
    control.retry(&name("community")).unwrap();
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
    assert_eq!(names_in(&scratch.file("standin")), Vec::<String>::new(), "nothing of either is left");
}

/// A bot whose stand-in was damaged while it was stopped.
fn with_a_damaged_stand_in() -> (Scratch, DatabaseConfig, DatabaseWrapper, Control) {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (db, _) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    db.close();
    std::fs::write(scratch.file("standin/community.db"), "no database ".repeat(1_000)).unwrap();
    let (db, control) = open(&config);
    (scratch, config, db, control)
}

#[test]
fn a_damaged_stand_in_keeps_its_chats_away_until_it_is_set_aside_and_is_never_deleted() {
    let (scratch, config, db, control) = with_a_damaged_stand_in();
    come_back(&scratch);
    control.retry(&name("community")).unwrap_err();
    assert!(db.is_displaced(AWAY), "what is in it may be mended");
    let aside = control.set_aside(&name("community")).unwrap().unwrap();
    assert_eq!(aside, scratch.file("standin/community.db.aside-1"));
    assert!(std::fs::read(&aside).unwrap().starts_with(b"no database"));
    assert!(!db.is_displaced(AWAY));
    say(&db, "3", "after").unwrap();
    assert_eq!(texts(&db), ["after", "before"]);
    let reasons = |report: database::multi::JournalReport| {
        report.missing.into_iter().filter(|missing| missing.reason.contains(".aside-1")).count()
    };
    assert_eq!(reasons(control.journal(None, 10).unwrap()), 1, "it is told of as long as it is there");
    db.close();
    assert_eq!(reasons(look_at_journal(&config, None, 10)), 1);
}

#[test]
fn without_its_source_another_stand_in_is_begun_in_the_place_of_a_damaged_one() {
    let (scratch, _, db, control) = with_a_damaged_stand_in();
    say(&db, "3", "refused").unwrap_err();
    control.set_aside(&name("community")).unwrap().unwrap();
    eventually("another stands in", || say(&db, "4", "again").is_ok());
    // One that is well is not set aside.
    let refused = control.set_aside(&name("community")).unwrap_err();
    assert!(refused.to_string().contains("is well"), "{refused}");
    come_back(&scratch);
    control.retry(&name("community")).unwrap();
    assert_eq!(texts(&db), ["again", "before"]);
    let refused = control.set_aside(&name("community")).unwrap_err();
    assert!(refused.to_string().contains("no file of its own"), "{refused}");
    db.close();
}

#[test]
fn a_stand_in_that_is_damaged_while_it_is_open_is_set_aside() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (db, control) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    let path = scratch.file("standin/community.db");
    sqlite(&path).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let page: i64 = sqlite(&path)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'chat_messages'", [], |row| row.get(0))
        .unwrap();
    // By another process: in this one only SQLite opens databases.
    let to = [format!("of={}", path.display()), format!("seek={}", page - 1)];
    let fixed = ["if=/dev/zero", "bs=4096", "count=1", "conv=notrunc", "status=none"];
    assert!(Command::new("dd").args(fixed).args(to).status().unwrap().success());
    let refused = control.set_aside(&name("comunity")).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::UnknownSource { .. }), "{refused}");
    assert!(db.is_displaced(AWAY) && path.exists());
    let aside = control.set_aside(&name("community")).unwrap().unwrap();
    assert_eq!(aside, scratch.file("standin/community.db.aside-1"));
    eventually("another stands in", || say(&db, "3", "again").is_ok());
    come_back(&scratch);
    control.retry(&name("community")).unwrap();
    assert_eq!(texts(&db), ["again", "before"]);
    db.close();
}

#[test]
fn a_stand_in_that_is_only_busy_is_not_set_aside() {
    let (scratch, mut config) = with_its_source_away(OnUnavailable::StandIn);
    config.sources.get_mut(&name("community")).unwrap().timeout = Duration::from_secs(1);
    let (db, control) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    let path = scratch.file("standin/community.db");
    let mut holder = Child::start(&["hold", path.to_str().unwrap(), "BEGIN EXCLUSIVE"].map(OsStr::new));
    assert_eq!(holder.line(), "held");
    let refused = control.set_aside(&name("community")).unwrap_err();
    assert!(refused.to_string().contains("stayed busy"), "{refused}");
    holder.finish();
    assert!(db.is_displaced(AWAY) && path.exists());
    come_back(&scratch);
    control.retry(&name("community")).unwrap();
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
}

#[test]
fn a_stand_in_that_cannot_be_opened_though_nothing_is_wrong_with_it_is_not_set_aside() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (db, _) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    db.close();
    let path = scratch.file("standin/community.db");
    let set = |version: &str| {
        let sql = "UPDATE switchyard_meta SET value = ?1 WHERE key = 'schema'";
        sqlite(&path).execute(sql, [version]).unwrap();
    };
    let version: String = sqlite(&path)
        .query_row("SELECT value FROM switchyard_meta WHERE key = 'schema'", [], |row| row.get(0))
        .unwrap();
    // As a later release left it.
    set("99");
    let (db, control) = open(&config);
    let refused = control.set_aside(&name("community")).unwrap_err();
    assert!(refused.to_string().contains("is not known to be damaged or lost"), "{refused}");
    assert!(db.is_displaced(AWAY) && path.exists());
    db.close();
    set(&version);
    come_back(&scratch);
    let (db, control) = open(&config);
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
}

fn set(db: &DatabaseWrapper, value: &str) -> database::Result<()> {
    db.set_chat_setting(AWAY, "language", value)
}

fn language(scratch: &Scratch) -> String {
    let sql = "SELECT value FROM chat_settings WHERE chat_id = -1 AND key = 'language'";
    sqlite(&scratch.file("community.db")).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_waits_in_a_default_source_comes_home_before_anything_newer_whatever_was_down_at_a_start() {
    let (scratch, config) = with_its_source_away(OnUnavailable::Default);
    let (db, _) = open(&config);
    set(&db, "older").unwrap();
    db.close();
    // The default source is down at this start, and its own is back: it does not know what waits.
    carry(&scratch.file("primary.db"), &scratch.file("primary.away"));
    come_back(&scratch);
    let (db, control) = open(&config);
    let refused = set(&db, "newer");
    let is_unavailable = |refused: &database::Error| matches!(refused.kind(), ErrorKind::SourceUnavailable { .. });
    assert!(refused.is_err_and(|error| is_unavailable(&error)), "what is older has to be there first");
    carry(&scratch.file("primary.away"), &scratch.file("primary.db"));
    control.retry(&name("primary")).unwrap();
    eventually("it is written", || set(&db, "newer").is_ok());
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    db.close();
    assert_eq!(language(&scratch), "newer");
    assert!(!scratch.file("standin/community.default").exists());
}

#[test]
fn what_a_default_source_was_restored_with_is_noted_and_overtaken_by_nothing() {
    let (scratch, config) = with_its_source_away(OnUnavailable::Default);
    let (db, _) = open(&config);
    set(&db, "older").unwrap();
    db.close();
    // As after a restore elsewhere: what waits is in the file, and noted nowhere.
    std::fs::remove_file(scratch.file("standin/community.default")).unwrap();
    open(&config).0.close();
    assert!(scratch.file("standin/community.default").exists());
    carry(&scratch.file("primary.db"), &scratch.file("primary.away"));
    come_back(&scratch);
    let (db, control) = open(&config);
    set(&db, "newer").unwrap_err();
    carry(&scratch.file("primary.away"), &scratch.file("primary.db"));
    control.retry(&name("primary")).unwrap();
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    set(&db, "newer").unwrap();
    db.close();
    assert_eq!(language(&scratch), "newer");
    assert!(!scratch.file("standin/community.default").exists());
}

#[test]
fn what_waits_in_a_default_source_comes_home_before_what_waits_in_a_stand_in() {
    let (scratch, config) = with_its_source_away(OnUnavailable::Default);
    let (db, _) = open(&config);
    set(&db, "older").unwrap();
    db.close();
    // As a release that noted nothing of it left it: with the default source down its own is used, and goes away again.
    std::fs::remove_file(scratch.file("standin/community.default")).unwrap();
    carry(&scratch.file("primary.db"), &scratch.file("primary.away"));
    let mut other = config.clone();
    other.sources.get_mut(&name("community")).unwrap().on_unavailable = OnUnavailable::StandIn;
    come_back(&scratch);
    let (db, _) = open(&other);
    set(&db, "at home").unwrap();
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    let _ = set(&db, "newer");
    eventually("a stand-in serves", || set(&db, "newer").is_ok());
    db.close();
    carry(&scratch.file("primary.away"), &scratch.file("primary.db"));
    let (db, control) = open(&other);
    let report = control.journal(None, 10).unwrap();
    assert_eq!(report.counts[&name("community")].0, 2, "one in each: {report:?}");
    come_back(&scratch);
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    db.close();
    assert_eq!(language(&scratch), "newer");
    let waiting: i64 = sqlite(&scratch.file("primary.db"))
        .query_row("SELECT COUNT(*) FROM switchyard_journal", [], |row| row.get(0))
        .unwrap();
    assert_eq!(waiting, 0);
}

#[test]
fn where_nothing_waits_in_the_default_source_a_start_that_reads_it_says_so() {
    let scratch = Scratch::new();
    let config = config(&scratch, OnUnavailable::Default);
    let (db, _) = open(&config);
    say(&db, "1", "before").unwrap();
    db.close();
    std::fs::create_dir(scratch.file("standin")).unwrap();
    std::fs::write(scratch.file("standin/community.default"), "").unwrap();
    let (db, _) = open(&config);
    assert!(!db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before"]);
    db.set_chat_setting(ChatId(-2), "language", "fr").unwrap();
    db.close();
    assert!(!scratch.file("standin/community.default").exists());
}
