//! The dispatcher, led step by step: a job runs until the test lets it go.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

mod properties;

/// How long something that has to happen may take before it counts as not happening.
const SOON: Duration = Duration::from_secs(20);

fn source(number: usize) -> SourceName {
    format!("s{number}").parse().unwrap()
}

fn limits(workers: usize, per_source: usize, jobs: usize, per_chat: usize) -> Limits {
    let room = |jobs| Room { jobs, bytes: 1_000_000 };
    Limits { workers, per_source, waiting: room(jobs), waiting_per_chat: room(per_chat) }
}

/// A job as the tests know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    chat: i64,
    source: usize,
    number: usize,
}

/// What a running job tells, and how it is let go.
struct Running {
    job: Job,
    go: Sender<()>,
}

/// Work that tells when it begins and lasts until it is let go.
fn held(started: Sender<Running>) -> impl Fn(Job) -> usize + Sync {
    let started = Mutex::new(started);
    move |job| {
        let (go, wait) = channel();
        started.lock().send(Running { job, go }).unwrap();
        wait.recv_timeout(SOON).unwrap();
        job.number
    }
}

/// Keeps what `done` is told.
#[derive(Default)]
struct Told(Mutex<Vec<(Job, Outcome<Job, usize>)>>);

impl Told {
    fn keep(&self) -> impl Fn(Job, Outcome<Job, usize>) + Sync + '_ {
        |job, outcome| self.0.lock().push((job, outcome))
    }

    fn numbers_by_chat(&self) -> BTreeMap<i64, Vec<usize>> {
        let mut numbers = BTreeMap::<i64, Vec<usize>>::new();
        for (job, _) in self.0.lock().iter() {
            numbers.entry(job.chat).or_default().push(job.number);
        }
        numbers
    }
}

fn submit(dispatcher: &Dispatcher<Job, Job>, job: Job) {
    dispatcher.submit(&source(job.source), ChatId(job.chat), 1, job, job);
}

fn soon<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(SOON).expect("this was to happen soon")
}

/// Runs jobs that end at once, and answers what was told.
fn told_of(jobs: &[Job], work: impl Fn(Job) -> usize + Sync) -> Vec<(Job, Outcome<Job, usize>)> {
    let dispatcher = Dispatcher::new(limits(2, 2, 10, 10));
    let told = Told::default();
    dispatcher.serve(work, told.keep(), || jobs.iter().for_each(|job| submit(&dispatcher, *job))).unwrap();
    told.0.into_inner()
}

#[test]
fn a_panic_is_told_as_that_jobs_outcome_and_the_worker_lives_on() {
    let jobs: Vec<_> = (0..20).map(|number| Job { chat: 1, source: 0, number }).collect();
    let told = told_of(&jobs, |job| match job.number % 4 {
        0 => panic!("words"),
        1 => panic!("number {}", job.number),
        2 => std::panic::panic_any(5),
        _ => job.number,
    });
    for (job, outcome) in told {
        let expected = match job.number % 4 {
            0 => Outcome::Panicked("words".into()),
            1 => Outcome::Panicked(format!("number {}", job.number)),
            2 => Outcome::Panicked("without a word".into()),
            _ => Outcome::Done(job.number),
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn a_panic_while_telling_loses_that_outcome_only() {
    let dispatcher = Dispatcher::new(limits(1, 1, 10, 10));
    let told = Mutex::new(Vec::new());
    let tell = |job: Job, _: Outcome<Job, ()>| {
        assert_ne!(job.number, 1, "this one cannot be told");
        told.lock().push(job.number);
    };
    let jobs = (0..3).map(|number| Job { chat: 1, source: 0, number });
    dispatcher.serve(|_| (), tell, || jobs.for_each(|job| submit(&dispatcher, job))).unwrap();
    assert_eq!(*told.lock(), [0, 2]);
}

#[test]
fn threads_are_started_when_they_are_needed() {
    let dispatcher = Dispatcher::new(limits(6, 2, 100, 100));
    let (started, starts) = channel();
    let told = Told::default();
    dispatcher
        .serve(held(started), told.keep(), || {
            for number in 0..50 {
                submit(&dispatcher, Job { chat: 1, source: 0, number });
                soon(&starts).go.send(()).unwrap();
                dispatcher.finish();
            }
            (0..10).for_each(|chat| submit(&dispatcher, Job { chat, source: 0, number: 0 }));
            (0..10).for_each(|_| soon(&starts).go.send(()).unwrap());
            dispatcher.finish();
            let workers = dispatcher.shared.state.lock().workers;
            assert!(workers <= 3, "two at a time, and one that stands ready: {workers}");
        })
        .unwrap();
}

#[test]
fn a_panic_of_whoever_submits_ends_the_workers_and_comes_through() {
    let dispatcher = Dispatcher::new(limits(2, 2, 10, 10));
    let told = Told::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        dispatcher.serve(
            |job: Job| job.number,
            told.keep(),
            || {
                (0..5).for_each(|number| submit(&dispatcher, Job { chat: 1, source: 0, number }));
                panic!("enough");
            },
        )
    }));
    assert_eq!(words_of(&*panic.map(drop).unwrap_err()), "enough");
    assert_eq!(told.0.lock().len(), 5, "each was told, run or not");
}

