//! The one connection that writes, and how callers share it.
//!
//! Each caller runs its own closure on its own thread. Under `durability = "full"`, where a commit waits for the disk,
//! callers take turns in one transaction: whoever has done its part hands the turn over to the next in line, and
//! whoever finds nobody in line commits for all (group commit by hand-over). Every part is a savepoint, so one that
//! fails is undone alone. Nobody is answered before the commit.
//!
//! Under "normal" a commit waits for nothing, and waking the next in line costs more than what a shared transaction
//! saves: there each write is a transaction of its own, behind a lock that a running thread may take again before a
//! sleeping one has woken up.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode};

use super::batch::{Batch, Outcome};
use super::config::Durability;
use super::connection::{self, Link};
use super::context::{self, Context};
use super::database::Database;
use super::journal;
use super::operation::{Operation, WriteObserver};
use super::turn::{Turn, Turns};
use super::write::WriteTx;
use crate::error::{Error, ErrorKind, Result};
use crate::route::{Route, SourceName};

/// A batch is committed at the latest when it has this many members, whoever waits.
const MOST_MEMBERS: usize = 128;
/// A batch is committed at the latest by the first member that finds it this old.
const OLDEST: Duration = Duration::from_millis(10);
/// How long closing waits for the writer, whatever the timeout.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

/// The one connection that writes, and the line in front of it.
pub(super) struct Writer {
    /// The line, where commits are shared.
    turns: Option<Turns>,
    state: Mutex<State>,
}

struct State {
    connection: Held,
    /// The transaction that is open for further members.
    open: Option<Open>,
}

enum Held {
    Open(Link),
    /// It could not end a transaction and was given up; the next call opens another.
    Broken,
    /// The database is only read.
    None,
    Closed,
}

/// An open transaction with members whose part is done.
struct Open {
    batch: Arc<Batch>,
    members: usize,
    since: Instant,
    /// What is to be told after the commit, and to whom.
    recorded: Vec<Operation>,
    observer: Option<WriteObserver>,
}

/// What is to be kept of a write besides its rows.
pub(crate) struct Recorder<'a> {
    /// Told of it after the commit.
    pub(crate) observer: Option<&'a WriteObserver>,
    /// Where the write is made in the place of a source that is away: it is also noted in this file's journal.
    pub(crate) displaced: Option<&'a Displaced>,
    /// What the write is called.
    pub(crate) op: &'a str,
    /// Where its rows belong.
    pub(crate) route: Route,
}

/// A source that is away, whose chats another file serves meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Displaced {
    /// The source.
    pub(crate) home: SourceName,
    /// Set while no write of its chats can be under way: from then on they are at home again.
    pub(crate) is_over: Arc<AtomicBool>,
}

/// How one attempt at a write ended.
enum Attempt<T> {
    /// For good.
    Ended(Result<T>),
    /// The transaction was lost through another member, or at the commit; nothing is kept.
    Lost(Error),
    Panicked(Box<dyn std::any::Any + Send>),
}

/// What became of a member's own part.
enum Part<T> {
    Done(T, Arc<Batch>),
    Failed(Error),
    Panicked(Box<dyn std::any::Any + Send>),
}

impl Writer {
    pub(super) fn open(link: Link, durability: Durability) -> Self {
        let turns = (durability == Durability::Full).then(Turns::default);
        Self { turns, state: Mutex::new(State { connection: Held::Open(link), open: None }) }
    }

    /// The writer of a database that is only read.
    pub(super) fn none() -> Self {
        Self { turns: None, state: Mutex::new(State { connection: Held::None, open: None }) }
    }

    /// Whether it holds a connection.
    pub(super) fn is_open(&self) -> bool {
        self.state.try_lock().is_none_or(|state| matches!(state.connection, Held::Open(_)))
    }

    /// The writer for the caller alone, with the turn where there is a line; `None` after the deadline.
    fn take(&self, deadline: Instant) -> Option<(Option<Turn<'_>>, MutexGuard<'_, State>)> {
        let turn = match &self.turns {
            Some(turns) => Some(turns.wait(deadline)?),
            None => None,
        };
        // With a turn nobody else can have it for long.
        let state = if turn.is_some() { self.state.lock() } else { self.state.try_lock_until(deadline)? };
        Some((turn, state))
    }
}

