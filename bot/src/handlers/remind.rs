//! `/remind`: says something at a later time. What it says stays in the chat, as the message that asked for it; the
//! task that waits holds ids only, so that no chat's words are in the shared database.

use database::{ChatId, DatabaseWrapper, DelayedTask, MessageId, Result, Route, Timestamp, TopicId, UserId};
use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

use super::bot::Bot;
use super::{Call, Command, Who, command_in, people};
use crate::message::{Due, Incoming};

pub(super) const REMIND: Command = Command {
    name: "remind",
    arguments: "WHEN TEXT",
    summary: "say something here later: in 90s, 10m, 2h30m or 3d, or at 2030-01-31T08:00 (UTC)",
    who: Who::Everybody,
    run,
};

/// What the tasks are called that this room looks after.
const FUNCTION: &str = "remind";
/// The furthest a reminder can be away, in seconds.
const FURTHEST: i64 = 5 * 366 * 86_400;
/// How long a message may be on its way, in seconds: what it asks for may have come due meanwhile.
const ON_ITS_WAY: i64 = 60;
/// How many reminders of one person wait in a chat at most.
const MOST: usize = 50;
/// How many tasks are looked at in one statement.
const AT_ONCE: u32 = 100;
/// For how long, in seconds, what is due is left to the process that wanted to say it.
const CLAIMED: i64 = 60;

/// What a task holds.
#[derive(Serialize, Deserialize)]
struct Reminder {
    chat_id: ChatId,
    user_id: UserId,
    message_id: MessageId,
    thread_id: TopicId,
}

fn run(call: &Call<'_>) -> Result<String> {
    let incoming = call.incoming;
    let promise = |due| format!("I will remind you at {due} (UTC).");
    let id = format!("{}{}", prefix(Some(incoming.chat)), incoming.message_id);
    // Where the answer alone had failed the reminder waits already, or was said meanwhile.
    if let Some(task) = call.db.get_delayed_task(&id)?
        && let Ok(due) = Timestamp::from_unix_seconds(task.delayed_ts)
    {
        return Ok(promise(due));
    }
    let (when, text) = when_and_text(call.arguments);
    let Some(due) = moment(when, incoming.date).filter(|_| !text.is_empty()) else {
        return Ok(format!("{} (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)", REMIND.usage()));
    };
    let away = |from: Timestamp| due.unix_seconds() - from.unix_seconds();
    if away(incoming.date) < 1 || away(incoming.date) > FURTHEST || away(call.now) > FURTHEST {
        return Ok("I can remind you of something from a second to five years away.".to_owned());
    }
    if away(call.now) < -ON_ITS_WAY {
        return Ok(format!("{due} (UTC) has passed already."));
    }
    let waiting = tasks_of(call.db, incoming.chat, incoming.user)?.iter().filter(|task| !task.is_done).count();
    if waiting >= MOST {
        return Ok(format!("{MOST} reminders of yours wait here already, and more I do not keep."));
    }
    let reminder = Reminder {
        chat_id: incoming.chat,
        user_id: incoming.user,
        message_id: incoming.message_id.clone(),
        thread_id: incoming.thread,
    };
    let kwargs = serde_json::to_string(&reminder).unwrap_or_default();
    match call.db.add_delayed_task(&id, due.unix_seconds(), FUNCTION, &kwargs) {
        Err(error) if !error.is_duplicate() => Err(error),
        _ => Ok(promise(due)),
    }
}

/// How the ids of a chat's reminders begin, or those of all.
fn prefix(chat: Option<ChatId>) -> String {
    chat.map_or_else(|| format!("{FUNCTION}:"), |chat| format!("{FUNCTION}:{chat}:"))
}

