//! Configurations that are contradictory, or cannot be gone over to, and a system that gives no more threads.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use database::{ChatId, DatabaseConfig, DatabaseWrapper, Form, Options};
use rstest::rstest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{config_of, logged, name, open};
use crate::child::{self, Child};
use crate::support::{Scratch, sqlite};

const CHAT: ChatId = ChatId(-1);

fn two_in(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")])
}

/// What opening says of a configuration after a change.
fn refused(change: impl FnOnce(&mut DatabaseConfig)) -> String {
    let scratch = Scratch::new();
    let mut config = two_in(&scratch);
    change(&mut config);
    let error = DatabaseWrapper::open_multi(&config, Options::default()).err().unwrap();
    assert!(scratch.names().is_empty(), "nothing is made");
    error.to_string()
}

#[test]
fn a_contradictory_configuration_is_refused_before_anything_is_made() {
    insta::assert_snapshot!(refused(|config| config.default_source = name("none")), @"default_source is `none`, but must be the name of a source");
    insta::assert_snapshot!(refused(|config| config.sources.get_mut(&name("primary")).unwrap().readonly = true), @"default_source is `primary`, but must be a source that is not read-only");
    insta::assert_snapshot!(refused(|config| config.sources.get_mut(&name("archive")).unwrap().name = name("attic")), @"name is `archive`, but must be the name under which the source stands");
    insta::assert_snapshot!(refused(|config| drop(config.chat_mapping.insert(CHAT, name("none")))), @"chat_mapping is `none`, but must be the name of a source");
}

#[test]
fn what_cannot_be_gone_over_to_is_refused_and_everything_stays() {
    let scratch = Scratch::new();
    let config = two_in(&scratch);
    let (db, control) = open(&config);
    let said = |change: &dyn Fn(&mut DatabaseConfig)| {
        let mut next = config.clone();
        change(&mut next);
        let error = control.reload(&next).unwrap_err().to_string();
        assert_eq!(
            (control.status().generation, db.source_of(database::Route::Chat(CHAT)).unwrap()),
            (1, name("archive"))
        );
        error.replace(scratch.path().to_str().unwrap(), "DIR")
    };
    insta::assert_snapshot!(said(&|next| next.form = Form::SingleFile), @"a single file (`path`) cannot take the place of sources while the bot runs; restart it");
    insta::assert_snapshot!(said(&|next| next.data_dir = "/elsewhere".into()), @"`data_dir` cannot change from DIR to /elsewhere while the bot runs; restart it");
    insta::assert_snapshot!(said(&|next| next.default_source = name("archive")), @"the default source cannot change from `primary` to `archive` while the bot runs; restart it");
    insta::assert_snapshot!(said(&|next| next.sources.get_mut(&name("primary")).unwrap().path = "/elsewhere/x.db".into()), @"the default source's file cannot change from DIR/primary.db to /elsewhere/x.db while the bot runs, since what belongs to no chat would be left behind; restart the bot, and see `bot db move` for the chats");
    assert!(control.reload(&config).unwrap().is_none);
    db.close();
}

#[test]
fn a_change_says_each_chat_and_source() {
    let scratch = Scratch::new();
    let config = two_in(&scratch);
    let (db, control) = open(&config);
    insta::assert_snapshot!(control.reload(&config).unwrap(), @"nothing is different");
    let mut next = config_of(scratch.path(), &["primary", "attic"], &[(CHAT.0, "attic"), (-2, "attic")]);
    next.sources.get_mut(&name("primary")).unwrap().max_connections = 7;
    let change = control.reload(&next).unwrap();
    insta::assert_snapshot!(change, @"new source attic, dropped source archive, altered source primary, chat -2: primary -> attic, chat -1: archive -> attic");
    assert_eq!(change.generation, control.status().generation);
    next.chat_mapping.insert(ChatId(-3), name("primary"));
    insta::assert_snapshot!(control.reload(&next).unwrap(), @"no chat's route is different");
    db.close();
}

