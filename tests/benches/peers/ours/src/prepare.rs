//! The files that a job works on: made by the project's own crate, so that all contenders have its schema, and filled.

use std::error::Error;
use std::path::{Path, PathBuf};

use contest::{CHATS, Job, Message, Outcome, USERS, Work, chat, message, setting_key, sql, user};
use database::{DatabaseWrapper, SourceConfig};
use rusqlite::{Connection, params};

type Done = Result<(), Box<dyn Error>>;

/// The file of the source of that number.
pub(crate) fn source_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("source-{number}.db"))
}

/// Makes the file, or the folder of files, that the job names.
pub(crate) fn prepare(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    match job.work {
        Work::Cross => {
            std::fs::create_dir_all(&job.path)?;
            for number in 0..job.size {
                let path = source_file(&job.path, number);
                let mut connection = empty(&path)?;
                spam(&mut connection, number, job.stored)?;
            }
        }
        Work::Many => {
            std::fs::create_dir_all(&job.path)?;
            let template = job.path.join("template");
            drop(empty(&template)?);
            for number in 0..job.size {
                one_of_many(&template, &source_file(&job.path, number), number)?;
            }
        }
        Work::Setting => {
            // Several databases, of which the chat under test is in one.
            std::fs::create_dir_all(&job.path)?;
            let mut connection = empty(&source_file(&job.path, 0))?;
            fill(&mut connection, job)?;
        }
        Work::Save | Work::Message | Work::Newest | Work::Import => {
            let mut connection = empty(&job.path)?;
            fill(&mut connection, job)?;
        }
    }
    Ok(Outcome::default())
}

/// A file like the template, with a chat of its own.
fn one_of_many(template: &Path, path: &Path, number: u64) -> Done {
    let text = path.to_str().ok_or("the path is no text")?;
    Connection::open(template)?.execute("VACUUM INTO ?1", [text])?;
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL; BEGIN")?;
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    connection.execute("UPDATE switchyard_meta SET value = ?1 WHERE key = 'uuid'", [uuid])?;
    let now = message(0, 0).now;
    let setting =
        "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES (?1, ?2, 'on', ?3, ?3)";
    connection.execute(setting, params![chat(number), setting_key(0), now])?;
    let person = "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
                  VALUES (?1, ?2, '@person', 'A Person', ?3, ?3)";
    for number_of_person in 0..USERS {
        connection.execute(person, params![chat(number), user(number_of_person), now])?;
    }
    Ok(connection.execute_batch("COMMIT")?)
}

/// A file as the project makes it.
fn empty(path: &Path) -> Result<Connection, Box<dyn Error>> {
    DatabaseWrapper::open(&SourceConfig::new(path))?.close();
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")?;
    Ok(connection)
}

fn fill(connection: &mut Connection, job: &Job) -> Done {
    let transaction = connection.transaction()?;
    let chats = if job.work == Work::Newest || job.work == Work::Import { 1 } else { CHATS };
    let now = message(0, 0).now;
    for number in 0..chats {
        transaction.execute(
            "INSERT INTO chat_info (chat_id, title, type, created_at, updated_at) VALUES (?1, 'A chat', 'group', ?2, ?2)",
            params![chat(number), now],
        )?;
        for person in 0..USERS {
            transaction.execute(
                "INSERT INTO chat_users (chat_id, user_id, username, full_name, created_at, updated_at)
                 VALUES (?1, ?2, '@person', 'A Person', ?3, ?3)",
                params![chat(number), user(person), now],
            )?;
        }
        for setting in 0..8 {
            transaction.execute(
                "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES (?1, ?2, 'on', ?3, ?3)",
                params![chat(number), setting_key(setting), now],
            )?;
        }
    }
    // Message by message, not chat by chat: chats talk at the same time.
    let mut insert = transaction.prepare(sql::INSERT_MESSAGE)?;
    for number in 0..job.stored {
        for of_chat in 0..chats {
            let Message { chat, id, date, user, text, now, .. } = message(of_chat, number);
            let null = None::<&str>;
            let (kind, category) = ("text", "unspecified");
            insert.execute(params![chat, id, date, user, null, 0, null, text, kind, category, null, null, now])?;
        }
    }
    drop(insert);
    transaction.commit()?;
    written(connection)
}

/// Lets the disk come to rest: what is left to be written would be written during the run.
fn written(connection: &Connection) -> Done {
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE);")?;
    Ok(())
}

/// Examples of spam: what a bot asks all its databases for.
fn spam(connection: &mut Connection, source: u64, rows: u64) -> Done {
    let transaction = connection.transaction()?;
    for number in 0..rows {
        let Message { id, date, user, text, .. } = message(source, number);
        transaction.execute(
            "INSERT INTO spam_messages (chat_id, user_id, message_id, text, reason, score, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'admin', 90.0, ?5, ?5)",
            params![chat(source), user, id, text, date],
        )?;
    }
    for number in 0..rows / 10 {
        transaction.execute(
            "INSERT INTO chat_info (chat_id, title, type, created_at, updated_at)
             VALUES (?1, 'A chat', 'group', '2026-01-01 12:00:00', '2026-01-01 12:00:00')",
            params![chat(source + number * 10)],
        )?;
    }
    transaction.commit()?;
    written(connection)
}
