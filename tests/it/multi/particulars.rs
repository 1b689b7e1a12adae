//! What the files of sources say while a bot runs, when some of them do not answer.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use database::{ChatId, DatabaseConfig, Route};

use super::{config_of, name, open};
use crate::support::Scratch;

const SOURCES: [&str; 12] = ["primary", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "well"];
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sources with one reader each.
fn config(scratch: &Scratch) -> DatabaseConfig {
    let mapping: Vec<_> = (1..).zip(&SOURCES[1..]).map(|(chat, source)| (-chat, *source)).collect();
    let mut config = config_of(scratch.path(), &SOURCES, &mapping);
    for source in config.sources.values_mut() {
        (source.max_connections, source.timeout) = (2, TIMEOUT);
    }
    config
}

#[test]
fn sources_that_do_not_answer_keep_no_other_from_being_asked_and_are_asked_once() {
    let scratch = Scratch::new();
    let (db, control) = open(&config(&scratch));
    for chat in 1..SOURCES.len() as i64 {
        db.set_chat_setting(ChatId(-chat), "language", "nl").unwrap();
    }
    let held = &SOURCES[1..SOURCES.len() - 1];
    let (begun, has_begun) = mpsc::channel();
    std::thread::scope(|scope| {
        // In here: where an assertion fails they go, and nobody waits for them.
        let mut ends = Vec::new();
        for source in held {
            let (end, held_until) = mpsc::channel::<()>();
            ends.push(end);
            let (db, begun) = (db.on_source(source), begun.clone());
            scope.spawn(move || {
                let held_until = std::sync::Mutex::new(held_until);
                db.read("test.hold", Route::Shared, |_| {
                    begun.send(()).unwrap();
                    let _ = held_until.lock().unwrap().recv();
                    Ok(())
                })
                .unwrap();
            });
        }
        (0..held.len()).for_each(|_| has_begun.recv().unwrap());
        let asks = || {
            std::fs::read_dir("/proc/self/task")
                .unwrap()
                .filter(|task| {
                    let name = task.as_ref().map(|task| std::fs::read_to_string(task.path().join("comm")));
                    name.is_ok_and(|name| name.unwrap_or_default().starts_with("asks a source"))
                })
                .count()
        };
        for _ in 0..3 {
            let asked = Instant::now();
            let told = control.particulars(Duration::from_secs(3));
            assert!(asked.elapsed() < TIMEOUT / 2, "{:?}", asked.elapsed());
            let names: Vec<_> = told.keys().map(ToString::to_string).collect();
            assert_eq!(names, ["primary", "well"]);
            // (The name of a thread is that of this test's too, so other tests that ask are counted.)
            assert!(asks() >= held.len(), "{}", asks());
            assert!(asks() < 2 * held.len(), "each hangs in one question: {}", asks());
        }
        ends.clear();
    });
    let told = control.particulars(TIMEOUT);
    assert_eq!(told.len(), SOURCES.len(), "each is asked again");
    assert!(told[&name("a")].version.is_some());
    db.close();
}
