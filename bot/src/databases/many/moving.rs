//! Moving chats between sources, whether a bot runs or not, and sealing files.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Config;
use database::maintenance::{UnfinishedMove, in_use};
use database::multi::{self, Control, MappingChange, MoveOptions};
use database::{ChatId, ChatType, DatabaseWrapper, Form, Options, SourceName};

use super::{Many, unknown};
use crate::control::absolute;
use crate::control::moves::{Leaving, MoveOutcome, MoveReport, MoveRequest, MoveStep, MovesReport};
use crate::control::protocol::{Fault, FaultKind};
use crate::databases::DatabasesError;

/// How many rows are moved in a second, about: copied, compared and deleted.
const ROWS_A_SECOND: u64 = 20_000;
/// How many where others call meanwhile: in small steps, with rests.
const BESIDE_CALLS: u64 = 3_000;

/// How chats are moved.
struct Mover<'a> {
    control: &'a Control,
    what: &'a MoveRequest,
    to: Option<SourceName>,
    /// The configuration files, which are to say where the chats are.
    files: &'a [PathBuf],
    /// Has what the files say come into force, where others use the databases.
    reload: Option<&'a dyn Fn()>,
}

pub(in crate::databases) fn move_chats(
    config: &Config,
    what: &MoveRequest,
    progress: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
) -> Result<MovesReport, DatabasesError> {
    let databases = &config.database;
    if databases.form == Form::SingleFile {
        return Err(DatabasesError::OneFile);
    }
    let is_known = |name: &&String| databases.sources.keys().any(|known| known.as_str() == *name);
    if let Some(name) = [&what.to, &what.from].into_iter().flatten().find(|name| !is_known(name)) {
        return Err(unknown(name, databases.sources.keys()).into());
    }
    if !databases.data_dir.is_dir() {
        return Err(DatabasesError::NoDataDir(databases.data_dir.clone()));
    }
    if !what.dry_run && !what.abort {
        // A bot with sources would have been asked. One that works on one of the files alone would not learn where its chats
        // have gone.
        if let Some((path, process)) = in_use(databases.sources.values().map(|source| &*source.path)) {
            return Err(DatabasesError::InUse { process, path: path.to_owned() });
        }
    }
    let (db, control) = if what.dry_run {
        DatabaseWrapper::look_multi(databases, Options::default())?
    } else {
        DatabaseWrapper::open_multi(databases, Options::default())?
    };
    let moved = moved(&control, what, &config.files, None, progress);
    db.close();
    Ok(moved?)
}

impl Many {
    pub(super) fn moved(
        &self,
        what: &MoveRequest,
        tell: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
    ) -> Result<MovesReport, Fault> {
        let files: Vec<_> = self.files.iter().map(PathBuf::from).collect();
        let reload = || {
            // A wrong file stays without effect, as it does otherwise; its reader has said so.
            let _ = self.following.reload();
        };
        let report = moved(&self.control, what, &files, Some(&reload), tell)?;
        Ok(MovesReport { note: self.following.refusal(), ..report })
    }
}

