//! The reader of Telegram Desktop's machine-readable export: bytes in, typed records out, one at a time.
//!
//! [`read_export`] walks the document and hands every chat and record to a [`Sink`]. It knows nothing of a database.
//! The way of a byte: [`Counted`] (for a progress bar) → gunzip where needed → `repair` (two known invalidities become
//! valid JSON) → `walk` (the document's outline) → `fields` (one record's known keys) → [`Message`] or [`Service`].
//!
//! To read another key of a record, add it to the list in `fields` and take it in `message`, `media`, `content` or
//! `service`.
//!
//! The format has no description but its writer: `export_output_json.cpp` of Telegram Desktop.

mod chat;
mod content;
mod error;
mod fields;
mod media;
mod message;
mod position;
mod reader;
mod record;
mod repair;
mod service;
mod walk;

#[cfg(test)]
mod tests;

pub use chat::{ChatHeader, ChatKind, SkippedChat};
pub use error::{Place, ReadError};
pub use media::{Media, MediaKind};
pub use message::{Forward, Message, Person};
pub use reader::{Counted, Sink, Summary, read_export};
pub use record::{Record, Unfit, Unreadable};
pub use service::{Action, Service};
