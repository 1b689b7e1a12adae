//! The command line.

mod levels;
mod upkeep;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use database::SourceName;

use crate::databases::SEVERAL;

pub use upkeep::{BackupArgs, CheckArgs, RestoreArgs, UpkeepCommand, VerifyArgs};

/// What options stand under that go with every command, so that those of the command itself are not among them.
const EVERYWHERE: &str = "Options of every command";

/// A group-chat bot whose chats live in as many databases as its operator likes.
#[derive(Debug, Parser)]
#[command(name = "bot", version = version(), max_term_width = 100)]
#[command(
    after_help = "Without a command the bot runs: in a terminal it is talked to, in a pipe each line is a message."
)]
pub struct Cli {
    /// A configuration file; may be given several times, later ones win key by key
    /// [default: configs/bot.toml where it exists]
    #[arg(long, value_name = "FILE", global = true, help_heading = EVERYWHERE)]
    pub config: Vec<PathBuf>,

    /// The folder the databases are in, in place of what the configuration says; made where it is missing
    #[arg(long, value_name = "DIR", global = true, help_heading = EVERYWHERE)]
    pub data_dir: Option<PathBuf>,

    /// Tell more on standard error; twice for every call on a database
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet", help_heading = EVERYWHERE)]
    pub verbose: u8,

    /// Tell nothing but errors
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub quiet: bool,

    /// Who speaks where, when no command is given
    #[command(flatten)]
    pub speaker: SpeakerArgs,

    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The program's version, what it was built with, and the version of SQLite in it.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let features = if SEVERAL { "features: multi-source" } else { "no features" };
        format!("{} ({features}; SQLite {})", env!("CARGO_PKG_VERSION"), database::sqlite_version())
    });
    &VERSION
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bot (what happens without a command)
    Run(SpeakerArgs),
    /// Talk to the bot in a terminal, or one message a line in a pipe
    Console(ConsoleArgs),
    /// Bring in chats that Telegram Desktop exported as machine-readable JSON
    Import(ImportArgs),
    /// Look at the configuration
    Config(ConfigArgs),
    /// Look at the databases, and steer the bot that runs on them
    Db(DbArgs),
    /// Print a script that completes this program's command line in a shell
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands
    Man {
        /// The folder that the pages are written in, one for each command
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// What is done with the databases.
#[derive(Args, Clone, Debug)]
pub struct DbArgs {
    /// Print one JSON object, whose fields docs/control-socket.md describes
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: DbCommand,
}

/// What is done with the databases.
#[derive(Clone, Debug, Subcommand)]
pub enum DbCommand {
    /// Show each database and how it is; where no bot runs, what the files show
    Status,
    /// Say which database a chat is in, and why
    Route {
        /// The chat
        #[arg(value_name = "CHAT", allow_negative_numbers = true, value_parser = id)]
        chat: i64,
    },
    /// Have the running bot open an unavailable database now
    Retry {
        /// The source in [database.sources]
        #[arg(value_name = "NAME")]
        source: SourceName,

        /// Go on without its stand-in, which is damaged or lost: the file is kept under another name
        #[arg(long)]
        set_aside: bool,
    },
    /// Accept another file in the place of the one that a source had
    Adopt {
        /// The source in [database.sources]
        #[arg(value_name = "NAME")]
        source: SourceName,

        /// Make an empty database where there is none
        #[arg(long)]
        new: bool,
    },
    /// Have the running bot read its configuration now
    Reload,
    /// Move chats with all their rows to another database, whether a bot runs or not
    Move(MoveArgs),
    /// List the writes that wait for databases which are away, and those that were kept aside
    Journal(JournalArgs),
    /// List rows of chats in databases that are not theirs
    Strays(StraysArgs),
    /// Look after the files
    #[command(flatten)]
    Upkeep(UpkeepCommand),
    /// Make a copy of a database that can be read in a folder that cannot be written
    Seal {
        /// The database
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// The copy [default: FILE with the ending .sealed.db]
        #[arg(value_name = "COPY")]
        copy: Option<PathBuf>,
    },
}

/// Which writes are listed, and what is done with those that were kept aside.
#[derive(Args, Clone, Debug)]
pub struct JournalArgs {
    /// The source in [database.sources]; without one all are listed
    #[arg(value_name = "SOURCE")]
    pub source: Option<SourceName>,

    /// How many of each source are listed at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,

    /// Make again what was kept aside at the source
    #[arg(long, requires = "source")]
    pub retry: bool,

    /// Give up for good the write of this ID, which was kept aside at the source
    #[arg(long, value_name = "ID", requires = "source", conflicts_with = "retry")]
    pub drop: Option<String>,
}

/// What is done with rows in databases that are not theirs.
#[derive(Args, Clone, Copy, Debug)]
pub struct StraysArgs {
    /// Delete those that the chat's own database has too, and the same
    #[arg(long)]
    pub clear: bool,

    /// Delete those too that the chat's own database has otherwise: it is the one that counts
    #[arg(long, requires = "clear")]
    pub different: bool,

    /// Delete all of this chat, and of no other: also those that the chat's own database lacks, for good
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true, value_parser = id, requires = "clear")]
    #[arg(conflicts_with = "different")]
    pub only_here: Option<i64>,
}

