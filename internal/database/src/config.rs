//! All databases of a bot, as plain values. This crate knows no configuration files: something else fills these in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::SourceConfig;

/// The databases of a bot, and which chat lives in which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// One file alone, or sources by name.
    pub form: Form,
    /// Where the files are, absolute.
    pub data_dir: PathBuf,
    /// The sources by name; at least the default one.
    pub sources: BTreeMap<SourceName, SourceConfig>,
    /// The source of everything that is mapped to none.
    pub default_source: SourceName,
    /// The chats that live in another source than the default one (or are said to live there).
    pub chat_mapping: BTreeMap<ChatId, SourceName>,
    /// What becomes of a question over all sources while one is down.
    pub partial_results: PartialResults,
}

/// Which of the two forms a configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One file, used as earlier releases did: without a lock, by several processes if need be.
    SingleFile,
    /// Sources by name, of which one process is in charge.
    Sources,
}

/// What becomes of a question over all sources while one is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartialResults {
    /// It is answered from the others, and the answer says what is missing.
    #[default]
    Warn,
    /// It fails.
    Error,
}
