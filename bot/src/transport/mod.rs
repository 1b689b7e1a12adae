//! The ways by which messages reach the bot and replies leave it. Handlers know none of them.

pub mod console;
mod input;
pub mod json;
mod lines;
pub mod signals;
