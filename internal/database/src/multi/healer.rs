//! Looking at sources that failed until they are well: each look on a thread of its own, so that a disk that does not
//! answer keeps nobody waiting. When which source is looked at is decided in [`condition`](super::condition).

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::closing::has_ended;
use super::condition::{Asker, Conditions};
use super::datasource_router::DataSourceRouter;
use super::homecoming;
use crate::error::{Error, ErrorKind, Result};
use crate::route::SourceName;

/// How long whoever asks for a look waits for its outcome at most; a large file is read as a whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long it is waited for looks at the end. One at a disk that does not answer goes on alone.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How long after its thread could not be started that is tried again, where calls come.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Sees to sources that failed.
pub(super) struct Healer {
    router: Weak<DataSourceRouter>,
    work: Mutex<Work>,
    /// Whether sources wait for the thread, which could not be started.
    is_behind: AtomicBool,
}

/// The thread that decides when which source is looked at.
enum Work {
    /// Nothing has failed yet, or these have, and the thread could not be started at that time.
    Idle(BTreeSet<SourceName>, Instant),
    Running(Sender<Order>, JoinHandle<()>),
    Stopped,
}

enum Order {
    /// A source failed.
    Failed(SourceName),
    /// Look at it now, and tell what was found.
    Look(SourceName, Asker),
    /// A look finds it well, and goes on with bringing its chats home.
    FoundWell(SourceName),
    /// A look has ended.
    Looked(SourceName, Result<()>),
    Stop,
}

impl Healer {
    pub(super) fn new(router: Weak<DataSourceRouter>) -> Self {
        let work = Mutex::new(Work::Idle(BTreeSet::new(), Instant::now()));
        Self { router, work, is_behind: AtomicBool::new(false) }
    }

    /// A source failed. Answers whether it is looked at from now on: where no thread is to be had it is not before
    /// [`catch_up`](Self::catch_up).
    pub(super) fn failed(&self, name: &SourceName) -> bool {
        self.send(Order::Failed(name.clone())).unwrap_or(false)
    }

    /// Looks at a source now, however short ago that was, and brings its chats home where it is well. Waits for the
    /// outcome. `None` where nobody looks any more.
    pub(super) fn look(&self, name: &SourceName) -> Option<Result<()>> {
        let unavailable =
            |reason: String| Err(Error::new("healer.look", name, ErrorKind::SourceUnavailable { reason }));
        match self.begin_look(name) {
            Ok(Some(found)) => Some(found.recv_timeout(ANSWER_WITHIN).unwrap_or_else(|_| {
                unavailable("it is being looked at, which takes its time; see `bot db status`".to_owned())
            })),
            Ok(None) => None,
            Err(error) => Some(unavailable(format!("no thread can be started to look at it: {error}"))),
        }
    }

    /// Begins to look at what failed while no thread was to be had, if anything did. Nobody tells when one is: every
    /// call asks.
    #[inline]
    pub(super) fn catch_up(&self) {
        if self.is_behind.load(Ordering::Relaxed) {
            self.start_again();
        }
    }

    #[cold]
    fn start_again(&self) {
        // Whoever has it begins, or ends.
        let Some(mut work) = self.work.try_lock() else { return };
        if matches!(&*work, Work::Idle(_, tried) if tried.elapsed() >= START_AGAIN) {
            // Where it fails again that was told already.
            let _ = self.start(&mut work);
        }
    }

    /// The same without waiting: the outcome is told there.
    pub(super) fn begin_look(&self, name: &SourceName) -> io::Result<Option<Receiver<Result<()>>>> {
        let (asker, found) = mpsc::sync_channel(1);
        Ok(self.send(Order::Look(name.clone(), asker))?.then_some(found))
    }

    /// Begins no further look, and waits a while for those under way.
    pub(super) fn stop(&self) {
        if let Some(thread) = self.tell_to_stop() {
            has_ended(&thread, Instant::now() + STOP_WITHIN);
        }
    }

    /// Has the thread end once the looks under way have.
    fn tell_to_stop(&self) -> Option<JoinHandle<()>> {
        let work = std::mem::replace(&mut *self.work.lock(), Work::Stopped);
        let Work::Running(orders, thread) = work else { return None };
        let _ = orders.send(Order::Stop);
        Some(thread)
    }

