//! Whatever is submitted and ends in whatever order: as much runs as may, in order, and nothing is lost.

use proptest::prelude::*;

use super::*;

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
