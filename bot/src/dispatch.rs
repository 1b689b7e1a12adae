//! The dispatcher: runs what chats ask for in parallel, and what one chat asks for in order.
//!
//! Jobs of one chat run one after the other, in the order in which they were submitted, even where the chat's source
//! changes in between. Jobs of different chats run at the same time on at most so many threads, and at most so many of
//! them on one source: a source that is locked or slow does not take every thread. Sources take turns, and so do the
//! chats of a source. A thread is started when it is needed first: one more than are busy stands ready.
//!
//! What waits is bounded, and [`submit`](Dispatcher::submit) blocks where there is no room. A chat has a share of the
//! room only, so that a slow chat does not fill it: whoever submits for everybody is held up by one chat only once
//! that chat's share is used up, and then until one of its jobs is done. That has to be so: whoever reads one stream
//! can go on past a message only by keeping it.

mod queue;

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Scope;

use database::{ChatId, SourceName};
use parking_lot::{Condvar, Mutex};

use self::queue::{Queue, Started};

/// How much is done at a time, and how much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many jobs run at a time: the number of threads at most.
    pub workers: usize,
    /// How many of them on one source.
    pub per_source: usize,
    /// How much may wait.
    pub waiting: Room,
    /// How much of that may wait for one chat.
    pub waiting_per_chat: Room,
}

/// Room for jobs that wait. There is always room for one job, whatever its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many jobs.
    pub jobs: usize,
    /// How many bytes they hold together.
    pub bytes: usize,
}

impl Default for Limits {
    /// Three times as many threads as one source gets, so that two locked sources leave a third for the rest; room
    /// for four chats that are so slow that everything they are sent piles up.
    fn default() -> Self {
        Self {
            workers: 24,
            per_source: 8,
            waiting: Room { jobs: 1024, bytes: 8 << 20 },
            waiting_per_chat: Room { jobs: 256, bytes: 2 << 20 },
        }
    }
}

struct State<K, J> {
    queue: Queue<K, J>,
    /// How many threads there are.
    workers: usize,
    /// How many of them do a job.
    busy: usize,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<J, T> {
    /// It was run and gave this.
    Done(T),
    /// It was run and panicked, saying this. How far it came is not known.
    Panicked(String),
    /// It was not begun, because the dispatcher was stopped before.
    NotStarted(J),
}

/// Takes jobs `J` and sees to it that they are run. Each has a ticket `K`, by which its outcome is known.
///
/// Cheap to clone; all clones are the same dispatcher.
pub struct Dispatcher<K, J> {
    shared: Arc<Shared<K, J>>,
}

struct Shared<K, J> {
    limits: Limits,
    state: Mutex<State<K, J>>,
    /// A job can be started, or the dispatcher closed.
    ready: Condvar,
    /// Fewer jobs wait, or the dispatcher was stopped.
    room: Condvar,
    /// Nothing is in hand.
    idle: Condvar,
}

impl<K: Send, J: Send> Dispatcher<K, J> {
    /// A dispatcher with these limits; a limit of none counts as one.
    pub fn new(limits: Limits) -> Self {
        let state = Mutex::new(State { queue: Queue::new(limits), workers: 0, busy: 0 });
        let (ready, room, idle) = (Condvar::new(), Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { limits, state, ready, room, idle }) }
    }

    /// Runs `body` while jobs are run, waits for all that is in hand and ends the threads. Once for a dispatcher.
    ///
    /// A job is run by `work`. `done` is told of its outcome on the same thread, before the next job of that chat is
    /// begun: what is told of one chat comes in order. Neither may submit jobs: it would wait for itself.
    ///
    /// # Errors
    /// No thread can be started; then `body` is not run.
    pub fn serve<T, R>(
        &self,
        work: impl Fn(J) -> T + Sync,
        done: impl Fn(K, Outcome<J, T>) + Sync,
        body: impl FnOnce() -> R,
    ) -> io::Result<R> {
        let crew = Crew { shared: &self.shared, work, done };
        std::thread::scope(|scope| {
            let _closing = Closing(self);
            self.shared.state.lock().workers = 1;
            crew.add(scope)?;
            let answer = body();
            self.finish();
            Ok(answer)
        })
    }

