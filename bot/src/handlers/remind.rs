//! `/remind`: says something at a later time. What it says stays in the chat, as the message that asked for it; the
//! task that waits holds ids only, so that no chat's words are in the shared database.

use database::{ChatId, DelayedTask, MessageId, Result, Timestamp, TopicId, UserId};
use jiff::civil::DateTime;
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

/// What a task holds.
#[derive(Serialize, Deserialize)]
struct Reminder {
    chat_id: ChatId,
    user_id: UserId,
    message_id: MessageId,
    thread_id: TopicId,
}

fn run(call: &Call<'_>) -> Result<String> {
    let (when, text) = call.word_and_rest();
    let now = call.incoming.date;
    let Some(due) = moment(when, now).filter(|_| !text.is_empty()) else {
        return Ok(format!("{} (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)", REMIND.usage()));
    };
    let away = due.unix_seconds() - now.unix_seconds();
    if !(1..=FURTHEST).contains(&away) {
        return Ok("I can remind you of something from a second to five years away.".to_owned());
    }
    let incoming = call.incoming;
    let reminder = Reminder {
        chat_id: incoming.chat,
        user_id: incoming.user,
        message_id: incoming.message_id.clone(),
        thread_id: incoming.thread,
    };
    let id = format!("{FUNCTION}:{}:{}", incoming.chat, incoming.message_id);
    let kwargs = serde_json::to_string(&reminder).unwrap_or_default();
    match call.db.add_delayed_task(&id, due.unix_seconds(), FUNCTION, &kwargs) {
        Err(error) if !error.is_duplicate() => Err(error),
        _ => Ok(format!("I will remind you at {due} (UTC).")),
    }
}

/// The reminders whose time has come: each is stored in its chat, and its task done, before it is answered. One that
/// fails stays for the next time and keeps no other from being said.
pub(super) fn due(bot: &Bot) -> Result<Vec<Due>> {
    let now = bot.clock.now().unix_seconds();
    let mut said = Vec::new();
    let mut failed = None;
    for task in bot.db.get_pending_delayed_tasks()? {
        if task.function != FUNCTION || task.delayed_ts > now {
            continue;
        }
        let done = say(bot, &task).and_then(|text| {
            said.extend(text);
            bot.db.update_delayed_task(&task.id, true)
        });
        if let Err(error) = done {
            tracing::warn!(task = task.id, %error, "a reminder has to wait");
            failed = Some(error);
        }
    }
    match failed {
        Some(error) if said.is_empty() => Err(error),
        _ => Ok(said),
    }
}

/// Says a reminder in its chat; `None` where it was said before, or the message that asked for it is no longer there.
fn say(bot: &Bot, task: &DelayedTask) -> Result<Option<Due>> {
    let Ok(reminder) = serde_json::from_str::<Reminder>(&task.kwargs) else {
        tracing::error!(task = task.id, "a reminder cannot be read and is given up");
        return Ok(None);
    };
    let Reminder { chat_id, user_id, message_id, thread_id } = reminder;
    let Some(asked) = bot.db.get_chat_message_by_message_id(chat_id, &message_id)? else { return Ok(None) };
    let arguments = command_in(&asked.message_text).map_or("", |(_, arguments)| arguments);
    let what = arguments.split_once(char::is_whitespace).map_or("", |(_, text)| text.trim());
    let text = format!("Reminder for {}: {what}", people::name(&asked.full_name, &asked.username, user_id));

    // An id of its own, so that it is said once even if the program dies between here and the task's end.
    let own_id = MessageId::from(task.id.as_str());
    let mut own = Incoming::new(chat_id, user_id, String::new(), own_id, bot.clock.now(), text.as_str());
    own.thread = thread_id;
    own.reply_to = Some(message_id);
    let chat = bot.db.current_chat(chat_id);
    Ok(bot.store_own(&own, &text)?.then_some(Due { chat, thread: thread_id, text }))
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
