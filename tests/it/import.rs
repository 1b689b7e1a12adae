//! Bringing history in: what is stored afterwards, and that it does not depend on how often, in what order, in what
//! form or with how many breaks it was brought.

mod broken;
mod interrupted;
mod live;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use bot::import::{Options, Report, import};
use database::{ChatId, DatabaseWrapper, ImportProgress};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tests::made_up::MadeUp;
use tests::rows::table;

use crate::program::{Home, MADE, SINGLE};

fn take(db: &DatabaseWrapper, path: impl AsRef<Path>) -> Report {
    import(db, path.as_ref(), &Options::default(), &|| false)
}

/// Takes a file in, whole and without complaint.
fn take_whole(home: &Home, path: impl AsRef<Path>) -> Report {
    let db = home.open();
    let report = take(&db, path);
    assert!(report.error.is_none(), "{:?}", report.error);
    db.close();
    report
}

fn new_and_known(report: &Report) -> (u64, u64) {
    report.chats.iter().fold((0, 0), |(new, known), chat| (new + chat.new, known + chat.known))
}

fn gzip(document: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(document).unwrap();
    encoder.finish().unwrap()
}

/// The first lines in which two dumps differ are told.
fn assert_same_rows(found: &[String], expected: &[String], what: &str) {
    let beside = |of: &[String], other: &[String]| {
        let other: std::collections::HashSet<_> = other.iter().collect();
        of.iter().filter(|line| !other.contains(line)).take(4).map(|line| format!("\n  {line}")).collect::<String>()
    };
    let (surplus, missing) = (beside(found, expected), beside(expected, found));
    assert!(found == expected, "{what}\nfound:{surplus}\nexpected:{missing}");
}

/// What the counters say is what is there.
fn assert_counters(home: &Home) {
    let pairs = "
        SELECT 'chat_stats', chat_id, '', substr(date, 1, 10), messages_count FROM chat_stats
        UNION ALL SELECT 'chat_user_stats', chat_id, user_id, substr(date, 1, 10), messages_count FROM chat_user_stats
        UNION ALL SELECT 'chat_users', chat_id, user_id, '', messages_count FROM chat_users WHERE messages_count > 0";
    let counted = "
        SELECT 'chat_stats', chat_id, '', substr(date, 1, 10), COUNT(*) FROM chat_messages GROUP BY 2, 4
        UNION ALL SELECT 'chat_user_stats', chat_id, user_id, substr(date, 1, 10), COUNT(*) FROM chat_messages GROUP BY 2, 3, 4
        UNION ALL SELECT 'chat_users', chat_id, user_id, '', COUNT(*) FROM chat_messages GROUP BY 2, 3";
    for (one, other) in [(pairs, counted), (counted, pairs)] {
        let missing = home.one(&format!("SELECT COUNT(*) FROM (SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other}))"));
        assert_eq!(missing, 0, "{one}\nEXCEPT {other}");
    }
}

#[test]
fn everything_that_an_export_tells_is_stored_chat_by_chat() {
    let home = Home::new();
    take_whole(&home, MADE);
    take_whole(&home, SINGLE);
    let connection = tests::rows::look(&home.database()).unwrap();
    let mut text = String::new();
    for (name, order) in [
        ("chat_info", "chat_id"),
        ("chat_topics", "chat_id, topic_id"),
        ("chat_users", "chat_id, user_id"),
        ("chat_messages", "chat_id, date, message_id"),
        ("media_attachments", "file_unique_id"),
        ("chat_stats", "chat_id, date"),
        ("chat_user_stats", "chat_id, user_id, date"),
    ] {
        writeln!(text, "# {name}").unwrap();
        for line in table(&connection, name, order).unwrap() {
            // All of it was stored at the one moment of the clock.
            writeln!(text, "{}", line.replace(" created_at=\"2025-06-01 12:00:00\"", "")).unwrap();
        }
    }
    insta::assert_snapshot!("import_of_the_made_exports", text);
    assert_counters(&home);
}