    /// Takes a job of a chat whose rows are in this source. Blocks while there is no room for its bytes.
    ///
    /// After [`stop`](Self::stop) nothing blocks: whoever submits then finds the job among those not started, in its
    /// place in the chat's order.
    pub fn submit(&self, source: &SourceName, chat: ChatId, bytes: usize, ticket: K, job: J) {
        self.submit_after(None, source, chat, bytes, ticket, job);
    }

    /// The same for a job that is begun once nothing of another chat is in hand, as are those of its chat that come after
    /// it. No job of that other chat may come later, nor wait for this one.
    pub fn submit_after(
        &self,
        before: Option<ChatId>,
        source: &SourceName,
        chat: ChatId,
        bytes: usize,
        ticket: K,
        job: J,
    ) {
        let mut state = self.shared.state.lock();
        while !state.queue.has_room(chat, bytes) {
            self.shared.room.wait(&mut state);
        }
        state.queue.push(source, chat, before, bytes, ticket, job);
        if state.queue.is_ready() {
            self.shared.ready.notify_one();
        }
    }

    /// Lets no further job begin. Those that wait are told as [`Outcome::NotStarted`], each after the jobs of its
    /// chat that have begun.
    pub fn stop(&self) {
        self.shared.state.lock().queue.stop();
        self.shared.room.notify_all();
    }

    /// Waits until nothing is in hand: every job that was submitted is done, and told.
    pub fn finish(&self) {
        let mut state = self.shared.state.lock();
        while !state.queue.is_empty() {
            self.shared.idle.wait(&mut state);
        }
    }
}

/// What the threads work with.
struct Crew<'a, K, J, W, D> {
    shared: &'a Shared<K, J>,
    work: W,
    done: D,
}

impl<K: Send, J: Send, T, W, D> Crew<'_, K, J, W, D>
where
    W: Fn(J) -> T + Sync,
    D: Fn(K, Outcome<J, T>) + Sync,
{
    /// Starts a thread, which is counted already.
    fn add<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> io::Result<()> {
        let worker = std::thread::Builder::new().name("worker".into());
        worker.spawn_scoped(scope, || self.run(scope)).map(drop)
    }

    /// The life of a worker.
    fn run<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let Shared { limits, state, ready, room, idle } = self.shared;
        let mut held = state.lock();
        loop {
            let Some(Started { chat, source, ticket, job }) = held.queue.start() else {
                if held.queue.is_closed() {
                    return;
                }
                ready.wait(&mut held);
                continue;
            };
            // Whoever is woken looks for more in the same way: nobody sleeps while there is something to do.
            if held.queue.is_ready() {
                ready.notify_one();
            }
            room.notify_all();
            let stopped = held.queue.is_stopped();
            held.busy += 1;
            let nobody_stands_ready = held.workers == held.busy && held.workers < limits.workers;
            held.workers += usize::from(nobody_stands_ready);
            drop(held);
            if nobody_stands_ready && let Err(error) = self.add(scope) {
                tracing::warn!(%error, "no further worker can be started; those there are do the work");
                state.lock().workers -= 1;
            }
            let outcome = if stopped {
                Outcome::NotStarted(job)
            } else {
                match catch_unwind(AssertUnwindSafe(|| (self.work)(job))) {
                    Ok(answer) => Outcome::Done(answer),
                    Err(panic) => Outcome::Panicked(words_of(&*panic)),
                }
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.done)(ticket, outcome))) {
                tracing::error!(%chat, panic = words_of(&*panic), "an outcome could not be told");
            }
            held = state.lock();
            held.busy -= 1;
            held.queue.end(chat, &source);
            if held.queue.is_empty() {
                idle.notify_all();
            }
        }
    }
}

impl<K, J> Clone for Dispatcher<K, J> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, J> fmt::Debug for Dispatcher<K, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

/// Ends the workers when what they work for has ended, by a panic perhaps.
struct Closing<'a, K, J>(&'a Dispatcher<K, J>);

impl<K, J> Drop for Closing<'_, K, J> {
    fn drop(&mut self) {
        self.0.shared.state.lock().queue.close();
        self.0.shared.ready.notify_all();
    }
}

/// What a panic says.
fn words_of(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(words), _) => (*words).to_owned(),
        (_, Some(words)) => words.clone(),
        _ => "without a word".to_owned(),
    }
}

#[cfg(test)]
mod tests;
