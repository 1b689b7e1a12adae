//! Horizontal bar charts out of characters, for a fixed-width font:
//!
//! ```text
//! Ann Ö'Hara  12,345 ████████████████████
//! Bob            678 █▏
//! ```

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::sanitize::sanitize_line;

/// Blocks of one to eight eighths of a column.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// As many columns are kept for the bars before long labels may take more than their quarter.
const BAR_COLUMNS: usize = 20;
/// Between label and value, and between value and bar.
const LABEL_GAP: usize = 2;
const BAR_GAP: usize = 1;

/// One line for each row, none of them wider than `columns`.
///
/// The longest bar takes all the width that labels and values leave; the others are to scale, to an eighth of a
/// column, and a value that is not zero always shows. Labels are cut with `…` where they take too much, and made
/// safe to print. In narrow places labels shrink and go, bars too, and last of all digits (with `…`).
pub fn bar_chart<L: AsRef<str>>(rows: &[(L, u64)], columns: usize) -> Vec<String> {
    let labels: Vec<_> = rows.iter().map(|(label, _)| sanitize_line(label.as_ref())).collect();
    let values: Vec<_> = rows.iter().map(|&(_, value)| thousands(value)).collect();
    let value_columns = values.iter().map(String::len).max().unwrap_or(0).min(columns);

    // Ends of very long labels do not matter: they are cut.
    let quarter = columns / 4;
    let beside_bars = columns.saturating_sub(value_columns + LABEL_GAP + BAR_GAP + BAR_COLUMNS).max(quarter);
    let beside_values = columns.saturating_sub(value_columns + LABEL_GAP);
    let label_limit = beside_bars.min(beside_values);
    let labels: Vec<_> = labels.iter().map(|label| fit(label, label_limit)).collect();
    let label_columns = labels.iter().map(|label| label.width()).max().unwrap_or(0);

    let before_value = if label_columns == 0 { 0 } else { label_columns + LABEL_GAP };
    let bar_columns = columns.saturating_sub(before_value + value_columns + BAR_GAP);
    let greatest = rows.iter().map(|&(_, value)| value).max().unwrap_or(0);

    let line = |((label, value), &(_, number)): ((&String, &String), &(L, u64))| {
        let mut line = label.clone();
        let value = fit(value, value_columns);
        let blanks = before_value.saturating_sub(label.width()) + value_columns.saturating_sub(value.width());
        line.extend(std::iter::repeat_n(' ', blanks));
        line.push_str(&value);
        let bar = bar(number, greatest, bar_columns);
        if !bar.is_empty() {
            line.push(' ');
            line.push_str(&bar);
        }
        line
    };
    labels.iter().zip(&values).zip(rows).map(line).collect()
}

/// A number with its thousands set apart: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in words that fit one as well: `1 day`, `1,234 days`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// The text, cut to so many columns between two characters as a reader sees them, with `…` where something is missing.
///
/// Expects one line without control characters ([`sanitize_line`]).
pub fn fit(text: &str, columns: usize) -> String {
    // Accents can be piled up without end and without width: more than a reader could tell apart is cut as well.
    let most_chars = columns.saturating_mul(8).saturating_add(16);
    if text.chars().nth(most_chars).is_none() && text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let mut cut = String::new();
    let (mut width, mut chars) = (0, 0);
    for grapheme in text.graphemes(true) {
        width += grapheme.width();
        chars += grapheme.chars().count();
        if width > room || chars > most_chars {
            break;
        }
        cut.push_str(grapheme);
    }
    cut.push('…');
    // Neighbours can differ in width from the sum of their parts.
    while cut.width() > columns {
        let Some((at, _)) = cut.grapheme_indices(true).rev().nth(1) else { break };
        cut.truncate(at);
        cut.push('…');
    }
    cut
}

