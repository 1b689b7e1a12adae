//! The dispatcher, led step by step: a job runs until the test lets it go.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

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

/// Jobs of up to six chats on three sources; a chat's source is its own.
fn jobs_of_settled_chats() -> impl Strategy<Value = Vec<Job>> {
    prop::collection::vec(0_i64..6, 1..40).prop_map(|chats| {
        let job = |(number, chat): (usize, i64)| Job { chat, source: usize::try_from(chat % 3).unwrap(), number };
        chats.into_iter().enumerate().map(job).collect()
    })
}

/// Jobs whose chats change their source as they like.
fn jobs_of_moving_chats() -> impl Strategy<Value = Vec<Job>> {
    prop::collection::vec((0_i64..6, 0_usize..3), 1..60).prop_map(|places| {
        let job = |(number, (chat, source))| Job { chat, source, number };
        places.into_iter().enumerate().map(job).collect()
    })
}

/// How many jobs have to run now: as many as the limits let.
fn due_to_run(left: &[Job], workers: usize, per_source: usize) -> usize {
    let mut chats: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for job in left {
        let chats = chats.entry(job.source).or_default();
        if !chats.contains(&job.chat) {
            chats.push(job.chat);
        }
    }
    chats.values().map(|chats| chats.len().min(per_source)).sum::<usize>().min(workers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn as_many_jobs_run_as_may_and_each_chat_keeps_its_order(
        jobs in jobs_of_settled_chats(),
        workers in 1_usize..6,
        per_source in 1_usize..4,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let dispatcher = Dispatcher::new(limits(workers, per_source, 100, 100));
        let (started, starts) = channel();
        let told = Told::default();
        let checked = dispatcher.serve(held(started), told.keep(), || {
            jobs.iter().for_each(|job| submit(&dispatcher, *job));
            let (mut left, mut running) = (jobs.clone(), Vec::<Running>::new());
            for pick in &picks {
                while running.len() < due_to_run(&left, workers, per_source) {
                    running.push(soon(&starts));
                }
                if let Ok(surplus) = starts.try_recv() {
                    running.push(surplus);
                }
                prop_assert_eq!(running.len(), due_to_run(&left, workers, per_source));
                for one in &running {
                    let before = |job: &&Job| job.chat == one.job.chat;
                    prop_assert_eq!(left.iter().find(before), Some(&one.job), "out of turn");
                }
                if !running.is_empty() {
                    let ended = running.swap_remove(pick.index(running.len()));
                    left.retain(|job| *job != ended.job);
                    ended.go.send(()).unwrap();
                }
            }
            prop_assert_eq!(left.len(), 0);
            Ok(())
        });
        checked.unwrap()?;
        prop_assert_eq!(told.0.lock().len(), jobs.len());
    }

    #[test]
    fn whatever_the_limits_nothing_is_lost_or_out_of_order_and_no_source_is_crowded(
        jobs in jobs_of_moving_chats(),
        workers in 1_usize..6,
        per_source in 1_usize..4,
        room in 1_usize..6,
        room_per_chat in 1_usize..6,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let dispatcher = Dispatcher::new(limits(workers, per_source, room, room_per_chat));
        let (started, starts) = channel();
        let told = Told::default();
        let checked = dispatcher.serve(held(started), told.keep(), || {
            std::thread::scope(|scope| {
                scope.spawn(|| jobs.iter().for_each(|job| submit(&dispatcher, *job)));
                let (mut ended, mut running) = (0, Vec::<Running>::new());
                for pick in picks.iter().cycle() {
                    if ended == jobs.len() {
                        break;
                    }
                    running.extend(starts.try_iter());
                    if running.is_empty() {
                        running.push(soon(&starts));
                    }
                    let mut by_source = HashMap::<usize, usize>::new();
                    running.iter().for_each(|one| *by_source.entry(one.job.source).or_default() += 1);
                    prop_assert!(by_source.values().all(|count| *count <= per_source), "{by_source:?}");
                    prop_assert!(running.len() <= workers);
                    let mut chats: Vec<_> = running.iter().map(|one| one.job.chat).collect();
                    chats.sort_unstable();
                    chats.dedup();
                    prop_assert_eq!(chats.len(), running.len(), "two jobs of one chat at once");
                    running.swap_remove(pick.index(running.len())).go.send(()).unwrap();
                    ended += 1;
                }
                Ok(())
            })
        });
        checked.unwrap()?;
        let mut expected = BTreeMap::<i64, Vec<usize>>::new();
        jobs.iter().for_each(|job| expected.entry(job.chat).or_default().push(job.number));
        prop_assert_eq!(told.numbers_by_chat(), expected);
        prop_assert!(told.0.lock().iter().all(|(job, outcome)| *outcome == Outcome::Done(job.number)));
        prop_assert!(dispatcher.shared.state.lock().queue.holds_nothing(), "something of idle chats is kept");
    }

    #[test]
    fn a_stop_at_any_moment_tells_of_every_job_in_order(
        jobs in jobs_of_moving_chats(),
        stop_after in 0_usize..60,
        room in 1_usize..6,
    ) {
        let dispatcher = Dispatcher::new(limits(3, 2, room, room));
        let (started, starts) = channel();
        let told = Told::default();
        let begun = dispatcher.serve(held(started), told.keep(), || {
            std::thread::scope(|scope| {
                scope.spawn(|| jobs.iter().for_each(|job| submit(&dispatcher, *job)));
                let mut begun = 0;
                while begun < stop_after.min(jobs.len()) {
                    soon(&starts).go.send(()).unwrap();
                    begun += 1;
                }
                dispatcher.stop();
                // What had begun in the meantime is finished.
                let end = scope.spawn(|| dispatcher.finish());
                while !end.is_finished() {
                    if let Ok(running) = starts.recv_timeout(Duration::from_millis(1)) {
                        running.go.send(()).unwrap();
                        begun += 1;
                    }
                }
                begun
            })
        }).unwrap();
        let mut expected = BTreeMap::<i64, Vec<usize>>::new();
        jobs.iter().for_each(|job| expected.entry(job.chat).or_default().push(job.number));
        prop_assert_eq!(told.numbers_by_chat(), expected);
        let done = told.0.lock().iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(_))).count();
        prop_assert_eq!(done, begun);
    }
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
    queue.push(&source, chat, 8, (), ());
    assert!(queue.has_room(ChatId(2), 2) && !queue.has_room(ChatId(2), 3));
    queue.push(&source, chat, 1, (), ());
    queue.push(&source, chat, 1, (), ());
    assert!(!queue.has_room(ChatId(2), 0));
    let started = queue.start().unwrap();
    assert!(queue.has_room(ChatId(2), 8) && queue.start().is_none());
    queue.stop();
    assert!(queue.has_room(ChatId(2), 1_000), "after a stop nothing blocks");
    queue.end(started.chat, &started.source);
    assert!(queue.start().is_some());
}
