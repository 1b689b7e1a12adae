//! A source that is away, as the writes that are made in its place see it: the absence's name, and the fence in front of
//! them while the last of them are made at home.
//!
//! The fence is raised in two steps. Who comes once it is going up waits in front of it; who was past it already is let
//! to the end. When all of these are done, which whoever raises it finds out by having the writer for a moment, it is
//! up: then no write is made in the source's place, though nobody holds anything. So the file that serves goes on with
//! everything else, however long home's disk takes. Nobody waits longer than until the moment that was said when it was
//! raised: the first who would tears it down, and whoever raised it begins again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::route::SourceName;

/// How long those who waited have at most to go on before the fence is raised again.
const LET_THROUGH: Duration = Duration::from_millis(50);
/// Longer than anybody waits.
const FOR_GOOD: Duration = Duration::from_secs(24 * 60 * 60);

/// A source that is away, whose chats another file serves meanwhile.
#[derive(Clone)]
pub(crate) struct Displaced {
    /// The source.
    pub(crate) home: SourceName,
    /// What this absence alone is called: numbers mean nothing without it where a file was restored from a backup.
    pub(super) episode: Arc<str>,
    fence: Arc<Fence>,
}

struct Fence {
    /// The state once more, to be looked at without the lock.
    now: AtomicU8,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    is: Is,
    /// When it is torn down at the latest.
    until: Instant,
    /// How many wait in front of it.
    waiting: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Is {
    Down,
    GoingUp,
    Up,
    /// The absence has ended.
    Over,
}

/// The fence in the hands of whoever raised it; it goes down with this.
pub(crate) struct Raised<'a>(&'a Displaced);

impl Displaced {
    pub(crate) fn from(home: &SourceName) -> Self {
        let state = State { is: Is::Down, until: Instant::now(), waiting: 0 };
        let fence = Fence { now: AtomicU8::new(Is::Down as u8), state: Mutex::new(state), changed: Condvar::new() };
        let episode = Arc::from(uuid::Uuid::new_v4().to_string());
        Self { home: home.clone(), episode, fence: Arc::new(fence) }
    }

    /// Whether this is that absence.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fence, &other.fence)
    }

    /// Whether its chats are at home again: no write of theirs may be made elsewhere any more.
    pub(crate) fn is_over(&self) -> bool {
        self.fence.is(Is::Over)
    }

    /// Whether no write may be made now. Asked while nobody else can write.
    pub(super) fn is_fenced(&self) -> bool {
        self.fence.is(Is::Up)
    }

    /// Waits in front of the fence; `false` where the deadline came first.
    pub(super) fn pass(&self, deadline: Instant) -> bool {
        if self.fence.is(Is::Down) {
            return true;
        }
        let mut state = self.fence.state.lock();
        state.waiting += 1;
        let passes = loop {
            let now = Instant::now();
            match state.is {
                Is::Down | Is::Over => break true,
                Is::GoingUp | Is::Up if now >= state.until => {
                    self.fence.set(&mut state, Is::Down);
                    break true;
                }
                Is::GoingUp | Is::Up if now >= deadline => break false,
                Is::GoingUp | Is::Up => {
                    let until = state.until.min(deadline);
                    self.fence.changed.wait_until(&mut state, until);
                }
            }
        };
        state.waiting -= 1;
        if state.waiting == 0 {
            self.fence.changed.notify_all();
        }
        passes
    }

    /// Begins to raise the fence, for so long at most. Done by one at a time.
    pub(crate) fn raise(&self, at_most: Duration) -> Raised<'_> {
        let mut state = self.fence.state.lock();
        state.until = Instant::now() + at_most;
        if state.is == Is::Down {
            self.fence.set(&mut state, Is::GoingUp);
        }
        Raised(self)
    }

    /// Ends the absence whatever the fence is: what would be written in the source's place is made where the route leads
    /// then. `change` is done before those who wait go on.
    pub(crate) fn break_off(&self, change: impl FnOnce()) {
        let mut state = self.fence.state.lock();
        change();
        self.fence.set(&mut state, Is::Over);
    }
}

