//! The table `[database]`: one file, or sources by name and which chat lives in which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use database::{ChatId, DatabaseConfig, Durability, Form, OnUnavailable, PartialResults, SourceConfig, SourceName};

use crate::files::{FileIdentity, resolve};
use crate::problem::Origin;
use crate::section::{Found, Section, nearest};
use crate::tree::{Node, Value, has_setting_of_a_source, shown_source};

/// The single file's name unless it is said otherwise.
const DEFAULT_PATH: &str = "bot.db";
/// The folder of the files unless it is said otherwise.
const DEFAULT_DATA_DIR: &str = "data";

const ON_UNAVAILABLE: [(&str, OnUnavailable); 3] =
    [("stand-in", OnUnavailable::StandIn), ("default", OnUnavailable::Default), ("fail", OnUnavailable::Fail)];
const PARTIAL_RESULTS: [(&str, PartialResults); 2] = [("warn", PartialResults::Warn), ("error", PartialResults::Error)];
const DURABILITY: [(&str, Durability); 2] = [("full", Durability::Full), ("normal", Durability::Normal)];

/// Reads the table; `None` where what is wrong with it leaves nothing that could be used.
pub(crate) fn read(mut section: Section<'_>) -> Option<DatabaseConfig> {
    let data_dir = read_data_dir(&mut section);
    let single = section.text("path");
    let has_sources = section.has("sources");
    let sources = section.optional_section("sources");
    let config = match sources {
        Some(sources) => {
            if let Some(path) = single {
                section.refuse(
                    "path",
                    &path.origin,
                    "names a single file, but there are [database.sources.*] too; keep one of the two forms",
                );
            }
            read_sources(&mut section, data_dir, sources)
        }
        // Refused for being no table; that the rest goes with it follows.
        None if has_sources => {
            for key in OF_SOURCES {
                section.passed_over(key);
            }
            None
        }
        None => {
            refuse_settings_of_sources(&mut section);
            read_single(&section, data_dir, single)
        }
    };
    section.finish();
    config
}

/// The folder of the files.
pub(crate) fn read_data_dir(section: &mut Section<'_>) -> PathBuf {
    let default = || Found { value: DEFAULT_DATA_DIR.to_owned(), origin: Origin::Default };
    let mut found = section.text("data_dir").unwrap_or_else(default);
    if found.value.is_empty() || found.value.contains('\0') {
        section.refuse("data_dir", &found.origin, "must be the path of a folder");
        found = default();
    }
    // Relative to the folder of the file that says it; to the working directory where no file does.
    let base = match &found.origin {
        Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")).to_owned(),
        _ => PathBuf::new(),
    };
    let data_dir = resolve(&base.join(&found.value));
    section.show("data_dir", toml::Value::from(data_dir.display().to_string()), &found.origin);
    data_dir
}

fn read_single(section: &Section<'_>, data_dir: PathBuf, path: Option<Found<String>>) -> Option<DatabaseConfig> {
    let path = path.unwrap_or_else(|| Found { value: DEFAULT_PATH.to_owned(), origin: Origin::Default });
    let file = read_file(section, &data_dir, &path)?;
    section.show("path", toml::Value::from(file.display().to_string()), &path.origin);
    let source = SourceConfig::new(file);
    Some(DatabaseConfig {
        form: Form::SingleFile,
        data_dir,
        default_source: source.name.clone(),
        sources: BTreeMap::from([(source.name.clone(), source)]),
        chat_mapping: BTreeMap::new(),
        partial_results: PartialResults::default(),
    })
}

/// The settings that go with several sources.
const OF_SOURCES: [&str; 4] = ["default_source", "on_unavailable", "partial_results", "chat_mapping"];

/// A single file has no settings of several sources; whoever writes them has forgotten the sources.
fn refuse_settings_of_sources(section: &mut Section<'_>) {
    let what = "is for several sources; add [database.sources.NAME] tables, or remove it";
    for key in OF_SOURCES {
        if let Some(origin) = section.passed_over(key) {
            section.refuse(key, &origin, what);
        }
    }
}

