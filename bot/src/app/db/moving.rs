//! `bot db move` and `bot db seal`.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Db, Whom, tell};
use crate::app::{AppError, Outcome, say};
use crate::cli::MoveArgs;
use crate::control::absolute;
use crate::control::moves::{MoveOutcome, MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::{Answer, Command};
use crate::databases::{self, DatabasesError};
use crate::text::chart::thousands;
use crate::text::sanitize::sanitize_line;
use crate::transport::signals::{HangUp, StopSignals};

/// How long a bot that moves chats may say nothing: a second bot on the same disk may keep it waiting, and rewriting a
/// file takes as long as it takes.
const SILENCE: Duration = Duration::from_secs(3_600);

/// How often it is told how far it is where no bar can show it, and after how long at first.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What `bot db seal --json` prints.
#[derive(Serialize)]
struct Sealed {
    path: String,
}

/// Shows how far moves are: as a bar, or now and then as a line.
struct Shown {
    bar: ProgressBar,
    by_lines: bool,
    last: Instant,
}

impl Shown {
    fn show(&mut self, step: &MoveStep) {
        let MoveStep { chat, stage, done, total, .. } = step;
        self.bar.set_length(*total);
        self.bar.set_position(*done);
        let stage = sanitize_line(stage);
        self.bar.set_message(format!("chat {chat}: {stage}"));
        if self.by_lines && self.last.elapsed() >= TELL_EVERY {
            self.last = Instant::now();
            say(&format!("chat {chat}: {stage}, {} of {} rows", thousands(*done), thousands(*total)));
        }
    }
}

impl Db {
    pub(super) fn move_chats(&self, whom: Whom<'_>, what: &MoveArgs) -> Result<Outcome, AppError> {
        let request = request(what);
        let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
        let is_stopped =
            || if signals.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut shown = self.shown();
        let moved = match whom {
            Whom::Files(config, _) => databases::move_chats(config, &request, &mut |step| {
                shown.show(&step);
                is_stopped()
            }),
            Whom::Bot(client, _) => {
                let mut follow = |step: Option<MoveStep>| {
                    step.iter().for_each(|step| shown.show(step));
                    is_stopped()
                };
                match client.ask_and_follow(Command::Move(request), SILENCE, &mut follow) {
                    Ok(Answer::Moves(report)) => Ok(report),
                    Ok(Answer::Error(fault)) => Err(DatabasesError::Refused(fault)),
                    Ok(_) => return Err(AppError::Failed("the bot answered another question".to_owned())),
                    Err(error) => Err(DatabasesError::Client(error)),
                }
            }
        };
        shown.bar.finish_and_clear();
        let report = moved?;
        let outcome = outcome(&report);
        self.tell(&report, tell::moves)?;
        Ok(outcome)
    }

    pub(super) fn seal(&self, file: &Path, copy: Option<&Path>) -> Result<Outcome, AppError> {
        let path = absolute(&databases::seal(file, copy)?);
        self.tell(&Sealed { path }, |Sealed { path }| tell::sealed(path))?;
        Ok(Outcome::Done)
    }

    fn shown(&self) -> Shown {
        let by_lines = !self.quiet && !self.json && !io::stderr().is_terminal();
        Shown { bar: self.bar(), by_lines, last: Instant::now() }
    }

    /// A bar on standard error, where somebody can see it.
    pub(super) fn bar(&self) -> ProgressBar {
        if self.quiet || self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        bar
    }
}

fn request(what: &MoveArgs) -> MoveRequest {
    let MoveArgs { chats, all, from, kind, to, dry_run, keep, abort, forget, vacuum } = what;
    MoveRequest {
        chats: chats.clone(),
        to: to.as_ref().map(ToString::to_string),
        from: from.as_ref().map(ToString::to_string),
        all: *all,
        kind: kind.clone(),
        dry_run: *dry_run,
        keep: *keep,
        abort: *abort,
        forget: *forget,
        vacuum: *vacuum,
    }
}

fn outcome(MovesReport { moves, .. }: &MovesReport) -> Outcome {
    let is_done = |outcome| !matches!(outcome, MoveOutcome::Failed | MoveOutcome::Leftovers);
    let done = moves.iter().filter(|report| is_done(report.outcome)).count();
    let is_part = moves.iter().any(|report| report.outcome == MoveOutcome::Leftovers);
    match done {
        done if done == moves.len() => Outcome::Done,
        0 if !is_part => Outcome::Failed,
        _ => Outcome::DoneInPart,
    }
}
