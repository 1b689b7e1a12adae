//! A process that is killed while it moves a chat that it writes: one owner, every answer kept, nothing back from the
//! dead; the next run completes the move or undoes it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use database::multi::{MoveError, MoveOptions, Progress, Stage};
use database::{DatabaseConfig, DatabaseWrapper, MessageId, NewMessage, Route, SourceName, UserId, params};

use super::super::{config_of, name, open};
use super::{MOVED, fill, go_on};
use crate::child::{Child, say};
use crate::support::{Scratch, asked, sqlite};

/// How often a stage is tried to be met.
const MOST_TRIES: usize = 20;

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
                // Whatever is written has a number that was never there, and each is higher than the one before, however
                // often the process is started.
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
                let first = i64::try_from(since).unwrap() + writer * 10_000_000_000_000_000;
                for number in 0_i64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    write(db, writer, first + number, tell);
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
                // So that it can be killed there.
                std::thread::park_timeout(Duration::from_millis(3));
                ControlFlow::Continue(())
            };
            match control.move_chat(MOVED, &name(to), &MoveOptions::default(), show) {
                Ok(_) | Err(MoveError::AlreadyThere { .. } | MoveError::Unfinished { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

/// Stores a message, edits or deletes the one before, sets a setting or deletes it, and tells of it what was answered;
/// of what deletes also that it is begun.
fn write(db: &DatabaseWrapper, writer: i64, id: i64, tell: &impl Fn(&str)) {
    let before = id - 1;
    let key = format!("key-{writer}-{}", id % 5);
    match id % 4 {
        0 => {
            let message = NewMessage::text(id, db.now(), UserId(writer), id.to_string());
            db.save_chat_message(MOVED, &message).unwrap();
            tell(&format!("said {id} {id}"));
        }
        1 => {
            db.update_chat_message_text(MOVED, &MessageId::from(before), &id.to_string()).unwrap();
            tell(&format!("edited {before} {id}"));
        }
        2 if id % 8 == 2 => {
            let said = MessageId::from(id - 2);
            tell(&format!("deletes {} {id}", id - 2));
            db.write("test.delete", Route::Chat(MOVED), |tx| {
                tx.execute("DELETE FROM chat_messages WHERE chat_id = -1 AND message_id = ?1", params![&said]).map(drop)
            })
            .unwrap();
            tell(&format!("deleted {} {id}", id - 2));
        }
        2 => {
            tell(&format!("deletes {key} {id}"));
            db.unset_chat_setting(MOVED, &key).unwrap();
            tell(&format!("deleted {key} {id}"));
        }
        _ => {
            db.set_chat_setting(MOVED, &key, &id.to_string()).unwrap();
            tell(&format!("set {key} {id}"));
        }
    }
}

/// What was answered last of a message or a setting.
#[derive(Clone, Copy, Debug)]
struct Last {
    value: i64,
    is_there: bool,
    /// Whether it may have been deleted without an answer.
    may_be_gone: bool,
}

/// What was answered before the process was killed, by the id of a message and the key of a setting.
#[derive(Default)]
struct Answered {
    last: BTreeMap<String, Last>,
    said: i64,
    /// The stage that was told last.
    stage: String,
}

impl Answered {
    fn take(&mut self, line: &str) {
        if let Some(stage) = line.strip_prefix("stage ") {
            stage.clone_into(&mut self.stage);
            return;
        }
        let mut words = line.split(' ');
        let (Some(what), Some(key), Some(value)) = (words.next(), words.next(), words.next()) else { return };
        let (key, value) = (key.to_owned(), value.parse().unwrap());
        if what == "deletes" {
            if let Some(last) = self.last.get_mut(&key) {
                last.may_be_gone = true;
            }
            return;
        }
        // A process is started in the middle: the message that it edits or deletes first was never said.
        if what != "said" && what != "set" && !self.last.contains_key(&key) {
            return;
        }
        self.said += i64::from(what == "said");
        self.last.insert(key, Last { value, is_there: what != "deleted", may_be_gone: false });
    }

    /// Every answer is there, or what was written later and not answered any more; nothing is older, nor is anything back
    /// that was deleted.
    fn check(&self, db: &DatabaseWrapper, file: &Path, kills: i64) {
        let settings = db.get_chat_settings(MOVED).unwrap();
        let messages = messages(file);
        for (key, last) in &self.last {
            let found = if key.starts_with("key-") { settings.get(key) } else { messages.get(key) };
            let found = found.map(|found| found.parse::<i64>().unwrap());
            let is_right = match found {
                Some(found) if last.is_there => found >= last.value,
                // A setting may have been set again.
                Some(found) => found > last.value && key.starts_with("key-"),
                None => !last.is_there || last.may_be_gone,
            };
            assert!(is_right, "{key}: {last:?} was answered, and {found:?} is there");
        }
        let all = db.get_chat_totals(MOVED).unwrap().messages - 2_000;
        // One more may have been kept of each writer and kill than was told.
        assert!((self.said..=self.said + 4 * kills).contains(&all), "{} answered, {all} there", self.said);
    }
}

/// The messages that were said meanwhile, and what they say.
fn messages(file: &Path) -> HashMap<String, String> {
    let sql = "SELECT message_id, message_text FROM chat_messages WHERE chat_id = -1 AND length(message_id) > 10";
    let connection = sqlite(file);
    let mut query = connection.prepare(sql).unwrap();
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Leaves a part of a copy, which whoever moves the chat next has to tidy away.
fn leave_a_part(folder: &Path) {
    let (db, control) = open(&config(folder));
    let to = if control.explain(MOVED).source == name("primary") { "archive" } else { "primary" };
    let stop = |progress: Progress| {
        if progress.stage == Stage::Verifying { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    control.move_chat(MOVED, &name(to), &MoveOptions::default(), stop).unwrap_err();
    db.close();
}

/// Kills a process that moves the chat so many lines after it has come to a stage, and answers the stage that it was at.
fn kill_at(stage: Stage, folder: &Path, mut left: usize, answered: &mut Answered) -> String {
    let mut child = Child::start(&[OsStr::new("live-move"), folder.as_os_str()]);
    answered.stage.clear();
    let begun = Instant::now();
    loop {
        answered.take(&child.line());
        let is_there = answered.stage == stage.to_string() || begun.elapsed() > Duration::from_secs(20);
        if is_there && left == 0 {
            break;
        }
        left -= usize::from(is_there);
    }
    child.kill_and_read(|line| answered.take(line));
    answered.stage.clone()
}

#[test]
fn a_process_that_is_killed_while_a_chat_moves_loses_and_doubles_nothing() {
    let rounds: usize = asked("MOVE_KILLS", 2);
    let stages = [Stage::Copying, Stage::Verifying, Stage::Switching, Stage::Deleting, Stage::Tidying];
    let (mut all, mut undone, mut said, mut killed_at) = (0, 0, 0, BTreeMap::<String, usize>::new());
    for round in 0..rounds {
        // Each with a chat of its own: it grows while it moves.
        let scratch = Scratch::in_memory();
        {
            let (db, _) = open(&config(scratch.path()));
            fill(&db, MOVED, 2_000);
            db.close();
        }
        let (mut answered, mut kills) = (Answered::default(), 0);
        for stage in stages {
            for again in 1.. {
                assert!(again <= MOST_TRIES, "no kill came while {stage}: {killed_at:?}");
                if stage == Stage::Tidying {
                    leave_a_part(scratch.path());
                }
                let at = kill_at(stage, scratch.path(), round * 7 % 20 / again, &mut answered);
                kills += 1;
                let is_met = at == stage.to_string();
                *killed_at.entry(at).or_default() += 1;
                undone += usize::from(settle(scratch.path(), &answered, kills));
                // A stage may have been over when the kill came.
                if is_met {
                    break;
                }
            }
        }
        all += kills;
        said += answered.said;
    }
    writeln!(
        std::io::stdout(),
        "{all} kills of moves ({killed_at:?}), {undone} undone, {said} answered messages: none lost, none doubled"
    )
    .unwrap();
    for stage in stages {
        assert!(killed_at.get(&stage.to_string()).is_some_and(|hits| *hits >= rounds), "{stage}: {killed_at:?}");
    }
}

/// Looks at what a kill has left, and brings the move to its end; each second time undoes it, where that can be, and
/// answers whether it was.
fn settle(folder: &Path, answered: &Answered, kills: i64) -> bool {
    let (db, control) = open(&config(folder));
    let owner = control.explain(MOVED).source;
    let file = |owner: &SourceName| folder.join(format!("{owner}.db"));
    answered.check(&db, &file(&owner), kills);
    let mut is_undone = false;
    if kills % 2 == 0 {
        match control.abort_move(MOVED, go_on) {
            Ok(_) => is_undone = true,
            Err(MoveError::NothingToAbort { .. } | MoveError::AlreadySwitched { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(control.explain(MOVED).source, owner);
    }
    for unfinished in control.unfinished_moves().unwrap() {
        control.move_chat(MOVED, &name(&unfinished.to), &MoveOptions::default(), go_on).unwrap();
    }
    let owner = control.explain(MOVED).source;
    answered.check(&db, &file(&owner), kills);
    db.close();
    for source in ["primary", "archive"].into_iter().filter(|source| *source != owner.as_str()) {
        for table in ["chat_messages", "chat_settings", "chat_stats", "chat_users"] {
            let sql = format!("SELECT COUNT(*) FROM {table} WHERE chat_id = -1");
            let left: i64 = sqlite(&folder.join(format!("{source}.db"))).query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "{table} in {source}");
        }
    }
    is_undone
}
