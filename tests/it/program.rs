//! The program as its users have it: a process with arguments, input, output and signals.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use database::{DatabaseWrapper, Options, SourceConfig, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const MADE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/export/made.json");
pub(crate) const SINGLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/export/made-single-chat.json");

/// A folder for a bot's data, and for what a test puts beside it.
pub(crate) struct Home {
    folder: TempDir,
}

/// What a process that has ended left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A process at work.
pub(crate) struct Running {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// A home in memory where the system has room for one, for tests that store much and ask nothing of the disk.
    pub(crate) fn in_memory() -> Self {
        Self { folder: TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap() }
    }

    /// A home whose bot has taken in the export made by hand.
    pub(crate) fn with_made() -> Self {
        let home = Self::new();
        let db = home.open();
        let report = bot::import::import(&db, Path::new(MADE), &bot::import::Options::default(), &|| false);
        assert!(report.error.is_none(), "{report}");
        db.close();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new file beside the data.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/bot.db")
    }

    /// The bot's database under a clock that stands still, long after the fixtures.
    pub(crate) fn open(&self) -> DatabaseWrapper {
        self.open_at("2025-06-01 12:00:00")
    }

    pub(crate) fn open_at(&self, now: &str) -> DatabaseWrapper {
        std::fs::create_dir_all(self.data()).unwrap();
        let now: Timestamp = now.parse().unwrap();
        let options = Options { clock: std::sync::Arc::new(move || now), ..Options::default() };
        DatabaseWrapper::open_with(&SourceConfig::new(self.database()), options).unwrap()
    }

    /// The bot on this home's data.
    pub(crate) fn bot(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bot-under-test"));
        command.arg("--data-dir").arg(self.data()).args(args).current_dir(self.folder.path());
        command.env_remove("RUST_LOG").env("TERM", "xterm").env_remove("NO_COLOR");
        command
    }

    /// Runs the bot to its end on this input.
    pub(crate) fn run(&self, args: &[&str], input: impl AsRef<[u8]>) -> Said {
        let mut running = Running::start(&mut self.bot(args));
        let mut stdin = running.input.take().unwrap();
        // Who refuses its arguments does not wait for input.
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        self.of(running.end())
    }

    /// With this home's folder written as `[home]`, so that texts are the same everywhere.
    pub(crate) fn of(&self, said: Said) -> Said {
        let folder = self.folder.path().to_str().unwrap();
        let [out, err] = [said.out, said.err].map(|text| text.replace(folder, "[home]"));
        Said { out, err, ..said }
    }

    /// Runs the bot on this input and expects it to succeed.
    pub(crate) fn answers(&self, args: &[&str], input: &str) -> String {
        let said = self.run(args, input);
        assert_eq!((said.code, said.err.contains("error")), (Some(0), false), "{said:?}");
        said.out
    }

    /// The names in the data folder, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn dump(&self) -> Vec<String> {
        tests::rows::dump(&self.database(), tests::rows::nothing).unwrap()
    }

    pub(crate) fn one(&self, sql: &str) -> i64 {
        tests::rows::look(&self.database()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let connection = tests::rows::look(&self.database()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let input = child.stdin.take();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, input, out, err }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap();
    }

    /// What it reads from, for whoever has more to say than it answers.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.input.take().unwrap()
    }

    /// The next line of standard output, waited for.
    pub(crate) fn hear(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line on standard output")
    }

    /// The next line of standard output that comes within so long; `None` also where there are no more.
    #[cfg(feature = "multi-source")]
    pub(crate) fn hear_within(&self, time: Duration) -> Option<String> {
        self.out.recv_timeout(time).ok()
    }

    /// The next line of standard error, waited for.
    pub(crate) fn overhear(&self) -> String {
        self.err.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; nothing more is said to it.
    pub(crate) fn end(mut self) -> Said {
        drop(self.input.take());
        self.wait()
    }

    /// Waits for the end while its input stays open.
    pub(crate) fn wait(mut self) -> Said {
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let rest = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect::<String>();
        Said { code: status.unwrap().code(), out: rest(&self.out), err: rest(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where a test fails nobody else ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}
