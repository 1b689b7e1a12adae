//! Each source is opened on its own file only: a wrong, an empty or a missing one is never taken for it.

use std::path::Path;

use database::multi::{Adopt, Control};
use database::{ChatId, DatabaseConfig, DatabaseWrapper, ErrorKind, Health, Options};
use rstest::rstest;

use super::{config_of, eventually, name, open};
use crate::support::{Scratch, rows_of, sqlite};
use crate::versions::schema::build;

const CHAT: ChatId = ChatId(-1);

/// A default source and an archive, which has a chat.
fn archive_in(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &["primary", "archive"], &[(CHAT.0, "archive")])
}

/// Makes the databases of a configuration, with the chat's language in each.
fn make(config: &DatabaseConfig) {
    let (db, _) = open(config);
    db.set_setting("owner", "ada").unwrap();
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.close();
}

/// What a call on the chat says, with the folder called `DIR`; the source is unavailable.
fn said(scratch: &Scratch, db: &DatabaseWrapper) -> String {
    let error = db.set_chat_setting(CHAT, "language", "fr").unwrap_err();
    let ErrorKind::SourceUnavailable { reason } = error.kind() else { panic!("{error}") };
    reason.replace(scratch.path().to_str().unwrap(), "DIR")
}

fn language(db: &DatabaseWrapper) -> Option<String> {
    db.get_chat_setting(CHAT, "language").unwrap()
}

fn uuid(path: &Path) -> String {
    sqlite(path).query_row("SELECT value FROM switchyard_meta WHERE key = 'uuid'", [], |row| row.get(0)).unwrap()
}

/// The names that the default source remembers, and their uuids.
fn remembered(scratch: &Scratch) -> Vec<(String, String)> {
    let connection = sqlite(&scratch.file("primary.db"));
    let mut statement = connection.prepare("SELECT name, uuid FROM switchyard_sources ORDER BY name").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn replace(from: &Path, to: &Path) {
    std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
}

#[test]
fn an_unknown_source_is_made_and_remembered() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch);
    make(&config);
    assert_eq!(remembered(&scratch), [("archive".to_owned(), uuid(&scratch.file("archive.db")))]);
    assert_ne!(uuid(&scratch.file("archive.db")), uuid(&scratch.file("primary.db")));
    let installation = |file| {
        let sql = "SELECT value FROM switchyard_meta WHERE key = 'installation'";
        sqlite(&scratch.file(file)).query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(installation("archive.db"), installation("primary.db"));
}

