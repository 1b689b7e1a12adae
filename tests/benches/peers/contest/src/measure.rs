//! The clock: callers that work side by side for a while, and how long their calls took.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::job::{Failure, Job, Outcome, cpu};
use crate::tasks::Tasks;

/// One caller of a contender, on a thread of its own.
pub trait Caller: Send {
    /// Takes what it will do, and brings it into the form it wants. Not measured.
    fn load(&mut self, tasks: Tasks);

    /// Does the task of that number, and checks the answer.
    ///
    /// # Errors
    /// The contender failed, or gave a wrong answer.
    fn call(&mut self, task: usize) -> Result<(), Failure>;
}

/// One caller of an asynchronous contender, a task of its own.
#[cfg(feature = "tokio")]
pub trait AsyncCaller: Send + 'static {
    /// Takes what it will do, and brings it into the form it wants. Not measured.
    fn load(&mut self, tasks: Tasks);

    /// Does the task of that number, and checks the answer.
    fn call(&mut self, task: usize) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What one caller did.
struct Log {
    times: Vec<u64>,
    rows: u64,
    acknowledged: u64,
    busy: u64,
    failed: u64,
    first_failure: Option<String>,
    next: usize,
    once: Option<usize>,
    weights: Vec<u64>,
}

/// When what is measured begins and ends.
#[derive(Clone, Copy)]
struct Span {
    from: Instant,
    till: Instant,
}

impl Span {
    fn of(job: &Job) -> Self {
        let from = Instant::now() + Duration::from_millis(job.warm_ms);
        Self { from, till: from + Duration::from_millis(job.measure_ms) }
    }
}

impl Log {
    fn new(tasks: &Tasks) -> Self {
        let once = tasks.once();
        let weights = match (tasks, once) {
            (Tasks::Import(_), Some(all)) => (0..all).map(|task| tasks.weight(task)).collect(),
            _ => Vec::new(),
        };
        Self {
            times: Vec::with_capacity(1 << 20),
            rows: 0,
            acknowledged: 0,
            busy: 0,
            failed: 0,
            first_failure: None,
            next: 0,
            once,
            weights,
        }
    }

    /// The next task, or `None` where all are done.
    fn task(&mut self) -> Option<usize> {
        let task = self.next;
        self.next += 1;
        match self.once {
            Some(all) if task >= all => None,
            Some(_) => Some(task),
            None => Some(task & 4095),
        }
    }

    /// Notes how a call ended. `false` where the time is over.
    fn note(&mut self, task: usize, span: Span, began: Instant, ended: Instant, answer: Result<(), Failure>) -> bool {
        let weight = self.weights.get(task).copied().unwrap_or(1);
        match answer {
            Ok(()) => {
                self.acknowledged += weight;
                if ended >= span.from {
                    // The last call of each caller too, which ends later: whoever was kept waiting is in it.
                    self.times.push(u64::try_from((ended - began).as_nanos()).unwrap_or(u64::MAX));
                    self.rows += if ended <= span.till { weight } else { 0 };
                }
            }
            Err(Failure::Busy) => self.busy += 1,
            Err(Failure::Other(text)) => {
                self.failed += 1;
                self.first_failure.get_or_insert(text);
            }
        }
        ended < span.till
    }
}

fn outcome(logs: Vec<Log>, nanos: u64) -> Outcome {
    let mut outcome = Outcome { nanos, ..Outcome::default() };
    let callers = logs.len() as u64;
    let mut times = Vec::new();
    for log in logs {
        outcome.ops += log.rows;
        outcome.acknowledged += log.acknowledged;
        outcome.busy += log.busy;
        outcome.failed += log.failed;
        outcome.first_failure = outcome.first_failure.or(log.first_failure);
        times.extend(log.times);
    }
    times.sort_unstable();
    let at = |hundredth: usize| times.get(times.len() * hundredth / 100).or(times.last()).copied().unwrap_or_default();
    let (p50, p99, max) = (at(50), at(99), times.last().copied().unwrap_or_default());
    let interval = (nanos * callers).checked_div(times.len() as u64).unwrap_or_default();
    Outcome { p50, p99, p99_corrected: corrected(times, interval, 99), max, ..outcome }
}

/// So many hundredths of the calls were faster, where those are added that a caller would have made meanwhile, one in each
/// interval: a call that took three intervals stands for one of three, one of two and one of one. Without them one caller
/// who is kept waiting for a second counts as much as one of the thousand calls of another.
fn corrected(mut times: Vec<u64>, interval: u64, hundredth: usize) -> u64 {
    let calls = if interval > 0 { times.len() } else { 0 };
    for place in 0..calls {
        let mut left = times[place];
        while left >= 2 * interval {
            left -= interval;
            times.push(left);
        }
    }
    let Some(last) = times.len().checked_sub(1) else { return 0 };
    let place = (times.len() * hundredth / 100).min(last);
    *times.select_nth_unstable(place).1
}

