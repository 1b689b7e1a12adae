//! A group-chat bot whose chats live in as many databases as its operator likes.
//!
//! The program is a thin `main` around this library, so that tests can drive every part of it.
//!
//! # The way of a message
//!
//! ```text
//! a line, typed or piped
//!   -> transport::console   reads it and makes a message::Incoming of it: chat, user, id, date, text
//!   -> handlers::Bot        meets the writer, stores the message, finds the command, stores the answer
//!   -> DatabaseWrapper      the `database` crate, the only place that knows of files
//!   <- message::Outgoing    the answer, made safe by text::sanitize and printed
//! ```
//!
//! A transport knows the bot only as a [`message::Handle`]; the bot knows no transport. What handlers need to know of
//! a message is in [`message::Incoming`], and whatever a transport cannot tell has a sensible value there.
//!
//! # The rooms
//!
//! - [`cli`]: the command line. [`app`]: from the command line to the work, and the exit code. [`databases`]: opening
//!   what the configuration names. [`control`]: steering a bot that runs.
//! - [`transport`]: the console, and the signals that end it.
//! - [`handlers`]: the bot's commands, a room each.
//! - [`import`]: history out of Telegram Desktop's exports. Its [`import::export`] only reads, and knows no database.
//! - [`text`]: bar charts, and strangers' text made safe for a terminal.
//! - [`logging`]: the program's own log.
//!
//! # To add a command
//!
//! 1. Write `handlers/NAME.rs` with a `const` of type `Command`: its name, its arguments, a line for `/help`, who
//!    may give it, and a function from a `Call` to the text of the answer. The call has the database, the message and
//!    what follows the command's name.
//! 2. Name the `const` in `COMMANDS` in `handlers/mod.rs`. `/help` and the look-up follow from that.
//! 3. Answer bad arguments with `usage()`, which is no error. What the database refuses goes up with `?`.
//! 4. Ask the database through a method of the wrapper; where there is none that fits, the front page of the
//!    `database` crate tells how to add one.
//! 5. Show it in the README's table.

pub mod app;
pub mod cli;
pub mod control;
pub mod databases;
pub mod dispatch;
pub mod handlers;
pub mod import;
pub mod logging;
pub mod message;
pub mod text;
pub mod transport;
