//! How people and their messages are written in an answer.

use database::{ChatMessage, UserId};

use crate::text::sanitize::sanitize_line;

/// A person by the name that is known: the full name, the user name, or the id. One line, whatever the name is: a line
/// break in it would begin what looks like somebody else's message.
pub(super) fn name(full_name: &str, username: &str, user: UserId) -> String {
    match (full_name.trim(), username) {
        ("", "") => format!("user {user}"),
        ("", username) => sanitize_line(username).into_owned(),
        (full_name, _) => sanitize_line(full_name).into_owned(),
    }
}

/// A message as lines: when, who, what; further lines of its text and what it quotes stand indented.
pub(super) fn message(message: &ChatMessage) -> String {
    let minute = &message.date.to_string()[..16];
    let author = name(&message.full_name, &message.username, message.user_id);
    let text = if message.message_text.is_empty() {
        format!("[{}]", message.message_type)
    } else {
        message.message_text.replace('\n', "\n    ")
    };
    match &message.quote_text {
        None => format!("{minute} {author}: {text}"),
        Some(quote) => format!("{minute} {author}:\n    > {}\n    {text}", quote.replace('\n', "\n    > ")),
    }
}