#[test]
fn a_source_that_a_chat_was_moved_to_has_to_stay() {
    let scratch = Scratch::new();
    let config = two_in(&scratch);
    open(&config).0.close();
    let moved = "INSERT INTO switchyard_routes (chat_id, source, file_said, updated_at)
                 VALUES (-7, 'archive', NULL, '2026-01-01 00:00:00')";
    sqlite(&scratch.file("primary.db")).execute_batch(moved).unwrap();
    let without = config_of(scratch.path(), &["primary"], &[]);
    let error = DatabaseWrapper::open_multi(&without, Options::default()).err().unwrap().to_string();
    insta::assert_snapshot!(error, @"the source `archive` cannot go: the chat -7 was moved there; keep it, or map the chat to another source in [database.chat_mapping]");
    let (db, control) = open(&config);
    assert_eq!(db.source_of(database::Route::Chat(ChatId(-7))).unwrap(), name("archive"));
    assert_eq!(control.reload(&without).unwrap_err().to_string(), error);
    db.close();
}

/// How many threads this process may have from here on: as many as the system gives, or not one more.
pub(super) fn allow_threads(are_allowed: bool) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    setrlimit(Resource::Nproc, Rlimit { current: if are_allowed { maximum } else { Some(0) }, maximum }).unwrap();
}

/// What the threads of this process are called, cut short by the system.
fn names_of_threads() -> Vec<String> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()).collect()
}

/// A helper's task: works on databases where no more threads are to be had, from the start on (`always`) or when all
/// that is needed is open (`later`).
pub(crate) fn without_threads(folder: &str, since: &str) {
    assert!(!rustix::process::geteuid().is_root(), "the limit does not count for root");
    let config = config_of(Path::new(folder), &["primary", "one", "two"], &[(-1, "one"), (-2, "two")]);
    allow_threads(since == "later");
    let ((db, control), log) = logged(|| open(&config));
    child::say(if log.contains("no thread can be started that closes sources") { "told" } else { "not told" });
    // Sources are opened by threads of their own.
    allow_threads(true);
    db.set_setting("language", "nl").unwrap();
    db.set_chat_setting(ChatId(-1), "language", "nl").unwrap();
    // One that has opened a source waits a while for the next.
    super::eventually("no thread waits for work", || !names_of_threads().iter().any(|name| name.starts_with("opens")));
    allow_threads(false);
    child::say(&db.get_chat_setting(ChatId(-2), "language").unwrap_err().to_string());
    let missing: Vec<_> =
        db.get_all_group_chats().unwrap().missing().iter().map(|missing| missing.source.to_string()).collect();
    child::say(&format!("missing: {}", missing.join(" ")));
    let next = config_of(Path::new(folder), &["primary"], &[]);
    child::say(&control.reload(&next).unwrap().to_string());
    // What is open goes on, and what is no longer configured is closed all the same, at the end if not before.
    db.set_chat_setting(ChatId(-1), "language", "fr").unwrap();
    let log_of_one = Path::new(folder).join("one.db-wal");
    if since == "later" {
        super::eventually("it is closed", || !log_of_one.exists());
    }
    assert_eq!(log_of_one.exists(), since == "always");
    db.close();
    child::say(&crate::support::names_in(Path::new(folder)).join(" "));
}

#[rstest]
#[case::always("always", "told")]
#[case::later("later", "not told")]
fn where_no_thread_is_to_be_had_what_is_open_goes_on(#[case] since: &str, #[case] told: &str) {
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
    let task = ["without-threads", scratch.path().to_str().unwrap(), since].map(OsStr::new);
    let mut said = Child::start_unprivileged(&task).lines();
    assert_eq!(said.remove(0), told);
    assert_eq!(
        said,
        [
            "settings.get_chat_setting on source `two`: the source is unavailable (no thread can be started to open it: \
             Resource temporarily unavailable (os error 11)); nothing was changed",
            "missing: two",
            "dropped source one, dropped source two, chat -2: two -> primary, chat -1: one -> primary",
            "one.db primary.db switchyard.lock",
        ]
    );
}
