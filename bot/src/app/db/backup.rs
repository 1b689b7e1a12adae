//! `bot db backup` and `bot db restore`: copying databases while they are in use, and putting copies back.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use config::Config;
use database::SourceConfig;
use database::maintenance::{BackupOptions, BackupProgress, BackupReport, BackupSet, RestoreOutcome};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Db, PATIENCE, ask, longest, tell};
use crate::app::{AppError, Outcome, say};
use crate::cli::{BackupArgs, RestoreArgs};
use crate::control::absolute;
use crate::control::protocol::{Answer, Command};
use crate::databases::upkeep::{self, Restore};
use crate::databases::{self, DatabasesError, Reached};
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;
use crate::text::table::{Column, table};
use crate::transport::signals::{HangUp, StopSignals};

/// How much longer a bot may take that writes a file as a whole.
const LONG: u32 = 60;

/// What `bot db restore --json` prints.
#[derive(Serialize)]
struct Outcomes {
    sources: Vec<RestoreOutcome>,
}

impl Db {
    pub(super) fn backup(&self, config: &Config, what: &BackupArgs) -> Result<Outcome, AppError> {
        let BackupArgs { folder, sources, every, keep } = what;
        let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
        let (woken, wakes) = mpsc::channel();
        // Whoever waits may have ended.
        signals.on_signal(move |_| {
            let _ = woken.send(());
        });
        let mut options = BackupOptions::default();
        options.sources.clone_from(sources);
        options.keep = keep.map(|keep| keep as usize);
        let mut outcome = Outcome::Done;
        let (mut is_first, mut loaded) = (true, Ok(config.clone()));
        loop {
            let begun = Instant::now();
            let bar = self.bar();
            let mut progress = shown(&bar, &signals);
            let made = loaded.map_err(AppError::from).and_then(|config| {
                upkeep::backup(&config.database, folder, &options, &mut progress).map_err(AppError::from)
            });
            bar.finish_and_clear();
            match made {
                Ok(report) => {
                    if let Some(folder) = &report.created {
                        self.say(&format!("Created the folder {}.", sanitize_line(folder)));
                    }
                    self.tell(&report, |report| made_backup(report, tell::columns()))?;
                    if !report.is_whole() {
                        outcome = Outcome::DoneInPart;
                    }
                }
                Err(error) if every.is_none() => return Err(error),
                Err(_) if signals.received().is_some() => {}
                Err(AppError::Databases(error)) if is_first && error.is_misuse() => return Err(error.into()),
                // The next one may go well.
                Err(error) => {
                    say(&format!("error: {error}"));
                    outcome = Outcome::DoneInPart;
                }
            }
            let Some(every) = every else { return Ok(outcome) };
            wait(&wakes, &signals, begun + *every);
            if signals.received().is_some() {
                return Ok(outcome);
            }
            // There may be sources by now that there were not.
            (is_first, loaded) = (false, self.layers.load());
        }
    }

    pub(super) fn restore(&self, config: &Config, what: &RestoreArgs) -> Result<Outcome, AppError> {
        let RestoreArgs { set, sources, even_so } = what;
        let outcomes = match databases::reach(&config.database)? {
            Reached::Bot(_) => self.have_restored(config, what)?,
            // Where a process is in charge that cannot be asked, the lock says so.
            Reached::Nobody | Reached::Mute(_) => {
                let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
                let bar = self.bar();
                let mut progress = shown(&bar, &signals);
                let restore = Restore { from: set, sources, even_so: *even_so };
                let outcomes = upkeep::restore(&config.database, &restore, &mut progress);
                bar.finish_and_clear();
                outcomes?
            }
        };
        let failed = outcomes.iter().filter(|outcome| outcome.restored.is_none()).count();
        let all = outcomes.len();
        self.tell(&Outcomes { sources: outcomes }, |outcomes| restored(&outcomes.sources, tell::columns()))?;
        Ok(match failed {
            0 => Outcome::Done,
            failed if failed == all => Outcome::Failed,
            _ => Outcome::DoneInPart,
        })
    }

