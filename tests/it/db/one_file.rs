//! `bot db` where there is one file: in either build it looks, and nothing is there to be steered.

use insta::assert_snapshot;
use serde_json::Value;

use super::{files, plain};
use crate::program::{Home, Running};
use crate::support::names_in;

#[test]
fn it_shows_the_file_and_changes_nothing() {
    let home = Home::with_made();
    let before = files(&home.path(""));
    let said = home.run(&["db", "status"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_snapshot!(plain(&said.out), @"
        One file needs no lock, so whether a bot runs on it is not known. This is what the files show.
        Configuration: built-in defaults.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  readable  the rest  8  6  # KiB  [home]/data/bot.db
        ");
    let said = home.run(&["db", "route", "-5"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_snapshot!(said.out, @"Chat -5 is in primary: there is one database.");
    let said = home.run(&["db", "--json", "status"], "");
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&status["running"], &status["sources"][0]["state"]), (&false.into(), &"readable".into()));
    assert_eq!(status["sources"][0]["chats"], 8);
    let said = home.run(&["db", "route", "-5", "--json"], "");
    assert_snapshot!(said.out, @r#"{"running":false,"chat":-5,"source":"primary","why":"only","inherited_from":null,"certain":true,"not_followed":null,"disputed":null}"#);
    assert_eq!(files(&home.path("")), before);
}

/// Ends a test's use of a file, and answers what is in it.
fn said_in(path: &std::path::Path) -> i64 {
    let sql = "SELECT COUNT(*) FROM chat_messages WHERE message_text = 'said after'";
    crate::support::sqlite(path).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn it_is_checked_verified_brought_up_to_date_copied_and_put_back() {
    let home = Home::with_made();
    let before = files(&home.path(""));
    for args in [&["db", "check"][..], &["db", "verify", "--all"], &["db", "verify", "-5"]] {
        let said = home.run(args, "");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    }
    assert_eq!(files(&home.path("")), before, "looking changes nothing");
    let said = home.run(&["db", "migrate"], "");
    assert_eq!(said.code, Some(0));
    assert_snapshot!(plain(&said.out), @"
        SOURCE  STATE  FROM  TO  PATH
        primary  up to date  6.3  6.3  [home]/data/bot.db
        ");
    // A bot runs on it.
    let mut bot = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    let speak = |bot: &mut Running, text: &str| {
        bot.say(&format!("{{\"chat\":-5,\"user\":7,\"text\":\"{text}\"}}"));
        assert!(bot.hear().contains("replies"));
    };
    speak(&mut bot, "said before");
    let said = home.run(&["db", "backup", home.path("backups").to_str().unwrap(), "--keep", "1", "--json"], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let set = report["path"].as_str().unwrap().replace("[home]", home.path("").to_str().unwrap().trim_end_matches('/'));
    speak(&mut bot, "said after");
    assert_eq!(bot.end().code, Some(0));
    assert_eq!(said_in(&home.database()), 1);
    let said = home.run(&["db", "restore", &set], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said_in(&home.database()), 0);
    let kept = home.names().into_iter().find(|name| name.starts_with("bot.db.before-restore-")).unwrap();
    assert_eq!(said_in(&home.data().join(kept)), 1);
    // A file alone is of the one source there is; another bot's is not.
    std::fs::remove_file(home.database()).unwrap();
    let said = home.run(&["db", "restore", &format!("{set}/primary.db")], "");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(home.run(&["db", "check"], "").code, Some(0));
    let said = Home::with_made().run(&["db", "restore", &set], "");
    assert!(
        said.code == Some(1) && said.err.contains("is of another database than the source `primary` has"),
        "{said:?}"
    );
    let said = home.run(&["db", "restore", &set, "--source", "archive"], "");
    assert!(
        said.code == Some(2) && said.err.contains("there is no source `archive`; known are: `primary`"),
        "{said:?}"
    );
}

#[test]
fn a_set_with_other_sources_is_not_put_back_in_part_without_a_word() {
    let home = Home::with_made();
    let make = |folder: &str| {
        assert_eq!(home.run(&["-q", "db", "backup", folder], "").code, Some(0));
        let [set] = &names_in(&home.path(folder))[..] else { panic!("one set in {folder}") };
        home.path(folder).join(set)
    };
    let set = make("before");
    let mut bot = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    bot.say("{\"chat\":-77,\"user\":7,\"text\":\"said after\"}");
    assert!(bot.hear().contains("replies"));
    assert_eq!(bot.end().code, Some(0));
    // As if the chat had been in a source of its own then, and had been moved here since.
    std::fs::rename(make("after").join("primary.db"), set.join("archive.db")).unwrap();
    let mut manifest: Value = serde_json::from_str(&std::fs::read_to_string(set.join("backup.json")).unwrap()).unwrap();
    let mut archive = manifest["files"][0].clone();
    (archive["file"], archive["source"], archive["default"]) = ("archive.db".into(), "archive".into(), false.into());
    manifest["files"].as_array_mut().unwrap().push(archive);
    std::fs::write(set.join("backup.json"), manifest.to_string()).unwrap();
    let before = files(&home.data());
    let restore = |args: &[&str]| {
        let said = home.run(&[&["db", "restore", set.to_str().unwrap()], args].concat(), "");
        (said.code, said.err.replace(set.file_name().unwrap().to_str().unwrap(), "SET"))
    };
    for args in [&[][..], &["--even-so"]] {
        let (code, said) = restore(args);
        assert_eq!(code, Some(2), "{said}");
        insta::allow_duplicates! {
            assert_snapshot!(said, @"error: the backup [home]/before/SET has copies of sources that are not configured: `archive`; what their chats had would be missing. Configure [database.sources] and [database.chat_mapping] as they were when it was made, or name with --source what to put back");
        }
    }
    let (code, said) = restore(&["--source", "primary"]);
    assert_eq!(code, Some(1), "{said}");
    assert_snapshot!(said, @"error: the backup knows nothing of chats that were moved since: -77 (in primary); their rows would be gone. Put back the whole set under the configuration of its time, take a later backup, move them elsewhere with `bot db move` first, or put it back with --even-so");
    assert!(files(&home.data()) == before, "nothing was changed");
    assert_eq!(restore(&["--source", "primary", "--even-so"]).0, Some(0));
    assert_eq!(said_in(&home.database()), 0);
}

#[test]
fn before_there_is_a_file_it_says_so_and_makes_none() {
    let home = Home::new();
    let said = home.run(&["db", "status"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_snapshot!(plain(&said.out), @"
        One file needs no lock, so whether a bot runs on it is not known. This is what the files show.
        Configuration: built-in defaults.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  absent  the rest  -  -  -  [home]/data/bot.db
        ");
    assert!(!home.data().exists());
}

#[test]
fn what_cannot_be_read_is_told_and_left_as_it_is() {
    let home = Home::new();
    std::fs::create_dir(home.data()).unwrap();
    home.file("data/bot.db", "this is a text and no database at all, long enough to have a header".repeat(9));
    let before = files(&home.path(""));
    let said = home.run(&["db", "status"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""));
    assert_snapshot!(plain(&said.out), @"
        One file needs no lock, so whether a bot runs on it is not known. This is what the files show.
        Configuration: built-in defaults.

        SOURCE  STATE  ROUTED  CHATS  VERSION  SIZE  PATH
        primary  unusable  the rest  -  -  # KiB  [home]/data/bot.db

        primary is unusable: [home]/data/bot.db is not a SQLite database; correct the path, or move the file away to start with a new one
        ");
    assert_eq!(files(&home.path("")), before);
}

#[test]
fn what_needs_sources_says_what_it_needs() {
    let home = Home::new();
    let mut told = String::new();
    for args in [
        &["db", "adopt", "primary"][..],
        &["db", "retry", "primary"],
        &["db", "reload"],
        &["db", "move", "-5", "--to", "archive"],
    ] {
        let said = home.run(args, "");
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}");
        told += &said.err;
    }
    assert_snapshot!(told, @"
        error: there are no sources by name here, only one database file; name sources in [database.sources], and use a bot built with `cargo build --release -p bot --features multi-source`
        error: there are no sources by name here, only one database file; name sources in [database.sources], and use a bot built with `cargo build --release -p bot --features multi-source`
        error: there are no sources by name here, only one database file; name sources in [database.sources], and use a bot built with `cargo build --release -p bot --features multi-source`
        error: there are no sources by name here, only one database file; name sources in [database.sources], and use a bot built with `cargo build --release -p bot --features multi-source`
        ");
    assert!(!home.data().exists());
    for args in [&["db"][..], &["db", "route"], &["db", "route", "x"], &["db", "adopt", "No name"]] {
        assert_eq!(home.run(args, "").code, Some(2), "{args:?}");
    }
}

#[test]
fn several_bots_work_on_one_file_without_lock_or_socket() {
    let home = Home::new();
    let speak = |running: &mut Running, id: u32| {
        running.say(&format!("{{\"chat\":-5,\"user\":7,\"text\":\"/recall\",\"message_id\":{id}}}"));
        assert!(running.hear().contains("replies"));
    };
    let mut bots: Vec<_> = (0..3).map(|_| Running::start(&mut home.bot(&["-q", "console", "--json"]))).collect();
    for (bot, id) in bots.iter_mut().zip(1..) {
        speak(bot, id);
    }
    assert_eq!(home.names(), ["bot.db", "bot.db-shm", "bot.db-wal"]);
    // Looking goes on beside them.
    let said = home.run(&["db", "status"], "");
    assert!(said.code == Some(0) && said.out.contains("readable"), "{said:?}");
    for bot in bots {
        let said = bot.end();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
    assert_eq!(home.names(), ["bot.db"]);
    assert_eq!(home.one("SELECT count(*) FROM chat_messages WHERE message_text = '/recall'"), 3);
}

#[test]
fn the_version_says_what_it_was_built_with() {
    let said = Home::new().run(&["--version"], "");
    let features = if cfg!(feature = "multi-source") { "features: multi-source" } else { "no features" };
    let expected = format!("bot {} ({features}; SQLite {})\n", env!("CARGO_PKG_VERSION"), rusqlite::version());
    assert_eq!((said.code, said.out), (Some(0), expected));
}
