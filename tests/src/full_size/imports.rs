//! Imports by a process of their own: undisturbed, and killed at any moment.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tests::rows::{fingerprint, look, times_of_storing};

use super::file::Chat;
use super::report::Report;
use super::{Result, eprint};

/// The environment variable with which this program is the bot.
pub(crate) const AS_BOT: &str = "FULL_SIZE_BOT";

/// An import that went to its end.
pub(crate) struct Done {
    pub(crate) database: PathBuf,
    pub(crate) took: Duration,
    /// The most memory it held, in bytes.
    pub(crate) peak: u64,
}

/// Imports a file, new or begun, into a folder.
pub(crate) fn run(export: &Path, folder: &Path) -> Result<Done> {
    run_with(None, export, folder)
}

/// The same under a configuration of one's own.
pub(crate) fn run_with(config: Option<&Path>, export: &Path, folder: &Path) -> Result<Done> {
    let start = Instant::now();
    let mut child = spawn(config, export, folder)?;
    let (status, peak) = tests::peak::wait(&mut child)?;
    let took = start.elapsed();
    if !status.success() {
        return Err(format!("the import ended with {status}").into());
    }
    Ok(Done { database: folder.join("bot.db"), took, peak })
}

fn spawn(config: Option<&Path>, export: &Path, folder: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.env(AS_BOT, "1").arg("--quiet").arg("--data-dir").arg(folder).arg("import").arg(export);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

/// Compares what is stored with what is in the file, chat by chat, and the counters with the rows.
pub(crate) fn compare(chats: &[Chat], database: &Path, report: &mut Report) -> Result<()> {
    let connection = look(database)?;
    let one = |sql: &str, chat: i64| -> Result<u64> {
        Ok(u64::try_from(connection.query_row(sql, [chat], |row| row.get::<_, i64>(0))?)?)
    };
    let mut differing = Vec::new();
    for chat in chats {
        let mut stored = vec![
            one("SELECT COUNT(*) FROM chat_messages WHERE chat_id = ?1", chat.id)?,
            one("SELECT COALESCE(SUM(messages_count), 0) FROM chat_stats WHERE chat_id = ?1", chat.id)?,
            one("SELECT COALESCE(SUM(messages_count), 0) FROM chat_user_stats WHERE chat_id = ?1", chat.id)?,
            one("SELECT COALESCE(SUM(messages_count), 0) FROM chat_users WHERE chat_id = ?1", chat.id)?,
            one(
                "SELECT COALESCE(SUM(records), 0) FROM switchyard_imports WHERE is_complete AND chat_id = ?1",
                chat.id,
            )?,
            one("SELECT COUNT(DISTINCT user_id) FROM chat_user_stats WHERE chat_id = ?1", chat.id)?,
            one("SELECT COUNT(reply_id) FROM chat_messages WHERE chat_id = ?1", chat.id)?,
        ];
        let records = chat.messages + chat.services + chat.others;
        let people = chat.people.len() as u64;
        let mut in_file =
            vec![chat.messages, chat.messages, chat.messages, chat.messages, records, people, chat.replies];
        if let Some(bytes) = chat.text_bytes {
            in_file.push(bytes);
            let sql = "SELECT COALESCE(SUM(octet_length(message_text)), 0) FROM chat_messages WHERE chat_id = ?1";
            stored.push(one(sql, chat.id)?);
        }
        if stored != in_file || !same_people(&connection, chat)? || !same_dates(&connection, chat)? {
            differing.push(format!("chat {}: {stored:?}, in the file {in_file:?}", chat.id));
        }
    }
    let sum = |of: fn(&Chat) -> u64| chats.iter().map(of).sum::<u64>();
    let numbers = format!(
        "{} chats, {} messages, {} service records, {} others",
        chats.len(),
        sum(|chat| chat.messages),
        sum(|chat| chat.services),
        sum(|chat| chat.others)
    );
    report.note("in the file", &numbers);
    differing.iter().for_each(|line| eprint(line));
    let found = if differing.is_empty() { "equal" } else { "not equal" };
    report.fact("messages, people, replies, bytes of text and counters, chat by chat", found, differing.is_empty());
    let chats_stored: i64 =
        connection.query_row("SELECT COUNT(DISTINCT chat_id) FROM chat_messages", [], |row| row.get(0))?;
    let expected = chats.iter().filter(|chat| chat.messages > 0).count();
    report.fact("chats with messages", &chats_stored.to_string(), usize::try_from(chats_stored)? == expected);
    whole(&connection, report)
}

/// The people's ids are compared by their numbers: those of groups and channels are built in a way of their own.
fn same_people(connection: &Connection, chat: &Chat) -> Result<bool> {
    let mut statement =
        connection.prepare("SELECT user_id, COUNT(*) FROM chat_messages WHERE chat_id = ?1 GROUP BY user_id")?;
    let mut stored = statement
        .query_map([chat.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (id, _) in &mut stored {
        *id = if *id < -1_000_000_000_000 { -1_000_000_000_000 - *id } else { id.abs() };
    }
    stored.sort_unstable();
    Ok(stored == chat.people.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>())
}

fn same_dates(connection: &Connection, chat: &Chat) -> Result<bool> {
    let sql = "SELECT unixepoch(MIN(date)), unixepoch(MAX(date)) FROM chat_messages WHERE chat_id = ?1";
    let stored: (Option<i64>, Option<i64>) =
        connection.query_row(sql, [chat.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(chat.dates.is_none_or(|(first, last)| stored == (Some(first), Some(last))))
}

fn whole(connection: &Connection, report: &mut Report) -> Result<()> {
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    report.fact("integrity_check", &answer, answer == "ok");
    Ok(())
}

pub(crate) fn expect_messages(database: &Path, expected: u64, report: &mut Report) -> Result<()> {
    let stored: i64 = look(database)?.query_row("SELECT COUNT(*) FROM chat_messages", [], |row| row.get(0))?;
    if u64::try_from(stored)? != expected {
        report.fact("messages of the longer export", &format!("{stored} instead of {expected}"), false);
    }
    Ok(())
}

/// Kills imports at any moment and lets them go on; the rows have to be those of one that nothing disturbed.
pub(crate) fn kill_and_go_on(
    export: &Path,
    fresh: &Done,
    folder: &Path,
    rounds: u32,
    report: &mut Report,
) -> Result<()> {
    let expected = fingerprint(&fresh.database, times_of_storing)?;
    let (mut equal, mut killed) = (0, 0);
    // How long an import takes on this machine at the moment, so that most are killed before they end.
    let mut usual = fresh.took;
    for round in 1..=rounds {
        eprint(&format!("killing and going on, round {round} of {rounds}"));
        let data = folder.join("killed");
        let start = Instant::now();
        let moment = usual.mul_f64(chance());
        let mut child = spawn(None, export, &data)?;
        while child.try_wait()?.is_none() && start.elapsed() < moment {
            std::thread::park_timeout(Duration::from_micros(200));
        }
        child.kill()?;
        if child.wait()?.code().is_none() {
            killed += 1;
        } else {
            usual = usual.min(start.elapsed());
        }
        let done = run(export, &data)?;
        let is_equal = fingerprint(&done.database, times_of_storing)? == expected;
        equal += u32::from(is_equal);
        if !is_equal {
            eprint(&format!("round {round}, killed after {moment:?}: the rows differ"));
        }
        whole_quietly(&done.database)?;
        std::fs::remove_dir_all(&data)?;
    }
    report.fact(
        &format!("killed at a random moment and gone on, {rounds} rounds ({killed} killed before the end)"),
        &format!("{equal} equal"),
        equal == rounds,
    );
    Ok(())
}

fn whole_quietly(database: &Path) -> Result<()> {
    let answer: String = look(database)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(format!("{}: {answer}", database.display()).into()) }
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
