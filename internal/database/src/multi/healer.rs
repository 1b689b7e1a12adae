//! Looking at sources that failed, at growing pauses, until they are well: each by one look at a time, on a thread of
//! its own, so that a disk that does not answer keeps nobody waiting.

use std::collections::HashMap;
use std::sync::Weak;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::backoff::Backoff;
use super::closing::has_ended;
use super::datasource_router::DataSourceRouter;
use super::homecoming;
use crate::error::{Error, ErrorKind, Result};
use crate::route::SourceName;

/// How many sources are looked at at once.
const MOST_LOOKS: usize = 8;

/// How long whoever asks for a look waits for its outcome at most; a large file is read as a whole.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long it is waited for looks at the end. One at a disk that does not answer goes on alone.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Sees to sources that failed.
pub(super) struct Healer {
    router: Weak<DataSourceRouter>,
    work: Mutex<Work>,
}

/// The thread that decides when which source is looked at.
enum Work {
    /// Nothing has failed yet.
    Idle,
    Running(Sender<Order>, JoinHandle<()>),
    Stopped,
}

enum Order {
    /// A source failed.
    Failed(SourceName),
    /// Look at it now, and tell what was found.
    Look(SourceName, Asker),
    /// A look has ended.
    Looked(SourceName, Result<()>),
    Stop,
}

/// Where whoever asked for a look waits.
type Asker = SyncSender<Result<()>>;

/// A source that failed.
#[derive(Default)]
struct Patient {
    backoff: Backoff,
    state: State,
    /// It failed while it was looked at, perhaps after it was found well.
    failed_since: bool,
    /// Who waits for the look that is under way, or for the next where none is.
    asked: Vec<Asker>,
    /// Who asked while a look was under way: that may have begun too early.
    asked_since: Vec<Asker>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Well,
    /// For the moment of the next look.
    Waits(Instant),
    /// It is looked at at this moment.
    Looked,
}

impl Healer {
    pub(super) fn new(router: Weak<DataSourceRouter>) -> Self {
        Self { router, work: Mutex::new(Work::Idle) }
    }

    /// A source failed. Answers whether it will be looked at.
    pub(super) fn failed(&self, name: &SourceName) -> bool {
        self.send(Order::Failed(name.clone()))
    }

    /// Looks at a source now, however short ago that was, and brings its chats home where it is well. Waits for the
    /// outcome. `None` where nobody looks.
    pub(super) fn look(&self, name: &SourceName) -> Option<Result<()>> {
        let (asker, found) = mpsc::sync_channel(1);
        if !self.send(Order::Look(name.clone(), asker)) {
            return None;
        }
        Some(found.recv_timeout(ANSWER_WITHIN).unwrap_or_else(|_| {
            let reason = "it is being looked at, which takes its time; see `bot db status`".to_owned();
            Err(Error::new("healer.look", name, ErrorKind::SourceUnavailable { reason }))
        }))
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

    fn send(&self, order: Order) -> bool {
        let mut work = self.work.lock();
        if let Work::Idle = *work {
            let (orders, received) = mpsc::channel();
            let (router, own) = (self.router.clone(), orders.clone());
            let run = move || Ward { router, orders: own, patients: HashMap::new() }.work(&received);
            match std::thread::Builder::new().name("heals sources".into()).spawn(run) {
                Ok(thread) => *work = Work::Running(orders, thread),
                Err(error) => {
                    tracing::error!(%error, "no thread can be started that looks at sources that failed");
                    return false;
                }
            }
        }
        match &*work {
            Work::Running(orders, _) => orders.send(order).is_ok(),
            Work::Idle | Work::Stopped => false,
        }
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
    patients: HashMap<SourceName, Patient>,
}

impl Ward {
    fn work(mut self, orders: &Receiver<Order>) {
        let mut looks = 0;
        let mut is_stopped = false;
        while !is_stopped || looks > 0 {
            let next = self.patients.values().filter_map(Patient::next).min();
            let order = match next {
                Some(next) if looks < MOST_LOOKS && !is_stopped => {
                    orders.recv_timeout(next.saturating_duration_since(Instant::now()))
                }
                _ => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) => is_stopped = true,
                Ok(Order::Failed(name)) => self.patients.entry(name).or_default().failed(Instant::now()),
                Ok(Order::Look(name, asker)) => self.patients.entry(name).or_default().asked(asker, Instant::now()),
                Ok(Order::Looked(name, found)) => {
                    looks -= 1;
                    self.patients.entry(name).or_default().looked(&found, Instant::now());
                }
            }
            if self.router.strong_count() == 0 {
                return;
            }
            if !is_stopped {
                looks += self.begin(MOST_LOOKS - looks);
            }
        }
    }

    /// Begins the looks that are due, so many at most, and answers how many.
    fn begin(&mut self, most: usize) -> usize {
        let now = Instant::now();
        let is_due = |(_, patient): &(&SourceName, &mut Patient)| patient.next().is_some_and(|next| next <= now);
        let mut due: Vec<_> = self.patients.iter_mut().filter(is_due).collect();
        // Who was asked for first, then who waits longest: each has its turn.
        due.sort_by_key(|(_, patient)| (patient.asked.is_empty(), patient.next()));
        let mut begun = 0;
        for (name, patient) in due.into_iter().take(most) {
            let Some(router) = self.router.upgrade() else { break };
            patient.state = State::Looked;
            let (orders, looked) = (self.orders.clone(), name.clone());
            let look = move || {
                let found = homecoming::look(&router, &looked);
                if let Err(error) = &found {
                    tracing::debug!(source = %looked, %error, "a source is not well yet");
                }
                let _ = orders.send(Order::Looked(looked, found));
            };
            match std::thread::Builder::new().name(format!("looks at {name}")).spawn(look) {
                Ok(_) => begun += 1,
                Err(error) => {
                    let reason = format!("no thread can be started to look at it: {error}");
                    let error = Error::new("healer.look", name, ErrorKind::SourceUnavailable { reason });
                    patient.looked(&Err(error), now);
                }
            }
        }
        begun
    }
}

impl Patient {
    /// When it is to be looked at next.
    fn next(&self) -> Option<Instant> {
        match self.state {
            State::Waits(next) => Some(next),
            State::Well | State::Looked => None,
        }
    }