    /// Has the bot that runs put back each of the sources.
    fn have_restored(&self, config: &Config, what: &RestoreArgs) -> Result<Vec<RestoreOutcome>, AppError> {
        let one = if let [one] = &what.sources[..] { Some(one) } else { None };
        let set = BackupSet::open(&what.set, one).map_err(DatabasesError::from)?;
        let wanted = set.wanted(&what.sources, &config.database.sources).map_err(DatabasesError::from)?;
        let default = &config.database.default_source;
        if wanted.iter().any(|settings| settings.name == *default) {
            let name = default.to_string();
            return Err(DatabasesError::from(database::maintenance::MaintenanceError::DefaultSource { name }).into());
        }
        let mut outcomes = Vec::new();
        for SourceConfig { name: source, .. } in wanted {
            // A bot answers one question a connection.
            let Some(client) = databases::bot_in(&config.database.data_dir)? else {
                return Err(AppError::Failed("the bot ended meanwhile; do it again".to_owned()));
            };
            let from = absolute(&what.set);
            let command = Command::Restore { source: source.to_string(), from, even_so: what.even_so };
            let fits = |answer| if let Answer::Restored(report) = answer { Some(report) } else { None };
            outcomes.push(match ask(client, command, PATIENCE + longest(config) * LONG, fits) {
                Ok(restored) => RestoreOutcome::done(restored),
                Err(AppError::Databases(DatabasesError::Refused(fault))) if what.sources.len() != 1 => {
                    RestoreOutcome::failed(source, fault.message)
                }
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }
}

/// Shows how far it is, and breaks off where a signal asks for that.
fn shown(bar: &ProgressBar, signals: &StopSignals) -> impl FnMut(BackupProgress) -> ControlFlow<()> {
    move |now| {
        bar.set_length(now.total);
        bar.set_position(now.done);
        bar.set_message(now.file);
        if signals.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Waits for a moment, or for a signal that asks to stop.
fn wait(wakes: &mpsc::Receiver<()>, signals: &StopSignals, until: Instant) {
    while signals.received().is_none() {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO || wakes.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// A backup that was made, for people.
fn made_backup(report: &BackupReport, terminal: Option<usize>) -> String {
    let columns = [
        Column::Left("SOURCE"),
        Column::Right("ROWS"),
        Column::Right("SIZE"),
        Column::Right("VERSION"),
        Column::Left("COPY"),
    ];
    let rows: Vec<_> = report
        .manifest
        .files
        .iter()
        .map(|file| {
            vec![
                if file.stand_in { format!("{} (stand-in)", file.source) } else { file.source.clone() },
                thousands(file.rows),
                format!("{} KiB", thousands(file.bytes.div_ceil(1024))),
                file.version.to_string(),
                format!("{}/{}", report.path, file.file),
            ]
        })
        .collect();
    let mut lines = Vec::new();
    for missing in &report.manifest.missing {
        lines.push(format!("Not copied: {}: {}", missing.source, missing.reason));
    }
    if !report.manifest.moved.is_empty() {
        let chats: Vec<_> = report.manifest.moved.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "Moved all the time, and perhaps in no copy or in two: {}; make another backup when their moves have ended",
            chats.join(", ")
        ));
    }
    lines.extend(report.left.iter().map(|left| format!("Not removed: {left}")));
    if !report.removed.is_empty() {
        let removed = counted(report.removed.len() as u64, "older backup was removed", "older backups were removed");
        lines.push(format!("{removed}: {}.", report.removed.join(", ")));
    }
    let lines: String = lines.iter().map(|line| sanitize_line(line).into_owned() + "\n").collect();
    table(&columns, &rows, terminal) + &lines
}

/// What was put back, for people.
fn restored(outcomes: &[RestoreOutcome], terminal: Option<usize>) -> String {
    let columns = [Column::Left("SOURCE"), Column::Right("ROWS"), Column::Left("WHAT WAS THERE BEFORE")];
    let done: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.restored.as_ref()).collect();
    let row = |one: &&database::maintenance::Restored| {
        vec![one.source.clone(), thousands(one.rows), one.kept.clone().unwrap_or_else(|| "nothing".to_owned())]
    };
    let mut text = String::new();
    if !done.is_empty() {
        text.push_str(&table(&columns, &done.iter().map(row).collect::<Vec<_>>(), terminal));
    }
    for one in done {
        if one.made + one.parked > 0 {
            let made = counted(one.made, "write that waited was made", "writes that waited were made");
            text.push_str(&format!("{}: {made}, {} kept aside.\n", one.source, thousands(one.parked)));
        }
    }
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            text.push_str(&format!("Not put back: {}: {}\n", outcome.source, sanitize_line(error)));
        }
    }
    text
}
