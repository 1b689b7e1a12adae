//! The lines that go through the control socket: one JSON object with a question, one with the answer, and the
//! connection ends. `docs/control-socket.md` describes them for whoever writes another client.

use std::ops::ControlFlow;

use database::{ChatId, SourceName};
use serde::{Deserialize, Serialize};

use super::Operator;
use super::leftovers::{Clearing, JournalReport, SetAsideReport, Settle, SettledReport, StraysReport};
use super::moves::{MoveRequest, MoveStep, MovesReport};
use super::report::{ReloadReport, RouteReport, SourceReport, StatusReport};
use super::upkeep::Restored;

/// The version of the lines. It changes where an old client would misunderstand a new bot or the other way round.
pub const VERSION: u32 = 1;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version of the lines that whoever asks speaks.
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}

/// What can be asked of a running bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// How the databases are.
    Status,
    /// Where a chat lives.
    Route {
        /// The chat.
        chat: i64,
    },
    /// Open a source now.
    Retry {
        /// The source.
        source: String,
    },
    /// Go on without a source's stand-in, which is damaged or lost.
    SetAside {
        /// The source.
        source: String,
    },
    /// Accept another file as a source's.
    Adopt {
        /// The source.
        source: String,
        /// What is accepted.
        accept: Accept,
    },
    /// Read the configuration now.
    Reload,
    /// Move chats to another source. Lines of progress come before the answer.
    Move(MoveRequest),
    /// What waits for sources, and what was kept aside.
    Journal {
        /// The source; of all where none is named.
        source: Option<String>,
        /// How many of each source and sort at most.
        most: usize,
    },
    /// Deal with what was kept aside.
    Settle {
        /// The source.
        source: String,
        /// What is done.
        what: Settle,
    },
    /// The rows of chats in files that do not own them.
    Strays,
    /// Delete those that are the same at home.
    ClearStrays(Clearing),
    /// Put a source's backup back.
    Restore {
        /// The source.
        source: String,
        /// The backup: an absolute path.
        from: String,
        /// Also where chats lose their rows.
        even_so: bool,
    },
}

/// What is accepted in a source's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// The file that is there.
    Present,
    /// A new one, where there is none.
    New,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The version of the lines that the bot speaks.
    pub version: u32,
    /// What it says.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What a bot answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `status`.
    Status(StatusReport),
    /// To `route`.
    Route(RouteReport),
    /// To `retry` and `adopt`: the source as it is now.
    Source(SourceReport),
    /// To `reload`.
    Reload(ReloadReport),
    /// To `journal`.
    Journal(JournalReport),
    /// To `settle`.
    Settled(SettledReport),
    /// To `set_aside`.
    SetAside(SetAsideReport),
    /// To `strays` and `clear_strays`.
    Strays(StraysReport),
    /// To `restore`.
    Restored(Restored),
    /// Before the answer to `move`.
    Progress(MoveStep),
    /// To `move`.
    Moves(MovesReport),
    /// To anything that was not done.
    Error(Fault),
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind of reason it is.
    pub kind: FaultKind,
    /// The reason, and what to do.
    pub message: String,
}

/// What kinds of reasons there are for not doing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The line is no question.
    BadRequest,
    /// The line is of another version.
    Version,
    /// Too many ask at a time.
    Busy,
    /// No source has this name.
    UnknownSource,
    /// There is one file, and no sources by name.
    OneFile,
    /// It cannot be done while a bot runs, or while this one does what it does.
    NotNow,
    /// It was tried and failed.
    Failed,
}

impl Fault {
    /// A reason of a kind.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl Request {
    /// A question in this version's terms.
    pub fn new(command: Command) -> Self {
        Self { version: VERSION, command }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is no question, or one of another version.
    pub fn read(line: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // Where it stands is told, never what: a line may be anything.
        let bad = |error: serde_json::Error| {
            let place = format!("the line is no question of the control protocol (column {})", error.column());
            Fault::new(FaultKind::BadRequest, place)
        };
        let Versioned { version } = serde_json::from_slice(line).map_err(bad)?;
        if version != VERSION {
            let message = format!(
                "the question is of version {version}, and this bot speaks version {VERSION}; use the `bot` program that the running one was started from"
            );
            return Err(Fault::new(FaultKind::Version, message));
        }
        serde_json::from_slice(line).map_err(bad)
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        Self { version: VERSION, answer }
    }
}

impl Command {
    /// What an operator answers. `tell` is given what comes before the answer, and may break off what is being done.
    pub fn put_to(&self, operator: &dyn Operator, tell: &mut dyn FnMut(Answer) -> ControlFlow<()>) -> Answer {
        match self {
            Self::Status => Answer::Status(operator.status()),
            Self::Route { chat } => Answer::Route(operator.route(ChatId(*chat))),
            Self::Retry { source } => with_source(source, |name| operator.retry(name).map(Answer::Source)),
            Self::SetAside { source } => with_source(source, |name| operator.set_aside(name).map(Answer::SetAside)),
            Self::Adopt { source, accept } => {
                with_source(source, |name| operator.adopt(name, *accept).map(Answer::Source))
            }
            Self::Reload => operator.reload().map_or_else(Answer::Error, Answer::Reload),
            Self::Journal { source: None, most } => {
                operator.journal(None, *most).map_or_else(Answer::Error, Answer::Journal)
            }
            Self::Journal { source: Some(source), most } => {
                with_source(source, |name| operator.journal(Some(name), *most).map(Answer::Journal))
            }
            Self::Settle { source, what } => {
                with_source(source, |name| operator.settle(name, what).map(Answer::Settled))
            }
            Self::Strays => operator.strays().map_or_else(Answer::Error, Answer::Strays),
            Self::ClearStrays(what) => operator.clear_strays(*what).map_or_else(Answer::Error, Answer::Strays),
            Self::Restore { source, from, even_so } => {
                with_source(source, |name| operator.restore(name, from.as_ref(), *even_so).map(Answer::Restored))
            }
            Self::Move(what) => {
                let moved = operator.move_chats(what, &mut |step| tell(Answer::Progress(step)));
                moved.map_or_else(Answer::Error, Answer::Moves)
            }
        }
    }
}

fn with_source(name: &str, ask: impl FnOnce(&SourceName) -> Result<Answer, Fault>) -> Answer {
    let name = name.parse().map_err(|_| Fault::new(FaultKind::UnknownSource, "no source has a name like that"));
    name.and_then(|name| ask(&name)).unwrap_or_else(Answer::Error)
}
