//! A source that is away: who serves its chats meanwhile, and how they come home.

mod again;
mod coming;
mod exchanged;
pub(crate) mod failing;
pub(crate) mod full;
pub(crate) mod killed;
mod model;
mod property;
mod starting;
pub(crate) mod threadless;
pub(crate) mod torture;

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use database::multi::ServedBy;
use database::{ChatId, DatabaseConfig, ErrorKind, Health, NewMessage, OnUnavailable, UserId};
use rstest::rstest;

use super::{carry, config_of, eventually, files_with, name, open};
use crate::child::Child;
use crate::support::{Scratch, asked};

const AWAY: ChatId = ChatId(-1);

fn config(scratch: &Scratch, policy: OnUnavailable) -> DatabaseConfig {
    config_in(scratch.path(), policy)
}

fn config_in(folder: &Path, policy: OnUnavailable) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "community"], &[(-1, "community")]);
    config.sources.get_mut(&name("community")).unwrap().on_unavailable = policy;
    config
}

fn say(db: &database::DatabaseWrapper, id: &str, text: &str) -> database::Result<()> {
    db.update_chat_user(AWAY, UserId(7), "@ada", "Ada")?;
    db.save_chat_message(AWAY, &NewMessage::text(id, db.now(), UserId(7), text))
}

fn texts(db: &database::DatabaseWrapper) -> Vec<String> {
    let messages = db.get_chat_messages_since(AWAY, &Default::default()).unwrap();
    let mut texts: Vec<_> = messages.into_iter().map(|message| message.message_text).collect();
    texts.sort();
    texts
}

/// A chat that has said something, and whose source's file is away since.
fn with_its_source_away(policy: OnUnavailable) -> (Scratch, DatabaseConfig) {
    let scratch = Scratch::new();
    let config = config(&scratch, policy);
    let (db, _) = open(&config);
    say(&db, "1", "before").unwrap();
    db.close();
    std::fs::rename(scratch.file("community.db"), scratch.file("away.db")).unwrap();
    (scratch, config)
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn, ServedBy::StandIn)]
#[case::default(OnUnavailable::Default, ServedBy::Default)]
fn what_is_written_while_a_source_is_away_comes_home(#[case] policy: OnUnavailable, #[case] by: ServedBy) {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch, policy));
    say(&db, "1", "before").unwrap();
    std::fs::create_dir(scratch.file("away")).unwrap();
    let (file, away) = (scratch.file("community.db"), scratch.file("away/community.db"));
    carry(&file, &away);
    // The write that finds it out is in the removed file, and says that it is not known to be kept.
    let _ = say(&db, "2", "lost in between");
    eventually("its chats are served elsewhere", || db.is_displaced(AWAY));
    say(&db, "3", "meanwhile").unwrap();
    assert_eq!(texts(&db), ["meanwhile"]);
    // What is served in its place is in an answer over all sources, and that is said not to be all there is.
    let missing = db.get_all_group_chats().unwrap().missing().to_vec();
    assert_eq!(missing.iter().map(|missing| missing.source.as_str()).collect::<Vec<_>>(), ["community"]);
    assert!(missing[0].reason.contains("it is away"), "{}", missing[0].reason);
    let community = |control: &database::multi::Control| control.status().sources.remove(1);
    assert_eq!(community(&control).away.unwrap().0, by);
    assert!(!file.exists(), "nothing is made in its place");
    carry(&away, &file);
    control.retry(&name("community")).unwrap();
    assert!(!db.is_displaced(AWAY));
    let all = texts(&db);
    assert!(all.contains(&"before".to_owned()) && all.contains(&"meanwhile".to_owned()), "{all:?}");
    eventually("the stand-in is removed", || !scratch.file("standin/community.db").exists());
    db.close();
    let expected: &[&str] = if by == ServedBy::Default { &["community.db", "primary.db"] } else { &["community.db"] };
    assert_eq!(files_with(&scratch, "meanwhile"), expected);
}

