//! The console: one person at a terminal, or one message a line out of a pipe.
//!
//! Input is read on a thread of its own and arrives over a bounded channel, as signals do; messages are handled on
//! the caller's thread, one after the other. In a terminal the next line is asked for when the last one is
//! answered. Whatever ends the session, a message that is being handled is finished first, and the terminal has
//! its modes back when the caller has control again.

mod above;
mod command;
mod ended;
mod history;
mod output;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use database::{ChatId, Clock, UserId};
use signal_hook::consts::SIGHUP;

use self::command::{Command, HELP};
pub use self::ended::{ConsoleError, Ended, InputError, Report};
use self::history::History;
pub(super) use self::output::with_sources;
use self::output::{print, tell};
use self::terminal::{TakenBack, Terminal};
use super::due::Trouble;
use super::input::{READ_AHEAD, Read, TICK, send_lines, spawn};
use super::lines::{LINE_LIMIT, Lines};
use super::signals::StopSignals;
use crate::logging;
use crate::message::{DEFAULT_COLUMNS, Handle, Incoming, MessageIds};
use crate::text::chart::fit;
use crate::text::sanitize::{sanitize, sanitize_line};

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
}

/// A console session, to be [run](Self::run).
pub struct Console<'a> {
    handler: &'a dyn Handle,
    ids: &'a MessageIds,
    clock: &'a dyn Clock,
    signals: &'a StopSignals,
    speaker: Speaker,
    history: Option<PathBuf>,
    /// Of what the bot says by itself.
    trouble: Trouble,
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
        Self { handler, ids, clock, signals, speaker, history: None, trouble: Trouble::default() }
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
        if let Some(asking) = &input.asking
            && io::stderr().is_terminal()
        {
            let terminal = Arc::clone(&asking.terminal);
            logging::show_by(move |line| terminal.show_above_line(line));
        }
        let _taken_back = input.asking.as_ref().map(|asking| TakenBack(&asking.terminal));
        let report = self.serve(&input, out, err);
        logging::show_plainly();
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
        let read = move || terminal::read_lines(&asked, &events, &of_reader, history.as_ref());
        spawn(read).map_err(ConsoleError::Thread)?;
        Ok(Asking { prompts, terminal })
    }

    fn serve(&mut self, input: &Input, out: &mut dyn Write, err: &mut dyn Write) -> Result<Report, ConsoleError> {
        let mut failed = 0;
        let ended = self.converse(input, &mut failed, out, err).and_then(|ended| {
            // What came due since it was last looked, in a pipe that was short or busy.
            self.say_what_is_due(input, out)?;
            Ok(ended)
        });
        match ended {
            Ok(ended) => Ok(Report { ended, failed }),
            Err(ConsoleError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Report { ended: Ended::OutputClosed, failed })
            }
            Err(error) => Err(error),
        }
    }

    fn converse(
        &mut self,
        input: &Input,
        failed: &mut u64,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<Ended, ConsoleError> {
        let mut asked = false;
        let mut interrupted = false;
        let mut look = Instant::now();
        loop {
            if let Some(signal) = self.signals.received() {
                return Ok(Ended::Signal(signal));
            }
            // By the clock, and not only where nothing comes in.
            if Instant::now() >= look {
                self.say_what_is_due(input, out)?;
                look = Instant::now() + TICK;
            }
            if let Some(asking) = input.asking.as_ref().filter(|_| !asked) {
                asking.terminal.give_away();
                // A reader that is gone is noticed below.
                let _ = asking.prompts.send(self.prompt());
                asked = true;
            }
            let event = match input.events.recv_timeout(look.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => Event::Failed(InputError::ReaderGone),
            };
            asked &= matches!(event, Event::Wake | Event::Note(_));
            let was_interrupted =
                std::mem::replace(&mut interrupted, matches!(event, Event::Interrupted { empty: true }));
            let ended = match event {
                Event::Wake => {
                    if let Some(asking) = input.asking.as_ref().filter(|_| self.signals.take_continued()) {
                        asking.terminal.after_stop();
                    }
                    None
                }
                Event::Note(note) => {
                    tell(err, &note);
                    None
                }
                Event::Refused(why) => {
                    *failed += 1;
                    tell(err, &why);
                    None
                }
                Event::Line(line) if line.trim().is_empty() => None,
                Event::Line(line) => match command::parse(&line).filter(|_| input.asking.is_some()) {
                    Some(Ok(command)) => self.obey(command, out)?,
                    Some(Err(answer)) => {
                        print(out, &answer)?;
                        None
                    }
                    None => {
                        self.say(line, failed, out, err)?;
                        None
                    }
                },
                Event::Interrupted { empty: false } => None,
                Event::Interrupted { empty: true } if was_interrupted => Some(Ended::Quit),
                Event::Interrupted { empty: true } => {
                    print(out, "(Ctrl-C again, Ctrl-D or :quit leaves)")?;
                    None
                }
                Event::End => Some(Ended::EndOfInput),
                Event::HungUp => Some(Ended::Signal(SIGHUP)),
                Event::Failed(error) => return Err(ConsoleError::Input(error)),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Shows what the bot says by itself in the chat that is spoken in: what it says in others is for those who are
    /// there.
    fn say_what_is_due(&mut self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let due = self.handler.due(Some(self.speaker.chat));
        let (due, mut tried) = due.map_or_else(|error| (Vec::new(), Err(error)), |due| (due, Ok(true)));
        let terminal = input.asking.as_ref().map(|asking| &asking.terminal).filter(|_| io::stdout().is_terminal());
        for due in due {
            let text = sanitize(&due.text);
            if !terminal.is_some_and(|terminal| terminal.show_above_line(&format!("{text}\n"))) {
                print(out, &due.text)?;
            }
            tried = tried.and(self.handler.said(&due).map(|()| false));
        }
        self.trouble.note(&tried);
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
    let as_event = |read| match read {
        Read::Line(_, line) => Event::Line(line),
        Read::Refused(refusal) => Event::Refused(refusal.to_string()),
        Read::End => Event::End,
        Read::Failed(error) => Event::Failed(InputError::Read(error)),
    };
    let lines = || Lines::new(io::stdin().lock(), LINE_LIMIT);
    spawn(move || send_lines(lines(), &events, || true, as_event)).map_err(ConsoleError::Thread)
}

#[cfg(test)]
mod tests;
