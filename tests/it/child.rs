//! Helpers that run as processes of their own: this binary again, told by its environment what to do.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use database::{ChatId, DatabaseWrapper, NewMessage, SourceConfig, UserId};
use tempfile::TempDir;

use crate::support::{sqlite, time};

const TASK: &str = "TEST_CHILD_TASK";
/// What sets a helper's lines apart from the test runner's.
const MARK: &str = "@@ ";
/// The user and group that own nothing.
const NOBODY: u32 = 65534;

/// A helper at work.
pub(crate) struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a helper as the user who runs the tests.
    pub(crate) fn start(task: &[&OsStr]) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), task)
    }

    /// Starts a helper as a user for whom permissions count. (They do not count for root.)
    pub(crate) fn start_unprivileged(task: &[&OsStr]) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::start(task);
        }
        let mut command = Command::new(reachable_copy());
        command.uid(NOBODY).gid(NOBODY);
        Self::spawn(command, task)
    }

    /// Starts a helper by way of a shell script that runs it as `"$0" "$@"` and may mount what only it sees.
    pub(crate) fn start_in_namespace(shell: &str, task: &[&OsStr]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ec", shell]).arg(std::env::current_exe().unwrap());
        Self::spawn(command, task)
    }

    /// Starts a helper under strace.
    pub(crate) fn start_traced(options: &[&str], task: &[&OsStr]) -> Self {
        let mut command = Command::new("strace");
        command.args(options).arg(std::env::current_exe().unwrap());
        Self::spawn(command, task)
    }

    fn spawn(mut command: Command, task: &[&OsStr]) -> Self {
        let task = task.join(OsStr::new("\u{1f}"));
        command.args(["--exact", "child::a_helper_does_its_task", "--nocapture", "--test-threads=1"]);
        command.env(TASK, task).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        // Another thread may be starting a process at the moment at which the copy of this binary was written: until that
        // process runs its own program it has the copy open for writing, and such a file cannot be run.
        let mut process = loop {
            match command.spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                spawned => break spawned.unwrap(),
            }
        };
        let stdin = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, stdin, lines }
    }

    /// The next line that the helper says; waits for it.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the helper ended without a word");
            if let Some(said) = line.strip_prefix(MARK) {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Tells a waiting helper to go on, and waits for its end.
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success(), "the helper failed: {rest}");
    }

    /// The one line that a helper says, once it has ended.
    pub(crate) fn answer(mut self) -> String {
        let line = self.line();
        self.finish();
        line
    }

    /// All lines that the helper says until it ends, in whatever way.
    pub(crate) fn lines(mut self) -> Vec<String> {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        self.process.wait().unwrap();
        text.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
    }

    /// Ends the helper where it stands.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Kills it as well, and reads what it had said until then.
    #[cfg(feature = "multi-source")]
    pub(crate) fn kill_and_read(mut self, mut take: impl FnMut(&str)) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            // The last one may be half a line.
            if let Some(said) = line.strip_suffix('\n').and_then(|line| line.split_once(MARK)) {
                take(said.1);
            }
            line.clear();
        }
    }
}

impl Drop for Child {
    /// A test that fails leaves nobody at work.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// A copy of this binary in a folder that every user can reach.
fn reachable_copy() -> &'static Path {
    static COPY: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("it");
        let mut from = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let mut to = std::fs::File::create(&path).unwrap();
        std::io::copy(&mut from, &mut to).unwrap();
        to.set_permissions(Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    });
    &COPY.1
}

pub(crate) fn say(line: &str) {
    // On a line of its own whatever the test runner has written so far.
    writeln!(std::io::stdout(), "\n{MARK}{}", line.replace('\n', " ⏎ ")).unwrap();
}

pub(crate) fn wait_to_go_on() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Opens a database and says how that went.
fn open(path: &str, millis: &str) {
    let timeout = Duration::from_millis(millis.parse().unwrap());
    match DatabaseWrapper::open(&SourceConfig { timeout, ..SourceConfig::new(path) }) {
        Ok(db) => {
            db.close();
            say("opened");
        }
        Err(error) => say(&error.to_string()),
    }
}

/// The message that a helper of a number writes as its so-many-th.
pub(crate) fn numbered(helper: &str, index: u32) -> NewMessage {
    NewMessage::text(format!("{helper}-{index}"), time("2026-01-01 00:00:00"), UserId(1), "x".repeat(100))
}

fn write(path: &str, helper: &str, count: &str) {
    let db = DatabaseWrapper::open(&SourceConfig::new(path)).unwrap();
    say("ready");
    for index in 0..count.parse().unwrap() {
        db.save_chat_message(ChatId(1), &numbered(helper, index)).unwrap();
    }
    db.close();
}

