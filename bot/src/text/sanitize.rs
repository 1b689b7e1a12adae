//! Makes text that strangers wrote safe to print: nothing in it can move the cursor, change colours or titles,
//! answer for the user or turn the line round.
//!
//! What a terminal would obey is shown instead of sent. Control characters become their pictures (ESC is `␛`,
//! from the Unicode block *Control Pictures*); those without a picture (U+0080 to U+009F, which some terminals
//! take for escape sequences, and the bidirectional embeddings, overrides and isolates) become U+FFFD. The marks
//! U+200E, U+200F and U+061C stay: they have no reach beyond their neighbours, and texts in Arabic and Hebrew need
//! them.
//!
//! It is done whether or not the output is a terminal: what goes through a pipe is most often seen in one in the
//! end. Programs that want the exact text read it from the database or from a transport made for programs.

use std::borrow::Cow;

/// The text with all but line breaks and tabs made visible. `\r\n` is a line break.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    replace(text, |c| matches!(c, '\n' | '\t'))
}

/// The text as one line: line breaks and tabs are made visible too. For names, titles and labels.
pub fn sanitize_line(text: &str) -> Cow<'_, str> {
    replace(text, |_| false)
}

fn replace(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let unsafe_char = |c: char| !stays(c) && picture(c).is_some();
    let Some(first) = text.find(unsafe_char) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    let mut rest = text[first..].chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        safe.push(if stays(c) { c } else { picture(c).unwrap_or(c) });
    }
    Cow::Owned(safe)
}

/// What is shown for a character that must not be sent.
fn picture(c: char) -> Option<char> {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
        '\x7f' => Some('\u{2421}'),
        // The line and paragraph separators: the picture of a line break.
        '\u{2028}' | '\u{2029}' => Some('\u{2424}'),
        // C1; embeddings and overrides; isolates and the deprecated formats after them; interlinear annotation.
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => {
            Some(char::REPLACEMENT_CHARACTER)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, safe) in [
            ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
            ("\x1b]0;title\x07", "␛]0;title␇"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c"),
            ("over\rwritten", "over␍written"),
            ("del\x7f\x08\0", "del␡␈␀"),
            ("one\r\ntwo\r\r\n\tthree\n", "one\ntwo␍\n\tthree\n"),
            ("para\u{2029}graph", "para␤graph"),
        ] {
            assert_eq!(sanitize(text), safe, "{text:?}");
        }
        assert_eq!(sanitize_line("a\r\nb\tc\n"), "a␊b␉c␊");
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        for text in ["plain\n\ttext", "日本語 👩‍👩‍👧 e\u{301}", "שלום\u{200f} abc", ""] {
            assert!(matches!(sanitize(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    fn nasty() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            any::<char>(),
            (0_u32..0xa0).prop_filter_map("a char", char::from_u32),
            (0x2000_u32..0x2070).prop_filter_map("a char", char::from_u32),
            Just('\r'),
            Just('\n'),
        ];
        prop::collection::vec(part, 0..60).prop_map(|parts| parts.into_iter().collect())
    }

    proptest! {
        #[test]
        fn nothing_to_obey_is_left_and_twice_is_once(text in nasty()) {
            let safe = sanitize(&text);
            prop_assert!(!safe.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            let turns = safe.contains(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
            prop_assert!(!turns);
            prop_assert_eq!(sanitize(&safe), safe.clone());
            let line = sanitize_line(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(sanitize_line(&line), line.clone());
            prop_assert_eq!(sanitize_line(&safe), line);
        }
    }
}
