//! A group-chat bot whose chats live in as many databases as its operator likes.
//!
//! The way of a message: a [`transport`] reads it, [`handlers`] store it and answer, the `database` crate finds the
//! file that its chat lives in. [`app`] puts them together, [`import`] brings in history.

pub mod app;
pub mod cli;
pub mod databases;
pub mod dispatch;
pub mod handlers;
pub mod import;
pub mod logging;
pub mod message;
pub mod text;
pub mod transport;
