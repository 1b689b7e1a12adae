//! The watch as a whole, with a clock of its own where that is enough.

mod logs;
mod prefixes;
mod running;

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use database::DatabaseConfig;
use tempfile::TempDir;

use super::changes::Pace;
use super::wakeups::{Handler, Wakeups};
use super::worker::Worker;
use super::{Last, Outcome, Reload};
use crate::load::{Config, Layers};

/// Two sources and a chat that lives in the second one, with a line put in at the end.
fn text(last_line: &str) -> String {
    format!(
        "[bot]\nname = \"Yard\"\n[database]\ndefault_source = \"primary\"\n[database.sources.primary]\n\
         path = \"bot.db\"\n[database.sources.archive]\npath = \"archive.db\"\nreadonly = true\n\
         [database.chat_mapping]\n-1001 = \"archive\"\n{last_line}\n"
    )
}

fn parsed(text: &str) -> Result<Config, String> {
    let layers = Layers { files: vec![PathBuf::from("/nowhere/bot.toml")], ..Layers::default() };
    layers.load_files(layers.files.clone(), &|_| Ok(text.as_bytes().to_vec())).map_err(|error| error.to_string())
}

/// What tells of changes, where nothing does.
fn out_of_order(_: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
}

/// What tells of changes, in a folder where nobody hears of them.
fn deaf(_: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    Ok(Box::new(notify::NullWatcher))
}

/// A watch whose time is moved by hand, with a file.
struct Watched {
    folder: TempDir,
    worker: Worker,
    now: Instant,
    writes: u64,
    last: Last,
    applied: Arc<Mutex<Vec<DatabaseConfig>>>,
    /// Why nothing is applied; a text of `panic` makes it panic.
    refusal: Arc<Mutex<Option<String>>>,
}

