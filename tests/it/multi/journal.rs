//! What waits for a source that is away and what was kept aside, as whoever runs the bot is told of it.

use std::ops::ControlFlow;
use std::time::Duration;

use database::multi::{Control, JournalReport, MoveOptions, look, look_at_journal};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, NewMessage, OnUnavailable, UserId};
use rstest::rstest;

use super::standins::killed::count_up;
use super::{config_of, eventually, name, open};
use crate::support::{Scratch, sqlite};

const AWAY: ChatId = ChatId(-1);

fn config(scratch: &Scratch, policy: OnUnavailable) -> DatabaseConfig {
    let mut config = config_of(scratch.path(), &["primary", "community"], &[(-1, "community")]);
    config.sources.get_mut(&name("community")).unwrap().on_unavailable = policy;
    config
}

fn say(db: &DatabaseWrapper, id: &str, text: &str) -> database::Result<()> {
    db.save_chat_message(AWAY, &NewMessage::text(id, db.now(), UserId(7), text))
}

/// A bot whose source `community` has been away since before it was started, with two writes that wait.
fn with_two_waiting(scratch: &Scratch, policy: OnUnavailable) -> (DatabaseConfig, DatabaseWrapper, Control) {
    let config = config(scratch, policy);
    let (db, _) = open(&config);
    db.update_chat_user(AWAY, UserId(7), "@ada", "Ada").unwrap();
    say(&db, "1", "before").unwrap();
    db.close();
    std::fs::rename(scratch.file("community.db"), scratch.file("away.db")).unwrap();
    let (db, control) = open(&config);
    say(&db, "2", "a secret").unwrap();
    say(&db, "3", "another").unwrap();
    (config, db, control)
}

fn come_back(scratch: &Scratch, db: &DatabaseWrapper, control: &Control) {
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    control.retry(&name("community")).unwrap();
    assert!(!db.is_displaced(AWAY));
}

fn counts(report: &JournalReport) -> Vec<(String, u64, u64)> {
    report.counts.iter().map(|(name, (waiting, parked))| (name.to_string(), *waiting, *parked)).collect()
}

/// Has every message with this text refused by a file, as a rule of its schema would.
fn forbid(scratch: &Scratch, file: &str, text: &str) {
    let sql = format!(
        "CREATE TRIGGER forbidden BEFORE INSERT ON chat_messages WHEN NEW.message_text = '{text}'
         BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
    );
    sqlite(&scratch.file(file)).execute_batch(&sql).unwrap();
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn what_waits_is_listed_without_what_was_written(#[case] policy: OnUnavailable) {
    let scratch = Scratch::new();
    let (config, db, control) = with_two_waiting(&scratch, policy);
    let running = control.journal(None, 10).unwrap();
    assert_eq!(counts(&running), [("community".to_owned(), 2, 0)]);
    let listed: Vec<_> = running.entries.iter().map(|one| (one.op.as_str(), one.chat, one.at.is_some())).collect();
    assert_eq!(listed, [("messages.save_chat_message", Some(AWAY), true); 2]);
    assert!(!format!("{running:?}").contains("secret"));
    assert_eq!(running.missing.len(), 1, "what was kept aside in the file that is away is not known");
    assert_eq!(control.journal(Some(&name("community")), 1).unwrap().entries, running.entries[..1]);
    assert_eq!(counts(&control.journal(Some(&name("primary")), 10).unwrap()), []);
    let refused = control.journal(Some(&name("nowhere")), 10).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::UnknownSource { .. }));
    let told = control.particulars(Duration::from_secs(10));
    assert_eq!((told[&name("community")].waiting, told[&name("community")].parked), (Some(2), None));
    assert_eq!((told[&name("primary")].waiting, told[&name("primary")].parked), (Some(0), Some(0)));
    assert_eq!(told[&name("primary")].version, Some(6));
    assert!(told[&name("primary")].uuid.is_some() && told[&name("community")].uuid.is_none());
    let outages = control.outages();
    assert_eq!(outages.len(), 1);
    assert_eq!((&outages[0].source, outages[0].served_by.is_some()), (&name("community"), true));
    assert!(outages[0].reason.as_ref().unwrap().contains("bot db adopt"));
    db.close();

    let files = look_at_journal(&config, None, 10);
    assert_eq!((&files.entries, &files.counts), (&running.entries, &running.counts));
    let seen = look(&config).sources.remove(1);
    assert_eq!((seen.served_by.is_some(), seen.waiting, seen.parked), (true, Some(2), None));

    let (db, control) = open(&config);
    come_back(&scratch, &db, &control);
    assert_eq!(control.outages(), []);
    eventually("nothing waits any more", || counts(&control.journal(None, 10).unwrap()).is_empty());
    assert_eq!(control.particulars(Duration::from_secs(10))[&name("community")].waiting, Some(0));
    db.close();
    assert_eq!(look_at_journal(&config, None, 10), JournalReport::default());
    let seen = look(&config).sources.remove(1);
    assert_eq!((seen.served_by, seen.waiting, seen.parked), (None, Some(0), Some(0)));
}

