//! What the turns and the batches wait with, in the model: the checker decides who runs, and when a deadline passes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use shuttle::sync as checked;
use shuttle::thread::{self, ThreadId};

/// Whether a wait may end by itself; it then does at some moment, which the checker chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    Passes,
    Never,
}

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    /// Since when those stand in line who do so now. (All threads of the model are one thread of the system.)
    static IN_LINE: RefCell<Vec<(ThreadId, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A moment later than all before.
pub(super) fn moment() -> u64 {
    CLOCK.set(CLOCK.get() + 1);
    CLOCK.get()
}

/// Since when the one stands in line who does so longest.
pub(super) fn in_line_since() -> Option<u64> {
    IN_LINE.with_borrow(|line| line.iter().map(|(_, since)| *since).min())
}

/// Somebody does the job of this thread, which stands in line no more.
pub(super) fn is_called(thread: ThreadId) {
    IN_LINE.with_borrow_mut(|line| line.retain(|(waiting, _)| *waiting != thread));
}

/// Forgets whoever waits: another schedule begins.
pub(super) fn begin() {
    IN_LINE.take();
}

#[derive(Default)]
pub(super) struct Mutex<T>(checked::Mutex<T>);

pub(super) struct MutexGuard<'a, T> {
    mutex: &'a checked::Mutex<T>,
    guard: Option<checked::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(checked::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: &self.0, guard: Some(self.0.lock().unwrap()) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().unwrap()
    }
}

/// A condition variable that can be waited for with a deadline, which those of the checker cannot.
#[derive(Default)]
pub(super) struct Condvar {
    asleep: checked::Mutex<VecDeque<Arc<Sleeper>>>,
}

#[derive(Default)]
struct Sleeper {
    woken: checked::Mutex<Woken>,
    changed: checked::Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Woken {
    #[default]
    No,
    Notified,
    TooLate,
}

pub(super) struct Waited(bool);

impl Waited {
    pub(super) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Sleeper {
    fn wake(&self, how: Woken) {
        let mut woken = self.woken.lock().unwrap();
        // A notification counts where both come: it is spent.
        if *woken != Woken::Notified {
            *woken = how;
        }
        self.changed.notify_all();
    }
}

impl Condvar {
    pub(super) fn notify_one(&self) {
        let next = self.asleep.lock().unwrap().pop_front();
        if let Some(sleeper) = next {
            sleeper.wake(Woken::Notified);
        }
    }

    pub(super) fn notify_all(&self) {
        let all = std::mem::take(&mut *self.asleep.lock().unwrap());
        all.iter().for_each(|sleeper| sleeper.wake(Woken::Notified));
    }

    pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleep(guard, Deadline::Never);
    }

    /// Waits with a deadline, as only those in line do.
    pub(super) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Deadline) -> Waited {
        let thread = thread::current().id();
        IN_LINE.with_borrow_mut(|line| line.push((thread, moment())));
        let waited = self.sleep(guard, deadline);
        is_called(thread);
        waited
    }

    fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Deadline) -> Waited {
        let sleeper = Arc::new(Sleeper::default());
        self.asleep.lock().unwrap().push_back(Arc::clone(&sleeper));
        if deadline == Deadline::Passes {
            let sleeper = Arc::clone(&sleeper);
            thread::spawn(move || sleeper.wake(Woken::TooLate));
        }
        guard.guard = None;
        let mut woken = sleeper.woken.lock().unwrap();
        while *woken == Woken::No {
            woken = sleeper.changed.wait(woken).unwrap();
        }
        let too_late = *woken == Woken::TooLate;
        drop(woken);
        self.asleep.lock().unwrap().retain(|other| !Arc::ptr_eq(other, &sleeper));
        guard.guard = Some(guard.mutex.lock().unwrap());
        Waited(too_late)
    }
}
