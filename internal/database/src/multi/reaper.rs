//! The reaper: a thread that closes what only earlier tables hold, once no call uses them, and removes the stand-ins
//! among it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::closing::{Closing, UnderWay, has_ended};
use super::datasource_router::DataSourceRouter;
use super::standin::Away;

/// How often it is looked whether an earlier table is still in use.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long the end of an absence is waited for: a table without the stand-in may come a moment before it.
const OVER_WITHIN: Duration = Duration::from_secs(2);

/// Closes what only earlier tables hold.
pub(super) struct Reaper {
    work: Arc<Work>,
    /// `None` where none could be started: then what is retired is closed at the end.
    thread: Option<JoinHandle<()>>,
    /// Whether the data directory is this process's, and held while something is removed there: a stand-in that another
    /// process has taken up must stay.
    is_ours: Arc<Mutex<bool>>,
    router: Weak<DataSourceRouter>,
}

/// What the thread has to do.
#[derive(Default)]
struct Work {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    retired: VecDeque<Retired>,
    is_ended: bool,
}

/// An earlier table, and what of it the next one does not have.
struct Retired {
    /// Counted alone: nobody else has it when no call uses it any more.
    table: Arc<dyn Send + Sync>,
    /// How long calls are waited for.
    within: Duration,
    closings: Vec<Closing>,
}

impl Reaper {
    pub(super) fn start(router: Weak<DataSourceRouter>) -> Self {
        let work = Arc::<Work>::default();
        let own = Arc::clone(&work);
        let thread = std::thread::Builder::new().name("closes sources".into()).spawn(move || own.work());
        if let Err(error) = &thread {
            tracing::warn!(
                %error,
                "no thread can be started that closes sources; those that are no longer configured are closed at the end"
            );
        }
        Self { work, thread: thread.ok(), is_ours: Arc::new(Mutex::new(true)), router }
    }

    /// Closes what a table alone has, once no call uses that table or one that was retired before. A call that does not
    /// end is waited for no longer than this.
    pub(super) fn retire(&self, table: Arc<dyn Send + Sync>, within: Duration, closings: Vec<Closing>) {
        self.work.queue.lock().retired.push_back(Retired { table, within, closings });
        self.work.changed.notify_one();
    }

    /// The closing of a stand-in whose source is home again, and its removal.
    pub(super) fn removal(&self, away: &Away) -> Closing {
        let (away, router, is_ours) = (away.clone(), self.router.clone(), Arc::clone(&self.is_ours));
        Closing::of(&away.serving).then(move || {
            if remove(&away, &is_ours)
                && let Some(router) = router.upgrade()
            {
                router.left(&away.displaced.home);
            }
        })
    }

    /// Nothing is retired any more. Answers what the thread has not come to, for the caller to close; the thread itself
    /// goes on with what it has begun and ends.
    pub(super) fn end(&self) -> Vec<Closing> {
        let retired = {
            let mut queue = self.work.queue.lock();
            queue.is_ended = true;
            std::mem::take(&mut queue.retired)
        };
        self.work.changed.notify_one();
        retired.into_iter().flat_map(|retired| retired.closings).collect()
    }

