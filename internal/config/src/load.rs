//! Finding the layers of a configuration and putting them together.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use database::DatabaseConfig;

use crate::bot::{BotConfig, LogConfig, read_bot, read_log};
use crate::databases;
use crate::problem::{ConfigError, Origin, Problem};
use crate::section::{Findings, Section, Setting};
use crate::tree::{Document, Node, Table, Value, at_path, lay_over, parse, parse_at_best};

/// The file that is used where it exists and none is named.
pub const DEFAULT_FILE: &str = "configs/bot.toml";
/// What the environment variables begin with that are settings.
const PREFIX: &str = "SWITCHYARD_";
/// What is in the names of all that are: no setting stands outside of a table.
const BELOW: &str = "__";
/// What is wrong with a value that is no text.
const NO_UTF8: &str = "its value is not UTF-8; give it another one";
/// No configuration is larger.
const MOST_BYTES: u64 = 16 << 20;

/// Gives the bytes of a file.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Where a configuration is looked for. Later layers win, key by key: defaults, files, environment, options.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The files, in order. None: [`DEFAULT_FILE`] where it exists.
    pub files: Vec<PathBuf>,
    /// The environment, name by name.
    pub environment: Vec<(OsString, OsString)>,
    /// The option `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table `[bot]`.
    pub bot: BotConfig,
    /// The table `[log]`.
    pub log: LogConfig,
    /// The table `[database]`.
    pub database: DatabaseConfig,
    /// The files it was read from; none where all is built in.
    pub files: Vec<PathBuf>,
    /// Environment variables that begin as settings do and are none, in the order of their names. Others than the
    /// operator may have set them, as Kubernetes does for a service of that name.
    pub passed_over: Vec<String>,
    /// Every setting in force and where it comes from, in the order of their keys.
    pub settings: Vec<Setting>,
}

impl Layers {
    /// These files, and the environment and options of this process.
    pub fn of_process(files: Vec<PathBuf>, data_dir: Option<PathBuf>) -> Self {
        Self { files, environment: std::env::vars_os().collect(), data_dir }
    }

    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_files(self.found_files(), &read_bytes)
    }

    /// Reads and checks the configuration with these files as its files, whose bytes `read` gives.
    pub(crate) fn load_files(&self, files: Vec<PathBuf>, read: Read<'_>) -> Result<Config, ConfigError> {
        let mut tree = Table::new();
        let mut problems = Vec::new();
        let mut unread = false;
        for file in &files {
            match self.read_file(file, read) {
                Ok(document) => {
                    lay_over(&mut tree, document.table);
                    problems.extend(document.problems);
                }
                Err(wrong) => {
                    unread = true;
                    problems.extend(wrong);
                }
            }
        }
        let passed_over = self.lay_rest_over(&mut tree, &mut problems);
        // What stands in a file that cannot be read would be missed, and complained of.
        if unread {
            return Err(in_order(problems, &files));
        }
        Ok(Config { passed_over, ..check(tree, problems, files)? })
    }

    /// Where the files of the databases are, as far as that can be told of a configuration with anything wrong in it:
    /// enough to find a bot that runs on what it said before. Files that cannot be read are passed over.
    pub fn data_dir_at_best(&self) -> PathBuf {
        let mut tree = Table::new();
        for file in self.found_files() {
            let text = read_bytes(&file).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(text) = text {
                let path: Arc<Path> = Arc::from(file);
                lay_over(&mut tree, parse_at_best(&path, &text, &|name| self.variable(name)));
            }
        }
        self.lay_rest_over(&mut tree, &mut Vec::new());
        let findings = Findings::default();
        databases::read_data_dir(&mut Section::root(&findings, tree).section("database"))
    }

    /// Lays the environment and the options over the files. Answers with the variables that are no settings.
    fn lay_rest_over(&self, tree: &mut Table, problems: &mut Vec<Problem>) -> Vec<String> {
        let mut passed_over = Vec::new();
        for (name, value) in &self.environment {
            let Some(name) = name.to_str() else { continue };
            let Some(keys) = name.strip_prefix(PREFIX) else { continue };
            if !keys.contains(BELOW) {
                passed_over.push(name.to_owned());
                continue;
            }
            let origin = Origin::Environment(name.to_owned());
            match value.to_str() {
                Some(value) => lay_over(tree, from_environment(keys, value, origin)),
                None => problems.push(Problem { origin, key: String::new(), what: NO_UTF8.to_owned() }),
            }
        }
        if let Some(folder) = &self.data_dir {
            let origin = Origin::Flag("--data-dir");
            match folder.to_str() {
                Some(folder) => {
                    let node = Node::new(Value::Text(folder.to_owned()), origin);
                    lay_over(tree, at_path(&["database", "data_dir"], node));
                }
                None => problems.push(Problem { origin, key: String::new(), what: NO_UTF8.to_owned() }),
            }
        }
        passed_over.sort();
        passed_over
    }

    fn found_files(&self) -> Vec<PathBuf> {
        if self.files.is_empty() && Path::new(DEFAULT_FILE).exists() {
            return vec![PathBuf::from(DEFAULT_FILE)];
        }
        self.files.clone()
    }

    fn read_file(&self, file: &Path, read: Read<'_>) -> Result<Document, Vec<Problem>> {
        let path: Arc<Path> = Arc::from(file);
        let wrong = |line, what: String| {
            let origin = Origin::File { path: Arc::clone(&path), line };
            vec![Problem { origin, key: String::new(), what }]
        };
        let bytes = read(file)
            .map_err(|error| wrong(0, format!("cannot be read: {error}; correct the path given with --config")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            wrong(line, "this is not UTF-8; save the file as UTF-8".to_owned())
        })?;
        parse(&path, &text, &|name| self.variable(name))
    }

    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
        value.to_str().map(str::to_owned)
    }
}

