//! Watching the files of a configuration while the bot runs, and applying what they come to say.

mod changes;
mod reading;
mod wakeups;
mod worker;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use database::{Clock, SystemClock, Timestamp};

use crate::load::{Config, Layers};
use changes::Pace;
use wakeups::{Connect, Wakeups, of_the_system};
use worker::{Order, Worker};

/// Watches the files of a configuration and applies what they come to say. Dropping it ends the watching.
///
/// Each file is looked at once a second, by what the system says of it and without opening it; where the system tells
/// of changes in its folder, at once. What it comes to say is applied when it stayed the same for 1.5 s and was read
/// twice with the same result: a file that somebody is still writing changes nothing, as long as they do not pause for
/// longer. All is in force within 3 s of the last write.
///
/// What cannot be read or is refused changes nothing. The reason is logged, once as long as it is the same one, and
/// [`last`](Self::last) tells it; the configuration in force stays.
///
/// The files, the environment and the options are those of the start. Only the table `[database]` takes effect while
/// the bot runs; a change of `[bot]` or `[log]` is answered with a line in the log that a restart is needed.
#[derive(Debug)]
pub struct Watch {
    orders: Sender<Order>,
    last: Last,
    thread: Option<JoinHandle<()>>,
}

/// What became of the last change, or of what was asked for last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When it was decided.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether `[bot]` or `[log]` say something else than at the start, which only a restart brings into force.
    pub restart_needed: bool,
}

/// What became of a configuration that was read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force.
    Applied,
    /// Its table `[database]` says what is in force already.
    Unchanged,
    /// It is not in force, for this reason; that before it is. Several lines where several things are wrong.
    Refused(String),
}

/// Where the last outcome is kept.
type Last = Arc<Mutex<Option<Reload>>>;
/// What puts a configuration in force, or says why it does not.
type Apply = Box<dyn FnMut(&Config) -> Result<(), String> + Send>;

impl Watch {
    /// Watches the files of `current`, which was loaded from `layers` and is in force.
    ///
    /// `apply` is called with each configuration whose table `[database]` is another than the one in force, on a thread
    /// of the watch and one call at a time. It puts it in force, or says why it cannot be; the reason is logged, and
    /// must not repeat a secret. It is not called again with what it refused until the files change or
    /// [`reload_now`](Self::reload_now) asks. A panic in it counts as a refusal. It must not call `reload_now`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        layers: Layers,
        current: Config,
        apply: impl FnMut(&Config) -> Result<(), String> + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(layers, current, Pace::STEADY, of_the_system, Box::new(apply))
    }

    fn start_with(layers: Layers, current: Config, pace: Pace, connect: Connect, apply: Apply) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let wakeups = Wakeups::new(&current.files, orders.clone(), connect);
        let last = Last::default();
        let worker = Worker::new(layers, current, pace, wakeups, apply, Arc::clone(&last));
        let thread = thread::Builder::new().name("config-watch".to_owned()).spawn(move || worker.run(&received))?;
        Ok(Self { orders, last, thread: Some(thread) })
    }

    /// Reads the files and applies what they say, at once and without waiting for a half-written one to be finished:
    /// for the signal SIGHUP and for somebody who asks. Answers with the outcome, which is logged as well.
    pub fn reload_now(&self) -> Reload {
        let (answer, answered) = mpsc::sync_channel(1);
        // A thread that is gone hangs up, which ends the waiting.
        let _ = self.orders.send(Order::Reload(answer));
        answered.recv().unwrap_or_else(|_| Reload {
            at: SystemClock.now(),
            outcome: Outcome::Refused("the configuration is no longer watched; restart the bot".to_owned()),
            restart_needed: false,
        })
    }

    /// What became of the last change or call of [`reload_now`](Self::reload_now); `None` where there was none yet.
    ///
    /// A change back to what is in force is [`Outcome::Unchanged`], so that a refusal that was dealt with goes away.
    pub fn last(&self) -> Option<Reload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the watching, as dropping does. What is being applied is waited for; nothing is applied afterwards.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that is gone needs no order to end.
        let _ = self.orders.send(Order::Stop);
        // What is applied may hold the last handle on the watch: its thread cannot wait for itself.
        if let Some(thread) = self.thread.take_if(|thread| thread.thread().id() != thread::current().id()) {
            // It ended, in whatever way.
            let _ = thread.join();
        }
    }
}