impl Watched {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("bot.toml");
        std::fs::write(&file, text).unwrap();
        let layers = Layers { files: vec![file], ..Layers::default() };
        let current = layers.load().unwrap();
        let applied: Arc<Mutex<Vec<DatabaseConfig>>> = Arc::default();
        let refusal: Arc<Mutex<Option<String>>> = Arc::default();
        let (noted, refused) = (Arc::clone(&applied), Arc::clone(&refusal));
        let apply = move |config: &Config| {
            let refusal = refused.lock().unwrap().clone();
            match refusal {
                Some(reason) if reason == "panic" => panic!("as was asked for"),
                Some(reason) => Err(reason),
                None => {
                    noted.lock().unwrap().push(config.database.clone());
                    Ok(())
                }
            }
        };
        let wakeups = Wakeups::new(&layers.files, mpsc::channel().0, deaf);
        let last = Last::default();
        let worker = Worker::new(layers, current, Pace::STEADY, wakeups, Box::new(apply), Arc::clone(&last));
        let mut watched = Self { folder, worker, now: Instant::now(), writes: 0, last, applied, refusal };
        watched.pass(5000);
        watched
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("bot.toml")
    }

    /// Writes the file in place, at a time of its own: the clock of a file system may stand still meanwhile.
    fn write(&mut self, text: impl AsRef<[u8]>) {
        std::fs::write(self.file(), text).unwrap();
        self.writes += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(self.writes);
        File::options().write(true).open(self.file()).unwrap().set_modified(modified).unwrap();
    }

    /// Lets so many milliseconds go by.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while self.now < end {
            self.now += Duration::from_millis(50);
            self.worker.look_if_due(self.now);
        }
    }

    fn applied(&self) -> usize {
        self.applied.lock().unwrap().len()
    }

    fn in_force(&self) -> Option<DatabaseConfig> {
        self.applied.lock().unwrap().last().cloned()
    }

    fn last(&self) -> Option<Reload> {
        self.last.lock().unwrap().clone()
    }

    /// What the file says.
    fn says(&self) -> DatabaseConfig {
        Layers { files: vec![self.file()], ..Layers::default() }.load().unwrap().database
    }

    fn outcome(&self) -> Option<Outcome> {
        self.last().map(|last| last.outcome)
    }

    /// Why the last change was turned down.
    fn reason(&self) -> String {
        match self.outcome() {
            Some(Outcome::Refused(reason)) => reason.replace(&self.folder.path().display().to_string(), "DIR"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_change_is_applied_once_and_after_the_quiet() {
    let mut watched = Watched::new(&text(""));
    assert_eq!((watched.applied(), watched.last()), (0, None));
    let changed = text("-1002 = \"archive\"");
    watched.write(&changed);
    // The poll may see it at once.
    watched.pass(1450);
    assert_eq!(watched.applied(), 0);
    watched.pass(1100);
    assert_eq!(watched.in_force(), Some(watched.says()));
    assert_eq!(watched.outcome(), Some(Outcome::Applied));
    watched.pass(60_000);
    assert_eq!(watched.applied(), 1);
}

#[test]
fn what_the_files_say_already_is_no_change() {
    let mut watched = Watched::new(&text(""));
    watched.write(text("# a comment"));
    watched.pass(10_000);
    assert_eq!((watched.applied(), watched.last()), (0, None));
}

#[test]
fn a_file_without_quiet_is_not_applied_and_one_that_comes_to_rest_is() {
    let mut watched = Watched::new(&text(""));
    for round in 0..20 {
        watched.write(text(&format!("-{} = \"archive\"", 2000 + round)));
        watched.pass(1000);
    }
    assert_eq!(watched.applied(), 0);
    watched.pass(1600);
    assert_eq!(watched.in_force(), Some(watched.says()));
}

#[test]
fn a_broken_or_missing_file_leaves_the_last_good_one_in_force() {
    let mut watched = Watched::new(&text(""));
    watched.write(text("-1002 = \"nowhere\""));
    watched.pass(3000);
    assert_eq!(
        watched.reason(),
        "DIR/bot.toml:12: `database.chat_mapping.-1002` names no source; there are \"archive\", \"primary\""
    );
    std::fs::remove_file(watched.file()).unwrap();
    watched.pass(3000);
    assert!(watched.reason().starts_with("DIR/bot.toml: cannot be read"), "{}", watched.reason());
    assert_eq!(watched.applied(), 0);
    watched.write(text(""));
    watched.pass(3000);
    assert_eq!((watched.applied(), watched.outcome()), (0, Some(Outcome::Unchanged)));
    watched.write(text("-1002 = \"archive\""));
    watched.pass(3000);
    assert_eq!((watched.applied(), watched.outcome()), (1, Some(Outcome::Applied)));
}

#[test]
fn what_was_refused_is_not_tried_again_until_the_files_change() {
    let mut watched = Watched::new(&text(""));
    for refusal in ["no", "panic"] {
        *watched.refusal.lock().unwrap() = Some(refusal.to_owned());
        let refused = text(&format!("-1002 = \"archive\"\n# {refusal}\n-1003 = \"archive\""));
        watched.write(&refused);
        watched.pass(3000);
        let reason = if refusal == "no" { "no" } else { "applying it failed; please report this as a bug" };
        assert_eq!(watched.outcome(), Some(Outcome::Refused(reason.to_owned())));
        *watched.refusal.lock().unwrap() = None;
        watched.write(refused + "# a comment\n");
        watched.pass(10_000);
        assert_eq!(watched.applied(), 0);
        watched.write(text(""));
        watched.pass(3000);
    }
    watched.write(text("-1002 = \"archive\""));
    watched.pass(3000);
    assert_eq!(watched.applied(), 1);
}

#[test]
fn who_asks_does_not_wait_and_the_watch_does_not_apply_it_again() {
    let mut watched = Watched::new(&text(""));
    watched.write(text("-1002 = \"archive\""));
    assert_eq!(watched.worker.reload_now(watched.now).outcome, Outcome::Applied);
    assert_eq!(watched.worker.reload_now(watched.now).outcome, Outcome::Unchanged);
    watched.pass(10_000);
    assert_eq!((watched.applied(), watched.outcome()), (1, Some(Outcome::Unchanged)));

    *watched.refusal.lock().unwrap() = Some("no".to_owned());
    watched.write(text("-1003 = \"archive\""));
    assert_eq!(watched.worker.reload_now(watched.now).outcome, Outcome::Refused("no".to_owned()));
    watched.pass(10_000);
    *watched.refusal.lock().unwrap() = None;
    assert_eq!(watched.worker.reload_now(watched.now).outcome, Outcome::Applied);
}

#[test]
fn who_asks_in_the_middle_of_a_write_gets_the_rest_as_well() {
    // A write that the stamp of the file does not show, played by something else that counts when it is read: two
    // sources that come to be one file.
    let mut watched = Watched::new(&text(""));
    watched.write(text("").replace("[database]", "[database]\ndata_dir = \"data\""));
    assert_eq!(watched.worker.reload_now(watched.now).outcome, Outcome::Applied);
    let data = watched.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("bot.db"), "").unwrap();
    std::fs::hard_link(data.join("bot.db"), data.join("archive.db")).unwrap();
    watched.pass(3000);
    assert!(watched.reason().contains("leads to the same file"), "{}", watched.reason());
}

#[test]
fn the_files_are_those_of_the_start() {
    // The file at the default place, which nobody named: without it all would be as it is built in.
    let mut watched = Watched::new(&text(""));
    let layers = Layers::default();
    let current = Layers { files: vec![watched.file()], ..Layers::default() }.load().unwrap();
    let wakeups = Wakeups::new(&current.files, mpsc::channel().0, deaf);
    let apply = Box::new(|_: &Config| -> Result<(), String> { unreachable!() });
    watched.worker = Worker::new(layers, current, Pace::STEADY, wakeups, apply, Arc::clone(&watched.last));
    std::fs::remove_file(watched.file()).unwrap();
    watched.pass(10_000);
    assert!(watched.reason().starts_with("DIR/bot.toml: cannot be read"));

    // And where there was none, there is none to come.
    let layers = Layers { data_dir: Some(PathBuf::from("/nowhere/data")), ..Layers::default() };
    let current = layers.load_files(Vec::new(), &|_| unreachable!()).unwrap();
    let wakeups = Wakeups::new(&current.files, mpsc::channel().0, out_of_order);
    let mut worker = Worker::new(layers, current, Pace::STEADY, wakeups, Box::new(|_| Ok(())), Last::default());
    assert_eq!(worker.reload_now(Instant::now()).outcome, Outcome::Unchanged);
}
