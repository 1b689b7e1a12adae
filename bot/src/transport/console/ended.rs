//! How a session ends, and why one cannot go on.

use std::io;

use rustyline::error::ReadlineError;

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
    Output(#[from] io::Error),
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
