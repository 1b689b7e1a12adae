//! What can stop a move, and what to do then.

mod difference;
mod said;

use std::time::Duration;

use super::{MappingChange, MoveReport, Stage};
use crate::error::Error;
use crate::ids::ChatId;
use crate::route::SourceName;

pub use difference::{Difference, Unlike};

use said::{Because, Differences, Elsewhere, Plainly, Tables, Why, advice, megabytes, to_come};

/// Why a chat was not moved. Unless it says otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// There is no source of this name.
    #[error("there is no source `{name}`; known are: {known}")]
    UnknownSource {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The chat lives there already.
    #[error(
        "the chat {chat} is in `{source_name}` already{}",
        Elsewhere { chat: *chat, source_name, here: *here, elsewhere }
    )]
    AlreadyThere {
        /// The chat.
        chat: ChatId,
        /// The source.
        source_name: SourceName,
        /// How many rows of it that holds.
        here: u64,
        /// Other sources that hold rows of it, with their number.
        elsewhere: Vec<(SourceName, u64)>,
        /// What the configuration is to say so that it says so too: whoever moved it may have ended before that was
        /// written. Empty where it does.
        mapping: Vec<MappingChange>,
    },
    /// Nothing is known of the chat, as where its number was mistyped.
    #[error(
        "no source holds anything of the chat {chat}, and it is mapped nowhere; see whether that is its id (`/chats` lists the \
         groups, `bot db verify --all` all chats, for which it reads everything){}",
        to_come(*chat, to.as_ref())
    )]
    Unknown {
        /// The chat.
        chat: ChatId,
        /// Where it was to go; `None` where it comes without a line, the default source.
        to: Option<SourceName>,
    },
    /// The target cannot be written.
    #[error("the source `{name}` is read-only, so nothing can be moved there; set `readonly = false` for it first")]
    ReadOnlyTarget {
        /// The target.
        name: SourceName,
    },
    /// The chat's source cannot be written.
    #[error(
        "the chat {chat} is in `{name}`, which is read-only, so that its rows cannot be deleted there; leave them there \
         with `--keep`, or set `readonly = false` for it first"
    )]
    ReadOnlySource {
        /// The chat.
        chat: ChatId,
        /// Its source.
        name: SourceName,
    },
    /// A source cannot be used.
    #[error("the source `{name}` cannot be used now: {}; see `bot db status`, then try again", Why(error))]
    Unavailable {
        /// The source.
        name: SourceName,
        /// What is wrong with it.
        #[source]
        error: Error,
    },
    /// A source's chats are served elsewhere while it is away.
    #[error(
        "the source `{name}` is away{}, and what its chats wrote meanwhile is not in it yet; once `bot db status` says \
         that it is home, try again",
        Because(reason.as_deref())
    )]
    Away {
        /// The source.
        name: SourceName,
        /// Why it cannot be used; `None` where its chats are on their way home.
        reason: Option<String>,
    },
    /// The target holds rows of the chat that no move has put there.
    #[error(
        "the source `{name}` holds rows of the chat {chat} already ({}), and not from this move; `bot db verify {chat}` \
         compares them; `bot db strays --clear` deletes those that are the same where the chat is, `bot db strays --clear \
         --only-here {chat}` all of them, also what was written there meanwhile; then repeat the move",
        Tables(tables)
    )]
    ForeignRows {
        /// The chat.
        chat: ChatId,
        /// The target.
        name: SourceName,
        /// The tables, with the number of rows.
        tables: Vec<(&'static str, u64)>,
    },
    /// The target lacks a column.
    #[error(
        "the table `{table}` has a column `{column}` in `{from}` and none in `{to}`; no release of this bot made it, \
         so add it there, or drop it here"
    )]
    MissingColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// Where it is.
        from: SourceName,
        /// Where it is not.
        to: SourceName,
    },
    /// The target's disk has too little room.
    #[error(
        "the disk of `{name}` has too little room: about {} MB are needed, {} MB are free; make room first",
        megabytes(*needed), megabytes(*free)
    )]
    TooLittleDisk {
        /// The target.
        name: SourceName,
        /// How many bytes are needed, about.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// An earlier move to another target was broken off.
    #[error(
        "a move of the chat {chat} from `{from}` to `{to}` was broken off; bring it to its end with `bot db move {chat} \
         --to {to}`, or undo it with `bot db move {chat} --abort`"
    )]
    Unfinished {
        /// The chat.
        chat: ChatId,
        /// Where it is.
        from: String,
        /// Where it was to go.
        to: String,
    },
    /// A move was broken off, and the chat was mapped elsewhere since then: what that move would delete is now the
    /// chat's own.
    #[error(
        "a move of the chat {chat} from `{from}` to `{to}` was broken off, and the chat was mapped to `{now}` since \
         then, where that move's leftovers are; map it to `{before}` again, and repeat this: what was written in `{now}` \
         meanwhile is not deleted; or, where it is to stay in `{now}`, give that move up with `bot db move {chat} --abort \
         --forget`, which deletes nothing"
    )]
    Remapped {
        /// The chat.
        chat: ChatId,
        /// Where the move began.
        from: String,
        /// Where it was to go.
        to: String,
        /// Where the chat is mapped to now.
        now: SourceName,
        /// Where it has to be mapped to.
        before: String,
    },
    /// A move was broken off, and the chat wrote where that move's leftovers are since then: deleting them would delete
    /// that too.
    #[error(
        "a move of the chat {chat} from `{from}` to `{to}` was broken off, and rows of the chat were written in `{name}` \
         since then ({}), while it was mapped there; give that move up with `bot db move {chat} --abort --forget`, which \
         deletes nothing; then map the chat to `{name}` again to keep it there, or see what is left there with `bot db \
         strays`",
        Tables(tables)
    )]
    WrittenSince {
        /// The chat.
        chat: ChatId,
        /// Where the move began.
        from: String,
        /// Where it was to go.
        to: String,
        /// Where the rows are.
        name: SourceName,
        /// The tables, with the number of rows.
        tables: Vec<(&'static str, u64)>,
    },
    /// Files contradict each other about where the chat is.
    #[error("where the chat {chat} is has to be settled first: {reason}")]
    Disputed {
        /// The chat.
        chat: ChatId,
        /// What they say, and what settles it.
        reason: String,
    },
    /// There is no move that could be undone.
    #[error("no move of the chat {chat} was broken off; there is nothing to undo")]
    NothingToAbort {
        /// The chat.
        chat: ChatId,
    },
    /// The move got too far to be undone.
    #[error(
        "the chat {chat} is in `{to}` already, and only its old rows in `{from}` are left to delete; end that with `bot \
         db move {chat} --to {to}`, or move it back with `bot db move {chat} --to {from}`"
    )]
    AlreadySwitched {
        /// The chat.
        chat: ChatId,
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// The copy is not what was copied.
    #[error(
        "the copy in `{to}` is not the same as what is in `{from}`: {}; the chat stays in `{from}`; try again, or undo \
         it with `bot db move {chat} --abort`, and check the disk if it comes again",
        Differences(differences)
    )]
    Differs {
        /// The chat.
        chat: ChatId,
        /// Where the chat is.
        from: SourceName,
        /// Where the copy is.
        to: SourceName,
        /// The first differences.
        differences: Vec<Difference>,
    },
    /// Another call is moving the chat, or undoing a move of it.
    #[error("the chat {chat} is being moved just now; wait for that to end")]
    UnderWay {
        /// The chat.
        chat: ChatId,
    },
    /// A source was opened anew, configured otherwise or went away while its chat was copied, so that what changed
    /// meanwhile is not known; or the chat was mapped elsewhere, or became a supergroup.
    #[error(
        "while the chat was copied the source `{name}` failed, was closed or was configured otherwise, or the chat was \
         mapped elsewhere, so that what changed meanwhile is not known; the chat is where it was; see `bot db status`, then \
         repeat the move"
    )]
    SourceChanged {
        /// The source.
        name: SourceName,
    },
    /// Calls that began before the configuration was changed, or the chat's source came home, do not end: what they may
    /// write would be missed. They may be reads, or of other chats: that is not known.
    #[error(
        "calls that began before the configuration was changed, or before the source of the chat {chat} came home, have not \
         ended in {waited:.1?}, and what one of them may still write in the chat would not be moved; the chat is where it \
         was; repeat the move when they have ended"
    )]
    EarlierCalls {
        /// The chat.
        chat: ChatId,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The gate could never be closed for a short time only.
    #[error(
        "in {tries} tries there was no moment in which the writes of the chat {chat} would have waited for less than a \
         tenth of a second, since other calls keep `{to}` or the default source busy; the chat is where it was; repeat the \
         move when there is less to do, or with the bot stopped"
    )]
    NoMoment {
        /// The chat.
        chat: ChatId,
        /// Where it was to go.
        to: SourceName,
        /// How often it was tried.
        tries: u32,
    },
    /// The default source failed at the very moment.
    #[error(
        "whether the chat {chat} was moved is known to the default source, and that does not answer ({error}); the chat's \
         writes wait until it does; mend the default source, then repeat the move"
    )]
    Undecided {
        /// The chat.
        chat: ChatId,
        /// How the default source failed.
        #[source]
        error: Error,
    },
    /// The chat is moved, and not all of its old rows are deleted. The next move to the same place does that.
    #[error(
        "the chat is in `{}`; its old rows are not all deleted, since {}; repeat the move, which deletes them",
        report.to, Plainly(error)
    )]
    Leftovers {
        /// What was done.
        report: Box<MoveReport>,
        /// Why it ended there.
        error: Box<MoveError>,
    },
    /// Whoever was told of the progress broke it off.
    #[error("the move was broken off while {stage}; {}", advice(*stage))]
    Interrupted {
        /// What it was at.
        stage: Stage,
    },
    /// A call failed on the way. What is done so far is gone on with, or undone, by the next move.
    #[error("{0}; when that is mended repeat the move, or undo it with `--abort`")]
    Database(#[from] Error),
}

impl MoveError {
    /// A source fails before anything is begun.
    pub(super) fn unavailable(error: Error) -> Self {
        Self::Unavailable { name: error.source_name().clone(), error }
    }

    /// The error where the route was switched before.
    pub(super) fn after_the_switch(self, report: MoveReport) -> Self {
        match self {
            Self::Interrupted { .. } | Self::Database(_) => {
                Self::Leftovers { report: Box::new(report), error: Box::new(self) }
            }
            refused => refused,
        }
    }
}