/// What is moved where.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").args(["chats", "all", "kind"]).multiple(true).required(true)))]
pub struct MoveArgs {
    /// The chats
    #[arg(value_name = "CHAT", allow_negative_numbers = true, value_parser = id)]
    pub chats: Vec<i64>,

    /// All chats, of the database --from names or of all others
    #[arg(long, conflicts_with = "chats")]
    pub all: bool,

    /// Of the chats of this source, with --all or --where
    #[arg(long, value_name = "SOURCE", conflicts_with = "chats")]
    pub from: Option<SourceName>,

    /// All chats of this kind
    #[arg(long = "where", value_name = "KIND", conflicts_with = "chats", value_parser = ["private", "group", "supergroup", "channel"])]
    pub kind: Option<String>,

    /// The source in [database.sources] that they go to
    #[arg(long, value_name = "SOURCE", required_unless_present = "abort")]
    pub to: Option<SourceName>,

    /// Only say what would be done. Rows are counted; their size is estimated by the first 200 of each table, the time by
    /// 20,000 rows a second, or 3,000 beside a bot that runs
    #[arg(long, conflicts_with = "abort")]
    pub dry_run: bool,

    /// Leave the rows at the old place too
    #[arg(long, conflicts_with = "abort")]
    pub keep: bool,

    /// Undo moves that were broken off
    #[arg(long, conflicts_with = "to")]
    pub abort: bool,

    /// Give moves up that can neither be completed nor undone: no row is deleted, and those that are left are listed by
    /// `bot db strays`
    // (Where something stands there that goes with no `--abort`, that it is required says nothing.)
    #[arg(long, requires = "abort", conflicts_with_all = ["to", "keep", "dry_run", "vacuum"])]
    pub forget: bool,

    /// Rewrite the files that the chats leave, so that no byte of them stays there; needs room for as much again
    #[arg(long, conflicts_with_all = ["keep", "abort", "dry_run"])]
    pub vacuum: bool,
}

/// What is done with the configuration.
#[derive(Args, Clone, Copy, Debug)]
pub struct ConfigArgs {
    /// Print one JSON object
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What is done with the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is right, or all that is wrong with it
    Check,
    /// Print the settings in force and where each comes from
    Show,
}

/// Who speaks where.
#[derive(Args, Clone, Debug, Default)]
pub struct SpeakerArgs {
    /// The chat that is spoken in
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = id)]
    pub chat: Option<i64>,

    /// The user who speaks
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = id)]
    pub user: Option<i64>,

    /// What the user is called
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

impl SpeakerArgs {
    /// Whether anything is said.
    pub fn is_told(&self) -> bool {
        self.chat.is_some() || self.user.is_some() || self.name.is_some()
    }

    /// These, and where they say nothing what was said before the command.
    #[must_use]
    pub fn or(self, before: &Self) -> Self {
        Self {
            chat: self.chat.or(before.chat),
            user: self.user.or(before.user),
            name: self.name.or_else(|| before.name.clone()),
        }
    }
}

/// How the bot is talked to.
#[derive(Args, Clone, Debug, Default)]
pub struct ConsoleArgs {
    /// Speak with a program: one JSON object a line in, with chat, user and text, and one a line out for each of them.
    /// Chats are handled in parallel, each in order. docs/json-transport.md describes the lines
    #[arg(long, conflicts_with_all = ["chat", "user", "name"])]
    pub json: bool,

    /// Who speaks where
    #[command(flatten)]
    pub speaker: SpeakerArgs,
}

/// What is imported.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// A result.json, as it is or compressed (.gz), or the folder it is in
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Offer every record again, even those that an earlier import from the same file stored
    #[arg(long)]
    pub again: bool,
}

/// The id of a chat or of a user.
fn id(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "an id is a whole number, such as 7 or -1001234567890")
}
