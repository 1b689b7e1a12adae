//! Bringing in history where chats live in several databases.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::site::{Site, TWO};
use crate::program::MADE;
use crate::support::sqlite;

/// The ids of the chats that have messages in a file.
fn chats(site: &Site, file: &str) -> BTreeSet<i64> {
    let connection = sqlite(&site.data(file));
    let mut statement = connection.prepare("SELECT DISTINCT chat_id FROM chat_messages").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_import_brings_each_chat_to_its_source() {
    let site = Site::new(&format!("{TWO}10001 = \"archive\"\n-1000000020001 = \"archive\"\n"));
    let said = site.run(&["-q", "import", MADE]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let (archive, primary) = (chats(&site, "archive.db"), chats(&site, "primary.db"));
    assert_eq!(archive, BTreeSet::from([10001, -1_000_000_020_001]));
    assert!(!primary.is_empty() && primary.is_disjoint(&archive));
    let one = crate::program::Home::with_made();
    let all = one.one("SELECT count(*) FROM chat_messages");
    let count = |file: &str| -> i64 {
        sqlite(&site.data(file)).query_row("SELECT count(*) FROM chat_messages", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("archive.db") + count("primary.db"), all);
    assert!(count("archive.db") > 20);
    let total = said.out.lines().find(|line| line.starts_with("Stored")).unwrap();
    assert_snapshot!(total, @"Stored 60 messages; 32 service records told of people, titles and topics.");
}
