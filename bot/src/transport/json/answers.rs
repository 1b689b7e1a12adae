//! The lines that go out: whole, one after the other, each sent off before the next.

use std::io::{self, Write};

use database::ChatId;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::request::Id;
use crate::message::{Due, Handled};

/// What is known of a message when its answer is written.
pub(super) struct Ticket {
    /// The line's number, where the line is at fault.
    pub(super) bad_line: Option<u64>,
    /// What the line has to be known by.
    pub(super) reference: Option<Box<RawValue>>,
    /// The chat, where the line told one.
    pub(super) chat: Option<ChatId>,
    /// The message's id as it was given.
    pub(super) message_id: Option<Id>,
}

/// One line. Keys without a value are left out.
#[derive(Default, Serialize)]
struct Line<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replies: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Where answers go, from any thread.
pub(super) struct Answers<'a> {
    to: Mutex<To<'a>>,
    on_failure: &'a (dyn Fn() + Sync),
}

struct To<'a> {
    out: &'a mut (dyn Write + Send),
    counts: Counts,
    failure: Option<io::Error>,
}

/// How many lines were answered, and how many of these with an error.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) failed: u64,
}

impl<'a> Answers<'a> {
    /// Answers to this writer. When it first fails, `on_failure` is called; nothing is written from then on.
    pub(super) fn to(out: &'a mut (dyn Write + Send), on_failure: &'a (dyn Fn() + Sync)) -> Self {
        Self { to: Mutex::new(To { out, counts: Counts::default(), failure: None }), on_failure }
    }

    /// Answers a message that was handled.
    pub(super) fn handled(&self, ticket: &Ticket, handled: &Handled) {
        let line = Line {
            reference: ticket.reference.as_deref(),
            chat: ticket.chat,
            message_id: ticket.message_id.as_ref(),
            source: Some(&handled.source),
            replies: Some(handled.replies.iter().map(|reply| reply.text.as_str()).collect()),
            duplicate: Some(handled.duplicate),
            ..Line::default()
        };
        self.write(&line, |counts| counts.answered += 1);
    }

    /// Answers a line that was refused or not handled.
    pub(super) fn error(&self, ticket: &Ticket, error: &str) {
        let line = Line {
            reference: ticket.reference.as_deref(),
            line: ticket.bad_line,
            chat: ticket.chat,
            // Whoever sends it again needs it, the more so where it was made here.
            message_id: ticket.message_id.as_ref(),
            error: Some(error),
            ..Line::default()
        };
        self.write(&line, |counts| {
            counts.answered += 1;
            counts.failed += 1;
        });
    }

    /// Whether answers can still be written.
    pub(super) fn are_heard(&self) -> bool {
        self.to.lock().failure.is_none()
    }

    /// Tells what the bot says by itself; `false` where it could not be written.
    pub(super) fn said(&self, due: &Due) -> bool {
        let thread = Some(due.thread.0).filter(|thread| *thread != 0);
        let line = Line { chat: Some(due.chat), thread, said: Some(&due.text), ..Line::default() };
        self.write(&line, |_| ())
    }

    /// Why nothing can be written any more, and what was written.
    pub(super) fn end(self) -> (Counts, Option<io::Error>) {
        let To { counts, failure, .. } = self.to.into_inner();
        (counts, failure)
    }

    /// Writes a line; `false` where that fails, or failed before.
    fn write(&self, line: &Line<'_>, count: impl FnOnce(&mut Counts)) -> bool {
        let mut bytes = Vec::new();
        let made = serde_json::to_writer(&mut bytes, line).map_err(io::Error::from);
        bytes.push(b'\n');
        let mut to = self.to.lock();
        if to.failure.is_some() {
            return false;
        }
        match made.and_then(|()| to.out.write_all(&bytes)).and_then(|()| to.out.flush()) {
            Ok(()) => {
                count(&mut to.counts);
                true
            }
            Err(error) => {
                to.failure = Some(error);
                drop(to);
                (self.on_failure)();
                false
            }
        }
    }
}
