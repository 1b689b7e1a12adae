//! What there is to be put back: a set that a backup made, or a file of one source; and looking at a copy as a whole
//! before anything is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::waiting::{reader, unreadable, waiting};
use crate::maintenance::Role;
use crate::maintenance::backup::file_in_set;
use crate::maintenance::copy::{self, Rows};
use crate::maintenance::error::MaintenanceError;
use crate::maintenance::manifest::{Manifest, PART};
use crate::maintenance::named;
use crate::maintenance::rotation::sets_in;
use crate::migrate;
use crate::route::SourceName;
use crate::source::{Moment, SourceConfig, describe};

/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there is to be put back: copies by the names of their sources.
#[derive(Clone, Debug)]
pub struct BackupSet {
    path: PathBuf,
    /// The copies of the sources.
    files: BTreeMap<SourceName, PathBuf>,
    /// The copies of what stood in for sources.
    stand_ins: BTreeMap<SourceName, PathBuf>,
    /// Files in which writes of sources may wait: stand-ins, and the default source's.
    journals: Vec<PathBuf>,
}

impl BackupSet {
    /// What is at a path: a folder that a backup made, or a database file, which is of the one source that is named.
    ///
    /// # Errors
    /// It is neither.
    pub fn open(path: &Path, source: Option<&SourceName>) -> Result<Self, MaintenanceError> {
        let refuse = |detail: &str| MaintenanceError::NoBackup { path: path.to_owned(), detail: detail.to_owned() };
        if !path.exists() {
            return Err(MaintenanceError::NothingThere { path: path.to_owned() });
        }
        let absolute = fs::canonicalize(path).map_err(|error| refuse(&error.to_string()))?;
        if !path.is_dir() {
            let source = source.ok_or_else(|| refuse("a file is of one source, which --source names"))?;
            if !path.is_file() {
                return Err(refuse("it is neither a file nor a folder"));
            }
            let files = BTreeMap::from([(source.clone(), absolute.clone())]);
            return Ok(Self { path: absolute, files, stand_ins: BTreeMap::new(), journals: Vec::new() });
        }
        if absolute.as_os_str().to_string_lossy().ends_with(PART) {
            return Err(refuse("it was not finished"));
        }
        let manifest = Manifest::read(&absolute).map_err(|error| match sets_in(path) {
            sets if sets.len() == 0 => refuse(&format!("its backup.json: {error}")),
            sets => MaintenanceError::HoldsBackups { path: path.to_owned(), sets: named(sets) },
        })?;
        let (mut files, mut stand_ins, mut journals) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for file in &manifest.files {
            let role = if file.stand_in { Role::StandIn } else { Role::Named };
            let Some(name) = file.source.parse().ok().filter(|name| file.file == file_in_set(role, name)) else {
                return Err(refuse("its backup.json names files that are none of a backup"));
            };
            let path = absolute.join(&file.file);
            if file.stand_in || file.default {
                journals.push(path.clone());
            }
            let copies = if file.stand_in { &mut stand_ins } else { &mut files };
            copies.insert(name, path);
        }
        Ok(Self { path: absolute, files, stand_ins, journals })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sources to be put back: those that are named, or all that it has copies of. Nothing would lead to what the
    /// chats of one that is not configured had.
    ///
    /// # Errors
    /// One is not configured.
    pub fn wanted<'a>(
        &self,
        named: &[SourceName],
        configured: &'a BTreeMap<SourceName, SourceConfig>,
    ) -> Result<Vec<&'a SourceConfig>, MaintenanceError> {
        let listed =
            |names: Vec<&SourceName>| names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if named.is_empty() {
            // (A stand-in may have been left by a source that was not configured any more when the set was made.)
            let others: Vec<_> = self.files.keys().filter(|name| !configured.contains_key(*name)).collect();
            if !others.is_empty() {
                return Err(MaintenanceError::NotConfigured { path: self.path.clone(), names: listed(others) });
            }
            return Ok(self.files.keys().filter_map(|name| configured.get(name)).collect());
        }
        let one = |name: &SourceName| {
            configured.get(name).ok_or_else(|| {
                let known = listed(configured.keys().collect());
                MaintenanceError::NoSource { name: name.to_string(), known }
            })
        };
        named.iter().map(one).collect()
    }

    /// The copies, those of stand-ins too, whose sources are not configured.
    pub(super) fn not_configured<'a>(
        &'a self,
        configured: &'a BTreeMap<SourceName, SourceConfig>,
    ) -> impl Iterator<Item = (&'a SourceName, &'a PathBuf)> + 'a {
        self.files.iter().chain(&self.stand_ins).filter(|(name, _)| !configured.contains_key(*name))
    }

    /// The copy of a source, looked at as a whole.
    pub(crate) fn checked(&self, name: &SourceName) -> Result<Checked, MaintenanceError> {
        let Some(path) = self.files.get(name) else {
            return Err(MaintenanceError::NotInBackup { path: self.path.clone(), name: name.to_string() });
        };
        let bad = |detail: String| MaintenanceError::BadBackup { path: path.clone(), detail };
        let moment = Moment::of(path, PATIENCE).map_err(|error| bad(error.to_string()))?;
        let connection = moment.connection();
        migrate::survey(path, connection, false).map_err(|error| bad(error.at(path, PATIENCE).to_string()))?;
        let failed = |error: rusqlite::Error| bad(describe(&error));
        if let Some(difference) = copy::difference(connection, moment.identity(), None).map_err(failed)? {
            return Err(bad(format!("it is damaged ({difference})")));
        }
        let rows = copy::count(connection).map_err(failed)?;
        // What waits there is made in the end: that it can be read is better known now.
        for journal in &self.journals {
            let bad = |error: rusqlite::Error| MaintenanceError::BadBackup {
                path: journal.clone(),
                detail: unreadable(&error),
            };
            if let Some(journal) = reader(journal).map_err(bad)? {
                waiting(&journal, name, 0).map_err(bad)?;
            }
        }
        let journals = self.journals.iter().filter(|journal| *journal != path).cloned().collect();
        Ok(Checked { moment, rows, journals })
    }
}

/// A copy that is fit to be put back.
pub(crate) struct Checked {
    pub(crate) moment: Moment,
    pub(super) rows: Rows,
    pub(super) journals: Vec<PathBuf>,
}
