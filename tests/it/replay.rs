//! Writes made again from their recording: on a fresh file, and on one that holds rows.

mod writes;

use std::collections::BTreeSet;
use std::path::Path;

use database::{DatabaseWrapper, Durability, Operation, Options, SourceConfig};
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
    assert_eq!(known, write_operations());
}

/// Fast, since nothing here outlives the machine.
fn open(path: &Path, options: Options) -> DatabaseWrapper {
    let config = SourceConfig { durability: Durability::Normal, ..SourceConfig::new(path) };
    DatabaseWrapper::open_with(&config, options).unwrap()
}

/// Makes each write at a moment of its own; one that finds its key taken changes nothing.
fn make(db: &DatabaseWrapper, clock: &HandClock, start: &str, writes: &[Write]) {
    for (index, write) in (0..).zip(writes) {
        clock.set(time(start).saturating_add_seconds(index));
        match write.make(db) {
            Err(error) if !error.is_duplicate() => panic!("{write:?}: {error}"),
            _ => {}
        }
    }
}

/// A file that holds rows, some of them as only earlier releases left them.
fn populate(path: &Path, clock: &HandClock, before: &[Write]) {
    let db = open(path, clock.options());
    make(&db, clock, "2025-06-01 00:00:00", before);
    db.close();
    let duplicates = "
        INSERT INTO bayes_tokens (token, spam_count, ham_count, total_count) VALUES ('a', 1, NULL, 1), ('a', 2, 1, 3);
        INSERT INTO bayes_classes (is_spam, message_count, token_count) VALUES (1, 1, 2), (1, 3, 4);
        UPDATE bayes_tokens SET created_at = 'x', updated_at = 'x';
        UPDATE bayes_classes SET created_at = 'x', updated_at = 'x';";
    sqlite(path).execute_batch(duplicates).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

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
        make(&open(&direct, clock.options()), &clock, "2026-02-01 00:00:00", &writes);
        make(&open(&empty, recording.of(clock.options())), &clock, "2026-02-01 00:00:00", &writes);
        let home_db = open(&home, clock.options());
        for operation in recording.take() {
            home_db.replay(&kept(&operation)).unwrap();
        }
        prop_assert_eq!(rows(&direct), rows(&home));
    }
}
