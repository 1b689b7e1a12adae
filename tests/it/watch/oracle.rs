//! What a file says of the databases, by the rules of docs/database-multi-source.md and with nothing of what loads
//! configurations: a TOML parser alone reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use database::{ChatId, DatabaseConfig, Form, PartialResults, SourceConfig, SourceName};
use toml::{Table, Value};

/// What a file at this path says, or `None` where it is to be refused, with no environment. It knows of no settings but
/// those of the watched text: others, such as `timeout`, damage does not make.
pub(super) fn said(file: &Path, content: &[u8]) -> Option<DatabaseConfig> {
    let mut root: Table = std::str::from_utf8(content).ok()?.parse().ok()?;
    let mut database = table(root.remove("database"))?;
    let data_dir = match database.remove("data_dir") {
        Some(folder) => {
            let folder = text(folder)?;
            let is_folder = !folder.is_empty() && !folder.contains('\0');
            is_folder.then_some(file.parent()?.join(folder))?
        }
        // Of the folder that the program runs in.
        None => PathBuf::from("data"),
    };
    let data_dir = absolute(&data_dir);
    let mut sources = BTreeMap::new();
    let Some(tables) = database.remove("sources") else {
        let path = database.remove("path").map_or_else(|| Some("bot.db".to_owned()), text)?;
        sources.insert(SourceName::primary(), SourceConfig::new(database_file(&data_dir, &path)?));
        return (root.is_empty() && database.is_empty()).then(|| DatabaseConfig {
            form: Form::SingleFile,
            data_dir,
            sources,
            default_source: SourceName::primary(),
            chat_mapping: BTreeMap::new(),
            partial_results: PartialResults::default(),
        });
    };
    for (name, source) in table(Some(tables))? {
        let name: SourceName = name.parse().ok()?;
        let mut source = table(Some(source))?;
        let path = database_file(&data_dir, &text(source.remove("path")?)?)?;
        if !source.is_empty() {
            return None;
        }
        sources.insert(name.clone(), SourceConfig { name, ..SourceConfig::new(path) });
    }
    let known = |name: Value| text(name)?.parse::<SourceName>().ok().filter(|name| sources.contains_key(name));
    let default_source = match database.remove("default_source") {
        Some(name) => known(name)?,
        None if sources.len() == 1 => sources.keys().next()?.clone(),
        None => return None,
    };
    let mut chat_mapping = BTreeMap::new();
    for (chat, name) in table(database.remove("chat_mapping"))? {
        if chat_mapping.insert(ChatId(chat.parse().ok()?), known(name)?).is_some() {
            return None;
        }
    }
    let files: BTreeSet<_> = sources.values().map(|source| &source.path).collect();
    let is_right = root.is_empty() && database.is_empty() && files.len() == sources.len();
    let partial_results = PartialResults::default();
    is_right.then_some(DatabaseConfig {
        form: Form::Sources,
        data_dir,
        sources,
        default_source,
        chat_mapping,
        partial_results,
    })
}

/// A table; an empty one where there is nothing.
fn table(value: Option<Value>) -> Option<Table> {
    match value {
        None => Some(Table::new()),
        Some(Value::Table(table)) => Some(table),
        Some(_) => None,
    }
}

/// A text. Environment variables in it are none that is set.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains("${") => Some(text),
        _ => None,
    }
}

/// The file of a path that can be one.
fn database_file(data_dir: &Path, path: &str) -> Option<PathBuf> {
    let is_file = !path.is_empty() && path != ":memory:" && !path.starts_with("file:") && !path.contains('\0');
    is_file.then(|| absolute(&data_dir.join(path)))
}

/// The same path from the root on, without `.`; and without `..`, for which links are followed as far as there are any.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap();
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    without_links(&plain)
}

fn without_links(path: &Path) -> PathBuf {
    let from_above = || Some(without_links(path.parent()?).join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(from_above).unwrap_or_else(|| path.to_owned())
}
