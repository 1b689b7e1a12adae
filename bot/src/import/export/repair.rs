//! A reader that turns the two known invalidities of real exports into valid JSON while it reads, and knows where in
//! the original it is.
//!
//! - Every version writes a control character inside a string as `\x1E`, which JSON does not know: it becomes `\u001E`.
//! - Telegram Desktop 4.1 writes a custom emoji as `"document_id": video_files/sticker (2).webm`, without quotes
//!   (tdesktop issues 24961 and 24984): the rest of the line becomes a string.
//!
//! Everything else passes unchanged, valid or not: judging it is the parser's work. No line is added or removed.
//! Clean bytes are served straight from the read buffer; only a repaired piece is put together elsewhere.

use std::io::{self, Read};
use std::rc::Rc;

use super::error::Place;
use super::position::Position;

const BUFFER: usize = 64 * 1024;
/// A repaired value lies on one line; a longer line is left as it is. Well below [`BUFFER`].
const LOOK_AHEAD: usize = 4096;
const KEY: &[u8] = b"\"document_id\"";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The repairing reader. See the module.
pub(crate) struct Repair<R> {
    input: R,
    raw: Box<[u8]>,
    /// `raw[at..clean]` may be served as it is, `raw[clean..filled]` has not been looked at.
    at: usize,
    clean: usize,
    filled: usize,
    /// Offset in the original of `raw[0]`.
    base: u64,
    ended: bool,
    in_string: bool,
    /// A repaired piece, served from `patch_at`; it stands for `patch_raw` bytes from `raw[at]`.
    patch: Vec<u8>,
    patch_at: usize,
    patch_raw: usize,
    head: Vec<u8>,
    started: bool,
    position: Rc<Position>,
    repairs: u64,
}

impl<R: Read> Repair<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            raw: vec![0; BUFFER].into_boxed_slice(),
            at: 0,
            clean: 0,
            filled: 0,
            base: 0,
            ended: false,
            in_string: false,
            patch: Vec::new(),
            patch_at: 0,
            patch_raw: 0,
            head: Vec::new(),
            started: false,
            position: Rc::default(),
            repairs: 0,
        }
    }

    /// Where the parser is, to be asked while it holds this reader.
    pub(crate) fn position(&self) -> Rc<Position> {
        Rc::clone(&self.position)
    }

    /// How many places were repaired.
    pub(crate) fn repairs(&self) -> u64 {
        self.repairs
    }

    /// The first bytes of the document: they tell what a file is that is no JSON.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The place behind the last byte that the input gave.
    pub(crate) fn end(&self) -> Place {
        let unserved = self.raw[self.at..self.filled].iter().filter(|byte| **byte == b'\n').count() as u64;
        Place { line: self.position.next_line() + unserved, byte: self.base + self.filled as u64 }
    }

    /// The next `wanted` bytes from `raw[clean]` on, fewer only at the end of the input. `raw[..clean]` must have been
    /// served. Never more: what is decided must not depend on how the input comes.
    fn look_ahead(&mut self, wanted: usize) -> io::Result<&[u8]> {
        debug_assert_eq!(self.at, self.clean);
        while self.filled - self.clean < wanted && !self.ended {
            let full = self.raw.len() - self.clean < wanted || self.clean == self.filled;
            if self.clean > 0 && full {
                self.raw.copy_within(self.clean..self.filled, 0);
                self.base += self.clean as u64;
                self.filled -= self.clean;
                self.at = 0;
                self.clean = 0;
            }
            match self.input.read(&mut self.raw[self.filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The parser may ask again, to close what is open: the first answer stands.
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(&self.raw[self.clean..self.filled.min(self.clean + wanted)])
    }

    /// Finds the next bytes to serve: a clean run or a patch. Neither at the end of the input.
    fn advance(&mut self) -> io::Result<()> {
        if !self.started {
            let head = self.look_ahead(512)?;
            let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            self.head = head[mark..].to_vec();
            self.started = true;
            self.position.skip_mark(mark);
            self.clean += mark;
            self.at = self.clean;
        }
        while self.clean == self.at && self.patch.is_empty() {
            // A piece that has to be seen whole is only ever looked at with nothing left to serve before it.
            match self.look_ahead(1)?.first().copied() {
                None => return Ok(()),
                Some(b'\\') if self.in_string => self.escape()?,
                Some(b'"') if !self.in_string => self.open_string()?,
                Some(_) => {}
            }
            if self.patch.is_empty() {
                self.run();
            }
        }
        Ok(())
    }

    /// Extends the clean run up to the next byte that may want repair.
    fn run(&mut self) {
        while let Some(&byte) = self.raw[..self.filled].get(self.clean) {
            match byte {
                b'"' if self.in_string => self.in_string = false,
                b'"' => return,
                b'\\' if self.in_string => return,
                _ => {}
            }
            self.clean += 1;
        }
    }

    /// At a backslash inside a string.
    fn escape(&mut self) -> io::Result<()> {
        match *self.look_ahead(4)? {
            [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                self.patch_with(4, |patch| patch.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]));
            }
            // Cut short: made into what is cut short in valid JSON.
            [_, b'x', ref rest @ ..] if rest.len() < 2 && rest.iter().all(u8::is_ascii_hexdigit) => {
                let rest = rest.to_vec();
                self.patch_with(2 + rest.len(), |patch| patch.extend([b"\\u00", &rest[..]].concat()));
            }
            [_, _, ..] => self.clean += 2,
            _ => self.clean += 1,
        }
        Ok(())
    }

    /// At a quote that opens a string.
    fn open_string(&mut self) -> io::Result<()> {
        if self.look_ahead(KEY.len())?.starts_with(KEY)
            && let Some((from, to)) = unquoted_value(self.look_ahead(LOOK_AHEAD)?)
        {
            let value = self.raw[self.clean + from..self.clean + to].to_vec();
            let before = self.raw[self.clean..self.clean + from].to_vec();
            self.patch_with(to, |patch| {
                patch.extend_from_slice(&before);
                quote(&value, patch);
            });
            return Ok(());
        }
        self.in_string = true;
        self.clean += 1;
        Ok(())
    }

    fn patch_with(&mut self, raw: usize, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.patch);
        self.patch_raw = raw;
        self.repairs += 1;
    }
}

