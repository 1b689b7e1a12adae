//! What is done with whatever happens in a chat: it is stored, and a command among it is answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use config::Owner;
use database::{
    ChatId, ChatType, Clock, DatabaseWrapper, MessageCategory, MessageType, NewMedia, NewMessage, Result, Route, UserId,
};
use parking_lot::Mutex;

use super::outages::{Met, Told};
use super::{Call, IS_AWAY, OF_EARLIER, REPEATING, Who, command_in, find, outages, remind, spam, unknown};
use crate::control::{Operator, Plain};
use crate::message::{ChatKind, Due, Event, Handle, HandleError, Handled, Incoming, MessageIds, Outgoing};

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
    pub(super) db: DatabaseWrapper,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<MessageIds>,
    identity: Identity,
    pub(super) owners: Vec<Owner>,
    pub(super) operator: Arc<dyn Operator>,
    started: Instant,
    /// The reminders that were said, and of which that could not be noted yet.
    pub(super) said: Mutex<HashSet<String>>,
    /// The owners who were told of databases that cannot be used.
    pub(super) told: Mutex<Told>,
    /// The owners who are configured by a name alone, once they have written.
    pub(super) met: Mutex<Met>,
}

impl Bot {
    /// A bot on these databases that speaks as this identity; its own messages get their ids from `ids`.
    pub fn new(db: DatabaseWrapper, ids: Arc<MessageIds>, clock: Arc<dyn Clock>, identity: Identity) -> Self {
        let operator = Arc::new(Plain::new(db.clone()));
        let (said, told, met) = Default::default();
        Self { db, ids, clock, identity, owners: Vec::new(), operator, started: Instant::now(), said, told, met }
    }

    /// The same bot, which knows from whoever opened the databases how they are and where chats live. Otherwise it knows
    /// what the wrapper tells.
    #[must_use]
    pub fn with_operator(mut self, operator: Arc<dyn Operator>) -> Self {
        self.operator = operator;
        self
    }

    /// The same bot, which also obeys these people's owner commands.
    #[must_use]
    pub fn owned_by(mut self, owners: Vec<Owner>) -> Self {
        self.owners = owners;
        self
    }

