//! Many databases behind one wrapper: the cargo feature `multi-source`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use database::multi::Control;
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Form, OnUnavailable, Options, PartialResults, SourceConfig, SourceName,
};

use crate::support::Scratch;

mod arrived;
mod audit;
mod backups;
pub(crate) mod closing;
pub(crate) mod crowd;
mod departed;
mod example;
mod gathered;
mod identity;
mod identity_default;
mod isolation;
mod journal;
pub(crate) mod live;
mod media;
mod model;
mod naming;
mod opening;
mod outages;
mod particulars;
pub(crate) mod readonly;
pub(crate) mod refusals;
mod relocate;
mod reminders;
mod restoring;
pub(crate) mod sealing;
pub(crate) mod standins;
mod strays;
mod supergroups;
mod threads;

pub(crate) use relocate::{move_to_little_room, move_until};

/// Waits until this holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The name of a source.
pub(crate) fn name(name: &str) -> SourceName {
    name.parse().unwrap()
}

/// A configuration with these sources in a folder, the first being the default one, and these chats mapped.
pub(crate) fn config_of(folder: &Path, sources: &[&str], mapping: &[(i64, &str)]) -> DatabaseConfig {
    let source = |of: &&str| {
        let settings = SourceConfig {
            name: name(of),
            timeout: Duration::from_secs(10),
            on_unavailable: OnUnavailable::Fail,
            ..SourceConfig::new(folder.join(format!("{of}.db")))
        };
        (settings.name.clone(), settings)
    };
    DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources: sources.iter().map(source).collect::<BTreeMap<_, _>>(),
        default_source: name(sources[0]),
        chat_mapping: mapping.iter().map(|(chat, source)| (ChatId(*chat), name(source))).collect(),
        partial_results: PartialResults::Warn,
    }
}

/// Opens a configuration.
pub(crate) fn open(config: &DatabaseConfig) -> (DatabaseWrapper, Control) {
    DatabaseWrapper::open_multi(config, Options::default()).unwrap()
}

/// Takes a source's file away, so that it cannot be opened: nothing is made in its place.
pub(crate) fn take_away(scratch: &Scratch, source: &str) {
    std::fs::rename(scratch.file(&format!("{source}.db")), scratch.file(&format!("{source}.away"))).unwrap();
}

/// Gives a database another name, with its log and index where it has them.
pub(crate) fn carry(from: &Path, to: &Path) {
    carry_in_order(from, to, ["", "-wal", "-shm"]);
}

/// The same with the log first: a bot that was started since would take a database without its log as it is.
pub(crate) fn put_back(from: &Path, to: &Path) {
    carry_in_order(from, to, ["-wal", "-shm", ""]);
}

fn carry_in_order(from: &Path, to: &Path, suffixes: [&str; 3]) {
    for suffix in suffixes {
        let [from, to] = [from, to].map(|path| PathBuf::from(format!("{}{suffix}", path.display())));
        if from.exists() {
            std::fs::rename(from, to).unwrap();
        }
    }
}

/// What a call answers, and what is logged meanwhile on this thread.
pub(crate) fn logged<T>(f: impl FnOnce() -> T) -> (T, String) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let answer = tracing::subscriber::with_default(subscriber, f);
    let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
    (answer, text)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The names of files in a folder that hold this text, byte for byte.
pub(crate) fn files_with(scratch: &Scratch, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}
