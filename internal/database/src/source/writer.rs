//! The one connection that writes, and having it to oneself for a while.
//!
//! What is done with it stands in [`group`](super::group): writes, each in a transaction of its own or several in one;
//! and in [`cold`](super::cold): reads, where there is no room for a connection of their own.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::batch::{Batch, Outcome};
use super::connection::{self, Link};
use super::context::Context;
use super::database::Database;
use super::delegated::Delegated;
use super::operation::{Operation, WriteObserver};
use super::read::ReadTx;
use super::turn::{Borrowed, Came, Turn, Turns};
use crate::error::{Error, ErrorKind, Result};

/// How long closing waits for the writer, whatever the timeout.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

thread_local! {
    /// How many writers this thread has, of whatever databases: while it has one it must wait for no other.
    static SEATS: Cell<u32> = const { Cell::new(0) };
    /// Which writer's connection this thread has for a read; 0 for none.
    static LENT: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread has a writer.
pub(super) fn has_seat() -> bool {
    SEATS.get() > 0
}

/// The one connection that writes, and the line in front of it.
pub(super) struct Writer {
    turns: Turns<Delegated>,
    state: Mutex<State>,
}

/// What one caller at a time has.
pub(super) struct State {
    pub(super) connection: Held,
    /// The transaction that is open for further members. There is one only while somebody has the writer, or was given
    /// the turn to it.
    pub(super) open: Option<Open>,
    /// How many of the next parts that are made for others are savepoints.
    pub(super) careful: u32,
}

/// The connection, or why there is none.
pub(super) enum Held {
    Open(Link),
    /// It could not end a transaction and was given up; the next call opens another.
    Broken,
    /// A read has it, on the thread that has the writer. What that writes meanwhile needs another one.
    Lent,
    /// The database is only read.
    None,
    Closed,
}

/// An open transaction with members whose part is done.
pub(super) struct Open {
    pub(super) batch: Arc<Batch>,
    pub(super) members: usize,
    pub(super) since: Instant,
    /// What is to be told after the commit, and to whom.
    pub(super) recorded: Vec<Operation>,
    pub(super) observer: Option<WriteObserver>,
    /// Those whose part another made or refused, who have it back when this is dropped.
    pub(super) delegated: Vec<Borrowed<Delegated>>,
}

/// The writer in the hands of one caller. Whoever has it when a transaction is open ends that, or hands it over.
pub(super) struct Seat<'w> {
    writer: &'w Writer,
    state: Option<MutexGuard<'w, State>>,
    /// `None` within a read that has the connection: that has the turn, too.
    turn: Option<Turn<'w, Delegated>>,
    _counted: Counted,
}

/// What comes of waiting for the writer with a part that others may make.
pub(super) enum SeatOrPart<'w> {
    Seat(Seat<'w>),
    /// Another has it.
    Part(Delegated),
}

/// A writer that this thread has.
struct Counted;

impl Counted {
    fn begin() -> Self {
        SEATS.set(SEATS.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        SEATS.set(SEATS.get() - 1);
    }
}

/// The writer's connection, lent for a read.
pub(super) struct Lent<'w> {
    seat: Seat<'w>,
    link: Option<Link>,
}

impl Writer {
    pub(super) fn open(link: Link) -> Self {
        Self::of(Held::Open(link))
    }

    /// The writer of a database that is only read.
    pub(super) fn none() -> Self {
        Self::of(Held::None)
    }

    fn of(connection: Held) -> Self {
        Self { turns: Turns::default(), state: Mutex::new(State { connection, open: None, careful: 0 }) }
    }

    /// Whether it holds a connection.
    pub(super) fn is_open(&self) -> bool {
        self.state.try_lock().is_none_or(|state| matches!(state.connection, Held::Open(_) | Held::Lent))
    }

    /// The connection, where it was not closed: for whoever drops the database.
    pub(super) fn left(&mut self) -> Option<Link> {
        self.state.get_mut().connection.close()
    }

    /// The writer for the caller alone; `None` where it was not to be had before the deadline.
    pub(super) fn take(&self, deadline: Instant) -> Option<Seat<'_>> {
        match self.take_or_delegate(deadline, || None)? {
            SeatOrPart::Seat(seat) => Some(seat),
            SeatOrPart::Part(_) => unreachable!("no part was left in the line"),
        }
    }

    /// The same, where others may make what it is wanted for: that is asked for once the writer is found to be taken.
    pub(super) fn take_or_delegate(
        &self,
        deadline: Instant,
        part: impl FnOnce() -> Option<Delegated>,
    ) -> Option<SeatOrPart<'_>> {
        // Whoever reads with the connection has the turn already, and would wait for itself.
        let turn = if LENT.get() == self.place() {
            None
        } else if let Some(turn) = self.turns.try_take() {
            Some(turn)
        } else {
            match self.turns.wait(deadline, part())? {
                Came::Turn(turn) => Some(turn),
                Came::Job(part) => return Some(SeatOrPart::Part(part)),
            }
        };
        // Nobody else holds the lock for longer than a look.
        let seat = Seat { writer: self, state: Some(self.state.lock()), turn, _counted: Counted::begin() };
        Some(SeatOrPart::Seat(seat))
    }

    /// What tells it from others.
    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<'w> Seat<'w> {
    pub(super) fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("it is given away only with the seat")
    }

    /// Hands the writer over to the next in line as it is, an open transaction included, if more than `others` wait;
    /// else gives it back.
    pub(super) fn hand_over(mut self, others: usize) -> Option<Self> {
        let Some(turn) = self.turn.take() else { return Some(self) };
        self.state = None;
        let turn = turn.hand_over(others)?;
        let writer = self.writer;
        Some(Seat { writer, state: Some(writer.state.lock()), turn: Some(turn), _counted: Counted::begin() })
    }

    /// The part that the next in line has delegated.
    pub(super) fn borrow_delegated(&self) -> Option<Borrowed<Delegated>> {
        self.turn.as_ref()?.borrow_job()
    }

    /// Takes the connection for a read of this thread; what that writes meanwhile gets another one. `None` where there
    /// is none, or where a read has it.
    pub(super) fn lend(mut self) -> Option<Lent<'w>> {
        self.turn.as_ref()?;
        let link = match std::mem::replace(&mut self.state().connection, Held::Lent) {
            Held::Open(link) => link,
            other => {
                self.state().connection = other;
                return None;
            }
        };
        self.state = None;
        LENT.set(self.writer.place());
        link.only_reads(true);
        Some(Lent { seat: self, link: Some(link) })
    }
}

