//! How a move uses the sources that others use as well: in small steps, and during the cut-over without waiting for what
//! others do in the same transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::source::{ReadTx, Source, WriteTx};

/// No step is shorter than so many rows, however long it takes, and the first one has so many.
const FEWEST: usize = 16;
const FIRST: usize = 64;
/// How many times as long as its steps a move rests: others share the disk with what a step wrote, after it as well.
const RESTS: u32 = 6;
/// How long it rests at a time at most.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Whether calls may wait for this.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// They need not: it waits for its turn like any call.
    Shared,
    /// They do: all has to be done by then, and to be on disk.
    Alone(Instant),
}

impl Pace {
    pub(super) fn read<T>(
        self,
        source: &Arc<Source>,
        op: &'static str,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Shared => source.read(op, f),
            Self::Alone(deadline) => source.read_by(op, deadline, f),
        }
    }
}

/// How many rows are written in one transaction: as many as fit into the time that others can be kept waiting.
pub(super) struct Steps {
    most: usize,
    rows: usize,
    longest: Option<Duration>,
    /// How long those since the last rest kept others waiting.
    unrested: Duration,
}

impl Steps {
    pub(super) fn new(most: usize, longest: Option<Duration>) -> Self {
        let rows = if longest.is_some() { most.min(FIRST) } else { most };
        Self { most, rows, longest, unrested: Duration::ZERO }
    }

    /// How many rows one has at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many rows the next one has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a step: a write that answers how many rows it wrote. It is on disk when the source is synced.
    pub(super) fn write(
        &mut self,
        source: &Arc<Source>,
        op: &'static str,
        f: impl FnOnce(&mut WriteTx<'_>) -> Result<u64>,
    ) -> Result<u64> {
        let (written, took) = source.write_unsynced(op, f)?;
        self.took(took, written);
        Ok(written)
    }

    /// Leaves the writer and the disk to others for a while, in between the steps of something long.
    pub(super) fn rest(&mut self) {
        let rest = (std::mem::take(&mut self.unrested) * RESTS).min(LONGEST_REST);
        let begun = Instant::now();
        while self.longest.is_some() && begun.elapsed() < rest {
            std::thread::park_timeout(rest.saturating_sub(begun.elapsed()));
        }
    }

    /// A step of so many rows took so long.
    fn took(&mut self, took: Duration, written: u64) {
        self.unrested += took;
        let Some(longest) = self.longest else { return };
        if took > longest {
            self.rows = (self.rows / 2).max(FEWEST.min(self.most));
        } else if took < longest / 2 && written >= self.rows as u64 {
            self.rows = (self.rows + self.rows / 4 + 1).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_takes_long_is_followed_by_shorter_ones() {
        let mut steps = Steps::new(10_000, Some(Duration::from_millis(20)));
        let first = steps.rows();
        steps.took(Duration::from_millis(60), 7);
        assert_eq!(steps.rows(), first / 2);
        // That those are short which have little to do means nothing.
        (0..100).for_each(|_| steps.took(Duration::ZERO, 7));
        assert_eq!(steps.rows(), first / 2);
        (0..100).for_each(|_| steps.took(Duration::ZERO, 10_000));
        assert_eq!(steps.rows(), 10_000);
        let mut steps = Steps::new(7, Some(Duration::ZERO));
        (0..9).for_each(|_| steps.took(Duration::from_millis(1), 7));
        assert_eq!(steps.rows(), 7);
        assert_eq!(Steps::new(10_000, None).rows(), 10_000);
    }

    #[test]
    fn what_takes_long_is_followed_by_a_longer_rest_where_others_call() {
        for (longest, rests) in [(Some(Duration::from_millis(20)), true), (None, false)] {
            let mut steps = Steps::new(10, longest);
            (0..3).for_each(|_| steps.took(Duration::from_millis(5), 7));
            for is_due in [rests, false] {
                let begun = Instant::now();
                steps.rest();
                assert_eq!(begun.elapsed() >= Duration::from_millis(90), is_due);
            }
        }
    }
}
