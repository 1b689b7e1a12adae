//! What chats say that is to be in no other chat's file, looked for in the bytes of all files.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::{AT_HOME, canary};

/// How the files begin in which what is said in a chat may be: its own source's, and who stands in for that.
const PLACES: [(i64, &[&str]); 4] = [
    (1, &["disk/stands.", "standin/stands."]),
    (2, &["disk/falls."]),
    (3, &["disk/lends.", "primary."]),
    (AT_HOME, &["primary."]),
];

/// Looks through all files below a folder, whatever happens to them meanwhile, and answers which hold such words: none
/// but those that may.
pub(super) fn look_through(folder: &Path) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for path in files_below(folder) {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // It was removed since.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let file = path.strip_prefix(folder).unwrap().to_str().unwrap();
        for (chat, places) in PLACES {
            if memmem::find(&bytes, canary(chat).as_bytes()).is_some() {
                let is_its_own = places.iter().any(|place| file.starts_with(place));
                assert!(is_its_own, "what was said in chat {chat} is in {file}");
                held.insert(file.to_owned());
            }
        }
    }
    held
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // Only root can look into one that is forbidden.
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}
