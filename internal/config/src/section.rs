//! Reading the tables of a configuration: each value with its kind and bounds, and at the end what nobody asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::problem::{Origin, Problem};
use crate::tree::{Node, Table, Value, below, join};

/// What reading finds: problems, and the settings as they are in force.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: RefCell<Vec<Problem>>,
    pub(crate) settings: RefCell<Vec<Setting>>,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key, from the top and with dots.
    pub key: String,
    /// The value. Where environment variables were put into it, it is as it is written, but for paths: what such a
    /// variable holds may be a secret.
    pub value: toml::Value,
    /// Where it comes from.
    pub origin: Origin,
}

impl Setting {
    /// The value as TOML, on one line whatever is in it.
    pub fn as_toml(&self) -> String {
        let Some(text) = self.value.as_str().filter(|text| text.contains(char::is_control)) else {
            return self.value.to_string();
        };
        let mut written = String::from("\"");
        for letter in text.chars() {
            match letter {
                '"' | '\\' => written.extend(['\\', letter]),
                letter if letter.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(letter))),
                letter => written.push(letter),
            }
        }
        written.push('"');
        written
    }
}

/// The settings whose values are paths, and shown as they are used.
const PATHS: [&str; 2] = ["data_dir", "path"];

/// A table that is being read.
pub(crate) struct Section<'a> {
    findings: &'a Findings,
    path: String,
    origin: Origin,
    table: Table,
    known: Vec<&'static str>,
    /// Texts as they are written, by key, where environment variables within them were replaced.
    written: BTreeMap<&'static str, String>,
}

/// A value that was found, and where.
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

impl<'a> Section<'a> {
    pub(crate) fn root(findings: &'a Findings, table: Table) -> Self {
        Self {
            findings,
            path: String::new(),
            origin: Origin::Default,
            table,
            known: Vec::new(),
            written: BTreeMap::new(),
        }
    }

    /// A table below this one; an empty one where there is none.
    pub(crate) fn section(&mut self, key: &'static str) -> Section<'a> {
        self.optional_section(key).unwrap_or_else(|| self.below(key, Origin::Default, Table::new()))
    }

    /// A table below this one, or `None` where there is none.
    pub(crate) fn optional_section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let Node { value, origin, .. } = self.take(key)?;
        match value {
            Value::Table(table) => Some(self.below(key, origin, table)),
            other => {
                self.refuse(
                    key,
                    &origin,
                    &format!("is {}, but must be a table: [{}]", other.kind(), join(&self.path, key)),
                );
                None
            }
        }
    }

    /// All entries, where the keys are free, in the order of their lines.
    pub(crate) fn entries(&mut self) -> Vec<(String, Node)> {
        let mut entries: Vec<_> = std::mem::take(&mut self.table).into_iter().collect();
        entries.sort_by_key(|(_, node)| match &node.origin {
            Origin::File { line, .. } => *line,
            _ => usize::MAX,
        });
        entries
    }