/// The bytes of a file.
pub(crate) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(file)?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if found.len() > MOST_BYTES {
        return Err(io::Error::other("it is larger than any configuration is"));
    }
    fs::read(file)
}

/// `DATABASE__DATA_DIR`: two underscores go a level down, one is one.
fn from_environment(keys: &str, value: &str, origin: Origin) -> Table {
    let lower = keys.to_ascii_lowercase();
    let path: Vec<&str> = lower.split(BELOW).collect();
    at_path(&path, Node::new(Value::Text(value.to_owned()), origin))
}

/// In the order of where they stand: file after file, line after line, then what is in no file.
fn in_order(mut problems: Vec<Problem>, files: &[PathBuf]) -> ConfigError {
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File { path, line } => (files.iter().position(|file| **file == **path), *line),
        _ => (Some(files.len()), 0),
    });
    problems.dedup();
    ConfigError { problems }
}

/// `known` are problems of values that are part of the tree nevertheless, so that everything else is checked as well.
fn check(tree: Table, known: Vec<Problem>, files: Vec<PathBuf>) -> Result<Config, ConfigError> {
    let findings = Findings::default();
    let mut root = Section::root(&findings, tree);
    let bot = read_bot(root.section("bot"));
    let log = read_log(root.section("log"));
    let database = databases::read(root.section("database"));
    root.finish();
    let Findings { problems, settings } = findings;
    let (mut problems, settings) = (problems.into_inner(), settings.into_inner());
    // That such a value is wrong in a second way as well follows from the first.
    problems
        .retain(|problem| !known.iter().any(|known| (&known.origin, &known.key) == (&problem.origin, &problem.key)));
    problems.extend(known);
    match database {
        Some(database) if problems.is_empty() => {
            Ok(Config { bot, log, database, files, passed_over: Vec::new(), settings })
        }
        _ => Err(in_order(problems, &files)),
    }
}
