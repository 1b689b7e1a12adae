//! Following the configuration while the bot runs: when its files change, when SIGHUP comes, and when somebody asks.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use config::{Config, Layers, Outcome, Reload, Watch};
use database::multi::Control;
use parking_lot::Mutex;

use crate::control::report::{ReloadOutcome, ReloadReport};
use crate::transport::signals::StopSignals;

/// The watch on the configuration; none before it is started and after it is stopped.
#[derive(Default)]
pub(super) struct Following {
    watch: Mutex<Option<Arc<Watch>>>,
}

impl Following {
    /// Goes over to what the configuration comes to say.
    pub(super) fn start(
        &self,
        layers: Layers,
        config: &Config,
        control: &Control,
        signals: &StopSignals,
    ) -> io::Result<()> {
        let control = control.clone();
        let apply =
            move |config: &Config| control.reload(&config.database).map(drop).map_err(|error| error.to_string());
        let watch = Arc::new(Watch::start(layers, config.clone(), apply)?);
        // One that waits is enough: it reads what is there when its turn comes.
        let (sender, hang_ups) = sync_channel(1);
        let watched = Arc::downgrade(&watch);
        let reload = move || {
            while hang_ups.recv().is_ok() {
                let Some(watch) = watched.upgrade() else { return };
                tracing::info!("SIGHUP: the configuration is read again");
                watch.reload_now();
            }
        };
        std::thread::Builder::new().name("reloads".into()).spawn(reload)?;
        *self.watch.lock() = Some(watch);
        signals.on_hang_up(move || {
            // Full: one waits already. Closed: the bot ends.
            let _ = sender.try_send(());
        });
        Ok(())
    }

    /// Changes nothing any more.
    pub(super) fn stop(&self) {
        // Not while the lock is held: what is being applied is waited for.
        let watch = self.watch.lock().take();
        drop(watch);
    }

    /// Reads the configuration now; `None` where it is not followed.
    pub(super) fn reload(&self) -> Option<ReloadReport> {
        let watch = self.watch.lock().clone()?;
        Some(report(watch.reload_now()))
    }

    /// What became of the last change.
    pub(super) fn last(&self) -> Option<ReloadReport> {
        let watch = self.watch.lock().clone()?;
        watch.last().map(report)
    }
}

fn report(reload: Reload) -> ReloadReport {
    let (outcome, reason) = match reload.outcome {
        Outcome::Applied => (ReloadOutcome::Applied, None),
        Outcome::Unchanged => (ReloadOutcome::Unchanged, None),
        Outcome::Refused(reason) => (ReloadOutcome::Refused, Some(reason)),
    };
    ReloadReport { at: reload.at.to_string(), outcome, reason, restart_needed: reload.restart_needed }
}
