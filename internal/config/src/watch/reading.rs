//! What reading the files gave, and whether it is news.

use crate::load::Config;

/// A configuration as it was read, or why it cannot be used.
pub(super) type Reading = Result<Config, String>;

/// Whether a reading says what is in force, or what was turned down last.
pub(super) fn is_known(current: &Config, refused: Option<&Reading>, reading: &Reading) -> bool {
    match (refused, reading) {
        (Some(refused), reading) => alike(refused, reading),
        (None, Ok(config)) => say_the_same(current, config),
        (None, Err(_)) => false,
    }
}

/// Whether two readings say the same.
pub(super) fn alike(one: &Reading, other: &Reading) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => say_the_same(one, other),
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}

/// In other words, perhaps: neither comments nor lines nor where a setting comes from count.
fn say_the_same(one: &Config, other: &Config) -> bool {
    (&one.bot, &one.log, &one.database) == (&other.bot, &other.log, &other.database)
}
