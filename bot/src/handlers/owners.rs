//! `/chats`, `/status` and `/route`: what only the bot's owners are told.

use database::{ChatId, Result};

use super::{Call, Command, Who};
use crate::control::report::{Ownerless, ReloadReport, SourceReport};
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

pub(super) const ROUTE: Command = Command {
    name: "route",
    arguments: "[CHAT]",
    summary: "which database this chat, or the one of this id, is in, and why",
    who: Who::Owners,
    run: route,
};

fn chats(call: &Call<'_>) -> Result<String> {
    let chats = call.db.get_all_group_chats()?;
    let mut lines: Vec<_> = chats
        .iter()
        .filter(|chat| call.db.current_chat(chat.chat_id) == chat.chat_id)
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
    let report = call.operator.status();
    lines.extend(report.sources.iter().map(|source| told(source, report.sources.len() > 1)));
    lines.extend(report.ownerless.iter().map(|Ownerless { source, path }| {
        format!("{path} holds writes of {source}, which is not configured any more; configure it again.")
    }));
    if let Some(generation) = report.generation {
        lines.push(format!("Configuration {generation}{}.", report.last_reload.map_or_else(String::new, last_reload)));
    }
    lines.extend(report.counts.and_then(|counts| counts.told()));
    let pending = call.db.get_pending_delayed_tasks()?.len() as u64;
    lines.push(format!("{} waiting.", counted(pending, "task", "tasks")));
    Ok(lines.join("\n"))
}

/// A database in a line; how it is, where there are several.
fn told(source: &SourceReport, one_of_several: bool) -> String {
    let SourceReport { name, path, .. } = source;
    let size = source
        .bytes
        .map_or_else(|| "cannot be looked at".to_owned(), |bytes| format!("{} KiB", thousands(bytes.div_ceil(1024))));
    if !one_of_several {
        return format!("Database {name}: {path} ({size}).");
    }
    let mut details = vec![size, source.state.to_string()];
    details.extend(source.since.iter().map(|since| format!("since {since} UTC")));
    details.extend(source.read_only.then(|| "read-only".to_owned()));
    if source.routed > 0 {
        details.push(format!("{} by name", counted(source.routed, "chat", "chats")));
    }
    let reason = source.reason.as_ref().map_or_else(String::new, |reason| format!(" {reason}."));
    let writes = source.of_writes();
    let writes = if writes.is_empty() { writes } else { format!(" {writes}") };
    format!("Database {name}: {path} ({}).{reason}{writes}", details.join(", "))
}

fn last_reload(reload: ReloadReport) -> String {
    let ReloadReport { at, outcome, reason, .. } = reload;
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("; the change of {at} UTC was {outcome}{reason}")
}

fn route(call: &Call<'_>) -> Result<String> {
    let chat = match call.arguments {
        "" => call.incoming.chat,
        text => match text.parse() {
            Ok(chat) => ChatId(chat),
            Err(_) => return Ok(format!("{} (a chat is a whole number; without one it is this chat)", ROUTE.usage())),
        },
    };
    Ok(format!("{}.", call.operator.route(chat)))
}