impl Lent<'_> {
    pub(super) fn link(&self) -> &Link {
        self.link.as_ref().expect("it is given back in the end")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        LENT.set(0);
        let Some(link) = self.link.take() else { return };
        link.only_reads(false);
        let mut state = self.seat.writer.state.lock();
        // What the read wrote meanwhile opened another one, which stays.
        if let Held::Lent = state.connection {
            let is_sound = link.connection.is_autocommit();
            state.connection = if is_sound { Held::Open(link) } else { Held::Broken };
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // Only a panic comes here with an open transaction. Its members wait for an answer.
        if let Some(state) = &mut self.state
            && state.open.is_some()
        {
            state.lose();
        }
        // In this order: whoever gets the turn does not wait for the lock.
        self.state = None;
        self.turn = None;
    }
}

impl Held {
    /// Takes the connection out of use for good, and answers it where there is one.
    fn close(&mut self) -> Option<Link> {
        match std::mem::replace(self, Self::Closed) {
            Self::Open(link) => Some(link),
            Self::Broken | Self::Lent | Self::None | Self::Closed => None,
        }
    }
}

impl State {
    /// Ends a transaction that is still open, undoing it; each member's part with it.
    pub(super) fn lose(&mut self) {
        if let Held::Open(link) = &self.connection
            && !link.connection.is_autocommit()
            && run(link, "ROLLBACK").is_err()
            && !link.connection.is_autocommit()
        {
            // Closing the connection ends the transaction for certain.
            self.connection = Held::Broken;
        }
        if let Some(open) = self.open.take() {
            open.batch.publish(Outcome::Lost);
        }
    }
}

impl Database {
    /// Runs a read on the writer's connection.
    pub(crate) fn read_as_writer<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.on_writer(op, deadline, |link| f(&ReadTx::new(link, self.context(op))))
    }

    /// Runs this on the writer's connection; a transaction that it leaves open is undone.
    pub(super) fn on_writer<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&Link) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let mut seat = self.seat(&context, deadline)?;
        let link = self.link(&mut seat.state().connection, &context, deadline)?;
        link.until(deadline);
        let answer = f(link);
        seat.state().lose();
        answer
    }

    /// Runs this while nobody writes, with everything committed that was written before.
    pub(crate) fn while_nobody_writes<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce() -> T,
    ) -> Result<T> {
        let _seat = self.seat(&self.context(op), deadline)?;
        Ok(f())
    }

    /// The writer for the caller alone, with everything committed that was written before: what is not is not to be
    /// seen.
    pub(super) fn seat(&self, context: &Context<'_>, deadline: Instant) -> Result<Seat<'_>> {
        let mut seat = self.writer.take(deadline).ok_or_else(|| self.busy(context))?;
        if let Err(panic) = self.commit(seat.state()) {
            drop(seat);
            std::panic::resume_unwind(panic);
        }
        Ok(seat)
    }

    /// Takes the connection out of use, once everybody who is in line already is done.
    pub(super) fn close_writer(&self) -> Option<Link> {
        let mut seat = self.writer.take(Instant::now() + self.timeout.max(CLOSE_WITHIN))?;
        let state = seat.state();
        if self.commit(state).is_err() {
            tracing::error!(source = %self.name, "the observer of writes panicked");
        }
        state.connection.close()
    }

    /// The writer's connection; a new one where the last had to be given up.
    pub(super) fn link<'w>(&self, held: &'w mut Held, context: &Context<'_>, deadline: Instant) -> Result<&'w Link> {
        if let Held::Broken | Held::Lent = held {
            self.look(context)?;
            let wait = deadline.saturating_duration_since(Instant::now());
            let reopened = connection::writer(&self.path, wait).and_then(|mut link| {
                connection::use_wal(&link.connection, self.durability, deadline)?;
                self.log.watch(&mut link, None)?;
                Ok(link)
            });
            let link = reopened.map_err(|error| context.sqlite(&error))?;
            // Again, before it is used: the file may have been replaced in between.
            self.look(context)?;
            *held = Held::Open(link);
        }
        match held {
            Held::Open(link) => Ok(link),
            Held::None => Err(context.error(ErrorKind::ReadOnly)),
            Held::Broken | Held::Lent | Held::Closed => Err(context.error(ErrorKind::Closed)),
        }
    }

    pub(super) fn busy(&self, context: &Context<'_>) -> Error {
        context.error(ErrorKind::Busy { waited: self.timeout })
    }
}

/// Runs a statement that begins or ends something.
pub(super) fn run(link: &Link, sql: &str) -> rusqlite::Result<()> {
    let mut statement = link.connection.prepare_cached(sql)?;
    statement.raw_execute()?;
    link.prepared.used(&link.connection, sql, &statement);
    Ok(())
}
