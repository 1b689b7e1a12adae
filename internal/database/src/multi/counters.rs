//! What has happened to sources since the start, counted: for whoever draws graphs of it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start; each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How often a source went away so that another served its chats.
    pub outages: u64,
    /// How often a source that had failed was looked at.
    pub looks: u64,
    /// How often a source's chats came home.
    pub returns: u64,
    /// How many writes were brought home.
    pub writes_made: u64,
    /// How many of them could not be made there, and are kept aside.
    pub writes_parked: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Outage,
    Look,
    Return,
    Made,
    Parked,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 5]);

impl Counters {
    pub(super) fn add(&self, count: Count, many: u64) {
        self.0[count as usize].fetch_add(many, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Counts {
        let [outages, looks, returns, writes_made, writes_parked] =
            self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { outages, looks, returns, writes_made, writes_parked }
    }
}