    /// What the writer may do.
    fn rank(&self, incoming: &Incoming) -> Who {
        let owns = |owner: &Owner| match owner {
            Owner::Id(id) => *id == incoming.user,
            Owner::Name(name) => incoming.username.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name)),
        };
        if self.owners.iter().any(owns) { Who::Owners } else { Who::Everybody }
    }

    /// Makes the chat and the writer known, or brings up to date what is known of them. Answers what sort of chat it is.
    fn meet(&self, incoming: &Incoming) -> Result<ChatKind> {
        let chat = incoming.chat;
        let known = self.db.get_chat_info(chat)?;
        let stored = known.as_ref().map(|info| info.chat_type.clone());
        let told_kind = incoming.chat_kind.map(|kind| ChatType::from(kind.as_str()));
        let told_title = incoming.chat_title.clone().filter(|title| !title.is_empty());
        let is_news = known.as_ref().is_none_or(|info| {
            (told_title.is_some() && info.title != told_title)
                || told_kind.as_ref().is_some_and(|kind| *kind != info.chat_type)
        });
        let guessed = || ChatKind::of(chat);
        let kind =
            incoming.chat_kind.or_else(|| ChatKind::named(&stored.as_ref()?.to_string())).unwrap_or_else(guessed);
        if is_news {
            // What was not told stays as it is, in a source that cannot be asked now too.
            let guessed = ChatType::from(kind.as_str());
            self.db.hear_of_chat(chat, told_title.as_deref(), told_kind.as_ref(), &guessed)?;
        }
        let username = incoming.username.as_deref().map(|name| match name {
            "" => String::new(),
            name => format!("@{name}"),
        });
        self.meet_person(incoming, incoming.user, username.as_deref(), &incoming.user_name)?;
        Ok(kind)
    }

    /// Makes a person known to the chat. A name that the transport does not tell leaves the known one as it is.
    fn meet_person(&self, incoming: &Incoming, user: UserId, username: Option<&str>, name: &str) -> Result<()> {
        let known = self.db.get_chat_user(incoming.chat, user)?;
        let name = Some(name).filter(|name| !name.is_empty());
        let is_news = known.is_none_or(|known| {
            username.is_some_and(|username| username != known.username)
                || name.is_some_and(|name| name != known.full_name)
        });
        if is_news {
            self.db.hear_of_user(incoming.chat, user, username, name)?;
        }
        Ok(())
    }

    /// Stores the message; `false` where it is stored already, because it was delivered twice.
    fn store(&self, incoming: &Incoming, category: MessageCategory) -> Result<bool> {
        if let Some(media) = &incoming.media {
            // The same picture may come again and again.
            ignore_duplicate(self.db.add_media_attachment(Some(incoming.chat), media))?;
        }
        let media: Option<&NewMedia> = incoming.media.as_ref();
        let message = NewMessage {
            reply_id: incoming.reply_to.clone(),
            root_message_id: self.root(incoming)?,
            thread_id: incoming.thread,
            message_category: category,
            message_type: media.map_or(MessageType::Text, |media| media.media_type.clone()),
            media_id: media.map(|media| media.file_unique_id.clone()),
            ..NewMessage::text(incoming.message_id.clone(), incoming.date, incoming.user, incoming.text.as_str())
        };
        ignore_duplicate(self.db.save_chat_message(incoming.chat, &message))
    }

    /// The first message of the chain of replies that the message goes on.
    fn root(&self, incoming: &Incoming) -> Result<Option<database::MessageId>> {
        let Some(answered) = &incoming.reply_to else { return Ok(None) };
        let place = self.db.get_message_place(incoming.chat, answered)?;
        Ok(Some(place.and_then(|place| place.root_message_id).unwrap_or_else(|| answered.clone())))
    }

    /// Stores what the bot says about a message.
    fn store_reply(&self, incoming: &Incoming, category: MessageCategory, text: &str) -> Result<()> {
        self.meet_bot(incoming)?;
        let reply = NewMessage {
            reply_id: Some(incoming.message_id.clone()),
            root_message_id: Some(incoming.message_id.clone()),
            thread_id: incoming.thread,
            message_category: category,
            ..NewMessage::text(self.ids.next_id(), self.clock.now(), self.identity.user, text)
        };
        self.db.save_chat_message(incoming.chat, &reply)
    }

    fn meet_bot(&self, incoming: &Incoming) -> Result<()> {
        let Identity { user, name, username } = &self.identity;
        self.meet_person(incoming, *user, Some(username), name)
    }

    /// Handles something that somebody wrote.
    fn message(&self, incoming: &Incoming) -> Result<Handled> {
        // What is no command of the bot's is a message like any other, whatever it begins with.
        let command = command_in(&incoming.text);
        let is_known = command.is_some_and(|(name, _)| find(name).is_some());
        let kind = self.meet(incoming)?;
        // Scored before it is stored: a score that fails leaves nothing half done.
        let warning = if is_known { None } else { spam::check(&self.db, incoming)? };
        let category = match (&warning, command) {
            (Some(_), _) => MessageCategory::UserSpam,
            (None, Some(_)) => MessageCategory::UserCommand,
            (None, None) => MessageCategory::User,
        };
        if self.store(incoming, category)? {
            return self.answer_to(incoming, kind, command, warning);
        }
        tracing::info!(chat = %incoming.chat, message = %incoming.message_id, "delivered twice, stored once");
        let left = self.left_undone(incoming, warning)?;
        let handled = match left {
            None => Handled::default(),
            Some((stored, warning)) => self.answer_to(&stored, kind, command_in(&stored.text), warning)?,
        };
        Ok(Handled { duplicate: true, ..handled })
    }

    /// Does what a stored message asks for, and stores the answer.
    fn answer_to(
        &self,
        incoming: &Incoming,
        kind: ChatKind,
        command: Option<(&str, &str)>,
        warning: Option<String>,
    ) -> Result<Handled> {
        let (category, text) = match (warning, command) {
            (Some(warning), _) => (MessageCategory::BotSpamNotification, warning),
            (None, Some((name, arguments))) => {
                (MessageCategory::BotCommandReply, self.answer(incoming, kind, name, arguments)?)
            }
            (None, None) => return Ok(Handled::default()),
        };
        let is_answer = category == MessageCategory::BotCommandReply;
        let repeats = command
            .filter(|_| is_answer)
            .and_then(|(name, _)| REPEATING.iter().find(|one| one.name.eq_ignore_ascii_case(name)));
        let kept = repeats.map_or_else(|| text.clone(), |command| format!("(an answer to /{})", command.name));
        self.store_reply(incoming, category, &kept)?;
        Ok(Handled { replies: vec![Outgoing::from(text)], ..Handled::default() })
    }

    /// What a message still asks for that is delivered again: a command that was stored and failed before its answer
    /// was, or a warning that was not given. Commands may be given again: what they do twice is done once.
    fn left_undone(&self, incoming: &Incoming, warning: Option<String>) -> Result<Option<(Incoming, Option<String>)>> {
        let Incoming { chat, message_id, user, text, .. } = incoming;
        let stored = self.db.get_chat_message_by_message_id(*chat, message_id)?;
        // Another message under the same id, or one that was changed since, asks for nothing.
        let Some(stored) = stored.filter(|stored| stored.user_id == *user && stored.message_text == *text) else {
            return Ok(None);
        };
        let is_answered = |category| self.db.is_answered(*chat, message_id, self.identity.user, &category);
        // As it was first delivered: what is counted from its time is.
        let again = Incoming { date: stored.date, ..incoming.clone() };
        Ok(match stored.message_category {
            MessageCategory::UserCommand if !is_answered(MessageCategory::BotCommandReply)? => Some((again, None)),
            MessageCategory::UserSpam
                if warning.is_some()
                    && !is_answered(MessageCategory::BotSpamNotification)?
                    && !spam::was_taught(&self.db, incoming)? =>
            {
                Some((again, warning))
            }
            _ => None,
        })
    }

    /// Takes note of a message that its author changed. It is scored again, but no command is given by it.
    fn edit(&self, incoming: &Incoming) -> Result<Handled, HandleError> {
        let Incoming { chat, message_id, text, .. } = incoming;
        let kind = self.meet(incoming)?;
        let stored = self.db.get_message_author(*chat, message_id)?;
        if stored.is_some_and(|author| author != incoming.user) {
            return Err(format!("message {message_id} is another user's: the edit is not kept").into());
        }
        let is_known = command_in(text).is_some_and(|(name, _)| find(name).is_some());
        let warning = if is_known { None } else { spam::check(&self.db, incoming)? };
        if stored.is_none() {
            // It was written while nobody listened.
            let category = if warning.is_some() { MessageCategory::UserSpam } else { MessageCategory::User };
            self.store(incoming, category)?;
            if self.db.is_displaced(*chat) {
                // Or its source has it, and cannot be asked now: then it is there that the text is replaced.
                self.db.edit_chat_message(*chat, message_id, incoming.user, text)?;
            }
            return Ok(self.answer_to(incoming, kind, None, warning)?);
        }
        self.db.edit_chat_message(*chat, message_id, incoming.user, text)?;
        let is_warned =
            || self.db.is_answered(*chat, message_id, self.identity.user, &MessageCategory::BotSpamNotification);
        if warning.is_none() || is_warned()? || spam::was_taught(&self.db, incoming)? {
            return Ok(Handled::default());
        }
        self.db.update_chat_message_category(*chat, message_id, &MessageCategory::UserSpam)?;
        Ok(self.answer_to(incoming, kind, None, warning)?)
    }

    fn answer(&self, incoming: &Incoming, kind: ChatKind, name: &str, arguments: &str) -> Result<String> {
        let rank = self.rank(incoming);
        let call = Call {
            db: &self.db,
            operator: &*self.operator,
            incoming,
            kind,
            arguments,
            bot: self.identity.user,
            bot_name: &self.identity.name,
            rank,
            running_for: self.started.elapsed(),
            now: self.clock.now(),
        };
        match find(name) {
            Some(command) if command.who > rank => Ok(command.refusal(incoming.user, kind)),
            Some(command) if command.arguments.is_empty() && !arguments.is_empty() => Ok(command.usage()),
            Some(command) => {
                // Asked first: what a command finds may be home again a moment later.
                let is_displaced = self.db.is_displaced(incoming.chat);
                let text = (command.run)(&call)?;
                let is_partial = is_displaced && OF_EARLIER.iter().any(|one| one.name == command.name);
                Ok(if is_partial { format!("{text}\n{IS_AWAY}") } else { text })
            }
            None => Ok(unknown(name)),
        }
    }
}

