//! What comes while somebody types: shown above the line that is edited, which the line editor draws again below it.
//!
//! The editor takes one text at a time, and none while it waits for the rest of a key. Whoever has something to show, as
//! a thread that logs in the middle of a write, must not wait for that: a thread of its own hands texts over.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustyline::ExternalPrinter;

/// How many texts wait to be shown; what comes then is shown some other way.
const MOST: usize = 256;

/// Shows texts above the line that is edited.
pub(super) struct Above(SyncSender<Order>);

enum Order {
    Show(String),
    /// Tell when all is shown that came before.
    Tell(SyncSender<()>),
}

impl Above {
    /// Shows them by what the line editor has for that; `None` where there is no thread to be had.
    pub(super) fn by(printer: impl ExternalPrinter + Send + 'static) -> Option<Self> {
        let (sender, orders) = sync_channel(MOST);
        let work = move || show_all(&orders, printer);
        std::thread::Builder::new().name("shows lines".into()).spawn(work).is_ok().then_some(Self(sender))
    }

    /// Shows a text, soon; `false` where too much waits already. Does not wait.
    pub(super) fn show(&self, text: String) -> bool {
        self.0.try_send(Order::Show(text)).is_ok()
    }

    /// Waits until all is shown that came before, so long at most.
    pub(super) fn wait(&self, patience: Duration) {
        let (tell, told) = sync_channel(1);
        if self.0.try_send(Order::Tell(tell)).is_ok() {
            // What is not shown by then is lost.
            let _ = told.recv_timeout(patience);
        }
    }
}

fn show_all(orders: &Receiver<Order>, mut printer: impl ExternalPrinter) {
    for order in orders {
        match order {
            // A terminal that is gone shows nothing more.
            Order::Show(text) => drop(printer.print(text)),
            Order::Tell(told) => drop(told.try_send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// What the editor shows, once it is let do so.
    struct Slow {
        may: Receiver<()>,
        shown: Sender<String>,
    }

    impl ExternalPrinter for Slow {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            let _ = self.may.recv();
            let _ = self.shown.send(text);
            Ok(())
        }
    }

    #[test]
    fn whoever_shows_something_never_waits_for_the_editor() {
        let ((let_show, may), (shown, seen)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let above = Above::by(Slow { may, shown }).unwrap();
        // One is with the editor, perhaps, and the others wait.
        let taken = (0..2 * MOST).filter(|number| above.show(number.to_string())).count();
        assert!((MOST..=MOST + 1).contains(&taken), "{taken}");
        (0..taken).for_each(|_| let_show.send(()).unwrap());
        let all: Vec<_> = seen.iter().take(taken).collect();
        assert_eq!(all[..MOST], (0..MOST).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
