//! What a check finds: how bad it is, where, what it is and what to do.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Something does not work, or will not.
    Error,
    /// Something works and is not as it should be.
    Warning,
    /// Something that is good to know; nothing has to be done.
    Note,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The source that it is about.
    pub source: String,
    /// The file that it is about, where it is about one.
    pub path: Option<String>,
    /// What it is; never a word that somebody wrote.
    pub what: String,
    /// What to do; empty where nothing has to be done.
    pub remedy: String,
}

/// How many of several things are named.
const MOST_NAMED: usize = 5;

/// The first few of some things, and how many more there are.
pub(crate) fn named(things: impl ExactSizeIterator<Item = String>) -> String {
    let more = things.len().saturating_sub(MOST_NAMED);
    let mut text: Vec<_> = things.take(MOST_NAMED).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

impl Finding {
    pub(crate) fn new(severity: Severity, source: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { severity, source: source.to_string(), path: None, what: what.into(), remedy: String::new() }
    }

    /// From a message that says what to do behind a semicolon, as all errors here do.
    pub(crate) fn of_message(severity: Severity, source: impl fmt::Display, message: &str) -> Self {
        let (what, remedy) = message.split_once("; ").unwrap_or((message, ""));
        Self::new(severity, source, what).with_remedy(remedy)
    }

    pub(crate) fn at(self, path: &Path) -> Self {
        Self { path: Some(path.display().to_string()), ..self }
    }

    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