#[test]
fn what_cannot_be_made_at_home_is_kept_aside_until_it_is_made_or_given_up() {
    let scratch = Scratch::new();
    let (config, db, control) = with_two_waiting(&scratch, OnUnavailable::StandIn);
    forbid(&scratch, "away.db", "a secret");
    come_back(&scratch, &db, &control);
    let texts = || {
        let messages = db.get_chat_messages_since(AWAY, &Default::default()).unwrap();
        messages.into_iter().map(|message| message.message_text).collect::<Vec<_>>()
    };
    assert_eq!(texts().len(), 2);
    let home = name("community");
    let report = control.journal(None, 10).unwrap();
    assert_eq!(counts(&report), [("community".to_owned(), 0, 1)]);
    let kept = &report.entries[0];
    assert_eq!((kept.op.as_str(), kept.chat), ("messages.save_chat_message", Some(AWAY)));
    assert!(kept.reason.as_ref().unwrap().contains("schema does not allow it"), "{kept:?}");
    assert!(!format!("{report:?}").contains("secret"));
    assert_eq!(control.particulars(Duration::from_secs(10))[&home].parked, Some(1));

    let again = control.retry_parked(&home).unwrap();
    assert_eq!((again.settled, &again.still[0].id), (0, &kept.id));
    assert!(!control.drop_parked(&home, "00000000:1").unwrap(), "there is none of this id");
    assert_eq!(control.particulars(Duration::from_secs(10))[&home].parked, Some(1));
    sqlite(&scratch.file("community.db")).execute_batch("DROP TRIGGER forbidden").unwrap();
    let again = control.retry_parked(&home).unwrap();
    assert_eq!((again.settled, again.still.len()), (1, 0));
    assert!(texts().contains(&"a secret".to_owned()));
    assert_eq!(counts(&control.journal(None, 10).unwrap()), []);
    assert_eq!(control.retry_parked(&home).unwrap().settled, 0, "once");
    db.close();
    assert_eq!(look_at_journal(&config, None, 10), JournalReport::default());
}

#[test]
fn a_write_that_was_given_up_is_gone_and_no_other() {
    let scratch = Scratch::new();
    let (config, db, control) = with_two_waiting(&scratch, OnUnavailable::StandIn);
    sqlite(&scratch.file("away.db"))
        .execute_batch(
            "CREATE TRIGGER forbidden BEFORE INSERT ON chat_messages BEGIN SELECT RAISE(ABORT, 'forbidden'); END",
        )
        .unwrap();
    come_back(&scratch, &db, &control);
    db.close();
    let kept = look_at_journal(&config, Some(&name("community")), 10).entries;
    assert_eq!(kept.len(), 2);
    let (db, control) = open(&config);
    assert!(control.drop_parked(&name("community"), &kept[0].id).unwrap());
    assert_eq!(control.journal(None, 10).unwrap().entries, kept[1..]);
    db.close();
}

#[test]
fn what_was_kept_aside_is_not_touched_while_its_source_is_away() {
    let scratch = Scratch::new();
    let (_, db, control) = with_two_waiting(&scratch, OnUnavailable::StandIn);
    let refused = control.retry_parked(&name("community")).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::SourceUnavailable { .. }), "{refused}");
    db.close();
}

/// The messages of the chat in a file, and how many are counted.
fn in_file(scratch: &Scratch, file: &str) -> (i64, i64) {
    let file = sqlite(&scratch.file(file));
    let number = |sql: &str| -> i64 { file.query_row(sql, [], |row| row.get(0)).unwrap() };
    let counted = "SELECT COALESCE(SUM(messages_count), 0) FROM chat_stats WHERE chat_id = -1";
    (number("SELECT COUNT(*) FROM chat_messages WHERE chat_id = -1"), number(counted))
}

/// A chat with a message and a count that were kept aside at `community`, and that was moved to `archive` since.
fn moved_since(scratch: &Scratch) -> (DatabaseWrapper, Control) {
    let with_archive = || {
        let mut config = config_of(scratch.path(), &["primary", "archive", "community"], &[(-1, "community")]);
        config.sources.get_mut(&name("community")).unwrap().on_unavailable = OnUnavailable::StandIn;
        config
    };
    let (_, db, control) = with_two_waiting(scratch, OnUnavailable::StandIn);
    count_up(&db, AWAY).unwrap();
    forbid(scratch, "away.db", "a secret");
    let counts = "CREATE TRIGGER counts BEFORE INSERT ON chat_settings BEGIN SELECT RAISE(ABORT, 'forbidden'); END";
    sqlite(&scratch.file("away.db")).execute_batch(counts).unwrap();
    come_back(scratch, &db, &control);
    db.close();
    sqlite(&scratch.file("community.db")).execute_batch("DROP TRIGGER forbidden; DROP TRIGGER counts").unwrap();
    let (db, control) = open(&with_archive());
    control.move_chat(AWAY, &name("archive"), &MoveOptions::default(), |_| ControlFlow::Continue(())).unwrap();
    (db, control)
}

