//! The commands that look at the configuration. They open, make and change nothing.

use config::{Config, Setting};

use super::{AppError, Outcome, print};
use crate::text::chart::counted;

pub(super) fn check(config: &Config) -> Result<Outcome, AppError> {
    let sources = counted(config.database.sources.len() as u64, "database", "databases");
    let mapped = counted(config.database.chat_mapping.len() as u64, "mapped chat", "mapped chats");
    let files: Vec<_> = config.files.iter().map(|file| file.display().to_string()).collect();
    let from = if files.is_empty() { "built-in defaults".to_owned() } else { files.join(", ") };
    print(&format!("The configuration is right: {from} ({sources}, {mapped}).\n"))?;
    Ok(Outcome::Done)
}

pub(super) fn show(config: &Config) -> Result<Outcome, AppError> {
    print(&rendered(&config.settings))?;
    Ok(Outcome::Done)
}

/// The settings as TOML, with the origin of each behind it.
fn rendered(settings: &[Setting]) -> String {
    let split = |setting: &Setting| {
        let (table, key) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
        (table.to_owned(), format!("{key} = {}", setting.value))
    };
    let width = settings.iter().map(|setting| split(setting).1.chars().count()).filter(|width| *width <= 60).max();
    let width = width.unwrap_or_default();
    let mut tables: Vec<String> = settings.iter().map(|setting| split(setting).0).collect();
    tables.sort_unstable();
    tables.dedup();
    let mut text = String::new();
    for table in tables {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{table}]\n"));
        for setting in settings.iter().filter(|setting| split(setting).0 == table) {
            text.push_str(&format!("{:width$}  # {}\n", split(setting).1, setting.origin));
        }
    }
    text
}
