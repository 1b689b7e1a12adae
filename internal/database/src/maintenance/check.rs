//! Checking: is each file whole, its own, of this release's schema, set up as it should be, and nobody else's to read?
//! Nothing is made, migrated or written.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use super::finding::{Finding, Severity};
use super::{Role, Site, SiteFile};
use crate::migrate;
use crate::source::{Contents, Found, describe, folder_of, free_bytes, look_closer, may_write};

/// How many things of one kind are told of a file.
const MOST_TOLD: usize = 10;

/// What is asked of a check.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CheckOptions {
    /// So many bytes should be free on the disk of each file.
    pub least_free: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { least_free: 256 << 20 }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The files that were checked: the default source's, the others by name, then stand-ins.
    pub files: Vec<FileReport>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether nothing is wrong; what is only good to know is not.
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

/// A file that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// The source that it is, or stands in for.
    pub source: String,
    /// Whether it stands in for it.
    pub stand_in: bool,
    /// The file, absolute.
    pub path: String,
    /// Whether it could be read.
    pub readable: bool,
    /// The schema's version as earlier releases know it; `None` where it was not read.
    pub version: Option<i64>,
    /// The version of what this project adds.
    pub additions: Option<i64>,
    /// What the file alone is called.
    pub uuid: Option<String>,
    /// SQLite's journal mode.
    pub journal_mode: Option<String>,
    /// Its permissions, as `chmod` takes them.
    pub permissions: Option<String>,
    /// How many bytes it has, its log included.
    pub bytes: Option<u64>,
    /// How many bytes are free on its disk.
    pub free_bytes: Option<u64>,
    /// How many chats it knows.
    pub chats: Option<u64>,
    /// How many chats are led to it by name.
    pub routed: u64,
}

/// Checks all files of a site. Reads each as a whole, however long that takes.
pub fn check(site: &Site, options: CheckOptions) -> CheckReport {
    let mut report = CheckReport { files: Vec::new(), findings: site.findings.clone() };
    let data_dir = std::path::absolute(&site.data_dir).unwrap_or_else(|_| site.data_dir.clone());
    let (stand_ins, sources): (Vec<_>, Vec<_>) = site.files.iter().partition(|file| file.role == Role::StandIn);
    for file in sources.into_iter().chain(stand_ins) {
        let found = Checked::of(file, &data_dir, options);
        report.files.push(found.report);
        report.findings.extend(found.findings);
    }
    report.findings.sort();
    report
}

/// A file, and what is found wrong with it so far.
struct Checked<'a> {
    file: &'a SiteFile,
    report: FileReport,
    findings: Vec<Finding>,
}

impl<'a> Checked<'a> {
    fn of(file: &'a SiteFile, data_dir: &Path, options: CheckOptions) -> Self {
        let path = &file.look.path;
        let report = FileReport {
            source: file.name.to_string(),
            stand_in: file.role == Role::StandIn,
            path: path.display().to_string(),
            bytes: file.look.bytes,
            routed: file.routed,
            ..FileReport::default()
        };
        let mut checked = Self { file, report, findings: Vec::new() };
        match &file.look.found {
            Found::Nothing => checked.not_there_yet(data_dir),
            Found::Unusable { reason } => {
                let finding = Finding::of_message(Severity::Error, file.called(), reason);
                checked.findings.push(finding.at(path));
            }
            Found::Database(contents) => checked.read(contents),
        }
        checked.room(options.least_free);
        checked.permissions();
        checked
    }

    fn find(&mut self, severity: Severity, what: impl Into<String>, remedy: impl Into<String>) {
        let finding = Finding::new(severity, self.file.called(), what).with_remedy(remedy);
        self.findings.push(finding.at(&self.file.look.path));
    }

    /// There is no file yet. Whether one can be made is looked at as far as that can be seen without making it.
    fn not_there_yet(&mut self, data_dir: &Path) {
        let folder = folder_of(&self.file.look.path);
        // (The data folder is made by a bot that is started.)
        if !folder.is_dir() && !data_dir.starts_with(&folder) {
            let what = format!("there is no file yet, and its folder {} is not there", folder.display());
            self.find(Severity::Error, what, "create the folder, or correct the path");
        } else if folder.is_dir() && !may_write(&folder) {
            let what = format!("there is no file yet, and this user cannot write in its folder {}", folder.display());
            self.find(Severity::Error, what, "change the folder's owner or mode, or correct the path");
        } else {
            self.find(Severity::Note, "there is no file yet, and a bot makes it", "");
        }
    }