/// A person's reminders in a chat and in what it was before it became a supergroup, said or not.
pub(super) fn tasks_of(db: &DatabaseWrapper, chat: ChatId, user: UserId) -> Result<Vec<DelayedTask>> {
    let mut tasks = Vec::new();
    for chat in [Some(chat), db.former_chat(chat)].into_iter().flatten() {
        let of_chat = db.get_delayed_tasks_of(&prefix(Some(chat)))?;
        let is_theirs = |task: &DelayedTask| {
            serde_json::from_str::<Reminder>(&task.kwargs).is_ok_and(|reminder| reminder.user_id == user)
        };
        tasks.extend(of_chat.into_iter().filter(is_theirs));
    }
    Ok(tasks)
}

/// The reminders of a chat, or of all, whose time has come: each is stored in its chat before it is answered, and
/// thereby the caller's to say. One that fails stays for the next time and keeps no other from being said.
pub(super) fn due(bot: &Bot, chat: Option<ChatId>) -> Result<Vec<Due>> {
    let now = bot.clock.now().unix_seconds();
    let prefixes = match chat {
        None => vec![prefix(None)],
        // Goes on elsewhere.
        Some(chat) if bot.db.current_chat(chat) != chat => Vec::new(),
        Some(chat) => {
            [Some(chat), bot.db.former_chat(chat)].into_iter().flatten().map(|chat| prefix(Some(chat))).collect()
        }
    };
    let mut given = Vec::new();
    let mut failed = None;
    for prefix in prefixes {
        let mut last: Option<DelayedTask> = None;
        // Further, past those that fail, until there is something to say: what is left is found the next time.
        while given.is_empty() || last.is_none() {
            let tasks = bot.db.get_due_delayed_tasks(&prefix, now, last.as_ref(), AT_ONCE)?;
            for task in tasks.iter().filter(|task| task.function == FUNCTION) {
                match give(bot, task) {
                    Ok(due) => given.extend(due),
                    Err(error) => {
                        tracing::warn!(task = task.id, %error, "a reminder has to wait");
                        failed = Some(error);
                    }
                }
            }
            let is_all = tasks.len() < AT_ONCE as usize;
            last = tasks.into_iter().next_back().or(last);
            if is_all {
                break;
            }
        }
    }
    match failed {
        Some(error) if given.is_empty() => Err(error),
        _ => Ok(given),
    }
}

/// Notes that a reminder was said.
pub(super) fn said(bot: &Bot, task: &str) -> Result<()> {
    // First: where it cannot be noted it must not be said again every second.
    bot.said.lock().insert(task.to_owned());
    bot.db.update_delayed_task(task, true)?;
    bot.said.lock().remove(task);
    Ok(())
}

/// A reminder to be said; `None` where another process is about to say it, or the message that asked for it is no
/// longer there.
fn give(bot: &Bot, task: &DelayedTask) -> Result<Option<Due>> {
    let is_said = bot.said.lock().contains(&task.id);
    if is_said {
        return said(bot, &task.id).map(|()| None);
    }
    let Ok(reminder) = serde_json::from_str::<Reminder>(&task.kwargs) else {
        tracing::error!(task = task.id, "a reminder cannot be read and is given up");
        return bot.db.update_delayed_task(&task.id, true).map(|()| None);
    };
    let Reminder { chat_id, user_id, message_id, thread_id } = reminder;
    // Before and after, since it may change between.
    let was_displaced = bot.db.is_displaced(chat_id);
    let Some(asked) = bot.db.get_chat_message_by_message_id(chat_id, &message_id)? else {
        if was_displaced || bot.db.is_displaced(chat_id) {
            // What asked for it is in a database that is away: it is said when that is back.
            return Ok(None);
        }
        // It was erased, or the chat was mapped elsewhere and its rows stayed behind.
        tracing::warn!(
            task = task.id,
            chat = %chat_id,
            source = %bot.db.source_of(Route::Chat(chat_id))?,
            "a reminder is given up: the message that asked for it is not where the chat is; if the chat was mapped \
             elsewhere, its rows have to be moved (`bot db move`)"
        );
        return bot.db.update_delayed_task(&task.id, true).map(|()| None);
    };
    let arguments = command_in(&asked.message_text).map_or("", |(_, arguments)| arguments);
    let (_, what) = when_and_text(arguments);
    let text = format!("Reminder for {}: {what}", people::name(&asked.full_name, &asked.username, user_id));

    // An id of its own, so that of several processes one alone stores it, and says it.
    let own_id = MessageId::from(task.id.as_str());
    let now = bot.clock.now();
    let mut own = Incoming::new(chat_id, user_id, String::new(), own_id.clone(), now, text.as_str());
    own.thread = thread_id;
    own.reply_to = Some(message_id);
    if !bot.store_own(&own, &text)? {
        // Whoever stored it died perhaps before it was said.
        let stored = bot.db.get_chat_message_by_message_id(chat_id, &own_id)?;
        let since = stored.map_or(CLAIMED, |stored| now.unix_seconds() - stored.date.unix_seconds());
        if since < CLAIMED {
            return Ok(None);
        }
    }
    let chat = bot.db.current_chat(chat_id);
    Ok(Some(Due { task: task.id.clone(), chat, thread: thread_id, text }))
}

