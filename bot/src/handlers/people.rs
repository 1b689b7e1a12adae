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
        broken_by(&message.message_text, "\n    ")
    };
    match &message.quote_text {
        None => format!("{minute} {author}: {text}"),
        Some(quote) => format!("{minute} {author}:\n    > {}\n    {text}", broken_by(quote, "\n    > ")),
    }
}

/// A text with this in place of whatever somebody's screen may take for the end of a line (Unicode, "Newline
/// Guidelines", 5.8): what stands behind would look like somebody else's message.
fn broken_by(text: &str, line_break: &str) -> String {
    const BREAKS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.replace("\r\n", "\n").split(BREAKS).collect::<Vec<_>>().join(line_break)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_line_break_is_followed_by_the_indent() {
        let text = "a\nb\rc\r\nd\u{b}e\u{c}f\u{85}g\u{2028}h\u{2029}i\n\nj";
        assert_eq!(broken_by(text, "\n  "), "a\n  b\n  c\n  d\n  e\n  f\n  g\n  h\n  i\n  \n  j");
    }
}
