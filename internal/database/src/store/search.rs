//! Searching the messages of a chat.
//!
//! A chat is scanned, newest message first, and its texts are compared in the program: no second copy of what was said
//! is kept for an index, and what "the same letter" means does not depend on the engine.

use std::borrow::Cow;
use std::ops::ControlFlow;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use memchr::memmem::Finder;

use super::GO_ON;
use super::messages::SELECT_MESSAGE;
use crate::error::Result;
use crate::ids::{ChatId, MessageId};
use crate::models::{FoundMessages, Search};
use crate::route::Route;
use crate::source::ToValue;
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
        self.on_topology(|topology| {
            let mut found = topology.read(op, Route::Chat(chat), |tx| {
                tx.snapshot()?;
                let mut ids: Vec<(ChatId, MessageId)> = Vec::new();
                if needles.is_empty() || categories.is_empty() || size == 0 {
                    return Ok(FoundMessages { messages: Vec::new(), more: false });
                }
                let mut hits = 0;
                let sql = select_texts(categories.len());
                // What was said before the chat became a supergroup came earlier.
                for chat in std::iter::once(chat).chain(self.earlier(chat)) {
                    let mut params = vec![chat.to_param()];
                    params.extend(categories.iter().map(ToValue::to_param));
                    tx.scan(&sql, &params, |row| {
                        let bad = |bad| tx.bad_value("chat_messages", &format!("of chat {chat}"), bad);
                        if needles.are_in(row.text("message_text").map_err(bad)?) {
                            hits += 1;
                            if hits > skip + size {
                                return Ok(ControlFlow::Break(()));
                            }
                            if hits > skip {
                                ids.push((chat, row.get("message_id").map_err(bad)?));
                            }
                        }
                        GO_ON
                    })?;
                }
                let mut messages = Vec::with_capacity(ids.len());
                for (chat, id) in &ids {
                    messages.extend(tx.query_one(SELECT_MESSAGE, params![chat, id])?);
                }
                Ok(FoundMessages { messages, more: hits > skip + size })
            })?;
            found.messages = topology.with_shared_media(op, chat, found.messages)?;
            Ok(found)
        })
    }
}

/// The texts of a chat's messages of so many categories. (As in the lists, those of unknown authors are left out.)
fn select_texts(categories: usize) -> String {
    let places: Vec<_> = (2..categories + 2).map(|place| format!("?{place}")).collect();
    format!(
        "SELECT m.message_id, m.message_text
         FROM chat_messages m
         WHERE m.chat_id = ?1
           AND m.message_category IN ({})
           AND EXISTS (SELECT 1 FROM chat_users u WHERE u.chat_id = m.chat_id AND u.user_id = m.user_id)
         ORDER BY m.date DESC, length(m.message_id) DESC, m.message_id DESC",
        places.join(", ")
    )
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