/// Moves the chats that are meant, one after the other.
fn moved(
    control: &Control,
    what: &MoveRequest,
    files: &[PathBuf],
    reload: Option<&dyn Fn()>,
    tell: &mut dyn FnMut(MoveStep) -> ControlFlow<()>,
) -> Result<MovesReport, Fault> {
    let config = control.config();
    let named = |name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => match config.sources.keys().find(|known| known.as_str() == name) {
            Some(known) => Ok(Some(known.clone())),
            None => Err(unknown(name, config.sources.keys())),
        },
    };
    let (to, from) = (named(&what.to)?, named(&what.from)?);
    if to.is_none() && !what.abort {
        return Err(Fault::new(FaultKind::BadRequest, "where the chats go is missing (`to`)"));
    }
    let mover = Mover { control, what, to, files, reload };
    // The files that earlier moves have left are rewritten too.
    let left = if what.vacuum { control.unfinished_moves().map_err(|error| failed(&error))? } else { Vec::new() };
    let (chats, elsewhere) = mover.chats(from.as_ref())?;
    let (mut is_broken_off, mut moves) = (false, Vec::new());
    for chat in chats {
        if is_broken_off {
            break;
        }
        let tell = |now: multi::Progress| {
            let multi::Progress { stage, done, total, .. } = now;
            let can_be_undone = stage.can_be_undone();
            let go_on = tell(MoveStep { chat: chat.0, stage: stage.to_string(), can_be_undone, done, total });
            is_broken_off |= go_on.is_break();
            go_on
        };
        moves.push(mover.one(chat, tell).unwrap_or_else(|error| MoveReport {
            unknown: matches!(error, multi::MoveError::Unknown { .. }),
            error: Some(error.to_string()),
            ..MoveReport::of(chat.0, MoveOutcome::Failed)
        }));
    }
    if what.vacuum {
        clear(control, &mut moves, &left);
    }
    moves.extend(elsewhere.iter().map(|one| refused(control, one)));
    Ok(MovesReport { moves, note: None })
}

/// What is told of a chat whose move was broken off, and which is neither where it was nor where it was to go.
fn refused(control: &Control, broken_off: &UnfinishedMove) -> MoveReport {
    let UnfinishedMove { chat, from, to, is_switched, .. } = broken_off;
    let home = control.explain(*chat).source;
    // Undoing is about the copy, and there was one only before the switch.
    let how = if *is_switched { "--abort --forget" } else { "--abort" };
    let error = format!(
        "it lives in `{home}`, where it was mapped to after a move from `{from}` to `{to}` was broken off; give that move up \
         with `bot db move {chat} {how}`, or bring the chat to `{to}` with `bot db move {chat} --to {to}`"
    );
    MoveReport { error: Some(error), ..MoveReport::of(chat.0, MoveOutcome::Failed) }
}

/// Rewrites the files that chats have left, now or in a move that is at its end only now, each once.
fn clear(control: &Control, reports: &mut [MoveReport], earlier: &[UnfinishedMove]) {
    let mut rewritten = BTreeMap::new();
    for report in reports.iter_mut().filter(|report| report.outcome == MoveOutcome::Moved) {
        let together = control.goes_along(ChatId(report.chat));
        let earlier = earlier.iter().filter(|one| one.is_switched && together.contains(&one.chat));
        let files: Vec<_> = report.chats.iter().map(|one| &one.from).chain(earlier.map(|one| &one.from)).collect();
        for from in files {
            let done = rewritten.entry(from.clone()).or_insert_with(|| {
                let name = from.parse::<SourceName>().map_err(|error| error.to_string())?;
                control.vacuum(&name).map_err(|error| error.to_string())
            });
            if let Err(error) = done {
                report.outcome = MoveOutcome::Leftovers;
                report.error = Some(format!("the file of `{from}` could not be rewritten: {error}"));
            }
        }
    }
}

