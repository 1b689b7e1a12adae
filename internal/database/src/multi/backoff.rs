//! When a source that failed is looked at again: at growing pauses, and with growing patience for one that comes and
//! goes.

use std::time::{Duration, Instant};

/// The pause after a look that was in vain; before the first one there is none.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const MOST: Duration = Duration::from_secs(30);
/// Whoever was well for so long begins anew.
const STAY: Duration = Duration::from_secs(60);

/// The pauses of one source, doubling from failure to failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    well_since: Option<Instant>,
}

impl Backoff {
    /// It failed, or failed again.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.well_since.take().is_some_and(|since| now.saturating_duration_since(since) >= STAY) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// It is well.
    pub(super) fn returned(&mut self, now: Instant) {
        self.well_since = Some(now);
    }

    /// How long to wait now, with `chance` from 0 to 1 spreading the looks at many sources by a fifth each way.
    pub(super) fn pause(&self, chance: f64) -> Duration {
        let Some(in_vain) = self.failures.checked_sub(2) else { return Duration::ZERO };
        FIRST.saturating_mul(1 << in_vain.min(16)).min(MOST).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_only_after_a_stay() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            backoff.failed(start);
            pauses.push(backoff.pause(0.5).as_millis());
        }
        assert_eq!(pauses, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        backoff.returned(at(10));
        backoff.failed(at(11));
        assert_eq!(backoff.pause(0.5), MOST, "it comes and goes");
        backoff.returned(at(20));
        backoff.failed(at(20 + 60));
        assert_eq!(backoff.pause(0.5), Duration::ZERO);
        backoff.failed(at(20 + 61));
        assert_eq!(backoff.pause(0.5), FIRST);
        assert!(backoff.pause(0.0) < FIRST && backoff.pause(1.0) > FIRST, "spread");
    }
}
