//! The databases that a group-chat bot's chats live in, behind one wrapper.
//!
//! This crate knows values and files of data. It knows no configuration file, no command line and no transport.
//!
//! # First call
//!
//! A [`DatabaseWrapper`] is opened from a [`SourceConfig`], cloned to wherever it is needed (a clone is the same
//! databases), and closed at the end. Opening creates a missing file, readable by its owner only, and brings a file of
//! an earlier release up to date, behind a copy of what it was.
//!
//! ```
//! use database::{ChatId, DatabaseWrapper, MessageFilter, NewMessage, SourceConfig, UserId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let db = DatabaseWrapper::open(&SourceConfig::new(folder.path().join("bot.db")))?;
//!
//! let (chat, ada) = (ChatId(-1_001_234_567_890), UserId(7));
//! db.update_chat_user(chat, ada, "@ada", "Ada Lovelace")?;
//! db.save_chat_message(chat, &NewMessage::text("1", db.now(), ada, "hello"))?;
//!
//! let messages = db.get_chat_messages_since(chat, &MessageFilter::default())?;
//! assert_eq!(messages[0].message_text, "hello");
//! assert_eq!(messages[0].full_name, "Ada Lovelace");
//! db.close();
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms
//!
//! Methods stand by domain in `src/store`: messages, people, chats, topics, settings, remembered data, summaries, media,
//! delayed tasks, caches, spam and its statistics, search, figures, history that is brought in. What they take and give
//! stands in `src/models`, the identifiers in `src/ids.rs`. Every method is made of one of the verbs:
//!
//! | verb | what it does |
//! |---|---|
//! | [`read`](DatabaseWrapper::read) | runs a closure over a [`ReadTx`] on the source of a route; the connection cannot write |
//! | [`read_every`](DatabaseWrapper::read_every) | the same on every source, merged into one [`Gathered`] answer |
//! | [`write`](DatabaseWrapper::write) | runs a closure over a [`WriteTx`] in one transaction, and answers after the commit |
//! | [`write_tallied`](DatabaseWrapper::write_tallied) | the same, and answers how many rows it changed |
//! | [`write_delegated`](DatabaseWrapper::write_delegated) | the same as `write`, and another caller who writes at the moment may make it |
//!
//! The first thing a method tells a verb is its own name as `room.method`: errors, the log and recorded writes carry
//! it. The second is its [`Route`]: [`Route::Chat`] for what belongs to a chat, [`Route::Shared`] for what belongs to
//! none. `grep -rn 'Route::' src/store` prints what goes where. Today there is one source and every route leads to it;
//! methods are written as if there were many.
//!
//! # A write is blind
//!
//! A write's closure sends statements and sees no row. It can be run again, so it has no effect besides its
//! statements; it can be recorded, so that [`replay`](DatabaseWrapper::replay) makes it again on another database.
//! What a statement did is known to a closure only as a [`Changed`], to be handed to one of these:
//!
//! - [`WriteTx::require`]: the statement has changed a row, else nothing of the write is kept and the caller gets
//!   [`ErrorKind::Duplicate`] or [`ErrorKind::NotFound`] (where an update may find no row,
//!   rather let it match nothing: see [`Refusal::NotFound`]);
//! - [`WriteTx::only_if`]: further statements for when it has;
//! - [`Tally::add`]: counted, and told to the caller after the commit.
//!
//! Any other condition belongs into the SQL (`INSERT ... SELECT ... WHERE EXISTS`, `ON CONFLICT ... DO UPDATE`).
//!
//! # How to add a method
//!
//! In the room of its domain, in an `impl DatabaseWrapper` block, with the SQL beside it. The same can be done from
//! outside the crate; these functions differ from methods only in their first parameter.
//!
//! ```
//! use database::{
//!     BadColumn, ChatId, DatabaseWrapper, ErrorKind, FromRow, NewMessage, Refusal, Result, Route, Row, SourceConfig,
//!     UserId, params,
//! };
//!
//! /// A person with the number of characters that they wrote.
//! #[derive(Debug, PartialEq)]
//! struct Talker {
//!     user_id: UserId,
//!     full_name: String,
//!     characters: i64,
//! }
//!
//! // A row becomes a struct in this one place, by the names of the columns. Table and key are for error messages.
//! impl FromRow for Talker {
//!     const TABLE: &'static str = "chat_users";
//!     const KEY: &'static [&'static str] = &["user_id"];
//!
//!     fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
//!         Ok(Self {
//!             user_id: row.get("user_id")?,
//!             full_name: row.get("full_name")?,
//!             characters: row.get("characters")?,
//!         })
//!     }
//! }
//!
//! /// The people of a chat, those who wrote most first. (`user_id` makes the order total.)
//! fn get_talkers(db: &DatabaseWrapper, chat: ChatId, limit: u32) -> Result<Vec<Talker>> {
//!     db.read("people.get_talkers", Route::Chat(chat), |tx| {
//!         tx.query(
//!             "SELECT u.user_id, u.full_name, SUM(length(m.message_text)) AS characters
//!              FROM chat_users u
//!              JOIN chat_messages m ON m.chat_id = u.chat_id AND m.user_id = u.user_id
//!              WHERE u.chat_id = ?1
//!              GROUP BY u.user_id, u.full_name
//!              ORDER BY characters DESC, u.user_id
//!              LIMIT ?2",
//!             params![chat, limit],
//!         )
//!     })
//! }
//!
//! /// Makes a person known to a chat under a name; an error where the chat knows them already.
//! fn introduce(db: &DatabaseWrapper, chat: ChatId, user: UserId, full_name: &str) -> Result<()> {
//!     let now = db.now(); // once, outside: the closure may be run again
//!     db.write("people.introduce", Route::Chat(chat), |tx| {
//!         let inserted = tx.execute(
//!             "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
//!              VALUES (?1, ?2, '', ?3, ?4, ?4)
//!              ON CONFLICT (chat_id, user_id) DO NOTHING",
//!             params![chat, user, full_name, now],
//!         )?;
//!         tx.require(inserted, Refusal::Duplicate)
//!     })
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let db = DatabaseWrapper::open(&SourceConfig::new(folder.path().join("bot.db")))?;
//! let (chat, ada) = (ChatId(-5), UserId(7));
//! introduce(&db, chat, ada, "Ada Lovelace")?;
//! let refused = introduce(&db, chat, ada, "Somebody else").unwrap_err();
//! assert!(matches!(refused.kind(), ErrorKind::Duplicate));
//! assert_eq!(refused.op(), "people.introduce");
//!
//! db.save_chat_message(chat, &NewMessage::text("1", db.now(), ada, "hello"))?;
//! let talkers = get_talkers(&db, chat, 10)?;
//! assert_eq!(talkers, [Talker { user_id: ada, full_name: "Ada Lovelace".into(), characters: 5 }]);
//! # Ok(())
//! # }
//! ```
//!
//! What a reviewer will ask of a new method:
//!
//! - its operation's name is used nowhere else;
//! - a list has a total order, so that the same rows always come in the same order;
//! - a read of several statements says [`ReadTx::snapshot`] first, so that they see the same moment;
//! - what is not there is `Ok(None)` or an empty list, not an error;
//! - times are bound from [`DatabaseWrapper::now`], never made by SQL; parameters are numbered, columns are listed;
//! - where filters are optional the SQL is put together from fixed parts, with the parameters counted along.
//!
//! # Errors
//!
//! Opening fails with an [`OpenError`]: what is wrong with the file and what to do. The file is then as it was. A
//! call fails with an [`Error`]: the operation, the source and an [`ErrorKind`]. Where the kind does not say otherwise
//! nothing was changed; [`ErrorKind::OutcomeUnknown`] is the one after which it has to be looked up. No error holds
//! what somebody wrote.
//!
//! # Clock and observer
//!
//! [`DatabaseWrapper::open_with`] takes [`Options`]: the [`Clock`] that `created_at` and `updated_at` come from, and an
//! observer that is given every committed write as an [`Operation`] (which has a serde form), source by source in the
//! order of the commits. The source's next write waits for the observer, so it should be quick; it cannot write itself.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use database::{ChatId, DatabaseWrapper, Operation, Options, SourceConfig, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
//! let noon: Timestamp = "2024-02-29 12:00:00".parse()?;
//! let seen = Arc::new(Mutex::new(Vec::new()));
//! let sink = Arc::clone(&seen);
//! let options = Options {
//!     clock: Arc::new(move || noon),
//!     observer: Some(Arc::new(move |write: &Operation| sink.lock().unwrap().push(write.clone()))),
//! };
//! let db = DatabaseWrapper::open_with(&SourceConfig::new(first), options)?;
//! db.set_chat_setting(ChatId(-5), "language", "nl")?;
//! assert_eq!(db.now(), noon);
//!
//! // What was recorded can be made again elsewhere.
//! let elsewhere = DatabaseWrapper::open(&SourceConfig::new(second))?;
//! for write in seen.lock().unwrap().iter() {
//!     assert_eq!(write.op, "settings.set_chat_setting");
//!     assert!(elsewhere.replay(write)?);
//! }
//! assert_eq!(elsewhere.get_chat_setting(ChatId(-5), "language")?.as_deref(), Some("nl"));
//! # Ok(())
//! # }
//! ```
//!
//! # What else to know
//!
//! - A write inside the closure of another write would wait for itself, and a read there would be acted on; both are
//!   refused ([`ErrorKind::NestedWrite`], [`ErrorKind::NestedRead`]). So are statements that are not a write's own, such
//!   as COMMIT and PRAGMA.
//! - A call takes as long as the source's `timeout` at most, all its waiting and running together.
//! - Nothing but SQLite may open a database file in the process that has it open: closing it again would drop SQLite's
//!   locks. Copies are made by SQLite's backup interface.

