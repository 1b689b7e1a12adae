//! The answers against the golden file itself, so that accepting a snapshot cannot hide a difference.

use database::ChatId;
use rstest::rstest;
use serde_json::Value;

use super::setting::Setting;
use super::times::Times;
use super::{moment, play};
use crate::support::HandClock;

#[rstest]
#[case::one_file(Setting::OneFile)]
#[cfg_attr(feature = "multi-source", case::one_source(Setting::OneSource))]
#[cfg_attr(feature = "multi-source", case::six_sources(Setting::SixSources))]
fn every_golden_line_answers_the_same_times_included(#[case] setting: Setting) {
    let clock = HandClock::at("2026-01-01 00:00:00");
    let opened = setting.open(&clock);
    let mut times = Times::default();
    let mut wrong = Vec::new();
    for (index, (line, answer)) in play(&opened.db, &clock).into_iter().enumerate() {
        times.learn(&line.name, &line.args, &line.result, moment(index));
        let mut expected = times.fill(&line.name, &line.args, &line.result);
        let mut found = answer;
        if line.unordered {
            (expected, found) = (as_multiset(expected), as_multiset(found));
        }
        if expected != found {
            let number = index + 1;
            wrong.push(format!("line {number}, {}:\nexpected {expected}\nfound    {found}", line.name));
        }
    }
    assert!(wrong.is_empty(), "{} lines differ\n{}", wrong.len(), wrong.join("\n"));
}

#[rstest]
#[case::one_file(Setting::OneFile)]
#[cfg_attr(feature = "multi-source", case::one_source(Setting::OneSource))]
#[cfg_attr(feature = "multi-source", case::six_sources(Setting::SixSources))]
fn settings_count_from_when_they_were_last_set_and_statistics_by_the_messages_day(#[case] setting: Setting) {
    let clock = HandClock::at("2026-01-01 00:00:00");
    let opened = setting.open(&clock);
    play(&opened.db, &clock);
    let theme = opened.rows("settings");
    let theme: Vec<_> = theme.iter().filter(|row| row.contains("\"theme\"")).collect();
    let set = moment(5);
    assert_eq!(theme, [&format!("key=\"theme\" value=\"light\" created_at=\"{set}\" updated_at=\"{set}\" ")]);

    let chat = ChatId(-1_001_234_567_890);
    let of_chat = format!("chat_id=Integer({chat}) ");
    let stats = opened.rows("chat_stats");
    let days: Vec<_> = stats.iter().filter_map(|row| row.strip_prefix(&of_chat)).collect();
    let day = |day: &str, count: u32, first: usize, last: usize| {
        let (first, last) = (moment(first), moment(last));
        format!("date=\"{day} 00:00:00\" messages_count=Integer({count}) created_at=\"{first}\" updated_at=\"{last}\" ")
    };
    assert_eq!(days, [day("2025-01-01", 2, 7, 16), day("2025-01-02", 2, 19, 20), day("2025-01-04", 2, 55, 56)]);
}

fn as_multiset(answer: Value) -> Value {
    let Value::Array(mut rows) = answer else { panic!("an unordered answer is a list") };
    rows.sort_by_cached_key(Value::to_string);
    Value::Array(rows)
}
