//! What the bot does with what happens in chats.
//!
//! Handlers know neither the transport nor the database behind the wrapper. To add a command, write a room with a
//! `Command` in it and name it in `COMMANDS`.

mod bot;
mod help;
mod history;
mod mydata;
mod outages;
mod owners;
mod people;
mod remember;
mod remind;
mod search;
mod settings;
mod spam;
mod stats;
mod top;
mod topics;

use std::time::Duration;

use database::{DatabaseWrapper, MessageCategory, Result, Timestamp, UserId};

use crate::control::Operator;
use crate::message::{ChatKind, Incoming};
use crate::text::sanitize::sanitize_line;

pub use bot::{Bot, Identity};

/// Every command there is, in the order in which `/help` lists them.
const COMMANDS: &[&Command] = &[
    &help::START,
    &help::HELP,
    &stats::STATS,
    &top::TOP,
    &history::HISTORY,
    &search::SEARCH,
    &topics::TOPICS,
    &remember::REMEMBER,
    &remember::RECALL,
    &remember::FORGET,
    &remind::REMIND,
    &settings::SETTINGS,
    &settings::SET,
    &settings::UNSET,
    &spam::SPAM,
    &spam::HAM,
    &mydata::MYDATA,
    &owners::CHATS,
    &owners::STATUS,
    &owners::ROUTE,
];

/// Commands whose answers repeat what others said, their names, or what other chats are called. Such an answer is not
/// kept word by word: what it repeats is kept already, would stay behind when somebody has it erased, and may be of a
/// chat whose words have no place in this one's database.
const REPEATING: &[&Command] = &[&top::TOP, &history::HISTORY, &search::SEARCH, &mydata::MYDATA, &owners::CHATS];

/// Commands whose answers are made of what was said or set earlier: while a chat's database is away they are incomplete.
const OF_EARLIER: &[&Command] = &[
    &stats::STATS,
    &top::TOP,
    &history::HISTORY,
    &search::SEARCH,
    &topics::TOPICS,
    &remember::RECALL,
    &settings::SETTINGS,
    &mydata::MYDATA,
];

/// What stands below an answer that is incomplete for that reason.
const IS_AWAY: &str = "(This chat's database is away for now: what was before that is missing here until it is back.)";

/// What is conversation: commands and the answers to them are not, and would be found again and again.
const CONVERSATION: &[MessageCategory] = &[
    MessageCategory::Unspecified,
    MessageCategory::User,
    MessageCategory::Channel,
    MessageCategory::Bot,
    MessageCategory::BotError,
    MessageCategory::BotSummary,
    MessageCategory::BotSpamNotification,
    MessageCategory::UserSpam,
];

/// Who may give a command, or what somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Everybody,
    Owners,
}

/// A command that people can give.
struct Command {
    /// What it is called, without the slash.
    name: &'static str,
    /// What may follow the name: where nothing may, whatever does is answered with how to use it.
    arguments: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// Who may give it.
    who: Who,
    /// Does it.
    run: fn(&Call<'_>) -> Result<String>,
}

/// One use of a command.
struct Call<'a> {
    db: &'a DatabaseWrapper,
    /// Whoever opened the databases.
    operator: &'a dyn Operator,
    incoming: &'a Incoming,
    /// What sort of chat it was given in.
    kind: ChatKind,
    /// What follows the command's name, without blanks around it.
    arguments: &'a str,
    /// The bot's own id, which is not one of the people.
    bot: UserId,
    bot_name: &'a str,
    /// What the writer may do.
    rank: Who,
    running_for: Duration,
    /// The moment by the bot's own clock.
    now: Timestamp,
}

impl<'a> Call<'a> {
    /// The one number that may follow a command, from 1 to `most`; or the sentence that says how to use it.
    fn number(&self, command: &Command, default: u32, most: u32) -> Result<u32, String> {
        match self.arguments {
            "" => Ok(default),
            text => match text.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("{} (a number from 1 to {most})", command.usage())),
            },
        }
    }

    /// The first word of the arguments, and the rest of them.
    fn word_and_rest(&self) -> (&'a str, &'a str) {
        let (word, rest) = self.arguments.split_once(char::is_whitespace).unwrap_or((self.arguments, ""));
        (word, rest.trim())
    }

    /// What the chat is called in an answer.
    fn chat_name(&self) -> Result<String> {
        let title = self.db.get_chat_info(self.incoming.chat)?.and_then(|info| info.title);
        Ok(title.map_or_else(|| "This chat".to_owned(), |title| sanitize_line(&title).into_owned()))
    }
}

impl Command {
    fn usage(&self) -> String {
        format!("Usage: {}", self.as_given())
    }

    /// The command with what may follow it.
    fn as_given(&self) -> String {
        format!("/{} {}", self.name, self.arguments).trim_end().to_owned()
    }

    /// What those are answered who may not give it, and how they may come to. Whoever runs the bot needs their id, which
    /// is told to nobody else.
    fn refusal(&self, user: UserId, kind: ChatKind) -> String {
        let how = if kind == ChatKind::Private {
            format!(
                "Whoever runs the bot can make you one: they add your id, {user}, to `owners` under [bot] and restart it."
            )
        } else {
            "Give it in a private chat with me to see how you become one.".to_owned()
        };
        format!("/{} is for the bot's owners. {how}", self.name)
    }
}

/// What a command is answered with that there is not.
fn unknown(name: &str) -> String {
    format!("I do not know /{name}. /help lists what I know.")
}

/// The command of a name.
fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// The command that a text gives: its name and what follows. `/name@bot` speaks to one of several bots.
fn command_in(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('/')?;
    let (word, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let name = word.split('@').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name.then_some((name, arguments.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_slash_and_a_name() {
        assert_eq!(command_in("/stats"), Some(("stats", "")));
        assert_eq!(command_in("/stats@bot  7 "), Some(("stats", "7")));
        assert_eq!(command_in("/search\nöl öl"), Some(("search", "öl öl")));
        for text in ["", "/", "/ stats", "stats", " /stats", "/home/me", "//", "/@bot"] {
            assert_eq!(command_in(text), None, "{text}");
        }
    }

    #[test]
    fn every_command_is_found_by_its_own_name_alone() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
    }
}
