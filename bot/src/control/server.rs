//! The side of the control socket that answers: a thread that lets whoever connects in, and a short-lived thread for each.
//!
//! Whoever connects can hold up nobody but themselves: lines, time and numbers are bounded.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Operator;
use super::moves::MoveStep;
use super::protocol::{Answer, Fault, FaultKind, Request, Response};
use super::socket::{self, Listening};

/// How long a question may be, in bytes.
const LINE_LIMIT: usize = 64 * 1024;
/// How many are served at a time.
const AT_ONCE: usize = 16;
/// How long a question may take to arrive, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is told how far something is.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How long it is waited where nobody can be let in, for want of file descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(100);

/// A bot that can be asked through its socket, until this is stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    listening: Listening,
    operator: Arc<dyn Operator>,
    patience: Duration,
    stopping: AtomicBool,
    /// Those who are served, by number.
    served: Mutex<HashMap<u64, UnixStream>>,
}

impl Server {
    /// Listens in a data directory that this process is in charge of, and has the operator answer.
    ///
    /// # Errors
    /// The socket cannot be made, or the system gives no thread.
    pub fn start(folder: &Path, operator: Arc<dyn Operator>) -> io::Result<Self> {
        Self::start_with(folder, operator, PATIENCE)
    }

    fn start_with(folder: &Path, operator: Arc<dyn Operator>, patience: Duration) -> io::Result<Self> {
        let listening = Listening::open(folder)?;
        let shared = Arc::new(Shared {
            listening,
            operator,
            patience,
            stopping: AtomicBool::new(false),
            served: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("control".into()).spawn(move || serving.serve());
        match thread {
            Ok(thread) => Ok(Self { shared, thread: Some(thread) }),
            Err(error) => {
                shared.listening.remove();
                Err(error)
            }
        }
    }

    /// Where the socket of a data directory is.
    pub fn path_in(folder: &Path) -> PathBuf {
        socket::path_in(folder)
    }

    /// Lets nobody in any more, hangs up on those who are served, and takes the socket's file away. What somebody asked
    /// for and is being done is not waited for. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Shared { listening, stopping, served, .. } = &*self.shared;
        stopping.store(true, Ordering::SeqCst);
        listening.remove();
        // It wakes the thread; where that fails it is left to itself.
        let woken = rustix::net::shutdown(&listening.listener, rustix::net::Shutdown::Both).is_ok();
        for stream in served.lock().values() {
            // Those who have hung up already need no telling.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take_if(|_| woken) {
            thread.thread().unpark();
            // It ended, in whatever way.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Lets in whoever comes, until it is time to stop.
    fn serve(self: &Arc<Self>) {
        for number in 0.. {
            let accepted = self.listening.listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.let_in(number, stream),
                Err(error) => {
                    tracing::debug!(%error, "nobody can be let in at the control socket");
                    std::thread::park_timeout(PAUSE);
                }
            }
        }
    }

    fn let_in(self: &Arc<Self>, number: u64, stream: UnixStream) {
        let mut served = self.served.lock();
        let busy = |why: &str| Answer::Error(Fault::new(FaultKind::Busy, why));
        if served.len() >= AT_ONCE {
            drop(served);
            return self.reply(&stream, busy("too many ask this bot at a time; ask again"));
        }
        // Without a second handle it could not be hung up on at the end.
        let Ok(handle) = stream.try_clone() else { return };
        served.insert(number, handle);
        // Looked at while the list is held: whoever stops either finds this one there, or is found here.
        let stopping = self.stopping.load(Ordering::SeqCst);
        drop(served);
        let guest = Guest { shared: Arc::clone(self), number, stream };
        if stopping {
            return;
        }
        let thread = std::thread::Builder::new().name("control answers".into());
        if let Err(error) = thread.spawn(move || guest.serve()) {
            tracing::warn!(%error, "no thread can be started that answers at the control socket");
        }
    }

    /// Sends an answer, in time or not at all.
    fn reply(&self, stream: &UnixStream, answer: Answer) {
        // Whoever asked may not listen any more.
        let _ = self.send(stream, answer);
    }

    /// Sends a line; fails where nobody takes it.
    fn send(&self, mut stream: &UnixStream, answer: Answer) -> Result<(), Gone> {
        let mut line = match serde_json::to_vec(&Response::from(answer)) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "an answer at the control socket cannot be written as JSON");
                return Ok(());
            }
        };
        line.push(b'\n');
        let deadline = Instant::now() + self.patience;
        let mut rest = &line[..];
        while !rest.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_write_timeout(Some(left)).is_err() {
                return Err(Gone);
            }
            match stream.write(rest) {
                Ok(0) => return Err(Gone),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever asked does not listen.
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

/// Whoever asked has hung up.
struct Gone;

/// Somebody who is served.
struct Guest {
    shared: Arc<Shared>,
    number: u64,
    stream: UnixStream,
}

impl Guest {
    fn serve(&self) {
        let answer = match self.question() {
            Ok(Some(line)) => Request::read(&line).map_or_else(Answer::Error, |request| {
                let mut told = None;
                let mut tell = |answer| self.tell(answer, &mut told);
                request.command.put_to(&*self.shared.operator, &mut tell)
            }),
            Ok(None) => return,
            Err(fault) => Answer::Error(fault),
        };
        self.shared.reply(&self.stream, answer);
    }

    /// Tells how far it is, now and then, and of each stage at once, since it may be one that cannot be undone any more;
    /// where nobody listens any more it is broken off.
    fn tell(&self, answer: Answer, told: &mut Option<(Instant, MoveStep)>) -> ControlFlow<()> {
        if self.shared.stopping.load(Ordering::SeqCst) {
            return ControlFlow::Break(());
        }
        if let Answer::Progress(step) = &answer {
            let is_stage_of = |before: &MoveStep| before.chat == step.chat && before.stage == step.stage;
            if told.as_ref().is_some_and(|(at, before)| at.elapsed() < TELL_EVERY && is_stage_of(before)) {
                return ControlFlow::Continue(());
            }
            *told = Some((Instant::now(), step.clone()));
        }
        match self.shared.send(&self.stream, answer) {
            Ok(()) => ControlFlow::Continue(()),
            Err(Gone) => ControlFlow::Break(()),
        }
    }

    /// The line that is asked; `None` where whoever connected is gone.
    fn question(&self) -> Result<Option<Vec<u8>>, Fault> {
        let bad = |what: String| Err(Fault::new(FaultKind::BadRequest, what));
        let deadline = Instant::now() + self.shared.patience;
        let mut line = Vec::new();
        let mut part = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return bad(format!("no whole line came within {:?}", self.shared.patience));
            }
            let read = match (&self.stream).read(&mut part) {
                Ok(0) if line.is_empty() => return Ok(None),
                // The end of what is said ends the line too.
                Ok(0) => return Ok(Some(line)),
                Ok(read) => &part[..read],
                Err(error) if is_no_failure(error.kind()) => continue,
                Err(_) => return Ok(None),
            };
            let end = read.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
            if line.len() > LINE_LIMIT {
                return bad(format!("the line is longer than {LINE_LIMIT} bytes"));
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.served.lock().remove(&self.number);
    }
}

/// What reading answers where nothing came in time or a signal came; the deadline is looked at.
fn is_no_failure(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
