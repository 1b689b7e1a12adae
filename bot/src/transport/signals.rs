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

/// Notices the first SIGINT or SIGTERM (and SIGHUP where asked) and remembers it.
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
    first: AtomicI32,
    continued: AtomicBool,
    wake: Mutex<Option<Wake>>,
}

impl StopSignals {
    /// Starts to watch. `hang_up` says whether SIGHUP asks to stop as well: it does where the program lives in a
    /// terminal; elsewhere it is left as it was found, ignored perhaps (`nohup`).
    ///
    /// # Errors
    /// When the handlers or the watching thread cannot be set up.
    pub fn watch(hang_up: bool) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal finds the flag down, the second finds it up.
            flag::register_conditional_default(signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        let watched: &[c_int] = if hang_up { &[SIGINT, SIGTERM, SIGCONT, SIGHUP] } else { &[SIGINT, SIGTERM, SIGCONT] };
        let mut signals = Signals::new(watched)?;
        let shared = Arc::new(Shared::default());
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

    /// Watches nothing; signals are only told by [`note`](Self::note).
    #[cfg(test)]
    pub(crate) fn unwatched() -> Self {
        Self { shared: Arc::default() }
    }

    /// Acts as if this signal had come.
    #[cfg(test)]
    pub(crate) fn note(&self, signal: c_int) {
        self.shared.note(signal);
    }
}

impl Shared {
    fn note(&self, signal: c_int) {
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
}
