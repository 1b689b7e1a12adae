//! How a move uses the sources that others use as well: in small steps, and during the cut-over without waiting for what
//! others do in the same transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::source::{ReadTx, Source, WriteTx};

/// No step is shorter than so many rows, however long it takes.
const FEWEST: usize = 16;

/// Whether calls may wait for this.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// They need not: it waits for its turn like any call, and shares commits.
    Shared,
    /// They do: each write has a transaction of its own, on disk, and all has to be done by then.
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

    pub(super) fn write<T>(
        self,
        source: &Arc<Source>,
        op: &'static str,
        f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Shared => source.write(op, None, f),
            Self::Alone(deadline) => source.write_alone(op, deadline, f),
        }
    }
}

/// How many rows are written in one transaction: as many as fit into the time that others can be kept waiting.
pub(super) struct Steps {
    most: usize,
    rows: usize,
    longest: Option<Duration>,
}

impl Steps {
    pub(super) fn new(most: usize, longest: Option<Duration>) -> Self {
        let rows = if longest.is_some() { most.min(500) } else { most };
        Self { most, rows, longest }
    }

    /// How many rows one has at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many rows the next one has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a step: the write of so many rows. Only what is done in its turn counts, not the waiting for that.
    pub(super) fn write<T>(
        &mut self,
        source: &Arc<Source>,
        op: &'static str,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut took = Duration::ZERO;
        let written = source.write(op, None, |tx| {
            let started = Instant::now();
            let answer = f(tx);
            took = started.elapsed();
            answer
        });
        self.took(took);
        written
    }

    /// A step took so long.
    fn took(&mut self, took: Duration) {
        let Some(longest) = self.longest else { return };
        if took > longest {
            self.rows = (self.rows / 2).max(FEWEST.min(self.most));
        } else if took < longest / 2 {
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
        steps.took(Duration::from_millis(60));
        assert_eq!(steps.rows(), first / 2);
        (0..100).for_each(|_| steps.took(Duration::ZERO));
        assert_eq!(steps.rows(), 10_000);
        let mut steps = Steps::new(7, Some(Duration::ZERO));
        (0..9).for_each(|_| steps.took(Duration::from_millis(1)));
        assert_eq!(steps.rows(), 7);
        assert_eq!(Steps::new(10_000, None).rows(), 10_000);
    }
}
