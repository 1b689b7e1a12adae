//! What an import took, what it skipped and why.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use database::{ChatId, ChatType};

use super::ImportError;
use super::export::{SkippedChat, Summary, Unfit};
use crate::text::chart::{counted, fit, thousands};
use crate::text::sanitize::sanitize_line;

/// How wide the names of chats are shown at most.
const NAME_COLUMNS: usize = 32;

/// What became of a file.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its chats, in its order.
    pub chats: Vec<ChatReport>,
    /// Chats that could not be taken.
    pub skipped_chats: Vec<SkippedChat>,
    /// Records whose date is the exporting computer's local time, taken for UTC.
    pub local_dates: u64,
    /// Places where the file is no valid JSON in a way that is known and was understood.
    pub repairs: u64,
    /// Why it ended before the end of the file, where it did.
    pub error: Option<ImportError>,
}

/// What became of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatReport {
    /// The chat.
    pub chat: ChatId,
    /// What it is.
    pub chat_type: ChatType,
    /// What it is called.
    pub name: Option<String>,
    /// Messages stored now.
    pub new: u64,
    /// Messages that were there before.
    pub known: u64,
    /// Records that an earlier import from the same file dealt with.
    pub stored_before: u64,
    /// Service records: they told of titles, topics and people.
    pub service: u64,
    /// Records that could not be read: how many for each reason, and the line of the first.
    pub skipped: BTreeMap<Unfit, (u64, u64)>,
}

impl Report {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            chats: Vec::new(),
            skipped_chats: Vec::new(),
            local_dates: 0,
            repairs: 0,
            error: None,
        }
    }

    pub(super) fn take_summary(&mut self, summary: Summary) {
        self.skipped_chats = summary.skipped_chats;
        self.local_dates = summary.local_dates;
        self.repairs = summary.repairs;
    }

    fn total(&self, of: impl Fn(&ChatReport) -> u64) -> u64 {
        self.chats.iter().map(of).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.chats.is_empty() && self.skipped_chats.is_empty() {
            return if self.error.is_some() { Ok(()) } else { writeln!(f, "{}: no chats in it", self.path.display()) };
        }
        writeln!(f, "{}: {}", self.path.display(), counted(self.chats.len() as u64, "chat", "chats"))?;
        writeln!(f, "{:>16}  {:>9}  {:>9}  {:>9}  NAME", "CHAT", "NEW", "KNOWN", "SERVICE")?;
        for chat in &self.chats {
            let name = chat.name.as_deref().unwrap_or("(no name)");
            let name = fit(&sanitize_line(name), NAME_COLUMNS);
            let [new, known, service] = [chat.new, chat.known, chat.service].map(thousands);
            writeln!(f, "{:>16}  {new:>9}  {known:>9}  {service:>9}  {name}", chat.chat.to_string())?;
        }
        let new = counted(self.total(|chat| chat.new), "message", "messages");
        let service = counted(self.total(|chat| chat.service), "service record", "service records");
        writeln!(f, "Stored {new}; {service} told of people, titles and topics.")?;
        let known = self.total(|chat| chat.known);
        if known > 0 {
            writeln!(f, "Left {} as they were: they are stored already.", counted(known, "message", "messages"))?;
        }
        let before = self.total(|chat| chat.stored_before);
        if before > 0 {
            let records = counted(before, "record", "records");
            writeln!(
                f,
                "Passed over {records} that an earlier import from this file dealt with (--again offers them anew)."
            )?;
        }
        for chat in &self.chats {
            for (reason, (skipped, line)) in &chat.skipped {
                let records = counted(*skipped, "record", "records");
                writeln!(f, "Skipped {records} of chat {}: {reason} (the first in line {line}).", chat.chat)?;
            }
        }
        for SkippedChat { bare_id, reason, line, records } in &self.skipped_chats {
            let id = bare_id.map_or_else(String::new, |id| format!(" {id}"));
            let records = counted(*records, "record", "records");
            writeln!(f, "Skipped the chat{id} in line {line} with {records}: {reason}.")?;
        }
        if self.local_dates > 0 {
            let records = counted(self.local_dates, "record", "records");
            writeln!(f, "Took the local time of {records} for UTC: this old export tells no other.")?;
        }
        if self.repairs > 0 {
            let places = counted(self.repairs, "place", "places");
            writeln!(f, "Understood {places} that are not valid JSON, as Telegram Desktop writes them.")?;
        }
        Ok(())
    }
}