fn read_sources(section: &mut Section<'_>, data_dir: PathBuf, mut tables: Section<'_>) -> Option<DatabaseConfig> {
    let on_unavailable = section.word("on_unavailable", &ON_UNAVAILABLE, OnUnavailable::default()).value;
    let partial_results = section.word("partial_results", &PARTIAL_RESULTS, PartialResults::default()).value;
    let mut sources = BTreeMap::new();
    let mut names = Names::default();
    let mut files: HashMap<FileIdentity, Origin> = HashMap::new();
    let entries = tables.entries();
    if entries.is_empty() {
        tables.refuse_all("has no source; add a [database.sources.NAME] table with a `path`");
    }
    let mut last = Origin::Default;
    for (name, node) in entries {
        let origin = node.origin.clone();
        let Ok(name) = name.parse::<SourceName>() else {
            tables.refuse(
                "",
                &origin,
                "is no name of a source; a name has 1 to 64 of the characters a-z, 0-9, _ and -",
            );
            continue;
        };
        let is_source = looks_like_a_source(&node.value);
        names.add(&name, is_source);
        last = origin;
        let source = tables
            // What else stands there may be anything.
            .entry(if is_source { name.as_str() } else { "" }, node)
            .and_then(|table| read_source(table, &name, &data_dir, on_unavailable, &mut files));
        sources.extend(source.map(|source| (name, source)));
    }
    tables.finish();

    let default_source = read_default(section, &names, &sources, &last);
    let chat_mapping = read_mapping(section.section("chat_mapping"), &names);
    let default_source = default_source?;
    Some(DatabaseConfig { form: Form::Sources, data_dir, sources, default_source, chat_mapping, partial_results })
}

/// Whether a table has a setting of a source, or one that is a slip of the pen away from it.
fn looks_like_a_source(value: &Value) -> bool {
    let is_near = |key: &str, setting: &str| strsim::damerau_levenshtein(key, setting) <= 1;
    matches!(value, Value::Table(table)
        if has_setting_of_a_source(|setting| table.keys().any(|key| is_near(key, setting))))
}

fn read_source(
    mut table: Section<'_>,
    name: &SourceName,
    data_dir: &Path,
    on_unavailable: OnUnavailable,
    files: &mut HashMap<FileIdentity, Origin>,
) -> Option<SourceConfig> {
    if let Some(kind) = table.text("type") {
        match kind.value.as_str() {
            "sqlite" => table.show("type", toml::Value::from("sqlite"), &kind.origin),
            "mysql" | "postgres" | "postgresql" | "mariadb" => {
                table.refuse(
                    "type",
                    &kind.origin,
                    "is a kind of database that is planned, but not there yet; use \"sqlite\"",
                );
            }
            _ => table.refuse("type", &kind.origin, "is no known kind of database; use \"sqlite\""),
        }
    }
    let has_path = table.has("path");
    let path = table.text("path");
    if !has_path {
        table.refuse_all("has no `path`; say which file it is, such as path = \"bot.db\"");
    }
    let file = path.as_ref().and_then(|path| read_file(&table, data_dir, path));
    if let (Some(file), Some(path)) = (&file, &path) {
        table.show("path", toml::Value::from(file.display().to_string()), &path.origin);
        if let Some(other) = files.insert(FileIdentity::of(file), path.origin.clone()) {
            let what = format!("leads to the same file as the `path` at {other}; each source needs a file of its own");
            table.refuse("path", &path.origin, &what);
        }
    }
    let timeout = table.number(
        "timeout",
        SourceConfig::DEFAULT_TIMEOUT.as_secs_f64(),
        SourceConfig::TIMEOUTS.start().as_secs_f64(),
        SourceConfig::TIMEOUTS.end().as_secs_f64(),
        "seconds",
    );
    let bound = |count: &usize| i64::try_from(*count).unwrap_or(i64::MAX);
    let max_connections = table.whole(
        "max_connections",
        bound(&SourceConfig::DEFAULT_MAX_CONNECTIONS),
        bound(SourceConfig::CONNECTIONS.start()),
        bound(SourceConfig::CONNECTIONS.end()),
    );
    let durability = table.word("durability", &DURABILITY, Durability::default()).value;
    let readonly = table.bool("readonly", false).value;
    let on_unavailable = table.word("on_unavailable", &ON_UNAVAILABLE, on_unavailable).value;
    table.finish();
    Some(SourceConfig {
        name: name.clone(),
        path: file?,
        timeout: Duration::from_secs_f64(timeout),
        max_connections: usize::try_from(max_connections).unwrap_or(SourceConfig::DEFAULT_MAX_CONNECTIONS),
        durability,
        readonly,
        on_unavailable,
    })
}

