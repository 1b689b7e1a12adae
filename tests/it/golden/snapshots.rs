//! The answers as snapshots that a person can read, one for each domain.

use std::fmt::Write as _;

use rstest::rstest;
use serde_json::{Map, Value};

use super::play;
use super::setting::Setting;
use crate::support::HandClock;

/// The domains, each with what its calls are known by; the first that fits is a call's.
const DOMAINS: [(&str, &[&str]); 11] = [
    ("messages", &["chat_message"]),
    ("summaries", &["summarization"]),
    ("spam", &["spam_message", "ham_message"]),
    ("users", &["chat_user", "user_is_spammer", "user_metadata"]),
    ("user_data", &["user_data"]),
    ("topics", &["topic"]),
    ("chats", &["chat_info", "user_chats", "group_chats"]),
    ("settings", &["setting"]),
    ("media", &["media_attachment"]),
    ("tasks", &["delayed_task"]),
    ("cache", &["cache"]),
];

/// The snapshots are the same files for all settings.
#[rstest]
#[case::one_file(Setting::OneFile)]
#[cfg_attr(feature = "multi-source", case::one_source(Setting::OneSource))]
#[cfg_attr(feature = "multi-source", case::six_sources(Setting::SixSources))]
fn every_domain_answers_as_its_snapshot_shows(#[case] setting: Setting) {
    let clock = HandClock::at("2026-01-01 00:00:00");
    let opened = setting.open(&clock);
    let mut pages = DOMAINS.map(|(domain, _)| (domain, String::new()));
    for (line, answer) in play(&opened.db, &clock) {
        let fits = |(_, words): &(&str, &[&str])| words.iter().any(|word| line.name.contains(word));
        let domain = DOMAINS.iter().position(fits).unwrap_or_else(|| panic!("`{}` is of no domain", line.name));
        let page = &mut pages[domain].1;
        writeln!(page, "{}({})", line.name, arguments(&line.args)).unwrap();
        render(page, &answer);
        page.push('\n');
    }
    opened.each_file_holds_rows();
    for (domain, page) in pages {
        insta::with_settings!(
            { prepend_module_to_snapshot => false, snapshot_path => "../../snapshots/golden", omit_expression => true },
            { insta::assert_snapshot!(domain, page) }
        );
    }
}

fn arguments(args: &Map<String, Value>) -> String {
    args.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

fn render(page: &mut String, answer: &Value) {
    match answer {
        Value::Array(rows) if rows.is_empty() => page.push_str("  nothing\n"),
        Value::Array(rows) => {
            for row in rows {
                writeln!(page, "  - {}", fields(row)).unwrap();
            }
        }
        other => writeln!(page, "  = {}", fields(other)).unwrap(),
    }
}

/// A row without its empty fields, of which most are media's.
fn fields(row: &Value) -> String {
    match row {
        Value::Object(row) => {
            let shown = row.iter().filter(|(_, value)| !value.is_null());
            shown.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
