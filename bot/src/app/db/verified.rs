//! What `bot db verify` found, for people.

use database::maintenance::{BadRow, ChatCopy, RowDifference, UnfinishedMove, VerifiedChat, VerifyReport};

use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;
use crate::text::table::{Column, table};

/// How many lines say at most what is wrong with a chat in one file, and how it differs there: the table counts all.
const MOST_TOLD: usize = 5;

/// The moves that are not at their end; a table with a line for each chat and each file that it is in besides; then what is
/// wrong.
pub(super) fn verified(report: &VerifyReport, terminal: Option<usize>) -> String {
    let columns = [
        Column::Right("CHAT"),
        Column::Left("SOURCE"),
        Column::Right("ROWS"),
        Column::Right("UNREADABLE"),
        Column::Right("SAME"),
        Column::Right("DIFFERENT"),
        Column::Right("ONLY THERE"),
        Column::Right("ONLY AT HOME"),
    ];
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    let mut text = String::new();
    for chat in &report.chats {
        text.extend(chat.unfinished.iter().map(|one| unfinished(chat, one)));
        rows.push(at_home(chat));
        rows.extend(chat.copies.iter().map(|copy| elsewhere(chat, copy)));
        let whole = format!("Chat {}", chat.chat);
        first(&mut lines, &whole, chat.bad_rows, &chat.bad, |bad| unreadable(chat, bad));
        for copy in chat.copies.iter().filter(|copy| !chat.is_unfinished(copy)) {
            // What is wrong comes before what is only at home, which is no fault.
            let all = copy.different + copy.only_there + copy.only_at_home;
            let one_of_several = format!("{whole} in `{}`", copy.source);
            let whose = if chat.copies.len() > 1 { &one_of_several } else { &whole };
            first(&mut lines, whose, all, &copy.differences, |row| difference(chat, copy, row));
        }
    }
    let whole = report.missing.is_empty();
    lines.extend(report.chats.iter().filter(|chat| is_nowhere(chat)).map(|chat| nowhere(chat, whole)));
    lines.extend(report.missing.iter().map(|missing| format!("Not read: {}: {}", missing.source, missing.reason)));
    if !text.is_empty() {
        text.push('\n');
    }
    if !rows.is_empty() {
        text.push_str(&table(&columns, &rows, terminal));
    }
    text.extend(lines.iter().map(|line| sanitize_line(line).into_owned() + "\n"));
    text + &summary(report)
}

/// How many chats were read, and of how many something is wrong. Of what is nowhere nothing was.
fn summary(report: &VerifyReport) -> String {
    let read = report.chats.iter().filter(|chat| !is_nowhere(chat)).count() as u64;
    if read == 0 && !report.chats.is_empty() {
        return String::new();
    }
    let chats = counted(read, "chat", "chats");
    let wrong = report.chats.iter().filter(|chat| !chat.is_fine()).count() as u64;
    let them = if read == 1 { "it" } else { "them" };
    match wrong {
        0 if report.missing.is_empty() => format!("{chats} read; nothing is wrong with {them}.\n"),
        0 => format!("{chats} read, but for what could not be; nothing is wrong with the rest of {them}.\n"),
        wrong => format!("{chats} read; something is wrong with {}.\n", thousands(wrong)),
    }
}

/// Whether nothing of a chat was found, as where its number is mistyped.
fn is_nowhere(chat: &VerifiedChat) -> bool {
    chat.rows == 0 && chat.bad_rows == 0 && chat.copies.is_empty()
}

fn nowhere(VerifiedChat { chat, .. }: &VerifiedChat, is_whole: bool) -> String {
    let source = if is_whole { "no source" } else { "no source that could be read" };
    format!("Chat {chat}: {source} holds anything of it")
}

/// What explains the rows in another file, and what is to be done about it.
fn unfinished(chat: &VerifiedChat, one: &UnfinishedMove) -> String {
    let (leftovers, remedy) = (one.leftovers(), one.remedy(&chat.home));
    format!("{}\n", sanitize_line(&format!("Chat {}: {leftovers}, not held against it; {remedy}", chat.chat)))
}

fn at_home(chat: &VerifiedChat) -> Vec<String> {
    let dash = || "-".to_owned();
    let (rows, bad) = (thousands(chat.rows), thousands(chat.bad_at_home));
    vec![chat.chat.to_string(), chat.home.clone(), rows, bad, dash(), dash(), dash(), dash()]
}

fn elsewhere(chat: &VerifiedChat, copy: &ChatCopy) -> Vec<String> {
    let ChatCopy { source, rows, bad_rows, same, different, only_there, only_at_home, .. } = copy;
    let counts = [same, different, only_there, only_at_home].map(|count| thousands(*count));
    let bad = if chat.is_unfinished(copy) { "-".to_owned() } else { thousands(*bad_rows) };
    let beginning = [chat.chat.to_string(), format!("also {source}"), thousands(*rows), bad];
    beginning.into_iter().chain(counts).collect()
}

fn unreadable(chat: &VerifiedChat, bad: &BadRow) -> String {
    let BadRow { source, table, row, column, expected, found, .. } = bad;
    format!(
        "Chat {}: {source}: table `{table}`, column `{column}`, row {row}: expected {expected}, found {found}",
        chat.chat
    )
}

fn difference(chat: &VerifiedChat, copy: &ChatCopy, row: &RowDifference) -> String {
    let RowDifference { table, row, what, columns, .. } = row;
    let what = match *what {
        "only_there" => format!("only in {}", copy.source),
        "only_at_home" => format!("only at home, in {}", chat.home),
        _ => format!("different in {} and {}: {}", copy.source, chat.home, columns.join(", ")),
    };
    format!("Chat {}: table `{table}`, row {row}: {what}", chat.chat)
}

/// The first of so many rows, of which these are known, and how many more there are, and whose.
fn first<T>(lines: &mut Vec<String>, whose: &str, all: u64, known: &[T], line: impl Fn(&T) -> String) {
    let told = &known[..known.len().min(MOST_TOLD)];
    lines.extend(told.iter().map(line));
    let more = all.saturating_sub(told.len() as u64);
    if more > 0 {
        let known = known.len() as u64;
        let which = if known == all { "them all".to_owned() } else { format!("the first {}", thousands(known)) };
        lines.push(format!("{whose}: and {} more; `--json` names {which}", thousands(more)));
    }
}
