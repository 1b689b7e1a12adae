//! The parts of what is said of a move that was stopped.

use std::fmt;

use super::super::Stage;
use super::{Difference, MoveError};
use crate::error::{Error, ErrorKind};
use crate::ids::ChatId;
use crate::route::SourceName;

/// What to do about a move that was broken off at a stage before the chat is at the new place.
pub(super) fn advice(stage: Stage) -> &'static str {
    match stage {
        // Of an earlier one, which may be switched; or of one that is.
        Stage::Waiting | Stage::Tidying | Stage::Deleting => "repeat it to bring it to its end",
        Stage::Copying | Stage::Verifying | Stage::CatchingUp | Stage::Switching => {
            "repeat it to bring it to its end, or undo it with `--abort`"
        }
    }
}

/// An error without what to do about it.
pub(super) struct Plainly<'a>(pub(super) &'a MoveError);

impl fmt::Display for Plainly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MoveError::Interrupted { stage } => write!(f, "it was broken off while {stage}"),
            MoveError::Database(error) => error.fmt(f),
            error => error.fmt(f),
        }
    }
}

/// The other places that hold rows of a chat that is where it is to go, and how either history is gone on with.
pub(super) struct Elsewhere<'a> {
    pub(super) chat: ChatId,
    pub(super) source_name: &'a SourceName,
    pub(super) here: u64,
    pub(super) elsewhere: &'a [(SourceName, u64)],
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, source_name, here, elsewhere } = self;
        let Some((first, _)) = elsewhere.first() else { return Ok(()) };
        let rows: Vec<_> = elsewhere.iter().map(|(name, count)| format!("`{name}`: {count}")).collect();
        let rows = rows.join(", ");
        let lead = format!(
            "have [database.chat_mapping] say `{chat} = \"{first}\"`, then `bot db reload` (where the bot runs)"
        );
        if *here == 0 {
            return write!(
                f,
                ", where nothing of it is, and other sources hold rows of it ({rows}); to bring what `{first}` holds, \
                 {lead}, then repeat the move"
            );
        }
        write!(
            f,
            ", which holds rows of it ({here}), and so do others ({rows}); two histories are not joined, and `bot db verify \
             {chat}` compares them. To stay with that of `{source_name}` nothing has to be done. To go on with that of \
             `{first}`, and lose what only `{source_name}` holds: {lead}; once `bot db route {chat}` says `{first}`, `bot \
             db strays --clear --only-here {chat}`; then repeat the move"
        )
    }
}

/// How a chat that nobody knows yet is led to where it was to go; nothing where it comes there anyhow.
pub(super) fn to_come(chat: ChatId, to: Option<&SourceName>) -> String {
    let line = |to: &SourceName| {
        format!("; where it is still to come, write `{chat} = \"{to}\"` into [database.chat_mapping]")
    };
    to.map_or_else(String::new, line)
}

/// Why a source cannot be used, without the call that found it out.
pub(super) struct Why<'a>(pub(super) &'a Error);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ErrorKind::SourceUnavailable { reason } => f.write_str(reason),
            kind => kind.fmt(f),
        }
    }
}

/// A reason in brackets, where there is one.
pub(super) struct Because<'a>(pub(super) Option<&'a str>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

pub(super) struct Tables<'a>(pub(super) &'a [(&'static str, u64)]);

impl fmt::Display for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(table, count)| format!("{table}: {count}")).collect();
        f.write_str(&all.join(", "))
    }
}

pub(super) struct Differences<'a>(pub(super) &'a [Difference]);

impl fmt::Display for Differences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

/// Whole megabytes, rounded up.
pub(super) fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