impl<R: Read> Read for Repair<R> {
    // The parser asks for one byte at a time: this makes the place exact, and is why that case comes first.
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let ([into], true) = (&mut *into, self.at < self.clean) {
            *into = self.raw[self.at];
            self.position.serve(*into);
            self.at += 1;
            return Ok(1);
        }
        self.read_more(into)
    }
}

impl<R: Read> Repair<R> {
    fn read_more(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.at == self.clean && self.patch.is_empty() {
            self.advance()?;
        }
        if self.at < self.clean {
            let count = into.len().min(self.clean - self.at);
            let bytes = &self.raw[self.at..self.at + count];
            into[..count].copy_from_slice(bytes);
            bytes.iter().for_each(|byte| self.position.serve(*byte));
            self.at += count;
            return Ok(count);
        }
        let rest = &self.patch[self.patch_at..];
        let count = into.len().min(rest.len());
        if count > 0 {
            into[..count].copy_from_slice(&rest[..count]);
            self.patch_at += count;
            if self.patch_at == self.patch.len() {
                self.position.serve_patch(self.patch_raw, self.patch.len());
                self.patch.clear();
                self.patch_at = 0;
                self.at += self.patch_raw;
                self.clean = self.at;
            }
        }
        Ok(count)
    }
}

/// Where the value lies that wants quotes, in bytes that begin with the key; `None` where JSON can read what is there.
fn unquoted_value(text: &[u8]) -> Option<(usize, usize)> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let skip_blanks = |at: usize| at + text[at..].iter().take_while(|byte| blank(byte)).count();
    let colon = skip_blanks(KEY.len());
    if text.get(colon) != Some(&b':') {
        return None;
    }
    let from = skip_blanks(colon + 1);
    let line = &text[from..];
    let end = line.iter().position(|byte| *byte == b'\n');
    // A line without an end is too long to judge, or the file is cut short.
    let end = end.or((text.len() < LOOK_AHEAD).then_some(line.len()))?;
    let line = &line[..end];
    match line.first() {
        Some(b'"' | b'{' | b'[') => return None,
        Some(b',' | b'}' | b']') => return Some((colon + 1, colon + 1)),
        Some(_) if is_json_word(line) => return None,
        Some(_) => {}
        None => {
            // Nothing on this line. Valid JSON may go on below; where the object ends there, the value is empty.
            let below = text[from..].iter().find(|byte| !blank(byte) && **byte != b'\n');
            return (below == Some(&b'}')).then_some((colon + 1, colon + 1));
        }
    }
    let trimmed = line.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b",").unwrap_or(trimmed).trim_ascii_end();
    Some((from, from + trimmed.len()))
}

/// Whether the line begins with a number, `true`, `false` or `null` that ends where JSON lets it end.
fn is_json_word(line: &[u8]) -> bool {
    let length = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let ends = matches!(line[length..].trim_ascii_start().first(), None | Some(b',' | b'}' | b']'));
    ends && serde_json::from_slice::<serde::de::IgnoredAny>(&line[..length]).is_ok()
}

fn quote(value: &[u8], into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    into.push(b'"');
    for &byte in value {
        match byte {
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', byte]),
            0..=0x1F => {
                into.extend_from_slice(b"\\u00");
                into.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
