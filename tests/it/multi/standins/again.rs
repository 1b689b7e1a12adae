//! Sources that are configured again while the bot runs: what waits for them comes home before anything newer is made
//! there, and no file that this run did not begin is taken for an empty one.

use database::multi::ServedBy;
use database::{DatabaseConfig, OnUnavailable};
use rstest::rstest;

use super::{AWAY, say, texts, with_its_source_away};
use crate::multi::{carry, eventually, name, open};
use crate::support::{Scratch, names_in, sqlite};

fn language(scratch: &Scratch) -> Option<String> {
    let sql = "SELECT value FROM chat_settings WHERE chat_id = -1 AND key = 'language'";
    sqlite(&scratch.file("community.db")).query_row(sql, [], |row| row.get(0)).ok()
}

fn come_back(scratch: &Scratch) {
    carry(&scratch.file("away.db"), &scratch.file("community.db"));
}

/// The same configuration without the source.
fn without(config: &DatabaseConfig) -> DatabaseConfig {
    let mut without = config.clone();
    without.sources.remove(&name("community"));
    without.chat_mapping.clear();
    without
}

/// A chat whose writes wait for its source, which is not configured in this configuration.
fn orphaned(policy: OnUnavailable) -> (Scratch, DatabaseConfig) {
    let (scratch, config) = with_its_source_away(policy);
    let (db, _) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    db.set_chat_setting(AWAY, "language", "older").unwrap();
    db.close();
    (scratch, config)
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn, ServedBy::StandIn)]
#[case::default(OnUnavailable::Default, ServedBy::Default)]
fn a_source_that_is_configured_again_is_away_until_what_waits_is_home(
    #[case] policy: OnUnavailable,
    #[case] by: ServedBy,
) {
    let (scratch, config) = orphaned(policy);
    let (db, control) = open(&without(&config));
    assert!(!db.is_displaced(AWAY));
    control.reload(&config).unwrap();
    assert!(db.is_displaced(AWAY), "from the first call on");
    assert_eq!(control.status().sources[1].away.unwrap().0, by);
    assert_eq!(control.journal(None, 10).unwrap().counts[&name("community")].0, 3);
    assert_eq!(texts(&db), ["meanwhile"]);
    db.set_chat_setting(AWAY, "language", "newer").unwrap();
    come_back(&scratch);
    eventually("it comes home by itself", || !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    eventually("nothing is left", || names_in(&scratch.file("standin")).is_empty());
    db.close();
    assert_eq!(language(&scratch).as_deref(), Some("newer"));
}

#[test]
fn a_source_that_can_be_written_again_is_away_until_what_waits_is_home() {
    let (scratch, config) = orphaned(OnUnavailable::StandIn);
    come_back(&scratch);
    let mut readonly = config.clone();
    readonly.sources.get_mut(&name("community")).unwrap().readonly = true;
    let (db, control) = open(&readonly);
    assert!(!db.is_displaced(AWAY));
    let report = control.journal(None, 10).unwrap();
    assert_eq!(report.counts[&name("community")].0, 3);
    let reasons: Vec<_> = report.missing.iter().map(|missing| missing.reason.as_str()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("it is only read"), "{reasons:?}");
    control.reload(&config).unwrap();
    eventually("it comes home by itself", || !db.is_displaced(AWAY) && texts(&db) == ["before", "meanwhile"]);
    db.close();
}

#[test]
fn a_stand_in_that_another_run_left_is_not_taken_for_one_that_holds_nothing() {
    let (scratch, config) = orphaned(OnUnavailable::StandIn);
    let (stand_in, taken) = (scratch.file("standin/community.db"), scratch.file("taken.db"));
    carry(&stand_in, &taken);
    come_back(&scratch);
    let (db, control) = open(&config);
    assert_eq!(texts(&db), ["before"]);
    carry(&taken, &stand_in);
    // Away for a moment, in which nobody opens what stands in: a write that failed so is made nowhere else.
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    db.set_chat_setting(AWAY, "x", "not known to be kept").unwrap_err();
    assert!(db.is_displaced(AWAY));
    come_back(&scratch);
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
}