/// A bar to scale; shorter than an eighth of a column only where the value is zero or there is no room.
fn bar(value: u64, greatest: u64, columns: usize) -> String {
    if value == 0 || columns == 0 {
        return String::new();
    }
    let full = columns as u128 * 8;
    let greatest = u128::from(greatest.max(value));
    let eighths = ((u128::from(value) * full + greatest / 2) / greatest).max(1);
    let eighths = usize::try_from(eighths).unwrap_or(columns * 8);
    let mut bar: String = std::iter::repeat_n('█', eighths / 8).collect();
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[part]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chart(rows: &[(&str, u64)], columns: usize) -> String {
        bar_chart(rows, columns).join("\n")
    }

    #[test]
    fn bars_are_to_scale_and_columns_line_up() {
        let rows = [("Ann", 12_345), ("日本 語", 6_172), ("e\u{301}mile", 1), ("nobody", 0)];
        assert_eq!(
            chart(&rows, 35),
            "Ann      12,345 ███████████████████\n\
             日本 語   6,172 █████████▌\n\
             e\u{301}mile         1 ▏\n\
             nobody        0"
        );
    }

    #[test]
    fn long_labels_are_cut_between_characters() {
        assert_eq!(
            chart(&[("a very long name indeed", 10), ("b", 5)], 30),
            "a very…  10 ██████████████████\nb         5 █████████"
        );
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("ae\u{301}e\u{301}e\u{301}", 3), "ae\u{301}…");
        assert_eq!(fit("👩‍👩‍👧👩‍👩‍👧", 3), "👩‍👩‍👧…");
        assert_eq!((fit("abc", 3), fit("abc", 1), fit("abc", 0)), ("abc".into(), "…".into(), String::new()));
        assert_eq!(fit("e\u{301}", 1), "e\u{301}");
        assert!(fit(&format!("e{}", "\u{301}".repeat(10_000)), 10).len() < 100);
    }

    #[test]
    fn labels_cannot_disturb_the_terminal() {
        assert_eq!(chart(&[("\x1b[2Jx\ny\u{202e}", 1)], 40), "␛[2Jx␊y\u{fffd}  1 ████████████████████████████");
    }

    #[test]
    fn narrow_places_still_show_the_values() {
        let rows = [("Ann", 12_345)];
        assert_eq!(chart(&rows, 12), "Ann  12,345");
        assert_eq!(chart(&rows, 8), "12,345 █");
        assert_eq!(chart(&rows, 6), "12,345");
        assert_eq!(chart(&rows, 3), "12…");
        assert_eq!(chart(&rows, 0), "");
    }

    #[test]
    fn the_greatest_numbers_are_drawn() {
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!((thousands(0), thousands(999), thousands(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(bar(u64::MAX, u64::MAX, 3), "███");
        assert_eq!(bar_chart::<&str>(&[], 80), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_what_is_there_shows(
            rows in prop::collection::vec(("\\PC{0,30}|.{0,20}|[\u{600}-\u{6ff}\u{200d}\u{300}]{0,20}", prop_oneof![any::<u64>(), 0_u64..2000]), 0..8),
            columns in 0_usize..120,
        ) {
            let lines = bar_chart(&rows, columns);
            prop_assert_eq!(lines.len(), rows.len());
            for (line, (_, value)) in lines.iter().zip(&rows) {
                prop_assert!(line.width() <= columns, "{:?} is {} wide, {} asked", line, line.width(), columns);
                prop_assert!(!line.chars().any(char::is_control));
                if columns >= 60 {
                    prop_assert_eq!(*value > 0, line.ends_with(EIGHTHS));
                }
            }
        }

        #[test]
        fn a_greater_value_never_has_the_shorter_bar(a in any::<u64>(), b in any::<u64>(), columns in 1_usize..80) {
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(bar(less, more, columns).chars().count() <= bar(more, more, columns).chars().count());
            prop_assert_eq!(bar(more, more, columns).chars().count(), if more == 0 { 0 } else { columns });
        }
    }
}
