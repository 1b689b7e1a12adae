//! The ways by which messages reach the bot and replies leave it. Handlers know none of them.

pub mod console;
mod due;
mod input;
pub mod json;
mod lines;
pub mod signals;
