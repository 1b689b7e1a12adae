//! Following the configuration while the bot runs: when its files change, when SIGHUP comes, and when somebody asks.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use config::{Config, Layers, Outcome, Reload, Watch};
use database::multi::Control;
use parking_lot::RwLock;

use crate::control::report::{ReloadOutcome, ReloadReport};
use crate::transport::signals::StopSignals;

/// The watch on the configuration; none before it is started and after it is stopped.
#[derive(Default)]
pub(super) struct Following {
    /// Lent while it is asked for something, so that stopping waits for what was asked.
    watch: Arc<RwLock<Option<Watch>>>,
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
        let watch = Watch::start(layers, config.clone(), apply)?;
        // One that waits is enough: it reads what is there when its turn comes.
        let (sender, hang_ups) = sync_channel(1);
        let watched = Arc::downgrade(&self.watch);
        let reload = move || {
            while hang_ups.recv().is_ok() {
                let Some(watched) = watched.upgrade() else { return };
                let Some(watch) = &*watched.read() else { return };
                tracing::info!("SIGHUP: the configuration is read again");
                watch.reload_now();
            }
        };
        std::thread::Builder::new().name("reloads".into()).spawn(reload)?;
        *self.watch.write() = Some(watch);
        signals.on_hang_up(move || {
            // Full: one waits already. Closed: the bot ends.
            let _ = sender.try_send(());
        });
        Ok(())
    }

    /// Changes nothing any more: a reload that is under way, whoever asked for it, has ended after this.
    pub(super) fn stop(&self) {
        let watch = self.watch.write().take();
        // What the watch itself applies is waited for here.
        drop(watch);
    }

    /// Reads the configuration now; `None` where it is not followed.
    pub(super) fn reload(&self) -> Option<ReloadReport> {
        self.watch.read().as_ref().map(|watch| report(watch.reload_now()))
    }

    /// What became of the last change.
    pub(super) fn last(&self) -> Option<ReloadReport> {
        self.watch.read().as_ref()?.last().map(report)
    }

    /// That the last change was refused, for whoever changes something that the configuration is to say; `None` where it
    /// was not.
    pub(super) fn refusal(&self) -> Option<String> {
        let reason = self.last()?.reason?.replace('\n', "; ");
        Some(format!(
            "The configuration on disk is refused, and the bot goes on with that of before: {reason}. Mend it (see `bot \
             config check`), then `bot db reload`."
        ))
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};
    use std::time::Duration;

    use super::*;

    #[test]
    fn stopping_waits_for_a_reload_that_somebody_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bot.toml");
        let text = |timeout| {
            format!(
                "[database]\n[database.sources.primary]\ntype = \"sqlite\"\npath = \"bot.db\"\ntimeout = {timeout}\n"
            )
        };
        std::fs::write(&file, text("30.0")).expect("it is written");
        let layers = Layers { files: vec![file.clone()], ..Layers::default() };
        let config = layers.load().expect("it is a configuration");
        let (begun, begins) = channel();
        let (end, ends) = sync_channel::<()>(1);
        let apply = move |_: &Config| {
            begun.send(()).map_err(|error| error.to_string())?;
            ends.recv().map_err(|error| error.to_string())
        };
        let watch = Watch::start(layers, config, apply).expect("it is watched");
        let following = Following { watch: Arc::new(RwLock::new(Some(watch))) };
        std::fs::write(&file, text("20.0")).expect("it is written");
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| following.reload());
            begins.recv().expect("it is applied");
            let (stopped, stops) = channel();
            let stopping = &following;
            scope.spawn(move || {
                stopping.stop();
                let _ = stopped.send(());
            });
            let early = stops.recv_timeout(Duration::from_millis(300));
            end.send(()).expect("it waits");
            assert!(early.is_err(), "it has stopped while the reload was under way");
            let report = asked.join().expect("it ends").expect("it is followed");
            assert_eq!(report.outcome, ReloadOutcome::Applied);
        });
        assert!(following.reload().is_none() && following.last().is_none());
    }
}