/// The file of a database, absolute.
fn read_file(section: &Section<'_>, data_dir: &Path, path: &Found<String>) -> Option<PathBuf> {
    let what = match path.value.as_str() {
        "" => "is empty; give the path of a file, such as \"bot.db\"",
        ":memory:" => "is a database in memory, which is lost at the end; give the path of a file",
        uri if uri.starts_with("file:") => "is a URI; give the path of a file",
        text if text.contains('\0') => "has a NUL character; give the path of a file",
        text => return Some(resolve(&data_dir.join(text))),
    };
    section.refuse("path", &path.origin, what);
    None
}

fn read_default(
    section: &mut Section<'_>,
    names: &Names,
    sources: &BTreeMap<SourceName, SourceConfig>,
    last: &Origin,
) -> Option<SourceName> {
    let (name, origin) = match section.text("default_source") {
        Some(found) => (known_source(section, "default_source", &found.value, &found.origin, names)?, found.origin),
        // Of a single source there is no doubt which is the default one.
        None if names.all.len() == 1 => (names.all.first()?.clone(), Origin::Default),
        None => {
            if names.all.len() > 1 {
                section.refuse_all(&format!(
                    "has several sources and no `default_source`; say which of {} holds what is mapped to none",
                    names.quoted()
                ));
            }
            return None;
        }
    };
    section.show("default_source", toml::Value::from(name.as_str()), &origin);
    if sources.get(&name)?.readonly {
        match origin {
            Origin::Default => section.refuse(
                "sources",
                last,
                "has a read-only source alone, but what belongs to no chat is to be written; add one that is not read-only",
            ),
            said => section.refuse(
                "default_source",
                &said,
                "is a read-only source, but what belongs to no chat is written there; choose one that is not read-only",
            ),
        }
        return None;
    }
    Some(name)
}

fn read_mapping(mut section: Section<'_>, names: &Names) -> BTreeMap<ChatId, SourceName> {
    let mut mapping = BTreeMap::new();
    for (key, Node { value, origin, .. }) in section.entries() {
        let Ok(chat) = key.parse::<i64>() else {
            section.refuse("", &origin, "is no chat id; an id is a whole number, such as -1001234567890");
            continue;
        };
        let Value::Text(name) = value else {
            section.refuse(&key, &origin, &format!("is {}, but must be the name of a source", value.kind()));
            continue;
        };
        if let Some(name) = known_source(&section, &key, &name, &origin, names) {
            section.show(&key, toml::Value::from(name.as_str()), &origin);
            if mapping.insert(ChatId(chat), name).is_some() {
                section.refuse(&key, &origin, "stands here twice, written in two ways; keep one of them");
            }
        }
    }
    mapping
}

/// The source of a name, or a refusal.
fn known_source(section: &Section<'_>, key: &str, name: &str, origin: &Origin, names: &Names) -> Option<SourceName> {
    let found = names.all.iter().find(|known| known.as_str() == name);
    if found.is_none() {
        let near = nearest(name, names.shown());
        let near = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        section.refuse(key, origin, &format!("names no source; there are {}{near}", names.quoted()));
    }
    found.cloned()
}

/// The names of all sources, also of those that are wrong otherwise.
#[derive(Default)]
struct Names {
    all: BTreeSet<SourceName>,
    /// Those that are certainly sources, by what is said of them.
    certain: BTreeSet<SourceName>,
}

impl Names {
    fn add(&mut self, name: &SourceName, is_certain: bool) {
        self.all.insert(name.clone());
        if is_certain {
            self.certain.insert(name.clone());
        }
    }

    /// Those that can be shown to a person.
    fn shown(&self) -> impl Iterator<Item = &str> {
        self.certain.iter().map(SourceName::as_str).filter(|name| shown_source(name) == *name)
    }

    /// The same as a list; `others` stands for the rest.
    fn quoted(&self) -> String {
        let mut names: Vec<_> = self.shown().map(|name| format!("\"{name}\"")).collect();
        if names.len() < self.all.len() {
            names.push("others".to_owned());
        }
        names.join(", ")
    }
}
