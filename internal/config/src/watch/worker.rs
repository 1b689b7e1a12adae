//! The thread of a watch: it looks at the files, reads them when they are quiet, and applies what they say.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Instant;

use database::{Clock, SystemClock};

use super::changes::{Changes, Pace, Stamp};
use super::reading::{Reading, is_known};
use super::wakeups::Wakeups;
use super::{Apply, Last, Outcome, Reload};
use crate::bot::{BotConfig, LogConfig};
use crate::load::{Config, Layers, read_bytes};

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Something may have happened to the files.
    Look,
    /// Read and apply now, and answer with what became of it.
    Reload(SyncSender<Reload>),
    /// End.
    Stop,
}

pub(super) struct Worker {
    layers: Layers,
    /// The files of the start, also where the default one came or went since.
    files: Vec<PathBuf>,
    wakeups: Wakeups,
    changes: Changes,
    pace: Pace,
    looked: Instant,
    next_look: Instant,
    /// What is in force. Of its tables `[bot]` and `[log]` only what they said when it was applied.
    current: Config,
    /// What was turned down since.
    refused: Option<Reading>,
    /// The tables `[bot]` and `[log]` of the start, and those that a restart was last asked for.
    started: (BotConfig, LogConfig),
    told: (BotConfig, LogConfig),
    apply: Apply,
    last: Last,
}

impl Worker {
    pub(super) fn new(layers: Layers, current: Config, pace: Pace, wakeups: Wakeups, apply: Apply, last: Last) -> Self {
        let started = (current.bot.clone(), current.log);
        let now = Instant::now();
        Self {
            layers,
            files: current.files.clone(),
            wakeups,
            changes: Changes::new(pace),
            pace,
            looked: now,
            next_look: now,
            current,
            refused: None,
            told: started.clone(),
            started,
            apply,
            last,
        }
    }

    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            self.look_if_due(Instant::now());
            match orders.recv_timeout(self.next_look.saturating_duration_since(Instant::now())) {
                Ok(Order::Look) => self.next_look = self.next_look.min(self.looked + self.pace.least),
                // Who asked may have given up.
                Ok(Order::Reload(answer)) => drop(answer.send(self.reload_now(Instant::now()))),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Looks at the files when that is due, and reads and applies them when that is.
    pub(super) fn look_if_due(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.looked = now;
        self.wakeups.renew();
        self.changes.note(now, self.stamps());
        if self.changes.due().is_some_and(|due| now >= due) {
            let reading = self.read();
            if is_known(&self.current, self.refused.as_ref(), &reading) {
                self.changes.settle();
            } else if let Some(reading) = self.changes.consider(now, reading) {
                self.act(reading, false);
            }
        }
        self.next_look = self.changes.next_look(now);
    }

    /// Reads and applies the files as they are.
    pub(super) fn reload_now(&mut self, now: Instant) -> Reload {
        self.changes.note(now, self.stamps());
        let reading = self.read();
        // They may be half-written or change under its hands, so they are read once more when they are quiet.
        self.changes.begin(now);
        self.next_look = self.changes.next_look(now);
        self.act(reading, true)
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(|file| Stamp::of(file)).collect()
    }

    fn read(&self) -> Reading {
        self.layers.load_files(self.files.clone(), &read_bytes).map_err(|error| error.to_string())
    }

    /// Puts in force what was read, or says why not. What somebody `asked` for is logged also when it is no news.
    fn act(&mut self, reading: Reading, asked: bool) -> Reload {
        let outcome = match reading {
            Ok(config) if config.database == self.current.database => {
                tracing::debug!("the configuration says what is in force already");
                self.accept(config);
                Outcome::Unchanged
            }
            // A bug in what applies it must not end the watching.
            Ok(config) => match catch_unwind(AssertUnwindSafe(|| (self.apply)(&config))) {
                Ok(Ok(())) => {
                    tracing::info!("the changed configuration is in force");
                    self.accept(config);
                    Outcome::Applied
                }
                Ok(Err(reason)) => self.refuse(Ok(config), reason, asked),
                Err(_) => self.refuse(Ok(config), "applying it failed; please report this as a bug".to_owned(), asked),
            },
            Err(reason) => self.refuse(Err(reason.clone()), reason, asked),
        };
        let restart_needed = (&self.current.bot, &self.current.log) != (&self.started.0, &self.started.1);
        let reload = Reload { at: SystemClock.now(), outcome, restart_needed };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload.clone());
        reload
    }

    fn accept(&mut self, config: Config) {
        let tables = (config.bot.clone(), config.log);
        if tables != self.told {
            if tables != self.started {
                tracing::warn!("a change of [bot] or [log] takes effect at the next start; restart the bot");
            }
            self.told = tables;
        }
        self.current = config;
        self.refused = None;
    }

    fn refuse(&mut self, reading: Reading, reason: String, asked: bool) -> Outcome {
        self.refused = Some(reading);
        let outcome = Outcome::Refused(reason);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.as_ref().is_none_or(|last| last.outcome != outcome);
        if let (true, Outcome::Refused(reason)) = (is_news || asked, &outcome) {
            let reason = reason.replace('\n', "; ");
            tracing::warn!(reason, "the configuration is not applied; the last good one stays in force");
        }
        drop(last);
        outcome
    }
}
