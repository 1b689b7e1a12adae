//! What a backup says of itself: the file `backup.json` in its folder, and the folder's name.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder;
use crate::time::Timestamp;

/// The manifest's file.
pub(super) const NAME: &str = "backup.json";
/// What the name of a folder that is not finished ends with.
pub(super) const PART: &str = ".part";
/// The folder of stand-ins in a set.
pub(super) const STAND_INS: &str = "standin";
/// The form of the manifest.
const FORMAT: u32 = 1;

/// What a set of copies says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The form of this.
    pub format: u32,
    /// When it was begun (UTC).
    pub made_at: String,
    /// The data folder that it is of.
    pub data_dir: String,
    /// The release that made it.
    pub release: String,
    /// The sources that were asked for; empty where all were.
    pub asked: Vec<String>,
    /// The copies.
    pub files: Vec<BackupFile>,
    /// The sources that have no copy here, and why.
    pub missing: Vec<NotCopied>,
    /// Chats that moved all the time, so that a copy may lack them or have them twice.
    pub moved: Vec<i64>,
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupFile {
    /// Where it is in the folder.
    pub file: String,
    /// The source that it is of, or that it stands in for.
    pub source: String,
    /// Whether it stands in for it.
    pub stand_in: bool,
    /// Whether it is the default source's.
    pub default: bool,
    /// What the database alone is called.
    pub uuid: Option<String>,
    /// The schema's version as earlier releases know it.
    pub version: i64,
    /// The version of what this project adds.
    pub additions: i64,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many rows, in all tables.
    pub rows: u64,
}

/// A source without a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NotCopied {
    /// The source.
    pub source: String,
    /// Why, and what to do.
    pub reason: String,
}

impl Manifest {
    pub(super) fn new(made_at: Timestamp, data_dir: &Path, asked: Vec<String>) -> Self {
        Self {
            format: FORMAT,
            made_at: made_at.to_string(),
            data_dir: data_dir.display().to_string(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            asked,
            files: Vec::new(),
            missing: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// Whether it has all that was asked for, as of one moment.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.moved.is_empty()
    }

    /// Whether it is of the same databases and sources as another.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.data_dir == other.data_dir && self.asked == other.asked
    }

    /// Reads the manifest of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let text = folder::manifest(folder).map_err(|error| error.to_string())?;
        // (The error's own words may quote what is there.)
        let wrong = |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
        let manifest: Self = serde_json::from_str(&text).map_err(wrong)?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(format!("it has the form {other}, and this release knows {FORMAT}")),
        }
    }

    /// Writes it into a folder, on disk.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        folder::write_manifest(folder, &(text + "\n"))
    }
}

/// The name of a set that was begun at this moment.
pub(super) fn stamp(moment: Timestamp) -> String {
    moment.to_string().chars().filter(char::is_ascii_digit).enumerate().fold(
        String::new(),
        |mut text, (place, digit)| {
            if place == 8 {
                text.push('T');
            }
            text.push(digit);
            text
        },
    ) + "Z"
}

/// Whether a name is that of a set: `YYYYMMDDTHHMMSSZ`, and `-2` and so on where several began within a second. Answers
/// what it is ordered by.
pub(super) fn order(name: &str) -> Option<(&str, u32)> {
    let (stamp, number) = match name.split_once('-') {
        None => (name, 1),
        Some((stamp, number)) => {
            (stamp, number.parse().ok().filter(|parsed: &u32| *parsed > 1 && parsed.to_string() == number)?)
        }
    };
    let fits = |(byte, shape): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    let shape = b"00000000T000000Z";
    (stamp.len() == shape.len() && stamp.bytes().zip(*shape).all(fits)).then_some((stamp, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_called_after_its_moment_and_nothing_else_is() {
        let moment = "2026-01-31 08:05:09".parse().unwrap();
        assert_eq!(stamp(moment), "20260131T080509Z");
        assert_eq!(order(&stamp(moment)), Some(("20260131T080509Z", 1)));
        assert_eq!(order("20260131T080509Z-12"), Some(("20260131T080509Z", 12)));
        for name in [
            "20260131T080509Z.part",
            "20260131T080509Z-1",
            "20260131T080509Z-02",
            "20260131T080509Z-",
            "photos",
            "20260131T080509",
            "20260131t080509z",
            "x20260131T080509Z",
            "20260131T08050aZ",
            "",
        ] {
            assert_eq!(order(name), None, "{name}");
        }
    }
}