    /// Waits until the deadline for what the thread has begun. From here on nothing is removed, whatever ends later.
    pub(super) fn wait(&self, deadline: Instant) {
        if let Some(thread) = &self.thread
            && !has_ended(thread, deadline)
        {
            tracing::warn!("sources that are no longer configured are not closed yet, and are left behind");
        }
        match self.is_ours.try_lock_until(deadline) {
            Some(mut is_ours) => *is_ours = false,
            None => tracing::warn!("a stand-in is still being removed, from a disk that does not answer"),
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // Where nobody has closed the databases, the thread closes what it has yet to, and ends.
        self.work.queue.lock().is_ended = true;
        self.work.changed.notify_one();
        if let Some(mut is_ours) = self.is_ours.try_lock() {
            *is_ours = false;
        }
    }
}

/// Removes a stand-in that is closed, where all that it holds is at home, and answers whether it did.
fn remove(away: &Away, is_ours: &Mutex<bool>) -> bool {
    let deadline = Instant::now() + OVER_WITHIN;
    while !away.displaced.is_over() && Instant::now() < deadline {
        std::thread::park_timeout(LOOK_EVERY);
    }
    let is_ours = is_ours.lock();
    if !*is_ours {
        return false;
    }
    if !away.displaced.is_over() {
        let (source, file) = (&away.displaced.home, away.serving.config().path.display());
        tracing::error!(%source, %file, "a stand-in is kept: what was written to it is not all at home yet");
        return false;
    }
    away.remove();
    true
}

impl Work {
    /// The thread: takes tables in their order, since a source that is in several is closed after the last of them.
    fn work(&self) {
        let mut under_way = Vec::new();
        while let Some(Retired { table, within, closings }) = self.next(&mut under_way) {
            self.wait_unused(&table, Instant::now() + within);
            drop(table);
            // What does not close holds up nothing that comes later.
            under_way.push(UnderWay::begin(closings));
        }
        under_way.into_iter().for_each(UnderWay::wait);
    }

