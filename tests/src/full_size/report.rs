//! What was found, with the limits, as Markdown.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::{ANSWER_LIMIT, QUESTIONS};

/// What was found.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
    answers: Vec<String>,
    broken: bool,
}

impl Report {
    /// Something that is so or not, and has to be.
    pub(crate) fn fact(&mut self, what: &str, found: &str, holds: bool) {
        self.row(what, found, "", holds);
    }

    /// Something worth knowing.
    pub(crate) fn note(&mut self, what: &str, found: &str) {
        self.rows.push([what.to_owned(), found.to_owned(), String::new(), String::new()]);
    }

    pub(crate) fn time(&mut self, what: &str, took: Duration, limit: Duration) {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        self.row(what, &seconds(took), &seconds(limit), took <= limit);
    }

    pub(crate) fn memory(&mut self, what: &str, bytes: u64, limit: Option<u64>) {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        match limit {
            Some(limit) => self.row(what, &megabytes(bytes), &megabytes(limit), bytes <= limit),
            None => self.note(what, &megabytes(bytes)),
        }
    }

    /// How long a question took each time it was asked: by the bot, and by the database alone.
    pub(crate) fn answer(&mut self, question: &str, by_bot: Vec<Duration>, by_database: Vec<Duration>) {
        let mut line = format!("| {question} ");
        let mut holds = true;
        for mut times in [by_bot, by_database] {
            times.sort_unstable();
            let at = |part: usize| times[(times.len() - 1) * part / 100];
            holds &= at(50) <= ANSWER_LIMIT;
            for time in [at(50), at(99), at(100)] {
                let _ = write!(line, "| {:.2} ", time.as_secs_f64() * 1e3);
            }
        }
        self.broken |= !holds;
        self.answers.push(format!("{line}| {} |", verdict(holds)));
    }

    pub(crate) fn is_kept(&self) -> bool {
        !self.broken
    }

    pub(crate) fn print(&self) {
        let mut text = "| what | found | limit | |\n|---|---:|---:|---|\n".to_owned();
        for [what, found, limit, verdict] in &self.rows {
            let _ = writeln!(text, "| {what} | {found} | {limit} | {verdict} |");
        }
        let _ = writeln!(text, "\nAsked {QUESTIONS} times; milliseconds; the median may be {ANSWER_LIMIT:?}.\n");
        text += "| question | bot: median | p99 | max | database: median | p99 | max | |\n";
        text += "|---|---:|---:|---:|---:|---:|---:|---|\n";
        for line in &self.answers {
            text += line;
            text.push('\n');
        }
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    fn row(&mut self, what: &str, found: &str, limit: &str, holds: bool) {
        self.broken |= !holds;
        self.rows.push([what.to_owned(), found.to_owned(), limit.to_owned(), verdict(holds).to_owned()]);
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "ok" } else { "**BROKEN**" }
}
