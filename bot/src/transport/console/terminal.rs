//! The terminal's side: lines edited by the user, and the terminal's modes put back whatever ends the wait for one.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, Config, Context, Editor, Helper};

use super::above::Above;
use super::history::History;
use super::{Event, InputError, LINE_LIMIT};

/// How long leaving waits for the editor to have taken the terminal over, so that it can be taken back.
const TAKE_OVER: Duration = Duration::from_millis(250);
/// Ends bracketed paste, which the editor switches on, and leaves the line of the prompt.
const LEAVE_LINE: &[u8] = b"\x1b[?2004l\n";

/// Who has the terminal, the line editor or everybody else.
///
/// The editor waits on a thread of its own and cannot be called back, so whoever leaves in the meantime has to put
/// the terminal's modes right in its place.
pub(super) struct Terminal {
    found: Option<Termios>,
    /// The editor's modes, once it had the terminal.
    modes: Mutex<Option<Termios>>,
    /// What the editor shows above its line.
    above: OnceLock<Above>,
    holder: Mutex<Holder>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Program,
    /// The editor was asked for a line and will change the modes.
    EditorSoon,
    Editor,
}

impl Terminal {
    /// The terminal that standard input is, with its modes as they are now.
    pub(super) fn of_stdin() -> Self {
        Self {
            found: tcgetattr(io::stdin()).ok(),
            modes: Mutex::default(),
            above: OnceLock::new(),
            holder: Mutex::new(Holder::Program),
            changed: Condvar::new(),
        }
    }

    /// To be said before the editor is asked for a line.
    pub(super) fn give_away(&self) {
        self.set(Holder::EditorSoon);
    }

    /// Gives the terminal the modes it was found with, in the middle of a line if need be.
    pub(super) fn take_back(&self) {
        let holder = self.holder();
        let (holder, _) = self
            .changed
            .wait_timeout_while(holder, TAKE_OVER, |holder| *holder == Holder::EditorSoon)
            .unwrap_or_else(PoisonError::into_inner);
        if *holder == Holder::Program || !in_foreground() {
            return;
        }
        drop(holder);
        if let Some(above) = self.above.get() {
            above.wait(TAKE_OVER);
        }
        // Nothing can be done about a terminal that does not answer, or is gone.
        if let Some(modes) = &self.found {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
        if io::stdout().is_terminal() {
            let _ = rustix::io::write(io::stdout(), LEAVE_LINE);
        } else if io::stderr().is_terminal() {
            let _ = rustix::io::write(io::stderr(), LEAVE_LINE);
        }
    }

    /// Gives the editor its modes again, and shows its line, where the shell took both away while the program was
    /// stopped. The editor cannot be relied on for this: with several threads the stop may reach the program
    /// only after the editor believes that it is over.
    pub(super) fn after_stop(&self) {
        if *self.holder() != Holder::Editor || !in_foreground() {
            return;
        }
        if let Some(modes) = &*self.modes() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
        if let Some(above) = self.above.get() {
            above.show(String::new());
        }
    }

    /// Shows lines above the one that is being edited; `false` where none is, and they can be printed plainly.
    pub(super) fn show_above_line(&self, lines: &str) -> bool {
        *self.holder() == Holder::Editor && self.above.get().is_some_and(|above| above.show(lines.to_owned()))
    }

    fn modes(&self) -> MutexGuard<'_, Option<Termios>> {
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, holder: Holder) {
        *self.holder() = holder;
        self.changed.notify_all();
    }
}

/// Whether the terminal is ours to change; a program in the background would be stopped for trying.
fn in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// How many columns standard output has, where it is a terminal that says so.
pub(super) fn columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Reads a line for each prompt it is sent, until it is sent none or the terminal ends. Runs on its own thread.
pub(super) fn read_lines(
    prompts: &Receiver<String>,
    events: &SyncSender<Event>,
    terminal: &Arc<Terminal>,
    history: Option<&History>,
) {
    let watcher = Watcher { terminal: Arc::clone(terminal), typed: Cell::new(false) };
    let mut editor = match open(watcher, history) {
        Ok(editor) => editor,
        Err(error) => {
            let _ = events.send(Event::Failed(InputError::Editor(error)));
            return;
        }
    };
    if let Some(above) = editor.create_external_printer().ok().and_then(Above::by) {
        // This is the only one.
        let _ = terminal.above.set(above);
    }
    for prompt in prompts {
        if let Some(watcher) = editor.helper() {
            watcher.typed.set(false);
        }
        let read = editor.readline(&prompt);
        terminal.set(Holder::Program);
        let event = match read {
            Ok(line) => {
                if let Some(history) = history
                    && let Err(error) = history.add(&mut editor, &line)
                {
                    let _ = events.send(Event::Note(error.to_string()));
                }
                if line.len() > LINE_LIMIT {
                    Event::Refused(format!("the message is longer than {LINE_LIMIT} bytes and was not sent"))
                } else {
                    Event::Line(line)
                }
            }
            Err(ReadlineError::Interrupted) => {
                Event::Interrupted { empty: !editor.helper().is_some_and(|watcher| watcher.typed.get()) }
            }
            Err(ReadlineError::Eof) => Event::End,
            Err(error) if is_hang_up(&error) => Event::HungUp,
            Err(error) => Event::Failed(InputError::Editor(error)),
        };
        // Nobody listens any more: the program is about to end.
        if events.send(event).is_err() {
            return;
        }
    }
}

fn open(watcher: Watcher, history: Option<&History>) -> rustyline::Result<Editor<Watcher, FileHistory>> {
    // Replies may go into a file while the user sits at the terminal: the prompt must not.
    let behavior = if io::stdout().is_terminal() { Behavior::Stdio } else { Behavior::PreferTerm };
    let config =
        Config::builder().behavior(behavior).history_ignore_space(true).max_history_size(History::ENTRIES)?.build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(watcher));
    if let Some(history) = history {
        history.load(&mut editor)?;
    }
    Ok(editor)
}

/// A terminal that went away answers every call with an input/output error.
fn is_hang_up(error: &ReadlineError) -> bool {
    let io = Errno::IO.raw_os_error();
    match error {
        ReadlineError::Io(error) => error.raw_os_error() == Some(io),
        ReadlineError::Errno(error) => *error as i32 == io,
        _ => false,
    }
}

/// Sits in the editor and sees every change of the line: it never hints, it only looks.
struct Watcher {
    terminal: Arc<Terminal>,
    /// Whether there was anything in the line since the prompt.
    typed: Cell<bool>,
}

impl Hinter for Watcher {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.typed.set(self.typed.get() || !line.is_empty());
        let mut holder = self.terminal.holder();
        if *holder == Holder::EditorSoon {
            *holder = Holder::Editor;
            *self.terminal.modes() = tcgetattr(io::stdin()).ok();
            self.terminal.changed.notify_all();
        }
        None
    }
}

impl Completer for Watcher {
    type Candidate = String;
}
impl Highlighter for Watcher {}
impl Validator for Watcher {}
impl Helper for Watcher {}
