//! Tests of databases that are put back while the process goes on: none is opened without what its log holds alone, and
//! none is kept out that has it.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::super::budget::WRITER;
use super::super::file::beside;
use super::super::moment::Moment;
use super::super::test_opener::Plain;
use super::super::{Budget, Opener, Source, SourceConfig, look_closer};
use super::*;
use crate::params;

const ALL: [&str; 3] = ["", "-wal", "-shm"];

/// A folder with a source, whose database is in `0.db`.
struct Site {
    folder: tempfile::TempDir,
    source: Arc<Source>,
    opener: Arc<Plain>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opener = Arc::new(Plain::within(Budget::of(WRITER)));
        let source = Self::source_of(folder.path(), "0.db", &opener);
        Self { folder, source, opener }
    }

    fn source_of(folder: &Path, name: &str, opener: &Arc<Plain>) -> Arc<Source> {
        let config = SourceConfig { timeout: Duration::from_secs(10), ..SourceConfig::new(folder.join(name)) };
        Arc::new(Source::lazy(config, Arc::clone(opener) as Arc<dyn Opener>))
    }

    fn at(&self, name: &str, suffix: &str) -> std::path::PathBuf {
        beside(&self.folder.path().join(name), suffix)
    }

    /// One with a row, which was carried away and whose source has found that out.
    fn carried_away(is_another_disk: bool) -> Self {
        let site = Self::new();
        site.insert(1).unwrap();
        site.carry_away(is_another_disk);
        site.insert(2).unwrap_err();
        site
    }

    /// Writes a row.
    fn insert(&self, row: u32) -> crate::Result<()> {
        let sql = "REPLACE INTO settings (key, value, created_at, updated_at) VALUES (?1, 'x', '', '')";
        let key = format!("kept {row}");
        self.source.write("test.insert", None, |tx| tx.execute(sql, params![key]).map(drop))
    }

    /// Counts the rows anew, whatever was answered before.
    fn read(&self) -> crate::Result<i64> {
        self.source.door.forget_failure();
        let sql = "SELECT COUNT(*) FROM settings WHERE key LIKE 'kept %'";
        self.source.read("test.read", |tx| tx.value::<i64>("settings", sql, params![])).map(Option::unwrap_or_default)
    }

    /// Brings one of the files from one place to the other.
    fn bring(&self, from: &str, to: &str, suffix: &str, is_another_disk: bool) {
        let [from, to] = [from, to].map(|name| self.at(name, suffix));
        if !is_another_disk {
            return fs::rename(from, to).unwrap();
        }
        copy(&from, &to);
        fs::remove_file(from).unwrap();
    }

    fn carry_away(&self, is_another_disk: bool) {
        for suffix in ALL.into_iter().filter(|suffix| self.at("0.db", suffix).exists()) {
            self.bring("0.db", "away", suffix, is_another_disk);
        }
    }

    fn refuses(&self) {
        let error = self.read().unwrap_err().to_string();
        assert!(error.contains("put the log beside it"), "{error}");
    }
}

/// By another process: in this one only SQLite opens databases.
fn run(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-p").args([from, to]));
}

#[rstest]
fn a_file_is_not_opened_before_its_log_is_back_in_whatever_order_they_come(
    #[values([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])] order: [usize; 3],
    #[values(false, true)] is_another_disk: bool,
) {
    let site = Site::carried_away(is_another_disk);
    for suffix in order.map(|nth| ALL[nth]) {
        let [file, log] = ["", "-wal"].map(|suffix| site.at("0.db", suffix));
        if suffix == "-wal" && file.exists() {
            // It comes in pieces.
            copy(&site.at("away", "-wal"), &log);
            let half = fs::metadata(&log).unwrap().len() / 2;
            run(Command::new("truncate").arg(format!("--size={half}")).arg(&log));
            site.refuses();
        }
        site.bring("away", "0.db", suffix, is_another_disk);
        match (file.exists(), log.exists()) {
            // On the same disk what was written last is in the log.
            (true, true) => assert_eq!(site.read().unwrap(), if is_another_disk { 1 } else { 2 }),
            (true, false) => site.refuses(),
            // Nothing is made in its place.
            (false, _) => {}
        }
    }
    site.source.close();
    assert!(!site.at("0.db", "-wal").exists());
    assert!(Site { source: Site::source_of(site.folder.path(), "0.db", &site.opener), ..site }.read().unwrap() >= 1);
}

