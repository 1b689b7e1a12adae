//! The console: one person at a terminal, or one message a line out of a pipe.
//!
//! Input is read on a thread of its own and arrives over a bounded channel, as signals do; messages are handled on
//! the caller's thread, one after the other. In a terminal the next line is asked for when the last one is
//! answered. Whatever ends the session, a message that is being handled is finished first, and the terminal has
//! its modes back when the caller has control again.

mod command;
mod history;
mod output;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use database::{ChatId, Clock, UserId};
use rustyline::error::ReadlineError;
use signal_hook::consts::SIGHUP;

use self::command::{Command, HELP};
use self::history::History;
pub(super) use self::output::with_sources;
use self::output::{print, tell};
use self::terminal::Terminal;
use super::lines::{LINE_LIMIT, Lines};
use super::signals::StopSignals;
use crate::message::{DEFAULT_COLUMNS, Due, Handle, Incoming, MessageIds};
use crate::text::chart::fit;
use crate::text::sanitize::{sanitize, sanitize_line};

/// How many lines of a pipe are read ahead.
const READ_AHEAD: usize = 16;
/// How often it is looked whether the bot has something to say by itself.
const TICK: Duration = Duration::from_secs(1);
/// How much of a name the prompt shows.
const PROMPT_NAME_COLUMNS: usize = 20;

/// Who speaks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The chat that is spoken in.
    pub chat: ChatId,
    /// The user who speaks.
    pub user: UserId,
    /// Their full name; empty where it is not told, and a name that is known stays.
    pub user_name: String,
    /// Their @name, without the sign.
    pub username: Option<String>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The input ended: the pipe was read to its end, or Ctrl-D was typed.
    EndOfInput,
    /// The user asked for it, by `:quit` or Ctrl-C.
    Quit,
    /// This signal asked for it; SIGHUP also where the terminal went away.
    Signal(i32),
    /// Whoever read the replies is gone (`| head`). Nothing to complain about.
    OutputClosed,
}

/// How a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// How many lines were refused or could not be handled. Each was told on the error output when it happened.
    pub failed: u64,
}

/// Why a session could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// The input cannot be read.
    #[error("cannot read the input: {0}")]
    Input(#[source] InputError),
    /// The replies cannot be written.
    #[error("cannot write a reply: {0}")]
    Output(#[source] io::Error),
    /// The thread that reads cannot be started.
    #[error("cannot start reading the input: {0}")]
    Thread(#[source] io::Error),
}

/// Why input cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Reading the pipe or file fails.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The line editor fails.
    #[error(transparent)]
    Editor(ReadlineError),
    /// The thread that reads ended by itself, which it never should.
    #[error("the reader stopped")]
    ReaderGone,
}

/// What arrives at the main loop.
enum Event {
    Line(String),
    Refused(String),
    /// Something to tell that does not end the wait for a line.
    Note(String),
    /// Ctrl-C, which discarded the line; `empty` where nothing was typed.
    Interrupted {
        empty: bool,
    },
    End,
    HungUp,
    Failed(InputError),
    /// A signal came: look.
    Wake,
    /// Nothing happened for a while: something may be due.
    Tick,
}

/// A console session, to be [run](Self::run).
pub struct Console<'a> {
    handler: &'a dyn Handle,
    ids: &'a MessageIds,
    clock: &'a dyn Clock,
    signals: &'a StopSignals,
    speaker: Speaker,
    history: Option<PathBuf>,
}

/// How many columns the terminal has that standard output is; a guess where it does not say.
pub fn columns() -> usize {
    terminal::columns().unwrap_or(DEFAULT_COLUMNS)
}

/// Where lines come from, seen from the main loop.
struct Input {
    events: Receiver<Event>,
    /// Only in a terminal: where a line is asked for.
    asking: Option<Asking>,
}

struct Asking {
    prompts: SyncSender<String>,
    terminal: Arc<Terminal>,
}