    /// A table among free keys.
    pub(crate) fn entry(&self, key: &str, node: Node) -> Option<Section<'a>> {
        match node.value {
            Value::Table(table) => Some(self.below(key, node.origin, table)),
            other => {
                self.refuse(key, &node.origin, &format!("is {}, but must be a table", other.kind()));
                None
            }
        }
    }

    /// Whether there is anything under this key, of whatever kind.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Found<String>> {
        let Node { value, origin, .. } = self.take(key)?;
        match value {
            Value::Text(value) => Some(Found { value, origin }),
            other => self.wrong_kind(key, &origin, &other, "text between double quotes"),
        }
    }

    pub(crate) fn bool(&mut self, key: &'static str, default: bool) -> Found<bool> {
        let found = self.take(key).and_then(|Node { value, origin, .. }| match value {
            Value::Bool(value) => Some(Found { value, origin }),
            Value::Text(text) if from_outside(&origin) && matches!(text.as_str(), "true" | "false") => {
                Some(Found { value: text == "true", origin })
            }
            other => self.wrong_kind(key, &origin, &other, "true or false"),
        });
        let found = found.unwrap_or(Found { value: default, origin: Origin::Default });
        self.show(key, toml::Value::Boolean(found.value), &found.origin);
        found
    }

    /// A number within bounds (both included).
    pub(crate) fn number(&mut self, key: &'static str, default: f64, least: f64, most: f64, unit: &str) -> f64 {
        let found = self.take(key).and_then(|Node { value, origin, .. }| {
            let number = match &value {
                Value::Float(number) => Some(*number),
                Value::Integer(number) => Some(*number as f64),
                Value::Text(text) if from_outside(&origin) => text.parse().ok(),
                _ => None,
            };
            match number {
                Some(value) if (least..=most).contains(&value) => Some(Found { value, origin }),
                _ => {
                    self.refuse(key, &origin, &format!("must be a number of {unit} from {least} to {most}"));
                    None
                }
            }
        });
        let found = found.unwrap_or(Found { value: default, origin: Origin::Default });
        self.show(key, toml::Value::Float(found.value), &found.origin);
        found.value
    }

    /// A whole number within bounds (both included).
    pub(crate) fn whole(&mut self, key: &'static str, default: i64, least: i64, most: i64) -> i64 {
        let found = self.take(key).and_then(|Node { value, origin, .. }| {
            let number = match &value {
                Value::Integer(number) => Some(*number),
                Value::Text(text) if from_outside(&origin) => text.parse().ok(),
                _ => None,
            };
            match number {
                Some(value) if (least..=most).contains(&value) => Some(Found { value, origin }),
                _ => {
                    self.refuse(key, &origin, &format!("must be a whole number from {least} to {most}"));
                    None
                }
            }
        });
        let found = found.unwrap_or(Found { value: default, origin: Origin::Default });
        self.show(key, toml::Value::Integer(found.value), &found.origin);
        found.value
    }

    /// One of several words.
    pub(crate) fn word<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> Found<T> {
        let found = self.text(key).and_then(|found| match words.iter().find(|(word, _)| *word == found.value) {
            Some((_, value)) => Some(Found { value: *value, origin: found.origin }),
            None => {
                let allowed: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.refuse(key, &found.origin, &format!("must be one of {}", allowed.join(", ")));
                None
            }
        });
        let found = found.unwrap_or(Found { value: default, origin: Origin::Default });
        if let Some((word, _)) = words.iter().find(|(_, value)| *value == found.value) {
            self.show(key, toml::Value::from(*word), &found.origin);
        }
        found
    }

    /// A list; from the environment a text with commas is one.
    pub(crate) fn list(&mut self, key: &'static str) -> Option<Found<Vec<Node>>> {
        let node = self.take(key)?;
        let origin = node.origin.clone();
        let value = match node.value {
            Value::Array(items) => items,
            Value::Text(text) if from_outside(&origin) => {
                let item = |text: &str| Node::new(Value::Text(text.trim().to_owned()), origin.clone());
                text.split(',').filter(|text| !text.trim().is_empty()).map(item).collect()
            }
            other => return self.wrong_kind(key, &origin, &other, "a list in square brackets"),
        };
        Some(Found { value, origin })
    }

    /// Refuses a value of this table.
    pub(crate) fn refuse(&self, key: &str, origin: &Origin, what: &str) {
        self.refuse_as(join(&self.path, key), origin, what);
    }

    fn refuse_as(&self, key: String, origin: &Origin, what: &str) {
        self.findings.problems.borrow_mut().push(Problem { origin: origin.clone(), key, what: what.to_owned() });
    }

    /// Refuses something about the table as a whole.
    pub(crate) fn refuse_all(&self, what: &str) {
        let problem = Problem { origin: self.origin.clone(), key: self.path.clone(), what: what.to_owned() };
        self.findings.problems.borrow_mut().push(problem);
    }

    /// Notes a setting that is in force.
    pub(crate) fn show(&self, key: &str, value: toml::Value, origin: &Origin) {
        let value = match self.written.get(key) {
            Some(written) if !PATHS.contains(&key) => toml::Value::from(written.as_str()),
            _ => value,
        };
        let key = below(&self.path, key);
        self.findings.settings.borrow_mut().push(Setting { key, value, origin: origin.clone() });
    }

    /// Where a value stands that is not to be read.
    pub(crate) fn passed_over(&mut self, key: &'static str) -> Option<Origin> {
        self.take(key).map(|node| node.origin)
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(mut self) {
        for (key, node) in std::mem::take(&mut self.table) {
            let near = nearest(&key, self.known.iter().copied());
            let what = match near {
                Some(near) => format!("is not a setting; did you mean `{near}`?"),
                None if self.known.is_empty() => "is not a setting".to_owned(),
                None => format!("is not a setting; here there are: {}", self.known.join(", ")),
            };
            // What is nearly a setting is a slip of the pen.
            let shown = if near.is_some() { below(&self.path, &key) } else { join(&self.path, &key) };
            self.refuse_as(shown, &node.origin, &what);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let node = self.table.remove(key)?;
        self.written.extend(node.written.clone().map(|written| (key, written)));
        Some(node)
    }

    fn below(&self, key: &str, origin: Origin, table: Table) -> Section<'a> {
        Section { origin, path: join(&self.path, key), ..Section::root(self.findings, table) }
    }

    fn wrong_kind<T>(&self, key: &str, origin: &Origin, value: &Value, wanted: &str) -> Option<T> {
        self.refuse(key, origin, &format!("is {}, but must be {wanted}", value.kind()));
        None
    }
}

/// Whether all values of this origin are texts.
fn from_outside(origin: &Origin) -> bool {
    matches!(origin, Origin::Environment(_) | Origin::Flag(_))
}

/// The word that was probably meant.
pub(crate) fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(far, _)| *far <= 2)
        .min()
        .map(|(_, word)| word)
}
