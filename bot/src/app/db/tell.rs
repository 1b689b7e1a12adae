//! What `bot db` finds, for people.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use crate::control::leftovers::SetAsideReport;
use crate::control::moves::MovesReport;
use crate::control::report::{Disputed, Ownerless, ReloadReport, RouteReport, SourceReport, State, StatusReport};
use crate::text::chart::{counted, thousands};
use crate::text::sanitize::{sanitize, sanitize_line};
use crate::text::table::{Column, table};

/// How many sources are named that are closed, or absent, for the same reason.
const MOST_NAMED: usize = 5;

/// How many columns standard output has; `None` where it is no terminal, and nothing is cut.
pub(super) fn columns() -> Option<usize> {
    io::stdout().is_terminal().then(crate::transport::console::columns)
}

/// The databases, below a sentence on who tells of them.
pub(super) fn status(report: &StatusReport, heading: &str, columns: Option<usize>) -> String {
    let StatusReport { running, configuration, generation, last_reload, sources, ownerless, disputed, counts, .. } =
        report;
    let mut lines = vec![heading.to_owned()];
    let files = if configuration.is_empty() { "built-in defaults".to_owned() } else { configuration.join(", ") };
    let generation = generation.map_or_else(String::new, |generation| format!(" (generation {generation})"));
    lines.push(format!("Configuration: {files}{generation}."));
    if let Some(reload) = last_reload {
        lines.push(format!("Last change: {}", self::reload(reload).trim_end()));
    }
    let mut text: String = lines.iter().map(|line| sanitize(line).into_owned() + "\n").collect();
    text.push('\n');
    text.push_str(&sources_table(sources, *running, columns));
    let is_at_rest =
        |source: &&SourceReport| matches!(source.state, State::Closed | State::Absent) && source.served_by.is_none();
    text.push_str(&at_rest(sources.iter().filter(is_at_rest)));
    for source in sources.iter().filter(|source| !is_at_rest(source)) {
        let since = source.since.as_ref().map_or_else(String::new, |since| format!(" since {since} UTC"));
        let writes = source.of_writes();
        match &source.reason {
            Some(reason) => {
                text.push_str(&format!("\n{} is {}{since}: {}\n", source.name, source.state, sanitize_line(reason)));
                text.extend((!writes.is_empty()).then(|| writes + "\n"));
            }
            None if !writes.is_empty() => {
                text.push_str(&format!("\n{} is {}{since}. {writes}\n", source.name, source.state));
            }
            None => {}
        }
    }
    for Ownerless { source, path } in ownerless {
        let path = sanitize_line(path);
        text.push_str(&format!(
            "\n{path} holds writes of `{source}`, which is not configured as a source that can be written; configure it \
             again, so that they come home\n"
        ));
    }
    for Disputed { chat, reason } in disputed {
        text.push_str(&format!("\nThe calls of chat {chat} fail, since {}\n", sanitize_line(reason)));
    }
    if let Some(told) = counts.and_then(|counts| counts.told()) {
        text.push_str(&format!("\n{told}\n"));
    }
    text
}

/// Sources that have not failed and are not open, or not there, together where it is for the same reason: there may be
/// thousands.
fn at_rest<'a>(sources: impl Iterator<Item = &'a SourceReport>) -> String {
    let mut reasons: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for source in sources {
        if let Some(reason) = source.reason.as_ref().or(source.why_closed.as_ref()) {
            reasons.entry((source.state.to_string(), reason)).or_default().push(&source.name);
        }
    }
    let told = |((state, reason), names): ((String, &str), Vec<&str>)| {
        let (some, others) = names.split_at(names.len().min(MOST_NAMED));
        let is = if names.len() == 1 { "is" } else { "are" };
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        format!("\n{}{more} {is} {state}: {}\n", some.join(", "), sanitize_line(reason))
    };
    reasons.into_iter().map(told).collect()
}

fn sources_table(sources: &[SourceReport], running: bool, terminal: Option<usize>) -> String {
    let dash = || "-".to_owned();
    let mut columns = vec![Column::Left("SOURCE"), Column::Left("STATE"), Column::Right("ROUTED")];
    if running {
        columns.push(Column::Right("CONNECTIONS"));
    } else {
        columns.push(Column::Right("CHATS"));
    }
    columns.extend([Column::Right("VERSION"), Column::Right("SIZE"), Column::Left("PATH")]);
    let row = |source: &SourceReport| {
        // What is mapped nowhere cannot be counted by name.
        let routed = if source.default { "the rest".to_owned() } else { thousands(source.routed) };
        let state = if source.read_only { format!("{}, read-only", source.state) } else { source.state.to_string() };
        let mut row = vec![source.name.clone(), state, routed];
        if running {
            row.push(source.connections.map_or_else(dash, |now| format!("{} of {}", now.open, now.most)));
        } else {
            row.push(source.chats.map_or_else(dash, thousands));
        }
        row.push(source.version.map_or_else(dash, |version| version.to_string()));
        row.push(source.bytes.map_or_else(dash, |bytes| format!("{} KiB", thousands(bytes.div_ceil(1024)))));
        row.push(source.path.clone());
        row
    };
    table(&columns, &sources.iter().map(row).collect::<Vec<_>>(), terminal)
}

/// Where a chat lives.
pub(super) fn route(report: &RouteReport) -> String {
    format!("{report}.\n")
}

/// A source that was opened.
pub(super) fn source(source: &SourceReport) -> String {
    let SourceReport { name, state, path, routed, .. } = source;
    let chats = counted(*routed, "chat", "chats");
    format!("{name} is {state}: {} ({chats} by name)\n", sanitize_line(path))
}

/// A source whose file was accepted; whether it was made then.
pub(super) fn adopted(report: &SourceReport, is_made: bool) -> String {
    let made = if is_made {
        "It is new and empty: what its chats had before, if anything, is only in the file that was there. `bot db restore` \
         puts back what a backup has of it.\n"
    } else {
        ""
    };
    source(report) + made
}

/// What became of a stand-in that was to be set aside.
pub(super) fn set_aside(report: &SetAsideReport) -> String {
    let source = &report.source;
    match &report.file {
        Some(file) => format!(
            "What stood in for {source} was set aside as {}; what only it holds is not at home\n",
            sanitize_line(file)
        ),
        None => format!("What stood in for {source} is gone, with what was in it; the bot goes on without it\n"),
    }
}

/// What became of a change of the configuration.
pub(super) fn reload(report: &ReloadReport) -> String {
    let ReloadReport { at, outcome, reason, restart_needed, .. } = report;
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", sanitize(reason)));
    let restart = if *restart_needed { "; [bot] or [log] changed as well, which takes a restart" } else { "" };
    format!("{at} UTC, {outcome}{restart}{reason}\n")
}

/// What became of chats that were to move.
pub(super) fn moves(report: &MovesReport) -> String {
    let texts = report.moves.iter().map(ToString::to_string).collect::<String>() + &report.of_room();
    let texts = texts + report.note.as_deref().unwrap_or_default();
    texts.lines().map(|line| sanitize_line(line).into_owned() + "\n").collect()
}

/// Where the copy of a sealed database is.
pub(super) fn sealed(path: &str) -> String {
    format!("Sealed: {}\n", sanitize_line(path))
}
