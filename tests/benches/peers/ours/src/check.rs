//! What is looked at after a run, and whether the statements of the contenders are really those of the project.

use std::error::Error;

use contest::{Job, Outcome};
use rusqlite::Connection;

/// How many messages the file has, and how many are counted for days.
pub(crate) fn count(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let connection = Connection::open(&job.path)?;
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let messages = number("SELECT COUNT(*) FROM chat_messages")?;
    let counted = number("SELECT COALESCE(SUM(messages_count), 0) FROM chat_stats")?;
    Ok(Outcome { ops: messages.unsigned_abs(), acknowledged: counted.unsigned_abs(), ..Outcome::default() })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use contest::sql;
    use database::{ChatId, DatabaseWrapper, NewMessage, Operation, Options, SourceConfig, Step, UserId};

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_contenders_write_what_the_project_writes() {
        let folder = std::env::temp_dir().join(format!("peers-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let observer = Arc::new(move |write: &Operation| sink.lock().unwrap().push(write.clone()));
        let options = Options { observer: Some(observer), ..Options::default() };
        let db = DatabaseWrapper::open_with(&SourceConfig::new(folder.join("bot.db")), options).unwrap();
        db.save_chat_message(ChatId(1), &NewMessage::text("1", db.now(), UserId(1), "hello")).unwrap();
        db.close();
        let steps = seen.lock().unwrap()[0].steps.clone();
        let sent = steps.iter().filter_map(|step| match step {
            Step::Execute { sql, .. } => Some(words(sql)),
            _ => None,
        });
        let expected = [sql::INSERT_MESSAGE, sql::COUNT_DAY, sql::COUNT_USER_DAY, sql::COUNT_USER].map(words);
        assert_eq!(sent.collect::<Vec<_>>(), expected);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_contenders_read_what_the_project_reads() {
        let store = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../internal/database/src/store/");
        let read = |room: &str| words(&std::fs::read_to_string(format!("{store}{room}.rs")).unwrap());
        let messages = read("messages");
        let (columns, by_id) = sql::SELECT_MESSAGE.rsplit_once(" AND m.message_id").unwrap();
        assert!(messages.contains(&words(columns)));
        assert!(messages.contains(&words(&format!("AND m.message_id{by_id}"))));
        let newest = words(&sql::SELECT_NEWEST[columns.len()..]);
        assert!(messages.contains(newest.strip_suffix(" LIMIT ?2").unwrap()), "{newest}");
        assert!(read("settings").contains(&words(sql::SELECT_SETTING)));
    }
}
