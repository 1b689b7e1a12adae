//! The schema of earlier releases, versions 1 to 6, step by step.

use std::path::Path;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Failure, has_table, version_number};
use crate::time::Clock;

/// The last version that earlier releases know.
pub(super) const LATEST: i64 = 6;
/// The first version that has every table and column of a chat.
pub(super) const OLDEST_READABLE: i64 = 3;

/// The version that a file with a `settings` table is at.
pub(super) fn version(path: &Path, connection: &Connection) -> Result<i64, Failure> {
    let sql = "SELECT CAST(value AS TEXT) FROM settings WHERE key = 'db-migration-version'";
    let text: Option<Option<String>> = match connection.query_row(sql, [], |row| row.get(0)).optional() {
        // A `settings` table of some other program: told apart by the tables beside it.
        Err(rusqlite::Error::SqlInputError { .. }) => return Ok(0),
        found => found?,
    };
    version_number(path, text.flatten().as_deref())
}

/// Whether any of the file's tables is one of the bot's (`settings`, which many programs have, does not count).
pub(super) fn has_table_of_ours(connection: &Connection) -> rusqlite::Result<bool> {
    for name in ["chat_messages", "chat_settings", "chat_users", "chat_info", "delayed_tasks", "user_data"] {
        if has_table(connection, name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Raises the schema to [`LATEST`]. Every step holds on a file that has its effect already.
pub(super) fn raise(connection: &Connection, from: i64, clock: &dyn Clock) -> rusqlite::Result<()> {
    for step in from + 1..=LATEST {
        match step {
            1 => connection.execute_batch(include_str!("legacy/version_1.sql"))?,
            2 => add_column(connection, "chat_users", "is_spammer", "BOOLEAN NOT NULL DEFAULT FALSE")?,
            3 => add_column(connection, "chat_users", "metadata", "TEXT NOT NULL DEFAULT ''")?,
            4 => connection.execute_batch(include_str!("legacy/version_4.sql"))?,
            // Versions 5 and 6 brought the later caches; which of them each, no file tells.
            _ => connection.execute_batch(include_str!("legacy/version_6.sql"))?,
        }
    }
    let now = clock.now();
    let local = TimeZone::system()
        .to_datetime(jiff::Timestamp::from_second(now.unix_seconds()).unwrap_or_default())
        .strftime("%Y-%m-%dT%H:%M:%S")
        .to_string();
    for (key, value) in [("db-migration-version", LATEST.to_string()), ("db-migration-last-run", local)] {
        connection.execute(
            "INSERT INTO settings (key, value, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            params![key, value, now.to_string()],
        )?;
    }
    Ok(())
}

fn add_column(connection: &Connection, table: &str, column: &str, declaration: &str) -> rusqlite::Result<()> {
    let there: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)",
        [table, column],
        |row| row.get(0),
    )?;
    if there {
        Ok(())
    } else {
        connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {declaration}"))
    }
}