#[test]
fn a_chat_that_is_slow_leaves_room_and_workers_to_others() {
    let dispatcher = Dispatcher::new(limits(2, 2, 10, 4));
    let (started, starts) = channel();
    let told = Told::default();
    dispatcher
        .serve(held(started), told.keep(), || {
            // One runs and four wait: the slow chat's share.
            (0..5).for_each(|number| submit(&dispatcher, Job { chat: 1, source: 0, number }));
            let slow = soon(&starts);
            for number in 0..50 {
                submit(&dispatcher, Job { chat: 2, source: 0, number });
                let other = soon(&starts);
                assert_eq!(other.job, Job { chat: 2, source: 0, number });
                other.go.send(()).unwrap();
            }
            slow.go.send(()).unwrap();
            (1..5).for_each(|number| {
                let next = soon(&starts);
                assert_eq!(next.job.number, number);
                next.go.send(()).unwrap();
            });
        })
        .unwrap();
}

#[test]
fn the_end_of_one_job_lets_two_begin_where_its_chat_goes_on_elsewhere() {
    let dispatcher = Dispatcher::new(limits(2, 1, 10, 10));
    let (started, starts) = channel();
    let told = Told::default();
    dispatcher
        .serve(held(started), told.keep(), || {
            submit(&dispatcher, Job { chat: 1, source: 0, number: 0 });
            let first = soon(&starts);
            submit(&dispatcher, Job { chat: 1, source: 1, number: 1 });
            submit(&dispatcher, Job { chat: 2, source: 0, number: 2 });
            first.go.send(()).unwrap();
            let both = [soon(&starts), soon(&starts)];
            both.iter().for_each(|one| one.go.send(()).unwrap());
        })
        .unwrap();
    assert_eq!(told.numbers_by_chat(), BTreeMap::from([(1, vec![0, 1]), (2, vec![2])]));
}

#[test]
fn a_locked_source_leaves_workers_to_others() {
    let dispatcher = Dispatcher::new(limits(4, 3, 100, 100));
    let (started, starts) = channel();
    let told = Told::default();
    dispatcher
        .serve(held(started), told.keep(), || {
            (0..20).for_each(|chat| submit(&dispatcher, Job { chat, source: 0, number: 0 }));
            let mut locked: Vec<_> = (0..3).map(|_| soon(&starts)).collect();
            (100..110).for_each(|chat| submit(&dispatcher, Job { chat, source: 1, number: 0 }));
            for _ in 0..10 {
                let other = soon(&starts);
                assert_eq!(other.job.source, 1);
                other.go.send(()).unwrap();
            }
            for _ in 0..17 {
                locked.remove(0).go.send(()).unwrap();
                locked.push(soon(&starts));
            }
            locked.into_iter().for_each(|last| last.go.send(()).unwrap());
        })
        .unwrap();
    assert_eq!(told.0.lock().len(), 30);
}

#[test]
fn a_job_waits_for_room_by_number_and_by_bytes_and_a_huge_one_goes_alone() {
    let room = Room { jobs: 3, bytes: 10 };
    let mut queue = Queue::new(Limits { workers: 1, per_source: 1, waiting: room, waiting_per_chat: room });
    let (source, chat) = (source(0), ChatId(1));
    assert!(queue.has_room(chat, 1_000), "there is always room for one");
    queue.push(&source, chat, None, 8, (), ());
    assert!(queue.has_room(ChatId(2), 2) && !queue.has_room(ChatId(2), 3));
    queue.push(&source, chat, None, 1, (), ());
    queue.push(&source, chat, None, 1, (), ());
    assert!(!queue.has_room(ChatId(2), 0));
    let started = queue.start().unwrap();
    assert!(queue.has_room(ChatId(2), 8) && queue.start().is_none());
    queue.stop();
    assert!(queue.has_room(ChatId(2), 1_000), "after a stop nothing blocks");
    queue.end(started.chat, &started.source);
    assert!(queue.start().is_some());
}

#[test]
fn a_job_comes_after_all_of_another_chat_and_holds_up_its_own_chat_alone() {
    let room = Room { jobs: 10, bytes: 10 };
    let mut queue = Queue::new(Limits { workers: 4, per_source: 4, waiting: room, waiting_per_chat: room });
    let (source, [group, supergroup, other]) = (source(0), [1, 2, 3].map(ChatId));
    queue.push(&source, supergroup, None, 0, (), "early");
    queue.push(&source, supergroup, None, 0, (), "earlier than the news");
    queue.push(&source, group, None, 0, (), "before");
    queue.push(&source, group, Some(supergroup), 0, (), "news");
    queue.push(&source, group, None, 0, (), "first");
    queue.push(&source, other, None, 0, (), "other");
    let begins = |queue: &mut Queue<(), &'static str>| {
        let mut begun: Vec<_> = std::iter::from_fn(|| queue.start()).map(|one| one.job).collect();
        begun.sort_unstable();
        begun
    };
    assert_eq!(begins(&mut queue), ["before", "early", "other"]);
    queue.end(group, &source);
    assert_eq!(begins(&mut queue), [""; 0]);
    queue.end(supergroup, &source);
    assert_eq!(begins(&mut queue), ["earlier than the news"]);
    queue.end(other, &source);
    assert_eq!(begins(&mut queue), [""; 0]);
    queue.end(supergroup, &source);
    assert_eq!(begins(&mut queue), ["news"]);
    queue.end(group, &source);
    assert_eq!(begins(&mut queue), ["first"]);
    queue.end(group, &source);
    assert!(queue.holds_nothing());
    // Nothing is in hand of what it would come after.
    queue.push(&source, group, Some(supergroup), 0, (), "news");
    assert_eq!(begins(&mut queue), ["news"]);
}
