//! The commands that look after the files of databases.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use database::SourceName;

/// Looking after the files of databases.
#[derive(Clone, Debug, Subcommand)]
pub enum UpkeepCommand {
    /// Check each database: is it whole, its own, up to date, and set up as it should be? Changes nothing
    Check(CheckArgs),
    /// Read chats row by row, and compare them where they are in more than one database. Changes nothing
    Verify(VerifyArgs),
    /// Bring each database up to date, as a bot does when it opens it
    Migrate,
    /// Copy all databases into a folder while they are in use
    Backup(BackupArgs),
    /// Put a backup back; what is there now is kept beside it
    Restore(RestoreArgs),
}

/// What is asked of a check.
#[derive(Args, Clone, Copy, Debug)]
pub struct CheckArgs {
    /// So many MiB should be free on the disk of each database
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub least_free: u64,
}

/// Which chats are read.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The chats
    #[arg(value_name = "CHAT", allow_negative_numbers = true, value_parser = super::id)]
    #[arg(required_unless_present = "all")]
    pub chats: Vec<i64>,

    /// All chats
    #[arg(long, conflicts_with = "chats")]
    pub all: bool,
}

/// What is copied where.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The folder in which a folder for each backup is made; it is created where only it is missing
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Only this source of [database.sources]; may be given several times
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<SourceName>,

    /// Go on until it is told to stop, and make a backup so often: 30m, 1h, 1d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub every: Option<Duration>,

    /// Remove the oldest backups of the same databases, and keep so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// What is put back.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// A backup's folder; or a database file, with the one source that it is of
    #[arg(value_name = "SET")]
    pub set: PathBuf,

    /// Only this source of [database.sources]; may be given several times
    #[arg(long = "source", value_name = "NAME")]
    pub sources: Vec<SourceName>,

    /// Also where chats that were moved since the backup, or are led elsewhere than it has them, lose their rows
    #[arg(long)]
    pub even_so: bool,
}

/// A duration such as `90s`, `30m`, `1h30m` or `1d`: at least a second.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number with s, m, h or d behind it, such as 30m or 1h30m".to_owned();
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = rest[end..].chars().next().ok_or_else(wrong)?;
        let length = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        seconds = number.checked_mul(length).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    if seconds == 0 { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_said() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "1", "h", "1x", "-1h", "0s", "1h ", "1.5h", "99999999999999999999d", "9999999999999999999d", "1é"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
