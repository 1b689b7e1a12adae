//! What earlier releases answered, call by call: the definition of "single-source behaviour is unchanged".

mod args;
mod call;
mod compare;
mod setting;
mod snapshots;
mod times;

pub(crate) use call::call;

use database::{DatabaseWrapper, Timestamp};
use serde_json::{Map, Value};

use crate::support::{HandClock, time};

/// One recorded call.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) args: Map<String, Value>,
    /// What it answered.
    pub(crate) result: Value,
    /// Whether the answer is a list whose order was not defined.
    pub(crate) unordered: bool,
}

pub(crate) fn lines() -> Vec<Line> {
    let text = include_str!("../../fixtures/golden/single-source.jsonl");
    let lines: Vec<_> = text.lines().map(|line| parse(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(lines.len(), 175, "the golden file is complete");
    lines
}

fn parse(line: Value) -> Line {
    let Value::Object(mut line) = line else { panic!("a line is an object") };
    let Some(Value::String(name)) = line.remove("call") else { panic!("no `call`") };
    let Some(Value::Object(args)) = line.remove("args") else { panic!("no `args`") };
    let result = line.remove("result").expect("`result`");
    let unordered = line.remove("unordered").is_some_and(|unordered| unordered == Value::Bool(true));
    assert!(line.is_empty(), "unknown keys: {line:?}");
    Line { name, args, result, unordered }
}

/// The moment of a call: one second after the one before.
pub(crate) fn moment(index: usize) -> Timestamp {
    time("2026-03-01 08:00:00").saturating_add_seconds(i64::try_from(index).unwrap())
}

/// Makes all calls on a database, which reads its time from `clock`, and gives each line with its answer.
pub(crate) fn play(db: &DatabaseWrapper, clock: &HandClock) -> Vec<(Line, Value)> {
    let played = lines().into_iter().enumerate().map(|(index, line)| {
        clock.set(moment(index));
        let answer = call(db, &line.name, &line.args);
        (line, answer)
    });
    played.collect()
}
