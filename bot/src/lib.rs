//! A group-chat bot whose chats live in as many databases as its operator likes.

pub mod import;
