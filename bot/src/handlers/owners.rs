//! `/chats` and `/status`: what only the bot's owners are told.

use database::Result;

use super::{Call, Command, Who};
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;

pub(super) const CHATS: Command =
    Command { name: "chats", arguments: "", summary: "the groups that I am in", who: Who::Owners, run: chats };

pub(super) const STATUS: Command = Command {
    name: "status",
    arguments: "",
    summary: "how I am doing: databases, tasks, how long I run",
    who: Who::Owners,
    run: status,
};

fn chats(call: &Call<'_>) -> Result<String> {
    let chats = call.db.get_all_group_chats()?;
    let mut lines: Vec<_> = chats
        .iter()
        .map(|chat| {
            let title = sanitize_line(chat.title.as_deref().unwrap_or("(no title)"));
            format!("{} {} {title}", chat.chat_id, chat.chat_type)
        })
        .collect();
    if lines.is_empty() {
        lines.push("I am in no group.".to_owned());
    }
    lines.extend(chats.missing().iter().map(|missing| format!("(without {}: {})", missing.source, missing.reason)));
    Ok(lines.join("\n"))
}

fn status(call: &Call<'_>) -> Result<String> {
    let minutes = call.running_for.as_secs() / 60;
    let mut lines = vec![format!(
        "{} {}, running for {} h {:02} min.",
        call.bot_name,
        env!("CARGO_PKG_VERSION"),
        minutes / 60,
        minutes % 60
    )];
    for source in call.db.sources() {
        let size = source.bytes.map_or_else(
            || "cannot be looked at".to_owned(),
            |bytes| format!("{} KiB", thousands(bytes.div_ceil(1024))),
        );
        lines.push(format!("Database {}: {} ({size}).", source.name, source.path.display()));
    }
    let pending = call.db.get_pending_delayed_tasks()?.len() as u64;
    lines.push(format!("{} waiting.", counted(pending, "task", "tasks")));
    Ok(lines.join("\n"))
}
