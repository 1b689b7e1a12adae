//! diesel with its pool. Its statements are diesel's own words for the same: what is written as text it would prepare
//! anew at every call.

use std::error::Error;

use contest::{Caller, Durability, Failure, Job, Message, Outcome, StoredMessage, Tasks, sql};
use diesel::connection::SimpleConnection;
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::upsert::excluded;

diesel::table! {
    chat_messages (chat_id, message_id) {
        chat_id -> BigInt,
        message_id -> Text,
        date -> Text,
        user_id -> BigInt,
        reply_id -> Nullable<Text>,
        thread_id -> BigInt,
        root_message_id -> Nullable<Text>,
        message_text -> Text,
        message_type -> Text,
        message_category -> Text,
        quote_text -> Nullable<Text>,
        media_id -> Nullable<Text>,
        created_at -> Text,
    }
}
diesel::table! {
    chat_users (chat_id, user_id) {
        chat_id -> BigInt,
        user_id -> BigInt,
        username -> Text,
        full_name -> Text,
        messages_count -> BigInt,
        updated_at -> Text,
    }
}
diesel::table! {
    chat_stats (chat_id, date) {
        chat_id -> BigInt,
        date -> Text,
        messages_count -> BigInt,
        created_at -> Text,
        updated_at -> Text,
    }
}
diesel::table! {
    chat_user_stats (chat_id, user_id, date) {
        chat_id -> BigInt,
        user_id -> BigInt,
        date -> Text,
        messages_count -> BigInt,
        created_at -> Text,
        updated_at -> Text,
    }
}
diesel::table! {
    chat_settings (chat_id, key) {
        chat_id -> BigInt,
        key -> Text,
        value -> Nullable<Text>,
    }
}
diesel::table! {
    media_attachments (file_unique_id) {
        file_unique_id -> Text,
        file_id -> Nullable<Text>,
        file_size -> Nullable<BigInt>,
        media_type -> Text,
        metadata -> Text,
        status -> Text,
        mime_type -> Nullable<Text>,
        local_url -> Nullable<Text>,
        prompt -> Nullable<Text>,
        description -> Nullable<Text>,
        created_at -> Nullable<Text>,
        updated_at -> Nullable<Text>,
    }
}
diesel::allow_tables_to_appear_in_same_query!(chat_messages, chat_users, media_attachments);

type SqlitePool = Pool<ConnectionManager<SqliteConnection>>;

#[derive(Debug)]
struct Settings(Durability);

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Settings {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        let mut all = format!("PRAGMA busy_timeout={};", sql::TIMEOUT.as_millis());
        all += &format!("PRAGMA journal_mode=WAL; PRAGMA synchronous={};", self.0.synchronous());
        for (name, value) in sql::PRAGMAS {
            all += &format!("PRAGMA {name}={value};");
        }
        connection.batch_execute(&all).map_err(diesel::r2d2::Error::QueryError)
    }
}

struct Diesel<'a> {
    pool: &'a SqlitePool,
    tasks: Tasks,
}

impl Caller for Diesel<'_> {
    fn load(&mut self, tasks: Tasks) {
        self.tasks = tasks;
    }

    fn call(&mut self, task: usize) -> Result<(), Failure> {
        let mut connection = self.pool.get().map_err(Failure::of)?;
        let wrong = |what: &str| Err(Failure::Other(format!("wrong answer: {what}")));
        match &self.tasks {
            Tasks::Save(messages) => save(&mut connection, &messages[task]).map_err(Failure::of),
            Tasks::Setting(keys) => {
                let found = chat_settings::table
                    .select(chat_settings::value)
                    .filter(chat_settings::chat_id.eq(keys[task].chat))
                    .filter(chat_settings::key.eq(&keys[task].key))
                    .filter(chat_settings::value.is_not_null())
                    .first::<Option<String>>(&mut connection)
                    .optional();
                match found.map_err(Failure::of)?.flatten() {
                    Some(value) if !value.is_empty() => Ok(()),
                    _ => wrong("no setting"),
                }
            }
            Tasks::Message(keys) => {
                match message(&mut connection, keys[task].chat, &keys[task].id).map_err(Failure::of)? {
                    Some(found) if found.message_id == keys[task].id => Ok(()),
                    _ => wrong("no message"),
                }
            }
            Tasks::Import(_) | Tasks::Newest(_) => Err(Failure::Other("not in diesel's words".to_owned())),
        }
    }
}

