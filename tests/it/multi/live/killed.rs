//! A process that is killed while it moves a chat that it writes: one owner, every answer kept, nothing back from the
//! dead; the next run completes the move or undoes it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use database::multi::{MoveError, MoveOptions, Progress, Stage};
use database::{DatabaseConfig, MessageId, NewMessage, UserId};

use super::super::{config_of, name, open};
use super::{MOVED, fill, go_on};
use crate::child::{Child, say};
use crate::support::{Scratch, asked, sqlite};

fn config(folder: &Path) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "archive"], &[]);
    config.sources.values_mut().for_each(|source| source.durability = database::Durability::Normal);
    config
}

/// A helper's task: moves the chat there and back while others write it, and tells each answer and each stage.
pub(crate) fn load(folder: &str) {
    let (db, control) = open(&config(Path::new(folder)));
    let stop = AtomicBool::new(false);
    let told = Mutex::new(());
    let tell = |text: &str| {
        let _one = told.lock().unwrap();
        say(text);
    };
    std::thread::scope(|scope| {
        let (db, stop, tell) = (&db, &stop, &tell);
        for writer in 0..4_i64 {
            scope.spawn(move || {
                // None is used twice, however often the process is started.
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
                let first = i64::try_from(since).unwrap() + writer * 10_000_000_000_000_000;
                for number in 0_i64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = first + number;
                    let message = NewMessage::text(id, db.now(), UserId(writer), format!("CANARY {id}"));
                    db.save_chat_message(MOVED, &message).unwrap();
                    tell(&format!("said {id}"));
                    if number % 3 == 2 {
                        let key = format!("{writer}-{}", number % 5);
                        db.set_chat_setting(MOVED, &key, &number.to_string()).unwrap();
                        tell(&format!("set {key} {number}"));
                    }
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            });
        }
        for to in ["archive", "primary"].iter().cycle() {
            let mut last = None;
            let show = |progress: Progress| {
                if last.replace(progress.stage) != Some(progress.stage) {
                    tell(&format!("stage {}", progress.stage));
                }
                ControlFlow::Continue(())
            };
            match control.move_chat(MOVED, &name(to), &MoveOptions::default(), show) {
                Ok(_) | Err(MoveError::AlreadyThere { .. } | MoveError::Unfinished { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

/// What was answered before the process was killed.
#[derive(Default)]
struct Answered {
    said: Vec<i64>,
    set: BTreeMap<String, i64>,
}

impl Answered {
    fn take(&mut self, line: &str) {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("said"), Some(id), _) => self.said.push(id.parse().unwrap()),
            (Some("set"), Some(key), Some(value)) => drop(self.set.insert(key.to_owned(), value.parse().unwrap())),
            _ => {}
        }
    }
}

#[test]
fn a_process_that_is_killed_while_a_chat_moves_loses_and_doubles_nothing() {
    let rounds: usize = asked("MOVE_KILLS", 2);
    let stages = [Stage::Copying, Stage::Verifying, Stage::Switching, Stage::Deleting, Stage::Tidying];
    let scratch = Scratch::in_memory();
    {
        let (db, _) = open(&config(scratch.path()));
        fill(&db, MOVED, 2_000);
        db.close();
    }
    let mut answered = Answered::default();
    let (mut kills, mut undone, mut killed_at) = (0, 0, BTreeMap::<String, u32>::new());
    for round in 0..rounds {
        for (place, stage) in stages.iter().enumerate() {
            let mut child = Child::start(&[OsStr::new("live-move"), scratch.path().as_os_str()]);
            // At a stage, and a little later each time.
            let (mut at, begun) = (String::new(), Instant::now());
            let mut left = (round * 7 + place * 3) % 40;
            loop {
                let line = child.line();
                answered.take(&line);
                if let Some(stage) = line.strip_prefix("stage ") {
                    at = stage.to_owned();
                }
                // Nothing is tidied where the last move was at its end.
                let is_there = at == stage.to_string() || begun.elapsed() > Duration::from_secs(2);
                if is_there && left == 0 {
                    break;
                }
                left -= usize::from(is_there);
            }
            child.kill_and_read(|line| answered.take(line));
            kills += 1;
            *killed_at.entry(at).or_default() += 1;
            let (db, control) = open(&config(scratch.path()));
            let owner = control.explain(MOVED).source;
            check(&db, &answered);
            if kills % 2 == 0 {
                match control.abort_move(MOVED, go_on) {
                    Ok(_) => undone += 1,
                    Err(MoveError::NothingToAbort { .. } | MoveError::AlreadySwitched { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(control.explain(MOVED).source, owner);
            }
            for unfinished in control.unfinished_moves().unwrap() {
                control.move_chat(MOVED, &name(&unfinished.to), &MoveOptions::default(), go_on).unwrap();
            }
            check(&db, &answered);
            let owner = control.explain(MOVED).source;
            db.close();
            for source in ["primary", "archive"].into_iter().filter(|source| *source != owner.as_str()) {
                for table in ["chat_messages", "chat_settings", "chat_stats", "chat_users"] {
                    let sql = format!("SELECT COUNT(*) FROM {table} WHERE chat_id = -1");
                    let left: i64 =
                        sqlite(&scratch.file(&format!("{source}.db"))).query_row(&sql, [], |row| row.get(0)).unwrap();
                    assert_eq!(left, 0, "{table} in {source}");
                }
            }
        }
    }
    writeln!(
        std::io::stdout(),
        "{kills} kills of moves ({killed_at:?}), {undone} undone, {} answered messages: none lost, none doubled",
        answered.said.len()
    )
    .unwrap();
}

/// Every answer is there, once.
fn check(db: &database::DatabaseWrapper, answered: &Answered) {
    for id in answered.said.iter().rev().take(3_000) {
        let found = db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap();
        assert_eq!(found.map(|found| found.message_text), Some(format!("CANARY {id}")));
    }
    let all = db.get_chat_totals(MOVED).unwrap().messages;
    // One more may have been kept of each writer and kill than was told.
    assert!(all >= answered.said.len() as i64 + 2_000);
    let settings = db.get_chat_settings(MOVED).unwrap();
    for key in answered.set.keys() {
        assert!(settings.contains_key(key), "{key}");
    }
}