    /// The next table that is retired; `None` at the end. Sees meanwhile to what takes too long to close.
    fn next(&self, under_way: &mut Vec<UnderWay>) -> Option<Retired> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(retired) = queue.retired.pop_front() {
                return Some(retired);
            }
            if queue.is_ended {
                return None;
            }
            under_way.retain_mut(UnderWay::goes_on);
            match under_way.iter().map(|closings| closings.deadline).min() {
                None => self.changed.wait(&mut queue),
                Some(deadline) => drop(self.changed.wait_until(&mut queue, deadline)),
            }
        }
    }

    /// Waits until no call uses a table, or there is no time left.
    fn wait_unused(&self, table: &Arc<dyn Send + Sync>, deadline: Instant) {
        while Arc::strong_count(table) > 1 && !self.queue.lock().is_ended {
            if Instant::now() >= deadline {
                tracing::warn!(
                    "a call that began before a change does not end; what it may use is closed all the same"
                );
                return;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::super::datasource_router_tests;
    use super::*;
    use crate::source::Source;
    use crate::time::{Clock, SystemClock};

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    /// A closing that tells when it has begun.
    fn telling(within: Duration) -> (Closing, Receiver<()>) {
        let (begun, begins) = mpsc::channel();
        (Closing::new("a.db".into(), within, move || begun.send(()).unwrap()), begins)
    }

    /// A closing that goes on until it is let go.
    fn hanging(within: Duration) -> (Closing, Receiver<()>, Sender<()>) {
        let (go, goes) = mpsc::channel();
        let (closing, begins) = telling(within);
        (closing.then(move || assert!(goes.recv().is_err())), begins, go)
    }

    fn unused() -> Arc<dyn Send + Sync> {
        Arc::new(())
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_closing_that_hangs_holds_up_none_that_is_retired_later() {
        let reaper = Reaper::start(Weak::new());
        let (hung, begins, go) = hanging(LONG);
        let (next, begins_next) = telling(LONG);
        reaper.retire(unused(), LONG, vec![hung]);
        begins.recv_timeout(LONG).unwrap();
        reaper.retire(unused(), LONG, vec![next]);
        begins_next.recv_timeout(LONG / 3).expect("the first is not waited for");
        assert!(reaper.end().is_empty());
        reaper.wait(now());
        assert!(!reaper.thread.as_ref().unwrap().is_finished(), "it waits for the first");
        drop(go);
        assert!(has_ended(reaper.thread.as_ref().unwrap(), now() + LONG));
    }

    #[test]
    fn what_does_not_close_in_its_time_is_left_behind_and_the_thread_goes_on_to_its_end() {
        let reaper = Reaper::start(Weak::new());
        let (hung, begins, _go) = hanging(SHORT);
        reaper.retire(unused(), LONG, vec![hung]);
        begins.recv_timeout(LONG).unwrap();
        let (next, begins_next) = telling(LONG);
        reaper.retire(unused(), LONG, vec![next]);
        begins_next.recv_timeout(LONG).unwrap();
        reaper.end();
        assert!(has_ended(reaper.thread.as_ref().unwrap(), now() + LONG));
    }

    #[test]
    fn what_a_call_may_use_is_closed_once_that_has_ended_and_so_is_what_is_retired_later() {
        let reaper = Reaper::start(Weak::new());
        let call = unused();
        let ((first, begins), (next, begins_next)) = (telling(LONG), telling(LONG));
        reaper.retire(Arc::clone(&call), LONG, vec![first]);
        reaper.retire(unused(), LONG, vec![next]);
        assert!(begins_next.recv_timeout(SHORT * 4).is_err() && begins.try_recv().is_err(), "the call goes on");
        drop(call);
        begins.recv_timeout(LONG).unwrap();
        begins_next.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn a_call_that_does_not_end_is_waited_for_no_longer_than_told() {
        let reaper = Reaper::start(Weak::new());
        let call = unused();
        let (closing, begins) = telling(LONG);
        let begun = now();
        reaper.retire(Arc::clone(&call), SHORT, vec![closing]);
        begins.recv_timeout(LONG).unwrap();
        assert!(begun.elapsed() >= SHORT);
    }

    #[test]
    fn at_the_end_no_call_is_waited_for_and_what_was_not_begun_is_given_back() {
        let reaper = Reaper::start(Weak::new());
        let call = unused();
        let ((first, begins), (next, begins_next)) = (telling(LONG), telling(LONG));
        reaper.retire(Arc::clone(&call), LONG, vec![first]);
        while !reaper.work.queue.lock().retired.is_empty() {
            std::thread::yield_now();
        }
        reaper.retire(unused(), LONG, vec![next]);
        let left = reaper.end();
        assert_eq!(left.len(), 1);
        begins.recv_timeout(LONG).unwrap();
        reaper.wait(now() + LONG);
        assert!(reaper.thread.as_ref().unwrap().is_finished() && begins_next.try_recv().is_err());
    }

    #[test]
    fn what_nobody_closed_is_closed_when_the_databases_are_dropped() {
        let reaper = Reaper::start(Weak::new());
        let (closing, begins) = telling(LONG);
        reaper.retire(unused(), LONG, vec![closing]);
        drop(reaper);
        begins.recv_timeout(LONG).unwrap();
    }

    /// A source that is away, and the stand-in's file.
    fn away(folder: &Path) -> Away {
        let config = datasource_router_tests::config(folder);
        let settings = &config.sources[&"archive".parse().unwrap()];
        let default = Arc::new(Source::refusing(settings.clone(), "it is a test".to_owned()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let away = Away::of(&config, settings, &default, &clock).unwrap();
        assert!(!away.may_hold_writes(), "nothing is there yet");
        std::fs::create_dir(folder.join("standin")).unwrap();
        std::fs::write(&away.serving.config().path, "what waits").unwrap();
        away
    }

    #[test]
    fn a_stand_in_is_removed_only_where_the_absence_is_over_and_the_folder_still_ours() {
        for (is_over, is_ours) in [(true, true), (false, true), (true, false)] {
            let folder = tempfile::tempdir().unwrap();
            let away = away(folder.path());
            let reaper = Reaper::start(Weak::new());
            let removal = reaper.removal(&away);
            if !is_ours {
                reaper.end();
                reaper.wait(now() + LONG);
            }
            let under_way = UnderWay::begin(vec![removal]);
            if is_over {
                // A moment later, since the change of the table comes first.
                std::thread::park_timeout(SHORT);
                away.displaced.break_off(|| ());
            }
            under_way.wait();
            assert_eq!(away.serving.config().path.exists(), !(is_over && is_ours), "over {is_over}, ours {is_ours}");
        }
    }

    #[test]
    fn a_removal_that_hangs_holds_the_end_up_no_longer_than_until_its_deadline() {
        let reaper = Reaper::start(Weak::new());
        reaper.end();
        let removing = reaper.is_ours.lock();
        reaper.wait(now() + SHORT);
        assert!(*removing);
    }
}
