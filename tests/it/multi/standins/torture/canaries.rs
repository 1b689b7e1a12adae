//! What chats say that is to be in no other chat's file, looked for in the bytes of all files.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use database::OnUnavailable;
use memchr::memmem;

use super::{SOURCES, canary};

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
        for (source, policy, chat) in SOURCES {
            // What is said where the default source stands in is there too.
            let is_secret = policy != OnUnavailable::Default;
            let folders: &[&str] = if policy == OnUnavailable::StandIn { &["disk", "standin"] } else { &["disk"] };
            if is_secret && memmem::find(&bytes, canary(chat).as_bytes()).is_some() {
                let is_its_own = folders.iter().any(|folder| file.starts_with(&format!("{folder}/{source}.")));
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
