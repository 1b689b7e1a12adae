//! How many descriptors the connections of all sources may have together, and whose are closed when that is too few.
//!
//! What is open counts permits, about one for each descriptor. While few are left, a thread closes the source that was
//! not used for the longest time, so that there is room before it is needed: found by second chance, a hand that goes
//! round, passes over whoever was used since it came by last, and never takes what is in use.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{Resource, getrlimit};

/// What an open source counts: its file, the log and the index of that, and a file that SQLite keeps for the next
/// connection after the log was moved in the background.
pub(super) const WRITER: u64 = 4;
/// What each reader counts: the file and the log.
pub(super) const READER: u64 = 2;

/// How many permits there are however few descriptors the process may have.
const LEAST: u64 = 4 * WRITER;
/// How many permits are kept for whoever comes next at most.
const READY: u64 = 8 * WRITER;
/// How often it is looked whether a source that was in use is not any more: nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long the thread that makes room waits for more to do before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// After so long with one source another thread goes on with the others: its disk may not answer.
const STUCK: Duration = Duration::from_millis(50);
/// How many threads make room at most.
const MOST_MAKERS: u32 = 16;

/// The permits for descriptors.
pub(crate) struct Budget {
    limit: Limit,
    state: Mutex<State>,
    /// Few permits are left.
    wanted: Condvar,
}

/// How many permits there are.
enum Limit {
    /// What the limit of the process leaves, asked for each time: a program may raise it when it likes.
    OfProcess,
    #[cfg(all(test, feature = "multi-source"))]
    Fixed(u64),
}

#[derive(Default)]
struct State {
    used: u64,
    /// How many of those are for readers.
    readers: u64,
    /// How many of those were asked for in vain again and again before.
    earned: u64,
    /// Whoever waits for room, first come, first served.
    line: VecDeque<Arc<Place>>,
    /// How many threads make room.
    makers: u32,
    /// Since when the last of them has been closing a source.
    closing_since: Option<Instant>,
    /// Who may have to give way, in the order in which the hand comes by.
    ring: VecDeque<Weak<dyn Tenant>>,
}

/// A place in the line of those who wait for room.
struct Place {
    count: u64,
    given: Mutex<Option<Permit>>,
    came: Condvar,
}

/// Who has permits and may have to give them up.
pub(super) trait Tenant: Send + Sync {
    /// Whether it was used since this was asked last.
    fn was_used(&self) -> bool;

    /// Takes it out of use where nobody uses it.
    fn leave(self: Arc<Self>) -> Leaving;
}

/// What comes of asking a tenant to leave.
pub(super) enum Leaving {
    /// It is in use.
    InUse,
    /// It is not there any more.
    Gone,
    /// It is out of use.
    Now(Close),
}

/// Closes what is out of use, and gives its permits back.
pub(super) type Close = Box<dyn FnOnce() + Send>;

/// The right to so many descriptors, until it is dropped.
pub(super) struct Permit {
    budget: Arc<Budget>,
    count: u64,
    what: What,
}

/// What a permit is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Source,
    Reader,
    Earned,
}

impl Budget {
    /// The one of the process.
    pub(crate) fn of_process() -> Arc<Self> {
        static OF_PROCESS: LazyLock<Arc<Budget>> = LazyLock::new(|| Budget::new(Limit::OfProcess));
        Arc::clone(&OF_PROCESS)
    }

    /// One of so many permits.
    #[cfg(all(test, feature = "multi-source"))]
    pub(crate) fn of(permits: u64) -> Arc<Self> {
        Self::new(Limit::Fixed(permits))
    }

    fn new(limit: Limit) -> Arc<Self> {
        let (state, wanted) = Default::default();
        Arc::new(Self { limit, state, wanted })
    }

    fn most(&self) -> u64 {
        match self.limit {
            Limit::OfProcess => left_of(getrlimit(Resource::Nofile).current),
            #[cfg(all(test, feature = "multi-source"))]
            Limit::Fixed(permits) => permits,
        }
    }

    /// How many permits are given.
    #[cfg(all(test, feature = "multi-source"))]
    pub(super) fn used(&self) -> u64 {
        self.state.lock().used
    }

    /// A permit for a reader of whoever can do without: only while a quarter is left for sources that have to be opened.
    pub(super) fn spare(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let most = self.most();
        self.take(&mut self.state.lock(), What::Reader, count, most - most / 4)
    }

    /// The same for whoever has asked in vain again and again: while those who have got one in this way have no more than
    /// a quarter together, all readers no more than three, and nobody waits for room. Who was not used for longest gives
    /// way for it.
    pub(super) fn earned(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let (mut state, most) = (self.state.lock(), self.most());
        let has_enough = state.earned.saturating_add(count) > most / 4;
        // What others can spare is no reason to refuse: they may not need it any more, and nobody else tells.
        if !state.line.is_empty() || has_enough || state.readers.saturating_add(count) > most - most / 4 {
            return None;
        }
        let permit = self.take(&mut state, What::Earned, count, most);
        self.make_ready(state, most);
        permit
    }

    /// A permit for a reader that cannot wait, since others wait for whoever asks: from what is kept for everything else.
    pub(super) fn overdraw(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let most = self.most();
        self.take(&mut self.state.lock(), What::Reader, count, most.saturating_add(most / 8))
    }

