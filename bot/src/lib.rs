//! A group-chat bot whose chats live in as many databases as its operator likes.

pub mod import;
pub mod message;
pub mod text;
pub mod transport;
