//! The connections that reads use, opened when first needed, on the caller's thread.

use std::path::PathBuf;
use std::time::Instant;

use super::connection::{self, Link};
use super::file::FileId;
use parking_lot::{Condvar, Mutex};

/// A bounded set of read-only connections.
pub(super) struct Readers {
    path: PathBuf,
    file: FileId,
    state: Mutex<State>,
    returned: Condvar,
    most: usize,
}

struct State {
    idle: Vec<Link>,
    /// Idle and lent ones together.
    open: usize,
    closed: bool,
}

/// Why no connection was to be had.
pub(super) enum NoReader {
    /// All were in use until the deadline.
    Busy,
    /// The source was closed.
    Closed,
    /// The path leads to another file by now.
    Replaced,
    /// A new one could not be opened.
    Sqlite(rusqlite::Error),
}

/// A connection on loan.
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    link: Option<Link>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, file: FileId, most: usize) -> Self {
        let state = State { idle: Vec::new(), open: 0, closed: false };
        Self { path, file, state: Mutex::new(state), returned: Condvar::new(), most }
    }

    /// Lends a connection, waiting until the deadline where all are in use.
    pub(super) fn take(&self, deadline: Instant) -> Result<Reader<'_>, NoReader> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Err(NoReader::Closed);
            }
            if let Some(link) = state.idle.pop() {
                return Ok(Reader { readers: self, link: Some(link) });
            }
            if state.open < self.most {
                state.open += 1;
                drop(state);
                let mut reader = Reader { readers: self, link: None };
                reader.link = Some(self.open(deadline)?);
                return Ok(reader);
            }
            if self.returned.wait_until(&mut state, deadline).timed_out() {
                return Err(NoReader::Busy);
            }
        }
    }

    /// Opens one more connection, on the file that the others are on. A database that took its place would be read as
    /// if it were the old one, and by the old one's log.
    fn open(&self, deadline: Instant) -> Result<Link, NoReader> {
        let is_the_same = || FileId::of(&self.path) == Some(self.file);
        if !is_the_same() {
            return Err(NoReader::Replaced);
        }
        let timeout = deadline.saturating_duration_since(Instant::now());
        let opened = connection::reader(&self.path, timeout).map_err(NoReader::Sqlite);
        // Again: it may have been replaced in between.
        if is_the_same() { opened } else { Err(NoReader::Replaced) }
    }

    /// How many connections are open, idle and lent ones together.
    pub(super) fn open_now(&self) -> usize {
        self.state.lock().open
    }

    /// Closes all connections and lends no more. Waits until the deadline at most for those that are lent; one that comes
    /// back later is closed then.
    pub(super) fn close(&self, deadline: Instant) {
        let mut state = self.state.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.open -= idle.len();
        while state.open > 0 && !self.returned.wait_until(&mut state, deadline).timed_out() {}
        drop(state);
        self.returned.notify_all();
        drop(idle);
    }
}

impl Reader<'_> {
    pub(super) fn link(&self) -> Result<&Link, NoReader> {
        self.link.as_ref().ok_or(NoReader::Closed)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state.lock();
        let surplus = match self.link.take() {
            // One that could not even end its transaction is not lent again.
            Some(link) if !state.closed && link.connection.is_autocommit() => {
                state.idle.push(link);
                None
            }
            other => {
                state.open -= 1;
                other
            }
        };
        // Under the lock: a lost wake-up would leave a waiter until its deadline. `close` needs all of them.
        if state.closed {
            self.readers.returned.notify_all();
        } else {
            self.readers.returned.notify_one();
        }
        drop(state);
        drop(surplus);
    }
}
