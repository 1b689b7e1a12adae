//! What came of the rows, as Markdown.

use std::fmt::Write;

use contest::Outcome;

use crate::rows::{Against, Measure, Question, Row, TOGETHER};
use crate::turns::Results;

/// The table of all questions.
#[derive(Default)]
pub(crate) struct Summary {
    lines: String,
}

/// Of so many ratios the middle one, the smallest, the largest.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

/// One row in full: every contender.
pub(crate) fn detail(row: &Row, results: &Results) -> String {
    let turns = results.of.first().map_or(0, Vec::len);
    let mut text = format!("### {} (`{}`)\n\n", row.title, row.name);
    let _ = writeln!(
        text,
        "| contender | SQLite | calls/s | p50 | p99 | p99, corrected | max | CPU a call | BUSY | failed | first against it |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for (entrant, outcomes) in row.entrants.iter().zip(&results.of) {
        let middle = |of: fn(&Outcome) -> f64| spread(outcomes.iter().map(of)).median;
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
        let ratio = ratios(Measure::Rate, &results.of[0], outcomes).median;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {ratio:.2} |",
            entrant.label,
            outcomes.first().map_or("", |outcome| &outcome.sqlite),
            thousands(middle(Outcome::rate)),
            time(middle(|outcome| outcome.p50 as f64)),
            time(middle(|outcome| outcome.p99 as f64)),
            time(middle(|outcome| outcome.p99_corrected as f64)),
            time(outcomes.iter().map(|outcome| outcome.max).max().unwrap_or_default() as f64),
            time(middle(|outcome| outcome.cpu as f64 / outcome.ops.max(1) as f64)),
            sum(|outcome| outcome.busy),
            sum(|outcome| outcome.failed),
        );
    }
    let _ = writeln!(
        text,
        "\nMedians of {turns} turns; max, BUSY and failed are of all turns together. Other programs used {} % of the \
         processors meanwhile.",
        results.others
    );
    let last = |outcomes: &Vec<Outcome>| outcomes.last().and_then(|outcome| outcome.memory);
    for (entrant, (early, end)) in row.entrants.iter().zip(&results.of).filter_map(|(e, of)| Some((e, last(of)?))) {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let _ = writeln!(
            text,
            "\nMemory of {}: {:.1} MB a tenth in, {:.1} MB at the end.",
            entrant.label,
            mb(early),
            mb(end)
        );
    }
    for fault in &results.faults {
        let _ = writeln!(text, "\n**{fault}**");
    }
    text.push('\n');
    text
}

impl Summary {
    pub(crate) fn add(&mut self, row: &Row, results: &Results) {
        let ours = &results.of[0];
        let errors: u64 = ours.iter().map(|outcome| outcome.busy + outcome.failed).sum();
        for Question { text, measure, against, floor, aim } in &row.questions {
            let other = match against {
                Against::One(label) => row.entrants.iter().position(|entrant| entrant.label == *label),
                Against::Best => best(row, results),
                Against::Itself => Some(0),
            };
            let Some(other) = other else { continue };
            let found = ratios(*measure, ours, &results.of[other]);
            let at_least = matches!(measure, Measure::Rate);
            let is_kept = |limit: f64| if at_least { found.median >= limit } else { found.median <= limit };
            let verdict = match (errors, is_kept(*aim), is_kept(*floor)) {
                (1.., ..) => format!("{errors} errors"),
                (_, true, _) => "aim".to_owned(),
                (_, _, true) => "floor".to_owned(),
                _ => "**missed**".to_owned(),
            };
            let named = match against {
                Against::Best => format!("{text} ({})", row.entrants[other].label),
                _ => (*text).to_owned(),
            };
            let limit = |value: f64| if value.is_finite() && value > 0.0 { value.to_string() } else { "-".to_owned() };
            let sign = if at_least { "≥" } else { "≤" };
            let _ = writeln!(
                self.lines,
                "| {} | {named} | {:.3} ({:.3} to {:.3}) | {sign} {} | {sign} {} | {verdict} |",
                row.title,
                found.median,
                found.least,
                found.most,
                limit(*floor),
                limit(*aim),
            );
        }
    }

    pub(crate) fn print(&self) -> String {
        let head = "| work | ratio | median of the turns | floor | aim | reached |\n|---|---|---|---|---|---|\n";
        format!("### All\n\n{head}{}", self.lines)
    }
}

/// The contender of others that did most.
fn best(row: &Row, results: &Results) -> Option<usize> {
    let rate = |number: &usize| spread(results.of[*number].iter().map(Outcome::rate)).median;
    let is_peer = |number: &usize| {
        let label = &row.entrants[*number].label;
        !label.starts_with("ours") && label != TOGETHER
    };
    let others = (0..row.entrants.len()).filter(is_peer);
    others.max_by(|one, other| rate(one).total_cmp(&rate(other)))
}

/// One against another, turn by turn.
fn ratios(measure: Measure, ours: &[Outcome], others: &[Outcome]) -> Spread {
    let ratio = |(ours, other): (&Outcome, &Outcome)| match measure {
        Measure::Rate => ours.rate() / other.rate(),
        Measure::P99 => ours.p99 as f64 / other.p99 as f64,
        Measure::P99Corrected => ours.p99_corrected as f64 / other.p99_corrected as f64,
        Measure::P50 => ours.p50 as f64 / other.p50 as f64,
        Measure::Within => other.rate() / ours.rate(),
        // Of the other, which is the same one where it is asked of itself.
        Measure::Memory => other.memory.map_or(f64::NAN, |(early, end)| end as f64 / early as f64),
    };
    spread(ours.iter().zip(others).map(ratio))
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) };
    Spread { median, least: at(0), most: at(values.len().wrapping_sub(1)) }
}

fn time(nanos: f64) -> String {
    match nanos {
        0.0 => "-".to_owned(),
        nanos if nanos < 1e3 => format!("{nanos:.0} ns"),
        nanos if nanos < 1e5 => format!("{:.1} µs", nanos / 1e3),
        nanos if nanos < 1e6 => format!("{:.0} µs", nanos / 1e3),
        nanos if nanos < 1e8 => format!("{:.1} ms", nanos / 1e6),
        nanos => format!("{:.0} ms", nanos / 1e6),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_middle_in_the_middle() {
        let of = |values: &[f64]| spread(values.iter().copied()).median;
        assert_eq!((of(&[3.0, 1.0, 2.0]), of(&[1.0, 4.0, 2.0, 3.0])), (2.0, 2.5));
        assert!(of(&[]).is_nan());
        assert_eq!((thousands(1_234_567.4), thousands(12.0)), ("1,234,567".to_owned(), "12".to_owned()));
    }
}
