//! Closing sources side by side, so that one that does not end keeps no other from being closed.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::source::Source;

/// How many sources are closed at a time.
const AT_ONCE: usize = 64;

/// How long moving a log into its file may take.
const TO_CHECKPOINT: Duration = Duration::from_secs(10);

/// How often it is looked whether a thread has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A source that is to be closed.
pub(super) struct Closing {
    file: PathBuf,
    /// How long that may take.
    within: Duration,
    close: Box<dyn FnOnce() + Send>,
}

/// Closings that have begun.
pub(super) struct UnderWay {
    /// The files of those that are not done yet, by their number.
    pending: BTreeMap<usize, PathBuf>,
    done: Receiver<usize>,
    /// When they are left behind.
    pub(super) deadline: Instant,
}

/// How long closing the slowest of these sources may take: for each an opening that is under way, then reads, then
/// writes, each as long as a call may take; then its log.
pub(super) fn close_within<'a>(sources: impl IntoIterator<Item = &'a Arc<Source>>) -> Duration {
    let timeout = sources.into_iter().map(|source| source.config().timeout).max().unwrap_or_default();
    3 * timeout + TO_CHECKPOINT
}

/// Closes sources, and waits as long as that may take. What is not closed by then, as on a disk that does not answer, is
/// told of and left behind.
pub(super) fn close_all(closings: Vec<Closing>) {
    UnderWay::begin(closings).wait();
}

/// Waits for a thread until the deadline at most, and answers whether it has ended.
pub(super) fn has_ended(thread: &JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() && Instant::now() < deadline {
        std::thread::park_timeout(LOOK_EVERY);
    }
    thread.is_finished()
}

impl Closing {
    pub(super) fn of(source: &Arc<Source>) -> Self {
        let (file, within) = (source.config().path.clone(), close_within([source]));
        let source = Arc::clone(source);
        Self::new(file, within, move || source.close())
    }

    /// A file that this closes, within that time.
    pub(super) fn new(file: PathBuf, within: Duration, close: impl FnOnce() + Send + 'static) -> Self {
        Self { file, within, close: Box::new(close) }
    }

    /// The same, and this once it is closed, however long that took.
    pub(super) fn then(self, f: impl FnOnce() + Send + 'static) -> Self {
        let close = self.close;
        let both = move || {
            close();
            f();
        };
        Self { close: Box::new(both), ..self }
    }
}

impl UnderWay {
    /// Begins to close sources.
    pub(super) fn begin(closings: Vec<Closing>) -> Self {
        let longest = closings.iter().map(|closing| closing.within).max().unwrap_or_default();
        let deadline = Instant::now() + longest;
        let pending = closings.iter().map(|closing| closing.file.clone()).enumerate().collect();
        let threads = closings.len().min(AT_ONCE);
        let queue = Arc::new(Mutex::new(closings.into_iter().enumerate().collect::<VecDeque<_>>()));
        let (closed, done) = mpsc::channel();
        let work = move |closed: &Sender<usize>| {
            loop {
                let Some((number, closing)) = queue.lock().pop_front() else { return };
                (closing.close)();
                // Nobody waits any more where it took too long.
                let _ = closed.send(number);
            }
        };
        let mut begun = 0;
        for _ in 0..threads {
            let (work, closed) = (work.clone(), closed.clone());
            let thread = std::thread::Builder::new().name("closes a source".into());
            begun += usize::from(thread.spawn(move || work(&closed)).is_ok());
        }
        if begun == 0 {
            // Where no thread is to be had, this one does the work, however long it takes.
            work(&closed);
        }
        Self { pending, done, deadline }
    }

    /// Waits for their end. What takes too long is told of and left behind.
    pub(super) fn wait(mut self) {
        while self.goes_on() {
            if let Ok(number) = self.done.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
                self.pending.remove(&number);
            }
        }
    }

    /// Whether there is something to wait for. What takes too long is told of and left behind.
    pub(super) fn goes_on(&mut self) -> bool {
        let is_over = loop {
            match self.done.try_recv() {
                Ok(number) => self.pending.remove(&number),
                Err(TryRecvError::Empty) => break Instant::now() >= self.deadline,
                // Each has ended, if only by a panic.
                Err(TryRecvError::Disconnected) => break true,
            };
        };
        if is_over {
            for file in std::mem::take(&mut self.pending).into_values() {
                tracing::error!(
                    file = %file.display(),
                    "a database does not close and is left behind; what was written to it is in its log, for the next start"
                );
            }
        }
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A closing that goes on until the other end is gone.
    fn hanging(goes: mpsc::Receiver<()>, within: Duration) -> Closing {
        Closing::new("hung.db".into(), within, move || assert!(goes.recv().is_err()))
    }

    #[test]
    fn one_that_hangs_keeps_no_other_from_being_closed_and_is_waited_for_until_its_time_is_over() {
        let (_go, goes) = mpsc::channel();
        let (closed, done) = mpsc::channel();
        let within = Duration::from_millis(200);
        let many = 2 * AT_ONCE;
        let mut closings = vec![hanging(goes, within)];
        closings.extend((0..many).map(|number| {
            let closed = closed.clone();
            Closing::new("a.db".into(), within / 2, move || closed.send(number).unwrap())
        }));
        let begun = Instant::now();
        close_all(closings);
        assert!((within..LONG).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert!((0..many).all(|_| done.recv_timeout(LONG).is_ok()));
    }

    #[test]
    fn a_file_that_is_open_twice_is_waited_for_twice() {
        let (closed, done) = mpsc::channel();
        let closing = |pause: u64| {
            let closed = closed.clone();
            Closing::new("a.db".into(), LONG, move || {
                std::thread::park_timeout(Duration::from_millis(pause));
                closed.send(()).unwrap();
            })
        };
        close_all(vec![closing(0), closing(300)]);
        assert_eq!(done.try_iter().count(), 2);
    }

    #[test]
    fn one_that_panics_is_not_waited_for() {
        let begun = Instant::now();
        close_all(vec![Closing::new("a.db".into(), LONG, || panic!("as it is to"))]);
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn what_is_to_be_done_afterwards_is_done_also_where_nobody_waits_any_more() {
        let (go, goes) = mpsc::channel();
        let (told, tells) = mpsc::channel();
        let hung = hanging(goes, Duration::ZERO).then(move || told.send(()).unwrap());
        let mut under_way = UnderWay::begin(vec![hung]);
        assert!(!under_way.goes_on(), "there is no time left");
        assert!(tells.try_recv().is_err());
        drop(go);
        tells.recv_timeout(LONG).unwrap();
    }
}
