//! The terminal's side: lines edited by the user, and the terminal's modes put back whatever ends the wait for one.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, Config, Context, Editor, ExternalPrinter, Helper};

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
    /// The modes between two lines, which the editor finds and puts back.
    between: Option<Termios>,
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
        let found = tcgetattr(io::stdin()).ok();
        Self {
            between: found.clone().map(keeping_what_is_typed),
            found,
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

    /// Gives the terminal the modes that the editor is to put back after its line: right before it reads one.
    fn keep_what_is_typed(&self) {
        // An editor that shows nothing above its line is one that edits none: it has the terminal do that.
        if let Some(modes) = self.between.as_ref().filter(|_| self.above.get().is_some()) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }

    /// Gives the terminal the modes it was found with, in the middle of a line if need be.
    fn take_back(&self) {
        let holder = self.holder();
        let (holder, _) = self
            .changed
            .wait_timeout_while(holder, TAKE_OVER, |holder| *holder == Holder::EditorSoon)
            .unwrap_or_else(PoisonError::into_inner);
        let in_line = *holder != Holder::Program;
        drop(holder);
        if !in_foreground() {
            return;
        }
        if let Some(above) = self.above.get().filter(|_| in_line) {
            above.wait(TAKE_OVER);
        }
        // Nothing can be done about a terminal that does not answer, or is gone.
        if let Some(modes) = &self.found {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
        if !in_line {
            return;
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
        *self.holder() != Holder::Program && self.above.get().is_some_and(|above| above.show(lines.to_owned()))
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

/// Takes the terminal back when it is dropped, also by a panic.
pub(super) struct TakenBack<'a>(pub(super) &'a Terminal);

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        self.0.take_back();
    }
}

/// With these modes what is typed waits as it is for the next line to be asked for, and is shown then. A terminal that
/// puts lines together by itself drops what is behind the 4095th byte of one, and takes Ctrl-D for itself.
fn keeping_what_is_typed(found: Termios) -> Termios {
    let mut modes = found;
    modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
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
    let shows = |printer| Above::by(Patient { printer, terminal: Arc::clone(terminal) });
    if let Some(above) = editor.create_external_printer().ok().and_then(shows) {
        // This is the only one.
        let _ = terminal.above.set(above);
    }
    for prompt in prompts {
        if let Some(watcher) = editor.helper() {
            watcher.typed.set(false);
        }
        terminal.keep_what_is_typed();
        let read = editor.readline(&prompt);
        terminal.set(Holder::Program);
        let event = match read {
            Ok(mut line) => {
                // What is pasted in one piece commonly brings its last line break along.
                line.truncate(line.trim_end_matches('\n').len());
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

/// Shows nothing while the editor is about to take the terminal over: it would not know of it, and the prompt would stand
/// behind what was shown.
struct Patient<P> {
    printer: P,
    terminal: Arc<Terminal>,
}

impl<P: ExternalPrinter> ExternalPrinter for Patient<P> {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        let holder = self.terminal.holder();
        drop(self.terminal.changed.wait_while(holder, |holder| *holder == Holder::EditorSoon));
        self.printer.print(text)
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
