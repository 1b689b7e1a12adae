//! What is wrong with a configuration, said so that a person can mend it and nobody learns a secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It is built in.
    Default,
    /// A configuration file.
    File {
        /// The file, as it was given.
        path: Arc<Path>,
        /// The line, counted from 1; 0 where it is the file as a whole.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "option {name}"),
        }
    }
}

/// One thing that is wrong: where, which key, and what would be right. Values are never repeated: a token may stand
/// where it does not belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key, from the top and with dots; empty where it is none.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, what } = self;
        match key.as_str() {
            "" => write!(f, "{origin}: {what}"),
            key => write!(f, "{origin}: `{key}` {what}"),
        }
    }
}

/// All that is wrong with a configuration, in the order of where it stands.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong; at least one thing.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
