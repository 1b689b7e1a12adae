//! Backups: a set of copies of all databases, made while they are in use.
//!
//! Each copy is of one moment, and they are not of the same one. What that could mean is looked at: chats that moved
//! meanwhile have their sources copied again.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::copy::{self, CopyError, Tell};
use super::error::MaintenanceError;
use super::folder::{self, Ready};
use super::manifest::{BackupFile, Manifest, NotCopied, PART, STAND_INS, stamp};
use super::rotation::{self, rotate};
use super::{Homes, Role, Site, SiteFile};
use crate::ids::ChatId;
use crate::migrate;
use crate::route::SourceName;
use crate::source::{Found, Moment, create_new, describe, free_bytes};
use crate::time::Timestamp;

/// How often the sources of chats that move are copied.
const TRIES: usize = 3;
/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a set takes besides its copies, in bytes.
const BESIDES: u64 = 1 << 20;

/// What a backup is made of.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// The sources that are copied, with their stand-ins; all where none is named.
    pub sources: Vec<SourceName>,
    /// How many sets of the same sources are kept; all where it is not said.
    pub keep: Option<usize>,
}

/// How far a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// The file that is copied.
    pub file: String,
    /// How many pages of it are.
    pub done: u64,
    /// How many it has.
    pub total: u64,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// The folder.
    pub path: String,
    /// The folder that it is in, where that was made for it; else null.
    pub created: Option<String>,
    /// What it has, and what it lacks.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The older sets that were removed.
    pub removed: Vec<String>,
    /// The older sets that were to be removed and stay, and why.
    pub left: Vec<String>,
}

impl BackupReport {
    /// Whether all is done that was asked for.
    pub fn is_whole(&self) -> bool {
        self.manifest.is_whole() && self.left.is_empty()
    }
}

