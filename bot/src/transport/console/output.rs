//! What the console prints: replies and complaints, made safe for a terminal.

use std::io::{self, Write};

use crate::text::sanitize::sanitize;

/// Prints a reply, made safe and ended by a line break, and sends it off.
pub(super) fn print(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let text = sanitize(text.strip_suffix('\n').unwrap_or(text));
    out.write_all(format!("{text}\n").as_bytes())?;
    out.flush()
}

/// Tells what is no reply. That it cannot be told is no reason to stop.
pub(super) fn tell(err: &mut dyn Write, what: &str) {
    let _ = err.write_all(format!("error: {}\n", sanitize(what)).as_bytes()).and_then(|()| err.flush());
}

/// An error in words, with what led to it.
pub(in crate::transport) fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Some errors repeat their source already.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