    /// Room for a source, made by others where there is none; `None` where it did not come about before the deadline.
    /// Whoever comes first goes first.
    pub(super) fn room(self: &Arc<Self>, count: u64, deadline: Instant) -> Option<Permit> {
        let place = {
            let (mut state, most) = (self.state.lock(), self.most());
            if state.line.is_empty()
                && let Some(permit) = self.take(&mut state, What::Source, count, most)
            {
                self.make_ready(state, most);
                return Some(permit);
            }
            let place = Arc::new(Place { count, given: Mutex::new(None), came: Condvar::new() });
            state.line.push_back(Arc::clone(&place));
            place
        };
        loop {
            let mut until = Instant::now() + STUCK;
            if !self.have_made(self.state.lock()) {
                // No thread is to be had. Here it is also made, however long that takes.
                if let Some(close) = self.next_to_leave() {
                    close();
                }
                until = Instant::now() + LOOK_EVERY;
            }
            let mut given = place.given.lock();
            if given.is_none() {
                place.came.wait_until(&mut given, until.min(deadline));
            }
            if let Some(permit) = given.take() {
                return Some(permit);
            }
            drop(given);
            if Instant::now() >= deadline {
                self.state.lock().line.retain(|other| !Arc::ptr_eq(other, &place));
                // It may have come at this very moment.
                return place.given.lock().take();
            }
        }
    }

    /// Gives whoever waits what there is.
    fn hand_on(self: &Arc<Self>, state: &mut State) {
        let most = self.most();
        while let Some(first) = state.line.front().map(|first| first.count)
            && let Some(permit) = self.take(state, What::Source, first, most)
            && let Some(place) = state.line.pop_front()
        {
            *place.given.lock() = Some(permit);
            place.came.notify_one();
        }
    }

    /// Lets a thread make room where few permits are left.
    fn make_ready(self: &Arc<Self>, state: MutexGuard<'_, State>, most: u64) {
        if most.saturating_sub(state.used) < ready(most) / 2 {
            // (Where that fails, whoever waits does it.)
            self.have_made(state);
        }
    }

    /// Lets a thread make room; `false` where there is none and none can be started.
    fn have_made(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> bool {
        let is_stuck = state.closing_since.is_some_and(|since| since.elapsed() > STUCK);
        if state.makers > 0 && (!is_stuck || state.makers >= MOST_MAKERS) {
            self.wanted.notify_one();
            return true;
        }
        state.makers += 1;
        state.closing_since = None;
        drop(state);
        let budget = Arc::clone(self);
        let started = std::thread::Builder::new().name("makes room".to_owned()).spawn(move || budget.make_room());
        if started.is_err() {
            self.state.lock().makers -= 1;
        }
        started.is_ok()
    }

    /// The thread: closes sources as long as few permits are left.
    fn make_room(&self) {
        loop {
            let most = self.most();
            let has_enough = |state: &State| state.line.is_empty() && most.saturating_sub(state.used) >= ready(most);
            {
                let mut state = self.state.lock();
                if has_enough(&state) && self.wanted.wait_for(&mut state, IDLE).timed_out() && has_enough(&state) {
                    state.makers -= 1;
                    return;
                }
            }
            if let Some(close) = self.next_to_leave() {
                self.state.lock().closing_since = Some(Instant::now());
                close();
                self.state.lock().closing_since = None;
                continue;
            }
            // All are in use.
            let mut state = self.state.lock();
            let pause = if state.line.is_empty() { IDLE } else { LOOK_EVERY };
            self.wanted.wait_for(&mut state, pause);
        }
    }

    /// Takes whoever was not used for the longest time out of use. Who was used since the hand came by last has a second
    /// chance.
    fn next_to_leave(&self) -> Option<Close> {
        let rounds = 2 * self.state.lock().ring.len();
        for _ in 0..rounds {
            // Not while the lock is held: with the last handle of a tenant its permits are given back.
            let tenant = self.state.lock().ring.pop_front()?;
            let Some(present) = tenant.upgrade() else { continue };
            if !present.was_used() {
                match present.leave() {
                    Leaving::Now(close) => return Some(close),
                    Leaving::Gone => continue,
                    Leaving::InUse => {}
                }
            }
            self.state.lock().ring.push_back(tenant);
        }
        None
    }

    /// From now on this one may have to give way.
    pub(super) fn enter(&self, tenant: Weak<dyn Tenant>) {
        self.state.lock().ring.push_back(tenant);
    }

    fn take(self: &Arc<Self>, state: &mut State, what: What, count: u64, most: u64) -> Option<Permit> {
        let used = state.used.checked_add(count).filter(|used| *used <= most)?;
        state.used = used;
        if what != What::Source {
            state.readers += count;
        }
        if what == What::Earned {
            state.earned += count;
        }
        Some(Permit { budget: Arc::clone(self), count, what })
    }
}

/// How many permits are to be there before they are needed.
fn ready(most: u64) -> u64 {
    (most / 8).min(READY)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.used -= self.count;
        if self.what != What::Source {
            state.readers -= self.count;
        }
        if self.what == What::Earned {
            state.earned -= self.count;
        }
        self.budget.hand_on(&mut state);
    }
}

/// How many of the descriptors of a process are for sources: what the default source, the log, sockets, the files of an
/// import and looks at files need is left out.
fn left_of(descriptors: Option<u64>) -> u64 {
    let Some(descriptors) = descriptors else { return u64::MAX };
    descriptors.saturating_sub((descriptors / 4).clamp(32, 256)).max(LEAST)
}

/// Whether the process has no descriptor left at this moment: then it is no source's fault that it cannot be opened.
pub(super) fn has_run_out() -> bool {
    matches!(std::fs::File::open("/"), Err(error) if error.raw_os_error().is_some_and(is_limit))
}

/// The process has too many files open, or all processes together have.
fn is_limit(code: i32) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code)
}

#[cfg(test)]
#[cfg(feature = "multi-source")]
#[path = "budget_tests.rs"]
mod tests;
