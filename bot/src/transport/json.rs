//! A transport for programs: one JSON object a line in, one a line out for each of them.
//!
//! `docs/json-transport.md` describes the lines. Input is read on a thread of its own and arrives over a bounded
//! channel, as signals do; the main loop reads the lines as messages and gives them to the [dispatcher](crate::dispatch),
//! whose workers handle and answer them. Everything on the way is bounded: where the handler is slower than the input,
//! reading waits. Whatever ends the session, what has begun is finished and answered.

mod answers;
mod fields;
mod lanes;
mod request;

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::Duration;

use database::{ChatId, Clock, SourceName};
use signal_hook::consts::SIGCONT;

use self::answers::{Answers, Ticket};
use self::lanes::Lanes;
use self::request::Request;
use super::console::{Ended, with_sources};
use super::due::Trouble;
use super::input::{READ_AHEAD, Read, TICK, send_lines, spawn};
use super::lines::{LINE_LIMIT, Lines};
use super::signals::StopSignals;
use crate::dispatch::{Dispatcher, Limits, Outcome};
use crate::message::{Event, Handle, HandleError, Handled, Incoming, MessageIds};

/// How many bytes are read at a time.
const BUFFER: usize = 64 * 1024;
/// The answer to what was read and not begun when a signal came.
const NOT_HANDLED: &str = "not handled and not stored: the program was asked to stop";

/// How a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// How many lines were answered.
    pub answered: u64,
    /// How many of them with an error.
    pub failed: u64,
}

