//! The command line.

mod levels;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

/// A group-chat bot whose chats live in as many databases as its operator likes.
#[derive(Debug, Parser)]
#[command(name = "bot", version, max_term_width = 100)]
#[command(
    after_help = "Without a command the bot runs: in a terminal it is talked to, in a pipe each line is a message."
)]
pub struct Cli {
    /// A configuration file; may be given several times, later ones win key by key
    /// [default: configs/bot.toml where it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Vec<PathBuf>,

    /// The folder the databases are in, in place of what the configuration says; made where it is missing
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Tell more on standard error; twice for every call on a database
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Tell nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Who speaks where, when no command is given
    #[command(flatten)]
    pub speaker: SpeakerArgs,

    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
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
    #[command(subcommand)]
    Config(ConfigCommand),
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
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub chat: Option<i64>,

    /// The user who speaks
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
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
