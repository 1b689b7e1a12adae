//! What every contender of the benchmarks has in common: the work, the clock, the form of results.
//!
//! A contender is a way to use SQLite from Rust. Each lives in a program (a *host*) that links one version of SQLite,
//! is given one [`Job`] as its argument, and prints one [`Outcome`]; the driver starts the hosts in turns.

mod host;
mod job;
mod measure;
pub mod sql;
mod tasks;

pub use host::main;
pub use job::{Durability, Failure, Job, Outcome, Work, cpu};
#[cfg(feature = "tokio")]
pub use measure::{AsyncCaller, run_async};
pub use measure::{Caller, run};
pub use tasks::{
    CHATS, Message, MessageKey, SettingKey, StoredMessage, Tasks, USERS, chat, date, message, setting_key, text, user,
};
