//! What handlers work on, whatever transport it came by: a message in, replies out, and the ids that messages
//! without a platform's id are given.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use database::{ChatId, MessageId, NewMedia, NewTopic, Timestamp, TopicId, UserId};

/// How many columns a transport is taken to show where it does not say.
pub const DEFAULT_COLUMNS: usize = 80;

/// Bare ids of supergroups and channels are subtracted from this one.
const SUPERGROUPS_BELOW: i64 = -1_000_000_000_000;

/// What sort of chat a message was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChatKind {
    /// One person and the bot.
    Private,
    /// A basic group.
    Group,
    /// A large group, with topics perhaps.
    Supergroup,
    /// A channel: few write, many read.
    Channel,
}

impl ChatKind {
    /// What an id alone tells: positive is a person, far below zero a supergroup (a channel has ids of the same
    /// range), the rest are basic groups.
    pub fn of(chat: ChatId) -> Self {
        match chat.0 {
            0.. => Self::Private,
            id if id < SUPERGROUPS_BELOW => Self::Supergroup,
            _ => Self::Group,
        }
    }

    /// What is meant by the name that platforms and databases have for it.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Private, Self::Group, Self::Supergroup, Self::Channel].into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name as platforms write it and databases keep it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
        }
    }
}

/// What happened in a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The user wrote the message.
    #[default]
    Message,
    /// The user changed the message of this id, whose text is now this.
    Edited,
    /// The user came, or was let in.
    Joined,
    /// The user left, or was sent away.
    Left,
    /// The chat is now called as `chat_title` says.
    Titled,
    /// The topic that `thread` names is now so.
    Topic(NewTopic),
    /// The group became the supergroup of this id, and goes on there.
    MigratedTo(ChatId),
}

/// Something that happened in a chat: most often, a message that somebody wrote.
///
/// Made with [`Incoming::new`] and completed by assigning fields, so that a transport which knows nothing of a
/// field need not name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it was written.
    pub chat: ChatId,
    /// What sort of chat that is, where the transport is told; otherwise what is stored of it counts, or else
    /// [`ChatKind::of`] the id.
    pub chat_kind: Option<ChatKind>,
    /// The chat's title, where the transport knows one; an empty one is not known.
    pub chat_title: Option<String>,
    /// Who wrote it.
    pub user: UserId,
    /// The writer's full name; empty where it is not told, and the one that is known stays.
    pub user_name: String,
    /// The writer's @name, without the sign; empty where the writer has none. Without it the one that is known stays.
    pub username: Option<String>,
    /// The message's id within its chat.
    pub message_id: MessageId,
    /// The text as it was written: not yet safe to print, see [`crate::text::sanitize`].
    pub text: String,
    /// When it was written.
    pub date: Timestamp,
    /// The topic it was written in, [`TopicId::NONE`] where the chat has none.
    pub thread: TopicId,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// What is attached to it.
    pub media: Option<NewMedia>,
    /// What happened: a message was written, unless it is said otherwise.
    pub event: Event,
    /// How many columns the answer has where it is shown in a fixed-width font.
    pub columns: usize,
}

impl Incoming {
    /// A message outside of topics that answers none, by somebody without an @name.
    pub fn new(
        chat: ChatId,
        user: UserId,
        user_name: impl Into<String>,
        message_id: MessageId,
        date: Timestamp,
        text: impl Into<String>,
    ) -> Self {
        Self {
            chat,
            chat_kind: None,
            chat_title: None,
            user,
            user_name: user_name.into(),
            username: None,
            message_id,
            text: text.into(),
            date,
            thread: TopicId::NONE,
            reply_to: None,
            media: None,
            event: Event::Message,
            columns: DEFAULT_COLUMNS,
        }
    }
}

/// A reply, to the chat and topic that the message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The text, of one line or many; transports make it safe for where they show it.
    pub text: String,
}

impl<T: Into<String>> From<T> for Outgoing {
    fn from(text: T) -> Self {
        Self { text: text.into() }
    }
}

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// What is to be replied: nothing, one message or several, in order.
    pub replies: Vec<Outgoing>,
    /// It was delivered before: nothing was stored or done again.
    pub duplicate: bool,
    /// The name of the source that the chat's rows are in.
    pub source: String,
}

/// Something that the bot says by itself, at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The task that it comes of.
    pub task: String,
    /// Where it is said.
    pub chat: ChatId,
    /// In which topic.
    pub thread: TopicId,
    /// What is said.
    pub text: String,
}

/// Why a message could not be handled: any error, shown with its sources.
pub type HandleError = Box<dyn std::error::Error + Send + Sync>;

