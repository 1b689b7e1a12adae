//! How fast the bot answers on the largest chat: asked through its handlers, and by the database calls alone.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bot::handlers::{Bot, Identity};
use bot::message::{Handle, Incoming, MessageIds};
use database::{ChatId, Clock, DatabaseWrapper, MessageCategory, Page, Search, SourceConfig, SystemClock, UserId};

use super::report::Report;
use super::{QUESTIONS, Result};

/// The categories that a search looks through, as the bot does it.
const CONVERSATION: &[MessageCategory] = &[
    MessageCategory::Unspecified,
    MessageCategory::User,
    MessageCategory::Channel,
    MessageCategory::Bot,
    MessageCategory::BotError,
    MessageCategory::BotSummary,
    MessageCategory::BotSpamNotification,
    MessageCategory::UserSpam,
];
const ABSENT: &str = "qzxjvkwq";

/// What is asked of the database alone.
type Ask<'a> = Box<dyn Fn() -> database::Result<()> + 'a>;

pub(crate) fn time(path: &Path, chat: i64, report: &mut Report) -> Result<()> {
    let (common, rare) = words(path, chat)?;
    let db = DatabaseWrapper::open(&SourceConfig::new(path))?;
    let ids = Arc::new(MessageIds::system());
    let identity = Identity { user: UserId(0), name: "Switchyard".to_owned(), username: String::new() };
    let bot = Bot::new(db.clone(), Arc::clone(&ids), Arc::new(SystemClock), identity);
    let chat = ChatId(chat);
    let search = |word: &str| -> Ask<'_> {
        let (word, db) = (word.to_owned(), &db);
        Box::new(move || {
            let words = [word.as_str()];
            let page = Page { number: 0, size: 10 };
            db.search_messages(chat, Search { words: &words, categories: CONVERSATION, page }).map(drop)
        })
    };
    let questions: [(String, &str, Ask<'_>); 5] = [
        (
            "/stats".to_owned(),
            "",
            Box::new(|| {
                db.get_chat_totals(chat)?;
                db.get_chat_info(chat)?;
                db.get_chat_days(chat, 14).map(drop)
            }),
        ),
        ("/top".to_owned(), "", Box::new(|| db.get_top_people(chat, 11).map(drop))),
        (format!("/search {common}"), " (the commonest word)", search(&common)),
        (format!("/search {rare}"), " (said once, early)", search(&rare)),
        (format!("/search {ABSENT}"), " (never said)", search(ABSENT)),
    ];
    for (question, what, ask) in &questions {
        let by_bot = times(|| {
            let incoming =
                Incoming::new(chat, UserId(1), "Asking", ids.next_id(), SystemClock.now(), question.as_str());
            bot.handle(incoming).map(drop)
        })?;
        let by_database = times(|| Ok(ask()?))?;
        report.answer(&format!("`{}`{what}", question.replace('|', "\\|")), by_bot, by_database);
    }
    drop(questions);
    db.close();
    Ok(())
}

fn times(mut ask: impl FnMut() -> std::result::Result<(), bot::message::HandleError>) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let start = Instant::now();
        ask().map_err(|error| error.to_string())?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// The word that most messages have, and one that only one message has, which is found last.
fn words(path: &Path, chat: i64) -> Result<(String, String)> {
    let connection = tests::rows::look(path)?;
    let mut statement =
        connection.prepare("SELECT message_text FROM chat_messages WHERE chat_id = ?1 ORDER BY date")?;
    let texts = statement.query_map([chat], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    let is_word = |word: &&str| word.len() > 2 && word.chars().all(char::is_alphabetic);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in texts.iter().flat_map(|text| text.split_whitespace()).filter(is_word) {
        *counts.entry(word).or_default() += 1;
    }
    let common = counts.iter().max_by_key(|(word, count)| (**count, **word)).map(|(word, _)| *word);
    let is_rare = |word: &&str| counts[word] == 1 && texts.iter().filter(|text| text.contains(word)).count() == 1;
    let rare = texts.iter().flat_map(|text| text.split_whitespace()).filter(is_word).find(is_rare);
    let (Some(common), Some(rare)) = (common, rare) else { return Err("the largest chat has too few words".into()) };
    Ok((common.to_owned(), rare.to_owned()))
}
