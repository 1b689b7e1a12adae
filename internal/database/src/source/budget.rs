//! How many descriptors the connections of all sources may have together, and whose are closed when that is too few.
//!
//! What is open counts permits, about one for each descriptor. Where none are left for a source that is to be opened,
//! the one that was not used for the longest time is closed: found by second chance, a hand that goes round, passes over
//! whoever was used since it came by last, and never takes what is in use.

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
/// How often it is looked whether a source that was in use is not any more: nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The permits for descriptors.
pub(crate) struct Budget {
    limit: Limit,
    state: Mutex<State>,
    /// Permits were given back.
    freed: Condvar,
    /// Whoever makes room, first come, first served.
    line: Mutex<()>,
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
    /// Who may have to give way, in the order in which the hand comes by.
    ring: VecDeque<Weak<dyn Tenant>>,
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

/// Closes what is out of use, and gives its permits.
pub(super) type Close = Box<dyn FnOnce() -> Option<Permit> + Send>;

/// The right to so many descriptors, until it is dropped.
pub(super) struct Permit {
    budget: Arc<Budget>,
    count: u64,
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
        Arc::new(Self { limit, state: Mutex::default(), freed: Condvar::new(), line: Mutex::new(()) })
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

    /// A permit for what can do without: only while a quarter is left for sources that have to be opened.
    pub(super) fn spare(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let most = self.most();
        self.take(&mut self.state.lock(), count, most - most / 4)
    }

    /// A permit for what cannot wait, since others wait for whoever asks: from what is kept for everything else.
    pub(super) fn overdraw(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let most = self.most();
        self.take(&mut self.state.lock(), count, most.saturating_add(most / 8))
    }

    /// Room for a source, where there is some and nobody waits for it.
    pub(super) fn room_now(self: &Arc<Self>, count: u64) -> Option<Permit> {
        let _line = self.line.try_lock()?;
        self.take(&mut self.state.lock(), count, self.most())
    }

    /// Room for a source, which others make where there is none; `None` where that did not come about before the
    /// deadline. Whoever comes first goes first.
    pub(super) fn room(self: &Arc<Self>, count: u64, deadline: Instant) -> Option<Permit> {
        let line = self.line.try_lock_until(deadline)?;
        self.make_room(line, count, deadline)
    }

    fn make_room(self: &Arc<Self>, line: MutexGuard<'_, ()>, count: u64, deadline: Instant) -> Option<Permit> {
        let mut line = Some(line);
        let mut had: Option<Permit> = None;
        loop {
            let missing = count - had.as_ref().map_or(0, |had| had.count);
            let taken = self.take(&mut self.state.lock(), missing, self.most());
            if let Some(permit) = taken {
                line.take().map(MutexGuard::unlock_fair);
                return Some(permit.and(had));
            }
            if let Some(close) = self.next_to_leave() {
                // Others make room meanwhile.
                line.take().map(MutexGuard::unlock_fair);
                had = match close() {
                    Some(given) => Some(given.and(had)),
                    None => had,
                };
                if had.as_ref().is_some_and(|had| had.count >= count) {
                    return had.map(|had| had.only(count));
                }
                line = Some(self.line.try_lock_until(deadline)?);
                continue;
            }
            let now = Instant::now();
            if now >= deadline {
                return None;
            }
            self.freed.wait_until(&mut self.state.lock(), deadline.min(now + LOOK_EVERY));
        }
    }

    /// Takes whoever was not used for the longest time out of use, for whoever stands at the head of the line. Who was
    /// used since the hand came by last has a second chance.
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

    fn take(self: &Arc<Self>, state: &mut State, count: u64, most: u64) -> Option<Permit> {
        let used = state.used.checked_add(count).filter(|used| *used <= most)?;
        state.used = used;
        Some(Permit { budget: Arc::clone(self), count })
    }
}

impl Permit {
    /// Both as one.
    fn and(mut self, other: Option<Self>) -> Self {
        if let Some(mut other) = other {
            self.count += std::mem::take(&mut other.count);
        }
        self
    }

    /// So many of it; the others are given back.
    fn only(mut self, count: u64) -> Self {
        drop(Self { budget: Arc::clone(&self.budget), count: self.count - count });
        self.count = count;
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.budget.state.lock().used -= self.count;
            self.budget.freed.notify_one();
        }
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
