//! Homes whose file, or whose content, becomes another while chats come home: nothing is forgotten elsewhere that is not
//! in what is there in the end.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use database::maintenance::{BackupOptions, BackupSet, backup};
use database::multi::{self, Control};
use database::{Clock as _, DatabaseWrapper, NewMessage, OnUnavailable, SystemClock, UserId};
use rstest::rstest;

use super::coming::slow_at_home;
use super::{AWAY, config, say, texts};
use crate::multi::{carry, eventually, name, open};
use crate::support::{Scratch, sqlite};

/// More than are made at home in two transactions.
const WRITES: usize = 600;

/// A chat that has said something at home, and what is done with its home before it goes away.
fn coming_home(policy: OnUnavailable, then: impl FnOnce(&Scratch)) -> (Scratch, DatabaseWrapper, Control) {
    let scratch = Scratch::new();
    let mut config = config(&scratch, policy);
    // What is under way is waited for, also on a machine that does other things too.
    config.sources.get_mut(&name("community")).unwrap().timeout = Duration::from_secs(60);
    let (db, _) = open(&config);
    say(&db, "0", "before").unwrap();
    db.close();
    then(&scratch);
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    slow_at_home(&scratch, "chat_messages", 30_000);
    let (db, control) = open(&config);
    for number in 1..=WRITES as i64 {
        let message = NewMessage::text(number, db.now(), UserId(7), format!("meanwhile {number:03}"));
        db.save_chat_message(AWAY, &message).unwrap();
    }
    carry(&scratch.file("away.db"), &scratch.file("community.db"));
    eventually("some are made at home", || {
        let made = "SELECT 1 FROM switchyard_made";
        sqlite(&scratch.file("community.db")).query_row(made, [], |_| Ok(())).is_ok()
    });
    assert!(db.is_displaced(AWAY), "others are yet to be made");
    (scratch, db, control)
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn a_home_is_not_home_before_its_log_is(#[case] policy: OnUnavailable) {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch, policy));
    say(&db, "0", "before").unwrap();
    carry(&scratch.file("community.db"), &scratch.file("away.db"));
    eventually("it is found out", || control.retry(&name("community")).is_err());
    say(&db, "1", "meanwhile").unwrap();
    std::fs::rename(scratch.file("away.db"), scratch.file("community.db")).unwrap();
    let error = control.retry(&name("community")).unwrap_err().to_string();
    assert!(error.contains("put the log beside it") && db.is_displaced(AWAY), "{error}");
    std::fs::rename(scratch.file("away.db-wal"), scratch.file("community.db-wal")).unwrap();
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    assert_eq!(texts(&db), ["before", "meanwhile"]);
    db.close();
}

/// Waits until all is at home, and looks whether it is there.
fn check(scratch: &Scratch, db: DatabaseWrapper, control: &Control) {
    eventually("it is home", || control.retry(&name("community")).is_ok() && !db.is_displaced(AWAY));
    let all = texts(&db);
    let missing = (1..=WRITES).filter(|number| !all.contains(&format!("meanwhile {number:03}"))).count();
    assert_eq!((missing, all.len()), (0, WRITES + 1));
    eventually("nothing waits", || control.journal(None, 1).unwrap().entries.is_empty());
    db.close();
    let counted = "SELECT SUM(messages_count) FROM chat_stats WHERE chat_id = -1";
    let counted: i64 = sqlite(&scratch.file("community.db")).query_row(counted, [], |row| row.get(0)).unwrap();
    assert_eq!(counted, WRITES as i64 + 1, "each is counted once");
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn a_home_that_is_exchanged_while_chats_come_home_has_all_of_it_in_the_end(#[case] policy: OnUnavailable) {
    let (scratch, db, control) = coming_home(policy, |scratch| {
        // By another process: in this one only SQLite opens databases.
        let copied = Command::new("cp").args([scratch.file("community.db"), scratch.file("copy.db")]).status();
        assert!(copied.unwrap().success());
    });
    carry(&scratch.file("community.db"), &scratch.file("gone.db"));
    carry(&scratch.file("copy.db"), &scratch.file("community.db"));
    check(&scratch, db, &control);
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn a_home_that_is_put_back_while_chats_come_home_has_all_of_it_in_the_end(#[case] policy: OnUnavailable) {
    let mut set = None;
    let (scratch, db, control) = coming_home(policy, |scratch| {
        let (site, folder) = (multi::site(&config(scratch, policy)), scratch.file("backups"));
        let mut tell = |_| ControlFlow::Continue(());
        let report = backup(&site, &folder, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
        set = Some(BackupSet::open(Path::new(&report.path), None).unwrap());
    });
    let mut tell = |_| ControlFlow::Continue(());
    control.restore(&name("community"), &set.unwrap(), false, SystemClock.now(), &mut tell).unwrap();
    check(&scratch, db, &control);
}