    /// Gives the thread something to do; `false` where it has ended. Fails where it cannot be started: a source that
    /// failed is kept for it.
    fn send(&self, order: Order) -> io::Result<bool> {
        let mut work = self.work.lock();
        if let Err(error) = self.start(&mut work) {
            if let (Work::Idle(failed, _), Order::Failed(name)) = (&mut *work, order) {
                tracing::error!(source = %name, %error, "no thread can be started that looks at sources that failed; it is tried again");
                failed.insert(name);
                self.is_behind.store(true, Ordering::Relaxed);
            }
            return Err(error);
        }
        match &*work {
            Work::Running(orders, _) => Ok(orders.send(order).is_ok()),
            Work::Idle(..) | Work::Stopped => Ok(false),
        }
    }

    /// Starts the thread where it was not yet. It begins with what has failed before.
    fn start(&self, work: &mut Work) -> io::Result<()> {
        let Work::Idle(failed, tried) = work else { return Ok(()) };
        let (orders, received) = mpsc::channel();
        let (router, own) = (self.router.clone(), orders.clone());
        let run = move || Ward { router, orders: own, conditions: Conditions::default() }.work(&received);
        let spawned = std::thread::Builder::new().name("heals sources".into()).spawn(run);
        let thread = spawned.inspect_err(|_| *tried = Instant::now())?;
        for name in &*failed {
            // It may have found the router gone.
            let _ = orders.send(Order::Failed(name.clone()));
        }
        *work = Work::Running(orders, thread);
        self.is_behind.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Healer {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

/// All that failed, as the thread sees it.
struct Ward {
    router: Weak<DataSourceRouter>,
    orders: Sender<Order>,
    conditions: Conditions,
}

impl Ward {
    fn work(mut self, orders: &Receiver<Order>) {
        let mut is_stopped = false;
        while !is_stopped || self.conditions.under_way() > 0 {
            let now = Instant::now();
            let order = match self.conditions.next(now) {
                Some(next) if !is_stopped => orders.recv_timeout(next.saturating_duration_since(now)),
                _ => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let (now, conditions) = (Instant::now(), &mut self.conditions);
            match order {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) => is_stopped = true,
                Ok(Order::Failed(name)) => conditions.failed(name, now, chance()),
                Ok(Order::Look(name, asker)) => conditions.asked(name, asker, now),
                Ok(Order::FoundWell(name)) => conditions.found_well(&name),
                Ok(Order::Looked(name, found)) => conditions.looked(&name, &found, now, chance()),
            }
            if self.router.strong_count() == 0 {
                return;
            }
            if !is_stopped {
                self.begin(now);
            }
        }
    }

    /// Begins the looks that are due.
    fn begin(&mut self, now: Instant) {
        let Some(router) = self.router.upgrade() else { return };
        for name in self.conditions.begin(now) {
            let (router, orders, looked) = (Arc::clone(&router), self.orders.clone(), name.clone());
            let look = move || {
                let found_well = || {
                    // Whoever looks after it may have stopped.
                    let _ = orders.send(Order::FoundWell(looked.clone()));
                };
                // Whatever panics, as whoever is told of writes, the look has ended and another comes.
                let found = catch_unwind(AssertUnwindSafe(|| homecoming::look(&router, &looked, found_well)));
                let found = found.unwrap_or_else(|_| {
                    let reason = "looking at it panicked; it is looked at again".to_owned();
                    Err(Error::new("healer.look", &looked, ErrorKind::SourceUnavailable { reason }))
                });
                if let Err(error) = &found {
                    tracing::debug!(source = %looked, %error, "a source is not well yet");
                }
                let _ = orders.send(Order::Looked(looked, found));
            };
            if let Err(error) = std::thread::Builder::new().name(format!("looks at {name}")).spawn(look) {
                let reason = format!("no thread can be started to look at it: {error}");
                let error = Error::new("healer.look", &name, ErrorKind::SourceUnavailable { reason });
                self.conditions.looked(&name, &Err(error), now, chance());
            }
        }
    }
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