impl Database {
    /// Runs a read on the writer's connection, which is open in any case.
    pub(crate) fn read_as_writer<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&super::ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.on_writer(op, deadline, |connection| f(&super::ReadTx::new(connection, self.context(op))))
    }

    /// Runs a write and answers after its commit. Where a recording is wanted, the observer is told before the next
    /// write can begin.
    pub(crate) fn write<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        recorder: Option<&Recorder<'_>>,
        mut f: impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let mut is_second = false;
        loop {
            match self.attempt(&context, deadline, is_second, recorder, &mut f) {
                Attempt::Ended(answer) => return answer,
                Attempt::Lost(error) if is_second => return Err(error),
                Attempt::Lost(_) => is_second = true,
                Attempt::Panicked(panic) => resume_unwind(panic),
            }
        }
    }

    /// Runs this on the writer's connection; a transaction that it leaves open is undone.
    pub(super) fn on_writer<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let (turn, mut state) = self.writer.take(deadline).ok_or_else(|| self.busy(&context))?;
        if let Err(panic) = self.commit(&mut state) {
            drop((state, turn));
            resume_unwind(panic);
        }
        let link = self.link(&mut state.connection, &context, deadline)?;
        link.until(deadline).map_err(|error| context.sqlite(&error))?;
        let answer = f(&link.connection);
        lose(&mut state);
        answer
    }

    /// Runs this while nobody writes, with everything committed that was written before.
    pub(crate) fn while_nobody_writes<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce() -> T,
    ) -> Result<T> {
        let context = self.context(op);
        let (turn, mut state) = self.writer.take(deadline).ok_or_else(|| self.busy(&context))?;
        if let Err(panic) = self.commit(&mut state) {
            drop((state, turn));
            resume_unwind(panic);
        }
        Ok(f())
    }

    /// Takes the connection out of use, once everybody who is in line already is done.
    pub(super) fn close_writer(&self) -> Option<Link> {
        let (_turn, mut state) = self.writer.take(Instant::now() + self.timeout.max(CLOSE_WITHIN))?;
        if self.commit(&mut state).is_err() {
            tracing::error!(source = %self.name, "the observer of writes panicked");
        }
        match std::mem::replace(&mut state.connection, Held::Closed) {
            Held::Open(link) => Some(link),
            Held::Broken | Held::None | Held::Closed => None,
        }
    }

    /// One attempt at a write; `alone` where no other member may be able to undo it any more.
    fn attempt<T>(
        &self,
        context: &Context<'_>,
        deadline: Instant,
        alone: bool,
        recorder: Option<&Recorder<'_>>,
        f: &mut impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Attempt<T> {
        let Some((turn, mut state)) = self.writer.take(deadline) else {
            return Attempt::Ended(Err(self.busy(context)));
        };
        let part = self.part(&mut state, context, deadline, recorder, f);
        let is_small = |open: &Open| open.members < MOST_MEMBERS && open.since.elapsed() < OLDEST;
        let may_grow = !alone && state.open.as_ref().is_some_and(is_small);
        let turn = match turn {
            Some(turn) if may_grow => {
                // The next in line goes on in the open transaction.
                drop(state);
                match turn.hand_over() {
                    None => return answer(context, part),
                    Some(turn) => {
                        state = self.writer.state.lock();
                        Some(turn)
                    }
                }
            }
            turn => turn,
        };
        let told = self.commit(&mut state);
        drop(state);
        drop(turn);
        match told {
            Err(panic) => Attempt::Panicked(panic),
            Ok(()) => answer(context, part),
        }
    }

    /// Runs the caller's own part: in a new transaction, or as a savepoint of the open one. Afterwards the connection
    /// is in a transaction exactly if there are members.
    fn part<T>(
        &self,
        state: &mut State,
        context: &Context<'_>,
        deadline: Instant,
        recorder: Option<&Recorder<'_>>,
        f: &mut impl FnMut(&mut WriteTx<'_>) -> Result<T>,
    ) -> Part<T> {
        // The turn may have come at the last moment. It has to be taken, for whoever relies on it; nothing is begun.
        if Instant::now() >= deadline {
            return Part::Failed(self.busy(context));
        }
        let displaced = recorder.and_then(|recorder| recorder.displaced);
        if displaced.is_some_and(|displaced| displaced.is_over.load(Ordering::Acquire)) {
            return Part::Failed(context.error(ErrorKind::Moved));
        }
        let link = match self.link(&mut state.connection, context, deadline) {
            Ok(link) => link,
            Err(error) => return Part::Failed(error),
        };
        let connection = &link.connection;
        let is_first = state.open.is_none();
        // IMMEDIATE: a transaction that begins by reading could not become a writer later, whatever the timeout.
        let begin = if is_first { "BEGIN IMMEDIATE" } else { "SAVEPOINT part" };
        let begun = link.until(deadline).and_then(|()| run(connection, begin));
        let ran =
            catch_unwind(AssertUnwindSafe(|| {
                begun.map_err(|error| context.sqlite(&error))?;
                let mut tx = WriteTx::new(connection, *context, recorder.is_some());
                let answer = f(&mut tx)?;
                let operation = recorder.zip(tx.take_recording()).map(|(Recorder { op, route, .. }, steps)| {
                    Operation { op: (*op).to_owned(), route: *route, steps }
                });
                if let (Some(displaced), Some(operation)) = (displaced, &operation) {
                    journal::note(&mut tx, &displaced.home, operation)?;
                }
                Ok((answer, operation))
            }));
        if connection.is_autocommit() {
            // The transaction is gone, with every member's part: a full disk or an interruption does that.
            if let Some(open) = state.open.take() {
                open.batch.publish(Outcome::Lost);
            }
            return match ran {
                Ok(Ok(_)) => {
                    let detail = "a statement ended the transaction".to_owned();
                    Part::Failed(context.error(ErrorKind::OutcomeUnknown { detail }))
                }
                Ok(Err(error)) => Part::Failed(error),
                Err(panic) => Part::Panicked(panic),
            };
        }
        match ran {
            Ok(Ok((answer, operation))) => {
                if !is_first && let Err(error) = run(connection, "RELEASE part") {
                    let error = context.sqlite(&error);
                    lose(state);
                    return Part::Failed(error);
                }
                let open = state.open.get_or_insert_with(|| Open {
                    batch: Batch::new(),
                    members: 0,
                    since: Instant::now(),
                    recorded: Vec::new(),
                    observer: None,
                });
                open.members += 1;
                if let (Some(observer), Some(operation)) = (recorder.and_then(|recorder| recorder.observer), operation)
                {
                    open.recorded.push(operation);
                    open.observer = Some(Arc::clone(observer));
                }
                Part::Done(answer, Arc::clone(&open.batch))
            }
            Ok(Err(error)) => {
                self.undo(state, is_first);
                Part::Failed(error)
            }
            Err(panic) => {
                self.undo(state, is_first);
                Part::Panicked(panic)
            }
        }
    }

    /// Undoes a part that failed, and leaves the others' as they are.
    fn undo(&self, state: &mut State, is_first: bool) {
        let Held::Open(link) = &state.connection else { return };
        let connection = &link.connection;
        let undone = if is_first {
            run(connection, "ROLLBACK")
        } else {
            run(connection, "ROLLBACK TO part").and_then(|()| run(connection, "RELEASE part"))
        };
        if undone.is_err() {
            lose(state);
        }
    }

    /// Commits the open transaction, if there is one, and tells its members. Fails with the observer's panic.
    fn commit(&self, state: &mut State) -> std::thread::Result<()> {
        let (Some(open), Held::Open(link)) = (&mut state.open, &state.connection) else { return Ok(()) };
        let outcome = match run(&link.connection, "COMMIT") {
            Ok(()) if self.is_in_place() => Outcome::Committed,
            Ok(()) => Outcome::Replaced,
            // Without room the log has no commit, so this much is known.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Outcome::Full,
            Err(error) => Outcome::Unknown(context::describe(&error)),
        };
        let mut told = Ok(());
        if let (Outcome::Committed, Some(observer)) = (&outcome, &open.observer) {
            let tell = || open.recorded.iter().for_each(|operation| observer(operation));
            told = catch_unwind(AssertUnwindSafe(tell));
        }
        // Before the turn is given back: whoever is woken by this is in line again when the next batch begins.
        open.batch.publish(outcome);
        state.open = None;
        lose(state);
        told
    }

    /// The writer's connection; a new one where the last had to be given up.
    fn link<'w>(&self, held: &'w mut Held, context: &Context<'_>, deadline: Instant) -> Result<&'w Link> {
        if let Held::Broken = held {
            self.look(context)?;
            let reopened = connection::writer(&self.path, self.timeout).and_then(|link| {
                connection::use_wal(&link.connection, self.durability, deadline)?;
                Ok(link)
            });
            *held = Held::Open(reopened.map_err(|error| context.sqlite(&error))?);
            self.look(context)?;
        }
        match held {
            Held::Open(link) => Ok(link),
            Held::None => Err(context.error(ErrorKind::ReadOnly)),
            Held::Broken | Held::Closed => Err(context.error(ErrorKind::Closed)),
        }
    }

    fn busy(&self, context: &Context<'_>) -> Error {
        context.error(ErrorKind::Busy { waited: self.timeout })
    }
}

/// Ends a transaction that is still open, undoing it; each member's part with it.
fn lose(state: &mut State) {
    if let Held::Open(link) = &state.connection
        && !link.connection.is_autocommit()
        && run(&link.connection, "ROLLBACK").is_err()
        && !link.connection.is_autocommit()
    {
        // Closing the connection ends the transaction for certain.
        state.connection = Held::Broken;
    }
    if let Some(open) = state.open.take() {
        open.batch.publish(Outcome::Lost);
    }
}

/// What the caller is answered, once the outcome of the batch is known.
fn answer<T>(context: &Context<'_>, part: Part<T>) -> Attempt<T> {
    let (value, batch) = match part {
        Part::Done(value, batch) => (value, batch),
        Part::Failed(error) => return Attempt::Ended(Err(error)),
        Part::Panicked(panic) => return Attempt::Panicked(panic),
    };
    match batch.wait() {
        Outcome::Committed => Attempt::Ended(Ok(value)),
        Outcome::Replaced => Attempt::Ended(Err(context.error(ErrorKind::FileReplaced))),
        Outcome::Full => Attempt::Lost(context.error(ErrorKind::DiskFull)),
        Outcome::Lost => Attempt::Lost(context.error(ErrorKind::Busy { waited: context.timeout })),
        Outcome::Unknown(detail) => Attempt::Ended(Err(context.error(ErrorKind::OutcomeUnknown { detail }))),
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}
