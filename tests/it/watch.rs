//! The watching of the configuration, with real files and in real time: whatever way a file is changed in, what it says
//! is in force within three seconds, once.

mod beside;
pub(crate) mod changes;
mod mutations;
mod oracle;
mod prefixes;
mod rounds;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use config::{Config, Layers, Watch};
use database::DatabaseConfig;

use super::support::Scratch;

use crate::support::asked;

/// How long after the last write all is in force.
pub(crate) const LIVE: Duration = Duration::from_secs(3);
/// Longer than the watch waits before it acts on anything: what has not happened by then will not.
pub(crate) const SETTLED: Duration = Duration::from_millis(3200);

/// How often each way of changing a file is tried. `RELOAD_ROUNDS=50 cargo test -p tests --features multi-source watch`
/// tries each 50 times.
fn rounds() -> usize {
    asked("RELOAD_ROUNDS", 3)
}

/// A folder of its own, the configuration that is watched there, and what is applied of it.
struct Site {
    scratch: Scratch,
    file: PathBuf,
    watch: Watch,
    applied: Receiver<(Instant, DatabaseConfig)>,
}

impl Site {
    /// Watches `folder/bot.toml`, after `prepare` has made it say `text(0)`.
    fn new(folder: &str, prepare: impl FnOnce(&Path, &str)) -> Self {
        let scratch = Scratch::new();
        let file = scratch.file(folder).join("bot.toml");
        prepare(scratch.path(), &text(scratch.path(), 0));
        let layers = Layers { files: vec![file.clone()], ..Layers::default() };
        let (sender, applied) = mpsc::channel();
        let apply = move |config: &Config| {
            sender.send((Instant::now(), config.database.clone())).map_err(|error| error.to_string())
        };
        let watch = Watch::start(layers.clone(), layers.load().unwrap(), apply).unwrap();
        Self { scratch, file, watch, applied }
    }

    /// Watches a file in a plain folder.
    fn plain() -> Self {
        Self::new(changes::PLAIN, changes::put_in_a_folder)
    }

    fn text(&self, round: usize) -> String {
        text(self.scratch.path(), round)
    }

    /// What the file says now.
    fn says(&self) -> DatabaseConfig {
        Layers { files: vec![self.file.clone()], ..Layers::default() }.load().unwrap().database
    }

    /// Nothing is applied for so long.
    #[track_caller]
    fn quiet(&self, time: Duration) {
        if let Ok((_, applied)) = self.applied.recv_timeout(time) {
            panic!("applied: {:?}", applied.chat_mapping);
        }
    }

    /// What the file says is applied in time after the last write; answers how long that took.
    #[track_caller]
    fn live(&self, written: Instant) -> Duration {
        let (at, applied) = self.applied.recv_timeout(2 * LIVE).unwrap();
        assert_eq!(applied, self.says());
        let took = at.saturating_duration_since(written);
        assert!(took < LIVE, "{took:?}");
        took
    }
}

/// Three sources, one chat that always lives in the second, and one whose route is another in each round.
fn text(root: &Path, round: usize) -> String {
    let (root, source) = (root.display(), ["archive", "third"][round % 2]);
    format!(
        "[database]\ndata_dir = \"{root}/data\"\ndefault_source = \"primary\"\n\n[database.sources.primary]\n\
         path = \"bot.db\"\n\n[database.sources.archive]\npath = \"archive.db\"\n\n[database.sources.third]\n\
         path = \"third.db\"\n\n[database.chat_mapping]\n-1001 = \"archive\"\n-1002 = \"{source}\"\n-{} = \"archive\"\n",
        2000 + round
    )
}
