//! The tables `[bot]` and `[log]`.

use database::UserId;

use crate::problem::Origin;
use crate::section::{Found, Section};
use crate::tree::Value;

/// What the bot is called, and who owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotConfig {
    /// What it is called.
    pub name: String,
    /// Who may give it the owners' commands.
    pub owners: Vec<Owner>,
}

/// One who owns the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// By id, which cannot be taken over.
    Id(UserId),
    /// By user name, without the `@`.
    Name(String),
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important that is logged.
    pub level: LogLevel,
    /// How a record is written.
    pub format: LogFormat,
}

/// How important a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is to be looked at.
    Warn,
    /// What happens.
    Info,
    /// Each call on a database, with its time.
    Debug,
    /// Everything.
    Trace,
}

/// How a log record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The longest name that is shown whole.
const NAME_LENGTH: usize = 64;

pub(crate) fn read_bot(mut section: Section<'_>) -> BotConfig {
    let default = || Found { value: "Switchyard".to_owned(), origin: Origin::Default };
    let mut name = section.text("name").unwrap_or_else(default);
    let length = name.value.chars().count();
    if name.value.trim().is_empty() || length > NAME_LENGTH || name.value.chars().any(char::is_control) {
        section.refuse("name", &name.origin, "must be a name of 1 to 64 characters on one line");
        name = default();
    }
    section.show("name", toml::Value::from(name.value.as_str()), &name.origin);
    let owners = read_owners(&mut section);
    section.finish();
    BotConfig { name: name.value, owners }
}

fn read_owners(section: &mut Section<'_>) -> Vec<Owner> {
    let found = section.list("owners").unwrap_or(Found { value: Vec::new(), origin: Origin::Default });
    let (mut owners, mut shown) = (Vec::new(), Vec::new());
    for node in found.value {
        let written = node.written;
        let owner = match node.value {
            Value::Integer(id) => Some(Owner::Id(UserId(id))),
            Value::Text(text) => match (text.parse(), text.strip_prefix('@')) {
                (Ok(id), _) => Some(Owner::Id(UserId(id))),
                (_, Some(name)) if is_user_name(name) => Some(Owner::Name(name.to_owned())),
                _ => None,
            },
            _ => None,
        };
        match owner {
            Some(owner) => {
                shown.push(match (&owner, written) {
                    (_, Some(written)) => toml::Value::from(written),
                    (Owner::Id(id), _) => toml::Value::Integer(id.0),
                    (Owner::Name(name), _) => toml::Value::from(format!("@{name}")),
                });
                owners.push(owner);
            }
            None => section.refuse(
                "owners",
                &node.origin,
                "has an entry that is neither a user id (a whole number) nor a user name (\"@name\")",
            ),
        }
    }
    section.show("owners", toml::Value::Array(shown), &found.origin);
    owners
}

fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(crate) fn read_log(mut section: Section<'_>) -> LogConfig {
    let level = section.word("level", &LEVELS, LogLevel::Warn).value;
    let format = section.word("format", &FORMATS, LogFormat::Text).value;
    section.finish();
    LogConfig { level, format }
}
