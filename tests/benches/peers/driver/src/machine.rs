//! How busy the machine was with other things: on a busy one calls a second say little, and only CPU time is left.

/// The processors' time so far, in ticks: all of it, and what neither this program nor its hosts used and was not idle.
#[derive(Clone, Copy, Default)]
pub(crate) struct Machine {
    all: u64,
    others: u64,
}

impl Machine {
    /// The time so far. (0 where there is no `/proc`.)
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
        let ticks: Vec<u64> = ticks.take(8).filter_map(|number| number.parse().ok()).collect();
        let all = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        let own = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the name, which may hold anything: utime, stime, cutime, cstime are the 12th to the 15th.
        let fields = own.rsplit(')').next().unwrap_or_default().split_whitespace();
        let own: u64 = fields.skip(11).take(4).filter_map(|number| number.parse::<u64>().ok()).sum();
        Self { all, others: u64::saturating_sub(all, idle + own) }
    }

    /// Which share of the processors' time others used since then, in hundredths.
    pub(crate) fn others_since(self, then: Self) -> u64 {
        100 * self.others.saturating_sub(then.others) / (self.all - then.all).max(1)
    }
}
