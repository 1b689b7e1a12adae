//! How a chat's rows are walked, many of which may have the same date.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::multi::relocate::tables::MOVED;
use crate::source::{Database, SourceConfig};
use crate::time::SystemClock;

const CHAT: ChatId = ChatId(-1);

/// A source with messages of these dates.
fn source(folder: &tempfile::TempDir, dates: &[i64]) -> Arc<Source> {
    let config = SourceConfig::new(folder.path().join("a.db"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let database = Database::open(&config, None, deadline, &SystemClock, &|_| Ok(())).unwrap();
    let mut connection = Connection::open(&config.path).unwrap();
    let tx = connection.transaction().unwrap();
    for (number, date) in dates.iter().enumerate() {
        let sql =
            "INSERT INTO chat_messages (chat_id, message_id, date, user_id, message_text) VALUES (-1, ?1, ?2, 1, '')";
        tx.execute(sql, (format!("message {number}"), format!("2026-01-0{date} 00:00:00"))).unwrap();
    }
    tx.commit().unwrap();
    Arc::new(Source::opened(config, database))
}

fn layout() -> Layout {
    Layout::new(&MOVED[0], ["chat_id", "message_id", "date"].map(str::to_owned).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_is_walked_once_in_order(
        dates in proptest::collection::vec(1..4_i64, 0..60),
        sizes in proptest::collection::vec(1..9_usize, 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (source, layout) = (source(&folder, &dates), layout());
        let mut walk = Walk::new(&source, &layout.query, CHAT, 1);
        let (mut walked, mut sizes) = (Vec::new(), sizes.into_iter().cycle());
        loop {
            let most = sizes.next().unwrap_or(1);
            let Some(chunk) = walk.next_of(most).unwrap() else { break };
            walked.extend(chunk.rows().map(|row| row.value(3).as_i64().unwrap()));
            // Only the last is shorter.
            prop_assert!(chunk.len() == most || walked.len() == dates.len());
        }
        let mut rows: Vec<_> = (1..).zip(&dates).map(|(rowid, date)| (*date, rowid)).collect();
        rows.sort_unstable();
        prop_assert_eq!(walked, rows.into_iter().map(|(_, rowid)| rowid).collect::<Vec<_>>());
    }
}

#[test]
fn a_chunk_of_many_rows_of_one_date_takes_as_long_as_any() {
    let folder = tempfile::tempdir().unwrap();
    let (source, layout) = (source(&folder, &[1; 2_000]), layout());
    let connection = Connection::open(&source.config().path).unwrap();
    let most_steps = layout.query.after().map(|(sql, values)| {
        let mut statement = connection.prepare(sql).unwrap();
        for (place, value) in [CHAT.0, 16].into_iter().enumerate() {
            statement.raw_bind_parameter(place + 1, value).unwrap();
        }
        statement.raw_bind_parameter(3, "2026-01-01 00:00:00").unwrap();
        if values > 1 {
            statement.raw_bind_parameter(4, 1_900).unwrap();
        }
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(StatementStatus::VmStep)
    });
    assert!(most_steps.max().unwrap() < 500);
}
