//! `/mydata`: what is kept about the person who asks, in the chat where they ask.

use database::Result;

use super::{Call, Command, people};
use crate::text::chart::thousands;
use crate::text::sanitize::sanitize_line;

pub(super) const MYDATA: Command =
    Command { name: "mydata", arguments: "", summary: "what is kept about you in this chat", run };

fn run(call: &Call<'_>) -> Result<String> {
    if !call.arguments.is_empty() {
        return Ok(MYDATA.usage());
    }
    let (chat, user) = (call.incoming.chat, call.incoming.user);
    let kept = call.db.get_user_footprint(chat, user)?;
    let mut lines = vec![format!("Kept about you (user {user}) in this chat:")];
    if let Some(known) = &kept.user {
        let name = people::name(&known.full_name, "", user);
        let username = if known.username.is_empty() { "none" } else { &*sanitize_line(&known.username) };
        lines.push(format!("- name: {name}; user name: {username}"));
        lines.push(format!("- known since {}, last changed {} (UTC)", known.created_at, known.updated_at));
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
    let number = |count: i64| thousands(count.unsigned_abs());
    let mut messages = format!("- messages: {}", number(kept.messages));
    if let (Some(first), Some(last)) = (kept.first_message, kept.last_message) {
        messages += &format!(", from {first} to {last} (UTC)");
    }
    lines.push(messages);
    lines.push(format!("- days with a count of your messages: {}", number(kept.counted_days)));
    for (key, value) in call.db.get_user_data(chat, user)? {
        lines.push(format!("- remembered: {} = {}", sanitize_line(&key), sanitize_line(&value)));
    }
    for (what, count) in [("spam", kept.spam_examples), ("no spam", kept.ham_examples)] {
        if count > 0 {
            lines.push(format!("- messages kept as examples of {what}: {}", number(count)));
        }
    }
    Ok(lines.join("\n"))
}