impl Raised<'_> {
    /// It is up. Said while nobody writes, and everything that was written before is committed. `false` where it was
    /// torn down.
    pub(crate) fn is_up(&self) -> bool {
        let mut state = self.0.fence.state.lock();
        if state.is == Is::GoingUp {
            self.0.fence.set(&mut state, Is::Up);
        }
        state.is == Is::Up
    }

    /// From now on nobody tears it down, however long that takes; who waits has no more than the time of their call.
    /// `false` where it does not stand any more.
    pub(crate) fn keep(&self) -> bool {
        let mut state = self.0.fence.state.lock();
        state.until = Instant::now() + FOR_GOOD;
        state.is == Is::Up
    }

    /// Ends the absence if the fence still stands; `false` where it does not. `change` is done while nobody can tear it
    /// down, and before those who wait go on.
    pub(crate) fn end(self, change: impl FnOnce()) -> bool {
        let mut state = self.0.fence.state.lock();
        let stands = state.is == Is::Up;
        if stands {
            change();
            self.0.fence.set(&mut state, Is::Over);
        }
        stands
    }

    /// Takes it down, and gives those who waited the time to go on.
    pub(crate) fn let_through(self) {
        let fence = &self.0.fence;
        let deadline = Instant::now() + LET_THROUGH;
        let mut state = fence.state.lock();
        fence.take_down(&mut state);
        while state.waiting > 0 && !fence.changed.wait_until(&mut state, deadline).timed_out() {}
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.fence.take_down(&mut self.0.fence.state.lock());
    }
}

impl Fence {
    fn is(&self, what: Is) -> bool {
        self.now.load(Ordering::Acquire) == what as u8
    }

    fn set(&self, state: &mut State, is: Is) {
        state.is = is;
        self.now.store(is as u8, Ordering::Release);
        self.changed.notify_all();
    }

    fn take_down(&self, state: &mut State) {
        if matches!(state.is, Is::GoingUp | Is::Up) {
            self.set(state, Is::Down);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    fn displaced() -> Displaced {
        Displaced::from(&"community".parse().unwrap())
    }

    #[test]
    fn nobody_waits_longer_than_the_fence_was_raised_for() {
        let displaced = displaced();
        let raised = displaced.raise(SHORT);
        assert!(raised.is_up() && displaced.is_fenced());
        let begun = Instant::now();
        assert!(displaced.pass(begun + LONG));
        assert!(begun.elapsed() < LONG / 2 && !displaced.is_fenced());
        assert!(!raised.is_up(), "it was torn down");
        assert!(!raised.end(|| panic!("nothing is changed")) && !displaced.is_over());
    }

    #[test]
    fn a_fence_that_is_kept_is_not_torn_down() {
        let displaced = displaced();
        let raised = displaced.raise(Duration::ZERO);
        assert!(raised.is_up() && raised.keep());
        assert!(!displaced.pass(Instant::now() + SHORT));
        assert!(raised.end(|| {}));
    }

    #[test]
    fn whoever_has_less_time_is_told_so_and_the_fence_stands() {
        let displaced = displaced();
        let raised = displaced.raise(LONG);
        assert!(!displaced.pass(Instant::now() + SHORT));
        assert!(raised.is_up());
        assert!(raised.end(|| {}) && displaced.is_over());
        assert!(displaced.pass(Instant::now()), "what is over is found out under the writer's lock");
    }

    #[test]
    fn those_who_wait_go_on_once_it_is_down() {
        let displaced = displaced();
        let raised = displaced.raise(LONG);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| displaced.pass(Instant::now() + LONG));
            while displaced.fence.state.lock().waiting == 0 {
                std::thread::yield_now();
            }
            raised.let_through();
            assert!(waits.join().unwrap());
        });
        drop(displaced.raise(LONG));
        assert!(displaced.pass(Instant::now()));
    }
}
