//! Who else has a database open.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{major, minor};

/// The locks of all processes, a line each, where the system tells them (`man 5 proc_locks`).
const LOCKS: &str = "/proc/locks";
/// For how long it is looked again: whoever only looks at a file, or copies a small one, is done by then.
const LOOKS_FOR: Duration = Duration::from_secs(2);
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// The first of these databases that another process has open, and keeps open, with that one's number: as long as its log
/// is open to it, it has a lock on the file, also while it reads and writes nothing. The files are not opened for that. `None`
/// where that cannot be found out: the locks are told by Linux alone, and not those that other machines have on a file of
/// theirs.
pub fn in_use<'p>(paths: impl Iterator<Item = &'p Path>) -> Option<(&'p Path, u32)> {
    let begun = Instant::now();
    let mut paths: Vec<_> = paths.collect();
    loop {
        let locks = fs::read_to_string(LOCKS).ok()?;
        paths.retain(|path| holder(path, &locks).is_some());
        let first = *paths.first()?;
        if begun.elapsed() >= LOOKS_FOR {
            return Some((first, holder(first, &locks)?));
        }
        std::thread::park_timeout(LOOKS_EVERY);
    }
}

/// Another process that has a lock on the file by this list.
fn holder(path: &Path, locks: &str) -> Option<u32> {
    let file = fs::metadata(path).ok()?;
    let file = format!("{:02x}:{:02x}:{}", major(file.dev()), minor(file.dev()), file.ino());
    // `NUMBER: POSIX ADVISORY READ PROCESS DEVICE:FILE FIRST LAST`; who waits for a lock has an arrow behind the number.
    let process = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "POSIX", _, _, process, locked, ..] = words[..] else { return None };
        process.parse().ok().filter(|process| locked == file && *process != std::process::id())
    };
    locks.lines().find_map(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_else_has_a_lock_on_the_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert_eq!(holder(&path, "1: POSIX  ADVISORY  READ 7 00:00:1 0 EOF"), None);
        fs::write(&path, "").unwrap();
        let found = fs::metadata(&path).unwrap();
        let place = format!("{:02x}:{:02x}:{}", major(found.dev()), minor(found.dev()), found.ino());
        let line =
            |kind: &str, process: u32| format!("3: {kind}  ADVISORY  READ {process} {place} 1073741826 1073742335\n");
        let own = std::process::id();
        assert_eq!(holder(&path, &format!("{}{}", line("FLOCK", 7), line("POSIX", own))), None);
        assert_eq!(holder(&path, &line("-> POSIX", 7)), None);
        assert_eq!(holder(&path, &format!("{}{}", line("POSIX", own), line("POSIX", 7))), Some(7));
        assert_eq!(in_use([&*path].into_iter()), None);
    }
}
