//! The audit trail: what is told of reloads, of questions over all sources, of sources' files, of outages and returns.

use std::io::{self, Write};
use std::sync::{Mutex, Once};

use database::multi::Adopt;
use database::{ChatId, DatabaseConfig, OnUnavailable};
use rstest::rstest;

use super::{config_of, eventually, logged, name, open};
use crate::support::Scratch;
use crate::versions::schema::build;

const CHAT: ChatId = ChatId(-1);
/// How the names of sources begin whose records are kept, wherever they are written. No other test has such names.
const MARK: &str = "audited-";

/// The records about those sources: they are opened and looked at by threads of their own.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LISTENS: Once = Once::new();

/// Takes each record as one line.
struct Trail;

impl Write for Trail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if line.contains(MARK) {
            KEPT.lock().unwrap().push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps records of all threads from now on.
fn listen() {
    LISTENS.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter("database::audit=info")
            .with_writer(|| Trail)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The records that say this of a source.
fn told(source: &str, what: &str) -> Vec<String> {
    let of_source = format!(" source={source} ");
    let kept = KEPT.lock().unwrap();
    kept.iter().filter(|line| line.contains(&of_source) && line.contains(what)).cloned().collect()
}

/// The records among what was logged.
fn records(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("database::audit")).collect()
}

#[test]
fn a_reload_is_told_of_once_with_what_it_changed() {
    let scratch = Scratch::new();
    let (db, control) = open(&config_of(scratch.path(), &["primary"], &[]));
    let next = config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")]);
    let (change, log) = logged(|| control.reload(&next).unwrap());
    let told = records(&log);
    assert_eq!(told.len(), 1, "{log}");
    let generation = format!("generation={}", change.generation);
    let changed = "new source archive, chat -1: primary -> archive";
    for part in ["the configuration was reloaded", generation.as_str(), changed] {
        assert!(told[0].contains(part), "{part}: {log}");
    }
    // What changes nothing, and what is refused, is no reload.
    let (change, log) = logged(|| control.reload(&next).unwrap());
    assert!(change.is_none && records(&log).is_empty(), "{log}");
    let refused = config_of(scratch.path(), &["archive", "primary"], &[]);
    let (_, log) = logged(|| control.reload(&refused).unwrap_err());
    assert!(records(&log).is_empty(), "{log}");
    db.close();
}

#[test]
fn a_question_over_all_sources_is_told_of_and_one_to_a_named_source_as_such() {
    let scratch = Scratch::new();
    let (db, _) = open(&config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")]));
    let (_, log) = logged(|| db.get_all_group_chats().unwrap());
    let told = records(&log);
    assert_eq!(told.len(), 1, "{log}");
    for part in ["all sources are read", "get_all_group_chats", "sources=2"] {
        assert!(told[0].contains(part), "{part}: {log}");
    }
    let (_, log) = logged(|| db.on_source("archive").get_all_group_chats().unwrap());
    let told = records(&log);
    assert!(told.len() == 1 && told[0].contains("a source was named explicitly"), "{log}");
    let (_, log) = logged(|| db.get_chat_setting(CHAT, "language").unwrap());
    assert!(records(&log).is_empty(), "a call on a chat is no question over all: {log}");
    db.close();
}

#[test]
fn a_source_that_is_made_adopted_renamed_or_found_elsewhere_is_told_of_once_with_its_file() {
    listen();
    let scratch = Scratch::new();
    let with = |source: &str, file: &str| {
        let mut config = config_of(scratch.path(), &["primary", source], &[(CHAT.0, source)]);
        config.sources.get_mut(&name(source)).unwrap().path = scratch.file(file);
        config
    };
    let call = |config: &DatabaseConfig| {
        let (db, _) = open(config);
        db.set_chat_setting(CHAT, "language", "nl").unwrap();
        db.close();
    };
    // The second time there is nothing to tell.
    call(&with("audited-made", "one.db"));
    call(&with("audited-made", "one.db"));
    call(&with("audited-renamed", "one.db"));
    std::fs::rename(scratch.file("one.db"), scratch.file("two.db")).unwrap();
    call(&with("audited-renamed", "two.db"));
    // As an earlier release has left it.
    build(&scratch.file("three.db"), 6, "delete");
    call(&with("audited-old", "three.db"));
    // Another one altogether, which is refused until it is accepted.
    crate::support::open(&scratch.file("four.db")).close();
    let (db, control) = open(&with("audited-old", "four.db"));
    db.set_chat_setting(CHAT, "language", "fr").unwrap_err();
    assert_eq!(told("audited-old", "").len(), 1, "a refusal changes nothing");
    control.adopt(&name("audited-old"), Adopt::Present).unwrap();
    db.close();

    let expected = [
        ("audited-made", "a source was created", "one.db"),
        ("audited-renamed", "a source has another name", "one.db"),
        ("audited-renamed", "a source has another path", "two.db"),
        ("audited-old", "a source was adopted", "three.db"),
        ("audited-old", "a source has another database, as it was told to accept", "four.db"),
    ];
    for (source, what, file) in expected {
        let lines = told(source, what);
        assert_eq!(lines.len(), 1, "{what}: {lines:?}");
        assert!(lines[0].contains(scratch.file(file).to_str().unwrap()), "{lines:?}");
    }
    let of_all = ["audited-made", "audited-renamed", "audited-old"].map(|source| told(source, "").len());
    assert_eq!(of_all, [1, 2, 2], "and nothing else");
}

#[rstest]
#[case::stand_in(OnUnavailable::StandIn, "audited-stood-in-for", "by=stand-in")]
#[case::default(OnUnavailable::Default, "audited-in-the-default", "by=default")]
fn an_outage_is_told_of_with_who_stands_in_and_the_return_with_what_came_home(
    #[case] policy: OnUnavailable,
    #[case] source: &str,
    #[case] by: &str,
) {
    listen();
    let scratch = Scratch::new();
    let mut config = config_of(scratch.path(), &["primary", source], &[(CHAT.0, source)]);
    config.sources.get_mut(&name(source)).unwrap().on_unavailable = policy;
    let (db, _) = open(&config);
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.close();
    let (file, away) = (scratch.file(&format!("{source}.db")), scratch.file("away.db"));
    std::fs::rename(&file, &away).unwrap();

    let (db, control) = open(&config);
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    let lines = told(source, "a source is away; its chats are served elsewhere");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains(by), "{lines:?}");
    let is_home = "a source's chats are home again";
    assert!(told(source, is_home).is_empty());

    std::fs::rename(&away, &file).unwrap();
    control.retry(&name(source)).unwrap();
    // Told by whoever looks at it, just after they are.
    eventually("it is told of", || !told(source, is_home).is_empty());
    let lines = told(source, is_home);
    assert!(lines.len() == 1 && lines[0].contains("writes=1 parked=0"), "{lines:?}");
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("fr"));
    db.close();
}
