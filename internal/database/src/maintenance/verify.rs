//! Verifying chats: each row is read as the bot reads it, and where a chat's rows are in more than one file, both sides
//! are compared to the last bit. Nothing is changed.

mod compare;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;

use super::error::MaintenanceError;
use super::manifest::NotCopied;
use super::{Role, Site, SiteFile, UnfinishedMove};
use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::{Found, Moment, describe};

pub use compare::{ChatCopy, RowDifference};
pub use values::BadRow;

/// How long locks of others are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many rows of a kind are named for a chat and a file.
const MOST_NAMED: usize = 50;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The chats, in order.
    pub chats: Vec<VerifiedChat>,
    /// The sources that could not be read, and why.
    pub missing: Vec<NotCopied>,
}

/// A chat that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifiedChat {
    /// The chat.
    pub chat: i64,
    /// The source that it lives in.
    pub home: String,
    /// How many rows it has there.
    pub rows: u64,
    /// How many rows have a value that the bot cannot read, in all files.
    pub bad_rows: u64,
    /// How many of these are where it lives, or in what stands in for that.
    pub bad_at_home: u64,
    /// The first of them.
    pub bad: Vec<BadRow>,
    /// The other files that have rows of it.
    pub copies: Vec<ChatCopy>,
    /// A move of it that is not at its end, and has left rows in one of these: nothing of them counts.
    pub unfinished: Option<UnfinishedMove>,
}

impl VerifyReport {
    /// Whether everything could be read, and what is elsewhere is at home just so.
    pub fn is_fine(&self) -> bool {
        self.missing.is_empty() && self.chats.iter().all(VerifiedChat::is_fine)
    }
}

impl VerifiedChat {
    /// Whether everything could be read, and what is elsewhere is at home just so.
    pub fn is_fine(&self) -> bool {
        let tells = |copy: &&ChatCopy| !self.is_unfinished(copy);
        self.bad_rows == 0 && self.copies.iter().filter(tells).all(|copy| copy.different + copy.only_there == 0)
    }

    /// Whether these are the rows that a move which is not at its end has left.
    pub fn is_unfinished(&self, copy: &ChatCopy) -> bool {
        self.unfinished.as_ref().is_some_and(|one| one.left_in() == copy.source)
    }
}

/// Reads chats row by row; all that have rows or are led to a source by name, where none is named. Each file is read as of
/// one moment.
///
/// # Errors
/// `tell`, which is told how many chats are done of how many, broke it off.
pub fn verify(
    site: &Site,
    chats: &[ChatId],
    tell: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<VerifyReport, MaintenanceError> {
    let mut report = VerifyReport::default();
    let mut files = Vec::new();
    for file in &site.files {
        let opened = match &file.look.found {
            Found::Nothing => continue,
            Found::Unusable { reason } => Err(reason.clone()),
            Found::Database(_) => Moment::of(&file.look.path, PATIENCE).map_err(|error| error.to_string()),
        };
        match opened {
            Ok(moment) => files.push((file, moment)),
            Err(reason) => report.missing.push(NotCopied { source: file.called(), reason }),
        }
    }
    let chats = if chats.is_empty() { all(site, &files, &mut report) } else { chats.iter().copied().collect() };
    for (done, chat) in chats.iter().enumerate() {
        if tell(done as u64, chats.len() as u64).is_break() {
            return Err(MaintenanceError::BrokenOff);
        }
        let found = one(site, &files, *chat, &mut report.missing);
        report.chats.push(found);
    }
    Ok(report)
}

/// All chats of which something is known.
fn all(site: &Site, files: &[(&SiteFile, Moment)], report: &mut VerifyReport) -> BTreeSet<ChatId> {
    let mut chats: BTreeSet<ChatId> = site.homes.keys().copied().collect();
    for (file, moment) in files {
        match compare::chats(moment.connection()) {
            Ok(found) => chats.extend(found),
            Err(error) => lacking(&mut report.missing, file, describe(&error)),
        }
    }
    chats
}

/// A file of which not everything could be read, told once.
fn lacking(missing: &mut Vec<NotCopied>, file: &SiteFile, reason: String) {
    let one = NotCopied { source: file.called(), reason };
    if !missing.contains(&one) {
        missing.push(one);
    }
}

fn one(site: &Site, files: &[(&SiteFile, Moment)], chat: ChatId, missing: &mut Vec<NotCopied>) -> VerifiedChat {
    let default = site.sources().next();
    let home = site.homes.get(&chat).or(default).cloned().unwrap_or_else(SourceName::primary);
    let mut found = VerifiedChat { chat: chat.0, home: home.to_string(), ..VerifiedChat::default() };
    let left = site.moves.iter().find(|one| one.chat == chat && one.left_in() != home.as_str());
    let is_left =
        |file: &SiteFile| file.role != Role::StandIn && left.is_some_and(|one| one.left_in() == file.name.as_str());
    let mut bad_elsewhere: BTreeMap<&SourceName, u64> = BTreeMap::new();
    // What a move has left lacks what comes later, or is gone already.
    for (file, moment) in files.iter().filter(|(file, _)| !is_left(file)) {
        let count = match file.role {
            Role::StandIn => &mut found.bad_at_home,
            _ if file.name == home => &mut found.bad_at_home,
            _ => bad_elsewhere.entry(&file.name).or_default(),
        };
        let mut bad = |row: BadRow| {
            *count += 1;
            if found.bad.len() < MOST_NAMED {
                found.bad.push(row);
            }
        };
        if let Err(error) = values::read(file, moment, chat, &mut bad) {
            lacking(missing, file, error.kind().to_string());
        }
    }
    found.bad_rows = found.bad_at_home + bad_elsewhere.values().sum::<u64>();
    // What a stand-in has is no copy: it comes home as writes.
    let sources: BTreeMap<_, _> = files
        .iter()
        .filter(|(file, _)| file.role != Role::StandIn)
        .map(|(file, moment)| (&file.name, (*file, moment)))
        .collect();
    let at_home = sources.get(&home);
    if let Some((file, moment)) = at_home {
        match compare::count(moment.connection(), chat) {
            Ok(rows) => found.rows = rows,
            Err(error) => lacking(missing, file, describe(&error)),
        }
    }
    for (file, moment) in sources.values().filter(|(file, _)| file.name != home) {
        let at_home = at_home.map(|(_, moment)| moment.connection());
        let most = if is_left(file) { 0 } else { MOST_NAMED };
        match compare::copy(&file.name, moment.connection(), at_home, chat, most) {
            Ok(copy) => {
                let bad_rows = bad_elsewhere.get(&file.name).copied().unwrap_or_default();
                found.copies.extend(copy.map(|copy| ChatCopy { bad_rows, ..copy }));
            }
            Err(error) => lacking(missing, file, describe(&error)),
        }
    }
    found.unfinished = left.filter(|one| found.copies.iter().any(|copy| copy.source == one.left_in())).cloned();
    found
}
