//! The calls under test as somebody writes them with rusqlite alone. Not a module of `contest`, which links no SQLite:
//! each host takes the text in and compiles it against its own version of rusqlite.

use std::path::Path;

use contest::{Durability, Failure, Message, MessageKey, SettingKey, StoredMessage, Tasks, sql};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

/// What a connection is opened with.
pub(crate) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// A connection with the settings that all have.
pub(crate) fn open(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags())?;
    configure(&connection, durability)?;
    Ok(connection)
}

/// Gives a connection the settings that all have.
pub(crate) fn configure(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(sql::TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(sql::STATEMENT_CACHE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", durability.synchronous())?;
    for (name, value) in sql::PRAGMAS {
        connection.execute_batch(&format!("PRAGMA {name}={value}"))?;
    }
    Ok(())
}

/// Does a task.
pub(crate) fn perform(connection: &mut Connection, tasks: &Tasks, task: usize) -> Result<(), Failure> {
    let wrong = |what: &str| Err(Failure::Other(format!("wrong answer: {what}")));
    match tasks {
        Tasks::Save(messages) => save(connection, std::slice::from_ref(&messages[task])),
        Tasks::Import(batches) => save(connection, &batches[task]),
        Tasks::Setting(keys) => match setting(connection, &keys[task]).map_err(failure)? {
            Some(value) if !value.is_empty() => Ok(()),
            _ => wrong("no setting"),
        },
        Tasks::Message(keys) => match message(connection, &keys[task]).map_err(failure)? {
            Some(found) if found.message_id == keys[task].id => Ok(()),
            _ => wrong("no message"),
        },
        Tasks::Newest(chats) => match newest(connection, chats[task]).map_err(failure)?.len() {
            50 => Ok(()),
            _ => wrong("not the last 50"),
        },
    }
}

fn failure(error: rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy,
        _ => Failure::of(error),
    }
}

/// Stores and counts messages in one transaction.
fn save(connection: &mut Connection, messages: &[Message]) -> Result<(), Failure> {
    let mut all = || -> rusqlite::Result<bool> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for message in messages {
            if !insert(&transaction, message)? {
                return Ok(false);
            }
        }
        transaction.commit()?;
        Ok(true)
    };
    match all().map_err(failure)? {
        true => Ok(()),
        false => Err(Failure::Other("the message is there already".to_owned())),
    }
}

/// Stores and counts a message within a transaction. `false` where it is there already.
pub(crate) fn insert(connection: &Connection, message: &Message) -> rusqlite::Result<bool> {
    let Message { chat, id, date, day, user, text, now, .. } = message;
    let null = None::<&str>;
    let inserted = connection.prepare_cached(sql::INSERT_MESSAGE)?.execute(params![
        chat,
        id,
        date,
        user,
        null,
        0,
        null,
        text,
        "text",
        "unspecified",
        null,
        null,
        now
    ])?;
    if inserted == 0 {
        return Ok(false);
    }
    connection.prepare_cached(sql::COUNT_DAY)?.execute(params![chat, day, now])?;
    connection.prepare_cached(sql::COUNT_USER_DAY)?.execute(params![chat, user, day, now])?;
    connection.prepare_cached(sql::COUNT_USER)?.execute(params![chat, user, now])?;
    Ok(true)
}

fn setting(connection: &Connection, key: &SettingKey) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached(sql::SELECT_SETTING)?.query_row(params![key.chat, key.key], |row| row.get(0)).optional()
}

fn message(connection: &Connection, key: &MessageKey) -> rusqlite::Result<Option<StoredMessage>> {
    connection.prepare_cached(sql::SELECT_MESSAGE)?.query_row(params![key.chat, key.id], stored).optional()
}

fn newest(connection: &Connection, chat: i64) -> rusqlite::Result<Vec<StoredMessage>> {
    connection.prepare_cached(sql::SELECT_NEWEST)?.query_map(params![chat, 50], stored)?.collect()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    Ok(StoredMessage {
        chat_id: row.get(0)?,
        message_id: row.get(1)?,
        date: row.get(2)?,
        user_id: row.get(3)?,
        links: [row.get(4)?, row.get(6)?, row.get(10)?, row.get(11)?],
        thread_id: row.get(5)?,
        message_text: row.get(7)?,
        kinds: [row.get(8)?, row.get(9)?, row.get(12)?],
        names: [row.get(13)?, row.get(14)?],
        media: [
            row.get(15)?,
            row.get(16)?,
            row.get(18)?,
            row.get(19)?,
            row.get(20)?,
            row.get(21)?,
            row.get(22)?,
            row.get(23)?,
            row.get(24)?,
            row.get(25)?,
            row.get(26)?,
        ],
        media_size: row.get(17)?,
    })
}
