//! What the bot says by itself in a session.

use database::TopicId;

use super::*;
use crate::message::Due;

/// A handler that has something to say, and takes note of what was said.
#[derive(Default)]
struct Reminding {
    due: Mutex<Vec<Due>>,
    said: Mutex<Vec<String>>,
    asked: Mutex<Vec<Option<ChatId>>>,
}

impl Reminding {
    fn with(due: Vec<Due>) -> Self {
        Self { due: Mutex::new(due), ..Self::default() }
    }
}

impl Handle for Reminding {
    fn handle(&self, incoming: Incoming) -> Result<Handled, HandleError> {
        // What is said makes something due.
        self.due.lock().push(due(0, &format!("again {}", incoming.text)));
        echo(incoming)
    }

    fn due(&self, chat: Option<ChatId>) -> Result<Vec<Due>, HandleError> {
        self.asked.lock().push(chat);
        Ok(std::mem::take(&mut *self.due.lock()))
    }

    fn said(&self, due: &Due) -> Result<(), HandleError> {
        self.said.lock().push(due.task.clone());
        Ok(())
    }
}

fn due(thread: i64, text: &str) -> Due {
    Due { task: format!("task {text}"), chat: ChatId(5), thread: TopicId(thread), text: text.into() }
}

#[test]
fn what_the_bot_says_by_itself_comes_out_too() {
    let handler = Reminding::with(vec![due(0, "tea"), due(3, "milk")]);
    let (input, reader) = fed();
    let (out, answers) = channel();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| Parts::new().run(&handler, Limits::default(), reader, &mut Passed(out)));
        assert_eq!(next(&answers), serde_json::json!({"chat": 5, "said": "tea"}));
        assert_eq!(next(&answers), serde_json::json!({"chat": 5, "thread": 3, "said": "milk"}));
        drop(input);
        assert_eq!(session.join().unwrap().unwrap().answered, 0, "nothing was asked");
    });
    assert_eq!(*handler.said.lock(), ["task tea", "task milk"]);
    assert!(handler.asked.lock().iter().all(Option::is_none), "of all chats");
}

#[test]
fn a_session_shorter_than_a_second_says_what_is_due_at_its_start_and_at_its_end() {
    let handler = Reminding::with(vec![due(0, "tea")]);
    let mut parts = Parts::new();
    parts.tick = Duration::from_secs(3600);
    let (_, answers) = parts.answers(&handler, lines(&[&message(1, "x")]));
    let said: Vec<_> = answers.iter().filter_map(|answer| answer["said"].as_str()).collect();
    assert_eq!(said, ["tea", "again x"]);
}

#[test]
fn what_could_not_be_written_does_not_count_as_said_and_nothing_more_is_asked_for() {
    let handler = Reminding::with(vec![due(0, "tea"), due(0, "milk")]);
    let (input, reader) = fed();
    let mut out = Broken { lines: 1, kind: io::ErrorKind::BrokenPipe };
    let report = Parts::new().run(&handler, Limits::default(), reader, &mut out).unwrap();
    assert_eq!(report.ended, Ended::OutputClosed);
    assert_eq!(*handler.said.lock(), ["task tea"]);
    assert_eq!(handler.asked.lock().len(), 1);
    drop(input);
}
