//! Searching the messages of a chat.
//!
//! A chat is scanned, newest message first, and its texts are compared in the program: no second copy of what was said
//! is kept for an index, and what "the same letter" means does not depend on the engine.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use memchr::memmem::Finder;

use super::GO_ON;
use super::messages::SELECT_MESSAGE;
use crate::error::Result;
use crate::ids::{ChatId, MessageId, UserId};
use crate::models::{FoundMessages, MessageCategory, Search};
use crate::route::Route;
use crate::source::ReadTx;
use crate::time::Timestamp;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// The messages of a chat that contain all of the words, newest first; cases are compared by Unicode's full case
    /// folding.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn search_messages(&self, chat: ChatId, search: Search<'_>) -> Result<FoundMessages> {
        let Search { words, categories, page } = search;
        let mut needles = Needles::new(words);
        let (skip, size) = (page.number as usize * page.size as usize, page.size as usize);
        let op = "search.search_messages";
        self.reading(Route::Chat(chat), |topology| {
            let mut found = topology.read(op, Route::Chat(chat), |tx| {
                tx.snapshot()?;
                let mut hits = Vec::new();
                if !needles.is_empty() && !categories.is_empty() && size > 0 {
                    // What was said before the chat became a supergroup came earlier.
                    for chat in std::iter::once(chat).chain(self.earlier(chat)) {
                        find(tx, chat, categories, &mut needles, skip + size, &mut hits)?;
                    }
                }
                let more = hits.len() > skip + size;
                let mut messages = Vec::with_capacity(size.min(hits.len()));
                for Hit { chat, id, .. } in hits.iter().skip(skip).take(size) {
                    messages.extend(tx.query_one(SELECT_MESSAGE, params![chat, id])?);
                }
                Ok(FoundMessages { messages, more })
            })?;
            found.messages = topology.with_shared_media(op, chat, found.messages)?;
            Ok(found)
        })
    }
}

/// A message that contains what is looked for.
struct Hit {
    chat: ChatId,
    date: Timestamp,
    id: MessageId,
}

/// Adds a chat's hits, newest first, until there are more than enough.
///
/// All but the texts is looked at for hits only, and their order within a second is made here: it is most of a scan's
/// cost to have SQLite do that for every message.
fn find(
    tx: &ReadTx<'_>,
    chat: ChatId,
    categories: &[MessageCategory],
    needles: &mut Needles,
    enough: usize,
    hits: &mut Vec<Hit>,
) -> Result<()> {
    let first = hits.len();
    // As in the lists, messages of authors whom the chat does not know are left out.
    let mut known: HashMap<UserId, bool> = HashMap::new();
    let sql = "SELECT message_text, message_id, date, user_id, message_category
               FROM chat_messages
               WHERE chat_id = ?1
               ORDER BY date DESC";
    tx.scan(sql, params![chat], |row| {
        let bad = |bad| tx.bad_value("chat_messages", &format!("of chat {chat}"), bad);
        if !needles.are_in(row.text("message_text").map_err(bad)?) {
            return GO_ON;
        }
        let id = row.get("message_id").map_err(bad)?;
        let date = row.get("date").map_err(bad)?;
        let author: UserId = row.get("user_id").map_err(bad)?;
        let category: MessageCategory = row.get("message_category").map_err(bad)?;
        // Of one second all have to be seen before it is known which come first.
        if hits.len() > enough && hits.last().is_some_and(|last| last.date != date) {
            return Ok(ControlFlow::Break(()));
        }
        let is_known = match known.get(&author) {
            Some(is_known) => *is_known,
            None => {
                let sql = "SELECT 1 FROM chat_users WHERE chat_id = ?1 AND user_id = ?2";
                let is_known = tx.value::<i64>("chat_users", sql, params![chat, author])?.is_some();
                known.insert(author, is_known);
                is_known
            }
        };
        if is_known && categories.contains(&category) {
            hits.push(Hit { chat, date, id });
        }
        GO_ON
    })?;
    let length = |hit: &Hit| hit.id.as_str().chars().count();
    hits[first..].sort_by(|one, other| {
        other.date.cmp(&one.date).then(length(other).cmp(&length(one))).then_with(|| other.id.cmp(&one.id))
    });
    Ok(())
}

/// The words that are looked for.
struct Needles {
    folder: CaseMapperBorrowed<'static>,
    finders: Vec<Finder<'static>>,
    /// Room for the text that is being looked at, used again for each.
    folded: String,
}

impl Needles {
    fn new(words: &[&str]) -> Self {
        let folder = CaseMapper::new();
        let folded = words.iter().map(|word| folder.fold_string(word)).filter(|word| !word.is_empty());
        let finders = folded.map(|word| Finder::new(word.as_bytes()).into_owned()).collect();
        Self { folder, finders, folded: String::new() }
    }

    fn is_empty(&self) -> bool {
        self.finders.is_empty()
    }

    fn are_in(&mut self, text: &str) -> bool {
        let folded: Cow<'_, str> = if text.is_ascii() {
            self.folded.clear();
            self.folded.push_str(text);
            self.folded.make_ascii_lowercase();
            Cow::Borrowed(&self.folded)
        } else {
            self.folder.fold_string(text)
        };
        self.finders.iter().all(|finder| finder.find(folded.as_bytes()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_are_found_whatever_their_case_in_any_script() {
        let finds = |words: &[&str], text| Needles::new(words).are_in(text);
        assert!(finds(&["WORLD", "hello"], "Hello, world"));
        assert!(!finds(&["hello", "mars"], "Hello, world"));
        assert!(finds(&["STRASSE"], "Große Straße"));
        assert!(finds(&["ΣΊΣΥΦΟΣ"], "ο Σίσυφος"));
        assert!(finds(&["öl"], "ÖLWECHSEL"));
        assert!(finds(&["\u{212a}elvin"], "kelvin"));
        assert!(Needles::new(&["", " "]).is_empty() || finds(&[" "], "a b"));
    }
}
