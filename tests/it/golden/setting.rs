//! What the golden calls are made on: one file, and with the feature one source and six of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use database::DatabaseWrapper;

use crate::support::{HandClock, Scratch, open_with, rows};

/// Databases that answer as one file does.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    /// As earlier releases did; in both builds.
    OneFile,
    /// Behind the router, which has one source.
    #[cfg(feature = "multi-source")]
    OneSource,
    /// Behind the router, with the chats spread so that each source holds rows.
    #[cfg(feature = "multi-source")]
    SixSources,
}

/// Databases that were opened in a [`Setting`].
pub(super) struct Opened {
    scratch: Scratch,
    /// The files that hold rows when all golden calls are made.
    files: Vec<&'static str>,
    pub(super) db: DatabaseWrapper,
}

impl Setting {
    pub(super) fn open(self, clock: &HandClock) -> Opened {
        let scratch = Scratch::new();
        match self {
            Self::OneFile => {
                let db = open_with(&scratch.file("bot.db"), clock.options());
                Opened { scratch, files: vec!["bot.db"], db }
            }
            #[cfg(feature = "multi-source")]
            Self::OneSource => many::open(scratch, &["bot"], &[], clock),
            #[cfg(feature = "multi-source")]
            Self::SixSources => {
                let opened = many::open(scratch, &many::SIX, &many::MAPPING, clock);
                many::fill_the_sixth(&opened.db);
                opened
            }
        }
    }
}

impl Opened {
    /// The rows of a table in all files.
    pub(super) fn rows(&self, table: &str) -> Vec<String> {
        let mut found: Vec<_> =
            self.files.iter().flat_map(|file| rows(&self.scratch.file(file)).remove(table).unwrap()).collect();
        found.sort();
        found
    }

    /// Fails where a file holds nothing but what it says of itself.
    pub(super) fn each_file_holds_rows(&self) {
        for file in &self.files {
            let path: PathBuf = self.scratch.file(file);
            let mut held: BTreeMap<_, _> = rows(&path);
            held.retain(|table, rows| !table.starts_with("switchyard_") && table != "settings" && !rows.is_empty());
            assert!(!held.is_empty(), "{file} holds no rows");
        }
    }
}

#[cfg(feature = "multi-source")]
mod many {
    use database::{ChatId, ChatType, NewChatInfo, NewMessage, UserId};

    use super::*;
    use crate::multi::config_of;

    pub(super) const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    /// Of whom no golden call asks: the golden calls write to four chats, and what is shared is a fifth source's.
    const BYSTANDER: i64 = 9_006;

    pub(super) const MAPPING: [(i64, &str); 6] =
        [(-1_001_234_567_890, "b"), (-100_200_300, "c"), (77, "d"), (-1009, "e"), (424_242, "e"), (BYSTANDER, "f")];

    const FILES: [&str; 6] = ["a.db", "b.db", "c.db", "d.db", "e.db", "f.db"];

    pub(super) fn open(scratch: Scratch, sources: &[&str], mapping: &[(i64, &str)], clock: &HandClock) -> Opened {
        let config = config_of(scratch.path(), sources, mapping);
        let (db, _) = DatabaseWrapper::open_multi(&config, clock.options()).unwrap();
        let files = if sources.len() == SIX.len() { FILES.to_vec() } else { vec!["bot.db"] };
        Opened { scratch, files, db }
    }

    /// A person alone with the bot, of whom the golden calls neither ask nor list.
    pub(super) fn fill_the_sixth(db: &DatabaseWrapper) {
        let (chat, user) = (ChatId(BYSTANDER), UserId(BYSTANDER));
        let info = NewChatInfo { title: None, username: None, chat_type: ChatType::Private, is_forum: false };
        db.update_chat_info(chat, &info).unwrap();
        db.update_chat_user(chat, user, "@bystander", "Somebody else").unwrap();
        // With an id that golden messages have, too.
        db.save_chat_message(chat, &NewMessage::text("1", db.now(), user, "first")).unwrap();
        db.set_chat_setting(chat, "model", "another").unwrap();
        db.add_user_data(chat, user, "city", "elsewhere").unwrap();
    }
}
