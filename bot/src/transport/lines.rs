//! One message a line out of a pipe or file: bounded in memory, with bad lines told apart from the end.

use std::fmt;
use std::io::{self, BufRead};

/// How long a message may be, in bytes.
pub(super) const LINE_LIMIT: usize = 1024 * 1024;

/// The line of this number (from 1) is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) line: u64,
    pub(super) why: Why,
}

/// Why a line is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is no text; `byte` counts from 1 within the line.
    NotUtf8 { byte: usize },
    /// It is longer than a message may be.
    TooLong { limit: usize },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, why } = self;
        write!(f, "line {line} {why} and was skipped")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { byte } => write!(f, "is not UTF-8 (at byte {byte})"),
            Self::TooLong { limit } => write!(f, "is longer than {limit} bytes"),
        }
    }
}

/// The lines of a reader, without their line breaks.
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, number: 0 }
    }

    /// The number (from 1) of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Result<String, Refusal>>> {
        let mut line = Vec::new();
        loop {
            let Some(kept) = self.read(&mut line)? else { return Ok(None) };
            self.number += 1;
            if !kept {
                return Ok(Some(Err(self.refuse(Why::TooLong { limit: self.limit }))));
            }
            if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            if line.ends_with(b"\r") {
                line.pop();
            }
            match String::from_utf8(std::mem::take(&mut line)) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Ok(Some(Ok(text))),
                Err(error) => {
                    let byte = error.utf8_error().valid_up_to() + 1;
                    return Ok(Some(Err(self.refuse(Why::NotUtf8 { byte }))));
                }
            }
        }
    }

    fn refuse(&self, why: Why) -> Refusal {
        Refusal { line: self.number, why }
    }

    /// Reads up to the next line break; says whether all of it was kept, `None` where nothing was left to read.
    fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
        line.clear();
        let (mut any, mut kept, mut ended) = (false, true, false);
        while !ended {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            // One more than the limit: it may be the `\r` of the line break.
            if line.len() + part.len() > self.limit + 1 {
                kept = false;
                *line = Vec::new();
            } else if kept {
                line.extend_from_slice(part);
            }
            let used = end.map_or(available.len(), |end| end + 1);
            ended = end.is_some();
            self.reader.consume(used);
        }
        Ok(any.then_some(kept && (line.len() <= self.limit || line.ends_with(b"\r"))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], buffer: usize, limit: usize) -> Vec<Result<String, Refusal>> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes), limit);
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    #[test]
    fn lines_come_without_their_breaks_and_blank_ones_not_at_all() {
        let expected: Vec<_> = ["one", " two ", "thr\ree", "last"].map(|line| Ok(line.to_owned())).into();
        for buffer in [1, 3, 100] {
            assert_eq!(read("\u{feff}one\n\n two \r\n\r\n \t\nthr\ree\nlast".as_bytes(), buffer, 10), expected);
        }
        assert_eq!(read(b"", 10, 10), []);
        assert_eq!(read(b"\n\n", 10, 10), []);
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_read() {
        let lines = read(b"a\nb\xffc\nd\n", 4, 10);
        assert_eq!(lines, [Ok("a".into()), Err(Refusal { line: 2, why: Why::NotUtf8 { byte: 2 } }), Ok("d".into())]);
        assert_eq!(lines[1].clone().unwrap_err().to_string(), "line 2 is not UTF-8 (at byte 2) and was skipped");
    }

    #[test]
    fn a_long_line_is_refused_wherever_the_buffer_ends() {
        for buffer in [1, 2, 4, 5, 6, 100] {
            let refused = |line| Err(Refusal { line, why: Why::TooLong { limit: 4 } });
            let lines = read(b"1234\n1234\r\n12345\n123456789\nok\n12345", buffer, 4);
            assert_eq!(
                lines,
                [Ok("1234".into()), Ok("1234".into()), refused(3), refused(4), Ok("ok".into()), refused(6)],
                "{buffer}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_buffer_makes_no_difference(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200), buffer in 1_usize..20, limit in 1_usize..20) {
            prop_assert_eq!(read(&bytes, buffer, limit), read(&bytes, 1000, limit));
        }
    }
}
