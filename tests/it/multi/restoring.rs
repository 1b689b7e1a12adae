//! Backups that are put back where they do not belong, and while the source is configured otherwise: what is refused,
//! and that nothing is changed then.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use database::maintenance::{BackupOptions, BackupSet, MaintenanceError, Restored, backup};
use database::multi::{self, Control, RestoreOptions};
use database::{ChatId, Clock as _, DatabaseConfig, DatabaseWrapper, Health, Route, SystemClock};
use rstest::rstest;

use super::{config_of, eventually, name, open};
use crate::support::{Scratch, rows, sqlite};

const CHAT: ChatId = ChatId(-100);

/// Two databases in which something is set, and a backup of them.
fn made(folder: &Path) -> (DatabaseConfig, PathBuf) {
    let config = config_of(folder, &["primary", "archive"], &[(CHAT.0, "archive")]);
    let (db, _) = open(&config);
    say(&db, "before");
    db.set_chat_setting(ChatId(7), "language", "before").unwrap();
    let mut tell = |_| ControlFlow::Continue(());
    let (site, to) = (multi::site(&config), folder.join("backups"));
    let report = backup(&site, &to, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
    say(&db, "after");
    db.close();
    (config, PathBuf::from(&report.path))
}

fn say(db: &DatabaseWrapper, value: &str) {
    db.set_chat_setting(CHAT, "language", value).unwrap();
}

fn language(db: &DatabaseWrapper) -> Option<String> {
    db.get_chat_setting(CHAT, "language").unwrap()
}

fn change(file: &Path, sql: &str) {
    assert_eq!(sqlite(file).execute(sql, []).unwrap(), 1);
}

/// Puts a file back as a source's while no bot runs. Answers why not, without what differs from run to run.
fn put_back(config: &DatabaseConfig, file: &Path, source: &str) -> Result<(), String> {
    let set = BackupSet::open(file, Some(&name(source))).unwrap();
    let mut tell = |_| ControlFlow::Continue(());
    match multi::restore(config, &set, &RestoreOptions::default(), SystemClock.now(), &mut tell) {
        Ok(outcomes) => {
            assert!(outcomes.len() == 1 && outcomes[0].restored.is_some(), "{outcomes:?}");
            Ok(())
        }
        Err(MaintenanceError::OtherDatabase { name, detail, .. }) => Err(format!("{name}: {detail}")),
        Err(error) => panic!("{error}"),
    }
}

const NO_UUID: &str = "DELETE FROM switchyard_meta WHERE key = 'uuid'";
const ANOTHER_UUID: &str = "UPDATE switchyard_meta SET value = 'another' WHERE key = 'uuid'";

#[test]
fn a_copy_that_is_none_of_the_default_source_is_not_put_back_there() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let (config, set) = made(scratch.path());
    let (_, others) = made(elsewhere.path());
    let before = rows(&scratch.file("primary.db"));
    let refused = |file: &Path| put_back(&config, file, "primary").unwrap_err();
    insta::assert_snapshot!(refused(&set.join("archive.db")), @"primary: it is of another source than the default one");
    insta::assert_snapshot!(refused(&others.join("primary.db")), @"primary: it is of another bot's databases");
    let copy = set.join("primary.db");
    change(&copy, ANOTHER_UUID);
    let reason = refused(&copy);
    assert!(reason.starts_with("primary: its uuid is another and not "), "{reason}");
    assert_eq!(rows(&scratch.file("primary.db")), before);
    // Where there is nothing that says otherwise, it is.
    std::fs::remove_file(scratch.file("primary.db")).unwrap();
    put_back(&config, &copy, "primary").unwrap();
    assert_eq!(rows(&scratch.file("primary.db")), rows(&copy));
}

