//! The gate that a chat's writes wait at while it is being led to another source, and what keeps calls on earlier tables
//! from the place that it has left.
//!
//! A call takes its table first and gets its turn at a writer later. So it is asked again in its turn: is the gate open,
//! and is the table as new as the chat's last move? Whoever closes the gate does so while having the writer: each write
//! of the chat is either committed before, or finds the gate closed. It is not in the writer's way then; it waits
//! outside, and is made where the chat's route leads afterwards. Reads wait for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::datasource_router::RoutingTable;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::ChatId;
use crate::route::SourceName;

/// The gates of all chats.
#[derive(Default)]
pub(super) struct Gates {
    /// Whether any call has to look further.
    is_any: AtomicBool,
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Default)]
struct State {
    /// Chats whose writes wait.
    closed: BTreeSet<ChatId>,
    /// Of those, chats that stay where they are until the default source says where that is.
    unknown: BTreeSet<ChatId>,
    /// Chats that have left a place, the first table that knows it, and the one before.
    left: BTreeMap<ChatId, (u64, Weak<RoutingTable>)>,
    /// Chats that are being moved.
    moving: BTreeSet<ChatId>,
}

/// Chats that are being moved by one call.
pub(super) struct UnderWay<'a> {
    gates: &'a Gates,
    chats: Vec<ChatId>,
}

/// A gate that is closed until this is dropped.
pub(super) struct Closed<'a> {
    gates: &'a Gates,
    chats: Vec<ChatId>,
}

impl Gates {
    /// Whether a call may go on that looked at this table.
    #[inline]
    pub(super) fn admit(
        &self,
        op: &'static str,
        chat: ChatId,
        home: &SourceName,
        generation: u64,
        is_write: bool,
    ) -> Result<()> {
        if !self.is_any.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = self.state.lock();
        let is_late = state.left.get(&chat).is_some_and(|(since, _)| generation < *since);
        if is_late || (is_write && state.closed.contains(&chat)) {
            return Err(Error::new(op, home, ErrorKind::Moved));
        }
        Ok(())
    }

    /// Waits until the chat's gate is open, for so long at most.
    pub(super) fn wait(&self, chat: ChatId, most: Duration) {
        let deadline = Instant::now() + most;
        let mut state = self.state.lock();
        while state.closed.contains(&chat) && !self.opened.wait_until(&mut state, deadline).timed_out() {}
    }

    /// Takes chats for being moved; `None` where one of them is already.
    pub(super) fn begin(&self, chats: &[ChatId]) -> Option<UnderWay<'_>> {
        let mut state = self.state.lock();
        if chats.iter().any(|chat| state.moving.contains(chat)) {
            return None;
        }
        state.moving.extend(chats);
        Some(UnderWay { gates: self, chats: chats.to_vec() })
    }

    /// Closes the gate of some chats.
    pub(super) fn close(&self, chats: &[ChatId]) -> Closed<'_> {
        let mut state = self.state.lock();
        state.closed.extend(chats);
        self.settle(&state);
        Closed { gates: self, chats: chats.to_vec() }
    }

    /// Tables before this generation, of which this was the last, do not know where these chats are.
    pub(super) fn left(&self, chats: &[ChatId], generation: u64, before: &Weak<RoutingTable>) {
        let mut state = self.state.lock();
        state.left.extend(chats.iter().map(|chat| (*chat, (generation, before.clone()))));
        self.settle(&state);
    }

    /// Whether a call still uses a table by which the chat is where it was before its last move.
    pub(super) fn is_used_by_earlier(&self, chat: ChatId) -> bool {
        let mut state = self.state.lock();
        // Tables are let go of in their order, each when no call uses it any more.
        state.left.retain(|_, (_, before)| before.strong_count() > 0);
        self.settle(&state);
        state.left.contains_key(&chat)
    }

    /// The default source has said where all chats are, and this table is the first that knows it.
    pub(super) fn is_known(&self, generation: u64, before: &Weak<RoutingTable>) {
        let state = &mut *self.state.lock();
        if state.unknown.is_empty() {
            return;
        }
        for chat in std::mem::take(&mut state.unknown) {
            state.closed.remove(&chat);
            state.left.insert(chat, (generation, before.clone()));
        }
        self.settle(state);
        self.opened.notify_all();
    }

    fn settle(&self, state: &State) {
        self.is_any.store(!state.closed.is_empty() || !state.left.is_empty(), Ordering::Release);
    }
}

impl Closed<'_> {
    /// Leaves the gate closed until the default source has said where the chats are.
    pub(super) fn until_it_is_known(mut self) {
        self.gates.state.lock().unknown.extend(std::mem::take(&mut self.chats));
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if self.chats.is_empty() {
            return;
        }
        let mut state = self.gates.state.lock();
        state.closed.retain(|chat| !self.chats.contains(chat));
        self.gates.settle(&state);
        self.gates.opened.notify_all();
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.gates.state.lock().moving.retain(|chat| !self.chats.contains(chat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: ChatId = ChatId(-1);

    fn is_admitted(gates: &Gates, generation: u64, is_write: bool) -> bool {
        gates.admit("test", CHAT, &SourceName::primary(), generation, is_write).is_ok()
    }

    #[test]
    fn writes_wait_and_reads_do_not_and_earlier_tables_are_refused_afterwards() {
        let gates = Gates::default();
        let closed = gates.close(&[CHAT]);
        assert!(is_admitted(&gates, 1, false) && !is_admitted(&gates, 1, true));
        assert!(gates.admit("test", ChatId(-2), &SourceName::primary(), 1, true).is_ok());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gates.wait(CHAT, Duration::from_secs(60)));
            gates.left(&[CHAT], 2, &Weak::new());
            drop(closed);
            waiting.join().unwrap();
        });
        assert!(is_admitted(&gates, 2, true) && !is_admitted(&gates, 1, true) && !is_admitted(&gates, 1, false));
        assert!(!gates.is_used_by_earlier(CHAT));
        assert!(is_admitted(&gates, 1, true) && !gates.is_any.load(Ordering::Relaxed));
    }

    #[test]
    fn a_gate_that_nobody_can_open_opens_when_it_is_known_where_the_chats_are() {
        let gates = Gates::default();
        gates.close(&[CHAT]).until_it_is_known();
        assert!(!is_admitted(&gates, 9, true));
        gates.is_known(9, &Weak::new());
        assert!(is_admitted(&gates, 9, true) && !is_admitted(&gates, 8, true));
    }

    #[test]
    fn a_chat_is_moved_once_at_a_time() {
        let gates = Gates::default();
        let first = gates.begin(&[CHAT, ChatId(-2)]);
        assert!(first.is_some() && gates.begin(&[ChatId(-2)]).is_none() && gates.begin(&[ChatId(-3)]).is_some());
        drop(first);
        assert!(gates.begin(&[CHAT]).is_some());
    }
}
