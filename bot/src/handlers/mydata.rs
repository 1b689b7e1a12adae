//! `/mydata`: what is kept about the person who asks, and erasing it. In a group it is about that chat, in a private
//! chat about all chats.

use database::{ChatId, ChatType, ErrorKind, Result, UserFootprint};

use super::{Call, Command, Who, people, remind, spam};
use crate::message::ChatKind;
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;

pub(super) const MYDATA: Command = Command {
    name: "mydata",
    arguments: "[show | erase]",
    summary: "what is kept about you: in this chat, or everywhere where we are alone",
    who: Who::Everybody,
    run,
};

/// What has to follow `erase`, so that nothing is erased by mistake.
const YES: &str = "yes";

fn run(call: &Call<'_>) -> Result<String> {
    match call.word_and_rest() {
        ("" | "show", "") => show(call),
        ("erase", "") => announce(call),
        ("erase", YES) => erase(call),
        _ => Ok(MYDATA.usage()),
    }
}

/// The chats that are asked about, with how to call them.
fn chats(call: &Call<'_>) -> Result<Vec<(ChatId, String)>> {
    let here = (call.incoming.chat, "this chat".to_owned());
    if call.kind != ChatKind::Private {
        return Ok(vec![here]);
    }
    let mut chats = vec![here];
    for chat in call.db.get_user_chats(call.incoming.user)? {
        // A group that became a supergroup is shown and erased with it.
        if chat.chat_id != call.incoming.chat && call.db.current_chat(chat.chat_id) == chat.chat_id {
            let kind = match chat.chat_type {
                ChatType::Private => "private chat",
                ChatType::Channel => "channel",
                _ => "group",
            };
            let title = chat.title.unwrap_or_else(|| chat.chat_id.to_string());
            chats.push((chat.chat_id, format!("the {kind} {}", sanitize_line(&title))));
        }
    }
    Ok(chats)
}

fn show(call: &Call<'_>) -> Result<String> {
    let user = call.incoming.user;
    let mut lines = Vec::new();
    for (chat, name) in chats(call)? {
        let kept = call.db.get_user_footprint(chat, user)?;
        lines.push(format!("Kept about you (user {user}) in {name}:"));
        describe(&kept, &mut lines);
        let waiting = remind::tasks_of(call.db, chat, user)?.iter().filter(|task| !task.is_done).count();
        if waiting > 0 {
            lines.push(format!("- reminders that wait: {waiting}"));
        }
        for (key, value) in call.db.get_user_data(chat, user)? {
            lines.push(format!("- remembered: {} = {}", sanitize_line(&key), sanitize_line(&value)));
        }
    }
    lines.push("/mydata erase tells how to have it erased.".to_owned());
    Ok(lines.join("\n"))
}

fn describe(kept: &UserFootprint, lines: &mut Vec<String>) {
    let number = |count: i64| thousands(count.unsigned_abs());
    if let Some(known) = &kept.user {
        let name = people::name(&known.full_name, "", known.user_id);
        let username = if known.username.is_empty() { "none" } else { &*sanitize_line(&known.username) };
        lines.push(format!("- name: {name}; user name: {username}"));
        lines.push(format!("- known since {}, last heard of {} (UTC)", known.created_at, known.updated_at));
        if let Some(timezone) = &known.timezone {
            lines.push(format!("- time zone: {timezone}"));
        }
        if known.is_spammer {
            lines.push("- marked as a spammer".to_owned());
        }
        if !known.metadata.is_empty() {
            lines.push(format!("- notes: {}", sanitize_line(&known.metadata)));
        }
    }
    let mut messages = format!("- messages: {}", number(kept.messages));
    if let (Some(first), Some(last)) = (kept.first_message, kept.last_message) {
        messages += &format!(", from {first} to {last} (UTC)");
    }
    lines.push(messages);
    lines.push(format!("- days with a count of your messages: {}", number(kept.counted_days)));
    for (what, count) in [("spam", kept.spam_examples), ("no spam", kept.ham_examples)] {
        if count > 0 {
            lines.push(format!("- messages kept as examples of {what}: {}", number(count)));
        }
    }
    for (what, count) in [
        ("files that only you showed", kept.media),
        ("messages of others that quote you", kept.quotes),
        ("summaries of what was said, by you too", kept.summaries),
    ] {
        if count > 0 {
            lines.push(format!("- {what}: {}", number(count)));
        }
    }
}

/// Says what would go, and how to say that it is meant.
fn announce(call: &Call<'_>) -> Result<String> {
    let user = call.incoming.user;
    let mut lines = vec!["This would be erased, and cannot be brought back:".to_owned()];
    for (chat, name) in chats(call)? {
        let kept = call.db.get_user_footprint(chat, user)?;
        let counted = |count: i64, one: &str, many: &str| counted(count.unsigned_abs(), one, many);
        let mut parts = vec![
            format!("{} with my answers to your commands", counted(kept.messages, "message", "messages")),
            "your names".to_owned(),
            format!("{} remembered", counted(kept.remembered, "thing", "things")),
            format!("{} of spam or no spam", counted(kept.spam_examples + kept.ham_examples, "example", "examples")),
            "your counts".to_owned(),
        ];
        let waiting = remind::tasks_of(call.db, chat, user)?.iter().filter(|task| !task.is_done).count();
        for (count, one, many) in [
            (i64::try_from(waiting).unwrap_or(i64::MAX), "reminder", "reminders"),
            (kept.media, "file that only you showed", "files that only you showed"),
            (kept.quotes, "quotation of you by others", "quotations of you by others"),
            (kept.summaries, "summary of what was said", "summaries of what was said"),
        ] {
            if count > 0 {
                parts.push(counted(count, one, many));
            }
        }
        lines.push(format!("- in {name}: {}", parts.join(", ")));
    }
    lines.push(format!("How much was said on a day stays: it names nobody. If you mean it: /mydata erase {YES}"));
    Ok(lines.join("\n"))
}

fn erase(call: &Call<'_>) -> Result<String> {
    let user = call.incoming.user;
    let mut lines = Vec::new();
    for (chat, name) in chats(call)? {
        // What is away cannot be seen, and so not be unlearnt; half of it gone would look like all. The source may go away
        // at any of these steps.
        let db = call.db.at_home();
        let mut is_begun = false;
        let erased = spam::unlearn(&db, chat, user).and_then(|()| {
            is_begun = true;
            db.erase_user(chat, user)
        });
        let rows = match erased {
            Err(error) if matches!(error.kind(), ErrorKind::Displaced) => {
                let what = if is_begun { "Not everything" } else { "Nothing" };
                lines.push(format!(
                    "{what} was erased in {name}: its database is away for now. Ask again when it is back."
                ));
                continue;
            }
            erased => erased?,
        };
        let tasks = remind::tasks_of(call.db, chat, user)?;
        if !tasks.is_empty() {
            let ids: Vec<_> = tasks.iter().map(|task| task.id.as_str()).collect();
            call.db.delete_delayed_tasks(&ids)?;
        }
        let rows = rows + tasks.len() as u64;
        lines.push(format!("Erased what was kept about you in {name} ({}).", counted(rows, "row", "rows")));
    }
    Ok(lines.join("\n"))
}
