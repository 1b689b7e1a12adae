//! Whatever is stored, and wherever chats move: the same answers, and every row once.

use std::collections::BTreeMap;
use std::path::Path;

use database::multi::{MoveError, Why};
use database::{ChatId, DatabaseWrapper, ErrorKind};
use proptest::prelude::*;

use super::{answers, moved, name, rows_in, sources};
use crate::replay::writes::Write;
use crate::support::{HandClock, Scratch, rows, time};

const SOURCES: [&str; 3] = ["primary", "archive", "third"];

/// The rows of all files together. Not those of attachments, which stay where others show them too, and not what files
/// and moves say of themselves.
fn all_rows(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in SOURCES.map(|name| folder.join(format!("{name}.db"))).into_iter().filter(|path| path.exists()) {
        for (table, mut lines) in rows(&path) {
            let is_of_moves = matches!(table.as_str(), "switchyard_sources" | "switchyard_routes");
            if table == "switchyard_meta" {
                lines.retain(|line| line.contains("took-over"));
            }
            lines.retain(|line| !line.contains("db-migration"));
            if !is_of_moves && table != "media_attachments" {
                all.entry(table).or_default().extend(lines);
            }
        }
    }
    all.values_mut().for_each(|lines| lines.sort());
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wherever_chats_move_the_answers_and_the_rows_are_the_same(
        writes in prop::collection::vec(Write::any(), 0..80),
        home in 0..3_usize,
        moves in prop::collection::vec((1..3_i64, 0..3_usize), 1..4),
    ) {
        let (scratch, clock) = (Scratch::in_memory(), HandClock::at("2026-02-01 00:00:00"));
        let config = sources(scratch.path(), &[(-2, SOURCES[home])]);
        let (db, control) = DatabaseWrapper::open_multi(&config, clock.options()).unwrap();
        for (index, write) in (0..).zip(&writes) {
            clock.set(time("2026-02-01 00:00:00").saturating_add_seconds(index));
            match write.make(&db) {
                Err(error) if !error.is_duplicate() && !matches!(error.kind(), ErrorKind::NoSuccessor { .. }) => {
                    panic!("{write:?}: {error}");
                }
                _ => {}
            }
        }
        let (before, stored) = (answers::about_chats(&db), all_rows(scratch.path()));
        for (chat, to) in moves {
            let (chat, to) = (ChatId(-chat), SOURCES[to]);
            match moved(&control, chat, to) {
                Ok(report) => {
                    for (moved, from) in &report.chats {
                        prop_assert_eq!(control.explain(*moved).source, name(to));
                        let path = scratch.file(&format!("{from}.db"));
                        prop_assert_eq!(rows_in(&path, *moved), 0, "{} is still in {}", moved, from);
                    }
                }
                Err(MoveError::AlreadyThere { .. }) => prop_assert_eq!(control.explain(chat).source, name(to)),
                Err(MoveError::Unknown { .. }) => prop_assert_eq!(control.explain(chat).why, Why::Default),
                // A supergroup may be said to have been two groups, of two sources; only one of them counts.
                Err(MoveError::ForeignRows { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            prop_assert_eq!(&answers::about_chats(&db), &before);
            prop_assert_eq!(&all_rows(scratch.path()), &stored);
        }
        db.close();
    }
}
