//! What the bot does with a message: stores it, and where it is a command answers and stores the answer too.
//!
//! Handlers know neither the transport nor the database behind the wrapper. To add a command, write a room with a
//! [`Command`] in it and name it in [`COMMANDS`].

mod help;
mod history;
mod mydata;
mod people;
mod search;
mod stats;
mod top;
mod topics;

use std::sync::Arc;

use database::{ChatType, Clock, DatabaseWrapper, MessageCategory, NewChatInfo, NewMessage, Result, UserId};

use crate::message::{Handle, HandleError, Incoming, MessageIds, Outgoing};
use crate::text::sanitize::sanitize_line;

/// Every command there is, in the order in which `/help` lists them.
const COMMANDS: &[&Command] =
    &[&help::HELP, &stats::STATS, &top::TOP, &history::HISTORY, &search::SEARCH, &topics::TOPICS, &mydata::MYDATA];

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

/// A command that people can give.
struct Command {
    /// What it is called, without the slash.
    name: &'static str,
    /// What may follow the name.
    arguments: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// Does it.
    run: fn(&Call<'_>) -> Result<String>,
}

/// One use of a command.
struct Call<'a> {
    db: &'a DatabaseWrapper,
    incoming: &'a Incoming,
    /// What follows the command's name, without blanks around it.
    arguments: &'a str,
    /// The bot's own id, which is not one of the people.
    bot: UserId,
}

/// The bot as one of those who speak in a chat.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub user: UserId,
    /// Its full name.
    pub name: String,
    /// Its user name; empty where it has none.
    pub username: String,
}

/// The bot: what it does with messages.
pub struct Bot {
    db: DatabaseWrapper,
    ids: Arc<MessageIds>,
    clock: Arc<dyn Clock>,
    identity: Identity,
}

impl Bot {
    /// A bot on these databases that speaks as this identity; its own messages get their ids from `ids`.
    pub fn new(db: DatabaseWrapper, ids: Arc<MessageIds>, clock: Arc<dyn Clock>, identity: Identity) -> Self {
        Self { db, ids, clock, identity }
    }

    /// Makes the chat and the writer known, or brings up to date what is known of them.
    fn meet(&self, incoming: &Incoming) -> Result<()> {
        let chat = incoming.chat;
        let known = self.db.get_chat_info(chat)?;
        let told = incoming.chat_title.as_ref();
        if known.as_ref().is_none_or(|info| told.is_some() && info.title.as_ref() != told) {
            let (username, is_forum) = known.map(|info| (info.username, info.is_forum)).unwrap_or_default();
            let chat_type = ChatType::from(incoming.chat_kind.as_str());
            let title = incoming.chat_title.clone();
            self.db.update_chat_info(chat, &NewChatInfo { title, username, chat_type, is_forum })?;
        }
        let username = incoming.username.as_ref().map(|name| format!("@{name}")).unwrap_or_default();
        self.meet_person(incoming, incoming.user, &username, &incoming.user_name)
    }

    /// Makes a person known to the chat. A name that the transport does not tell leaves the known one as it is.
    fn meet_person(&self, incoming: &Incoming, user: UserId, username: &str, name: &str) -> Result<()> {
        let known = self.db.get_chat_user(incoming.chat, user)?;
        let (known_username, known_name) =
            known.as_ref().map_or(("", ""), |known| (known.username.as_str(), known.full_name.as_str()));
        let username = if username.is_empty() { known_username } else { username };
        let name = if name.is_empty() { known_name } else { name };
        if known.is_none() || (username, name) != (known_username, known_name) {
            self.db.update_chat_user(incoming.chat, user, username, name)?;
        }
        Ok(())
    }

    /// Stores the message; `false` where it is stored already, because it was delivered twice.
    fn store(&self, incoming: &Incoming, category: MessageCategory) -> Result<bool> {
        let message = NewMessage {
            reply_id: incoming.reply_to.clone(),
            thread_id: incoming.thread,
            message_category: category,
            ..NewMessage::text(incoming.message_id.clone(), incoming.date, incoming.user, incoming.text.as_str())
        };
        match self.db.save_chat_message(incoming.chat, &message) {
            Ok(()) => Ok(true),
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores what the bot answered.
    fn store_reply(&self, incoming: &Incoming, text: &str) -> Result<()> {
        let Identity { user, name, username } = &self.identity;
        self.meet_person(incoming, *user, username, name)?;
        let reply = NewMessage {
            reply_id: Some(incoming.message_id.clone()),
            root_message_id: Some(incoming.message_id.clone()),
            thread_id: incoming.thread,
            message_category: MessageCategory::BotCommandReply,
            ..NewMessage::text(self.ids.next_id(), self.clock.now(), *user, text)
        };
        self.db.save_chat_message(incoming.chat, &reply)
    }
}

impl Handle for Bot {
    fn handle(&self, incoming: Incoming) -> Result<Vec<Outgoing>, HandleError> {
        let command = command_in(&incoming.text);
        let category = if command.is_some() { MessageCategory::UserCommand } else { MessageCategory::User };
        self.meet(&incoming)?;
        if !self.store(&incoming, category)? {
            tracing::info!(chat = %incoming.chat, message = %incoming.message_id, "delivered twice, stored once");
            return Ok(Vec::new());
        }
        let Some((name, arguments)) = command else { return Ok(Vec::new()) };
        let call = Call { db: &self.db, incoming: &incoming, arguments, bot: self.identity.user };
        let answer = match COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name)) {
            Some(command) => (command.run)(&call)?,
            None => format!("I do not know /{name}. /help lists what I know."),
        };
        self.store_reply(&incoming, &answer)?;
        Ok(vec![Outgoing::from(answer)])
    }
}

impl Call<'_> {
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

    /// What the chat is called in an answer.
    fn chat_name(&self) -> Result<String> {
        let title = self.db.get_chat_info(self.incoming.chat)?.and_then(|info| info.title);
        Ok(title.map_or_else(|| "This chat".to_owned(), |title| sanitize_line(&title).into_owned()))
    }
}

impl Command {
    fn usage(&self) -> String {
        format!("Usage: /{} {}", self.name, self.arguments).trim_end().to_owned()
    }
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
