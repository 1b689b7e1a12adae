//! The export looked at line by line, as Telegram Desktop lays it out: an independent way to count what is in it, and to
//! make longer ones of it. (The importer reads JSON and knows no lines.)

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Result;

/// A chat as the file has it.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// The id that the database gives it.
    pub(crate) id: i64,
    pub(crate) messages: u64,
    pub(crate) services: u64,
    /// Records that are neither.
    pub(crate) others: u64,
    /// How many messages are answers.
    pub(crate) replies: u64,
    /// Bytes of the messages' texts; `None` where some text is more than a string.
    pub(crate) text_bytes: Option<u64>,
    /// How many messages each person has; by the number in `from_id`.
    pub(crate) people: BTreeMap<i64, u64>,
    /// The seconds of the first and the last message.
    pub(crate) dates: Option<(i64, i64)>,
}

/// What a line is in the layout.
enum Line<'a> {
    /// A key of a chat, with its value.
    ChatKey(&'a str, &'a str),
    /// A key of a record, with its value.
    RecordKey(&'a str, &'a str),
    ChatEnd,
    Other,
}

/// Counts what is in each chat.
pub(crate) fn count(path: &Path) -> Result<Vec<Chat>> {
    let mut chats = Vec::new();
    let (mut chat, mut kind, mut id) = (Chat::default(), String::new(), 0);
    // The keys come in the order: id, type, date, from, from_id, reply, text.
    let (mut is_message, mut date) = (false, None);
    walk(path, |line, _| {
        match line {
            Line::ChatKey("type", value) => value.trim_matches('"').clone_into(&mut kind),
            Line::ChatKey("id", value) => id = value.parse()?,
            Line::ChatKey("messages", _) => {
                let id = match kind.as_str() {
                    "private_group" => -id,
                    kind if kind.ends_with("_supergroup") || kind.ends_with("_channel") => -1_000_000_000_000 - id,
                    _ => id,
                };
                chat = Chat { id, text_bytes: Some(0), ..Chat::default() };
            }
            Line::RecordKey("type", value) => {
                is_message = value == "\"message\"";
                *match value {
                    "\"message\"" => &mut chat.messages,
                    "\"service\"" => &mut chat.services,
                    _ => &mut chat.others,
                } += 1;
            }
            Line::RecordKey("date_unixtime", value) => date = Some(value.trim_matches('"').parse::<i64>()?),
            Line::RecordKey("from_id", value) if is_message => {
                let number = value.trim_matches(|letter: char| !letter.is_ascii_digit()).parse()?;
                *chat.people.entry(number).or_default() += 1;
                if let Some(date) = date {
                    let (first, last) = chat.dates.unwrap_or((date, date));
                    chat.dates = Some((first.min(date), last.max(date)));
                }
            }
            Line::RecordKey("reply_to_message_id", _) if is_message => chat.replies += 1,
            Line::RecordKey("text", value) if is_message => {
                let text = serde_json::from_str::<String>(
                    &value.replace("\\\\", "\u{0}").replace("\\x", "\\u00").replace('\u{0}', "\\\\"),
                );
                chat.text_bytes = chat.text_bytes.zip(text.ok()).map(|(bytes, text)| bytes + text.len() as u64);
            }
            Line::ChatEnd => chats.push(std::mem::take(&mut chat)),
            Line::RecordKey(..) | Line::ChatKey(..) | Line::Other => {}
        }
        Ok(())
    })?;
    if chats.is_empty() {
        return Err("no chat is found in the file; it has to be laid out as Telegram Desktop does it".into());
    }
    Ok(chats)
}

/// Writes an export so many times as long, each time with chats and people of its own, and says how many bytes it has.
pub(crate) fn write_times(from: &Path, to: &Path, times: u64) -> Result<u64> {
    let mut out = BufWriter::new(File::create(to)?);
    out.write_all(b"{\n \"about\": \"\",\n \"chats\": {\n  \"about\": \"\",\n  \"list\": [\n")?;
    let mut is_first = true;
    for time in 0..times {
        // What stands before a chat's records, until it is known to be a chat.
        let mut head = String::new();
        let mut in_chat = false;
        walk(from, |line, text| {
            match line {
                Line::ChatKey("messages", _) => {
                    let comma = if is_first { "" } else { ",\n" };
                    write!(out, "{comma}{{\n{head}{text}\n")?;
                    (is_first, in_chat) = (false, true);
                }
                Line::ChatKey("id", id) => {
                    let id: u64 = id.parse()?;
                    head += &format!(" \"id\": {},\n", id + time * 10_000_000_000);
                }
                Line::ChatKey(key @ ("name" | "type"), _) => {
                    if key == "name" {
                        head.clear();
                    }
                    head += text;
                    head.push('\n');
                }
                Line::ChatEnd => {
                    out.write_all(b" ]\n}")?;
                    head.clear();
                    in_chat = false;
                }
                Line::RecordKey(key @ ("from_id" | "actor_id"), value) if time > 0 => {
                    writeln!(out, "\"{key}\": \"{}{time:02}\",", value.trim_matches('"'))?;
                }
                _ if in_chat => writeln!(out, "{text}")?,
                Line::RecordKey(..) | Line::ChatKey(..) | Line::Other => {}
            }
            Ok(())
        })?;
    }
    out.write_all(b"\n]}}\n")?;
    out.flush()?;
    Ok(std::fs::metadata(to)?.len())
}

/// Goes through the lines. The keys of chats are those as deep as `"messages": [`, the ones of records are two deeper.
fn walk(path: &Path, mut f: impl FnMut(Line<'_>, &str) -> Result<()>) -> Result<()> {
    let mut lines = lines(path)?;
    let mut line = String::new();
    let mut chat_depth = None;
    let mut before: Vec<(usize, String)> = Vec::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let text = line.trim_end();
        let rest = text.trim_start();
        let depth = text.len() - rest.len();
        let (key, value) = rest
            .strip_prefix('"')
            .and_then(|rest| rest.split_once("\": "))
            .map_or(("", ""), |(key, value)| (key, value.strip_suffix(',').unwrap_or(value)));
        match chat_depth {
            None if key == "messages" && value == "[" => {
                // Only now it is known how deep the chat's own keys are.
                for (_, line) in before.drain(..).filter(|(of, _)| *of == depth) {
                    let (key, value) = line.trim_start().split_once(": ").unwrap_or_default();
                    let value = value.strip_suffix(',').unwrap_or(value);
                    f(Line::ChatKey(key.trim_matches('"'), value), &line)?;
                }
                chat_depth = Some(depth);
                f(Line::ChatKey(key, value), text)?;
            }
            None if rest == "{" => before.clear(),
            None if matches!(key, "name" | "type" | "id") => before.push((depth, text.to_owned())),
            None => {}
            Some(of) if depth == of && rest.starts_with(']') => {
                chat_depth = None;
                f(Line::ChatEnd, text)?;
            }
            Some(of) if depth == of + 2 && !key.is_empty() => f(Line::RecordKey(key, value), text)?,
            Some(_) => f(Line::Other, text)?,
        }
    }
}

fn lines(path: &Path) -> Result<Box<dyn BufRead>> {
    let mut magic = [0; 2];
    let is_gzip = File::open(path)?.read_exact(&mut magic).is_ok() && magic == [0x1F, 0x8B];
    let file = File::open(path)?;
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(BufReader::new(file)) })
}
