//! An open database: its file, its one writer and its readers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::migrate::{self, Identity};
use crate::params;
use crate::route::SourceName;

use super::budget::{Budget, Permit};
use super::checkpoint::{self, Log};
use super::config::Durability;
use super::connection::{self, Link, micros, whole_micros};
use super::context::Context;
use super::file::FileId;
use super::last;
use super::left::{Left, Needed, OpenLog};
use super::probe;
use super::read::ReadTx;
use super::readers::{First, NoReader, Reader, Readers};
use super::rest::Rest;
use super::writer::{Writer, has_seat};

/// How often reads look whether the file is still the one that was opened, in microseconds. (Each commit looks too.)
const LOOK_EVERY: u64 = 100_000;

/// A log of so many pages at most is left where it is when the source is closed for others: reading it again takes half
/// a millisecond, moving it into the file some milliseconds of the disk.
const LEFT_PAGES: u32 = 128;

/// What has SQLite look for damage, until it has found some.
const CHECK: &str = "PRAGMA quick_check(1)";

/// An open database.
pub(crate) struct Database {
    pub(super) name: SourceName,
    pub(super) path: PathBuf,
    pub(super) timeout: Duration,
    pub(super) file: FileId,
    /// Its log, where it had one from the beginning.
    pub(super) log_file: Option<FileId>,
    /// What its log holds alone, once it was left.
    pub(super) log_needed: Needed,
    /// Whether it failed: what is at its path may be another file by now.
    pub(super) is_given_up: AtomicBool,
    /// Whether nothing is ever written to it.
    pub(super) is_readonly: bool,
    /// Whether it is only read and had no log beside it: one that reading makes is taken away again.
    pub(super) tidies: bool,
    /// When the file was last looked at, in [`micros`].
    pub(super) looked: AtomicU64,
    pub(super) durability: Durability,
    pub(super) log: Arc<Log>,
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    /// That the file is open with this log. (Goes once the connections are closed.)
    pub(super) open_log: Mutex<Option<OpenLog>>,
    /// The last to go: without it all connections are closed. (Closing the last one, SQLite removes the log by its
    /// name, whoever's it is by then.)
    pub(super) in_use: Arc<()>,
    /// What it counts while it is open.
    pub(super) permit: Mutex<Option<Permit>>,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.log.close();
        // Where nobody has closed it. (For a moment somebody may have a connection still: whoever leaves snapshots.)
        self.readers.close(Instant::now() + Duration::from_secs(1));
        if let Some(link) = self.writer.left() {
            if self.is_given_up.load(Ordering::Relaxed)
                && let Err(error) = self.leave_log(&link)
            {
                tracing::debug!(source = %self.name, %error, "it is not known what stands in the log alone");
            }
            if self.log.is_in_place() {
                drop(self.open_log.get_mut().take());
            }
            last::close(self.file, link);
        }
    }
}

