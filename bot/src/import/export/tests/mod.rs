//! The reader over whole documents: [`made`] reads the fixtures, [`oddities`] single records, [`errors`] broken files.

mod errors;
mod made;
mod oddities;

use std::convert::Infallible;
use std::io::{self, Read};

use super::*;

const MADE: &[u8] = include_bytes!("../../../../../tests/fixtures/export/made.json");
const SINGLE: &[u8] = include_bytes!("../../../../../tests/fixtures/export/made-single-chat.json");

/// Keeps everything.
#[derive(Debug, Default, PartialEq)]
struct Collected {
    chats: Vec<(ChatHeader, Vec<Record>)>,
    ended: usize,
}

impl Sink for Collected {
    type Error = Infallible;

    fn chat(&mut self, chat: ChatHeader) -> Result<(), Infallible> {
        self.chats.push((chat, Vec::new()));
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<(), Infallible> {
        self.chats.last_mut().unwrap().1.push(record);
        Ok(())
    }

    fn chat_end(&mut self) -> Result<(), Infallible> {
        self.ended += 1;
        assert_eq!(self.ended, self.chats.len());
        Ok(())
    }
}

impl Collected {
    fn records(&self) -> usize {
        self.chats.iter().map(|(_, records)| records.len()).sum()
    }

    fn record(&self, chat: usize, id: i64) -> &Record {
        let id_of = |record: &Record| match record {
            Record::Message(message) => Some(message.id),
            Record::Service(service) => Some(service.id),
            Record::Unreadable(unreadable) => unreadable.id,
        };
        self.chats[chat].1.iter().find(|record| id_of(record) == Some(id)).unwrap()
    }

    fn message(&self, chat: usize, id: i64) -> &Message {
        match self.record(chat, id) {
            Record::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    fn action(&self, chat: usize, id: i64) -> &Action {
        match self.record(chat, id) {
            Record::Service(service) => &service.action,
            other => panic!("{other:?}"),
        }
    }
}

fn read(document: &[u8]) -> (Collected, Summary) {
    let mut sink = Collected::default();
    let summary = read_export(document, &mut sink).unwrap();
    (sink, summary)
}

/// A chat with these records, as one line.
fn chat_of(records: &str) -> String {
    format!(r#"{{"name": "x", "type": "private_supergroup", "id": 7, "messages": [{records}]}}"#)
}

/// The only record of a chat that is made of it.
fn one(record: &str) -> Record {
    let (mut sink, _) = read(chat_of(record).as_bytes());
    let mut records = sink.chats.remove(0).1;
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// The only message, made of these keys and those that every message has.
fn message(keys: &str) -> Message {
    let record =
        format!(r#"{{"id": 1, "type": "message", "date_unixtime": "1700000000", "from_id": "user5", {keys}}}"#);
    match one(&record) {
        Record::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

/// Gives a byte at a time, and then fails.
struct Failing<'a>(&'a [u8], io::ErrorKind);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match (self.0.split_first(), into.first_mut()) {
            (Some((byte, rest)), Some(into)) => {
                *into = *byte;
                self.0 = rest;
                Ok(1)
            }
            (None, Some(_)) => Err(self.1.into()),
            (_, None) => Ok(0),
        }
    }
}
