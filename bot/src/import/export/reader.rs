//! Reading an export from its bytes to a sink: the public door of this room.

use std::io::{self, BufReader, Chain, Cursor, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::chat::{ChatHeader, SkippedChat};
use super::error::ReadError;
use super::record::Record;
use super::repair::Repair;
use super::walk::{Object, Stop, Walk};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// Where the chats and records go, one at a time and in the order of the file.
pub trait Sink {
    /// What the sink stops reading with.
    type Error;

    /// A chat begins.
    ///
    /// # Errors
    /// An error ends the reading and comes through as [`ReadError::Sink`]; so it does in the other methods.
    fn chat(&mut self, chat: ChatHeader) -> Result<(), Self::Error>;

    /// A record of the chat that began last.
    ///
    /// # Errors
    /// See [`Sink::chat`].
    fn record(&mut self, record: Record) -> Result<(), Self::Error>;

    /// The chat is complete. It does not come where reading ends in the middle of one.
    ///
    /// # Errors
    /// See [`Sink::chat`].
    fn chat_end(&mut self) -> Result<(), Self::Error>;
}

/// What an export had in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Chats that went to the sink, left ones included.
    pub chats: u64,
    /// Of them, chats that the exporting person has left.
    pub left_chats: u64,
    /// Messages.
    pub messages: u64,
    /// Service records.
    pub services: u64,
    /// Records that did not fit.
    pub unreadable: u64,
    /// Messages and service records with only a local time.
    pub local_dates: u64,
    /// Chats that did not fit.
    pub skipped_chats: Vec<SkippedChat>,
    /// Places that were no valid JSON and have been repaired.
    pub repairs: u64,
}

impl Summary {
    pub(crate) fn count(&mut self, record: &Record) {
        let (counter, local) = match record {
            Record::Message(message) => (&mut self.messages, message.date_is_local),
            Record::Service(service) => (&mut self.services, service.date_is_local),
            Record::Unreadable(_) => (&mut self.unreadable, false),
        };
        *counter += 1;
        self.local_dates += u64::from(local);
    }
}

/// Counts the bytes that are read through it, for a progress bar: of a compressed file the compressed ones.
#[derive(Debug)]
pub struct Counted<R> {
    input: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Reads from `input` and adds to `count`.
    pub fn new(input: R, count: Arc<AtomicU64>) -> Self {
        Self { input, count }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads an export, gzip-compressed or not, and sends what is in it to the sink. Needs no buffered input.
///
/// A record or chat that does not fit is told and passed over; it ends nothing.
///
/// # Errors
/// Where the file is none of the sort, cut short, broken or not readable, or where the sink refuses to go on. What
/// came before has been sent.
pub fn read_export<S: Sink>(input: impl Read, sink: &mut S) -> Result<Summary, ReadError<S::Error>> {
    let input =
        Input::open(input).map_err(|source| ReadError::Input { place: super::Place { line: 1, byte: 0 }, source })?;
    let compressed = matches!(input, Input::Gzip(_));
    let mut repair = Repair::new(input);
    let position = repair.position();
    let mut walk =
        Walk { sink, position: Rc::clone(&position), summary: Summary::default(), stop: None, entered: false };
    let mut parser = serde_json::Deserializer::from_reader(&mut repair);
    let outcome =
        Object { walk: &mut walk, root: true, left: false }.deserialize(&mut parser).and_then(|()| parser.end());
    let Walk { mut summary, stop, entered, .. } = walk;
    let Err(error) = outcome else {
        summary.repairs = repair.repairs();
        return Ok(summary);
    };
    // The parser has read on to close what was open: the place is the one it noted.
    let place = position.place_of(error.line() as u64, error.column() as u64);
    Err(match (stop, error.classify()) {
        (Some(Stop::Sink(error)), _) => ReadError::Sink(error),
        (Some(Stop::Shape(found, place)), _) => ReadError::NotExport { found, place },
        (None, Category::Io) => ReadError::Input { place: repair.end(), source: error.into() },
        (None, Category::Data) => {
            ReadError::NotExport { found: "a value of another kind than an export has there", place }
        }
        (None, Category::Eof) if repair.head().trim_ascii().is_empty() => {
            ReadError::NotJson { found: "an empty file", place: repair.end() }
        }
        (None, Category::Eof) => ReadError::CutShort { place: repair.end() },
        (None, Category::Syntax) if !entered => ReadError::NotJson { found: looks_like(repair.head()), place },
        // Damage in a compressed file shows as nonsense first; its checksum at the end tells.
        (None, Category::Syntax) => match io::copy(&mut repair, &mut io::sink()) {
            Err(source) if compressed => ReadError::Input { place, source },
            _ => ReadError::Broken { place, what: without_place(&error) },
        },
    })
}

/// What a file is whose first bytes are no JSON.
fn looks_like(head: &[u8]) -> &'static str {
    match head.trim_ascii_start() {
        [b'<', ..] => "an HTML page (the other format of the export)",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive (unpack it first)",
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "text in UTF-16 (save it as UTF-8)",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "an SQLite database",
        head if head.contains(&0) => "a binary file",
        _ => "something else",
    }
}

/// The parser's sentence without its own idea of the place: it counts after the repair.
fn without_place(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    text
}

/// The input with the bytes in front that have been read for a look.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The document's bytes, decompressed where the first two say that it is compressed.
enum Input<R> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Whole<R>>>>),
}

impl<R: Read> Input<R> {
    fn open(mut input: R) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let compressed = magic == GZIP_MAGIC;
        let whole = Cursor::new(magic).chain(input);
        Ok(if compressed {
            Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, whole))))
        } else {
            Self::Plain(whole)
        })
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(into),
            Self::Gzip(input) => input.read(into),
        }
    }
}
