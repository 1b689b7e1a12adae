//! Files that are none, or not whole: what is said, where, and what was kept.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn fails(document: &[u8]) -> (Collected, ReadError<Infallible>) {
    let mut sink = Collected::default();
    let error = read_export(document, &mut sink).unwrap_err();
    (sink, error)
}

fn gzip(document: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(document).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_no_json_is_named() {
    for (document, found) in [
        (&b""[..], "an empty file"),
        (b" \n ", "an empty file"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\xFF\xFE{\x00", "text in UTF-16"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\x7FELF\x00\x00", "a binary file"),
        (b"Dear diary", "something else"),
    ] {
        let error = fails(document).1;
        assert!(matches!(error, ReadError::NotJson { .. }), "{error:?}");
        assert!(error.to_string().contains(found), "{error}");
        assert!(error.to_string().contains("Machine-readable JSON"), "{error}");
    }
}

#[test]
fn json_that_is_no_export_is_told_from_one() {
    for (document, found) in [
        ("[1, 2]", "a list instead of an object"),
        ("\"private words\"", "a string instead of an object"),
        ("null", "`null` instead of an object"),
        ("17", "another kind"),
        ("{}", "neither `messages` nor `chats`"),
        (r#"{"name": "private words", "list": []}"#, "neither `messages` nor `chats`"),
        (r#"{"about": "x", "contacts": {"list": []}}"#, "without chats"),
        (r#"{"messages": "private words"}"#, "before its `type` and `id`"),
        (r#"{"messages": [], "type": "private_group", "id": 5}"#, "before its `type` and `id`"),
        (r#"{"type": "private_group", "messages": [], "id": 5}"#, "before its `type` and `id`"),
        (r#"{"chats": {"list": [{"messages": []}]}}"#, "before its `type` and `id`"),
        (r#"{"type": "private_group", "id": 5, "messages": "private words"}"#, "another kind"),
        (r#"{"chats": ["private words"]}"#, "another kind"),
        (r#"{"chats": {"list": "private words"}}"#, "another kind"),
        (r#"{"chats": {"list": ["private words"]}}"#, "a string instead of an object"),
        (r#"{"type": "private_group", "id": 5, "messages": [], "messages": []}"#, "twice"),
    ] {
        let (sink, error) = fails(document.as_bytes());
        assert!(matches!(error, ReadError::NotExport { .. }), "{error:?}");
        assert!(error.to_string().contains(found), "{document}: {error}");
        assert!(!error.to_string().contains("private words"), "{error}");
        assert_eq!(sink.records(), 0);
    }
}

#[test]
fn a_file_cut_short_anywhere_keeps_what_came_before() {
    let whole = read(MADE).0;
    let end = MADE.trim_ascii_end().len();
    for length in (1..end).step_by(97).chain([end - 1]) {
        let (sink, error) = fails(&MADE[..length]);
        let ReadError::CutShort { place } = error else { panic!("{length}: {error:?}") };
        assert_eq!(place.byte, length as u64);
        assert_eq!(place.line, MADE[..length].iter().filter(|byte| **byte == b'\n').count() as u64 + 1);
        for ((chat, records), (whole_chat, whole_records)) in sink.chats.iter().zip(&whole.chats) {
            assert_eq!((chat, &records[..]), (whole_chat, &whole_records[..records.len()]));
        }
    }
}

#[test]
fn a_break_is_told_with_the_place_of_the_original() {
    // The repairs before each break make the repaired document longer than the original, some on the same line.
    for (marker, breaking, at) in [
        ("Tomatoes", "\u{1}", 0),
        ("Note to myself", "\"", 1),
        ("Come back", "\\q", 1),
        ("a path C:", "\\q", 1),
        (" and \\x00 characters", "\u{1}", 0),
    ] {
        let position = MADE.windows(marker.len()).position(|window| window == marker.as_bytes()).unwrap();
        let mut document = MADE.to_vec();
        document.splice(position..position, breaking.bytes());
        let (sink, error) = fails(&document);
        let ReadError::Broken { place, what } = &error else { panic!("{error:?}") };
        assert_eq!(place.byte as usize, position + at, "{marker}");
        assert_eq!(place.line, MADE[..position].iter().filter(|byte| **byte == b'\n').count() as u64 + 1);
        assert!(!what.contains("line") && !error.to_string().contains(marker), "{error}");
        assert!(sink.records() > 20);
    }
    let error = fails(chat_of("{\n \"id\": 5 6\n}").as_bytes()).1;
    assert_eq!(error.place(), Some(Place { line: 2, byte: chat_of("{\n \"id\": 5 6\n}").rfind('6').unwrap() as u64 }));
    let error = fails(chat_of("{\n \"id\": \"\n\"}").as_bytes()).1;
    assert_eq!(error.place(), Some(Place { line: 2, byte: chat_of("{\n \"id\": \"").rfind('"').unwrap() as u64 + 1 }));
    let error = fails(chat_of("1] x").as_bytes()).1;
    assert!(matches!(error, ReadError::Broken { .. }), "{error:?}");
    let error = fails((chat_of("") + "{}").as_bytes()).1;
    assert!(matches!(error, ReadError::Broken { .. }), "{error:?}");
}

#[test]
fn a_truncated_or_damaged_gzip_is_an_error_of_the_input() {
    let whole = gzip(MADE);
    assert_eq!(read(&whole), read(MADE));
    let two = [gzip(&MADE[..1000]), gzip(&MADE[1000..])].concat();
    assert_eq!(read(&two), read(MADE));
    for length in [2, 9, 40, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let error = fails(&whole[..length]).1;
        assert!(matches!(error, ReadError::Input { .. }), "{length}: {error:?}");
        assert!(error.to_string().contains("cut short"), "{error}");
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xFF);
    let error = fails(&damaged).1;
    assert!(error.to_string().contains("damaged"), "{error}");
    let mut checksum = whole;
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    let (sink, error) = fails(&checksum);
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(sink, read(MADE).0);
}

#[test]
fn a_failing_disk_comes_through_as_itself() {
    let mut sink = Collected::default();
    let error = read_export(Failing(&MADE[..2000], io::ErrorKind::TimedOut), &mut sink).unwrap_err();
    let ReadError::Input { source, place } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    assert_eq!(place.byte, 2000);
    assert!(sink.records() > 0);
    let error = read_export(Failing(b"", io::ErrorKind::PermissionDenied), &mut sink).unwrap_err();
    assert!(matches!(error, ReadError::Input { .. }), "{error:?}");
}

/// Refuses at the given call.
struct Refusing(u32);

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the disk is full")]
struct Full;

impl Refusing {
    fn call(&mut self) -> Result<(), Full> {
        self.0 -= 1;
        if self.0 == 0 { Err(Full) } else { Ok(()) }
    }
}

impl Sink for Refusing {
    type Error = Full;

    fn chat(&mut self, _: ChatHeader) -> Result<(), Full> {
        self.call()
    }

    fn record(&mut self, _: Record) -> Result<(), Full> {
        self.call()
    }

    fn chat_end(&mut self) -> Result<(), Full> {
        self.call()
    }
}

#[test]
fn the_error_of_the_sink_comes_through_as_itself() {
    // A chat, four records, its end.
    for calls in 1..=6 {
        let mut sink = Refusing(calls);
        let error = read_export(SINGLE, &mut sink).unwrap_err();
        assert!(matches!(error, ReadError::Sink(Full)), "{error:?}");
        assert_eq!((error.to_string().as_str(), error.place(), sink.0), ("the disk is full", None, 0));
    }
    assert!(read_export(SINGLE, &mut Refusing(7)).is_ok());
}