impl Handle for Bot {
    fn handle(&self, incoming: Incoming) -> Result<Handled, HandleError> {
        let Incoming { chat, user, .. } = incoming;
        if user == self.identity.user {
            // Else whoever is taken for the bot could have erased what it said.
            return Err(format!("not handled and not stored: user {user} is the bot itself; speak as another").into());
        }
        outages::meet(self, &incoming);
        let mut handled = match &incoming.event {
            Event::Message => self.message(&incoming)?,
            Event::Edited => self.edit(&incoming)?,
            Event::Joined | Event::Left | Event::Titled => {
                self.meet(&incoming)?;
                Handled::default()
            }
            Event::Topic(topic) => {
                self.meet(&incoming)?;
                self.db.update_chat_topic_info(chat, incoming.thread, topic)?;
                Handled::default()
            }
            Event::MigratedTo(new) => {
                self.meet(&incoming)?;
                self.db.migrate_chat(chat, *new)?;
                Handled::default()
            }
        };
        handled.source = self.db.source_of(Route::Chat(chat))?.to_string();
        Ok(handled)
    }

    fn due(&self, chat: Option<ChatId>) -> Result<Vec<Due>, HandleError> {
        let mut due = outages::due(self, chat);
        match remind::due(self, chat) {
            Ok(reminders) => due.extend(reminders),
            // The reason is among what is told, perhaps.
            Err(error) if due.is_empty() => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "reminders have to wait"),
        }
        Ok(due)
    }

    fn said(&self, due: &Due) -> Result<(), HandleError> {
        if outages::said(self, due) {
            return Ok(());
        }
        remind::said(self, &due.task).map_err(HandleError::from)
    }
}

impl Bot {
    /// Stores what the bot says by itself; `false` where it is stored already.
    pub(super) fn store_own(&self, incoming: &Incoming, text: &str) -> Result<bool> {
        self.meet_bot(incoming)?;
        let own = NewMessage {
            reply_id: incoming.reply_to.clone(),
            root_message_id: incoming.reply_to.clone(),
            thread_id: incoming.thread,
            message_category: MessageCategory::Bot,
            ..NewMessage::text(incoming.message_id.clone(), self.clock.now(), self.identity.user, text)
        };
        ignore_duplicate(self.db.save_chat_message(incoming.chat, &own))
    }
}

/// Whether something was stored, where being stored already is fine.
fn ignore_duplicate(stored: Result<()>) -> Result<bool> {
    match stored {
        Ok(()) => Ok(true),
        Err(error) if error.is_duplicate() => Ok(false),
        Err(error) => Err(error),
    }
}
