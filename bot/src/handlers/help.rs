//! `/start` and `/help`: what the bot is and what it can be asked.

use database::Result;

use super::{COMMANDS, Call, Command, Who, find, unknown};

pub(super) const START: Command =
    Command { name: "start", arguments: "", summary: "what I am", who: Who::Everybody, run: start };

pub(super) const HELP: Command =
    Command { name: "help", arguments: "[COMMAND]", summary: "what I can be asked", who: Who::Everybody, run: help };

fn start(call: &Call<'_>) -> Result<String> {
    Ok(format!(
        "I am {}. I keep what is said here and answer questions about it. /help lists what I can be asked, /mydata \
         shows what I keep about you.",
        call.bot_name
    ))
}

fn help(call: &Call<'_>) -> Result<String> {
    let name = call.arguments.trim_start_matches('/');
    if name.is_empty() {
        let allowed: Vec<_> = COMMANDS.iter().filter(|command| command.who <= call.rank).collect();
        let width = allowed.iter().map(|command| command.as_given().chars().count()).max().unwrap_or_default();
        let line = |command: &&&Command| format!("{:width$}  {}", command.as_given(), command.summary);
        return Ok(allowed.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    Ok(match find(name) {
        Some(command) if command.who <= call.rank => format!("{}: {}", command.as_given(), command.summary),
        Some(command) => command.refusal(call.incoming.user, call.kind),
        None => unknown(name),
    })
}
