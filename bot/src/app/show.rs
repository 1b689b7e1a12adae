//! The commands that look at the configuration. They open, make and change nothing.

use std::collections::BTreeMap;

use config::{Config, ConfigError, Origin, Setting};
use serde_json::{Value, json};

use super::{AppError, Outcome, print};
use crate::databases;
use crate::text::chart::counted;

pub(super) fn check(config: &Config, json: bool) -> Result<Outcome, AppError> {
    match databases::can_run(&config.database) {
        Err(error) if json => {
            let key = "database.sources";
            let problem = json!({ "key": key, "what": error.to_string() });
            let is_one =
                |setting: &&Setting| setting.key.starts_with(key) && !matches!(setting.origin, Origin::Default);
            let stands = config.settings.iter().find(is_one);
            return wrong_by([stands.map_or(problem.clone(), |setting| with(problem, &setting.origin))]);
        }
        runs => runs?,
    }
    if json {
        let files: Vec<_> = config.files.iter().map(|file| file.display().to_string()).collect();
        let (databases, mapped_chats) = (config.database.sources.len(), config.database.chat_mapping.len());
        return told(&json!({ "ok": true, "files": files, "databases": databases, "mapped_chats": mapped_chats }));
    }
    let sources = counted(config.database.sources.len() as u64, "database", "databases");
    let mapped = counted(config.database.chat_mapping.len() as u64, "mapped chat", "mapped chats");
    let files: Vec<_> = config.files.iter().map(|file| file.display().to_string()).collect();
    let from = if files.is_empty() { "built-in defaults".to_owned() } else { files.join(", ") };
    print(&format!("The configuration is right: {from} ({sources}, {mapped}).\n"))?;
    Ok(Outcome::Done)
}

pub(super) fn show(config: &Config, json: bool) -> Result<Outcome, AppError> {
    if json {
        let setting =
            |Setting { key, value, origin, .. }: &Setting| with(json!({ "key": key, "value": value }), origin);
        return told(&json!({ "settings": config.settings.iter().map(setting).collect::<Vec<_>>() }));
    }
    print(&rendered(&config.settings))?;
    Ok(Outcome::Done)
}

/// Tells programs what is wrong with a configuration.
pub(super) fn wrong(error: &ConfigError) -> Result<Outcome, AppError> {
    let problems = error.problems.iter();
    wrong_by(problems.map(|problem| with(json!({ "key": problem.key, "what": problem.what }), &problem.origin)))
}

fn wrong_by(problems: impl IntoIterator<Item = Value>) -> Result<Outcome, AppError> {
    told(&json!({ "ok": false, "problems": problems.into_iter().collect::<Vec<_>>() }))?;
    Ok(Outcome::Misused)
}

fn told(report: &Value) -> Result<Outcome, AppError> {
    print(&format!("{report}\n"))?;
    Ok(Outcome::Done)
}

/// What is told of something, and where that stands.
fn with(mut told: Value, origin: &Origin) -> Value {
    told["from"] = match origin {
        Origin::File { path, line: 0 } => json!({ "file": path.display().to_string() }),
        Origin::File { path, line } => json!({ "file": path.display().to_string(), "line": line }),
        Origin::Environment(name) => json!({ "variable": name }),
        Origin::Flag(name) => json!({ "option": name }),
        _ => json!("default"),
    };
    told
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
