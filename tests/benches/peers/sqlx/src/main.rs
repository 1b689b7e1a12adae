//! The host of sqlx.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use contest::{AsyncCaller, Durability, Failure, Job, Message, MessageKey, Outcome, StoredMessage, Tasks, sql};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, query};

fn main() -> ExitCode {
    contest::main(|job| {
        if job.contender != "sqlx" {
            return Err(format!("no contender is called `{}`", job.contender).into());
        }
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(job))
    })
}

async fn run(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let synchronous = match job.durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Normal => SqliteSynchronous::Normal,
    };
    let options = SqliteConnectOptions::new()
        .filename(&job.path)
        .busy_timeout(sql::TIMEOUT)
        .statement_cache_capacity(sql::STATEMENT_CACHE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let options = sql::PRAGMAS.iter().fold(options, |options, (name, value)| options.pragma(*name, *value));
    let pool = SqlitePoolOptions::new()
        .max_connections(u32::try_from(job.connections)?)
        .acquire_timeout(sql::TIMEOUT)
        .connect_with(options)
        .await?;
    let sqlite: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&pool).await?;
    let none = Arc::new(Tasks::Newest(Vec::new()));
    let caller = |_| Sqlx { pool: pool.clone(), tasks: Arc::clone(&none) };
    let outcome = contest::run_async(job, (0..job.callers).map(caller).collect()).await;
    Ok(Outcome { sqlite, ..outcome })
}

struct Sqlx {
    pool: SqlitePool,
    tasks: Arc<Tasks>,
}

impl AsyncCaller for Sqlx {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = Arc::new(tasks);
    }

    async fn call(&mut self, task: usize) -> Result<(), Failure> {
        let wrong = |what: &str| Err(Failure::Other(format!("wrong answer: {what}")));
        match &*self.tasks {
            Tasks::Save(messages) => save(&self.pool, &messages[task]).await.map_err(Failure::of)?,
            Tasks::Setting(keys) => {
                let key = &keys[task];
                let found = query(sql::SELECT_SETTING).bind(key.chat).bind(&key.key).fetch_optional(&self.pool).await;
                match found.and_then(|row| row.map(|row| row.try_get::<String, _>(0)).transpose()) {
                    Ok(Some(value)) if !value.is_empty() => Ok(()),
                    Ok(_) => wrong("no setting"),
                    Err(error) => Err(Failure::of(error)),
                }
            }
            Tasks::Message(keys) => match message(&self.pool, &keys[task]).await.map_err(Failure::of)? {
                Some(found) if found.message_id == keys[task].id => Ok(()),
                _ => wrong("no message"),
            },
            Tasks::Import(_) | Tasks::Newest(_) => wrong("not asked of sqlx"),
        }
    }
}

async fn save(pool: &SqlitePool, message: &Message) -> sqlx::Result<Result<(), Failure>> {
    let Message { chat, id, date, day, user, text, now, .. } = message;
    let null = None::<&str>;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let inserted = query(sql::INSERT_MESSAGE)
        .bind(chat)
        .bind(id)
        .bind(date)
        .bind(user)
        .bind(null)
        .bind(0)
        .bind(null)
        .bind(text)
        .bind("text")
        .bind("unspecified")
        .bind(null)
        .bind(null)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Err(Failure::Other("the message is there already".to_owned())));
    }
    query(sql::COUNT_DAY).bind(chat).bind(day).bind(now).execute(&mut *transaction).await?;
    query(sql::COUNT_USER_DAY).bind(chat).bind(user).bind(day).bind(now).execute(&mut *transaction).await?;
    query(sql::COUNT_USER).bind(chat).bind(user).bind(now).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

async fn message(pool: &SqlitePool, key: &MessageKey) -> sqlx::Result<Option<StoredMessage>> {
    let row = query(sql::SELECT_MESSAGE).bind(key.chat).bind(&key.id).fetch_optional(pool).await?;
    row.map(|row| stored(&row)).transpose()
}

fn stored(row: &SqliteRow) -> sqlx::Result<StoredMessage> {
    Ok(StoredMessage {
        chat_id: row.try_get(0)?,
        message_id: row.try_get(1)?,
        date: row.try_get(2)?,
        user_id: row.try_get(3)?,
        links: [row.try_get(4)?, row.try_get(6)?, row.try_get(10)?, row.try_get(11)?],
        thread_id: row.try_get(5)?,
        message_text: row.try_get(7)?,
        kinds: [row.try_get(8)?, row.try_get(9)?, row.try_get(12)?],
        names: [row.try_get(13)?, row.try_get(14)?],
        media: [
            row.try_get(15)?,
            row.try_get(16)?,
            row.try_get(18)?,
            row.try_get(19)?,
            row.try_get(20)?,
            row.try_get(21)?,
            row.try_get(22)?,
            row.try_get(23)?,
            row.try_get(24)?,
            row.try_get(25)?,
            row.try_get(26)?,
        ],
        media_size: row.try_get(17)?,
    })
}
