//! Sessions that are asked to stop, or stopped and continued.

use std::collections::BTreeMap;

use signal_hook::consts::{SIGCONT, SIGTERM};

use super::*;

#[test]
fn a_signal_lets_what_has_begun_finish_and_the_rest_is_told_in_order() {
    let parts = Parts::new();
    let (begun, begins) = channel();
    let (begun, (release, released)) = (Mutex::new(begun), channel::<()>());
    let released = Mutex::new(released);
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        begun.lock().send(incoming.text.clone()).unwrap();
        released.lock().recv_timeout(SOON).unwrap();
        echo(incoming)
    };
    let (input, reader) = fed();
    let (out, answers) = channel();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| parts.run(&handler, Limits::default(), reader, &mut Passed(out)));
        (0..5).for_each(|number| feed(&input, 1, &number.to_string()));
        input.send(Ok(b"{\"chat\":1,\"ref\":5}\n".to_vec())).unwrap();
        // A chat that is not busy begins at once: then all of the lines before were taken in.
        feed(&input, 2, "other");
        let mut first = [begins.recv_timeout(SOON).unwrap(), begins.recv_timeout(SOON).unwrap()];
        first.sort();
        assert_eq!(first, ["0", "other"]);
        parts.signals.note(SIGCONT);
        parts.signals.note(SIGTERM);
        (0..2).for_each(|_| release.send(()).unwrap());
        let mut by_chat = BTreeMap::<i64, Vec<Value>>::new();
        (0..7).map(|_| next(&answers)).for_each(|answer| {
            by_chat.entry(answer["chat"].as_i64().unwrap()).or_default().push(answer);
        });
        assert_eq!(by_chat[&2][0]["replies"], serde_json::json!(["other"]));
        let of_chat = &by_chat[&1];
        assert_eq!(of_chat[0]["replies"], serde_json::json!(["0"]));
        for (number, answer) in of_chat.iter().enumerate().take(5).skip(1) {
            let id = answer["message_id"].clone();
            assert!(id.is_string(), "it can be sent again under the id that it was given: {answer}");
            let expected =
                serde_json::json!({"chat": 1, "ref": number.to_string(), "message_id": id, "error": NOT_HANDLED});
            assert_eq!(*answer, expected);
        }
        assert_eq!(of_chat[5]["error"], "\"user\" is missing: the id of who did it, an integer");
        let report = session.join().unwrap().unwrap();
        assert_eq!(report, Report { ended: Ended::Signal(SIGTERM), answered: 7, failed: 5 });
        assert!(begins.try_recv().is_err(), "nothing else begins");
    });
}

#[test]
fn a_signal_is_answered_for_what_was_read_ahead_too() {
    let parts = Parts::new();
    let (begun, begins) = channel();
    let (begun, (release, released)) = (Mutex::new(begun), channel::<()>());
    let released = Mutex::new(released);
    let handler = |incoming: Incoming| -> Result<Handled, HandleError> {
        begun.lock().send(()).unwrap();
        released.lock().recv_timeout(SOON).unwrap();
        echo(incoming)
    };
    let room = Room { jobs: 1, bytes: 1 << 20 };
    let limits = Limits { workers: 2, per_source: 2, waiting: room, waiting_per_chat: room };
    let (asking, taken) = sync_channel(0);
    std::thread::scope(|scope| {
        let (release, taken) = (release, taken);
        let reader = BufReader::new(Asked { asking, lines: 100, rest: Vec::new() });
        let session = scope.spawn(|| parts.run(&handler, limits, reader, &mut io::sink()));
        // One runs; of the others one waits, one waits for room, and the rest is read ahead.
        (0..11).for_each(|_| taken.recv_timeout(SOON).unwrap());
        begins.recv_timeout(SOON).unwrap();
        parts.signals.note(SIGTERM);
        drop(taken);
        release.send(()).unwrap();
        let report = session.join().unwrap().unwrap();
        assert_eq!(report.ended, Ended::Signal(SIGTERM));
        assert!((10..=11).contains(&report.answered), "ten were read, and perhaps the eleventh: {report:?}");
        assert_eq!(report.answered - report.failed, 1, "the one that had begun is handled");
    });
}

#[test]
fn a_stopped_and_continued_program_goes_on() {
    let parts = Parts::new();
    let (input, reader) = fed();
    let (out, answers) = channel();
    std::thread::scope(|scope| {
        let session = scope.spawn(|| parts.run(&echo, Limits::default(), reader, &mut Passed(out)));
        feed(&input, 1, "before");
        assert_eq!(next(&answers)["ref"], "before");
        parts.signals.note(SIGCONT);
        feed(&input, 1, "after");
        assert_eq!(next(&answers)["replies"][0], "after");
        drop(input);
        assert_eq!(session.join().unwrap().unwrap().ended, Ended::EndOfInput);
    });
}
