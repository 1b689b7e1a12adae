//! Standard input, which both transports read in the same way: line by line, on a thread of its own.

use std::io::{self, BufRead};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::lines::{Lines, Refusal};

/// How many lines are read ahead of those that are handled.
pub(super) const READ_AHEAD: usize = 16;
/// How often it is looked whether the bot has something to say by itself.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What comes of reading on.
pub(super) enum Read {
    /// A line, with its number from 1.
    Line(u64, String),
    Refused(Refusal),
    End,
    Failed(io::Error),
}

/// Starts the thread that reads.
pub(super) fn spawn(read: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("input".into()).spawn(read).map(drop)
}

/// Sends what is read until there is no more, or it is not wanted any more.
pub(super) fn send_lines<E>(
    mut lines: Lines<impl BufRead>,
    events: &SyncSender<E>,
    is_wanted: impl Fn() -> bool,
    as_event: impl Fn(Read) -> E,
) {
    while is_wanted() {
        let read = match lines.next_line() {
            Ok(Some(Ok(line))) => Read::Line(lines.number(), line),
            Ok(Some(Err(refusal))) => Read::Refused(refusal),
            Ok(None) => Read::End,
            Err(error) => Read::Failed(error),
        };
        let is_last = matches!(read, Read::End | Read::Failed(_));
        if events.send(as_event(read)).is_err() || is_last {
            return;
        }
    }
}