impl Database {
    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        usize::from(self.writer.is_open()) + self.readers.open_now()
    }

    /// Runs a read on a connection that cannot write.
    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let context = self.context(op);
        let until = micros(deadline);
        // The clock was read when the call began, for its deadline.
        let now = until.saturating_sub(whole_micros(self.timeout));
        if now.saturating_sub(self.looked.load(Ordering::Relaxed)) >= LOOK_EVERY {
            self.look(&context)?;
        }
        let reader = match self.readers.take(deadline) {
            Ok(reader) => reader,
            Err(NoReader::NoRoom) if !has_seat() => return self.read_on_writer(&context, deadline, f),
            Err(none) => self.reader_at_once(none, deadline, &context)?,
        };
        let link = reader.link_as_it_is().map_err(|none| self.no_reader(none, &context))?;
        link.until_micros(until);
        let tx = ReadTx::new(link, context);
        // What is only read by this process others write.
        let answer = if self.is_readonly { f(&tx) } else { f(&tx.entering(reader.entrance(&self.log.commits, now))) };
        if answer.is_err() {
            // Whatever it failed for, the next one begins anew.
            reader.leave();
        }
        answer
    }

    /// A reader for whoever has a writer: waiting for one more, each could wait for the other.
    #[cold]
    fn reader_at_once(&self, none: NoReader, deadline: Instant, context: &Context<'_>) -> Result<Reader<'_>> {
        let reader = match none {
            NoReader::NoRoom => self.readers.take_at_once(deadline),
            none => Err(none),
        };
        reader.map_err(|none| self.no_reader(none, context))
    }

    /// From now on what is opened counts. One that has to have a reader has the first of them counted with the
    /// source.
    pub(super) fn count_against(&mut self, budget: Arc<Budget>, permit: Option<Permit>) {
        let first = if self.is_readonly || permit.is_none() { First::Counted } else { First::Spare };
        self.readers.count_against(budget, first);
        *self.permit.get_mut() = permit;
    }

    /// The file and the log that were opened, for who opens them again.
    pub(super) fn left(&self) -> Left {
        Left::new(self.file, self.log_file, &self.log_needed, &self.in_use)
    }

    /// The same of a database that failed: its log stays where it is in the end.
    pub(super) fn give_up(&self) -> Left {
        self.is_given_up.store(true, Ordering::Relaxed);
        self.left()
    }

    /// Which file this is.
    pub(crate) fn file_id(&self) -> FileId {
        self.file
    }

    /// What SQLite finds wrong with the file, or `ok`. Takes as long as it takes to read it.
    pub(crate) fn look_for_damage(&self, op: &'static str) -> Result<String> {
        let context = self.context(op);
        // A connection of its own: nobody has to wait for it, and readers may use no pragma.
        let look = || connection::look(&self.path, self.timeout)?.connection.query_row(CHECK, [], |row| row.get(0));
        let found = look().map_err(|error| context.sqlite(&error))?;
        self.look(&context)?;
        Ok(found)
    }

    /// What the file says of itself.
    pub(crate) fn identity(&self, deadline: Instant) -> Result<Identity> {
        const OP: &str = "identity.identity";
        let context = self.context(OP);
        let identity = |link: &Link| migrate::identity(&link.connection).map_err(|error| context.sqlite(&error));
        if !self.is_readonly {
            return self.on_writer(OP, deadline, identity);
        }
        let reader = self.readers.take(deadline).map_err(|none| self.no_reader(none, &context))?;
        let link = reader.link().map_err(|none| self.no_reader(none, &context))?;
        link.until(deadline);
        identity(link)
    }

    /// Runs a read before anybody uses the database: on the connection that is open already.
    pub(crate) fn read_at_opening<T>(
        &self,
        op: &'static str,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.is_readonly { self.read(op, deadline, f) } else { self.read_as_writer(op, deadline, f) }
    }

    /// Lets the file say this of itself.
    pub(crate) fn set_identity(&self, deadline: Instant, identity: &Identity) -> Result<()> {
        if self.identity(deadline)? == *identity {
            return Ok(());
        }
        self.write("identity.set_identity", deadline, None, |tx| {
            let role = identity.role.map(|role| role.as_str().to_owned());
            let values = [("uuid", &identity.uuid), ("installation", &identity.installation), ("role", &role)];
            for (key, value) in values {
                tx.execute(
                    "INSERT INTO switchyard_meta (key, value) SELECT ?1, ?2 WHERE ?2 IS NOT NULL
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    params![key, value],
                )?;
            }
            Ok(())
        })
    }

    /// Moves what is in the log into the file and empties the log, and answers whether that was possible: others that
    /// read an earlier moment hold it back.
    pub(crate) fn checkpoint(&self, op: &'static str, deadline: Instant) -> Result<bool> {
        let context = self.context(op);
        self.on_writer(op, deadline, |link| {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let held_back: bool =
                link.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| context.sqlite(&error))?;
            if !held_back {
                self.log.begins_anew();
            }
            Ok(!held_back)
        })
    }

    /// Rewrites the whole file, so that nothing of what was deleted is left in it. Waits for the writer until the
    /// deadline, and takes as long as it takes.
    pub(crate) fn vacuum(&self, op: &'static str, deadline: Instant) -> Result<()> {
        let context = self.context(op);
        self.on_writer(op, deadline, |link| {
            // For another process it waits as long as the call may; only the work itself may take longer.
            link.without_deadline();
            let _under_way = self.log.commits.under_way();
            let rewritten = link.make_durable(self.durability).and_then(|()| link.connection.execute_batch("VACUUM"));
            rewritten.map_err(|error| context.sqlite(&error))
        })
    }

    /// Ends all use of the database: waits for the calls under way, as long as a call may take, then moves what is in the
    /// log into the file.
    pub(crate) fn close(&self) {
        if let Some(link) = self.ended() {
            self.move_log(&link);
            // Before the log is gone: whoever opens the file now needs none of it.
            drop(self.open_log.lock().take());
            last::close(self.file, link);
            // Whoever is closed later may need the room, though calls still find this one, closed. (Where a call does not
            // end, its connection is open as long.)
            drop(self.permit.lock().take());
        }
    }

    /// Ends all use of the database, and leaves its log where it is, unless that has become long: what is to be found
    /// there the next time. `None` where there is nothing to be relied on.
    pub(super) fn rest(&self) -> Option<Rest> {
        let link = self.ended()?;
        let mut pages = self.log.pages();
        if pages > LEFT_PAGES {
            self.move_log(&link);
            // Others may have held it back.
            pages = checkpoint::pages(&link).ok()?;
        }
        last::alone(self.file, move || {
            self.leave_log(&link).ok()?;
            let rest = Rest::of(&self.path, pages).filter(|rest| rest.is_of(self.file));
            drop(link);
            rest
        })
    }

    /// Ends all use, and answers the connection that is left.
    fn ended(&self) -> Option<Link> {
        self.readers.close(Instant::now() + self.timeout);
        self.log.close();
        let link = self.close_writer();
        if link.is_none() && self.tidies && FileId::of(&self.path) == Some(self.file) {
            last::alone(self.file, || probe::tidy(&self.path, self.timeout));
        }
        link
    }

    /// Leaves the log where it is once this connection, the last one, is closed; and takes note of what it holds alone.
    fn leave_log(&self, link: &Link) -> rusqlite::Result<()> {
        connection::leave_log(&link.connection)?;
        link.without_deadline();
        link.wait_for_locks(Duration::ZERO);
        if let Some(needed) = self.log.needed(link) {
            // It is left once.
            let _ = self.log_needed.set(needed);
        }
        Ok(())
    }

    /// Moves what is in the log into the file.
    fn move_log(&self, link: &Link) {
        // Readers in other processes are not waited for: what they hold back is moved by whoever comes next.
        link.without_deadline();
        link.wait_for_locks(Duration::ZERO);
        if let Err(error) = link.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::debug!(source = %self.name, %error, "the log is left for the next start");
        }
    }

    fn no_reader(&self, none: NoReader, context: &Context<'_>) -> Error {
        match none {
            NoReader::Busy | NoReader::NoRoom => self.busy(context),
            NoReader::Closed => context.error(ErrorKind::Closed),
            NoReader::Replaced => context.error(ErrorKind::FileReplaced),
            NoReader::Sqlite(error) => context.sqlite(&error),
        }
    }

    pub(super) fn context<'a>(&'a self, op: &'static str) -> Context<'a> {
        Context { op, source: &self.name, timeout: self.timeout }
    }

    /// Whether the path still leads to the file that was opened. SQLite alone would go on answering, from a file that
    /// nobody will find again.
    pub(super) fn look(&self, context: &Context<'_>) -> Result<()> {
        if self.is_in_place() { Ok(()) } else { Err(context.error(ErrorKind::FileReplaced)) }
    }

    pub(super) fn is_in_place(&self) -> bool {
        let is_the_same = self.log.is_in_place();
        if is_the_same {
            self.looked.store(micros(Instant::now()), Ordering::Relaxed);
        }
        is_the_same
    }
}