/// What is done with messages.
///
/// An implementation knows neither the transport nor the database behind it. Messages of one chat come one after
/// the other; those of different chats may come at the same time.
pub trait Handle: Send + Sync {
    /// Stores the message, does what it asks for and says what to reply.
    ///
    /// # Errors
    /// When the message could not be stored or answered. A mistake of the writer is no error but a reply.
    fn handle(&self, incoming: Incoming) -> Result<Handled, HandleError>;

    /// What is to be said now without having been asked, in this chat, or in all where none is given: a transport asks
    /// for the chats whose people it reaches, about once a second, and tells by [`said`](Self::said) what it has said.
    ///
    /// What is given is the caller's to say. No other process is given it within the next minute, nor at all once it
    /// is said.
    ///
    /// # Errors
    /// When that could not be found out or stored; it is found again the next time.
    fn due(&self, chat: Option<ChatId>) -> Result<Vec<Due>, HandleError> {
        let _ = chat;
        Ok(Vec::new())
    }

    /// Takes note that something due was said, whole and to where its people are.
    ///
    /// # Errors
    /// When that could not be stored; then it is said once more.
    fn said(&self, due: &Due) -> Result<(), HandleError> {
        let _ = due;
        Ok(())
    }
}

impl<F> Handle for F
where
    F: Fn(Incoming) -> Result<Handled, HandleError> + Send + Sync,
{
    fn handle(&self, incoming: Incoming) -> Result<Handled, HandleError> {
        self(incoming)
    }
}

/// Makes ids for messages that come without one: typed ones, and the bot's own.
///
/// An id is the number of microseconds since 1970, raised where needed so that every id is greater than the one
/// before, even while the clock stands still or goes back. So ids do not collide with those of earlier runs
/// either, and all have the same number of digits until the year 2286.
pub struct MessageIds {
    last: AtomicI64,
    micros: Box<dyn Fn() -> i64 + Send + Sync>,
}

impl MessageIds {
    /// Ids by the machine's clock.
    pub fn system() -> Self {
        Self::by(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        })
    }

    /// Ids by a clock that tells microseconds since 1970.
    pub fn by(micros: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { last: AtomicI64::new(0), micros: Box::new(micros) }
    }

    /// An id that was not given before, greater than all that were.
    pub fn next_id(&self) -> MessageId {
        let now = (self.micros)();
        let next = |last: i64| now.max(last.saturating_add(1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        MessageId::from(next(last.unwrap_or_else(|last| last)))
    }
}

impl fmt::Debug for MessageIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageIds").field("last", &self.last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn number(id: &MessageId) -> i64 {
        id.as_str().parse().unwrap()
    }

    proptest! {
        #[test]
        fn ids_rise_whatever_the_clock_does(clock in prop::collection::vec(-5_i64..2_000_000_000_000_000, 1..50)) {
            let readings = clock.clone();
            let at = AtomicI64::new(0);
            let ids = MessageIds::by(move || {
                let at = usize::try_from(at.fetch_add(1, Ordering::Relaxed)).unwrap();
                readings[at % readings.len()]
            });
            let mut last = 0;
            for now in clock.iter().chain(&clock) {
                let id = number(&ids.next_id());
                prop_assert!(id > last && id >= *now);
                last = id;
            }
        }
    }

    #[test]
    fn ids_made_at_once_by_many_are_all_different() {
        let ids = Arc::new(MessageIds::by(|| 1_700_000_000_000_000));
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let ids = Arc::clone(&ids);
                std::thread::spawn(move || (0..1000).map(|_| ids.next_id()).collect::<Vec<_>>())
            })
            .collect();
        let all: HashSet<_> = makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect();
        assert_eq!(all.len(), 4000);
    }

    #[test]
    fn a_later_run_starts_above_an_earlier_one() {
        let earlier = MessageIds::system();
        let last = (0..100).map(|_| number(&earlier.next_id())).last().unwrap();
        let later = MessageIds::by(move || last + 1);
        assert!(number(&later.next_id()) > last);
        assert_eq!(number(&MessageIds::system().next_id()).to_string().len(), 16);
    }

    #[test]
    fn an_id_tells_the_kind_of_chat() {
        for (id, kind) in [
            (77, ChatKind::Private),
            (-77, ChatKind::Group),
            (-1_000_000_000_000, ChatKind::Group),
            (-1_001_234_567_890, ChatKind::Supergroup),
        ] {
            assert_eq!(ChatKind::of(ChatId(id)), kind, "{id}");
        }
    }
}
