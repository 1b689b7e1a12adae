//! Closing sources side by side, so that one that does not end keeps no other from being closed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::source::Source;

/// How many sources are closed at a time.
const AT_ONCE: usize = 64;

/// How long moving a log into its file may take.
const TO_CHECKPOINT: Duration = Duration::from_secs(10);

/// How long closing a source may take: an opening that is under way, then reads, then writes, each as long as a call may
/// take; then its log.
pub(super) fn closes_within(source: &Arc<Source>) -> Duration {
    3 * source.config().timeout + TO_CHECKPOINT
}

/// How often it is looked whether a thread has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for a thread until the deadline at most, and answers whether it has ended.
pub(super) fn has_ended(thread: &JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() && Instant::now() < deadline {
        std::thread::park_timeout(LOOK_EVERY);
    }
    thread.is_finished()
}

/// Closes sources, and waits as long as that may take. What is not closed by then, as on a disk that does not answer, is
/// told of and left behind.
pub(super) fn close_all(sources: Vec<Arc<Source>>) {
    let Some(longest) = sources.iter().map(closes_within).max() else { return };
    let deadline = Instant::now() + longest;
    let mut pending: BTreeSet<_> = sources.iter().map(|source| source.config().path.clone()).collect();
    let threads = sources.len().min(AT_ONCE);
    let queue = Arc::new(Mutex::new(VecDeque::from(sources)));
    let (closed, done) = mpsc::channel();
    let work = move |closed: &mpsc::Sender<_>| {
        loop {
            let Some(source) = queue.lock().pop_front() else { return };
            source.close();
            // Nobody waits any more where it took too long.
            let _ = closed.send(source.config().path.clone());
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
    drop(closed);
    while !pending.is_empty() {
        match done.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(path) => pending.remove(&path),
            Err(_) => break,
        };
    }
    for path in pending {
        tracing::error!(
            file = %path.display(),
            "a database does not close and is left behind; what was written to it is in its log, for the next start"
        );
    }
}
