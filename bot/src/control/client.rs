//! The side of the control socket that asks.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::moves::MoveStep;
use super::protocol::{Answer, Command, Request, Response};
use super::socket;

/// No answer is longer, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// How often it is looked whether it is to be broken off.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A bot that can be asked one thing.
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

/// Why a bot could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket cannot be connected to.
    #[error("cannot ask the bot at {}: {error}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// It does not answer in time.
    #[error("the bot at {} did not answer within {waited:?}; it may be stopped or very busy", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// It hung up, as it does when it ends.
    #[error("the bot at {} hung up without an answer; it is ending, perhaps", path.display())]
    HungUp {
        /// The socket.
        path: PathBuf,
    },
    /// It was hung up on.
    #[error(
        "broken off; repeat the move to bring it to its end{}; `bot db check` lists moves that are not at their end",
        if *can_be_undone { ", or undo it with `--abort`" } else { "" }
    )]
    BrokenOff {
        /// Whether it can be undone, as far as the bot had told.
        can_be_undone: bool,
    },
    /// What it answers is not understood.
    #[error("the bot at {} answers in words that this `bot` program does not know; use the one that it was started from", path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
    },
}

impl Client {
    /// Connects to the bot that is in charge of a data directory; `None` where none listens there.
    ///
    /// # Errors
    /// The socket is there and cannot be connected to, for want of permission perhaps.
    pub fn connect(folder: &Path) -> Result<Option<Self>, ClientError> {
        let path = socket::path_in(folder);
        match socket::connect_in(folder) {
            Ok(stream) => Ok(Some(Self { stream, path })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            // Nobody was let in for so long that no more can wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(ClientError::Silent { path, waited: Duration::ZERO })
            }
            Err(error) => Err(ClientError::Connect { path, error }),
        }
    }

    /// Asks, and waits that long at most for the answer.
    ///
    /// # Errors
    /// There is no answer, or none that is understood.
    pub fn ask(self, command: Command, wait: Duration) -> Result<Answer, ClientError> {
        self.ask_and_follow(command, wait, &mut |_| ControlFlow::Continue(()))
    }

    /// Asks, and is told how far it is before the answer; waits that long at most for each line. Where `follow` breaks
    /// off, the bot is hung up on, which ends what it does.
    ///
    /// # Errors
    /// There is no answer, or none that is understood.
    pub fn ask_and_follow(
        self,
        command: Command,
        wait: Duration,
        follow: &mut dyn FnMut(Option<MoveStep>) -> ControlFlow<()>,
    ) -> Result<Answer, ClientError> {
        let Self { mut stream, path } = self;
        let mut deadline = Instant::now() + wait;
        let silent = || ClientError::Silent { path: path.clone(), waited: wait };
        let garbled = || ClientError::Garbled { path: path.clone() };
        let mut line = serde_json::to_vec(&Request::new(command)).map_err(|_| garbled())?;
        line.push(b'\n');
        // Who refuses to listen may have said why.
        let _ = stream.set_write_timeout(Some(wait)).and_then(|()| stream.write_all(&line));
        let mut answer = Vec::new();
        let mut part = [0; 16 * 1024];
        let mut can_be_undone = false;
        loop {
            while let Some(end) = answer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = answer.drain(..=end).collect();
                match serde_json::from_slice::<Response>(&line).map_err(|_| garbled())?.answer {
                    Answer::Progress(step) => {
                        deadline = Instant::now() + wait;
                        can_be_undone = step.can_be_undone;
                        if follow(Some(step)).is_break() {
                            return Err(ClientError::BrokenOff { can_be_undone });
                        }
                    }
                    answer => return Ok(answer),
                }
            }
            if follow(None).is_break() {
                return Err(ClientError::BrokenOff { can_be_undone });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left.min(LOOK_EVERY))).is_err() {
                return Err(silent());
            }
            match stream.read(&mut part) {
                Ok(0) if answer.is_empty() => return Err(ClientError::HungUp { path }),
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&part[..read]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return Err(ClientError::HungUp { path }),
                },
            }
            if answer.len() > MOST_BYTES {
                return Err(garbled());
            }
        }
        serde_json::from_slice::<Response>(&answer).map(|response| response.answer).map_err(|_| garbled())
    }
}
