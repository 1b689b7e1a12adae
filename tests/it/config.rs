//! The configuration: what it refuses and how it says so, how its layers lie over one another, and the program's
//! commands about it. Everything starts from files on disk.

mod files;
mod layers;
pub(crate) mod mutations;
mod program;
mod refusals;

use std::path::PathBuf;

use config::{Config, ConfigError, Layers};

use super::support::Scratch;

/// A folder with configuration files.
pub(crate) struct Place(Scratch);

impl Place {
    pub(crate) fn new() -> Self {
        Self(Scratch::in_memory())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// A file of this name.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What is loaded from these files under this environment.
    pub(crate) fn load(&self, files: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let files = files.iter().map(|name| self.path(name)).collect();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Layers { files, environment, data_dir: None }.load()
    }

    /// What is wrong, with this folder written as `DIR`.
    pub(crate) fn wrong(&self, files: &[&str], environment: &[(&str, &str)]) -> String {
        self.anonymous(&self.load(files, environment).unwrap_err().to_string())
    }

    /// A text with this folder written as `DIR`.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(self.0.path().to_str().unwrap(), "DIR")
    }
}

/// What is wrong with a file of this content, without the folder's name.
pub(crate) fn wrong(content: impl AsRef<[u8]>) -> String {
    let place = Place::new();
    place.file("bot.toml", content);
    place.wrong(&["bot.toml"], &[]).replace("DIR/", "")
}

/// The configuration in a file of this content.
pub(crate) fn right(content: &str) -> Config {
    let place = Place::new();
    place.file("bot.toml", content);
    place.load(&["bot.toml"], &[]).unwrap()
}

/// Two writable sources, the first of them the default one; what is added stands in the table of the second.
pub(crate) fn two_sources(added: &str) -> String {
    format!(
        "[database]\ndefault_source = \"primary\"\n[database.sources.primary]\npath = \"bot.db\"\n\
         [database.sources.archive]\npath = \"archive.db\"\n{added}"
    )
}