/// Writes until there is no room, then says what the error is, and whether reading and writing go on once there is.
fn fill(folder: &str) {
    let path = Path::new(folder).join("bot.db");
    let db = DatabaseWrapper::open(&SourceConfig::new(&path)).unwrap();
    let big =
        |index: u32| NewMessage::text(i64::from(index), time("2026-01-01 00:00:00"), UserId(1), "x".repeat(50_000));
    let ballast = Path::new(folder).join("ballast");
    std::fs::write(&ballast, vec![1; 200_000]).unwrap();
    let (failed, error) = (0..1000)
        .find_map(|index| db.save_chat_message(ChatId(1), &big(index)).err().map(|error| (index, error)))
        .unwrap();
    say(&error.to_string());
    let stored = db.get_chat_totals(ChatId(1)).unwrap().messages;
    assert_eq!(stored, i64::from(failed), "what was answered is there, and what was refused is not");
    std::fs::remove_file(ballast).unwrap();
    db.save_chat_message(ChatId(1), &big(failed)).unwrap();
    say("written once there was room");
}

#[test]
fn a_helper_does_its_task() {
    // Without a task this is no helper.
    let Ok(task) = std::env::var(TASK) else { return };
    match *task.split('\u{1f}').collect::<Vec<_>>() {
        ["open", path, millis] => open(path, millis),
        ["open-unprivileged", path, millis] => {
            assert!(!rustix::process::geteuid().is_root(), "permissions do not count for root");
            open(path, millis);
        }
        ["write", path, helper, count] => write(path, helper, count),
        ["hold", path, begin] => {
            let connection = sqlite(Path::new(path));
            connection.busy_timeout(Duration::from_secs(20)).unwrap();
            connection.execute_batch(begin).unwrap();
            say("held");
            wait_to_go_on();
            connection.execute_batch("COMMIT").unwrap();
        }
        ["fill", folder] => fill(folder),
        ["look-after", data, backups] => say(&crate::maintenance::look_after(data, backups)),
        ["write-and-say", path] => crate::syscalls::write_and_say(path),
        #[cfg(feature = "multi-source")]
        ["read-archive", path] => say(&crate::multi::readonly::read_archive(path)),
        #[cfg(feature = "multi-source")]
        ["hold-folder", folder] => {
            let (db, _) = crate::multi::open(&crate::multi::config_of(Path::new(folder), &["primary"], &[]));
            say("held");
            wait_to_go_on();
            db.close();
        }
        #[cfg(feature = "multi-source")]
        ["come-home", folder, policy] => crate::multi::standins::killed::come_home(folder, policy),
        #[cfg(feature = "multi-source")]
        ["write-to-a-failing-disk", folder] => crate::multi::standins::failing::write_to_a_failing_disk(folder),
        #[cfg(feature = "multi-source")]
        ["fill-the-archive", folder, policy, when] => {
            crate::multi::standins::full::fill_the_archive(folder, policy, when);
        }
        #[cfg(feature = "multi-source")]
        ["outage-load", folder] => crate::multi::standins::torture::load(folder),
        #[cfg(feature = "multi-source")]
        ["move-and-say", folder] => crate::multi::live::synced::move_and_say(folder),
        #[cfg(feature = "multi-source")]
        ["crowd", folder] => crate::multi::crowd::work(folder),
        #[cfg(feature = "multi-source")]
        ["without-threads", folder, since] => crate::multi::refusals::without_threads(folder, since),
        #[cfg(feature = "multi-source")]
        ["away-without-threads", folder, policy, since] => {
            crate::multi::standins::threadless::away_without_threads(folder, policy, since);
        }
        #[cfg(feature = "multi-source")]
        ["drop-hanging", folder] => crate::multi::closing::drop_hanging(folder),
        #[cfg(feature = "multi-source")]
        ["seal", path, to] => say(&crate::multi::sealing::seal_unprivileged(path, to)),
        ["overfill", folder] => crate::checkpoints::overfill(Path::new(folder)),
        ["stress", folder] => crate::stress::run(Path::new(folder)),
        ["stress-other", path] => {
            let goes_on = AtomicBool::new(true);
            std::thread::scope(|scope| {
                scope.spawn(|| crate::stress::other(path, &goes_on));
                wait_to_go_on();
                goes_on.store(false, Ordering::Relaxed);
            });
        }
        #[cfg(feature = "multi-source")]
        ["move-to-little-room", folder] => say(&crate::multi::move_to_little_room(folder)),
        #[cfg(feature = "multi-source")]
        ["live-move", folder] => crate::multi::live::killed::load(folder),
        #[cfg(feature = "multi-source")]
        ["move", folder, rows, stop] => crate::multi::move_until(Path::new(folder), rows, stop),
        _ => panic!("no such task: {task}"),
    }
}
