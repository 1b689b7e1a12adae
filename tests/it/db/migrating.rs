//! `bot db migrate`: every database is brought up to date, one that cannot be does not stop the others, and repeating it
//! finishes.

use insta::assert_snapshot;
use rstest::rstest;

use super::files;
use super::site::{Site, speak};
use crate::support::sqlite;

/// What a test says of the databases.
const THREE: &str = "default_source = \"primary\"\n[database.sources.primary]\npath = \"primary.db\"\n\
                     [database.sources.archive]\npath = \"archive.db\"\n[database.sources.games]\npath = \"games.db\"\n\
                     [database.sources.new]\npath = \"new.db\"\n\
                     [database.chat_mapping]\n-100 = \"archive\"\n-200 = \"games\"\n";

/// Makes of a file what the step before the last left.
const OLDER: &str = "DROP TABLE switchyard_journal; DROP TABLE switchyard_made; DROP TABLE switchyard_parked;
                     UPDATE switchyard_meta SET value = '2' WHERE key = 'schema'";

/// A site with files of an earlier release, of which that of `archive` cannot be brought up to date, and no file of `new`.
fn made() -> Site {
    let site = Site::new(&THREE.replace("[database.sources.new]\npath = \"new.db\"\n", ""));
    let mut running = site.start();
    for chat in [-100, -200] {
        speak(&mut running, chat, "hello");
    }
    assert_eq!(running.end().code, Some(0));
    site.configure(THREE);
    for file in ["primary.db", "archive.db", "games.db"] {
        sqlite(&site.data(file)).execute_batch(OLDER).unwrap();
    }
    // In the way of what is to be made.
    sqlite(&site.data("archive.db")).execute_batch("CREATE TABLE switchyard_made (x)").unwrap();
    site
}

#[rstest]
#[case::without_a_bot(false)]
#[case::by_a_bot_that_runs(true)]
fn one_that_cannot_be_brought_up_to_date_does_not_stop_the_others_and_repeating_it_finishes(#[case] runs: bool) {
    let site = made();
    let running = runs.then(|| {
        let running = crate::program::Running::start(&mut site.bot(&["-q", "console", "--json"]));
        crate::program::until("it listens", || site.data("control.sock").exists());
        running
    });
    let (code, said) = site.said(&["db", "migrate"]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("archive failed: [home]/data/archive.db cannot be opened (table switchyard_made already exists"),
        "{said}"
    );
    if !runs {
        let (_, report) = said.split_once("SOURCE").unwrap();
        assert_snapshot!(report, @"
          STATE  FROM  TO  PATH
        primary  migrated  6.2  6.3  [home]/data/primary.db
        archive  failed  6.2  -  [home]/data/archive.db
        games  migrated  6.2  6.3  [home]/data/games.db
        new  absent  -  -  [home]/data/new.db

        archive failed: [home]/data/archive.db cannot be opened (table switchyard_made already exists)
        ");
    }
    sqlite(&site.data("archive.db")).execute_batch("DROP TABLE switchyard_made").unwrap();
    let report = site.json(&["migrate"]);
    let outcomes: Vec<_> = report["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            (text("source"), text("outcome"), one["to"]["additions"].as_i64())
        })
        .collect();
    let expected = |name: &str, outcome: &str, to| (name.to_owned(), outcome.to_owned(), to);
    let mut sorted = outcomes.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            expected("archive", "migrated", Some(3)),
            expected("games", "current", Some(3)),
            // A bot that starts makes it.
            if runs { expected("new", "current", Some(3)) } else { expected("new", "absent", None) },
            expected("primary", "current", Some(3)),
        ]
    );
    assert_eq!(site.data("new.db").exists(), runs, "nothing is made");
    assert_eq!(site.run(&["db", "migrate"]).code, Some(0));
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
    assert_eq!(site.run(&["db", "check"]).code, Some(0));
}

#[test]
fn what_is_up_to_date_is_not_written() {
    let site = made();
    sqlite(&site.data("archive.db")).execute_batch("DROP TABLE switchyard_made").unwrap();
    assert_eq!(site.run(&["db", "migrate"]).code, Some(0));
    let before = files(&site.home.data());
    assert_eq!(site.run(&["db", "migrate"]).code, Some(0));
    let changed: Vec<_> =
        files(&site.home.data()).into_iter().zip(before).filter(|(one, other)| one != other).collect();
    let names: Vec<_> = changed.iter().map(|((name, _), _)| name.rsplit('/').next().unwrap()).collect();
    assert!(names.iter().all(|name| *name == "switchyard.lock"), "{names:?}");
}
