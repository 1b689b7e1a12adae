//! How fast a chat moves, held against a plain `INSERT ... SELECT` over ATTACH of the same rows.
//!
//! `cargo run --release -p database --features multi-source --example move_speed [FOLDER [MESSAGES [ROWS_AT_ONCE [LONGEST_STEP]]]]`
//!
//! The longest step is in milliseconds: as a move takes that runs beside calls. Without it nobody else calls, and it fails
//! where the move takes more than twice as long.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use database::multi::{MoveOptions, Stage};
use database::{
    ChatId, ChatType, DatabaseConfig, DatabaseWrapper, Form, ImportBatch, ImportedName, MediaId, NewMedia, NewMessage,
    Options, PartialResults, SourceConfig, SourceName, Timestamp, UserId,
};
use rusqlite::Connection;

type Anything<T> = Result<T, Box<dyn Error>>;

const CHAT: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);
/// How many times as long a move may take beside which nobody calls.
const TIMES: u32 = 2;

fn main() -> Anything<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let messages: i64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let mut options = MoveOptions { longest_step: None, ..MoveOptions::default() };
    if let Some(rows) = arguments.next() {
        options.rows_at_once = rows.parse()?;
    }
    if let Some(milliseconds) = arguments.next() {
        options.longest_step = Some(Duration::from_secs_f64(milliseconds.parse::<f64>()? / 1_000.0));
    }
    let folder = tempfile::tempdir_in(folder)?;
    let folder = folder.path();
    let config = config(folder)?;
    let (db, _) = DatabaseWrapper::open_multi(&config, Options::default())?;
    fill(&db, messages)?;
    db.close();

    let plain = insert_select(folder)?;
    let (db, control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    let mut stages: BTreeMap<Stage, (Instant, Instant)> = BTreeMap::new();
    let report = control.move_chat(CHAT, &"archive".parse()?, &options, |progress| {
        let now = Instant::now();
        stages.entry(progress.stage).or_insert((now, now)).1 = now;
        ControlFlow::Continue(())
    })?;
    db.close();

    let rows = report.rows.values().sum::<u64>() + report.media;
    let mut out = std::io::stdout().lock();
    let mut line = |what: &str, took: Duration| {
        let speed = rows as f64 / took.as_secs_f64();
        let share = 100.0 * plain.as_secs_f64() / took.as_secs_f64();
        writeln!(out, "{what:20} {:6.2} s {speed:9.0} rows/s {share:5.0} %", took.as_secs_f64())
    };
    line("INSERT ... SELECT", plain)?;
    for (stage, (from, to)) in stages {
        line(&stage.to_string(), to - from)?;
    }
    line("the move", report.elapsed)?;
    writeln!(out, "{rows} rows")?;
    if options.longest_step.is_none() && report.elapsed > plain * TIMES {
        return Err(format!("the move took more than {TIMES} times as long").into());
    }
    Ok(())
}

fn config(folder: &Path) -> Anything<DatabaseConfig> {
    let mut sources = BTreeMap::new();
    for name in ["primary", "archive"] {
        let name: SourceName = name.parse()?;
        let settings = SourceConfig { name: name.clone(), ..SourceConfig::new(folder.join(format!("{name}.db"))) };
        sources.insert(name, settings);
    }
    Ok(DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources,
        default_source: SourceName::primary(),
        chat_mapping: BTreeMap::new(),
        partial_results: PartialResults::Warn,
    })
}

/// A chat, with another one's messages between its own.
fn fill(db: &DatabaseWrapper, messages: i64) -> Anything<()> {
    const BATCH: i64 = 2_000;
    let at = |second| Timestamp::from_unix_seconds(1_700_000_000 + second).unwrap_or(db.now());
    for first in (0..messages).step_by(BATCH as usize) {
        for (chat, count) in [(CHAT, BATCH), (OTHER, BATCH / 4)] {
            let mut batch = ImportBatch::default();
            let name = |name: String| ImportedName { name: Some(name), at: at(first) };
            batch.chat = Some((ChatType::Supergroup, name("made up".to_owned())));
            batch.people = (0..300).map(|user| (UserId(user), name(format!("Person {user}")))).collect();
            for number in first..first + count {
                let mixed = number.wrapping_mul(2_654_435_761) >> 7;
                let text = "words of no meaning ".repeat(1 + mixed.rem_euclid(9) as usize);
                let mut message = NewMessage::text(number + 1, at(number * 31), UserId(mixed.rem_euclid(300)), text);
                if number % 20 == 0 {
                    let media = format!("AgADBAAD{number:020}");
                    batch.media.push(NewMedia::new(media.as_str()));
                    message.media_id = Some(MediaId::from(media.as_str()));
                }
                batch.messages.push(message);
            }
            db.save_import(chat, &batch)?;
        }
    }
    Ok(())
}

/// What SQLite alone takes for the same rows, in one transaction, into a file with the same schema and settings.
fn insert_select(folder: &Path) -> Anything<Duration> {
    let path = folder.join("plain.db");
    DatabaseWrapper::open(&SourceConfig::new(&path))?.close();
    let connection = Connection::open(&path)?;
    connection.execute_batch("PRAGMA cache_size=-8000; PRAGMA secure_delete=ON; PRAGMA synchronous=FULL")?;
    connection.execute("ATTACH ?1 AS old", [folder.join("primary.db").to_string_lossy()])?;
    let tables =
        ["chat_messages", "chat_users", "chat_settings", "chat_info", "chat_stats", "chat_user_stats", "chat_topics"];
    let started = Instant::now();
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for table in tables {
        connection
            .execute(&format!("INSERT INTO main.{table} SELECT * FROM old.{table} WHERE chat_id = ?1"), [CHAT.0])?;
    }
    connection.execute(
        "INSERT INTO main.media_attachments SELECT * FROM old.media_attachments
         WHERE file_unique_id IN (SELECT media_id FROM old.chat_messages WHERE chat_id = ?1)
         ON CONFLICT DO NOTHING",
        [CHAT.0],
    )?;
    connection.execute_batch("COMMIT")?;
    Ok(started.elapsed())
}
