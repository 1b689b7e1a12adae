//! Signals that ask the program to stop, watched so that work in hand is finished and databases are closed.

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

type Wake = Box<dyn Fn(c_int) + Send>;

/// What SIGHUP asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HangUp {
    /// To stop: the program lives in a terminal, and that is gone.
    Stops,
    /// To read the configuration again: the program lives by itself, and whoever runs it sent the signal.
    Reloads,
    /// Nothing of us: it is left as it was found, ending the program or ignored (`nohup`).
    #[default]
    Untouched,
}

/// Notices the first SIGINT or SIGTERM (and SIGHUP where it asks to stop) and remembers it.
///
/// Made once, at the start of the program, and kept until it ends: from then on the first signal only asks, and
/// whoever works looks at [`received`](Self::received). The second SIGINT or SIGTERM ends the process at once, as it
/// would have ended one that does not watch: somebody does not want to wait. A second SIGHUP does not: a
/// terminal that goes away commonly sends several.
pub struct StopSignals {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    hang_up: HangUp,
    first: AtomicI32,
    continued: AtomicBool,
    wake: Mutex<Option<Wake>>,
    reload: Mutex<Reload>,
}

/// What is done about a SIGHUP that asks for a reload.
#[derive(Default)]
struct Reload {
    /// One came before it was known what to do.
    is_due: bool,
    act: Option<Box<dyn Fn() + Send>>,
}

impl StopSignals {
    /// Starts to watch. `hang_up` says what SIGHUP asks for.
    ///
    /// # Errors
    /// When the handlers or the watching thread cannot be set up.
    pub fn watch(hang_up: HangUp) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag down, the second finds it up.
            flag::register_conditional_default(signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        let watched: &[c_int] = match hang_up {
            HangUp::Stops | HangUp::Reloads => &[SIGINT, SIGTERM, SIGCONT, SIGHUP],
            HangUp::Untouched => &[SIGINT, SIGTERM, SIGCONT],
        };
        let mut signals = Signals::new(watched)?;
        let shared = Arc::new(Shared { hang_up, ..Shared::default() });
        let told = Arc::clone(&shared);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                told.note(signal);
            }
        })?;
        Ok(Self { shared })
    }

    /// The signal that asked to stop, the first one where there were several.
    pub fn received(&self) -> Option<c_int> {
        Some(self.shared.first.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }

    /// Whether the program was stopped and goes on (SIGCONT), since this was last asked.
    pub fn take_continued(&self) -> bool {
        self.shared.continued.swap(false, Ordering::SeqCst)
    }

    /// Calls this with each signal that comes (SIGCONT among them, which asks for nothing), in place of what was
    /// called before. A signal that came already is not told again: look at [`received`](Self::received) afterwards. It must not block.
    pub fn on_signal(&self, wake: impl Fn(c_int) + Send + 'static) {
        *self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(wake));
    }

    /// Calls this for each SIGHUP that asks for a reload, also for one that came already. It must not block.
    pub fn on_hang_up(&self, reload: impl Fn() + Send + 'static) {
        let mut waiting = self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut waiting.is_due) {
            reload();
        }
        waiting.act = Some(Box::new(reload));
    }

    /// Watches nothing; signals are only told by [`note`](Self::note).
    #[cfg(test)]
    pub(crate) fn unwatched() -> Self {
        Self::unwatched_with(HangUp::Stops)
    }

    #[cfg(test)]
    fn unwatched_with(hang_up: HangUp) -> Self {
        Self { shared: Arc::new(Shared { hang_up, ..Shared::default() }) }
    }

    /// Acts as if this signal had come.
    #[cfg(test)]
    pub(crate) fn note(&self, signal: c_int) {
        self.shared.note(signal);
    }
}

impl Shared {
    fn note(&self, signal: c_int) {
        if signal == SIGHUP && self.hang_up == HangUp::Reloads {
            let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
            match &reload.act {
                Some(act) => act(),
                None => reload.is_due = true,
            }
            return;
        }
        if signal == SIGCONT {
            self.continued.store(true, Ordering::SeqCst);
        } else {
            // Fails where an earlier one is noted, which then counts.
            let _ = self.first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        }
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake(signal);
        }
    }
}

impl fmt::Debug for StopSignals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopSignals").field("received", &self.received()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_first_signal_counts_and_each_wakes() {
        let signals = StopSignals::unwatched();
        let (woken, wakes) = mpsc::channel();
        signals.on_signal(move |signal| woken.send(signal).unwrap());
        assert_eq!(signals.received(), None);
        signals.note(SIGCONT);
        assert_eq!((signals.received(), signals.take_continued(), signals.take_continued()), (None, true, false));
        signals.note(SIGTERM);
        signals.note(SIGINT);
        assert_eq!(signals.received(), Some(SIGTERM));
        assert_eq!(wakes.try_iter().collect::<Vec<_>>(), [SIGCONT, SIGTERM, SIGINT]);
    }

    #[test]
    fn a_hang_up_that_reloads_stops_nothing_and_is_not_lost_before_it_is_known_what_to_do() {
        let signals = StopSignals::unwatched_with(HangUp::Reloads);
        let (woken, wakes) = mpsc::channel();
        signals.on_signal(move |signal| woken.send(signal).unwrap());
        let (asked, reloads) = mpsc::channel();
        signals.note(SIGHUP);
        signals.note(SIGHUP);
        signals.on_hang_up(move || asked.send(()).unwrap());
        assert_eq!(reloads.try_iter().count(), 1);
        signals.note(SIGHUP);
        assert_eq!(reloads.try_iter().count(), 1);
        assert_eq!((signals.received(), wakes.try_iter().count()), (None, 0));
        signals.note(SIGTERM);
        assert_eq!((signals.received(), reloads.try_iter().count()), (Some(SIGTERM), 0));
        let stopped = StopSignals::unwatched_with(HangUp::Stops);
        stopped.note(SIGHUP);
        assert_eq!(stopped.received(), Some(SIGHUP));
    }
}
