//! The commands that look at the configuration. They open, make and change nothing.

use std::collections::BTreeMap;

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

/// The settings as TOML, a line each, with the origin of each behind it.
fn rendered(settings: &[Setting]) -> String {
    let mut tables: BTreeMap<&str, Vec<(String, &Setting)>> = BTreeMap::new();
    for setting in settings {
        let (table, key) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
        tables.entry(table).or_default().push((format!("{key} = {}", setting.as_toml()), setting));
    }
    let lines = tables.values().flatten();
    let width = lines.map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or_default();
    let mut text = String::new();
    for (table, lines) in &tables {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{table}]\n"));
        for (line, Setting { origin, .. }) in lines {
            text.push_str(&format!("{line:width$}  # {origin}\n"));
        }
    }
    text
}