#[test]
fn a_write_that_was_kept_aside_is_made_where_its_chat_is_now_and_once() {
    let scratch = Scratch::new();
    let (db, control) = moved_since(&scratch);
    let again = control.retry_parked(&name("community")).unwrap();
    assert_eq!((again.settled, again.still.len()), (2, 0), "{again:?}");
    assert_eq!(in_file(&scratch, "community.db"), (0, 0), "the file that the chat has left");
    assert_eq!(in_file(&scratch, "archive.db"), (3, 3));
    assert_eq!(counts(&control.journal(None, 10).unwrap()), []);
    db.close();
}

#[test]
fn a_retry_that_was_killed_half_way_makes_nothing_twice() {
    let scratch = Scratch::new();
    let (db, control) = moved_since(&scratch);
    let community = sqlite(&scratch.file("community.db"));
    community.execute_batch("CREATE TABLE copy AS SELECT * FROM switchyard_parked").unwrap();
    assert_eq!(control.retry_parked(&name("community")).unwrap().settled, 2);
    // As if it had been killed once the write was made there, and before it was forgotten here.
    community.execute_batch("INSERT INTO switchyard_parked SELECT * FROM copy").unwrap();
    assert_eq!(control.retry_parked(&name("community")).unwrap().settled, 2);
    assert_eq!(in_file(&scratch, "archive.db"), (3, 3));
    assert_eq!(db.get_chat_setting(AWAY, "count").unwrap().as_deref(), Some("1"), "counted once");
    db.close();
}

#[test]
fn a_write_that_fails_where_its_chat_is_now_is_kept_aside_there() {
    let scratch = Scratch::new();
    let (db, control) = moved_since(&scratch);
    forbid(&scratch, "archive.db", "a secret");
    let again = control.retry_parked(&name("community")).unwrap();
    assert_eq!((again.settled, &again.still[0].source), (1, &name("archive")), "{again:?}");
    assert_eq!(counts(&control.journal(None, 10).unwrap()), [("archive".to_owned(), 0, 1)]);
    sqlite(&scratch.file("archive.db")).execute_batch("DROP TRIGGER forbidden").unwrap();
    assert_eq!(control.retry_parked(&name("archive")).unwrap().settled, 1);
    assert_eq!((in_file(&scratch, "community.db"), in_file(&scratch, "archive.db")), ((0, 0), (3, 3)));
    db.close();
}

#[test]
fn a_write_that_was_kept_aside_waits_while_its_chats_new_source_is_away() {
    let scratch = Scratch::new();
    let (db, control) = moved_since(&scratch);
    db.close();
    std::fs::rename(scratch.file("archive.db"), scratch.file("archive.away")).unwrap();
    let mut config = config_of(scratch.path(), &["primary", "archive", "community"], &[(-1, "community")]);
    config.sources.get_mut(&name("archive")).unwrap().on_unavailable = OnUnavailable::StandIn;
    let (db, control2) = open(&config);
    drop(control);
    say(&db, "9", "meanwhile").unwrap();
    let again = control2.retry_parked(&name("community")).unwrap();
    assert!(again.still[0].reason.as_ref().unwrap().contains("`archive`"), "{again:?}");
    assert_eq!((again.settled, in_file(&scratch, "community.db")), (0, (0, 0)));
    db.close();
}

#[test]
fn writes_of_a_source_that_is_configured_no_more_are_told_of() {
    let scratch = Scratch::new();
    let (config, db, _) = with_two_waiting(&scratch, OnUnavailable::StandIn);
    db.close();
    let mut without = config.clone();
    without.sources.remove(&name("community"));
    without.chat_mapping.clear();
    for report in [look_at_journal(&without, None, 10), {
        let (db, control) = open(&without);
        let report = control.journal(None, 10).unwrap();
        db.close();
        report
    }] {
        assert_eq!(counts(&report), [("community".to_owned(), 2, 0)]);
        assert!(report.missing[0].reason.contains("configure it again"), "{:?}", report.missing);
    }
    let left = database::multi::ownerless(&without);
    assert_eq!(left, [(name("community"), scratch.file("standin/community.db"))]);
    assert_eq!(database::multi::ownerless(&config), []);
}
