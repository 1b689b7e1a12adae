//! Writing where chats are into `[database.chat_mapping]` of the configuration's files, all else in them left as it is,
//! comments and order included.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use database::ChatId;
use database::multi::MappingChange;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

/// What a new file is called until it has the place of the old one, behind the old one's name.
const NEW: &str = ".new";

/// Why a configuration file was not written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {what}", path.display())]
pub struct MappingError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

/// Writes these changes into the files, of which later ones win, and answers which were written. Where a chat has a line
/// it is changed there; where it has none it gets one in the last file with such a table, or else with `[database]`.
///
/// # Errors
/// A file cannot be read or written; those before it are.
pub fn write_mapping(files: &[PathBuf], changes: &[MappingChange]) -> Result<Vec<PathBuf>, MappingError> {
    let mut read = Vec::new();
    for path in files {
        let failed = |what: String| MappingError { path: path.clone(), what };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        // (The error's own words would quote the file.)
        let document = text.parse::<DocumentMut>().map_err(|_| failed("it is no TOML".to_owned()))?;
        read.push((path, text, document));
    }
    for change in changes {
        let (chat, source) = match change {
            MappingChange::Set { chat, source } => (chat, Some(source)),
            MappingChange::Remove { chat } => (chat, None),
            _ => continue,
        };
        let holders: Vec<_> = read
            .iter()
            .map(|(_, _, document)| table(document).is_some_and(|table| key_in(table, *chat).is_some()))
            .collect();
        let last_with = |has: &dyn Fn(&DocumentMut) -> bool| read.iter().rposition(|(_, _, document)| has(document));
        let place = holders
            .iter()
            .rposition(|holds| *holds)
            .or_else(|| last_with(&|document| table(document).is_some()))
            .or_else(|| last_with(&|document| document.contains_key("database")))
            .or_else(|| read.len().checked_sub(1));
        match (source, place) {
            (Some(source), Some(place)) => {
                let table = table_to_write(&mut read[place].2);
                let Some(table) = table else {
                    let what = "[database.chat_mapping] is no table".to_owned();
                    return Err(MappingError { path: read[place].0.clone(), what });
                };
                let key = key_in(table, *chat).unwrap_or_else(|| chat.to_string());
                match table.get_mut(&key).and_then(Item::as_value_mut) {
                    // With the comment behind it.
                    Some(old) => {
                        let decor = old.decor().clone();
                        *old = source.as_str().into();
                        *old.decor_mut() = decor;
                    }
                    None => drop(table.insert(&key, value(source.as_str()))),
                }
            }
            (None, _) => {
                for (_, _, document) in &mut read {
                    if let Some(table) = table_to_write_if_there(document)
                        && let Some(key) = key_in(table, *chat)
                    {
                        table.remove(&key);
                    }
                }
            }
            (Some(_), None) => {}
        }
    }
    let mut written = Vec::new();
    for (path, before, document) in read {
        let text = document.to_string();
        if text != before {
            replace(path, &text).map_err(|error| MappingError { path: path.clone(), what: error.to_string() })?;
            written.push(path.clone());
        }
    }
    Ok(written)
}

fn table(document: &DocumentMut) -> Option<&dyn TableLike> {
    document.get("database")?.as_table_like()?.get("chat_mapping")?.as_table_like()
}

fn table_to_write_if_there(document: &mut DocumentMut) -> Option<&mut dyn TableLike> {
    document.get_mut("database")?.as_table_like_mut()?.get_mut("chat_mapping")?.as_table_like_mut()
}

fn table_to_write(document: &mut DocumentMut) -> Option<&mut dyn TableLike> {
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let database = document.entry("database").or_insert_with(implicit).as_table_like_mut()?;
    database.entry("chat_mapping").or_insert(Item::Table(Table::new())).as_table_like_mut()
}

/// The key of a chat as it is written: numbers can be written in more than one way.
fn key_in(table: &dyn TableLike, chat: ChatId) -> Option<String> {
    let is_it = |key: &str| key.trim().parse::<i64>().is_ok_and(|id| id == chat.0);
    table.iter().map(|(key, _)| key.to_owned()).find(|key| is_it(key))
}

/// Gives a file other contents at once: whoever reads it finds the old or the new. A link stays one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mode = fs::metadata(&path)?.permissions().mode();
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let new = PathBuf::from(new);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode & 0o777).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    })();
    if written.is_err() {
        // What is left of it is of no use.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(chat: i64, source: &str) -> MappingChange {
        MappingChange::Set { chat: ChatId(chat), source: source.parse().unwrap() }
    }

    fn written(texts: &[&str], changes: &[MappingChange]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..texts.len()).map(|number| folder.path().join(format!("{number}.toml"))).collect();
        for (path, text) in files.iter().zip(texts) {
            fs::write(path, text).unwrap();
        }
        write_mapping(&files, changes).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), texts.len(), "nothing else is left");
        files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn lines_change_and_all_else_stays() {
        let text = "# mine\n[database] # of the bot\ndefault_source   = \"primary\"\n\n[database.chat_mapping]\n# friends\n-5 = \"a\" # old friends\n-6='b'\n\n[bot]\nname = 'x'\n";
        let changed = written(&[text], &[set(-5, "b"), set(-7, "a"), MappingChange::Remove { chat: ChatId(-6) }]);
        assert_eq!(
            changed,
            [
                "# mine\n[database] # of the bot\ndefault_source   = \"primary\"\n\n[database.chat_mapping]\n# friends\n-5 = \"b\" # old friends\n-7 = \"a\"\n\n[bot]\nname = 'x'\n"
            ]
        );
    }

    #[test]
    fn a_table_is_made_where_there_is_none_and_the_last_file_that_has_the_chat_is_changed() {
        assert_eq!(
            written(&["[database]\npath = 'x'\n"], &[set(-5, "a")]),
            ["[database]\npath = 'x'\n\n[database.chat_mapping]\n-5 = \"a\"\n"]
        );
        let with = "[database.chat_mapping]\n-5 = \"a\"\n";
        assert_eq!(
            written(&[with, "[bot]\n", with, "[database]\n"], &[set(-5, "b")])[..],
            [with, "[bot]\n", "[database.chat_mapping]\n-5 = \"b\"\n", "[database]\n"]
        );
        assert_eq!(
            written(&[with, with], &[MappingChange::Remove { chat: ChatId(-5) }])[..],
            ["[database.chat_mapping]\n", "[database.chat_mapping]\n"]
        );
        assert_eq!(
            written(&["database = { chat_mapping = { -5 = 'a' } }\n"], &[set(-5, "b")]),
            ["database = { chat_mapping = { -5 = \"b\" } }\n"]
        );
    }

    #[test]
    fn what_cannot_be_written_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.toml");
        fs::write(&path, "[database\ntoken = 'secret'").unwrap();
        let error = write_mapping(std::slice::from_ref(&path), &[set(-5, "a")]).unwrap_err().to_string();
        assert!(error.contains("it is no TOML") && !error.contains("secret"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[database\ntoken = 'secret'");
        assert!(write_mapping(&[folder.path().join("none.toml")], &[set(-5, "a")]).is_err());
    }
}