// The rooms that both builds share are the same in both; what only many databases need of them is not left out one by one.
#![cfg_attr(
    not(feature = "multi-source"),
    allow(dead_code, unused_imports, reason = "used with the feature `multi-source`")
)]

mod aliases;
mod config;
mod error;
mod gathered;
mod ids;
pub mod maintenance;
mod migrate;
mod models;
#[cfg(feature = "multi-source")]
pub mod multi;
mod route;
mod single;
mod source;
mod sources;
mod store;
mod time;
mod topology;
mod wrapper;

pub use config::{DatabaseConfig, Form, PartialResults};
pub use error::{Error, ErrorKind, Result};
pub use gathered::{Gathered, Merge, Missing};
pub use ids::{ChatId, MediaId, MessageId, TopicId, UserId};
pub use models::*;
pub use route::{InvalidSourceName, Route, SourceName};
pub use source::{
    BadColumn, Changed, Contents, Durability, Found, FromRow, FromValue, Health, Look, OnUnavailable, OpenError,
    Operation, ReadTx, Refusal, Row, SourceConfig, SourceStatus, Step, Tally, ToValue, Value, ValueRef, WriteObserver,
    WriteTx, look,
};
pub use store::{ImportBatch, ImportProgress, ImportedName, MessagePlace};
pub use time::{Clock, InvalidTimestamp, SystemClock, Timestamp};
pub use wrapper::{DatabaseWrapper, Options};

/// The version of SQLite that is compiled in, such as `3.54.1`.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
