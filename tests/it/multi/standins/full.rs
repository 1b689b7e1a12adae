//! A source whose disk is full, and a write that the schema refuses: errors to the caller, and never an outage. Nobody
//! stands in, nothing of the chat goes elsewhere, and it goes on at home.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use database::multi::Control;
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Health, NewMessage, OnUnavailable, Route, UserId, params,
};
use rstest::rstest;

use super::super::{config_of, files_with, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, rows_of, sqlite};

const CHAT: ChatId = ChatId(-1);
/// What the chat's messages begin with, and nothing else does.
const CANARY: &str = "said in the archive";
/// The disk of the archive.
const DISK: usize = 4 << 20;

fn policy_of(text: &str) -> OnUnavailable {
    if text == "default" { OnUnavailable::Default } else { OnUnavailable::StandIn }
}

/// The archive is on a disk of its own, and has the chat.
fn config(folder: &Path, policy: OnUnavailable) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "archive"], &[(CHAT.0, "archive")]);
    let archive = config.sources.get_mut(&name("archive")).unwrap();
    (archive.on_unavailable, archive.path) = (policy, folder.join("small/archive.db"));
    config
}

fn write(db: &DatabaseWrapper, number: i64) -> database::Result<()> {
    let text = format!("{CANARY} {number} {}", "x".repeat(50_000));
    db.save_chat_message(CHAT, &NewMessage::text(number, db.now(), UserId(1), text))
}

/// Takes all the room that a disk has left.
fn take_all_room(ballast: &Path) {
    let full = std::fs::write(ballast, vec![1; 2 * DISK]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
}

/// Nobody stands in for the archive, or has since the start.
fn assert_no_outage(folder: &Path, db: &DatabaseWrapper, control: &Control) {
    assert!(!db.is_displaced(CHAT));
    assert_eq!(control.counts().outages, 0);
    assert!(!folder.join("standin/archive.db").exists());
}

/// Whether the archive is shown as one that is to be seen to, with the reason.
fn is_shown(control: &Control) -> bool {
    let sources = control.status().sources;
    let archive = sources.into_iter().find(|one| one.source.name == name("archive")).unwrap();
    assert_eq!(archive.away, None);
    let told: Vec<_> = control.outages().into_iter().map(|one| (one.source, one.served_by)).collect();
    match archive.source.health {
        Health::Unavailable { reason, .. } => {
            assert!(reason.contains("make room"), "{reason}");
            assert_eq!(told, [(name("archive"), None)]);
            true
        }
        _ => {
            assert_eq!(told, []);
            false
        }
    }
}

/// Nothing of the chat is in the default source's file, which is closed.
fn assert_nothing_in_primary(scratch: &Scratch) {
    assert_eq!(files_with(scratch, CANARY), [""; 0]);
    let primary = sqlite(&scratch.file("primary.db"));
    for table in ["chat_messages", "chat_stats", "chat_settings"] {
        assert_eq!(rows_of(&primary, table), [""; 0], "{table}");
    }
}

/// A helper's task: the archive's disk is full while it is open (`open`), before it is opened again (`again`), or before
/// its file is made (`first`). Says what a write is told, and that it is made once there is room.
pub(crate) fn fill_the_archive(folder: &str, policy: &str, when: &str) {
    let folder = Path::new(folder);
    let (config, ballast) = (config(folder, policy_of(policy)), folder.join("small/ballast"));
    let mut kept = 0;
    if when != "first" {
        let (db, _) = open(&config);
        write(&db, kept).unwrap();
        kept += 1;
        db.close();
    }
    if when != "open" {
        take_all_room(&ballast);
    }
    let (db, control) = open(&config);
    if when == "open" {
        write(&db, kept).unwrap();
        kept += 1;
        take_all_room(&ballast);
    }
    let error = loop {
        assert!(kept < 1000, "there is room");
        match write(&db, kept) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    child::say(&error.to_string());
    assert_no_outage(folder, &db, &control);
    assert_eq!(is_shown(&control), when != "open");
    if when == "open" {
        assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, kept, "reading goes on");
    } else {
        // Each call tries again, and the others go on.
        let read = db.get_chat_totals(CHAT).unwrap_err();
        assert!(matches!(read.kind(), ErrorKind::DiskFull), "{read}");
        let again = write(&db, kept).unwrap_err();
        assert!(matches!(again.kind(), ErrorKind::DiskFull), "{again}");
    }
    db.set_setting("others", "go on").unwrap();
    assert_no_outage(folder, &db, &control);
    std::fs::remove_file(&ballast).unwrap();
    write(&db, kept).unwrap();
    assert!(!is_shown(&control));
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, kept + 1, "what was answered, and nothing else");
    assert_no_outage(folder, &db, &control);
    db.close();
    child::say("written at home once there was room");
}

#[rstest]
fn a_full_disk_is_no_outage_and_the_chat_goes_on_at_home_once_there_is_room(
    #[values("stand-in", "default")] policy: &str,
    #[values("open", "again", "first")] when: &str,
) {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.file("small")).unwrap();
    let folder = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size={DISK} none {folder}/small; \"$0\" \"$@\"");
    let mut child = Child::start_in_namespace(&script, &["fill-the-archive", folder, policy, when].map(OsStr::new));
    assert_eq!(
        child.line(),
        "messages.save_chat_message on source `archive`: the disk is full: free some space; nothing was changed"
    );
    assert_eq!(child.line(), "written at home once there was room");
    child.finish();
    assert_nothing_in_primary(&scratch);
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn)]
#[case::default(OnUnavailable::Default)]
fn a_write_that_the_schema_refuses_is_no_outage_and_the_chat_goes_on_at_home(#[case] policy: OnUnavailable) {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.file("small")).unwrap();
    let (db, control) = open(&config(scratch.path(), policy));
    write(&db, 0).unwrap();
    let refused = db.write("test.refused", Route::Chat(CHAT), |tx| {
        tx.execute("INSERT INTO chat_settings (chat_id, key, value) VALUES (?1, NULL, 'x')", params![CHAT]).map(drop)
    });
    let refused = refused.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Constraint { .. }), "{refused}");
    assert_no_outage(scratch.path(), &db, &control);
    write(&db, 1).unwrap();
    assert_eq!(db.get_chat_totals(CHAT).unwrap().messages, 2);
    db.close();
    assert_nothing_in_primary(&scratch);
}
