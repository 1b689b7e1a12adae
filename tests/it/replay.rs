//! Writes made again from their recording: on a fresh file, and on one that holds rows.

pub(crate) mod writes;

use std::collections::BTreeSet;
use std::path::Path;

use database::{
    DatabaseWrapper, Durability, ErrorKind, Operation, Options, Refusal, Route, SourceConfig, Tally, WriteTx, params,
};
use proptest::prelude::*;

use self::writes::{KINDS, Write};
use crate::golden;
use crate::sources_text::write_operations;
use crate::support::{HandClock, Recording, Scratch, open_with, rows, sqlite, time};

/// As it comes back from where it was kept.
fn kept(operation: &Operation) -> Operation {
    let text = serde_json::to_string(operation).unwrap();
    let back = serde_json::from_str(&text).unwrap();
    assert_eq!(*operation, back, "{text}");
    back
}

#[test]
fn the_golden_run_made_again_from_its_recording_leaves_the_same_rows() {
    let (scratch, clock, recording) = (Scratch::new(), HandClock::at("2026-01-01 00:00:00"), Recording::default());
    let first = open_with(&scratch.file("first.db"), recording.of(clock.options()));
    golden::play(&first, &clock);
    clock.set(time("2026-01-01 00:00:00"));
    let second = open_with(&scratch.file("second.db"), clock.options());
    let recorded = recording.take();
    assert!(recorded.len() > 50, "{} writes", recorded.len());
    for operation in &recorded {
        assert!(second.replay(&kept(operation)).unwrap(), "{}", operation.op);
    }
    assert_eq!(rows(&scratch.file("first.db")), rows(&scratch.file("second.db")));
}

#[test]
fn every_write_there_is_stands_in_the_property() {
    let known: BTreeSet<_> = KINDS.iter().map(|(op, _)| (*op).to_owned()).collect();
    let mut written = write_operations();
    // It is made between two sources only, of values alone.
    assert!(written.remove("aliases.take_over_from_elsewhere"));
    assert_eq!(known, written);
}

#[test]
fn a_condition_is_judged_where_the_write_is_made_again_and_not_where_it_was_recorded() {
    let (scratch, clock, recording) = (Scratch::new(), HandClock::at("2026-01-01 00:00:00"), Recording::default());
    let [direct, home, empty] = ["direct.db", "home.db", "empty.db"].map(|name| scratch.file(name));
    let set = |tx: &mut WriteTx<'_>, key: &str, value: &str| {
        tx.execute("UPDATE settings SET value = ?2 WHERE key = ?1", params![key, value])
    };
    // Nothing of it comes about on the empty file but the last statement; of what is told there nothing may be lost.
    let nested = |db: &DatabaseWrapper| {
        db.write_tallied("test.nested", Route::Shared, |tx| {
            let mut told = Tally::default();
            let outer = set(tx, "outer", "1")?;
            tx.only_if(outer, |tx| {
                let absent = set(tx, "absent", "2")?;
                tx.only_if(absent, |tx| set(tx, "other", "never").map(drop))?;
                let inner = set(tx, "inner", "3")?;
                tx.only_if(inner, |tx| {
                    let other = set(tx, "other", "4")?;
                    tx.require(other, Refusal::NotFound)
                })
            })?;
            let last =
                tx.execute("INSERT INTO settings (key, created_at, updated_at) VALUES ('last', 'x', 'x')", params![])?;
            tx.only_if(last, |tx| set(tx, "last", "5").map(drop))?;
            told.add(last);
            Ok(told)
        })
    };
    let [direct_db, home_db] = [&direct, &home].map(|path| {
        let db = open_with(path, clock.options());
        ["outer", "inner", "other"].iter().for_each(|key| db.set_setting(key, "0").unwrap());
        db
    });
    assert_eq!(nested(&direct_db).unwrap(), 1);
    assert_eq!(nested(&open_with(&empty, recording.of(clock.options()))).unwrap(), 1);
    let recorded = recording.take();
    assert!(home_db.replay(&kept(&recorded[0])).unwrap());
    assert_eq!(rows(&direct), rows(&home));
    let settings = home_db.get_settings().unwrap();
    let values = ["outer", "inner", "other", "last"].map(|key| settings[key].as_str());
    assert_eq!(values, ["1", "3", "4", "5"]);
    assert_eq!(settings.get("absent"), None);

    // Where the condition inside does not hold, all of it is as if it had never been.
    let missing = open_with(&scratch.file("missing.db"), clock.options());
    ["outer", "inner"].iter().for_each(|key| missing.set_setting(key, "0").unwrap());
    let before = rows(&scratch.file("missing.db"));
    assert!(!missing.replay(&recorded[0]).unwrap());
    assert_eq!(rows(&scratch.file("missing.db")), before);
}

