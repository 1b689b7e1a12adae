//! Which job is next: the dispatcher's state, without its threads.

use std::collections::{HashMap, VecDeque};

use database::{ChatId, SourceName};

use super::{Limits, Room};

/// The jobs in hand: those that wait and those that run. Chats and sources without any take no memory.
pub(super) struct Queue<K, J> {
    limits: Limits,
    chats: HashMap<ChatId, Chat<K, J>>,
    sources: HashMap<SourceName, Source>,
    /// The sources that may start a job now, in turn.
    turns: VecDeque<SourceName>,
    /// The chats whose next job waits until nothing of another chat is in hand, by that.
    held_back: HashMap<ChatId, Vec<ChatId>>,
    waiting: Room,
    stopped: bool,
    closed: bool,
}

/// A chat with jobs in hand.
struct Chat<K, J> {
    waiting: VecDeque<Waiting<K, J>>,
    bytes: usize,
    running: bool,
}

struct Waiting<K, J> {
    source: SourceName,
    /// It is begun once nothing of this chat is in hand.
    after: Option<ChatId>,
    bytes: usize,
    ticket: K,
    job: J,
}

/// A source with jobs that run, or could.
#[derive(Default)]
struct Source {
    running: usize,
    /// The chats whose next job is for this source and could be started, in turn.
    ready: VecDeque<ChatId>,
    in_turns: bool,
}

/// A job that is to be run now.
pub(super) struct Started<K, J> {
    pub(super) chat: ChatId,
    pub(super) source: SourceName,
    pub(super) ticket: K,
    pub(super) job: J,
}

impl<K, J> Queue<K, J> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            chats: HashMap::new(),
            sources: HashMap::new(),
            turns: VecDeque::new(),
            held_back: HashMap::new(),
            waiting: Room::default(),
            stopped: false,
            closed: false,
        }
    }

    pub(super) fn has_room(&self, chat: ChatId, bytes: usize) -> bool {
        let fits = |held: Room, limit: Room| {
            held.jobs == 0 || (held.jobs < limit.jobs && held.bytes.saturating_add(bytes) <= limit.bytes)
        };
        let of_chat = self.chats.get(&chat).map(Chat::held).unwrap_or_default();
        self.stopped || (fits(self.waiting, self.limits.waiting) && fits(of_chat, self.limits.waiting_per_chat))
    }

    /// Adds a job. One that is to come after all that is in hand of another chat must be of a chat that nothing of that
    /// one waits for.
    pub(super) fn push(
        &mut self,
        source: &SourceName,
        chat: ChatId,
        after: Option<ChatId>,
        bytes: usize,
        ticket: K,
        job: J,
    ) {
        self.waiting.jobs += 1;
        self.waiting.bytes += bytes;
        let entry = self.chats.entry(chat).or_default();
        entry.bytes += bytes;
        entry.waiting.push_back(Waiting { source: source.clone(), after, bytes, ticket, job });
        if entry.waiting.len() == 1 && !entry.running {
            self.go_on(chat);
        }
    }

    /// Whether a job can be started.
    pub(super) fn is_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Takes the next job, which counts as running until its [`end`](Self::end).
    pub(super) fn start(&mut self) -> Option<Started<K, J>> {
        let source = self.turns.pop_front()?;
        let of_source = self.sources.get_mut(&source)?;
        of_source.in_turns = false;
        let chat = of_source.ready.pop_front()?;
        of_source.running += 1;
        self.take_turn(&source);
        let of_chat = self.chats.get_mut(&chat)?;
        of_chat.running = true;
        let Waiting { bytes, ticket, job, .. } = of_chat.waiting.pop_front()?;
        of_chat.bytes -= bytes;
        self.waiting.jobs -= 1;
        self.waiting.bytes -= bytes;
        Some(Started { chat, source, ticket, job })
    }

    /// Notes that the running job of a chat is over.
    pub(super) fn end(&mut self, chat: ChatId, source: &SourceName) {
        if let Some(of_source) = self.sources.get_mut(source) {
            of_source.running -= 1;
        }
        self.take_turn(source);
        let Some(of_chat) = self.chats.get_mut(&chat) else { return };
        of_chat.running = false;
        if of_chat.waiting.is_empty() {
            self.chats.remove(&chat);
            for waited in self.held_back.remove(&chat).unwrap_or_default() {
                self.go_on(waited);
            }
        } else {
            self.go_on(chat);
        }
        if self.sources.get(source).is_some_and(|source| source.running == 0 && source.ready.is_empty()) {
            self.sources.remove(source);
        }
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// No more will come. What is still here will not be started.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.stopped = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing is kept of chats and sources, as it should be while nothing is in hand.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.chats.is_empty()
            && self.sources.is_empty()
            && self.turns.is_empty()
            && self.held_back.is_empty()
            && self.waiting == Room::default()
    }

    /// Makes a chat's next job ready, or has it wait for what comes before.
    fn go_on(&mut self, chat: ChatId) {
        let Some(next) = self.chats.get(&chat).and_then(|chat| chat.waiting.front()) else { return };
        match next.after.filter(|before| self.chats.contains_key(before)) {
            Some(before) => self.held_back.entry(before).or_default().push(chat),
            None => {
                let source = next.source.clone();
                self.make_ready(&source, chat);
            }
        }
    }

    /// A chat's next job, of this source, can be started once the source has its turn.
    fn make_ready(&mut self, source: &SourceName, chat: ChatId) {
        self.sources.entry(source.clone()).or_default().ready.push_back(chat);
        self.take_turn(source);
    }

    /// Puts a source that may start a job at the end of the turns, where it is not among them.
    fn take_turn(&mut self, name: &SourceName) {
        let most = self.limits.per_source.max(1);
        if let Some(source) = self.sources.get_mut(name)
            && !source.in_turns
            && source.running < most
            && !source.ready.is_empty()
        {
            source.in_turns = true;
            self.turns.push_back(name.clone());
        }
    }
}

impl<K, J> Default for Chat<K, J> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, running: false }
    }
}

impl<K, J> Chat<K, J> {
    fn held(&self) -> Room {
        Room { jobs: self.waiting.len(), bytes: self.bytes }
    }
}
