//! `bot db`: what it says of the databases and what it has a running bot do.

mod backup_folders;
#[cfg(feature = "multi-source")]
mod backups;
#[cfg(feature = "multi-source")]
mod check;
#[cfg(feature = "multi-source")]
mod held;
#[cfg(feature = "multi-source")]
mod importing;
#[cfg(feature = "multi-source")]
mod killed;
#[cfg(feature = "multi-source")]
mod led;
#[cfg(feature = "multi-source")]
mod leftovers;
#[cfg(feature = "multi-source")]
mod looking;
#[cfg(feature = "multi-source")]
mod migrating;
#[cfg(feature = "multi-source")]
mod mistyped;
#[cfg(feature = "multi-source")]
mod moving;
mod one_file;
#[cfg(feature = "multi-source")]
mod other_configurations;
#[cfg(feature = "multi-source")]
mod planning;
#[cfg(feature = "multi-source")]
mod reloading;
#[cfg(feature = "multi-source")]
mod restoring;
#[cfg(feature = "multi-source")]
mod rolling_back;
#[cfg(feature = "multi-source")]
mod running;
#[cfg(feature = "multi-source")]
mod site;
#[cfg(feature = "multi-source")]
mod starting;
#[cfg(feature = "multi-source")]
mod verifying;

use std::path::Path;

/// A text that is the same everywhere: dates, sizes and process numbers are left out, and columns stand two blanks
/// apart.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let cells = cells.map(|cell| match cell.strip_suffix(" KiB") {
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') => "# KiB".to_owned(),
            // How many connections are open tells how calls met, and whether there are any, whether it is open.
            _ if cell.ends_with(" of 5") && !cell.starts_with('0') => "some of 5".to_owned(),
            _ => without_numbers(cell),
        });
        cells.collect::<Vec<_>>().join("  ")
    });
    lines.map(|line| line + "\n").collect()
}

/// A text without the number behind `process`, and without its dates.
fn without_numbers(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        let bare = word.trim_end_matches([',', ':', ')', ';', '.']);
        let end = &word[bare.len()..];
        let is_of = |shape: &str| {
            bare.len() == shape.len()
                && bare.bytes().zip(shape.bytes()).all(|(found, wanted)| match wanted {
                    b'0' => found.is_ascii_digit(),
                    _ => found == wanted,
                })
        };
        let follows_process = words.last().is_some_and(|last: &String| last.to_lowercase().ends_with("process"));
        if is_of("0000-00-00") {
            words.push("DATE".to_owned());
        } else if is_of("00:00:00") {
            words.push(format!("TIME{end}"));
        } else if follows_process && bare.bytes().all(|byte| byte.is_ascii_digit()) {
            words.push(format!("N{end}"));
        } else if bare == "KiB" && words.last().is_some_and(|last| last.starts_with('(')) {
            words.pop();
            words.push(format!("(# {word}"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// Every file below a folder with its bytes; what SQLite keeps in memory only (`-shm`) without them.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.push((name, Vec::new()));
            found.extend(files(&path));
        } else {
            let bytes = if name.ends_with("-shm") { Vec::new() } else { std::fs::read(&path).unwrap_or_default() };
            found.push((name, bytes));
        }
    }
    found.sort();
    found
}
