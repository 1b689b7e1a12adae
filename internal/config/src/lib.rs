//! The bot's configuration: found, laid over one another, read and checked.
//!
//! [`Layers::load`] reads TOML files, environment variables and options into a [`Config`], or says in a
//! [`ConfigError`] all that is wrong: the file, the line, the key, what would be right, and never a value.
//!
//! With the feature `multi-source` there is also `Watch`, which applies what the files come to say while the bot runs.
//!
//! To add a setting, read it in the room of its table ([`BotConfig`]: `bot.rs`, [`DatabaseConfig`](database::DatabaseConfig):
//! `databases.rs`), note it with `show`, and give it a line in `configs/bot.toml` and in the documents.

mod bot;
mod databases;
mod files;
mod load;
#[cfg(feature = "multi-source")]
mod mapping;
mod problem;
mod section;
mod tree;
#[cfg(feature = "multi-source")]
mod watch;

pub use bot::{BotConfig, LogConfig, LogFormat, LogLevel, Owner};
pub use load::{Config, DEFAULT_FILE, Layers};
#[cfg(feature = "multi-source")]
pub use mapping::{MappingError, write_mapping};
pub use problem::{ConfigError, Origin, Problem};
pub use section::Setting;
#[cfg(feature = "multi-source")]
pub use watch::{Outcome, Reload, Watch};
