//! The console's own commands: lines that start with a colon and one of a few words. They never reach the handlers.

use database::{ChatId, UserId};

/// What `:help` prints.
pub(super) const HELP: &str = "\
Every line is a message to the bot (/help asks what it can do), but for these:
  :chat ID         speak in this chat from now on; ids of groups are negative
  :user ID [NAME]  speak as this user from now on
  :help            this text
  :quit            leave, as Ctrl-D does
A line that starts with a space is a message and stays out of the history.
Ctrl-C discards the line; pressed twice where nothing is typed, it leaves.
Up and down bring back earlier lines, Ctrl-R searches them.
";

/// A line that is meant for the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Chat(ChatId),
    User(UserId, Option<String>),
    Help,
    Quit,
}

/// The command that the line is; `None` where it is a message (`:)` is one), an answer to the user where it is a
/// command that cannot be followed.
pub(super) fn parse(line: &str) -> Option<Result<Command, String>> {
    let line = line.strip_prefix(':')?;
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let command = match word {
        "chat" => {
            let usage = "`:chat ID`, for example `:chat 1` or `:chat -1001234567890`";
            id(rest, "chat", usage).map(|id| Command::Chat(ChatId(id)))
        }
        "user" => {
            let (id_text, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let usage = "`:user ID [NAME]`, for example `:user 42 Ann Lee`";
            let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
            id(id_text, "user", usage).map(|id| Command::User(UserId(id), name))
        }
        "help" => Ok(Command::Help),
        "quit" if rest.is_empty() => Ok(Command::Quit),
        "quit" => Err(":quit takes nothing after it".to_owned()),
        _ => return None,
    };
    Some(command)
}

fn id(text: &str, of: &str, usage: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Err(format!(":{of} wants an id: {usage}"));
    }
    text.parse().map_err(|_| format!("`{text}` is no {of} id, which is a whole number: {usage}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        for (line, command) in [
            (":chat -1001234567890", Command::Chat(ChatId(-1_001_234_567_890))),
            (":chat\t 7 ", Command::Chat(ChatId(7))),
            (":user 5", Command::User(UserId(5), None)),
            (":user -5  Ann  Ö'Hara ", Command::User(UserId(-5), Some("Ann  Ö'Hara".into()))),
            (":help me", Command::Help),
            (":quit ", Command::Quit),
        ] {
            assert_eq!(parse(line), Some(Ok(command)), "{line}");
        }
        for line in ["hello", ":)", ":", "::chat 1", " :quit", ":chats 1", ":Quit", "/help", ""] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn bad_arguments_are_answered() {
        for (line, answer) in [
            (":chat", ":chat wants an id: `:chat ID`, for example `:chat 1` or `:chat -1001234567890`"),
            (
                ":chat 1 2",
                "`1 2` is no chat id, which is a whole number: `:chat ID`, for example `:chat 1` or `:chat -1001234567890`",
            ),
            (
                ":user ann",
                "`ann` is no user id, which is a whole number: `:user ID [NAME]`, for example `:user 42 Ann Lee`",
            ),
            (
                ":user 9223372036854775808",
                "`9223372036854775808` is no user id, which is a whole number: `:user ID [NAME]`, for example `:user 42 Ann Lee`",
            ),
            (":quit now", ":quit takes nothing after it"),
        ] {
            assert_eq!(parse(line), Some(Err(answer.into())), "{line}");
        }
    }
}
