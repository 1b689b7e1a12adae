//! `/help`: what the bot can be asked.

use database::Result;

use super::{COMMANDS, Call, Command};

pub(super) const HELP: Command = Command { name: "help", arguments: "[COMMAND]", summary: "what I can be asked", run };

fn run(call: &Call<'_>) -> Result<String> {
    let name = call.arguments.trim_start_matches('/');
    if name.is_empty() {
        let left = |command: &Command| format!("/{} {}", command.name, command.arguments);
        let width = COMMANDS.iter().map(|command| left(command).chars().count()).max().unwrap_or_default();
        let line = |command: &&Command| format!("{:width$}  {}", left(command), command.summary);
        return Ok(COMMANDS.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    Ok(match COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name)) {
        Some(command) => format!("{}\nAnswers {}.", command.usage(), command.summary),
        None => format!("I do not know /{name}. /help lists what I know."),
    })
}
