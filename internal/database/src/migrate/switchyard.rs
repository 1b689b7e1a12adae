//! What this project adds to a file: tables and indexes whose names begin with `switchyard_`, unknown to earlier
//! releases and harmless to them.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{Failure, version_number};

/// The table of facts about the file itself.
pub(super) const META: &str = "switchyard_meta";
/// The last step of [`STEPS`].
pub(super) const LATEST: i64 = STEPS.len() as i64;

/// Each step in order; never changed once released.
const STEPS: [&str; 3] = [
    // The indexes are what the lists by date, by thread and by person read along: without them each of these reads
    // the whole chat.
    "
    CREATE TABLE switchyard_meta (
        key TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    );
    CREATE TABLE switchyard_imports (
        chat_id INTEGER NOT NULL,
        file TEXT NOT NULL,
        records INTEGER NOT NULL,
        is_complete BOOLEAN NOT NULL,
        updated_at TIMESTAMP NOT NULL,
        PRIMARY KEY (chat_id, file)
    );
    CREATE TABLE switchyard_aliases (
        new_chat_id INTEGER NOT NULL PRIMARY KEY,
        old_chat_id INTEGER NOT NULL,
        created_at TIMESTAMP NOT NULL
    );
    CREATE INDEX switchyard_chat_messages_date ON chat_messages (chat_id, date);
    CREATE INDEX switchyard_chat_messages_user ON chat_messages (chat_id, user_id, date);
    CREATE INDEX switchyard_chat_messages_root ON chat_messages (chat_id, root_message_id, date)
        WHERE root_message_id IS NOT NULL;
    CREATE INDEX switchyard_chat_messages_media ON chat_messages (media_id) WHERE media_id IS NOT NULL;
    CREATE INDEX switchyard_chat_users_user ON chat_users (user_id);
    ",
    // What many databases know of each other; filled in the default one. (The last table is filled in the source that a
    // chat is moved to: the media that came with it.)
    "
    CREATE TABLE switchyard_sources (
        name TEXT NOT NULL PRIMARY KEY,
        uuid TEXT,
        path TEXT NOT NULL,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        created_at TIMESTAMP NOT NULL,
        updated_at TIMESTAMP NOT NULL
    );
    CREATE TABLE switchyard_routes (
        chat_id INTEGER NOT NULL PRIMARY KEY,
        source TEXT NOT NULL,
        file_said TEXT,
        updated_at TIMESTAMP NOT NULL
    );
    CREATE TABLE switchyard_moves (
        chat_id INTEGER NOT NULL PRIMARY KEY,
        from_source TEXT NOT NULL,
        to_source TEXT NOT NULL,
        state TEXT NOT NULL,
        updated_at TIMESTAMP NOT NULL
    );
    CREATE TABLE switchyard_moved_media (
        chat_id INTEGER NOT NULL,
        file_unique_id TEXT NOT NULL,
        PRIMARY KEY (chat_id, file_unique_id)
    );
    ",
    // What was written in the place of a source that was away (AUTOINCREMENT: numbers are never used again); at home,
    // how far that was made, and what could not be.
    "
    CREATE TABLE switchyard_journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        episode TEXT NOT NULL,
        op TEXT NOT NULL,
        operation TEXT NOT NULL
    );
    CREATE INDEX switchyard_journal_source ON switchyard_journal (source, seq);
    CREATE TABLE switchyard_made (
        episode TEXT NOT NULL PRIMARY KEY,
        seq INTEGER NOT NULL
    );
    CREATE TABLE switchyard_parked (
        episode TEXT NOT NULL,
        seq INTEGER NOT NULL,
        operation TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (episode, seq)
    );
    ",
];

pub(super) fn version(path: &Path, connection: &Connection) -> Result<i64, Failure> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM switchyard_meta WHERE key = 'schema'", [], |row| row.get(0))
        .optional()?;
    version_number(path, text.as_deref())
}

pub(super) fn raise(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or_default();
    for step in STEPS.iter().skip(done) {
        connection.execute_batch(step)?;
    }
    // The identity stays with the file for good.
    connection.execute(
        "INSERT INTO switchyard_meta (key, value) VALUES ('uuid', ?1) ON CONFLICT (key) DO NOTHING",
        [uuid::Uuid::new_v4().to_string()],
    )?;
    connection.execute(
        "INSERT INTO switchyard_meta (key, value) VALUES ('schema', ?1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [LATEST.to_string()],
    )?;
    Ok(())
}
