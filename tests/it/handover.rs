//! The hand-over of the writer, checked by a model: the database's own `turn.rs` and `batch.rs` under a checker that
//! tries schedule after schedule, with deadlines that pass at any moment, and with parts that others make.
//!
//! `MODEL_SCHEDULES` says how many are tried of each kind.

mod sync;

#[path = "../../internal/database/src/source/batch.rs"]
mod batch;
#[path = "../../internal/database/src/source/turn.rs"]
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, ThreadId};
use shuttle::{Config, MaxSteps, Runner};

use batch::{Batch, Outcome};
use sync::{Deadline, Mutex};
use turn::{Borrowed, Came, Turns};

use crate::support::asked;

/// How many schedules of each kind are tried where nobody says otherwise.
const SCHEDULES: usize = 2_000;
/// A transaction is ended at the latest with so many members.
const MOST_MEMBERS: usize = 3;

/// A writer as the database has it, whose transactions hold nothing.
#[derive(Default)]
struct Writer {
    turns: Turns<Job>,
    has_turn: AtomicBool,
    open: Mutex<Option<Open>>,
}

struct Open {
    mine: Member,
    members: usize,
    /// Whose part another made.
    delegated: Vec<Borrowed<Job>>,
}

/// A part that others may make.
struct Job {
    whose: ThreadId,
    came: u64,
    /// How often it was made.
    made: usize,
    /// What its caller has to wait for, where it has to.
    member: Option<Member>,
}

/// What a member waits for, and what it looks at then: how its transaction was ended, each time.
#[derive(Clone)]
struct Member {
    batch: Arc<Batch>,
    ends: Arc<Mutex<Vec<Outcome>>>,
}

/// What a caller does with its turn.
#[derive(Clone, Copy)]
enum Call {
    /// Becomes a member, and lets others join.
    Joins,
    /// The same, and leaves it to others while somebody has the turn.
    Delegates,
    /// Fails by itself: no member, but whoever relies on it still has to be answered.
    Fails,
    /// Ends the transaction that is open, whoever waits: a read on the writer, a close, a batch that is full.
    Ends,
    /// Becomes a member, and all of it is lost, one way or another.
    Loses,
}

/// The turn did not come in time.
#[derive(Debug)]
struct Left;

impl Writer {
    fn call(&self, call: Call, deadline: Deadline) -> Result<(), Left> {
        let came = sync::moment();
        let job = || Job { whose: thread::current().id(), came, made: 0, member: None };
        let turn = match self.turns.try_take() {
            Some(turn) => turn,
            None => match self.turns.wait(deadline, matches!(call, Call::Delegates).then(job)).ok_or(Left)? {
                Came::Turn(turn) => turn,
                // Whoever had it was in no state to make it.
                Came::Job(Job { made: 0, .. }) => return self.call(Call::Joins, deadline),
                Came::Job(job) => {
                    assert_eq!(job.made, 1, "nothing is made twice");
                    job.member.iter().for_each(Member::wait);
                    return Ok(());
                }
            },
        };
        assert!(!self.has_turn.swap(true, Ordering::Relaxed), "one turn at a time");
        assert!(sync::in_line_since().is_none_or(|since| since > came), "first come, first served");
        thread::yield_now();
        let mine = matches!(call, Call::Joins | Call::Delegates | Call::Loses).then(|| self.join());
        while (mine.is_some() || self.open.lock().is_some())
            && !matches!(call, Call::Ends)
            && self.is_small()
            && let Some(borrowed) = turn.borrow_job()
        {
            self.make(borrowed);
        }
        let is_open = self.open.lock().is_some();
        let turn = if is_open && self.is_small() && matches!(call, Call::Joins | Call::Delegates | Call::Fails) {
            self.has_turn.store(false, Ordering::Relaxed);
            let Some(turn) = turn.hand_over(thread_rng().gen_range(0..2)) else {
                mine.iter().for_each(Member::wait);
                return Ok(());
            };
            assert!(!self.has_turn.swap(true, Ordering::Relaxed), "a turn that comes back is nobody's");
            turn
        } else {
            turn
        };
        self.end(if matches!(call, Call::Loses) {
            let losses = [Outcome::Lost, Outcome::Full, Outcome::Replaced, Outcome::Unknown("the disk".to_owned())];
            losses[thread_rng().gen_range(0..losses.len())].clone()
        } else {
            Outcome::Committed
        });
        // Goes on with what was left in the line meanwhile, in transactions of its own.
        for _ in 0..thread_rng().gen_range(0..3) {
            while mine.is_some()
                && self.is_small()
                && let Some(borrowed) = turn.borrow_job()
            {
                self.make(borrowed);
            }
            self.end(Outcome::Committed);
        }
        self.has_turn.store(false, Ordering::Relaxed);
        drop(turn);
        mine.iter().for_each(Member::wait);
        Ok(())
    }

    /// Whether the open transaction may have further members, or a new one would have its first.
    fn is_small(&self) -> bool {
        self.open.lock().as_ref().is_none_or(|open| open.members < MOST_MEMBERS)
    }