#[test]
fn a_known_source_whose_file_is_missing_empty_or_anothers_is_unavailable_and_adopted_on_purpose() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch);
    make(&config);
    let path = scratch.file("archive.db");
    let away = scratch.file("away.db");
    std::fs::rename(&path, &away).unwrap();

    let (db, control) = open(&config);
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/archive.db is missing or empty, and the source `archive` had a database before (at DIR/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`");
    assert!(!path.exists());
    let refused = control.adopt(&name("archive"), Adopt::Present).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::SourceUnavailable { .. }) && !path.exists(), "{refused}");
    std::fs::write(&path, "").unwrap();
    control.retry(&name("archive")).unwrap_err();
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/archive.db is missing or empty, and the source `archive` had a database before (at DIR/archive.db); put it back or correct the path, or accept an empty one with `bot db adopt archive --new`");
    assert_eq!(path.metadata().unwrap().len(), 0);
    // Another database altogether, which would do as such.
    crate::support::open(&path).close();
    let before = std::fs::read(&path).unwrap();
    control.retry(&name("archive")).unwrap_err();
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/archive.db is another database than the one that the source `archive` had; put the right one back or correct the path, or accept this one with `bot db adopt archive`");
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(db.get_setting("owner").unwrap().as_deref(), Some("ada"), "the others go on");

    control.adopt(&name("archive"), Adopt::Present).unwrap();
    assert_eq!(language(&db), None);
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    db.close();
    assert_eq!(remembered(&scratch), [("archive".to_owned(), uuid(&path))]);
    assert_ne!(uuid(&path), uuid(&away));

    // Once accepted it is the source's own, and the first one is another's.
    let (db, control) = open(&config);
    assert_eq!(language(&db).as_deref(), Some("fr"));
    db.close();
    drop(control);
    std::fs::remove_file(&path).unwrap();
    let (db, control) = open(&config);
    said(&scratch, &db);
    control.adopt(&name("archive"), Adopt::New).unwrap();
    assert_eq!(language(&db), None);
    db.close();
    std::fs::remove_file(&path).unwrap();
    replace(&away, &path);
    let (db, _) = open(&config);
    assert!(said(&scratch, &db).contains("is another database"));
    db.close();
}

#[test]
fn what_was_accepted_once_is_not_accepted_for_good() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch);
    make(&config);
    let path = scratch.file("archive.db");
    std::fs::remove_file(&path).unwrap();
    let (db, control) = open(&config);
    control.adopt(&name("archive"), Adopt::New).unwrap();
    std::fs::remove_file(&path).unwrap();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(scratch.file(&format!("archive.db{suffix}"))).unwrap();
    }
    // Found out by the write, then by each call.
    db.set_chat_setting(CHAT, "language", "fr").unwrap_err();
    eventually("the reason is known", || said(&scratch, &db).contains("is missing or empty"));
    assert!(!path.exists());
    db.close();
}

#[test]
fn a_file_that_was_moved_or_copied_to_a_new_path_is_the_sources_still() {
    let scratch = Scratch::new();
    let mut config = archive_in(&scratch);
    make(&config);
    let id = uuid(&scratch.file("archive.db"));
    for path in ["moved.db", "copied.db"] {
        let path = scratch.file(path);
        let before = config.sources[&name("archive")].path.clone();
        if path.ends_with("moved.db") {
            std::fs::rename(&before, &path).unwrap();
        } else {
            replace(&before, &path);
            std::fs::remove_file(&before).unwrap();
        }
        config.sources.get_mut(&name("archive")).unwrap().path = path;
        let (db, _) = open(&config);
        assert_eq!(language(&db).as_deref(), Some("nl"));
        db.close();
        assert_eq!(remembered(&scratch), [("archive".to_owned(), id.clone())]);
    }
    let kept: String = sqlite(&scratch.file("primary.db"))
        .query_row("SELECT path FROM switchyard_sources", [], |row| row.get(0))
        .unwrap();
    assert_eq!(Path::new(&kept), scratch.file("copied.db"));
}

/// A third source, `copy`, with a chat of its own.
fn with_copy(scratch: &Scratch) -> DatabaseConfig {
    config_of(scratch.path(), &["primary", "archive", "copy"], &[(CHAT.0, "copy"), (-2, "archive")])
}

#[rstest]
fn of_two_sources_with_one_uuid_the_later_is_refused_and_an_accepted_copy_gets_its_own(
    #[values("archive", "primary")] of: &str,
) {
    let scratch = Scratch::new();
    make(&archive_in(&scratch));
    let [original, copy] = [of, "copy"].map(|file| scratch.file(&format!("{file}.db")));
    replace(&original, &copy);
    let before = std::fs::read(&copy).unwrap();
    let (db, control) = open(&with_copy(&scratch));
    let message = said(&scratch, &db).replace(of, "ORIGINAL");
    insta::allow_duplicates! { insta::assert_snapshot!(message, @"DIR/copy.db is the database of the source `ORIGINAL`, or a copy of it; give each source a file of its own, or accept the copy with `bot db adopt copy`"); }
    assert!(std::fs::read(&copy).unwrap() == before);
    control.adopt(&name("copy"), Adopt::Present).unwrap();
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
    let ids: Vec<_> = remembered(&scratch).into_iter().collect();
    assert_eq!(
        ids,
        [("archive", "archive.db"), ("copy", "copy.db")]
            .map(|(name, file)| (name.to_owned(), uuid(&scratch.file(file))))
    );
    assert_ne!(uuid(&original), uuid(&copy));
    let (db, _) = open(&with_copy(&scratch));
    assert_eq!(language(&db).as_deref(), Some("fr"));
    assert_eq!(db.get_chat_setting(ChatId(-2), "language").unwrap().as_deref(), Some("de"));
    db.close();
}

#[test]
fn of_two_new_names_for_one_uuid_opened_at_once_one_stays() {
    for _ in 0..5 {
        let scratch = Scratch::in_memory();
        let (one, other) = (scratch.file("one.db"), scratch.file("other.db"));
        crate::support::open(&one).close();
        replace(&one, &other);
        let config = config_of(scratch.path(), &["primary", "one", "other"], &[(-1, "one"), (-2, "other")]);
        let (db, _) = open(&config);
        let start = std::sync::Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let ask = |chat| {
                let (db, start) = (&db, &start);
                scope.spawn(move || {
                    start.wait();
                    db.set_chat_setting(ChatId(chat), "language", "nl")
                })
            };
            [ask(-1), ask(-2)].map(|thread| thread.join().unwrap())
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        db.close();
        assert_eq!(remembered(&scratch).len(), 1);
    }
}

#[test]
fn an_accepted_read_only_copy_leaves_what_it_was_made_of_known() {
    let scratch = Scratch::new();
    make(&archive_in(&scratch));
    replace(&scratch.file("archive.db"), &scratch.file("copy.db"));
    let mut config = with_copy(&scratch);
    config.sources.get_mut(&name("copy")).unwrap().readonly = true;
    let (db, control) = open(&config);
    control.adopt(&name("copy"), Adopt::Present).unwrap();
    assert_eq!(language(&db).as_deref(), Some("nl"));
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
    let (db, _) = open(&config);
    assert_eq!(language(&db).as_deref(), Some("nl"));
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
    let names: Vec<_> = remembered(&scratch).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["archive", "copy"]);
}

#[test]
fn a_file_without_a_uuid_is_adopted_on_first_sight() {
    let scratch = Scratch::new();
    build(&scratch.file("archive.db"), 6, "delete");
    let rows = rows_of(&sqlite(&scratch.file("archive.db")), "chat_messages");
    make(&archive_in(&scratch));
    assert_eq!(remembered(&scratch), [("archive".to_owned(), uuid(&scratch.file("archive.db")))]);
    assert_eq!(rows_of(&sqlite(&scratch.file("archive.db")), "chat_messages"), rows);
}

#[test]
fn a_read_only_file_without_a_uuid_is_known_by_its_place() {
    let scratch = Scratch::new();
    let path = scratch.file("archive.db");
    build(&path, 6, "delete");
    let mut config = archive_in(&scratch);
    config.sources.get_mut(&name("archive")).unwrap().readonly = true;
    let (db, _) = open(&config);
    assert_eq!(language(&db), None);
    db.close();
    // The disk was mounted again, and has another number: the path and the file's number on the disk are the same.
    let mount_again = "UPDATE switchyard_sources SET device = device + 1";
    sqlite(&scratch.file("primary.db")).execute_batch(mount_again).unwrap();
    let (db, _) = open(&config);
    assert_eq!(language(&db), None);
    db.close();
    let other = scratch.file("other.db");
    replace(&path, &other);
    std::fs::rename(&other, &path).unwrap();
    let (db, control) = open(&config);
    let error = db.get_chat_setting(CHAT, "language").unwrap_err();
    assert!(error.to_string().contains("is another database than the one that the source `archive` had"), "{error}");
    control.adopt(&name("archive"), Adopt::Present).unwrap();
    assert_eq!(language(&db), None);
    db.close();
}

#[test]
fn a_renamed_source_keeps_its_file_and_its_identity() {
    let scratch = Scratch::new();
    make(&archive_in(&scratch));
    let id = uuid(&scratch.file("archive.db"));
    let mut config = config_of(scratch.path(), &["primary", "attic"], &[(CHAT.0, "attic")]);
    config.sources.get_mut(&name("attic")).unwrap().path = scratch.file("archive.db");
    let (db, _) = open(&config);
    assert_eq!(language(&db).as_deref(), Some("nl"));
    db.close();
    assert_eq!(remembered(&scratch), [("attic".to_owned(), id)]);
    // The earlier name is unknown again.
    let mut config = with_copy(&scratch);
    config.sources.get_mut(&name("archive")).unwrap().path = scratch.file("another.db");
    let (db, _) = open(&config);
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
    assert!(scratch.file("another.db").exists());
}

#[test]
fn a_missing_default_is_not_made_again_beside_its_sources_and_mapped_chats_go_on() {
    let scratch = Scratch::new();
    let config = archive_in(&scratch);
    make(&config);
    let away = scratch.file("away");
    std::fs::rename(scratch.file("primary.db"), &away).unwrap();
    let (db, control) = open(&config);
    let Health::Unavailable { reason, .. } = control.status().sources[0].source.health.clone() else {
        panic!("{:?}", control.status())
    };
    insta::assert_snapshot!(reason.replace(scratch.path().to_str().unwrap(), "DIR"), @"DIR/primary.db is missing or empty, and the source `archive` belongs to a default database that was there; put it back, or accept an empty one with `bot db adopt primary --new`");
    db.set_chat_setting(CHAT, "language", "fr").unwrap();
    let refused = [db.set_setting("owner", "eve"), db.set_chat_setting(ChatId(-2), "language", "de")];
    for error in refused.map(Result::unwrap_err) {
        assert!(matches!(error.kind(), ErrorKind::SourceUnavailable { .. }), "{error}");
    }
    assert!(!scratch.file("primary.db").exists());
    // Where it comes back all goes on.
    std::fs::rename(&away, scratch.file("primary.db")).unwrap();
    control.retry(&name("primary")).unwrap();
    assert_eq!(db.get_setting("owner").unwrap().as_deref(), Some("ada"));
    db.close();
    assert_eq!(scratch.names(), ["archive.db", "primary.db", "switchyard.lock"]);

    // Another default, and an empty one on purpose.
    std::fs::rename(scratch.file("primary.db"), &away).unwrap();
    crate::support::open(&scratch.file("primary.db")).close();
    let (db, control) = open(&config);
    let error = db.set_setting("owner", "eve").unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(scratch.path().to_str().unwrap(), "DIR"), @"settings.set_setting on source `primary`: the source is unavailable (DIR/primary.db is not the default database that the source `archive` belongs to; put the right one back, or accept this one with `bot db adopt primary`); nothing was changed");
    std::fs::remove_file(scratch.file("primary.db")).unwrap();
    control.adopt(&name("primary"), Adopt::Present).unwrap_err();
    assert!(!scratch.file("primary.db").exists());
    control.adopt(&name("primary"), Adopt::New).unwrap();
    assert_eq!(db.get_setting("owner").unwrap(), None);
    assert_eq!(language(&db).as_deref(), Some("fr"));
    db.close();
    let (db, _) = open(&config);
    assert_eq!(language(&db).as_deref(), Some("fr"));
    db.close();
}

#[test]
fn with_the_default_down_a_new_source_is_not_made() {
    let scratch = Scratch::new();
    make(&archive_in(&scratch));
    std::fs::rename(scratch.file("primary.db"), scratch.file("away")).unwrap();
    let (db, _) = open(&with_copy(&scratch));
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/copy.db cannot be told from another file or from one that was lost, since the default source is unavailable; mend the default source first");
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
    assert_eq!(scratch.names(), ["archive.db", "away", "switchyard.lock"]);
}

#[test]
fn with_the_default_down_a_file_of_another_bot_is_not_taken_and_ours_is() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    make(&archive_in(&scratch));
    make(&archive_in(&other));
    replace(&other.file("archive.db"), &scratch.file("copy.db"));
    let (db, _) = open(&with_copy(&scratch));
    assert_eq!(db.get_setting("owner").unwrap().as_deref(), Some("ada"));
    // The default one goes while it is open, and nobody has used the others yet.
    std::fs::rename(scratch.file("primary.db"), scratch.file("away")).unwrap();
    db.set_setting("owner", "x").unwrap_err();
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/copy.db cannot be told from another file or from one that was lost, since the default source is unavailable; mend the default source first");
    db.set_chat_setting(ChatId(-2), "language", "de").unwrap();
    db.close();
}

#[test]
fn the_databases_of_another_bot_are_refused_until_they_are_taken_over() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    make(&archive_in(&other));
    replace(&other.file("archive.db"), &scratch.file("archive.db"));
    let config = archive_in(&scratch);
    // The default one is new: it is not made beside what belongs to another.
    let (db, _) = open(&config);
    let error = db.get_setting("owner").unwrap_err().to_string();
    assert!(error.contains("is missing or empty, and the source `archive` belongs to a default database"), "{error}");
    db.close();
    std::fs::rename(scratch.file("archive.db"), scratch.file("theirs.db")).unwrap();
    DatabaseWrapper::open_multi(&config, Options::default()).unwrap().0.close();
    std::fs::rename(scratch.file("theirs.db"), scratch.file("archive.db")).unwrap();
    let (db, control) = open(&config);
    insta::assert_snapshot!(said(&scratch, &db), @"DIR/archive.db belongs to the databases of another bot, or of another default source; correct the path, or take it over with `bot db adopt archive`");
    adopt_and_see(&control, &db);
    db.close();
    let (db, _) = open(&config);
    assert_eq!(language(&db).as_deref(), Some("nl"));
    db.close();
}

fn adopt_and_see(control: &Control, db: &DatabaseWrapper) {
    control.adopt(&name("archive"), Adopt::Present).unwrap();
    assert_eq!(language(db).as_deref(), Some("nl"));
}
