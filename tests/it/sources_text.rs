//! What the sources themselves promise: one name an operation, and nothing that would lose commits or tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// An operation's name as it stands in a room.
struct Named {
    op: String,
    is_write: bool,
    room: String,
    method: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Rust files below a folder, with their texts.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found.sort();
    found
}

/// A file's code without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn operations() -> Vec<Named> {
    let mut found = Vec::new();
    for (path, text) in sources("internal/database/src/store") {
        let room = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = code(&text);
        // Text between quotes stands at every odd place.
        let mut before = String::new();
        for (index, part) in text.split('"').enumerate() {
            let is_name = part.contains('.') && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.'));
            if index % 2 == 1 && is_name {
                let method = before.rsplit(" fn ").next().unwrap().split(['(', '<']).next().unwrap().to_owned();
                let verbs = ["self.write(", "self.write_delegated(", "self.write_tallied(", "self.execute("];
                let is_write = verbs.iter().any(|verb| before.trim_end().ends_with(verb));
                found.push(Named { op: part.to_owned(), is_write, room: room.clone(), method });
            }
            before.push_str(part);
        }
    }
    found
}

/// The names of all operations that only read.
#[cfg(feature = "multi-source")]
pub(crate) fn read_operations() -> BTreeSet<String> {
    operations().into_iter().filter(|named| !named.is_write).map(|named| named.op).collect()
}

/// The names of all operations that write.
pub(crate) fn write_operations() -> BTreeSet<String> {
    operations().into_iter().filter(|named| named.is_write).map(|named| named.op).collect()
}

#[test]
fn every_operation_is_called_after_its_room_and_method_and_none_twice() {
    let operations = operations();
    let mut seen = BTreeSet::new();
    for Named { op, room, method, .. } in &operations {
        assert_eq!(*op, format!("{room}.{method}"));
        assert!(seen.insert(op), "{op} is there twice");
    }
    let writes = operations.iter().filter(|named| named.is_write).count();
    assert!(writes >= 30 && operations.len() - writes >= 30, "{writes} writes of {}", operations.len());
}

#[rstest]
#[case::unsafe_code("uns", "afe ", &["bot", "internal", "tests"], &[])]
#[case::skipped_tests("#[ign", "ore", &["bot", "internal", "tests"], &[])]
#[case::copies_of_files("fs::", "copy", &["internal/database"], &[])]
// The lock of a folder is no database, nor is the root of all folders, which is opened to see whether anything can be.
#[case::files_opened_beside_sqlite("File::", "open", &["internal/database"], &["multi/lock.rs", "source/budget.rs"])]
// (The list of locks that the system tells is no database.)
#[case::files_read_beside_sqlite("fs::", "read", &["internal/database"], &["maintenance/in_use.rs"])]
#[case::files_made_beside_sqlite("File::", "create", &["internal/database"], &[])]
// Making an empty file where there is none takes no lock away; the lock of a folder, folders, the empty files beside
// stand-ins, and what says what a backup has are no databases.
#[case::open_options(
    "OpenOptions::", "new", &["internal/database"],
    &["source/file.rs", "multi/lock.rs", "multi/standin_files.rs", "maintenance/folder.rs"]
)]
fn no_source_holds(#[case] first: &str, #[case] second: &str, #[case] folders: &[&str], #[case] but_in: &[&str]) {
    let forbidden = format!("{first}{second}");
    for (path, text) in folders.iter().flat_map(|folder| sources(folder)) {
        if !but_in.iter().any(|allowed| path.ends_with(allowed)) {
            assert!(!code(&text).contains(&forbidden), "{} holds `{forbidden}`", path.display());
        }
    }
}

#[test]
fn the_one_file_that_is_made_is_never_one_that_was_there() {
    let path = workspace().join("internal/database/src/source/file.rs");
    let text = code(&std::fs::read_to_string(path).unwrap());
    assert_eq!(text.matches("OpenOptions::new()").count(), 1);
    assert!(text.contains("OpenOptions::new().write(true).create_new(true).mode(0o600)"));
}
