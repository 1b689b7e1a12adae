//! Moving chats between sources and sealing files, while no bot runs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use config::Config;
use database::multi::{self, Control, MoveOptions};
use database::{ChatId, DatabaseWrapper, Form, Options};

use super::unknown;
use crate::control::moves::{Leaving, MoveOutcome, MoveReport};
use crate::databases::{DatabasesError, Moving, Step};

pub(in crate::databases) fn move_chats(
    config: &Config,
    chats: &[ChatId],
    what: &Moving<'_>,
    progress: &mut dyn FnMut(Step) -> ControlFlow<()>,
) -> Result<Vec<MoveReport>, DatabasesError> {
    let databases = &config.database;
    if databases.form == Form::SingleFile {
        return Err(DatabasesError::OneFile);
    }
    if let Moving::To(source)
    | Moving::Clearing(source)
    | Moving::Keeping(source)
    | Moving::Plan(source)
    | Moving::PlanKeeping(source) = what
        && !databases.sources.contains_key(source)
    {
        return Err(unknown(databases.sources.keys()).into());
    }
    if !databases.data_dir.is_dir() {
        return Err(DatabasesError::NoDataDir(databases.data_dir.clone()));
    }
    let (db, control) = DatabaseWrapper::open_multi(databases, Options::default())?;
    let mut is_broken_off = false;
    let mut reports = Vec::new();
    for chat in chats {
        if is_broken_off {
            break;
        }
        let tell = |now: multi::Progress| {
            let multi::Progress { stage, done, total, .. } = now;
            let go_on = progress(Step { chat: *chat, stage: stage.to_string(), done, total });
            is_broken_off |= go_on.is_break();
            go_on
        };
        let report = one(&control, *chat, what, tell).unwrap_or_else(|error| MoveReport {
            error: Some(error.to_string()),
            ..MoveReport::of(chat.0, MoveOutcome::Failed)
        });
        reports.push(report);
    }
    if matches!(what, Moving::Clearing(_)) {
        clear(&control, &mut reports);
    }
    db.close();
    Ok(reports)
}

/// Rewrites the files that chats have left, each once.
fn clear(control: &Control, reports: &mut [MoveReport]) {
    let mut rewritten = BTreeMap::new();
    for report in reports.iter_mut().filter(|report| report.outcome == MoveOutcome::Moved) {
        for Leaving { from, .. } in &report.chats {
            let done = rewritten.entry(from.clone()).or_insert_with(|| {
                let name = from.parse::<database::SourceName>().map_err(|error| error.to_string())?;
                control.vacuum(&name).map_err(|error| error.to_string())
            });
            if let Err(error) = done {
                report.outcome = MoveOutcome::Leftovers;
                report.error = Some(format!("the file of `{from}` could not be rewritten: {error}"));
            }
        }
    }
}

fn one(
    control: &Control,
    chat: ChatId,
    what: &Moving<'_>,
    tell: impl FnMut(multi::Progress) -> ControlFlow<()>,
) -> Result<MoveReport, multi::MoveError> {
    let leaving = |chats: Vec<(ChatId, database::SourceName)>| {
        chats.into_iter().map(|(chat, from)| Leaving { chat: chat.0, from: from.to_string() }).collect()
    };
    let lines = |mapping: &[multi::MappingChange]| mapping.iter().map(ToString::to_string).collect();
    let (to, keep) = match what {
        Moving::To(source) | Moving::Clearing(source) => (source, false),
        Moving::Keeping(source) => (source, true),
        Moving::Plan(source) | Moving::PlanKeeping(source) => {
            let keep = matches!(what, Moving::PlanKeeping(_));
            let plan = control.plan_move(chat, source, &MoveOptions { keep, ..MoveOptions::default() })?;
            return Ok(MoveReport {
                to: Some(plan.to.to_string()),
                rows: plan.rows.values().sum(),
                media: plan.media,
                bytes: Some(plan.bytes),
                mapping: lines(&plan.mapping),
                chats: leaving(plan.chats),
                ..MoveReport::of(chat.0, MoveOutcome::Planned)
            });
        }
        Moving::Abort => {
            let deleted = control.abort_move(chat, tell)?;
            return Ok(MoveReport { deleted, ..MoveReport::of(chat.0, MoveOutcome::Undone) });
        }
    };
    let (moved, outcome, error) =
        match control.move_chat(chat, to, &MoveOptions { keep, longest_step: None, ..MoveOptions::default() }, tell) {
            Err(error @ multi::MoveError::Leftovers { .. }) => {
                let text = error.to_string();
                let multi::MoveError::Leftovers { report, .. } = error else { return Err(error) };
                (*report, MoveOutcome::Leftovers, Some(text))
            }
            moved => (moved?, MoveOutcome::Moved, None),
        };
    Ok(MoveReport {
        to: Some(moved.to.to_string()),
        rows: moved.rows.values().sum(),
        media: moved.media,
        deleted: moved.deleted + moved.tidied,
        mapping: lines(&moved.mapping),
        chats: leaving(moved.chats),
        error,
        ..MoveReport::of(chat.0, outcome)
    })
}

pub(in crate::databases) fn seal(file: &Path, to: Option<&Path>) -> Result<PathBuf, DatabasesError> {
    multi::seal(file, to).map_err(|error| DatabasesError::Seal(error.to_string()))
}
