//! The main loop, driven by hand-made events.

use std::sync::Mutex;

use database::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::*;
use crate::message::{Due, HandleError, Handled};

type Seen = Mutex<Vec<Incoming>>;

fn replies(texts: &[&str]) -> Handled {
    Handled { replies: texts.iter().map(|text| (*text).into()).collect(), ..Handled::default() }
}

/// Runs the events through a session whose handler echoes, fails at `fail` and signals at `stop`.
fn session(
    events: Vec<Event>,
    interactive: bool,
    out: &mut dyn Write,
) -> (Result<Report, ConsoleError>, String, Vec<Incoming>) {
    let signals = StopSignals::unwatched();
    let seen = Seen::default();
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        let text = incoming.text.clone();
        seen.lock().unwrap().push(incoming);
        match text.as_str() {
            "fail" => Err(Box::new(ConsoleError::Output(io::Error::other("inner")))),
            "stop" => {
                signals.note(SIGTERM);
                Ok(replies(&["finished"]))
            }
            "twice" => Ok(replies(&["one\ntwo\n", "three"])),
            _ => Ok(replies(&[&format!("echo {text}")])),
        }
    };
    let ids = MessageIds::by(|| 1_000);
    let clock = || Timestamp::from_unix_seconds(1_700_000_000).unwrap();
    let speaker = Speaker { chat: ChatId(1), user: UserId(2), user_name: "you".into(), username: Some("y".into()) };
    let (sender, receiver) = sync_channel(100);
    for event in events {
        sender.send(event).unwrap();
    }
    drop(sender);
    let (prompts, _asked) = sync_channel(100);
    let asking = interactive.then(|| Asking { prompts, terminal: Arc::new(Terminal::of_stdin()) });
    let input = Input { events: receiver, asking };
    let mut err = Vec::new();
    let mut console = Console::new(&handler, &ids, &clock, &signals, speaker);
    let report = console.serve(&input, out, &mut err);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (report, String::from_utf8(err).unwrap(), seen)
}

fn line(text: &str) -> Event {
    Event::Line(text.into())
}

#[test]
fn in_a_pipe_every_line_is_a_message_and_only_replies_come_out() {
    let mut out = Vec::new();
    let events = vec![line(":quit"), line("twice"), Event::Refused("line 3 is bad".into()), line("a\x1b"), Event::End];
    let (report, err, seen) = session(events, false, &mut out);
    assert_eq!(report.unwrap(), Report { ended: Ended::EndOfInput, failed: 1 });
    assert_eq!(String::from_utf8(out).unwrap(), "echo :quit\none\ntwo\nthree\necho a␛\n");
    assert_eq!(err, "error: line 3 is bad\n");
    let ids: Vec<_> = seen.iter().map(|incoming| incoming.message_id.as_str()).collect();
    assert_eq!(ids, ["1000", "1001", "1002"]);
    assert_eq!((seen[2].text.as_str(), seen[2].username.as_deref()), ("a\x1b", Some("y")));
    assert_eq!(seen[0].date.to_string(), "2023-11-14 22:13:20");
}

#[test]
fn a_message_that_fails_is_told_with_its_reasons_and_the_next_is_handled() {
    let mut out = Vec::new();
    let (report, err, _) = session(vec![line("fail"), line("go on"), Event::End], false, &mut out);
    assert_eq!(report.unwrap().failed, 1);
    assert_eq!((out.as_slice(), err.as_str()), (&b"echo go on\n"[..], "error: cannot write a reply: inner\n"));
}

#[test]
fn a_signal_lets_the_message_in_hand_finish_and_no_other_start() {
    let mut out = Vec::new();
    let (report, _, seen) = session(vec![line("stop"), line("never"), Event::End], false, &mut out);
    assert_eq!(report.unwrap().ended, Ended::Signal(SIGTERM));
    assert_eq!((out.as_slice(), seen.len()), (&b"finished\n"[..], 1));
}

#[test]
fn a_signal_that_came_before_ends_the_session_before_it_starts() {
    let signals = StopSignals::unwatched();
    signals.note(SIGINT);
    let handler = |_: Incoming| -> Result<Handled, HandleError> { unreachable!("nothing is to be handled") };
    let speaker = Speaker { chat: ChatId(1), user: UserId(2), user_name: "you".into(), username: None };
    let (ids, clock) = (MessageIds::by(|| 1), database::SystemClock);
    let mut console = Console::new(&handler, &ids, &clock, &signals, speaker);
    let (sender, events) = sync_channel(1);
    sender.send(line("typed")).unwrap();
    let report = console.serve(&Input { events, asking: None }, &mut Vec::new(), &mut Vec::new()).unwrap();
    assert_eq!(report.ended, Ended::Signal(SIGINT));
}

