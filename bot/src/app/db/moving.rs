//! `bot db move` and `bot db seal`, which work while no bot runs on these databases.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::Path;

use database::ChatId;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Db, PATIENCE, Whom, ask, tell};
use crate::app::{AppError, Outcome};
use crate::cli::MoveArgs;
use crate::control::absolute;
use crate::control::moves::{MoveOutcome, MoveReport};
use crate::control::protocol::Command;
use crate::databases::{self, Moving, Step};
use crate::transport::signals::{HangUp, StopSignals};

/// What `bot db move --json` prints.
#[derive(Serialize)]
struct Moves {
    moves: Vec<MoveReport>,
}

/// What `bot db seal --json` prints.
#[derive(Serialize)]
struct Sealed {
    path: String,
}

impl Db {
    pub(super) fn move_chats(&self, whom: Whom<'_>, what: &MoveArgs) -> Result<Outcome, AppError> {
        let MoveArgs { chats, to, dry_run, keep, vacuum, .. } = what;
        let moving = match to {
            None => Moving::Abort,
            Some(to) if *dry_run && *keep => Moving::PlanKeeping(to),
            Some(to) if *dry_run => Moving::Plan(to),
            Some(to) if *keep => Moving::Keeping(to),
            Some(to) if *vacuum => Moving::Clearing(to),
            Some(to) => Moving::To(to),
        };
        let config = match whom {
            Whom::Files(config, _) => config,
            Whom::Bot(client, _) => {
                let to = to.as_ref().map(ToString::to_string).unwrap_or_default();
                // It says what has to be done first.
                return ask(client, Command::Move { chats: chats.clone(), to }, PATIENCE, |_| None);
            }
        };
        let signals = StopSignals::watch(HangUp::Stops).map_err(AppError::Signals)?;
        let bar = self.bar();
        let mut progress = |step: Step| {
            bar.set_length(step.total);
            bar.set_position(step.done);
            bar.set_message(format!("chat {}: {}", step.chat, step.stage));
            if signals.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let named: Vec<ChatId> = chats.iter().copied().map(ChatId).collect();
        let moves = databases::move_chats(config, &named, &moving, &mut progress);
        bar.finish_and_clear();
        let moves = moves?;
        let is_done = |outcome| !matches!(outcome, MoveOutcome::Failed | MoveOutcome::Leftovers);
        let done = moves.iter().filter(|report| is_done(report.outcome)).count();
        let is_part = moves.iter().any(|report| report.outcome == MoveOutcome::Leftovers);
        self.tell(&Moves { moves }, |Moves { moves }| tell::moves(moves))?;
        Ok(match done {
            0 if !is_part => Outcome::Failed,
            done if done == chats.len() => Outcome::Done,
            _ => Outcome::DoneInPart,
        })
    }

    pub(super) fn seal(&self, file: &Path, copy: Option<&Path>) -> Result<Outcome, AppError> {
        let path = absolute(&databases::seal(file, copy)?);
        self.tell(&Sealed { path }, |Sealed { path }| tell::sealed(path))?;
        Ok(Outcome::Done)
    }

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