    fn failed(&mut self, now: Instant) {
        match self.state {
            State::Well => {
                self.backoff.failed(now);
                self.state = State::Waits(now + self.backoff.pause(chance()));
            }
            State::Looked => self.failed_since = true,
            State::Waits(_) => {}
        }
    }

    fn asked(&mut self, asker: Asker, now: Instant) {
        if let State::Looked = self.state {
            self.asked_since.push(asker);
        } else {
            self.asked.push(asker);
            self.state = State::Waits(now);
        }
    }

    fn looked(&mut self, found: &Result<()>, now: Instant) {
        let failed_since = std::mem::take(&mut self.failed_since);
        if found.is_ok() {
            self.backoff.returned(now);
            self.state = State::Well;
            if failed_since {
                self.failed(now);
            }
        } else {
            self.backoff.failed(now);
            self.state = State::Waits(now + self.backoff.pause(chance()));
        }
        for asker in self.asked.drain(..) {
            // Whoever asked may not wait any more.
            let _ = asker.try_send(found.clone());
        }
        if !self.asked_since.is_empty() {
            self.asked = std::mem::take(&mut self.asked_since);
            self.state = State::Waits(now);
        }
    }
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Result<()> {
        let name = "archive".parse().unwrap();
        Err(Error::new("test.look", &name, ErrorKind::SourceUnavailable { reason: "gone".to_owned() }))
    }

    /// Begins the look that is due.
    fn begin(patient: &mut Patient, now: Instant) {
        assert!(patient.next().is_some_and(|next| next <= now), "no look is due");
        patient.state = State::Looked;
    }

    #[test]
    fn a_source_is_looked_at_at_once_then_at_growing_pauses_and_by_one_look_at_a_time() {
        let mut now = Instant::now();
        let mut patient = Patient::default();
        patient.failed(now);
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            begin(&mut patient, now);
            // Whoever meets the failure meanwhile begins no other look, and does not make the pause longer.
            (0..10).for_each(|_| patient.failed(now));
            assert!(patient.next().is_none());
            patient.looked(&error(), now);
            let pause = patient.next().unwrap() - now;
            assert!(pause > last, "{pause:?} after {last:?}");
            (last, now) = (pause, now + pause);
        }
        begin(&mut patient, now);
        patient.failed(now);
        patient.looked(&Ok(()), now);
        assert!(patient.next().is_some(), "it failed again after it was found well, perhaps");
        patient.state = State::Looked;
        patient.looked(&Ok(()), now);
        assert!(patient.next().is_none(), "it is well");
        // It comes and goes: the pauses go on growing.
        patient.failed(now + Duration::from_secs(1));
        assert!(patient.next().unwrap() - now > last);
    }

    #[test]
    fn whoever_asks_during_a_look_is_answered_by_the_next_one() {
        let now = Instant::now();
        let mut patient = Patient::default();
        let ask = |patient: &mut Patient| {
            let (asker, found) = mpsc::sync_channel(1);
            patient.asked(asker, now);
            found
        };
        let early = ask(&mut patient);
        begin(&mut patient, now);
        let late = ask(&mut patient);
        patient.looked(&error(), now);
        assert!(early.try_recv().unwrap().is_err());
        assert!(late.try_recv().is_err(), "the file may have been put back during the look");
        begin(&mut patient, now);
        patient.looked(&Ok(()), now);
        assert!(late.try_recv().unwrap().is_ok());
    }
}