/// The moment's words and the rest: one word, or a date and a time with a blank between them.
fn when_and_text(arguments: &str) -> (&str, &str) {
    let split = |text: &str| text.find(char::is_whitespace).unwrap_or(text.len());
    let first = split(arguments);
    let rest = arguments[first..].trim_start();
    let second = split(rest);
    if arguments[..first].parse::<Date>().is_ok()
        && rest[..second].parse::<Time>().is_ok()
        && !arguments[..first].contains('T')
    {
        let end = arguments.len() - rest.len() + second;
        return (&arguments[..end], arguments[end..].trim());
    }
    (&arguments[..first], rest.trim_end())
}

/// The moment that is meant: so long from now, or a date and time.
fn moment(when: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(seconds) = duration(when) {
        return Timestamp::from_unix_seconds(now.unix_seconds().checked_add(seconds)?).ok();
    }
    if let Ok(moment) = when.parse::<jiff::Timestamp>() {
        return Timestamp::from_unix_seconds(moment.as_second()).ok();
    }
    // A zone without an offset would be passed over.
    let civil = (!when.contains('[')).then(|| when.parse::<DateTime>())?;
    Timestamp::from_utc(civil.ok()?).ok()
}

/// `2h30m` in seconds.
fn duration(text: &str) -> Option<i64> {
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_a_blank_in_it_and_the_text_is_what_follows() {
        for (arguments, when, text) in [
            ("10m  tea ", "10m", "tea"),
            ("2030-01-31T08:00 call mum", "2030-01-31T08:00", "call mum"),
            ("2030-01-31 08:00 call mum", "2030-01-31 08:00", "call mum"),
            ("2030-01-31 call mum", "2030-01-31", "call mum"),
            ("10m 08:00 is early", "10m", "08:00 is early"),
            ("2030-01-31", "2030-01-31", ""),
            ("", "", ""),
        ] {
            assert_eq!(when_and_text(arguments), (when, text), "{arguments}");
        }
        let now: Timestamp = "2026-01-01 00:00:00".parse().unwrap();
        assert_eq!(moment("2030-01-31 08:00", now).unwrap().to_string(), "2030-01-31 08:00:00");
    }

    #[test]
    fn a_time_is_a_duration_or_a_date() {
        let now: Timestamp = "2026-01-01 00:00:00".parse().unwrap();
        let at = |when| moment(when, now).map(|moment| moment.to_string());
        assert_eq!(at("90s").as_deref(), Some("2026-01-01 00:01:30"));
        assert_eq!(at("1d2h30m").as_deref(), Some("2026-01-02 02:30:00"));
        assert_eq!(at("2030-01-31T08:00").as_deref(), Some("2030-01-31 08:00:00"));
        for bad in ["", "10", "m", "10x", "1h 2m", "tomorrow", "99999999999999999999d", "9223372036854775807d", "ß"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
