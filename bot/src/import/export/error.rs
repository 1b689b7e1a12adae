//! What can go wrong with the file as a whole, with the place and what to do about it.

use std::fmt;
use std::io;

/// A place in the document as it is before any repair, and after decompression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// Bytes before it from the start of the document.
    pub byte: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

/// Why reading stopped. All records before the place have reached the sink. No text of a message is ever shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The file is something else than JSON.
    #[error(
        "this is not a JSON document but {found} ({place}); \
         in Telegram Desktop choose \"Export Telegram data\" with the format \"Machine-readable JSON\" and give its result.json"
    )]
    NotJson {
        /// What the file looks like.
        found: &'static str,
        /// Where reading stopped.
        place: Place,
    },
    /// The file is JSON, but not a chat and not a full export.
    #[error(
        "this is JSON, but not a Telegram export: {found} ({place}); expected is an object with `name`, `type`, `id` and \
         `messages` (one chat) or with `chats` (all data), as Telegram Desktop's result.json has it"
    )]
    NotExport {
        /// What stands there.
        found: &'static str,
        /// Where reading stopped.
        place: Place,
    },
    /// The file ends in the middle.
    #[error(
        "the file is cut short: it ends at {place} in the middle of the document; \
         copy the file again, or export again if the export was interrupted"
    )]
    CutShort {
        /// The end of the file.
        place: Place,
    },
    /// The file begins as an export and then is no JSON any more.
    #[error(
        "the file is broken at {place}: {what}; copy the file again, or repair that line in an editor, \
         and run the import once more"
    )]
    Broken {
        /// The byte at which the document stopped making sense.
        place: Place,
        /// What the JSON parser has to say.
        what: String,
    },
    /// The bytes could not be read or decompressed.
    #[error("the file cannot be read beyond {place} of the document: {source}; {}", advice(.source))]
    Input {
        /// How far the document could be read.
        place: Place,
        /// The failure.
        source: io::Error,
    },
    /// The sink refused to go on.
    #[error(transparent)]
    Sink(E),
}

impl<E> ReadError<E> {
    /// Where in the document reading stopped; `None` where the sink stopped it.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::NotJson { place, .. }
            | Self::NotExport { place, .. }
            | Self::CutShort { place }
            | Self::Broken { place, .. }
            | Self::Input { place, .. } => Some(*place),
            Self::Sink(_) => None,
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed file is cut short, copy it again",
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => "the compressed file is damaged, copy it again",
        _ => "check the disk and the file's permissions, then run the import once more",
    }
}