    fn read(&mut self, contents: &Contents) {
        let Contents { version, additions, uuid, chats } = contents;
        (self.report.version, self.report.additions) = (Some(*version), Some(*additions));
        (self.report.uuid, self.report.chats) = (uuid.clone(), Some(*chats));
        let seen = look_closer(&self.file.settings);
        let Some(connection) = seen.unhurried() else {
            let reason = if let Found::Unusable { reason } = &seen.look.found { reason } else { "it is gone" };
            return self.find(Severity::Error, format!("it cannot be read any more: {reason}"), "");
        };
        self.report.readable = true;
        if let Err(error) = self.look_inside(connection) {
            let is_damage = matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            );
            let what = if is_damage { "it is damaged" } else { "it cannot be read as a whole" };
            let what = format!("{what} ({})", describe(&error));
            self.find(Severity::Error, what, "restore a backup, or recover what is left with `sqlite3 FILE .recover`");
        }
        let (latest, ours) = migrate::latest();
        if !self.file.settings.readonly && (*version, *additions) != (latest, ours) {
            let what = format!(
                "its schema has version {version} with additions {additions}, and this release's has {latest} with {ours}"
            );
            self.find(
                Severity::Warning,
                what,
                "bring it up to date with `bot db migrate`; a bot does it when it opens it",
            );
        }
        if uuid.is_none() && !self.file.settings.readonly && *additions > 0 {
            self.find(Severity::Error, "it has no identity: its uuid was deleted", "restore a backup");
        }
    }

    fn look_inside(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        // What others write meanwhile is not seen by halves.
        connection.execute_batch("BEGIN")?;
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode != "wal" && !self.file.settings.readonly {
            let what = format!("its journal mode is `{mode}` and not `wal`, as another program may have set it");
            self.find(Severity::Warning, what, "nothing, if a bot is to open it: that sets it");
        }
        self.report.journal_mode = Some(mode);
        let (mut wrong, broken_off) = verdicts(connection)?;
        wrong.retain(|line| line != "ok");
        for line in wrong {
            let what = format!("it is damaged ({line})");
            self.find(Severity::Error, what, "restore a backup, or recover what is left with `sqlite3 FILE .recover`");
        }
        if let Some(error) = broken_off {
            return Err(error);
        }
        for line in broken_references(connection)? {
            self.find(Severity::Error, line, "delete the row with `sqlite3`, or put back what it refers to");
        }
        connection.execute_batch("COMMIT")
    }

    /// Whether there is room on the disk.
    fn room(&mut self, least: u64) {
        let Some(free) = free_bytes(&folder_of(&self.file.look.path)) else { return };
        self.report.free_bytes = Some(free);
        if free < least {
            let (free, least) = (free >> 20, least >> 20);
            let what = format!("its disk has {free} MiB free, less than {least} MiB");
            self.find(Severity::Warning, what, "make room before writes are refused");
        }
    }

    /// Whether others can read or write it.
    fn permissions(&mut self) {
        let path = &self.file.look.path;
        let Ok(found) = std::fs::metadata(path) else { return };
        let mode = found.mode() & 0o777;
        self.report.permissions = Some(format!("{mode:o}"));
        // Nobody comes to a file through a folder that they cannot enter.
        let folder = std::fs::metadata(folder_of(path)).map_or(0o777, |folder| folder.mode());
        if folder & 0o001 == 0 {
            return;
        }
        let what = match (mode & 0o002 != 0, mode & 0o004 != 0) {
            (true, _) => "every user of this machine can write it",
            (false, true) => "every user of this machine can read it",
            (false, false) => return,
        };
        self.find(Severity::Warning, format!("{what} (mode {mode:o})"), format!("`chmod 600 {}`", path.display()));
    }
}

/// What SQLite says of the file, and what it met where it could not go on.
fn verdicts(connection: &Connection) -> rusqlite::Result<(Vec<String>, Option<rusqlite::Error>)> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST_TOLD})"))?;
    let mut rows = statement.query([])?;
    let mut verdicts = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => verdicts.push(row.get(0)?),
            Ok(None) => return Ok((verdicts, None)),
            Err(error) => return Ok((verdicts, Some(error))),
        }
    }
}

/// Rows that refer to rows which are not there, as far as the schema says so.
fn broken_references(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let rowid = rowid.map_or_else(|| "without a number".to_owned(), |rowid| rowid.to_string());
        found.push(format!("the row {rowid} of {table} refers to a row of {parent} that is not there"));
        if found.len() == MOST_TOLD {
            break;
        }
    }
    Ok(found)
}
