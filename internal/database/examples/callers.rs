//! How many messages several callers store in one database, and how long each of them waits.
//!
//! `cargo run --release -p database --example callers -- 16 full 5`: callers, durability, seconds.

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use database::{ChatId, DatabaseWrapper, Durability, NewMessage, SourceConfig, UserId};

const CHAT: ChatId = ChatId(-5);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [callers, durability, seconds] = given.as_slice() else {
        return Err("give it the number of callers, `full` or `normal`, and seconds".into());
    };
    let (callers, seconds): (i64, u64) = (callers.parse()?, seconds.parse()?);
    let durability = if durability == "full" { Durability::Full } else { Durability::Normal };
    let folder = tempfile::tempdir()?;
    let db = DatabaseWrapper::open(&SourceConfig { durability, ..SourceConfig::new(folder.path().join("bot.db")) })?;
    for caller in 0..callers {
        db.update_chat_user(CHAT, UserId(caller), "@x", "X")?;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let store = |caller: i64| {
        let mut waits = Vec::new();
        while Instant::now() < end {
            let id = format!("{caller}{:09}", waits.len());
            let text = "a message of about the length that people write";
            let message = NewMessage::text(id, db.now(), UserId(caller), text);
            let start = Instant::now();
            db.save_chat_message(CHAT, &message)?;
            waits.push(start.elapsed());
        }
        Ok::<_, database::Error>(waits)
    };
    let waits = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || store(caller))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no caller panics")).collect::<Result<Vec<_>, _>>()
    })?;
    let mut waits = waits.concat();
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() - 1) * share / 100];
    let each_second = waits.len() as u64 / seconds;
    let mut out = std::io::stdout();
    writeln!(out, "{each_second}/s, p50 {:.1?}, p99 {:.1?}, max {:.1?}", at(50), at(99), at(100))?;
    db.close();
    Ok(())
}