/// Fast, since nothing here outlives the machine.
fn open(path: &Path, options: Options) -> DatabaseWrapper {
    let config = SourceConfig { durability: Durability::Normal, ..SourceConfig::new(path) };
    DatabaseWrapper::open_with(&config, options).unwrap()
}

/// Whether a write was refused because of what is there.
fn is_refusal(error: &database::Error) -> bool {
    error.is_duplicate() || matches!(error.kind(), ErrorKind::NoSuccessor { .. })
}

/// Makes each write at a moment of its own. One that finds its key taken changes nothing: the others are answered.
fn make<'w>(
    db: &DatabaseWrapper,
    clock: &HandClock,
    start: &str,
    writes: impl IntoIterator<Item = (i64, &'w Write)>,
) -> Vec<(i64, &'w Write)> {
    let accepted = |(index, write): &(i64, &Write)| {
        clock.set(time(start).saturating_add_seconds(*index));
        match write.make(db) {
            Err(error) if !is_refusal(&error) => panic!("{write:?}: {error}"),
            made => made.is_ok(),
        }
    };
    writes.into_iter().filter(accepted).collect()
}

/// A file that holds rows, some of them as only earlier releases left them.
fn populate(path: &Path, clock: &HandClock, before: &[Write]) {
    let db = open(path, clock.options());
    make(&db, clock, "2025-06-01 00:00:00", (0..).zip(before));
    db.close();
    let duplicates = "
        INSERT INTO bayes_tokens (token, spam_count, ham_count, total_count) VALUES ('a', 1, NULL, 1), ('a', 2, 1, 3);
        INSERT INTO bayes_classes (is_spam, message_count, token_count) VALUES (1, 1, 2), (1, 3, 4);
        UPDATE bayes_tokens SET created_at = 'x', updated_at = 'x';
        UPDATE bayes_classes SET created_at = 'x', updated_at = 'x';";
    sqlite(path).execute_batch(duplicates).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_recording_of_an_empty_file_made_again_on_a_full_one_leaves_what_the_writes_would_have_left(
        before in prop::collection::vec(Write::any(), 0..60),
        writes in prop::collection::vec(Write::any(), 1..40),
    ) {
        let (scratch, clock, recording) = (Scratch::in_memory(), HandClock::at("2025-01-01 00:00:00"), Recording::default());
        let [direct, home, empty] = ["direct.db", "home.db", "empty.db"].map(|name| scratch.file(name));
        for path in [&direct, &home] {
            clock.set(time("2025-01-01 00:00:00"));
            populate(path, &clock, &before);
        }
        // Whoever was told on the empty file that a write was refused does not expect to find it at home.
        let recorder = open(&empty, recording.of(clock.options()));
        let accepted = make(&recorder, &clock, "2026-02-01 00:00:00", (0..).zip(&writes));
        make(&open(&direct, clock.options()), &clock, "2026-02-01 00:00:00", accepted);
        let home_db = open(&home, clock.options());
        for operation in recording.take() {
            home_db.replay(&kept(&operation)).unwrap();
        }
        prop_assert_eq!(rows(&direct), rows(&home));
    }
}
