//! The ways by which messages reach the bot and replies leave it. Handlers know none of them.

pub mod console;
pub mod json;
mod input;
mod lines;
pub mod signals;
