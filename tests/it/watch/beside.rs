//! What happens beside the file, and what is asked for.

use std::fs;
use std::time::{Duration, Instant};

use config::Outcome;

use super::{LIVE, SETTLED, Site};
use crate::support::sqlite;

#[test]
fn databases_that_are_written_beside_the_file_and_reading_it_cause_nothing() {
    let site = Site::plain();
    site.quiet(SETTLED);
    let database = sqlite(&site.file.with_file_name("bot.db"));
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.execute_batch("CREATE TABLE t (n)").unwrap();
    for number in 0..100 {
        database.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
        site.says();
    }
    site.quiet(SETTLED);
    assert_eq!(site.watch.last(), None);
}

#[test]
fn who_asks_is_answered_at_once_and_the_watch_does_it_no_second_time() {
    let site = Site::plain();
    fs::write(&site.file, site.text(1)).unwrap();
    let before = Instant::now();
    assert_eq!(site.watch.reload_now().outcome, Outcome::Applied);
    assert!(before.elapsed() < Duration::from_secs(1));
    site.live(before);
    assert_eq!(site.watch.reload_now().outcome, Outcome::Unchanged);
    fs::write(&site.file, "[").unwrap();
    let told = site.watch.reload_now();
    assert!(matches!(told.outcome, Outcome::Refused(_)));
    site.quiet(SETTLED);
    assert_eq!(site.watch.last(), Some(told));
}

#[test]
fn the_end_of_a_watch_waits_for_nothing() {
    let site = Site::plain();
    let Site { watch, file, applied, scratch } = site;
    fs::write(&file, super::text(scratch.path(), 1)).unwrap();
    let before = Instant::now();
    watch.stop();
    assert!(before.elapsed() < LIVE / 3);
    assert!(applied.recv().is_err());
}