/// Lets callers work side by side, each on a thread. `caller` makes the one of that number.
pub fn run<C: Caller>(job: &Job, caller: impl Fn(u64) -> C + Sync) -> Outcome {
    let ready = Barrier::new(job.callers + 1);
    let is_over = AtomicBool::new(false);
    let work = |number: usize| {
        let mut caller = caller(number as u64);
        let tasks = Tasks::of(job, number as u64);
        let mut log = Log::new(&tasks);
        caller.load(tasks);
        ready.wait();
        let span = Span::of(job);
        if let Some(calls) = job.calls {
            for _ in 0..calls {
                let Some(task) = log.task() else { break };
                let answer = caller.call(task);
                log.note(task, span, span.from, span.from, answer);
            }
            return log;
        }
        let mut began = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let Some(task) = log.task() else {
                is_over.store(true, Ordering::Relaxed);
                break;
            };
            let answer = caller.call(task);
            let ended = Instant::now();
            if !log.note(task, span, began, ended, answer) {
                break;
            }
            began = pause(ended, job.pause_us);
        }
        log
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..job.callers).map(|number| scope.spawn(move || work(number))).collect();
        ready.wait();
        let span = Span::of(job);
        let joined = || threads.into_iter().map(|thread| thread.join().expect("a caller does not panic")).collect();
        if job.calls.is_some() {
            // No clock is looked at here: valgrind does not know this way to it.
            return outcome(joined(), 0);
        }
        thread::park_timeout(span.from.saturating_duration_since(Instant::now()));
        let before = cpu();
        let logs = joined();
        Outcome { cpu: cpu() - before, ..outcome(logs, measured(span)) }
    })
}

/// Waits for so many microseconds from a moment on, and answers when that is over.
fn pause(from: Instant, micros: u64) -> Instant {
    let till = from + Duration::from_micros(micros);
    let mut now = from;
    while now < till {
        thread::park_timeout(till - now);
        now = Instant::now();
    }
    now
}

/// How long was measured: shorter than planned only where the tasks ran out.
fn measured(span: Span) -> u64 {
    let till = span.till.min(Instant::now());
    u64::try_from(till.saturating_duration_since(span.from).as_nanos()).unwrap_or(u64::MAX)
}

/// Lets callers work side by side, each a task of the runtime.
///
/// # Panics
/// A caller panics.
#[cfg(feature = "tokio")]
pub async fn run_async<C: AsyncCaller>(job: &Job, callers: Vec<C>) -> Outcome {
    use std::sync::Arc;

    let ready = Arc::new(tokio::sync::Barrier::new(job.callers + 1));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut running = Vec::new();
    for (number, mut caller) in callers.into_iter().enumerate() {
        let (job, ready, is_over) = (job.clone(), Arc::clone(&ready), Arc::clone(&is_over));
        running.push(tokio::spawn(async move {
            let tasks = Tasks::of(&job, number as u64);
            let mut log = Log::new(&tasks);
            caller.load(tasks);
            ready.wait().await;
            let span = Span::of(&job);
            let mut began = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                let Some(task) = log.task() else {
                    is_over.store(true, Ordering::Relaxed);
                    break;
                };
                let answer = caller.call(task).await;
                let ended = Instant::now();
                if !log.note(task, span, began, ended, answer) {
                    break;
                }
                began = ended;
                if job.pause_us > 0 {
                    tokio::time::sleep(Duration::from_micros(job.pause_us)).await;
                    began = Instant::now();
                }
            }
            log
        }));
    }
    ready.wait().await;
    let span = Span::of(job);
    tokio::time::sleep_until(span.from.into()).await;
    let before = cpu();
    let mut logs = Vec::new();
    for one in running {
        logs.push(one.await.expect("a caller does not panic"));
    }
    Outcome { cpu: cpu() - before, ..outcome(logs, measured(span)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_kept_waiting_counts_for_the_calls_that_are_not_made() {
        // Of a hundred calls one is kept for a hundred intervals: it stands for a hundred.
        let times: Vec<_> = [10_000].into_iter().chain([1; 99]).collect();
        assert_eq!(corrected(times.clone(), 100, 99), 9_900);
        assert_eq!(corrected(times.clone(), 100, 40), 1);
        // Where nobody is kept longer than that nothing is added.
        assert_eq!((corrected(times, 10_000, 50), corrected(vec![7], 0, 99), corrected(vec![], 1, 99)), (1, 7, 0));
    }
}