impl<'a> Console<'a> {
    /// Whether standard input is a terminal, and the session will be one with prompt and history.
    pub fn is_interactive() -> bool {
        io::stdin().is_terminal()
    }

    /// A session in which this speaker's messages go to the handler. Ids and dates come from the given clocks.
    pub fn new(
        handler: &'a dyn Handle,
        ids: &'a MessageIds,
        clock: &'a dyn Clock,
        signals: &'a StopSignals,
        speaker: Speaker,
    ) -> Self {
        Self { handler, ids, clock, signals, speaker, history: None }
    }

    /// Keeps the lines that are typed in a terminal in this file, readable by its owner only. Without, they are
    /// forgotten at the end.
    #[must_use]
    pub fn with_history(mut self, path: PathBuf) -> Self {
        self.history = Some(path);
        self
    }

    /// Handles what is typed or piped into standard input until there is no more, or something ends it. Once for a
    /// process: the thread that reads standard input goes on waiting for it.
    ///
    /// Replies go to `out`, anything else to `err`. Neither should be a lock that is held: others want to log.
    ///
    /// # Errors
    /// When input cannot be read or replies cannot be written. That a line is refused or not handled is told and
    /// counted, and the next one is read.
    pub fn run(mut self, out: &mut dyn Write, err: &mut dyn Write) -> Result<Report, ConsoleError> {
        let (sender, events) = sync_channel(READ_AHEAD);
        let wake = sender.clone();
        self.signals.on_signal(move |_| match wake.try_send(Event::Wake) {
            // Full: the loop is busy and looks before it takes the next one.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        });
        let asking = if Self::is_interactive() {
            Some(self.start_terminal(sender, err)?)
        } else {
            start_pipe(sender)?;
            None
        };
        let input = Input { events, asking };
        let report = self.serve(&input, out, err);
        if let Some(asking) = &input.asking {
            asking.terminal.take_back();
        }
        report
    }

    fn start_terminal(&mut self, events: SyncSender<Event>, err: &mut dyn Write) -> Result<Asking, ConsoleError> {
        let history = self.history.take().map(History::open).transpose().unwrap_or_else(|error| {
            tell(err, &format!("{error}; lines are not kept"));
            None
        });
        let terminal = Arc::new(Terminal::of_stdin());
        let (prompts, asked) = sync_channel(1);
        let of_reader = Arc::clone(&terminal);
        spawn(move || terminal::read_lines(&asked, &events, &of_reader, history.as_ref()))?;
        Ok(Asking { prompts, terminal })
    }

    fn serve(&mut self, input: &Input, out: &mut dyn Write, err: &mut dyn Write) -> Result<Report, ConsoleError> {
        let mut failed = 0;
        let mut asked = false;
        let mut interrupted = false;
        let ended = loop {
            if let Some(signal) = self.signals.received() {
                break Ended::Signal(signal);
            }
            if let Some(asking) = input.asking.as_ref().filter(|_| !asked) {
                asking.terminal.give_away();
                // A reader that is gone is noticed below.
                let _ = asking.prompts.send(self.prompt());
                asked = true;
            }
            let event = match input.events.recv_timeout(TICK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => Event::Tick,
                Err(RecvTimeoutError::Disconnected) => Event::Failed(InputError::ReaderGone),
            };
            asked &= matches!(event, Event::Wake | Event::Note(_) | Event::Tick);
            let was_interrupted =
                std::mem::replace(&mut interrupted, matches!(event, Event::Interrupted { empty: true }));
            let done = match event {
                Event::Wake => {
                    if let Some(asking) = input.asking.as_ref().filter(|_| self.signals.take_continued()) {
                        asking.terminal.after_stop();
                    }
                    Ok(None)
                }
                Event::Tick => self.say_what_is_due(input, out, err).map(|()| None),
                Event::Note(note) => {
                    tell(err, &note);
                    Ok(None)
                }
                Event::Refused(why) => {
                    failed += 1;
                    tell(err, &why);
                    Ok(None)
                }
                Event::Line(line) if line.trim().is_empty() => Ok(None),
                Event::Line(line) => match command::parse(&line).filter(|_| input.asking.is_some()) {
                    Some(Ok(command)) => self.obey(command, out),
                    Some(Err(answer)) => print(out, &answer).map(|()| None),
                    None => self.say(line, &mut failed, out, err).map(|()| None),
                },
                Event::Interrupted { empty: false } => Ok(None),
                Event::Interrupted { empty: true } if was_interrupted => Ok(Some(Ended::Quit)),
                Event::Interrupted { empty: true } => {
                    print(out, "(Ctrl-C again, Ctrl-D or :quit leaves)").map(|()| None)
                }
                Event::End => Ok(Some(Ended::EndOfInput)),
                Event::HungUp => Ok(Some(Ended::Signal(SIGHUP))),
                Event::Failed(error) => return Err(ConsoleError::Input(error)),
            };
            match done {
                Ok(None) => {}
                Ok(Some(ended)) => break ended,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break Ended::OutputClosed,
                Err(error) => return Err(ConsoleError::Output(error)),
            }
        };
        Ok(Report { ended, failed })
    }

    /// Shows what the bot says by itself.
    fn say_what_is_due(&self, input: &Input, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let due = self.handler.due().unwrap_or_else(|error| {
            tell(err, &with_sources(error.as_ref()));
            Vec::new()
        });
        for Due { chat, text, .. } in due {
            let text = if chat == self.speaker.chat { text } else { format!("[chat {chat}] {text}") };
            let shown = input.asking.as_ref().is_some_and(|asking| asking.terminal.show_above_line(&sanitize(&text)));
            if !shown {
                print(out, &text)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command, out: &mut dyn Write) -> io::Result<Option<Ended>> {
        match command {
            Command::Chat(chat) => self.speaker.chat = chat,
            Command::User(user, name) => {
                self.speaker.user = user;
                self.speaker.user_name = name.unwrap_or_default();
                self.speaker.username = None;
            }
            Command::Help => print(out, HELP)?,
            Command::Quit => return Ok(Some(Ended::Quit)),
        }
        Ok(None)
    }

    fn say(&self, text: String, failed: &mut u64, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let Speaker { chat, user, user_name, username } = self.speaker.clone();
        let mut incoming = Incoming::new(chat, user, user_name, self.ids.next_id(), self.clock.now(), text);
        incoming.username = username;
        incoming.columns = columns();
        match self.handler.handle(incoming) {
            Ok(handled) => handled.replies.iter().try_for_each(|reply| print(out, &reply.text)),
            Err(error) => {
                *failed += 1;
                tell(err, &with_sources(error.as_ref()));
                Ok(())
            }
        }
    }

    fn prompt(&self) -> String {
        let name = match self.speaker.user_name.as_str() {
            "" => format!("user {}", self.speaker.user),
            name => fit(&sanitize_line(name), PROMPT_NAME_COLUMNS),
        };
        format!("chat {} · {name}> ", self.speaker.chat)
    }
}

fn start_pipe(events: SyncSender<Event>) -> Result<(), ConsoleError> {
    spawn(move || {
        let mut lines = Lines::new(io::stdin().lock(), LINE_LIMIT);
        loop {
            let event = match lines.next_line() {
                Ok(Some(Ok(line))) => Event::Line(line),
                Ok(Some(Err(refusal))) => Event::Refused(refusal.to_string()),
                Ok(None) => Event::End,
                Err(error) => Event::Failed(InputError::Read(error)),
            };
            let last = matches!(event, Event::End | Event::Failed(_));
            if events.send(event).is_err() || last {
                return;
            }
        }
    })
}

fn spawn(read: impl FnOnce() + Send + 'static) -> Result<(), ConsoleError> {
    std::thread::Builder::new().name("input".into()).spawn(read).map(drop).map_err(ConsoleError::Thread)
}

#[cfg(test)]
mod tests;