#[test]
fn what_is_refused_meanwhile_is_judged_at_home_by_the_rows_that_are_there() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (db, control) = open(&config);
    // At home message 1 is Ada's (7); meanwhile it is Bob's, and what is Ada's is erased.
    let of = |user, text: &str| db.save_chat_message(AWAY, &NewMessage::text("1", db.now(), UserId(user), text));
    of(8, "refused at home").unwrap();
    db.erase_user(AWAY, UserId(7)).unwrap();
    for (user, username, name) in [(7, "@ada", "Ada"), (8, "@bob", "Bob")] {
        db.update_chat_user(AWAY, UserId(user), username, name).unwrap();
    }
    let refused = of(7, "refused meanwhile").unwrap_err();
    assert!(refused.is_duplicate(), "{refused}");
    assert_eq!(texts(&db), ["refused at home"]);
    let journal = control.journal(None, 10).unwrap();
    assert_eq!(journal.entries.len(), 5);
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    control.retry(&name("community")).unwrap();
    assert_eq!(texts(&db), ["refused meanwhile"]);
    db.close();
}

#[test]
fn what_waits_in_a_stand_in_outlives_the_bot() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (db, _) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    db.close();
    let (db, _) = open(&config);
    assert!(db.is_displaced(AWAY), "from the first call on");
    assert_eq!(texts(&db), ["meanwhile"]);
    say(&db, "3", "still away").unwrap();
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    eventually("it comes home by itself", || !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile", "still away"]);
    db.close();
}

#[test]
fn where_calls_are_to_fail_they_fail_and_nothing_is_made() {
    let (scratch, config) = with_its_source_away(OnUnavailable::Fail);
    let (db, _) = open(&config);
    let refused = say(&db, "2", "meanwhile").unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::SourceUnavailable { .. }), "{refused}");
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    eventually("it is well again", || say(&db, "3", "after").is_ok());
    assert_eq!(texts(&db), ["after", "before"]);
    db.close();
    assert!(!scratch.file("standin").exists());
}

/// `HELD_SECONDS=30` holds it as long as a backup would.
#[test]
fn a_source_that_another_process_holds_is_busy_and_not_away() {
    let scratch = Scratch::new();
    let mut config = config(&scratch, OnUnavailable::StandIn);
    let timeout = Duration::from_secs(2);
    // What a build for tests takes on a machine that does other things too.
    let besides = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 300 });
    config.sources.get_mut(&name("community")).unwrap().timeout = timeout;
    let (db, control) = open(&config);
    say(&db, "1", "before").unwrap();
    let held = asked("HELD_SECONDS", 3);
    let path = scratch.file("community.db");
    let mut holder = Child::start(&["hold", path.to_str().unwrap(), "BEGIN EXCLUSIVE"].map(OsStr::new));
    assert_eq!(holder.line(), "held");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(held) {
        let asked = Instant::now();
        let refused = say(&db, "2", "meanwhile").unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Busy { .. }), "{refused}");
        assert!(asked.elapsed() < timeout + besides, "{:?}", asked.elapsed());
        assert_eq!(texts(&db), ["before"], "it is read");
        // The others are not held up.
        db.set_chat_setting(ChatId(-2), "language", "fr").unwrap();
    }
    assert!(!db.is_displaced(AWAY));
    assert_eq!(control.status().sources[1].source.health, Health::Open);
    assert_eq!(control.counts().outages, 0);
    holder.finish();
    say(&db, "3", "after").unwrap();
    assert_eq!(texts(&db), ["after", "before"]);
    db.close();
}

#[test]
fn a_stand_in_that_is_gone_is_not_begun_anew() {
    let (scratch, config) = with_its_source_away(OnUnavailable::StandIn);
    let (stand_in, taken) = (scratch.file("standin/community.db"), scratch.file("taken.db"));
    // Found out while it is open, and over a restart.
    let (db, control) = open(&config);
    say(&db, "2", "meanwhile").unwrap();
    carry(&stand_in, &taken);
    eventually("it is found out", || say(&db, "3", "refused").is_err());
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    control.retry(&name("community")).unwrap_err();
    let refused = say(&db, "4", "refused").unwrap_err();
    assert!(refused.to_string().contains("is missing or empty, and held what was written"), "{refused}");
    carry(&taken, &stand_in);
    eventually("it comes home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
}