#[test]
fn in_a_terminal_commands_change_who_speaks_where() {
    let mut out = Vec::new();
    let events = vec![
        line(":chat -1001234567890"),
        line(":user 5 Ann\x1b Lee"),
        line("hi"),
        line(":user 6"),
        line(":)"),
        line(":chat x"),
        line("  "),
        line(":quit"),
    ];
    let (report, err, seen) = session(events, true, &mut out);
    assert_eq!(report.unwrap(), Report { ended: Ended::Quit, failed: 0 });
    assert_eq!(err, "");
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("echo hi\necho :)\n`x` is no chat id"), "{out}");
    assert_eq!(
        (seen[0].chat, seen[0].user, &*seen[0].user_name),
        (ChatId(-1_001_234_567_890), UserId(5), "Ann\x1b Lee")
    );
    assert_eq!((seen[1].user, &*seen[1].user_name, seen[1].username.as_deref()), (UserId(6), "", None));
}

#[test]
fn ctrl_c_leaves_only_when_it_comes_twice_on_an_empty_line() {
    let interrupted = |empty| Event::Interrupted { empty };
    let mut out = Vec::new();
    let events = vec![
        interrupted(true),
        interrupted(false),
        interrupted(true),
        line("x"),
        interrupted(true),
        interrupted(true),
        line("never"),
    ];
    let (report, _, seen) = session(events, true, &mut out);
    assert_eq!((report.unwrap().ended, seen.len()), (Ended::Quit, 1));
    assert_eq!(String::from_utf8(out).unwrap().matches("Ctrl-C again").count(), 3);
}

#[test]
fn a_terminal_that_goes_away_counts_as_hang_up_and_a_lost_reader_as_an_error() {
    let mut out = Vec::new();
    assert_eq!(session(vec![Event::HungUp], true, &mut out).0.unwrap().ended, Ended::Signal(SIGHUP));
    let error = session(vec![], true, &mut out).0.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the input: the reader stopped");
}

struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_left_ends_the_session_quietly_a_full_disk_does_not() {
    let (report, err, seen) =
        session(vec![line("a"), line("b"), Event::End], false, &mut Broken(io::ErrorKind::BrokenPipe));
    assert_eq!((report.unwrap().ended, err.as_str(), seen.len()), (Ended::OutputClosed, "", 1));
    let (report, ..) = session(vec![line("a")], false, &mut Broken(io::ErrorKind::StorageFull));
    assert!(matches!(report, Err(ConsoleError::Output(_))));
}

/// A handler that has something to say in every chat that it is asked about, once.
struct Reminding {
    asked: Mutex<Vec<Option<ChatId>>>,
    said: Mutex<Vec<String>>,
}

impl Handle for Reminding {
    fn handle(&self, incoming: Incoming) -> Result<Handled, HandleError> {
        Ok(replies(&[&format!("echo {}", incoming.text)]))
    }

    fn due(&self, chat: Option<ChatId>) -> Result<Vec<Due>, HandleError> {
        let mut asked = self.asked.lock().unwrap();
        let text = format!("due {} in {}", asked.len(), chat.unwrap());
        asked.push(chat);
        Ok(vec![Due { task: text.clone(), chat: chat.unwrap(), thread: database::TopicId(0), text }])
    }

    fn said(&self, due: &Due) -> Result<(), HandleError> {
        self.said.lock().unwrap().push(due.task.clone());
        Ok(())
    }
}

/// Runs the events through a session with this handler, and answers what came out.
fn reminded(events: Vec<Event>, out: &mut dyn Write) -> Reminding {
    let signals = StopSignals::unwatched();
    let handler = Reminding { asked: Mutex::default(), said: Mutex::default() };
    let (ids, clock) = (MessageIds::by(|| 1), database::SystemClock);
    let (sender, receiver) = sync_channel(100);
    events.into_iter().for_each(|event| sender.send(event).unwrap());
    let speaker = Speaker { chat: ChatId(1), user: UserId(2), user_name: String::new(), username: None };
    let (prompts, _asked) = sync_channel(100);
    let asking = Some(Asking { prompts, terminal: Arc::new(Terminal::of_stdin()) });
    let mut console = Console::new(&handler, &ids, &clock, &signals, speaker);
    console.serve(&Input { events: receiver, asking }, out, &mut Vec::new()).unwrap();
    handler
}

#[test]
fn what_is_due_in_the_chat_is_said_at_the_start_and_before_the_end() {
    let mut out = Vec::new();
    let handler = reminded(vec![line("a"), line(":chat 3"), Event::End], &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "due 0 in 1\necho a\ndue 1 in 3\n");
    assert_eq!(*handler.said.lock().unwrap(), ["due 0 in 1", "due 1 in 3"]);
}

#[test]
fn what_nobody_read_does_not_count_as_said() {
    let handler = reminded(vec![line("a"), Event::End], &mut Broken(io::ErrorKind::BrokenPipe));
    assert_eq!((handler.asked.lock().unwrap().len(), handler.said.lock().unwrap().len()), (1, 0));
}
