//! An import that is ended in the middle, and how much memory one needs.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::Stdio;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use tests::rows::{dump, times_of_storing};

use super::*;
use crate::program::{Running, until};

/// Three chats, 21,000 records.
const LONG: MadeUp = MadeUp { chats: 3, records: 7_000, first_chat: 100 };

fn write_export(home: &Home, name: &str, made_up: MadeUp) -> PathBuf {
    let path = home.path(name);
    made_up.write(BufWriter::new(File::create(&path).unwrap())).unwrap();
    path
}

/// Rows of an import that nothing disturbed.
fn undisturbed(export: &Path) -> Vec<String> {
    let home = Home::new();
    let said = home.run(&["-q", "import", export.to_str().unwrap()], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(home.one("SELECT COUNT(*) FROM chat_messages"), LONG.messages() * LONG.chats);
    assert_counters(&home);
    rows(&home)
}

fn rows(home: &Home) -> Vec<String> {
    dump(&home.database(), times_of_storing).unwrap()
}

/// Waits until so many records are committed, as another process sees it.
fn until_committed(home: &Home, records: i64) {
    let mut connection: Option<Connection> = None;
    until("a batch is committed", || {
        if connection.is_none() && home.database().exists() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            connection = Connection::open_with_flags(home.database(), flags).ok();
        }
        let sum = "SELECT COALESCE(SUM(records), 0) FROM switchyard_imports";
        let committed = connection.as_ref().and_then(|open| open.query_row(sum, [], |row| row.get::<_, i64>(0)).ok());
        committed.is_some_and(|committed| committed >= records)
    });
}

#[test]
fn killed_at_any_moment_and_begun_again_nothing_is_lost_or_doubled() {
    let exports = Home::new();
    let export = write_export(&exports, "long.json", LONG);
    let expected = undisturbed(&export);
    let mut killed = 0;
    for round in 0..10 {
        let home = Home::new();
        // Once and again: the second run is killed as well.
        for records in [round * 1_900 + 1, round * 1_900 + 4_000] {
            let mut running = Running::start(&mut home.bot(&["import", export.to_str().unwrap()]));
            until_committed(&home, records.min(18_000));
            running.child.kill().unwrap();
            let status = running.child.wait().unwrap();
            killed += u32::from(status.code().is_none());
        }
        let said = home.run(&["-q", "import", export.to_str().unwrap()], "");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        assert_same_rows(&rows(&home), &expected, &format!("round {round}"));
        assert_counters(&home);
    }
    assert!(killed >= 12, "only {killed} of 20 runs were killed before they ended");
}

#[test]
fn asked_to_stop_it_says_so_and_goes_on_from_there_next_time() {
    let home = Home::new();
    let export = write_export(&home, "long.json", LONG);
    let expected = undisturbed(&export);
    for (signal, after) in [(Signal::TERM, 1), (Signal::INT, 4_001)] {
        let running = Running::start(&mut home.bot(&["import", export.to_str().unwrap()]));
        until_committed(&home, after);
        running.signal(signal);
        let said = running.wait();
        assert_eq!(said.code, Some(1), "{said:?}");
        let error = said.err.lines().last().unwrap();
        assert_eq!(
            error,
            format!("error: {}: stopped; run the same command again to go on from there", export.display())
        );
        assert!(said.out.contains("\nStored "), "{}", said.out);
        assert!(!home.names().contains(&"bot.db-wal".to_owned()));
    }
    let said = home.run(&["-q", "import", export.to_str().unwrap()], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_same_rows(&rows(&home), &expected, "stopped twice");
}

#[test]
fn what_is_stored_already_can_be_stopped_as_well() {
    let home = Home::new();
    let export = write_export(&home, "long.json", LONG);
    let db = home.open();
    let report = import(&db, &export, &Options::default(), &|| true);
    assert!(report.error.as_ref().is_some_and(bot::import::ImportError::is_stop));
    assert_eq!(home.one("SELECT records FROM switchyard_imports"), 2_000);
    let report = import(&db, &export, &Options::default(), &|| true);
    assert!(report.error.as_ref().is_some_and(bot::import::ImportError::is_stop));
    assert_eq!(report.chats[0].new, 0);
}

#[test]
fn ten_times_as_long_it_needs_no_more_memory() {
    let exports = Home::new();
    let peak = |name: &str, made_up: MadeUp| {
        let home = Home::new();
        let export = write_export(&exports, name, made_up);
        let mut command = home.bot(&["-q", "import", export.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
        let (status, peak) = tests::peak::wait(&mut child).unwrap();
        assert!(status.success());
        assert_eq!(home.one("SELECT COUNT(*) FROM chat_messages"), made_up.messages() * made_up.chats);
        peak
    };
    let once = peak("once.json", MadeUp { chats: 2, records: 4_000, first_chat: 1 });
    let ten_times = peak("ten-times.json", MadeUp { chats: 20, records: 4_000, first_chat: 1_000 });
    assert!(once > 1_000_000, "{once} bytes is no process");
    assert!(ten_times < once + 10_000_000, "{once} bytes once, {ten_times} bytes ten times");
}
