//! Looking after files as a user for whom permissions count, and copying while the log is long and others hold locks.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use database::maintenance::{BackupOptions, CheckOptions, Site, backup, check};
use database::{
    ChatId, Clock as _, DatabaseConfig, Form, NewMessage, PartialResults, SourceConfig, SourceName, SystemClock, UserId,
};

use crate::child::Child;
use crate::support::{Scratch, names_in, open, sqlite, time};

fn site_of(data: &Path) -> Site {
    let source = SourceConfig::new(data.join("bot.db"));
    let config = DatabaseConfig {
        form: Form::SingleFile,
        data_dir: data.to_owned(),
        sources: [(source.name.clone(), source.clone())].into(),
        default_source: SourceName::primary(),
        chat_mapping: std::collections::BTreeMap::new(),
        partial_results: PartialResults::Warn,
    };
    Site::of_file(&config, &source)
}

/// What a check of a folder finds, and what comes of a backup, as one line.
pub(crate) fn look_after(data: &str, backups: &str) -> String {
    assert!(!rustix::process::geteuid().is_root(), "permissions do not count for root");
    let site = site_of(Path::new(data));
    let report = check(&site, CheckOptions::default());
    let found: Vec<_> = report.findings.iter().map(|finding| finding.what.clone()).collect();
    let mut tell = |_| ControlFlow::Continue(());
    let made = backup(&site, Path::new(backups), &BackupOptions::default(), SystemClock.now(), &mut tell);
    let made = made.map_or_else(|error| error.to_string(), |_| "made".to_owned());
    format!("{} | {made}", found.join(", ")).replace(data, "[data]").replace(backups, "[backups]")
}

#[test]
fn what_a_user_may_not_read_or_write_is_said() {
    let scratch = Scratch::new();
    let allow = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    allow(scratch.path(), 0o755);
    let (data, backups) = (scratch.file("data"), scratch.file("backups"));
    for folder in [&data, &backups] {
        std::fs::create_dir(folder).unwrap();
        allow(folder, 0o755);
    }
    let file = data.join("bot.db");
    open(&file).close();
    let answer = || {
        let task = ["look-after", data.to_str().unwrap(), backups.to_str().unwrap()];
        Child::start_unprivileged(&task.map(OsStr::new)).answer()
    };
    let said = answer();
    assert!(
        said.starts_with("[data]/bot.db cannot be read by this user | the backup cannot be written: [backups]"),
        "{said}"
    );
    allow(&backups, 0o777);
    let said = answer();
    assert!(
        said.ends_with(
            "| nothing could be copied: primary: [data]/bot.db cannot be read by this user; change its owner or mode"
        ),
        "{said}"
    );
    assert!(names_in(&backups).is_empty());
    // One that may be read, in a mode that needs files beside it.
    allow(&file, 0o644);
    let said = answer();
    assert!(said.contains("is in write-ahead mode") && said.contains("| nothing could be copied"), "{said}");
    sqlite(&file).execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let said = answer();
    assert!(said.contains("every user of this machine can read it") && said.ends_with("| made"), "{said}");
    assert_eq!(names_in(&data), ["bot.db"]);
}

#[test]
fn a_copy_has_what_is_in_the_log_and_waits_for_nobody_who_writes() {
    let scratch = Scratch::new();
    let data = scratch.file("data");
    std::fs::create_dir(&data).unwrap();
    let db = open(&data.join("bot.db"));
    db.save_chat_message(ChatId(1), &NewMessage::text(1_i64, time("2026-01-01 00:00:00"), UserId(1), "said")).unwrap();
    assert!(std::fs::metadata(data.join("bot.db-wal")).unwrap().len() > 0, "it is in the log");
    // Somebody is in the middle of a write.
    let writer = sqlite(&data.join("bot.db"));
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE chat_messages SET message_text = 'never committed'").unwrap();
    let folder = scratch.file("backups");
    let mut tell = |_| ControlFlow::Continue(());
    let report = backup(&site_of(&data), &folder, &BackupOptions::default(), SystemClock.now(), &mut tell).unwrap();
    writer.execute_batch("ROLLBACK").unwrap();
    let copy = sqlite(&Path::new(&report.path).join("primary.db"));
    let text: String = copy.query_row("SELECT message_text FROM chat_messages", [], |row| row.get(0)).unwrap();
    assert_eq!(text, "said");
    db.close();
}
