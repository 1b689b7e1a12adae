//! Sessions whose input, handler and output the test holds in its hands.

use std::io::Read;
use std::sync::mpsc::{Sender, channel};

use database::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::*;
use crate::dispatch::Room;
use crate::message::HandleError;

mod lanes;
mod output;
mod reminders;
mod signals;

/// How long something that has to happen may take before it counts as not happening.
const SOON: Duration = Duration::from_secs(20);

/// Input that the test feeds piece by piece; it ends when the sender is dropped, or fails where it is told to.
struct Fed {
    pieces: Receiver<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.rest = piece?,
                Err(_) => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// Input that is the same line so many times; it waits until somebody takes note that a line is asked for.
struct Asked {
    asking: SyncSender<()>,
    lines: usize,
    rest: Vec<u8>,
}

impl Read for Asked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            if self.lines == 0 {
                return Ok(0);
            }
            self.lines -= 1;
            self.asking.send(()).map_err(io::Error::other)?;
            self.rest = format!("{}\n", message(1, "x")).into_bytes();
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// Output that passes each piece on as it was written, and says where it was flushed.
struct Passed(Sender<Option<String>>);

impl Write for Passed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(Some(String::from_utf8(bytes.to_owned()).unwrap())).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.send(None).unwrap();
        Ok(())
    }
}

/// Output that takes so many lines.
struct Broken {
    lines: usize,
    kind: io::ErrorKind,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines = self.lines.checked_sub(1).ok_or(self.kind)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Input = Sender<io::Result<Vec<u8>>>;

fn fed() -> (Input, BufReader<Fed>) {
    let (feed, pieces) = channel();
    (feed, BufReader::new(Fed { pieces, rest: Vec::new() }))
}

fn feed(input: &Input, chat: i64, text: &str) {
    input.send(Ok(format!("{{\"chat\":{chat},\"user\":2,\"text\":\"{text}\",\"ref\":\"{text}\"}}\n").into())).unwrap();
}

/// An input of these lines and its end.
fn lines(lines: &[&str]) -> io::Cursor<Vec<u8>> {
    io::Cursor::new(lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).collect::<Vec<_>>().concat())
}

fn message(chat: i64, text: &str) -> String {
    format!("{{\"chat\":{chat},\"user\":2,\"text\":\"{text}\",\"message_id\":1}}")
}

struct Parts {
    signals: StopSignals,
    ids: MessageIds,
    tick: Duration,
}

impl Parts {
    fn new() -> Self {
        let tick = Duration::from_millis(1);
        Self { signals: StopSignals::unwatched(), ids: MessageIds::by(|| 1_000), tick }
    }

    fn run(
        &self,
        handler: &dyn Handle,
        limits: Limits,
        input: impl BufRead + Send + 'static,
        out: &mut (dyn Write + Send),
    ) -> Result<Report, JsonError> {
        let clock = || Timestamp::from_unix_seconds(1_700_000_000).unwrap();
        let source_of = |_| SourceName::primary();
        let mut json = Json::new(handler, &source_of, &self.ids, &clock, &self.signals).with_limits(limits);
        json.tick = self.tick;
        json.run_on(input, out)
    }

