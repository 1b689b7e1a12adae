//! Looking at sources that failed, and bringing their chats home: one look at a time, on a thread of its own.

use std::collections::HashMap;
use std::sync::Weak;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Instant;

use parking_lot::Mutex;

use super::backoff::Backoff;
use super::datasource_router::DataSourceRouter;
use super::homecoming;
use crate::error::Result;
use crate::route::SourceName;

/// Sees to sources that failed.
pub(crate) struct Healer {
    router: Weak<DataSourceRouter>,
    orders: Mutex<Option<Sender<Order>>>,
}

enum Order {
    /// A source failed.
    Failed(SourceName),
    /// Look at it now, and tell what was found.
    Look(SourceName, SyncSender<Result<()>>),
}

/// A source that is looked at.
#[derive(Default)]
struct Patient {
    backoff: Backoff,
    /// When it is looked at next; `None` while it is well.
    next: Option<Instant>,
}

impl Healer {
    pub(super) fn new(router: Weak<DataSourceRouter>) -> Self {
        Self { router, orders: Mutex::new(None) }
    }

    /// A source failed. Answers whether it will be looked at.
    pub(super) fn failed(&self, name: &SourceName) -> bool {
        self.send(Order::Failed(name.clone()))
    }

    /// Looks at a source now, however short ago that was, and brings its chats home where it is well.
    pub(super) fn look(&self, name: &SourceName) -> Option<Result<()>> {
        let (answer, found) = mpsc::sync_channel(1);
        if !self.send(Order::Look(name.clone(), answer)) {
            return None;
        }
        found.recv().ok()
    }

    /// Ends the thread, once it is done with what it does.
    pub(super) fn stop(&self) {
        *self.orders.lock() = None;
    }

    fn send(&self, order: Order) -> bool {
        let mut orders = self.orders.lock();
        if orders.is_none() {
            let (sender, received) = mpsc::channel();
            let router = self.router.clone();
            let thread = std::thread::Builder::new().name("heals sources".into());
            if let Err(error) = thread.spawn(move || work(&router, &received)) {
                tracing::error!(%error, "no thread can be started that looks at sources that failed");
                return false;
            }
            *orders = Some(sender);
        }
        orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }
}

/// The life of the thread.
fn work(router: &Weak<DataSourceRouter>, orders: &Receiver<Order>) {
    let mut patients: HashMap<SourceName, Patient> = HashMap::new();
    loop {
        let next = patients.values().filter_map(|patient| patient.next).min();
        let order = match next {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(next) => orders.recv_timeout(next.saturating_duration_since(Instant::now())),
        };
        let due = match order {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => None,
            Ok(Order::Failed(name)) => {
                let patient = patients.entry(name).or_default();
                if patient.next.is_none() {
                    patient.backoff.failed(Instant::now());
                    patient.next = Some(Instant::now() + patient.backoff.pause(chance()));
                }
                continue;
            }
            Ok(Order::Look(name, answer)) => Some((name, answer)),
        };
        let Some(router) = router.upgrade() else { return };
        let names = match &due {
            Some((name, _)) => vec![name.clone()],
            None => {
                let now = Instant::now();
                let is_due = |patient: &Patient| patient.next.is_some_and(|next| next <= now);
                patients.iter().filter(|(_, patient)| is_due(patient)).map(|(name, _)| name.clone()).collect()
            }
        };
        for name in names {
            let found = homecoming::look(&router, &name);
            let patient = patients.entry(name.clone()).or_default();
            match &found {
                Ok(()) => {
                    patient.backoff.returned(Instant::now());
                    patient.next = None;
                }
                Err(error) => {
                    tracing::debug!(source = %name, %error, "a source is not well yet");
                    patient.backoff.failed(Instant::now());
                    patient.next = Some(Instant::now() + patient.backoff.pause(chance()));
                }
            }
            if let Some((_, answer)) = &due {
                // Whoever asked may not wait any more.
                let _ = answer.try_send(found);
            }
        }
    }
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
