//! Threads for work that may hang on a disk: each piece of work has one to itself, and one that is done waits a while
//! for the next. (Starting one costs about a tenth of what opening a database does, and its memory is new each time.)

use std::io;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long a thread waits for more.
const IDLE: Duration = Duration::from_secs(2);

/// The threads that wait, the last one to come last: it is the first to go on, and the others can end.
static WAITING: Mutex<Vec<Arc<Worker>>> = Mutex::new(Vec::new());

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Worker {
    given: Mutex<Option<Work>>,
    came: Condvar,
}

/// Runs this on a thread that nothing else waits for.
///
/// # Errors
/// No thread waits, and none can be started.
pub(super) fn run(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let work: Work = Box::new(work);
    let waiting = WAITING.lock().pop();
    if let Some(worker) = waiting {
        *worker.given.lock() = Some(work);
        worker.came.notify_one();
        return Ok(());
    }
    let go_on = move || {
        work();
        let worker = Arc::new(Worker::default());
        while let Some(work) = worker.next() {
            work();
        }
    };
    Builder::new().name("opens sources".to_owned()).spawn(go_on).map(drop)
}

impl Worker {
    /// Waits for work; `None` where there was none for a while.
    fn next(self: &Arc<Self>) -> Option<Work> {
        WAITING.lock().push(Arc::clone(self));
        let deadline = Instant::now() + IDLE;
        let mut given = self.given.lock();
        while given.is_none() {
            if self.came.wait_until(&mut given, deadline).timed_out() {
                let mut waiting = WAITING.lock();
                if let Some(place) = waiting.iter().position(|worker| Arc::ptr_eq(worker, self)) {
                    waiting.remove(place);
                    return None;
                }
                // Somebody is about to give it something.
                drop(waiting);
                self.came.wait_for(&mut given, IDLE);
            }
        }
        given.take()
    }
}