    /// Runs a session in which the bot is not asked what is due, and answers what came out.
    fn answers(&self, handler: &dyn Handle, input: impl BufRead + Send + 'static) -> (Report, Vec<Value>) {
        let mut out = Vec::new();
        let report = self.run(handler, Limits::default(), input, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (report, out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

fn replying(reply: &str) -> Handled {
    Handled { replies: vec![reply.into()], duplicate: false, source: "s".into() }
}

#[allow(clippy::unnecessary_wraps, reason = "it is a handler")]
#[expect(clippy::needless_pass_by_value, reason = "handlers take what they handle")]
fn echo(incoming: Incoming) -> Result<Handled, HandleError> {
    Ok(replying(&incoming.text))
}

/// The next whole line.
fn next(out: &Receiver<Option<String>>) -> Value {
    let line = out.recv_timeout(SOON).expect("an answer was to come soon").unwrap();
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "each is written whole: {line:?}");
    assert_eq!(out.recv_timeout(SOON).unwrap(), None, "and sent off before the next");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_slow_handler_in_one_chat_does_not_delay_another() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        if incoming.chat == ChatId(1) {
            released.lock().recv_timeout(SOON).unwrap();
        }
        echo(incoming)
    };
    let (input, reader) = fed();
    let (out, answers) = channel();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| Parts::new().run(&handler, Limits::default(), reader, &mut Passed(out)));
        // Both chats are equally busy. One answers nothing, the other each message before the next is sent.
        for number in 0..200 {
            feed(&input, 1, &number.to_string());
            feed(&input, 2, &number.to_string());
            let answer = next(&answers);
            assert_eq!((&answer["chat"], &answer["ref"]), (&2.into(), &number.to_string().into()));
        }
        for number in 0..200 {
            release.send(()).unwrap();
            let answer = next(&answers);
            assert_eq!((&answer["chat"], &answer["ref"]), (&1.into(), &number.to_string().into()));
        }
        drop(input);
        let report = session.join().unwrap().unwrap();
        assert_eq!(report, Report { ended: Ended::EndOfInput, answered: 400, failed: 0 });
    });
}

#[test]
fn what_waits_is_bounded_and_reading_goes_on_once_there_is_room() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        released.lock().recv_timeout(SOON).unwrap();
        echo(incoming)
    };
    let room = Room { jobs: 4, bytes: 1 << 20 };
    let limits = Limits { workers: 2, per_source: 2, waiting: room, waiting_per_chat: room };
    let (asking, taken) = sync_channel(0);
    std::thread::scope(|scope| {
        // Owned here: where the test fails, nobody waits any more.
        let (release, taken) = (release, taken);
        let reader = BufReader::new(Asked { asking, lines: 100, rest: Vec::new() });
        let session = scope.spawn(|| Parts::new().run(&handler, limits, reader, &mut io::sink()));
        let mut read = 0;
        // One runs, four wait, one waits for room, the channel is full, one waits to get into the channel.
        let most = 1 + 4 + 1 + READ_AHEAD + 1;
        while taken.recv_timeout(Duration::from_millis(200)).is_ok() {
            read += 1;
        }
        assert!(read <= most, "{read} lines were taken in, {most} at most have a place");
        (0..100).for_each(|_| release.send(()).unwrap());
        while taken.recv().is_ok() {
            read += 1;
        }
        assert_eq!((read, session.join().unwrap().unwrap().answered), (100, 100));
    });
}

#[test]
fn what_was_read_before_the_input_failed_is_answered() {
    let (input, reader) = fed();
    feed(&input, 1, "x");
    input.send(Err(io::Error::other("the cable"))).unwrap();
    let mut out = Vec::new();
    let error = Parts::new().run(&echo, Limits::default(), reader, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the input: the cable");
    assert!(String::from_utf8(out).unwrap().contains(r#""replies":["x"]"#));
}

#[test]
fn errors_and_panics_are_answers_and_the_chat_goes_on() {
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        match incoming.text.as_str() {
            "fail" => Err(Box::new(JsonError::Input(io::Error::other("inner")))),
            "panic" => panic!("oh"),
            _ => echo(incoming),
        }
    };
    let input = lines(&[&message(1, "fail"), &message(1, "panic"), "", r#"{"chat":1}"#, &message(1, "x")]);
    let (report, answers) = Parts::new().answers(&handler, input);
    assert_eq!(report, Report { ended: Ended::EndOfInput, answered: 4, failed: 3 });
    let expected = serde_json::json!([
        {"chat": 1, "message_id": 1, "error": "cannot read the input: inner"},
        {"chat": 1, "message_id": 1, "error": "a fault in the program: oh"},
        {"chat": 1, "line": 4, "error": "\"user\" is missing: the id of who did it, an integer"},
        {"chat": 1, "message_id": 1, "source": "s", "replies": ["x"], "duplicate": false},
    ]);
    assert_eq!(Value::from(answers), expected);
}
