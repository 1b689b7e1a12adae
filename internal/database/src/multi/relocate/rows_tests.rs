//! How a chat's rows are walked, many of which may have the same date.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::multi::relocate::tables::MOVED;
use crate::source::{Database, SourceConfig};
use crate::time::SystemClock;

const CHAT: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);

/// A source with messages: of which chat and date, and how long.
fn source(folder: &tempfile::TempDir, messages: impl IntoIterator<Item = (ChatId, i64, usize)>) -> Arc<Source> {
    let config = SourceConfig::new(folder.path().join("a.db"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let database = Database::open(&config, None, deadline, &SystemClock, &|_| Ok(())).unwrap();
    let mut connection = Connection::open(&config.path).unwrap();
    let tx = connection.transaction().unwrap();
    for (number, (chat, date, length)) in messages.into_iter().enumerate() {
        let sql =
            "INSERT INTO chat_messages (chat_id, message_id, date, user_id, message_text) VALUES (?1, ?2, ?3, 1, ?4)";
        tx.execute(sql, (chat.0, number.to_string(), moment(date), "x".repeat(length))).unwrap();
    }
    tx.commit().unwrap();
    Arc::new(Source::opened(config, database))
}

fn moment(date: i64) -> String {
    format!("2026-01-0{date} 00:00:00")
}

fn layout() -> Layout {
    Layout::new(&MOVED[0], ["chat_id", "message_id", "date", "message_text"].map(str::to_owned).to_vec())
}

/// The rowids of the chat's messages as they are walked, each chunk having so many at most.
fn walked(source: &Arc<Source>, sizes: impl IntoIterator<Item = usize>) -> Vec<Vec<i64>> {
    let layout = layout();
    let mut walk = Walk::new(source, &layout.query, CHAT, 1);
    let rowid = |row: Row<'_>| row.value(layout.columns.len()).as_i64().unwrap();
    let chunk = |most| walk.next_of(most).unwrap().map(|chunk| chunk.rows().map(rowid).collect());
    sizes.into_iter().map_while(chunk).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_is_walked_once_in_order(
        dates in proptest::collection::vec(1..4_i64, 0..60),
        sizes in proptest::collection::vec(1..9_usize, 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&folder, dates.iter().map(|date| (CHAT, *date, 0)));
        let chunks = walked(&source, sizes.iter().copied().cycle());
        let whole = chunks.len().saturating_sub(1);
        prop_assert!(chunks.iter().zip(sizes.iter().cycle()).take(whole).all(|(chunk, most)| chunk.len() == *most));
        let mut rows: Vec<_> = (1..).zip(&dates).map(|(rowid, date)| (*date, rowid)).collect();
        rows.sort_unstable();
        prop_assert_eq!(chunks.concat(), rows.into_iter().map(|(_, rowid)| rowid).collect::<Vec<_>>());
    }
}

#[test]
fn a_chunk_that_is_full_ends_among_rows_of_one_date() {
    let folder = tempfile::tempdir().unwrap();
    let long = MOST_BYTES * 3 / 4;
    let source = source(&folder, [(CHAT, 2, 0), (CHAT, 1, 0), (CHAT, 1, long), (CHAT, 1, long), (CHAT, 1, 0)]);
    assert_eq!(walked(&source, [1, 10, 10, 10]), [vec![2], vec![3, 4], vec![5, 1]]);
}

#[test]
fn a_chunk_of_many_rows_of_one_date_takes_as_long_as_any() {
    let folder = tempfile::tempdir().unwrap();
    let others = [CHAT, OTHER, OTHER, CHAT].into_iter().flat_map(|chat| std::iter::repeat_n((chat, 1, 0), 1_000));
    let (source, layout) = (source(&folder, others), layout());
    let connection = Connection::open(&source.config().path).unwrap();
    let steps = layout.query.after().map(|(sql, values)| {
        let mut statement = connection.prepare(sql).unwrap();
        statement.raw_bind_parameter(1, CHAT.0).unwrap();
        statement.raw_bind_parameter(2, 16).unwrap();
        statement.raw_bind_parameter(3, moment(1)).unwrap();
        if values > 1 {
            statement.raw_bind_parameter(4, 1_000).unwrap();
        }
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(StatementStatus::VmStep)
    });
    assert!(steps.max().unwrap() < 500);
}
