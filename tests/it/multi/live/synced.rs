//! What a move waits for the disk for, by strace: a copy before it is decided that it is the chat's, and the deleting of old
//! rows before the move is forgotten.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use database::Durability;
use database::multi::{MoveOptions, Progress, Stage};

use super::{MOVED, config_of, fill, name, open};
use crate::child::{self, Child};
use crate::support::Scratch;

/// The helper: moves a chat between two sources, and notes in a file when it begins to delete the old rows.
pub(crate) fn move_and_say(folder: &str) {
    let mut config = config_of(Path::new(folder), &["primary", "archive", "home"], &[(MOVED.0, "home")]);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Full);
    let (db, control) = open(&config);
    fill(&db, MOVED, 50);
    let mut stages = std::fs::File::create(format!("{folder}/stages")).unwrap();
    let mut noted = false;
    let progress = |Progress { stage, .. }: Progress| {
        if stage == Stage::Deleting && !std::mem::replace(&mut noted, true) {
            stages.write_all(b"deleting").unwrap();
        }
        ControlFlow::Continue(())
    };
    control.move_chat(MOVED, &name("archive"), &MoveOptions::default(), progress).unwrap();
    db.close();
    child::say("closed");
}

#[test]
fn a_copy_is_on_disk_before_it_is_decided_and_the_deleting_before_it_is_forgotten() {
    let scratch = Scratch::new();
    let text = |name: &str| scratch.file(name).to_str().unwrap().to_owned();
    let (log, folder) = (text("log"), text(""));
    let files = ["primary.db-wal", "archive.db-wal", "home.db-wal", "stages"].map(text);
    let mut options = vec!["-f", "-qq", "-y", "-s", "4096", "-o", &log, "-e", "trace=pwrite64,fdatasync,fsync,write"];
    files.iter().for_each(|file| options.extend(["-P", file]));
    let said = Child::start_traced(&options, &["move-and-say", &folder].map(OsStr::new)).lines();
    assert_eq!(said, ["closed"]);
    let log = std::fs::read_to_string(&log).unwrap();
    // What was written since the last sync of it; whether the decision is; how often the default source was synced after it.
    let (mut unsynced, mut decides, mut decided, mut after) = (BTreeSet::new(), false, false, 0);
    for line in log.lines() {
        let Some(file) = files.iter().find(|file| line.contains(&format!("<{file}>"))) else { continue };
        let is_default = *file == files[0];
        if line.contains("pwrite64(") {
            unsynced.insert(file);
            // The move's state from then on.
            decides |= is_default && !decided && line.contains("deleting");
        } else if line.contains("sync(") {
            if is_default && decides {
                assert!(!unsynced.contains(&files[1]), "decided before the copy was on disk");
                (decides, decided) = (false, true);
            } else if is_default && after > 0 {
                assert!(unsynced.iter().all(|file| **file == files[0]), "forgotten before the deleting was on disk");
                after += 1;
            }
            unsynced.remove(file);
        } else if line.contains("write(") {
            after = 1;
        }
    }
    // (The first is that with which the deleting begins.)
    assert!(decided && after > 2, "{decided}, {after}");
}