/// Makes a set of copies in a folder, which is made where only it is missing: `YYYYMMDDTHHMMSSZ/NAME.db` for each source,
/// `YYYYMMDDTHHMMSSZ/standin/NAME.db` for each stand-in, and `backup.json`. Nobody who writes waits meanwhile. The set has
/// its name only once every copy is verified and on disk. A source that cannot be copied is named in the answer.
///
/// # Errors
/// Nothing could be copied, there is too little room, the folder cannot be written, or `tell` broke it off. No set is
/// left then.
pub fn backup(
    site: &Site,
    folder: &Path,
    options: &BackupOptions,
    now: Timestamp,
    tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<BackupReport, MaintenanceError> {
    if let Some(unknown) = options.sources.iter().find(|name| !site.sources().any(|known| known == *name)) {
        let known = site.sources().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        return Err(MaintenanceError::NoSource { name: unknown.to_string(), known });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| MaintenanceError::Folder { path, error }
    };
    let Ready { path: folder, is_new } = folder::prepare(folder)?;
    let folder = folder.as_path();
    rotation::remove_unfinished(folder);
    room(site, folder, options)?;
    let (part, finished) = begin(folder, now).map_err(failed(folder))?;
    let mine = folder::claim(&part).map_err(failed(&part))?;
    let asked = options.sources.iter().map(ToString::to_string).collect();
    let mut set = Set { folder: part, options, manifest: Manifest::new(now, &site.data_dir, asked) };
    let made = set.fill(site, tell).and_then(|()| set.finish(&finished));
    if let Err(error) = made {
        drop(set);
        drop(mine);
        rotation::remove_unfinished(folder);
        return Err(error);
    }
    drop(mine);
    let manifest = set.manifest;
    let rotated = options.keep.map(|keep| rotate(folder, &manifest, &finished, keep.max(1))).unwrap_or_default();
    let (path, created) = (finished.display().to_string(), is_new.then(|| folder.display().to_string()));
    Ok(BackupReport { path, created, manifest, removed: rotated.removed, left: rotated.left })
}

/// Refuses where the disk has too little room.
fn room(site: &Site, folder: &Path, options: &BackupOptions) -> Result<(), MaintenanceError> {
    let bytes = site.files.iter().filter(|file| is_wanted(options, file)).filter_map(|file| file.look.bytes);
    let needed = bytes.sum::<u64>() + BESIDES;
    match free_bytes(folder) {
        Some(free) if free < needed => Err(MaintenanceError::NoRoom { path: folder.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

fn is_wanted(options: &BackupOptions, file: &SiteFile) -> bool {
    options.sources.is_empty() || options.sources.contains(&file.name)
}

/// Makes the folder of a set that is not finished; answers with the name that it will have, too.
fn begin(folder: &Path, now: Timestamp) -> io::Result<(PathBuf, PathBuf)> {
    let stamp = stamp(now);
    for number in rotation::next_number(folder, &stamp).. {
        let name = if number == 1 { stamp.clone() } else { format!("{stamp}-{number}") };
        let (part, finished) = (folder.join(format!("{name}{PART}")), folder.join(&name));
        match DirBuilder::new().mode(0o700).create(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| (part, finished)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A set that is being made.
struct Set<'a> {
    folder: PathBuf,
    options: &'a BackupOptions,
    manifest: Manifest,
}

impl Set<'_> {
    /// Copies everything, and what moved meanwhile again.
    fn fill(
        &mut self,
        site: &Site,
        tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
    ) -> Result<(), MaintenanceError> {
        let mut again: Option<BTreeSet<SourceName>> = None;
        for _ in 0..TRIES {
            let mut moves = Moves::from_now(site);
            self.copy(site, &mut moves, tell, |file| again.as_ref().is_none_or(|again| again.contains(&file.name)))?;
            moves.look();
            self.manifest.moved = moves.chats.iter().map(|chat| chat.0).collect();
            if moves.chats.is_empty() {
                break;
            }
            // The default source knows of it.
            again = Some(moves.places.into_iter().chain(site.sources().next().cloned()).collect());
        }
        if self.manifest.files.is_empty() {
            let reason = |one: &NotCopied| format!("{}: {}", one.source, one.reason);
            let mut reasons: Vec<_> = self.manifest.missing.iter().map(reason).collect();
            if reasons.is_empty() {
                reasons.push("there is no database yet".to_owned());
            }
            return Err(MaintenanceError::NothingCopied { reasons: reasons.join("\n") });
        }
        Ok(())
    }

    /// Copies those of the files that are wanted, in their order.
    fn copy(
        &mut self,
        site: &Site,
        moves: &mut Moves<'_>,
        tell: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
        wanted: impl Fn(&SiteFile) -> bool,
    ) -> Result<(), MaintenanceError> {
        for file in site.files.iter().filter(|file| is_wanted(self.options, file) && wanted(file)) {
            let name = file_in_set(file.role, &file.name);
            let mut told = |done, total| tell(BackupProgress { file: name.clone(), done, total });
            let answer = match &file.look.found {
                Found::Nothing => continue,
                Found::Unusable { reason } => Err(reason.clone()),
                Found::Database(_) => self.copy_one(file, &name, moves, &mut told)?,
            };
            match answer {
                Ok(copied) => {
                    self.manifest.files.retain(|earlier| earlier.file != copied.file);
                    self.manifest.missing.retain(|earlier| earlier.source != file.called());
                    self.manifest.files.push(copied);
                }
                // It came home meanwhile, and is in the copy of its home, which comes later.
                Err(_) if file.role == Role::StandIn && !file.look.path.exists() => {}
                Err(reason) => {
                    // An earlier copy is of before the move: it would not fit the others.
                    self.manifest.files.retain(|earlier| earlier.file != name);
                    let source = file.called();
                    self.manifest.missing.retain(|earlier| earlier.source != source);
                    self.manifest.missing.push(NotCopied { source, reason });
                }
            }
        }
        Ok(())
    }

    /// Copies a file. What fails at the file itself is the inner answer; the outer one ends the backup.
    fn copy_one(
        &self,
        file: &SiteFile,
        name: &str,
        moves: &mut Moves<'_>,
        tell: &mut Tell<'_>,
    ) -> Result<Result<BackupFile, String>, MaintenanceError> {
        let target = self.folder.join(name);
        let moment = match Moment::of(&file.look.path, PATIENCE) {
            Ok(moment) => moment,
            Err(error) => return Ok(Err(error.to_string())),
        };
        moves.look();
        let made = match file.role {
            Role::StandIn => DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join(STAND_INS)),
            Role::Default | Role::Named => Ok(()),
        };
        let removed = match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let made = made.and(removed).and_then(|()| create_new(&target));
        made.map_err(|error| MaintenanceError::Folder { path: target.clone(), error })?;
        let copied = copy::copy(&moment, &target, tell).and_then(|()| Ok(described(file, name, &moment, &target)?));
        let answer = match copied {
            Ok(Ok(copied)) => Ok(copied),
            Ok(Err(difference)) => Err(format!("its copy is not the same ({difference}); look at the disks")),
            Err(CopyError::BrokenOff) => return Err(MaintenanceError::BrokenOff),
            Err(CopyError::Sqlite(error)) => Err(format!("it could not be copied ({})", describe(&error))),
        };
        if answer.is_err() {
            // Half a copy helps nobody. Where it cannot be removed the manifest does not name it.
            let _ = fs::remove_file(&target);
        }
        Ok(answer)
    }

    /// Gives the set its name, once all of it is on disk.
    fn finish(&mut self, finished: &Path) -> Result<(), MaintenanceError> {
        self.manifest.files.sort_by(|one, other| (one.stand_in, &one.file).cmp(&(other.stand_in, &other.file)));
        let failed = |error| MaintenanceError::Folder { path: self.folder.clone(), error };
        self.manifest.write(&self.folder).map_err(failed)?;
        let stand_ins = self.folder.join(STAND_INS);
        if stand_ins.exists() {
            folder::sync(&stand_ins).map_err(failed)?;
        }
        folder::sync(&self.folder).map_err(failed)?;
        fs::rename(&self.folder, finished).map_err(failed)?;
        finished.parent().map_or(Ok(()), folder::sync).map_err(failed)
    }
}

/// What a copy is, or how it differs from what it was made of.
fn described(
    file: &SiteFile,
    name: &str,
    moment: &Moment,
    target: &Path,
) -> rusqlite::Result<Result<BackupFile, String>> {
    let rows = copy::count(moment.connection())?;
    let made = copy::reader(target)?;
    if let Some(difference) = copy::difference(&made, moment.identity(), Some(&rows))? {
        return Ok(Err(difference));
    }
    let Ok(survey) = migrate::survey(target, &made, false) else {
        return Ok(Err("its versions cannot be read".to_owned()));
    };
    Ok(Ok(BackupFile {
        file: name.to_owned(),
        source: file.name.to_string(),
        stand_in: file.role == Role::StandIn,
        default: file.role == Role::Default,
        uuid: moment.identity().uuid.clone(),
        version: survey.version,
        additions: survey.additions,
        bytes: fs::metadata(target).map_or(0, |found| found.len()),
        rows: rows.values().sum(),
    }))
}

/// Where in a set a source's copy is.
pub(super) fn file_in_set(role: Role, name: &SourceName) -> String {
    match role {
        Role::StandIn => format!("{STAND_INS}/{name}.db"),
        Role::Default | Role::Named => format!("{name}.db"),
    }
}

/// The chats that are led elsewhere than in the beginning at one of the moments that copies are of. One that came back
/// in between is not among them, and need not be: at each of these moments it was where it is in the end.
struct Moves<'a> {
    site: &'a Site,
    before: Option<Homes>,
    chats: BTreeSet<ChatId>,
    /// Where they are and were.
    places: BTreeSet<SourceName>,
}

impl<'a> Moves<'a> {
    fn from_now(site: &'a Site) -> Self {
        Self { site, before: (site.homes_now)(), chats: BTreeSet::new(), places: BTreeSet::new() }
    }

    /// Looks at where chats are led now. Where nobody can say, none is known to have moved.
    fn look(&mut self) {
        let (Some(before), Some(now)) = (&self.before, (self.site.homes_now)()) else { return };
        for chat in before.keys().chain(now.keys()).filter(|chat| before.get(chat) != now.get(chat)) {
            self.chats.insert(*chat);
            self.places.extend([before.get(chat), now.get(chat)].into_iter().flatten().cloned());
        }
    }
}
