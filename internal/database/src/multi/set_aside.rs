//! Going on without a stand-in that cannot be read any more.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::closing::close_within;
use super::control::Control;
use super::standin::ServedBy;
use super::standin_files;
use crate::error::{Error, ErrorKind, Result};
use crate::route::SourceName;
use crate::source::Source;
use crate::sources::{Topology as _, unknown_source};

/// How often it is looked whether the stand-in is closed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Control {
    /// Sets the stand-in of a source aside, which is damaged or lost: its file is kept under another name beside it, and
    /// what only it holds is not brought home. The source's chats are at home again where it is well; where it is away
    /// still, another stand-in is begun. Answers the file's name; `None` where there was none.
    ///
    /// # Errors
    /// There is no such source, nothing stands in for it, what does can be read and written (then all of it comes home by
    /// itself) or cannot be looked at now, as where it is busy or its disk is full or this release is too old for it, or it
    /// does not close.
    pub fn set_aside(&self, name: &SourceName) -> Result<Option<PathBuf>> {
        const OP: &str = "multi.set_aside";
        let table = self.router.table();
        if table.named(name.as_str()).is_none() {
            return Err(unknown_source(&*table, OP, name.as_str()));
        }
        drop(table);
        let refused =
            |reason: &str| Err(Error::new(OP, name, ErrorKind::SourceUnavailable { reason: reason.to_owned() }));
        let Some(away) = self.router.away(name).filter(|away| away.by == ServedBy::StandIn) else {
            return refused("no file of its own stands in for it, so that there is none to be set aside");
        };
        match away.serving.look() {
            Ok(()) => {
                return refused("what stands in for it is well, and all of it comes home when the source is back");
            }
            Err(error) if !is_lost(&away.serving, &error) => {
                let why = error.kind();
                return refused(&format!("what stands in for it is not known to be damaged or lost ({why}); it stays"));
            }
            Err(_) => {}
        }
        let config = self.config();
        let before = standin_files::all_aside(&config, name);
        if !self.router.break_off(&away) {
            return refused("its chats have come home meanwhile");
        }
        let deadline = Instant::now() + close_within([&away.serving]);
        // Once no call uses it any more it is closed, and gets its other name.
        while self.router.is_leaving(name) {
            if Instant::now() >= deadline {
                return refused("what stood in for it does not close; its file is set aside as soon as it does");
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        // Whether the source is well is another question.
        let _ = self.retry(name);
        Ok(standin_files::all_aside(&config, name).into_iter().find(|path| !before.contains(path)))
    }
}

/// Whether a stand-in that failed so is no good. One that is busy, has no room, or cannot be opened for another reason
/// that passes is well otherwise.
fn is_lost(serving: &Source, error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Damaged { .. } | ErrorKind::Io { .. } | ErrorKind::FileReplaced => true,
        ErrorKind::SourceUnavailable { .. } => serving.is_lost(),
        _ => false,
    }
}
