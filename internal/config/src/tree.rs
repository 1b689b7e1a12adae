//! Configuration as a tree in which each value knows where it comes from: read from TOML, from the environment, from
//! options, and laid over one another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Origin, Problem};

/// The tables of a configuration.
pub(crate) type Table = BTreeMap<String, Node>;

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// The text as it is written, where environment variables within it were replaced.
    pub(crate) written: Option<String>,
}

impl Node {
    pub(crate) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, written: None }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Table(Table),
    Array(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A date, or a number that has no room: nothing that a setting can be.
    Other,
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::Array(_) => "a list",
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Other => "of another kind",
        }
    }
}

/// Looks up an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a file says, and what is wrong with single values of it.
pub(crate) struct Document {
    pub(crate) table: Table,
    pub(crate) problems: Vec<Problem>,
}

/// Reads a TOML document, or says why it is none. `${NAME}` inside a text becomes the environment variable's value.
pub(crate) fn parse(path: &Arc<Path>, text: &str, lookup: Lookup<'_>) -> Result<Document, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = TomlReader { path, text, lookup, problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let origin = reader.origin(error.span().map_or(0, |span| span.start));
        // The parser's own words may repeat what stands there.
        let what = match error.message() {
            message if message.starts_with("duplicate key") => "this key stands here already; keep one of the two",
            message if message.contains("string") || message.contains("quote") => {
                "this is a text that does not begin or end as it should; texts stand between double quotes"
            }
            _ => "this is not TOML; a line is `key = value`, `[table]` or a comment behind #",
        };
        reader.problems.push(Problem { origin, key: String::new(), what: what.to_owned() });
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let table = reader.table(document.get_ref(), "");
    Ok(Document { table, problems: reader.problems })
}

/// As much of a document as can be understood.
pub(crate) fn parse_at_best(path: &Arc<Path>, text: &str, lookup: Lookup<'_>) -> Table {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, _) = DeTable::parse_recoverable(text);
    TomlReader { path, text, lookup, problems: Vec::new() }.table(document.get_ref(), "")
}

struct TomlReader<'a> {
    path: &'a Arc<Path>,
    text: &'a str,
    lookup: Lookup<'a>,
    problems: Vec<Problem>,
}

impl TomlReader<'_> {
    fn origin(&self, byte: usize) -> Origin {
        let before = self.text.as_bytes().get(..byte).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Origin::File { path: Arc::clone(self.path), line }
    }

    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Table {
        let mut read = Table::new();
        for (key, value) in table {
            let is_certain = |table: &DeTable<'_>| has_setting_of_a_source(|key| table.contains_key(key));
            let at = match value.get_ref() {
                DeValue::Table(table) if path == SOURCES && !is_certain(table) => below(path, HIDDEN),
                other if path == SOURCES && !matches!(other, DeValue::Table(_)) => below(path, HIDDEN),
                _ => join(path, key.get_ref()),
            };
            let mut node = self.node(value, &at);
            // A table's own line is that of its name.
            node.origin = self.origin(key.span().start);
            read.insert(key.get_ref().to_string(), node);
        }
        read
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Node {
        let origin = self.origin(value.span().start);
        let written = value.get_ref().as_str().filter(|text| text.contains("${")).map(str::to_owned);
        let value = match value.get_ref() {
            DeValue::Table(table) => Value::Table(self.table(table, path)),
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.node(item, path)).collect()),
            DeValue::String(text) => Value::Text(self.interpolate(text, &origin, path)),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
            }
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Other, Value::Float),
            DeValue::Datetime(_) => Value::Other,
        };
        Node { value, origin, written }
    }

    fn interpolate(&mut self, text: &str, origin: &Origin, path: &str) -> String {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            done.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                self.refuse(origin, path, "has a `${` without its `}`; write ${NAME} for an environment variable");
                return done;
            };
            let name = &rest[start + 2..start + length];
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                self.refuse(
                    origin,
                    path,
                    "has a `${...}` that names no environment variable; a name is letters, digits and _",
                );
            } else if let Some(value) = (self.lookup)(name) {
                done.push_str(&value);
            } else {
                self.refuse(
                    origin,
                    path,
                    "names an environment variable that is not set; set it, or write the value here",
                );
            }
            rest = &rest[start + length + 1..];
        }
        done.push_str(rest);
        done
    }

    fn refuse(&mut self, origin: &Origin, path: &str, what: &str) {
        self.problems.push(Problem { origin: origin.clone(), key: path.to_owned(), what: what.to_owned() });
    }
}

/// Lays one tree over another, key by key.
pub(crate) fn lay_over(below: &mut Table, above: Table) {
    for (key, node) in above {
        match (below.get_mut(&key), node) {
            (Some(Node { value: Value::Table(below), .. }), Node { value: Value::Table(above), .. }) => {
                lay_over(below, above);
            }
            (_, node) => {
                below.insert(key, node);
            }
        }
    }
}

/// A single value as a tree, at a path of keys.
pub(crate) fn at_path(path: &[&str], node: Node) -> Table {
    let origin = node.origin.clone();
    let mut keys = path.iter().rev();
    let last = keys.next().map_or_else(String::new, |key| (*key).to_owned());
    keys.fold(Table::from([(last, node)]), |inner, key| {
        Table::from([((*key).to_owned(), Node::new(Value::Table(inner), origin.clone()))])
    })
}

/// Every key that is a setting, or a table of some: what else stands in the place of a key may be a secret that lost its
/// own.
const SETTINGS: [&str; 19] = [
    "bot",
    "name",
    "owners",
    "log",
    "level",
    "format",
    "database",
    "data_dir",
    "path",
    "default_source",
    "on_unavailable",
    "partial_results",
    "sources",
    "chat_mapping",
    "type",
    "timeout",
    "max_connections",
    "durability",
    "readonly",
];

/// Where the sources are, by their names.
const SOURCES: &str = "database.sources";

/// Whether a table has a setting by which it is certainly a source: then what it is called is a name.
pub(crate) fn has_setting_of_a_source(has: impl Fn(&str) -> bool) -> bool {
    ["type", "path", "timeout", "max_connections", "durability"].into_iter().any(has)
}

/// The longest name of a source that is repeated. Longer ones may be secrets: few of these are as short.
const SHOWN_SOURCE: usize = 16;

/// A source's name as it is shown.
pub(crate) fn shown_source(name: &str) -> &str {
    if name.len() <= SHOWN_SOURCE { name } else { HIDDEN }
}

/// What is shown in place of what must not be.
const HIDDEN: &str = "?";

/// A key below another. One that is no setting is not repeated: the line tells which it is.
pub(crate) fn join(path: &str, key: &str) -> String {
    let is_setting = SETTINGS.contains(&key);
    let is_chat = path == "database.chat_mapping" && key.parse::<i64>().is_ok();
    let is_source = path == SOURCES && key.parse::<database::SourceName>().is_ok();
    let key = match key {
        _ if is_setting || is_chat => key,
        _ if is_source => shown_source(key),
        _ => HIDDEN,
    };
    below(path, key)
}

/// A key below another, as it is.
pub(crate) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
