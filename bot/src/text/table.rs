//! Tables for a terminal and for pipes: columns that line up, the last of them cut where the terminal ends.

use unicode_width::UnicodeWidthStr;

use super::chart::fit;
use super::sanitize::sanitize_line;

/// Between two columns.
const GAP: &str = "  ";
/// How wide a column is at most in a terminal, unless it is the last one.
const MOST_COLUMNS: usize = 24;

/// A column's head, and which side its cells lean to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// The table, a line for the heads and one for each row. In a terminal of so many columns nothing is wider; what is cut
/// off the last cell is its beginning, as suits paths.
pub fn table(columns: &[Column], rows: &[Vec<String>], terminal: Option<usize>) -> String {
    let heads = columns.iter().map(|column| match column {
        Column::Left(head) | Column::Right(head) => (*head).to_owned(),
    });
    let most = terminal.map_or(usize::MAX, |_| MOST_COLUMNS);
    let clean = |(place, cell): (usize, &String)| {
        let cell = sanitize_line(cell);
        if place + 1 < columns.len() { fit(&cell, most) } else { cell.into_owned() }
    };
    let mut lines = vec![heads.collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| row.iter().enumerate().map(clean).collect()));
    let width = |place: usize| lines.iter().filter_map(|line| line.get(place)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|place| width(place).unwrap_or_default()).collect();
    let before_last: usize = widths.iter().rev().skip(1).map(|width| width + GAP.len()).sum();
    let mut text = String::new();
    for line in &lines {
        let mut written = Vec::new();
        for (place, (cell, column)) in line.iter().zip(columns).enumerate() {
            let blanks = " ".repeat(widths[place].saturating_sub(cell.width()));
            let is_last = place + 1 == columns.len();
            written.push(match (column, is_last) {
                (Column::Left(_), true) => {
                    terminal.map_or_else(|| cell.clone(), |columns| fit_end(cell, columns.saturating_sub(before_last)))
                }
                (Column::Left(_), false) => cell.clone() + &blanks,
                (Column::Right(_), _) => blanks + cell,
            });
        }
        let line = written.join(GAP);
        text.push_str(&terminal.map_or_else(|| line.clone(), |columns| fit(&line, columns)));
        text.push('\n');
    }
    text
}

/// The end of a text in so many columns, with `…` where something is missing before it.
fn fit_end(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut start = text.len();
    for (at, _) in text.char_indices().rev() {
        if text[at..].width() + 1 > columns {
            break;
        }
        start = at;
    }
    if columns == 0 { String::new() } else { format!("…{}", &text[start..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::Left("NAME"), Column::Right("CHATS"), Column::Left("PATH")];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![row(["primary", "1,234", "/var/lib/bot/bot.db"]), row(["a", "5", "/srv/日本/a.db"])]
    }

    #[test]
    fn columns_line_up_and_nothing_is_cut_in_a_pipe() {
        assert_eq!(
            table(&COLUMNS, &rows(), None),
            "NAME     CHATS  PATH\n\
             primary  1,234  /var/lib/bot/bot.db\n\
             a            5  /srv/日本/a.db\n"
        );
    }

    #[test]
    fn a_terminal_shows_the_ends_of_paths() {
        assert_eq!(
            table(&COLUMNS, &rows(), Some(28)),
            "NAME     CHATS  PATH\n\
             primary  1,234  …/bot/bot.db\n\
             a            5  …v/日本/a.db\n"
        );
        for columns in 0..60 {
            assert!(table(&COLUMNS, &rows(), Some(columns)).lines().all(|line| line.width() <= columns), "{columns}");
        }
    }

    #[test]
    fn cells_cannot_disturb_the_terminal() {
        let row = vec!["\x1b[2J".to_owned(), "1".to_owned(), "/a\nb".to_owned()];
        assert!(!table(&COLUMNS, &[row], None).contains('\x1b'));
    }
}
