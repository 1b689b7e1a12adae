//! What `bot db verify` found, for people.

use database::maintenance::{BadRow, ChatCopy, RowDifference, VerifiedChat, VerifyReport};

use crate::text::chart::{counted, thousands};
use crate::text::sanitize::sanitize_line;
use crate::text::table::{Column, table};

/// A table with a line for each chat and each file that it is in besides; then what is wrong.
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
    for chat in &report.chats {
        rows.push(at_home(chat));
        rows.extend(chat.copies.iter().map(|copy| elsewhere(chat, copy)));
        lines.extend(chat.bad.iter().map(|bad| unreadable(chat, bad)));
        untold(&mut lines, chat, chat.bad_rows, chat.bad.len());
        for copy in &chat.copies {
            lines.extend(copy.differences.iter().map(|row| difference(chat, copy, row)));
            let all = copy.different + copy.only_there + copy.only_at_home;
            untold(&mut lines, chat, all, copy.differences.len());
        }
    }
    lines.extend(report.missing.iter().map(|missing| format!("Not read: {}: {}", missing.source, missing.reason)));
    let mut text = if rows.is_empty() { String::new() } else { table(&columns, &rows, terminal) };
    text.extend(lines.iter().map(|line| sanitize_line(line).into_owned() + "\n"));
    let chats = counted(report.chats.len() as u64, "chat", "chats");
    let wrong = report.chats.iter().filter(|chat| !chat.is_fine()).count() as u64;
    text.push_str(&match wrong {
        0 => format!("{chats} read; nothing is wrong with {}.\n", if report.chats.len() == 1 { "it" } else { "them" }),
        wrong => format!("{chats} read; something is wrong with {}.\n", thousands(wrong)),
    });
    text
}

fn at_home(chat: &VerifiedChat) -> Vec<String> {
    let dash = || "-".to_owned();
    let (rows, bad) = (thousands(chat.rows), thousands(chat.bad_rows));
    vec![chat.chat.to_string(), chat.home.clone(), rows, bad, dash(), dash(), dash(), dash()]
}

fn elsewhere(chat: &VerifiedChat, copy: &ChatCopy) -> Vec<String> {
    let ChatCopy { source, rows, same, different, only_there, only_at_home, .. } = copy;
    let counts = [same, different, only_there, only_at_home].map(|count| thousands(*count));
    let beginning = [chat.chat.to_string(), format!("also {source}"), thousands(*rows), "-".to_owned()];
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

/// How many more there are than are told.
fn untold(lines: &mut Vec<String>, chat: &VerifiedChat, all: u64, told: usize) {
    let more = all.saturating_sub(told as u64);
    if more > 0 {
        lines.push(format!("Chat {}: {} more", chat.chat, thousands(more)));
    }
}
