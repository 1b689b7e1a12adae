//! What is logged, and how often.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::super::wakeups::{Handler, Wakeups};
use super::{Watched, deaf, out_of_order, text};

/// Keeps what is logged on this thread above debug, a line each.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("config")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What is logged meanwhile.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), work);
    std::mem::take(&mut log.0.lock().unwrap())
}

/// A system that watches no more folders.
struct Full;

impl notify::Watcher for Full {
    fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
        Ok(Self)
    }
    fn watch(&mut self, _: &Path, _: notify::RecursiveMode) -> notify::Result<()> {
        Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
    }
    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }
    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}

fn full(_: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    Ok(Box::new(Full))
}

const REFUSED: &str = "WARN the configuration is not applied; the last good one stays in force";

#[test]
fn a_reason_is_logged_once_and_again_when_it_changes_and_tells_no_secret() {
    let mut watched = Watched::new(&text(""));
    let mut after = |content: String| {
        let lines = logged(|| {
            watched.write(content);
            watched.pass(30_000);
        });
        lines.join("\n").replace(&watched.folder.path().display().to_string(), "DIR")
    };
    let unknown = |more: &str| text(&format!("-1002 = \"s3cr3t\"{more}"));
    assert_eq!(
        after(unknown("")),
        format!(
            "{REFUSED} \"DIR/bot.toml:12: `database.chat_mapping.-1002` names no source; there are \\\"archive\\\", \
             \\\"primary\\\"\""
        )
    );
    assert_eq!(after(unknown(" # broken in the same way")), "");
    let two = after(unknown("\n-1003 = 5"));
    assert!(two.starts_with(REFUSED) && two.contains("DIR/bot.toml:13") && !two.contains("s3cr3t"), "{two}");
    assert_eq!(after(text("")), "", "mended");
    assert_ne!(after(unknown("")), "", "and broken again");
    assert_eq!(after(text("-1002 = \"archive\"")), "INFO the changed configuration is in force");
}

#[test]
fn a_refusal_is_logged_once_and_to_who_asks_each_time() {
    let mut watched = Watched::new(&text(""));
    *watched.refusal.lock().unwrap() = Some("the file of the default source cannot change".to_owned());
    let lines = logged(|| {
        watched.write(text("-1002 = \"archive\""));
        watched.pass(30_000);
    });
    assert_eq!(lines, [format!("{REFUSED} \"the file of the default source cannot change\"")]);
    let lines = logged(|| {
        watched.worker.reload_now(watched.now);
        watched.pass(30_000);
    });
    assert_eq!(lines.len(), 1);
    let lines = logged(|| {
        watched.write(text("-1003 = \"archive\""));
        watched.pass(30_000);
    });
    assert_eq!(lines, [""; 0], "something else, refused for the same reason");
}

#[test]
fn what_changes_nothing_is_not_logged() {
    let mut watched = Watched::new(&text(""));
    let lines = logged(|| {
        watched.write(text("# a comment"));
        watched.pass(30_000);
        watched.worker.reload_now(watched.now);
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_restart_is_asked_for_once_where_it_is_needed() {
    let mut watched = Watched::new(&text(""));
    let asked = ["WARN a change of [bot] or [log] takes effect at the next start; restart the bot"];
    let mut after = |content: String| {
        let lines = logged(|| {
            watched.write(content);
            watched.pass(30_000);
        });
        (lines, watched.last().is_some_and(|last| last.restart_needed), watched.applied())
    };
    let renamed = text("").replace("Yard", "Signal box");
    assert_eq!(after(renamed.clone()), (asked.map(str::to_owned).to_vec(), true, 0));
    assert_eq!(after(renamed.clone() + "# a comment"), (vec![], true, 0));
    let (lines, needed, applied) = after(renamed + "-1002 = \"archive\"");
    assert_eq!((lines.len(), needed, applied), (1, true, 1), "{lines:?}");
    let (lines, needed, applied) = after(text("-1002 = \"archive\""));
    assert_eq!((lines.len(), needed, applied), (0, false, 1), "back to how it was at the start: {lines:?}");
}

#[test]
fn that_the_system_tells_nothing_is_logged_once() {
    let (folder, other) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    let files = [folder.path().join("bot.toml")];
    let lines = logged(|| {
        let mut wakeups = Wakeups::new(&files, mpsc::channel().0, out_of_order);
        for _ in 0..10 {
            wakeups.renew();
        }
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("it is looked at every second"), "{lines:?}");
    let lines = logged(|| {
        let mut wakeups = Wakeups::new(&files, mpsc::channel().0, full);
        for _ in 0..3 {
            wakeups.renew();
            std::fs::rename(folder.path(), other.path().join("moved")).unwrap();
            wakeups.renew();
            std::fs::rename(other.path().join("moved"), folder.path()).unwrap();
        }
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(logged(|| Wakeups::new(&files, mpsc::channel().0, deaf).renew()), [""; 0]);
}
