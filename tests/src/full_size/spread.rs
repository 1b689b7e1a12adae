//! The import into six sources: the same rows as in one file, and hardly slower.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tests::rows::{dump, times_of_storing};

use super::file::Chat;
use super::report::Report;
use super::{Result, eprint, imports};

/// Into how many sources the chats are spread.
const SOURCES: usize = 6;
/// How often both are timed, one after the other.
const TURNS: usize = 5;
/// How many times as long as into one file it may take, in the median of the turns.
const LIMIT: f64 = 1.2;

/// Imports into one file and into many in turns, and compares rows and times.
pub(crate) fn compare(export: &Path, chats: &[Chat], folder: &Path, report: &mut Report) -> Result<()> {
    let config = folder.join("spread.toml");
    std::fs::write(&config, configuration(chats))?;
    let mut ratios = Vec::new();
    let mut is_equal = true;
    for turn in 1..=TURNS {
        eprint(&format!("importing into one file and into {SOURCES}, turn {turn} of {TURNS}"));
        let (one, many) = (folder.join("one"), folder.join("many"));
        let single = imports::run(export, &one)?;
        let spread = imports::run_with(Some(&config), export, &many)?;
        ratios.push(spread.took.as_secs_f64() / single.took.as_secs_f64());
        if turn == 1 {
            let files: Vec<PathBuf> = (0..SOURCES).map(|number| many.join(format!("source{number}.db"))).collect();
            is_equal = rows(&[single.database])? == rows(&files)?;
            let counts = files.iter().map(|file| rows(std::slice::from_ref(file)).map(|rows| rows.len().to_string()));
            report.note("rows in each source", &counts.collect::<Result<Vec<_>>>()?.join(", "));
        }
        std::fs::remove_dir_all(&one)?;
        std::fs::remove_dir_all(&many)?;
    }
    let found = if is_equal { "equal" } else { "not equal" };
    report.fact(&format!("rows of {SOURCES} sources together, and of one file"), found, is_equal);
    ratios.sort_by(f64::total_cmp);
    let median = ratios[TURNS / 2];
    let what = format!("time of the import into {SOURCES} sources over that into one file, median of {TURNS} turns");
    report.fact(&what, &format!("{median:.2} (limit {LIMIT})"), median <= LIMIT);
    Ok(())
}

/// The chats in turn to the sources; the first source is the default one and its chats are not mapped.
fn configuration(chats: &[Chat]) -> String {
    let mut text = "[database]\ndefault_source = \"source0\"\n".to_owned();
    for number in 0..SOURCES {
        let _ = writeln!(text, "[database.sources.source{number}]\npath = \"source{number}.db\"");
    }
    text += "[database.chat_mapping]\n";
    for (index, chat) in chats.iter().enumerate().filter(|(index, _)| index % SOURCES > 0) {
        let _ = writeln!(text, "{} = \"source{}\"", chat.id, index % SOURCES);
    }
    text
}

/// The rows of some files together, but for what each file has of its own.
fn rows(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(dump(file, times_of_storing)?.into_iter().filter(|row| !row.starts_with("settings ")));
    }
    rows.sort_unstable();
    Ok(rows)
}