/// Why a session could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The input cannot be read. What was read before is answered.
    #[error("cannot read the input: {0}")]
    Input(#[source] io::Error),
    /// The answers cannot be written.
    #[error("cannot write an answer: {0}")]
    Output(#[source] io::Error),
    /// The threads that read and handle cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A session with a program, to be [run](Self::run).
pub struct Json<'a> {
    handler: &'a dyn Handle,
    source_of: &'a (dyn Fn(ChatId) -> SourceName + Sync),
    ids: &'a MessageIds,
    clock: &'a dyn Clock,
    signals: &'a StopSignals,
    limits: Limits,
    tick: Duration,
}

/// What arrives at the main loop.
enum Arrived {
    Read(Read),
    /// A signal came, or writing failed: look.
    Wake,
}

/// What is to be done for a line.
enum Task {
    Handle(Box<Incoming>),
    /// Nothing but to answer, in the chat's order.
    Refuse(String),
}

/// Ends a session early, from any thread.
#[derive(Clone)]
struct Stop {
    dispatcher: Dispatcher<Ticket, Task>,
    reading: Arc<AtomicBool>,
    wake: SyncSender<Arrived>,
}

impl Stop {
    fn now(&self) {
        self.reading.store(false, Ordering::SeqCst);
        self.dispatcher.stop();
        // Where the channel is full the main loop is busy, and looks before it takes the next event.
        let _ = self.wake.try_send(Arrived::Wake);
    }
}

impl<'a> Json<'a> {
    /// A session in which messages go to the handler. `source_of` names the source that a chat's rows are in now:
    /// chats of one source share its part of the workers. Messages without id or date get them from the given clocks.
    pub fn new(
        handler: &'a dyn Handle,
        source_of: &'a (dyn Fn(ChatId) -> SourceName + Sync),
        ids: &'a MessageIds,
        clock: &'a dyn Clock,
        signals: &'a StopSignals,
    ) -> Self {
        Self { handler, source_of, ids, clock, signals, limits: Limits::default(), tick: TICK }
    }

    /// The same session with other limits on what is done at a time and what may wait.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Handles what comes on standard input until there is no more, or something ends it. Once for a process: the
    /// thread that reads standard input goes on waiting for it.
    ///
    /// # Errors
    /// When input cannot be read or answers cannot be written. That a line is refused or not handled is its answer.
    pub fn run(self, out: &mut (dyn Write + Send)) -> Result<Report, JsonError> {
        self.run_on(BufReader::with_capacity(BUFFER, io::stdin()), out)
    }

    fn run_on(self, input: impl BufRead + Send + 'static, out: &mut (dyn Write + Send)) -> Result<Report, JsonError> {
        let dispatcher = Dispatcher::new(self.limits);
        let (sender, events) = sync_channel(READ_AHEAD);
        let reading = Arc::new(AtomicBool::new(true));
        let stop = Stop { dispatcher: dispatcher.clone(), reading: Arc::clone(&reading), wake: sender.clone() };
        let stop_by_signal = stop.clone();
        self.signals.on_signal(move |signal| {
            if signal != SIGCONT {
                stop_by_signal.now();
            }
        });
        let lines = Lines::new(input, LINE_LIMIT);
        let read = move || send_lines(lines, &sender, || reading.load(Ordering::SeqCst), Arrived::Read);
        spawn(read).map_err(JsonError::Thread)?;
        let on_failure = || stop.now();
        let answers = Answers::to(out, &on_failure);
        let ended = std::thread::scope(|scope| {
            let (_until_the_end, end) = channel();
            let (this, answers) = (&self, &answers);
            let speak = move || this.say_what_is_due(&end, answers);
            std::thread::Builder::new().name("reminders".into()).spawn_scoped(scope, speak)?;
            dispatcher.serve(
                |task| this.work(task),
                |ticket, outcome| tell(answers, &ticket, outcome),
                || this.read_all(&dispatcher, &events, &stop, answers),
            )
        });
        let (counts, failure) = answers.end();
        let ended = ended.map_err(JsonError::Thread)?;
        let ended = match failure {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ended::OutputClosed,
            Some(error) => return Err(JsonError::Output(error)),
            None => ended.map_err(JsonError::Input)?,
        };
        Ok(Report { ended, answered: counts.answered, failed: counts.failed })
    }

    /// Takes lines until there are no more, or it is time to stop; then those that were read already.
    fn read_all(
        &self,
        dispatcher: &Dispatcher<Ticket, Task>,
        events: &Receiver<Arrived>,
        stop: &Stop,
        answers: &Answers<'_>,
    ) -> io::Result<Ended> {
        let mut lanes = Lanes::default();
        let ended = loop {
            if let Some(signal) = self.signals.received() {
                break Ended::Signal(signal);
            }
            if !stop.reading.load(Ordering::SeqCst) {
                break Ended::OutputClosed;
            }
            match events.recv() {
                Ok(Arrived::Wake) => {}
                Ok(Arrived::Read(Read::End)) => return Ok(Ended::EndOfInput),
                Ok(Arrived::Read(Read::Failed(error))) => return Err(error),
                Ok(Arrived::Read(read)) => self.take(read, &mut lanes, dispatcher, answers),
                Err(_) => return Err(io::Error::other("the reader stopped")),
            }
        };
        stop.now();
        for event in events.try_iter() {
            if let Arrived::Read(read) = event {
                self.take(read, &mut lanes, dispatcher, answers);
            }
        }
        Ok(ended)
    }

    /// Gives a line to the dispatcher. One that names no chat has no place in any order and is answered at once.
    fn take(&self, read: Read, lanes: &mut Lanes, dispatcher: &Dispatcher<Ticket, Task>, answers: &Answers<'_>) {
        let nobody = |line| Ticket { bad_line: Some(line), reference: None, chat: None, message_id: None };
        let (line, text) = match read {
            Read::Line(line, text) => (line, text),
            Read::Refused(refusal) => {
                return answers.error(&nobody(refusal.line), &format!("the line {}", refusal.why));
            }
            Read::End | Read::Failed(_) => return,
        };
        let Request { reference, chat, message } = Request::read(&text, self.ids, self.clock);
        let mut ticket = Ticket { reference, chat, ..nobody(line) };
        let task = match message {
            Ok((id, incoming)) => {
                ticket.bad_line = None;
                ticket.message_id = Some(id);
                Task::Handle(incoming)
            }
            Err(why) => Task::Refuse(why),
        };
        // What is in hand of the supergroup comes first. That holds up this lane, and no other chat's lines.
        let before = match &task {
            Task::Handle(incoming) => match incoming.event {
                Event::MigratedTo(supergroup) => lanes.join(incoming.chat, supergroup),
                _ => None,
            },
            Task::Refuse(_) => None,
        };
        match (chat.map(|chat| lanes.of(chat)), task) {
            (Some(lane), task) => {
                dispatcher.submit_after(before, &(self.source_of)(lane), lane, text.len(), ticket, task);
            }
            (None, Task::Refuse(why)) => answers.error(&ticket, &why),
            (None, Task::Handle(_)) => {}
        }
    }

    /// Does what a line asks for: the answer, or what went wrong. Runs on a worker.
    fn work(&self, task: Task) -> Result<Handled, String> {
        match task {
            Task::Handle(incoming) => self.handler.handle(*incoming).map_err(|error| with_sources(error.as_ref())),
            Task::Refuse(why) => Err(why),
        }
    }

    /// Tells what the bot says by itself in all chats: at the start, once a second, and once all else is done. Where
    /// nothing can be told any more nothing is asked for: it would count as said.
    fn say_what_is_due(&self, end: &Receiver<()>, answers: &Answers<'_>) {
        let mut trouble = Trouble::default();
        let mut is_end = false;
        loop {
            trouble.note(&self.say_now(answers));
            if is_end {
                return;
            }
            is_end = end.recv_timeout(self.tick) != Err(RecvTimeoutError::Timeout);
        }
    }

    /// Tells what is due, or answers that nothing is.
    fn say_now(&self, answers: &Answers<'_>) -> Result<bool, HandleError> {
        if !answers.are_heard() {
            return Ok(false);
        }
        let mut noted = Ok(true);
        for due in self.handler.due(None)? {
            if !answers.said(&due) {
                break;
            }
            noted = noted.and(self.handler.said(&due).map(|()| false));
        }
        noted
    }
}

/// Answers a line once it is clear what became of it. Runs on a worker.
fn tell(answers: &Answers<'_>, ticket: &Ticket, outcome: Outcome<Task, Result<Handled, String>>) {
    match outcome {
        Outcome::Done(Ok(handled)) => answers.handled(ticket, &handled),
        Outcome::Done(Err(why)) | Outcome::NotStarted(Task::Refuse(why)) => answers.error(ticket, &why),
        Outcome::Panicked(words) => answers.error(ticket, &format!("a fault in the program: {words}")),
        Outcome::NotStarted(Task::Handle(_)) => answers.error(ticket, NOT_HANDLED),
    }
}

#[cfg(test)]
mod tests;