#[test]
fn a_copy_that_is_none_of_a_source_that_nobody_remembers_is_not_put_back_there() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let (_, set) = made(scratch.path());
    let (_, others) = made(elsewhere.path());
    // It was never opened.
    let config = config_of(scratch.path(), &["primary", "archive", "attic"], &[(CHAT.0, "attic")]);
    let refused = |file: &Path| put_back(&config, file, "attic").unwrap_err();
    insta::assert_snapshot!(refused(&set.join("primary.db")), @"attic: it is of a default source");
    let (copy, attic) = (others.join("archive.db"), scratch.file("attic.db"));
    sqlite(&set.join("archive.db")).execute("VACUUM INTO ?1", [attic.to_str().unwrap()]).unwrap();
    let (before, reason) = (rows(&attic), refused(&copy));
    assert!(reason.starts_with("attic: its uuid is "), "{reason}");
    assert_eq!(rows(&attic), before);
    std::fs::remove_file(&attic).unwrap();
    put_back(&config, &copy, "attic").unwrap();
    assert_eq!(rows(&attic), rows(&copy));
    change(&copy, NO_UUID);
    insta::assert_snapshot!(refused(&copy), @"attic: it has no uuid");
}

fn restore(control: &Control, set: &Path, source: &str) -> Result<Restored, MaintenanceError> {
    let set = BackupSet::open(set, None).unwrap();
    let mut tell = |_| ControlFlow::Continue(());
    control.restore(&name(source), &set, false, SystemClock.now(), &mut tell)
}

#[test]
fn a_bot_that_runs_puts_neither_its_default_source_back_nor_one_that_is_only_read() {
    let scratch = Scratch::new();
    let (mut config, set) = made(scratch.path());
    config.sources.get_mut(&name("archive")).unwrap().readonly = true;
    let (db, control) = open(&config);
    let refused = restore(&control, &set, "primary").unwrap_err();
    assert!(matches!(&refused, MaintenanceError::DefaultSource { name } if name == "primary"), "{refused}");
    let refused = restore(&control, &set, "archive").unwrap_err();
    assert!(matches!(&refused, MaintenanceError::ReadOnlySource { name } if name == "archive"), "{refused}");
    assert_eq!(language(&db).as_deref(), Some("after"));
    db.close();
}

/// The configuration is changed while the restore waits for a call that is under way.
#[rstest]
#[case::the_source_itself(
    |config: &mut DatabaseConfig| config.sources.get_mut(&name("archive")).unwrap().max_connections += 1,
    Some("it was configured otherwise meanwhile")
)]
#[case::another_chats_source(
    |config: &mut DatabaseConfig| drop(config.chat_mapping.insert(ChatId(-200), name("archive"))),
    None
)]
fn what_is_put_back_is_the_source_as_it_is_configured(
    #[case] change: fn(&mut DatabaseConfig),
    #[case] refused: Option<&str>,
) {
    let scratch = Scratch::new();
    let (config, set) = made(scratch.path());
    let (db, control) = open(&config);
    let (begun, begins) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let restored = std::thread::scope(|scope| {
        let (db, control, set) = (&db, &control, &set);
        let end = end;
        scope.spawn(move || {
            db.read("test.hold", Route::Chat(CHAT), |_| {
                begun.send(()).unwrap();
                assert!(ends.recv().is_err());
                Ok(())
            })
        });
        begins.recv().unwrap();
        let restoring = scope.spawn(move || restore(control, set, "archive"));
        eventually("the restore waits", || control.status().sources[1].source.health == Health::Opening);
        let mut next = config.clone();
        change(&mut next);
        control.reload(&next).unwrap();
        drop(end);
        restoring.join().unwrap()
    });
    let expected = match (refused, restored) {
        (Some(reason), Err(MaintenanceError::InUse { detail, .. })) => {
            assert_eq!(detail, reason);
            "after"
        }
        (None, Ok(_)) => "before",
        (_, restored) => panic!("{restored:?}"),
    };
    assert_eq!(language(&db).as_deref(), Some(expected));
    say(&db, "then");
    assert_eq!(language(&db).as_deref(), Some("then"));
    db.close();
}
