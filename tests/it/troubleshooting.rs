//! `docs/troubleshooting.md` tells of every error and every state that there is: what they say is read from the source,
//! so that a new one is missed here until it is documented.

use std::path::Path;

/// The files whose errors operators can see.
const ERRORS: [&str; 9] = [
    "internal/database/src/error.rs",
    "internal/database/src/source/open_error.rs",
    "internal/database/src/maintenance/error.rs",
    "internal/database/src/multi/reload.rs",
    "internal/database/src/multi/relocate/error.rs",
    "internal/database/src/multi/seal.rs",
    "bot/src/databases.rs",
    "bot/src/control/client.rs",
    "bot/src/app.rs",
];
const DOCUMENT: &str = "docs/troubleshooting.md";
/// So many letters tell one message from all others.
const TELLING: usize = 40;
/// Fewer tell nothing.
const FEWEST: usize = 8;

fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(file)).unwrap()
}

/// A text with one blank for every white space.
fn in_a_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The literal that a source text begins with, as the compiler reads it.
fn literal(source: &str) -> Option<String> {
    let mut letters = source.trim_start().strip_prefix('"')?.chars().peekable();
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => match letters.next()? {
                '\n' => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                'n' => text.push(' '),
                other => text.push(other),
            },
            letter => text.push(letter),
        }
    }
}

/// The longest part of a message that is the same each time, without what stands around it.
fn fixed(message: &str) -> String {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in message.chars() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            letter if depth == 0 => parts.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    let bare = |part: &String| part.trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned();
    parts.iter().map(bare).max_by_key(String::len).unwrap()
}

/// The words by which a message is known; `None` where it has none of its own.
fn telling(message: &str) -> Option<String> {
    let clause = fixed(message.split(';').next().unwrap());
    let words = if clause.len() < FEWEST { fixed(message) } else { clause };
    let end = words.char_indices().map(|(at, _)| at).find(|at| *at > TELLING && words[*at..].starts_with(' '));
    let words = in_a_line(&words[..end.unwrap_or(words.len())]);
    (words.len() >= FEWEST).then_some(words)
}

fn messages(file: &str) -> Vec<String> {
    read(file).split("#[error(").skip(1).filter_map(literal).collect()
}

#[test]
fn every_error_stands_in_the_document() {
    let document = in_a_line(&read(DOCUMENT));
    let mut missing = Vec::new();
    for file in ERRORS {
        let messages = messages(file);
        assert!(messages.len() > 3, "{file}");
        for words in messages.iter().filter_map(|message| telling(message)) {
            if !document.contains(&words) {
                missing.push(format!("{file}: {words}"));
            }
        }
    }
    assert!(missing.is_empty(), "{DOCUMENT} does not tell of\n{}", missing.join("\n"));
}

#[test]
fn every_way_in_which_a_file_is_not_the_sources_own_stands_in_the_document() {
    let document = in_a_line(&read(DOCUMENT));
    let mut found = 0;
    for file in ["internal/database/src/multi/identity.rs", "internal/database/src/multi/identity_default.rs"] {
        let source = read(file);
        // What is wrong is said behind the file's path.
        for beginning in ["\"is ", "\"belongs ", "\"cannot be "] {
            for (at, _) in source.match_indices(beginning) {
                let words = telling(&literal(&source[at..]).unwrap()).unwrap();
                found += 1;
                assert!(document.contains(&words), "{file}: {words}");
            }
        }
    }
    assert!(found >= 8, "{found}");
}

#[test]
fn every_reason_why_a_chat_can_be_asked_nowhere_stands_in_the_document() {
    let document = in_a_line(&read(DOCUMENT));
    let beginnings = ["\"whether the chat ", "\"the chat was moved ", "\"a chat was moved to "];
    let mut found = 0;
    for file in ["internal/database/src/multi/departed.rs", "internal/database/src/multi/routes.rs"] {
        let source = read(file);
        for (at, _) in beginnings.iter().flat_map(|beginning| source.match_indices(beginning)) {
            let words = telling(&literal(&source[at..]).unwrap()).unwrap();
            found += 1;
            assert!(document.contains(&words), "{file}: {words}");
        }
    }
    assert!(found >= 4, "{found}");
}

#[test]
fn every_state_stands_in_the_document() {
    let document = read(DOCUMENT);
    let source = read("bot/src/control/report.rs");
    let words = source.split("impl fmt::Display for State").nth(1).unwrap().split("\n}\n").next().unwrap();
    let states: Vec<_> = words.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(states.len(), 8);
    for state in states {
        assert!(document.contains(&format!("| `{state}` |")), "{state}");
    }
}

#[test]
fn words_are_found_as_they_are_said() {
    assert_eq!(literal(" \"a \\\n   b \\\"c\\\"\", x)").as_deref(), Some("a b \"c\""));
    assert_eq!(telling("{path} is a directory; name a file").as_deref(), Some("is a directory"));
    assert_eq!(telling("{path} {what}; {remedy}"), None);
    let long = "one two three four five six seven eight nine ten";
    assert_eq!(telling(long).as_deref(), Some("one two three four five six seven eight nine"));
}