impl Mover<'_> {
    /// The chats that are meant: those that are named, or all of some kind and source that are not at their goal yet, or
    /// whose move there is not at its end; where moves are undone, all whose move is not. Beside them the moves there of
    /// chats that were mapped elsewhere since: these are not in the source that is meant.
    fn chats(&self, from: Option<&SourceName>) -> Result<(Vec<ChatId>, Vec<UnfinishedMove>), Fault> {
        let MoveRequest { chats, all, kind, abort, .. } = self.what;
        if !all && kind.is_none() {
            return Ok((chats.iter().copied().map(ChatId).collect(), Vec::new()));
        }
        let lives_there = |one: &UnfinishedMove| {
            let home = self.control.explain(one.chat).source;
            [&one.from, &one.to].iter().any(|name| home.as_str() == *name)
        };
        let (there, mut elsewhere): (Vec<_>, Vec<_>) =
            self.unfinished(from)?.into_iter().partition(|one| *abort || lives_there(one));
        let mut found: Vec<_> = there.into_iter().map(|one| one.chat).collect();
        if !abort {
            let there = self.control.chats_there(from).map_err(|error| failed(&error))?;
            let is_meant = |one: &multi::ChatThere| {
                self.is_of_kind(one.chat, one.kind.as_ref()) && self.to.as_ref() != Some(&one.source)
            };
            found.extend(there.into_iter().filter(is_meant).map(|one| one.chat));
        }
        let mut meant: Vec<ChatId> = Vec::new();
        for chat in found {
            // A group goes along with the supergroup that it became.
            let goes_along = self.control.goes_along(chat);
            if !meant.iter().any(|chat| goes_along.contains(chat)) {
                meant.push(chat);
            }
        }
        elsewhere.retain(|one| !self.control.goes_along(one.chat).iter().any(|chat| meant.contains(chat)));
        Ok((meant, elsewhere))
    }

    /// The moves from there to the goal that are not at their end, of chats of the kind that is meant: they may be at the
    /// goal.
    fn unfinished(&self, from: Option<&SourceName>) -> Result<Vec<UnfinishedMove>, Fault> {
        let mut found = Vec::new();
        for one in self.control.unfinished_moves().map_err(|error| failed(&error))? {
            let is_meant = from.is_none_or(|name| name.as_str() == one.from)
                && self.to.as_ref().is_none_or(|name| name.as_str() == one.to);
            if !is_meant {
                continue;
            }
            if self.what.kind.is_some() {
                let home = self.control.explain(one.chat).source;
                let there = self.control.chats_there(Some(&home)).map_err(|error| failed(&error))?;
                let there = there.into_iter().find(|there| there.chat == one.chat);
                let kind = there.and_then(|there| there.kind);
                if !self.is_of_kind(one.chat, kind.as_ref()) {
                    continue;
                }
            }
            found.push(one);
        }
        Ok(found)
    }

    /// Whether chats of this kind are meant.
    fn is_of_kind(&self, chat: ChatId, known: Option<&ChatType>) -> bool {
        self.what.kind.as_ref().is_none_or(|kind| match known {
            Some(known) => known.as_str() == kind,
            // People have positive ids.
            None => kind == "private" && chat.0 > 0,
        })
    }

    /// Whether a chat has left rows behind that its move has not deleted yet.
    fn has_left_rows(&self, chat: ChatId) -> Result<bool, multi::MoveError> {
        let together = self.control.goes_along(chat);
        Ok(self.control.unfinished_moves()?.iter().any(|one| one.is_switched && together.contains(&one.chat)))
    }

    fn one(
        &self,
        chat: ChatId,
        tell: impl FnMut(multi::Progress) -> ControlFlow<()>,
    ) -> Result<MoveReport, multi::MoveError> {
        let MoveRequest { dry_run, keep, .. } = *self.what;
        let leaving = |chats: Vec<(ChatId, SourceName)>| {
            chats.into_iter().map(|(chat, from)| Leaving { chat: chat.0, from: from.to_string() }).collect()
        };
        if self.what.abort && self.what.forget {
            self.control.forget_move(chat)?;
            return Ok(MoveReport::of(chat.0, MoveOutcome::Forgotten));
        }
        let Some(to) = self.to.as_ref().filter(|_| !self.what.abort) else {
            let deleted = self.control.abort_move(chat, tell)?;
            return Ok(MoveReport { deleted, ..MoveReport::of(chat.0, MoveOutcome::Undone) });
        };
        let usual = MoveOptions::default();
        // Where nobody else calls, nobody has to wait.
        let longest_step: Option<Duration> = usual.longest_step.filter(|_| self.reload.is_some());
        let options = MoveOptions { keep, longest_step, ..usual };
        if dry_run {
            let planned = |mapping: &[MappingChange]| report(chat, MoveOutcome::Planned, to, mapping);
            let plan = match self.control.plan_move(chat, to, &options) {
                Err(multi::MoveError::AlreadyThere { .. }) if self.has_left_rows(chat)? => return Ok(planned(&[])),
                Err(multi::MoveError::AlreadyThere { mapping, .. }) if !mapping.is_empty() => {
                    return Ok(planned(&mapping));
                }
                plan => plan?,
            };
            let rows = plan.rows.values().sum();
            let a_second = if longest_step.is_some() { BESIDE_CALLS } else { ROWS_A_SECOND };
            return Ok(MoveReport {
                makes: plan.is_new.then(|| self.path_of(to)).flatten(),
                freed: if keep || self.what.vacuum { 0 } else { plan.bytes },
                rows,
                unknown: plan.is_nowhere,
                media: plan.media,
                bytes: Some(plan.bytes),
                seconds: Some((rows + plan.media).div_ceil(a_second)),
                chats: leaving(plan.chats),
                ..planned(&plan.mapping)
            });
        }
        let (moved, outcome, error) = match self.control.move_chat(chat, to, &options, tell) {
            Err(error @ multi::MoveError::Leftovers { .. }) => {
                let text = error.to_string();
                let multi::MoveError::Leftovers { report, .. } = error else { return Err(error) };
                (*report, MoveOutcome::Leftovers, Some(text))
            }
            Err(ref error @ multi::MoveError::AlreadyThere { ref mapping, .. }) if !mapping.is_empty() => {
                return Ok(MoveReport {
                    written: self.write(mapping),
                    error: Some(error.to_string()),
                    ..report(chat, MoveOutcome::Mapped, to, mapping)
                });
            }
            moved => (moved?, MoveOutcome::Moved, None),
        };
        Ok(MoveReport {
            freed: if keep || self.what.vacuum || outcome != MoveOutcome::Moved { 0 } else { moved.bytes },
            rows: moved.rows.values().sum(),
            unknown: moved.is_nowhere,
            media: moved.media,
            deleted: moved.deleted + moved.tidied,
            tidied: moved.tidied,
            reread: moved.reread,
            waited_us: u64::try_from(moved.waited.as_micros()).unwrap_or(u64::MAX),
            written: self.write(&moved.mapping),
            chats: leaving(moved.chats),
            error,
            ..report(chat, outcome, to, &moved.mapping)
        })
    }

    /// The file of a source.
    fn path_of(&self, name: &SourceName) -> Option<String> {
        self.control.config().sources.get(name).map(|source| absolute(&source.path))
    }

    /// Has the configuration say where chats are, and answers in which files; `None` where nothing was written.
    fn write(&self, changes: &[MappingChange]) -> Option<String> {
        if changes.is_empty() || self.files.is_empty() {
            return None;
        }
        match config::write_mapping(self.files, changes) {
            Ok(files) if files.is_empty() => None,
            Ok(files) => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                tracing::info!(target: "database::audit", files = files.join(", "), "where chats were moved was written into the configuration");
                // At once: a move that came before would go by what the files said before, and leave them wrong.
                if let Some(reload) = self.reload {
                    reload();
                }
                Some(files.join(", "))
            }
            Err(error) => {
                tracing::warn!(%error, "where chats were moved has to be written into the configuration by hand");
                None
            }
        }
    }
}

fn failed(error: &multi::MoveError) -> Fault {
    Fault::new(FaultKind::Failed, error.to_string())
}

/// The beginning of what is told of a chat: where it goes, and what the configuration is to say of that.
fn report(chat: ChatId, outcome: MoveOutcome, to: &SourceName, mapping: &[MappingChange]) -> MoveReport {
    // The chats that are to have no line.
    let unmapped =
        |change: &MappingChange| if let MappingChange::Remove { chat } = change { Some(chat.0) } else { None };
    MoveReport {
        to: Some(to.to_string()),
        mapping: mapping.iter().map(ToString::to_string).collect(),
        unmapped: mapping.iter().filter_map(unmapped).collect(),
        ..MoveReport::of(chat.0, outcome)
    }
}

pub(in crate::databases) fn seal(file: &Path, to: Option<&Path>) -> Result<PathBuf, DatabasesError> {
    multi::seal(file, to).map_err(|error| DatabasesError::Seal(error.to_string()))
}