fn save(connection: &mut SqliteConnection, message: &Message) -> QueryResult<()> {
    let Message { chat, id, date, day, user, text, now, .. } = message;
    connection.immediate_transaction(|connection| {
        let inserted = diesel::insert_into(chat_messages::table)
            .values((
                chat_messages::chat_id.eq(chat),
                chat_messages::message_id.eq(id),
                chat_messages::date.eq(date),
                chat_messages::user_id.eq(user),
                chat_messages::reply_id.eq(None::<&str>),
                chat_messages::thread_id.eq(0),
                chat_messages::root_message_id.eq(None::<&str>),
                chat_messages::message_text.eq(text),
                chat_messages::message_type.eq("text"),
                chat_messages::message_category.eq("unspecified"),
                chat_messages::quote_text.eq(None::<&str>),
                chat_messages::media_id.eq(None::<&str>),
                chat_messages::created_at.eq(now),
            ))
            .on_conflict((chat_messages::chat_id, chat_messages::message_id))
            .do_nothing()
            .execute(connection)?;
        if inserted == 0 {
            return Err(diesel::result::Error::NotFound);
        }
        diesel::insert_into(chat_stats::table)
            .values((
                chat_stats::chat_id.eq(chat),
                chat_stats::date.eq(day),
                chat_stats::messages_count.eq(1),
                chat_stats::created_at.eq(now),
                chat_stats::updated_at.eq(now),
            ))
            .on_conflict((chat_stats::chat_id, chat_stats::date))
            .do_update()
            .set((
                chat_stats::messages_count.eq(chat_stats::messages_count + 1),
                chat_stats::updated_at.eq(excluded(chat_stats::updated_at)),
            ))
            .execute(connection)?;
        diesel::insert_into(chat_user_stats::table)
            .values((
                chat_user_stats::chat_id.eq(chat),
                chat_user_stats::user_id.eq(user),
                chat_user_stats::date.eq(day),
                chat_user_stats::messages_count.eq(1),
                chat_user_stats::created_at.eq(now),
                chat_user_stats::updated_at.eq(now),
            ))
            .on_conflict((chat_user_stats::chat_id, chat_user_stats::user_id, chat_user_stats::date))
            .do_update()
            .set((
                chat_user_stats::messages_count.eq(chat_user_stats::messages_count + 1),
                chat_user_stats::updated_at.eq(excluded(chat_user_stats::updated_at)),
            ))
            .execute(connection)?;
        diesel::update(chat_users::table)
            .filter(chat_users::chat_id.eq(chat))
            .filter(chat_users::user_id.eq(user))
            .set((
                chat_users::messages_count.eq(chat_users::messages_count + 1),
                chat_users::updated_at
                    .eq(case_when(chat_users::updated_at.gt(now), chat_users::updated_at).otherwise(now)),
            ))
            .execute(connection)?;
        Ok(())
    })
}

fn message(connection: &mut SqliteConnection, chat: i64, id: &str) -> QueryResult<Option<StoredMessage>> {
    type Own = (
        (i64, String, String, i64, Option<String>, i64, Option<String>, String, String, String),
        (Option<String>, Option<String>, String, String, String),
    );
    type Media = (
        (Option<String>, Option<String>, Option<i64>, Option<String>, Option<String>, Option<String>),
        (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>),
    );
    let found: Option<(Own, Media)> = chat_messages::table
        .inner_join(
            chat_users::table
                .on(chat_users::chat_id.eq(chat_messages::chat_id).and(chat_users::user_id.eq(chat_messages::user_id))),
        )
        .left_join(
            media_attachments::table.on(media_attachments::file_unique_id.nullable().eq(chat_messages::media_id)),
        )
        .select((
            (
                (
                    chat_messages::chat_id,
                    chat_messages::message_id,
                    chat_messages::date,
                    chat_messages::user_id,
                    chat_messages::reply_id,
                    chat_messages::thread_id,
                    chat_messages::root_message_id,
                    chat_messages::message_text,
                    chat_messages::message_type,
                    chat_messages::message_category,
                ),
                (
                    chat_messages::quote_text,
                    chat_messages::media_id,
                    chat_messages::created_at,
                    chat_users::username,
                    chat_users::full_name,
                ),
            ),
            (
                (
                    media_attachments::file_unique_id.nullable(),
                    media_attachments::file_id.nullable(),
                    media_attachments::file_size.nullable(),
                    media_attachments::media_type.nullable(),
                    media_attachments::metadata.nullable(),
                    media_attachments::status.nullable(),
                ),
                (
                    media_attachments::mime_type.nullable(),
                    media_attachments::local_url.nullable(),
                    media_attachments::prompt.nullable(),
                    media_attachments::description.nullable(),
                    media_attachments::created_at.nullable(),
                    media_attachments::updated_at.nullable(),
                ),
            ),
        ))
        .filter(chat_messages::chat_id.eq(chat))
        .filter(chat_messages::message_id.eq(id))
        .first(connection)
        .optional()?;
    Ok(found.map(|((one, two), (three, four))| StoredMessage {
        chat_id: one.0,
        message_id: one.1,
        date: one.2,
        user_id: one.3,
        links: [one.4, one.6, two.0, two.1],
        thread_id: one.5,
        message_text: one.7,
        kinds: [one.8, one.9, two.2],
        names: [two.3, two.4],
        media: [three.0, three.1, three.3, three.4, three.5, four.0, four.1, four.2, four.3, four.4, four.5],
        media_size: three.2,
    }))
}

pub(crate) fn diesel(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let manager = ConnectionManager::new(job.path.to_str().ok_or("the path is no text")?);
    let pool = SqlitePool::builder()
        .max_size(u32::try_from(job.connections)?)
        .connection_timeout(sql::TIMEOUT)
        .connection_customizer(Box::new(Settings(job.durability)))
        .build(manager)?;
    Ok(contest::run(job, |_| Diesel { pool: &pool, tasks: Tasks::Newest(Vec::new()) }))
}