/// What is done to a database before it is carried away.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert,
    Read,
    /// The log is moved into the file and is empty then.
    Empty,
    /// It is moved by another connection, and begins anew with the next write.
    Move,
    /// Another connection holds the last moment from now on, so that what comes next is not moved.
    Hold,
    LetGo,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Insert),
        1 => Just(Step::Read),
        1 => Just(Step::Empty),
        2 => Just(Step::Move),
        1 => Just(Step::Hold),
        1 => Just(Step::LetGo),
    ]
}

/// How many rows there are in a file without its log.
fn rows_alone(path: &Path) -> i64 {
    let uri = format!("file:{}?immutable=1", path.display());
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let file = rusqlite::Connection::open_with_flags(uri, flags).unwrap();
    file.query_row("SELECT COUNT(*) FROM settings WHERE key LIKE 'kept %'", [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_put_back_is_opened_exactly_where_nothing_is_missing(
        steps in proptest::collection::vec(step(), 0..12),
        is_another_disk: bool,
        finds_out_by_writing: bool,
    ) {
        let site = Site::new();
        let (mut rows, mut held) = (0, None);
        site.read().unwrap();
        for step in steps {
            match step {
                Step::Insert => {
                    rows += 1;
                    site.insert(rows).unwrap();
                }
                Step::Read => prop_assert_eq!(site.read().unwrap(), i64::from(rows)),
                Step::Empty => drop(site.source.checkpoint("test.checkpoint").unwrap()),
                Step::Move => {
                    let other = rusqlite::Connection::open(site.at("0.db", "")).unwrap();
                    other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
                }
                Step::Hold => {
                    let other = rusqlite::Connection::open(site.at("0.db", "")).unwrap();
                    other.execute_batch("BEGIN; SELECT COUNT(*) FROM settings").unwrap();
                    held = Some(other);
                }
                Step::LetGo => held = None,
            }
        }
        drop(held);
        site.carry_away(is_another_disk);
        let mut may_be = vec![i64::from(rows)];
        if finds_out_by_writing {
            site.insert(rows + 1).unwrap_err();
            // What was not answered may have been kept, where it is the same log.
            may_be.push(i64::from(rows) + 1);
        } else {
            // A file is looked at so often.
            std::thread::park_timeout(Duration::from_millis(120));
            site.read().unwrap_err();
        }
        let alone = rows_alone(&site.at("away", ""));
        site.bring("away", "0.db", "", is_another_disk);
        match site.read() {
            Ok(found) => prop_assert_eq!((found, alone), (i64::from(rows), i64::from(rows))),
            Err(error) => {
                // (A log that has begun anew with what was not answered may be as long as the one before was.)
                prop_assert!(alone < i64::from(rows) || finds_out_by_writing, "nothing is missing: {}", error);
                prop_assert!(error.to_string().contains("put the log beside it"), "{}", error);
                site.bring("away", "0.db", "-wal", is_another_disk);
                let found = site.read().unwrap();
                prop_assert!(may_be.contains(&found), "{} of {:?}", found, may_be);
            }
        }
        site.source.close();
    }
}

#[test]
fn a_file_into_which_somebody_moved_its_log_meanwhile_needs_none() {
    let site = Site::carried_away(false);
    // (The time of a change is counted in steps of some milliseconds.)
    std::thread::park_timeout(Duration::from_millis(50));
    rusqlite::Connection::open(site.at("away", ""))
        .unwrap()
        .query_row("SELECT COUNT(*) FROM settings", [], |row| row.get::<_, i64>(0))
        .unwrap();
    assert!(!site.at("away", "-wal").exists());
    site.bring("away", "0.db", "", false);
    assert_eq!(site.read().unwrap(), 2);
    site.source.close();
}

#[rstest]
fn a_file_that_was_closed_for_others_is_opened_again_with_its_log_only(#[values(false, true)] is_link: bool) {
    let site = Site::new();
    if is_link {
        symlink(site.at("elsewhere", ""), site.at("0.db", "")).unwrap();
        drop(rusqlite::Connection::open(site.at("elsewhere", "")).unwrap().execute_batch("PRAGMA user_version = 0"));
        run(Command::new("touch").arg(site.at("elsewhere", "")));
    }
    site.insert(1).unwrap();
    let other = Site::source_of(site.folder.path(), "1.db", &site.opener);
    let close_for_the_other = || other.read("test.read", |_| Ok(())).unwrap();
    close_for_the_other();
    assert!(!site.source.is_open());
    assert_eq!(site.read().unwrap(), 1);
    close_for_the_other();
    let log = site.at(if is_link { "elsewhere" } else { "0.db" }, "-wal");
    fs::rename(&log, site.at("away", "")).unwrap();
    site.refuses();
    fs::rename(site.at("away", ""), &log).unwrap();
    assert_eq!(site.read().unwrap(), 1);
    [other, site.source].iter().for_each(|source| source.close());
}

#[test]
fn a_source_with_other_settings_needs_the_log_that_the_one_before_it_left() {
    let mut site = Site::carried_away(false);
    let settings = SourceConfig { max_connections: 3, ..site.source.config().clone() };
    let after = Source::lazy(settings, Arc::clone(&site.opener) as Arc<dyn Opener>);
    after.follows(&site.source);
    site.source = Arc::new(after);
    site.bring("away", "0.db", "", false);
    site.refuses();
    // Nor does it do to have had it closed for something that was not done.
    site.source.while_closed("test.nothing", || ()).unwrap();
    site.refuses();
    site.bring("away", "0.db", "-wal", false);
    assert_eq!(site.read().unwrap(), 2);
    site.source.close();
}

#[rstest]
fn a_log_that_is_put_back_during_a_look_stays(#[values(false, true)] is_to_be_copied: bool) {
    let site = Site::carried_away(false);
    site.bring("away", "0.db", "", false);
    if is_to_be_copied {
        let moment = Moment::of(&site.at("0.db", ""), Duration::from_secs(10)).unwrap();
        site.bring("away", "0.db", "-wal", false);
        // Nor is it opened with what the look sees.
        site.refuses();
        drop(moment);
    } else {
        let seen = look_closer(site.source.config());
        let sql = "SELECT COUNT(*) FROM settings";
        seen.read("test.read", |tx| tx.value::<i64>("settings", sql, params![])).unwrap().unwrap();
        site.bring("away", "0.db", "-wal", false);
        site.refuses();
        drop(seen);
    }
    assert_eq!(site.read().unwrap(), 2);
    site.source.close();
}

#[test]
fn a_backup_in_the_place_of_a_damaged_file_needs_no_log() {
    let site = Site::new();
    site.insert(1).unwrap();
    assert!(site.source.checkpoint("test.checkpoint").unwrap());
    let file = site.at("0.db", "");
    copy(&file, &site.at("backup", ""));
    std::thread::park_timeout(Duration::from_millis(50));
    site.insert(2).unwrap();
    let other = Site::source_of(site.folder.path(), "1.db", &site.opener);
    other.read("test.read", |_| Ok(())).unwrap();
    assert!(!site.source.is_open());
    run(Command::new("truncate").arg("--size=0").arg(&file));
    site.read().unwrap_err();
    fs::remove_file(site.at("0.db", "-wal")).unwrap();
    // The same file as the system sees it, with another content and an earlier time.
    run(Command::new("touch").arg("--date=2026-01-01").arg(site.at("backup", "")));
    copy(&site.at("backup", ""), &file);
    assert_eq!(site.read().unwrap(), 1);
    [other, site.source].iter().for_each(|source| source.close());
}

#[test]
fn a_file_that_another_source_still_has_open_is_not_opened_without_its_log() {
    let mut site = Site::new();
    site.insert(1).unwrap();
    let settings = SourceConfig { max_connections: 3, ..site.source.config().clone() };
    let roomy = Arc::new(Plain::within(Budget::of(9 * WRITER)));
    let after = Source::lazy(settings, Arc::clone(&roomy) as Arc<dyn Opener>);
    after.follows(&site.source);
    // Nobody has found out that it is away, nor has the one from before been closed.
    site.carry_away(false);
    let before = std::mem::replace(&mut site.source, Arc::new(after));
    site.bring("away", "0.db", "", false);
    site.refuses();
    site.bring("away", "0.db", "-wal", false);
    assert_eq!(site.read().unwrap(), 1);
    site.insert(2).unwrap();
    before.close();
    assert_eq!(site.read().unwrap(), 2);
    site.source.close();
    assert!(!site.at("0.db", "-wal").exists());
}

#[rstest]
fn a_source_that_follows_one_that_is_being_closed_finds_all_it_needs(#[values(false, true)] is_dropped: bool) {
    let mut site = Site::new();
    let roomy = Arc::new(Plain::within(Budget::of(9 * WRITER)));
    for row in 1..=60 {
        site.insert(row).unwrap();
        let after = Site::source_of(site.folder.path(), "0.db", &roomy);
        let before = std::mem::replace(&mut site.source, after);
        std::thread::scope(|scope| {
            let closing = scope.spawn(move || if is_dropped { drop(before) } else { before.close() });
            assert_eq!(site.read().unwrap(), i64::from(row));
            closing.join().unwrap();
        });
    }
    site.source.close();
}