    /// Makes another's part.
    fn make(&self, mut borrowed: Borrowed<Job>) {
        let job = borrowed.job();
        sync::is_called(job.whose);
        assert!(sync::in_line_since().is_none_or(|since| since > job.came), "first come, first served");
        match thread_rng().gen_range(0..10) {
            // A panic of whoever has the turn: nothing is made.
            0 => return,
            // It fails by itself, and its caller waits for nothing.
            1 => job.made += 1,
            // It is refused for what others have written, and waits for their outcome.
            2 => {
                job.made += 1;
                job.member = self.open.lock().as_ref().map(|open| open.mine.clone());
            }
            // It undoes the transaction, and waits for what becomes of it.
            3 => {
                job.made += 1;
                job.member = self.open.lock().as_ref().map(|open| open.mine.clone());
                self.end(Outcome::Lost);
            }
            _ => {
                job.made += 1;
                job.member = Some(self.join());
            }
        }
        if job.member.is_some()
            && let Some(open) = &mut *self.open.lock()
        {
            open.delegated.push(borrowed);
        }
    }

    fn join(&self) -> Member {
        let mut open = self.open.lock();
        let open = open.get_or_insert_with(|| {
            let mine = Member { batch: Batch::new(), ends: Arc::default() };
            Open { mine, members: 0, delegated: Vec::new() }
        });
        open.members += 1;
        open.mine.clone()
    }

    fn end(&self, outcome: Outcome) {
        let Some(open) = self.open.lock().take() else { return };
        thread::yield_now();
        open.mine.ends.lock().push(outcome.clone());
        open.mine.batch.publish(outcome);
        // Whoever is woken by this finds the outcome.
        drop(open.delegated);
    }
}

impl Member {
    fn wait(&self) {
        let outcome = self.batch.wait();
        assert_eq!(*self.ends.lock(), [outcome], "told after the end, and it ends once");
    }
}

/// Callers with calls, each caller a thread.
fn model(callers: &[&[(Call, Deadline)]]) {
    sync::begin();
    let writer = Arc::new(Writer::default());
    let threads: Vec<_> = callers
        .iter()
        .map(|calls| {
            let (calls, writer) = (calls.to_vec(), Arc::clone(&writer));
            thread::spawn(move || {
                for (call, deadline) in calls {
                    let had = writer.call(call, deadline);
                    assert!(had.is_ok() || deadline == Deadline::Passes, "who has no deadline has a turn");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(writer.open.lock().is_none(), "no transaction is left without an owner");
    writer.call(Call::Joins, Deadline::Never).expect("the writer is free");
}

fn try_schedules(scheduler: impl Scheduler + 'static, callers: &'static [&'static [(Call, Deadline)]]) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(20_000);
    Runner::new(scheduler, config).run(move || model(callers));
}

/// Tries schedules by chance, and such as find mistakes that take a few unlikely switches of threads.
fn try_all(callers: &'static [&'static [(Call, Deadline)]]) {
    let schedules = asked("MODEL_SCHEDULES", SCHEDULES);
    try_schedules(RandomScheduler::new(schedules), callers);
    try_schedules(PctScheduler::new(3, schedules), callers);
}

#[test]
fn whoever_writes_is_answered_after_the_commit_that_holds_it() {
    use Call::Joins;
    use Deadline::Never;
    try_all(&[&[(Joins, Never), (Joins, Never)], &[(Joins, Never), (Joins, Never)], &[(Joins, Never)]]);
}

#[test]
fn whoever_delegates_is_answered_once_after_the_commit_that_holds_it() {
    use Call::{Delegates, Joins};
    use Deadline::{Never, Passes};
    try_all(&[
        &[(Delegates, Never), (Delegates, Never)],
        &[(Delegates, Passes), (Joins, Never)],
        &[(Delegates, Never), (Delegates, Passes)],
        &[(Joins, Passes)],
    ]);
}

#[test]
fn whoever_leaves_or_fails_leaves_nobody_waiting() {
    use Call::{Fails, Joins};
    use Deadline::{Never, Passes};
    try_all(&[
        &[(Joins, Passes), (Joins, Never)],
        &[(Fails, Passes), (Fails, Never)],
        &[(Joins, Never)],
        &[(Joins, Passes)],
    ]);
}

#[test]
fn whoever_ends_the_transaction_ends_it_for_all() {
    use Call::{Delegates, Ends, Fails, Joins, Loses};
    use Deadline::{Never, Passes};
    try_all(&[
        &[(Joins, Never), (Joins, Never)],
        &[(Ends, Never), (Ends, Passes)],
        &[(Loses, Never)],
        &[(Fails, Passes), (Joins, Passes)],
    ]);
    try_all(&[
        &[(Delegates, Never), (Delegates, Passes)],
        &[(Ends, Passes), (Loses, Never)],
        &[(Fails, Never), (Delegates, Never)],
        &[(Delegates, Passes)],
    ]);
}