#[test]
fn the_report_tells_what_was_taken_and_what_was_skipped_and_why() {
    let home = Home::new();
    let said = home.run(&["import", MADE, SINGLE], "");
    assert_eq!(
        (said.code, said.err.as_str()),
        (
            Some(0),
            "Using built-in defaults (no configs/bot.toml here).\nCreated the folder [home]/data.\nCreated the \
             database [home]/data/bot.db.\n"
        )
    );
    let fixtures = Path::new(MADE).parent().unwrap().to_str().unwrap();
    insta::assert_snapshot!(said.out.replace(fixtures, "[fixtures]"), @r"
    [fixtures]/made.json: 8 chats
                CHAT        NEW      KNOWN    SERVICE  NAME
               10001         28          0          3  Ada Lovelace
      -1000000020001         13          0         11  Workshop 2
      -1000000030001          4          0         10  New circle
              -40001          4          0          4  Chess club
      -1000000050001          6          0          2  News
               10000          2          0          0  (no name)
               10009          2          0          0  (no name)
      -1000000060001          1          0          2  Left behind
    Stored 60 messages; 32 service records told of people, titles and topics.
    Skipped 1 record of chat 10001: the exporting client was too old to know its content (the first in line 656).
    Skipped 1 record of chat -1000000020001: it is not an object (the first in line 1069).
    Skipped 2 records of chat -1000000020001: its id is missing or is not a whole number of 64 bits (the first in line 1070).
    Skipped 1 record of chat -1000000020001: its type is neither message nor service (the first in line 1111).
    Skipped 2 records of chat -1000000020001: its date is missing or is not a date between the years 0 and 9999 (the first in line 1076).
    Skipped 1 record of chat -1000000020001: the id of its sender or of another chat in it cannot be read (the first in line 1096).
    Skipped 1 record of chat -1000000020001: the id of the message that it refers to cannot be read (the first in line 1117).
    Skipped the chat 70001 in line 1636 with 2 records: its type is not one that is known.
    Took the local time of 6 records for UTC: this old export tells no other.
    Understood 12 places that are not valid JSON, as Telegram Desktop writes them.
    [fixtures]/made-single-chat.json: 1 chat
                CHAT        NEW      KNOWN    SERVICE  NAME
              -40002          3          0          1  Ada & Grace
    Stored 3 messages; 1 service record told of people, titles and topics.
    Understood 2 places that are not valid JSON, as Telegram Desktop writes them.
    ");
    let said = home.run(&["-q", "import", MADE], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(said.out.replace(fixtures, "[fixtures]"), @r"
    [fixtures]/made.json: 8 chats
                CHAT        NEW      KNOWN    SERVICE  NAME
               10001          0          0          0  Ada Lovelace
      -1000000020001          0          0          0  Workshop 2
      -1000000030001          0          0          0  New circle
              -40001          0          0          0  Chess club
      -1000000050001          0          0          0  News
               10000          0          0          0  (no name)
               10009          0          0          0  (no name)
      -1000000060001          0          0          0  Left behind
    Stored 0 messages; 0 service records told of people, titles and topics.
    Passed over 101 records that an earlier import from this file dealt with (--again offers them anew).
    Skipped the chat 70001 in line 1636 with 2 records: its type is not one that is known.
    Took the local time of 6 records for UTC: this old export tells no other.
    Understood 12 places that are not valid JSON, as Telegram Desktop writes them.
    ");
}

#[test]
fn brought_in_twice_or_offered_again_nothing_changes() {
    let home = Home::new();
    take_whole(&home, MADE);
    take_whole(&home, SINGLE);
    let before = home.dump();
    let db = home.open_at("2026-01-01 00:00:00");
    for again in [false, true, false] {
        for file in [MADE, SINGLE] {
            let report = import(&db, Path::new(file), &Options { again, progress_bar: false }, &|| false);
            let messages = if file == MADE { 60 } else { 3 };
            assert_eq!(new_and_known(&report), (0, if again { messages } else { 0 }), "{report}");
        }
    }
    db.close();
    assert_same_rows(&home.dump(), &before, "the second time");
}

#[test]
fn progress_is_kept_for_each_chat_and_file() {
    let home = Home::new();
    take_whole(&home, MADE);
    let rows =
        home.texts("SELECT chat_id || ' ' || records || ' ' || is_complete FROM switchyard_imports ORDER BY chat_id");
    insta::assert_snapshot!(rows.join("\n"), @r"
    -1000000060001 3 1
    -1000000050001 8 1
    -1000000030001 14 1
    -1000000020001 32 1
    -40001 8 1
    10000 2 1
    10001 32 1
    10009 2 1
    ");
    let db = home.open();
    assert_eq!(db.get_import_progress(ChatId(10_001), "another file").unwrap(), None);
    let file = home.texts("SELECT DISTINCT file FROM switchyard_imports").remove(0);
    let progress = db.get_import_progress(ChatId(10_001), &file).unwrap();
    assert_eq!(progress, Some(ImportProgress { file, records: 32, is_complete: true }));
}

#[test]
fn compressed_or_in_its_folder_it_is_the_same_export() {
    let plain = Home::new();
    take_whole(&plain, MADE);
    let document = std::fs::read(MADE).unwrap();
    let packed = Home::new();
    take_whole(&packed, packed.file("made.json.gz", gzip(&document)));
    assert_same_rows(&packed.dump(), &plain.dump(), "packed");
    let folder = Home::new();
    folder.file("result.json", &document);
    take_whole(&folder, folder.path(""));
    assert_same_rows(&folder.dump(), &plain.dump(), "folder");
    // Compressed in parts, as `cat a.gz b.gz` does it, and under a name that does not tell.
    let parts = Home::new();
    let halves = document.split_at(document.len() / 2);
    take_whole(&parts, parts.file("made.txt", [gzip(halves.0), gzip(halves.1)].concat()));
    assert_same_rows(&parts.dump(), &plain.dump(), "parts");
}

#[test]
fn a_chat_that_fills_transactions_exactly_is_named_and_finished_like_any_other() {
    // A transaction holds 2,000 records: the last one is full when the chat ends.
    for records in [1_999, 2_000, 2_001, 4_000] {
        let home = Home::new();
        let mut document = Vec::new();
        MadeUp { chats: 1, records, first_chat: 5 }.write(&mut document).unwrap();
        take_whole(&home, home.file("made-up.json", document));
        let info = home.texts("SELECT title || ', ' || updated_at FROM chat_info");
        let last = database::Timestamp::from_unix_seconds(1_600_000_000 + records * 37).unwrap();
        assert_eq!(info, [format!("Chat 5, {last}")], "{records}");
        assert_eq!(home.one("SELECT MIN(is_complete) FROM switchyard_imports"), 1, "{records}");
        assert_counters(&home);
    }
}

/// One chat's export as of a moment: who was called what then, and the messages from one to another.
fn export_of_a_chat(version: i64, from: i64, to: i64) -> String {
    let records: Vec<_> = (from..=to)
        .map(|id| {
            let (person, date) = (id % 3 + 1, 1_600_000_000 + id * 1_000);
            format!(
                r#"{{"id": {id}, "type": "message", "date_unixtime": "{date}", "from": "Person {person} v{version}",
                "from_id": "user{person}", "reply_to_message_id": {}, "text": "message {id}"}}"#,
                if id % 4 == 0 { id - 1 } else { 2 }
            )
        })
        .collect();
    format!(
        r#"{{"name": "Title v{version}", "type": "private_supergroup", "id": 9, "messages": [{}]}}"#,
        records.join(",\n")
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Exports of one chat, made one after the other. Whoever is called otherwise in the later one has spoken since: where
    /// two exports tell two names of one moment, nothing says which is newer.
    #[test]
    fn the_order_of_two_exports_makes_no_difference(first in 3_i64..12, more in 3_i64..12) {
        let home = [Home::new(), Home::new()];
        for (home, order) in home.iter().zip([[0, 1], [1, 0]]) {
            let files = [
                home.file("old.json", export_of_a_chat(1, 1, first)),
                home.file("new.json", export_of_a_chat(2, 1, first + more)),
            ];
            for at in order {
                take_whole(home, &files[at]);
            }
            assert_counters(home);
        }
        assert_same_rows(&home[1].dump(), &home[0].dump(), "the older one last");
    }
}
