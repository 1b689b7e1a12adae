//! Many tasks at random chats, each chat in a database of its own, with few files open at a time: by the wrapper, and by
//! hand with a connection that is opened for each call and closed after it.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use contest::{Failure, Job, Outcome, SettingKey, Tasks, chat, message, setting_key};
use database::{ChatId, DatabaseWrapper, NewMessage, Options, SourceConfig, Timestamp, UserId};
use parking_lot::{Condvar, Mutex};
use rusqlite::config::DbConfig;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::ours::{self, durability, failure, name};
use crate::prepare::source_file;
use crate::rusqlite_calls::{open, perform};

/// How many files a process may have open.
const OPEN_FILES: u64 = 256;
/// How many connections are open at a time where each call has its own: as many as the wrapper has databases open.
const AT_ONCE: usize = 48;
/// How many threads visit every database before anything is measured.
const VISITORS: u64 = 16;

/// Runs the job: `job.size` databases, `job.callers` tasks, `job.calls` calls of each task.
pub(crate) fn crowd(job: &Job) -> Result<Outcome, Box<dyn Error>> {
    let memory = Memory::open()?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) })?;
    if job.contender != "ours, many" {
        let by_hand = ByHand { job, has_room: Mutex::new(AT_ONCE), freed: Condvar::new() };
        return Ok(run(job, &memory, |chat, call| by_hand.call(chat, call)));
    }
    let mut config = ours::many(&job.path, job.size, |number, name| SourceConfig {
        name,
        durability: durability(job.durability),
        ..SourceConfig::new(source_file(&job.path, number))
    })?;
    for number in 0..job.size {
        config.chat_mapping.insert(ChatId(chat(number)), name(number)?);
    }
    let (db, _control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    let outcome = run(job, &memory, |chat, call| by_wrapper(&db, chat, call));
    db.close();
    Ok(outcome)
}

/// Lets all tasks make their calls.
fn run(job: &Job, memory: &Memory, call: impl Fn(u64, u64) -> Result<(), Failure> + Sync) -> Outcome {
    let calls = job.calls.unwrap_or(100) as u64;
    let all = calls * job.callers as u64;
    // Ids that no earlier run on the same files has given.
    let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64) << 20;
    let (done, next) = (AtomicU64::new(0), AtomicU64::new(0));
    // Looked at by whoever makes these calls, with all tasks still there.
    let (early, late, all_done) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(job.callers));
    let failures = Mutex::new((0, 0, None));
    let note = |answer: Result<(), Failure>| {
        let mut failures = failures.lock();
        match answer {
            Ok(()) => {}
            Err(Failure::Busy) => failures.0 += 1,
            Err(Failure::Other(text)) => {
                failures.1 += 1;
                failures.2.get_or_insert(text);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..VISITORS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= job.size {
                        return;
                    }
                    note(call(place, 1));
                }
            });
        }
    });
    // Written to now, so that they count from the beginning and not with each page that is filled.
    let times = vec![vec![u64::MAX; usize::try_from(calls).unwrap_or_default()]; job.callers];
    let (began, used) = (Instant::now(), contest::cpu());
    let task = |number: u64, mut times: Vec<u64>| {
        let mut place = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for (turn, time) in (0..calls).zip(&mut times) {
            place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let begin = Instant::now();
            note(call((place >> 33) % job.size, first + number * calls + turn));
            *time = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done == all / 10 {
                early.store(memory.resident(), Ordering::Relaxed);
            } else if done == all {
                late.store(memory.resident(), Ordering::Relaxed);
            }
        }
        all_done.wait();
        times
    };
    let mut times = thread::scope(|scope| {
        let task = &task;
        let tasks: Vec<_> = (0..).zip(times).map(|(number, times)| scope.spawn(move || task(number, times))).collect();
        tasks.into_iter().flat_map(|task| task.join().expect("a task does not panic")).collect::<Vec<_>>()
    });
    let (nanos, cpu) = (u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), contest::cpu() - used);
    let memory = Some((early.into_inner(), late.into_inner()));
    times.sort_unstable();
    let at = |hundredth: usize| times[(times.len() - 1) * hundredth / 100];
    let (busy, failed, first_failure) = failures.into_inner();
    let ops = all - busy - failed;
    let (p50, p99, max) = (at(50), at(99), at(100));
    Outcome { ops, nanos, cpu, p50, p99, max, busy, failed, first_failure, memory, ..Outcome::default() }
}

/// One of four calls stores a message, the others read a setting.
fn is_write(call: u64) -> bool {
    call.is_multiple_of(4)
}

fn by_wrapper(db: &DatabaseWrapper, number: u64, call: u64) -> Result<(), Failure> {
    let id = ChatId(chat(number));
    if is_write(call) {
        let said = message(number, call % 4_096);
        let date = Timestamp::from_unix_seconds(said.seconds).map_err(Failure::of)?;
        let message = NewMessage::text(call.to_string(), date, UserId(said.user), said.text);
        return db.save_chat_message(id, &message).map_err(|error| failure(&error));
    }
    match db.get_chat_setting(id, &setting_key(0)).map_err(|error| failure(&error))? {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(Failure::Other("wrong answer: no setting".to_owned())),
    }
}

/// Calls with a connection each.
struct ByHand<'a> {
    job: &'a Job,
    has_room: Mutex<usize>,
    freed: Condvar,
}

impl ByHand<'_> {
    fn call(&self, number: u64, call: u64) -> Result<(), Failure> {
        let mut room = self.has_room.lock();
        self.freed.wait_while(&mut room, |room| *room == 0);
        *room -= 1;
        drop(room);
        let answer = self.alone(number, call);
        *self.has_room.lock() += 1;
        self.freed.notify_one();
        answer
    }

    fn alone(&self, number: u64, call: u64) -> Result<(), Failure> {
        let tasks = if is_write(call) {
            let mut said = message(number, call % 4_096);
            said.id = call.to_string();
            Tasks::Save(vec![said])
        } else {
            Tasks::Setting(vec![SettingKey { chat: chat(number), key: setting_key(0) }])
        };
        let mut connection = open(&source_file(&self.job.path, number), self.job.durability).map_err(Failure::of)?;
        let leaves_log = self.job.contender.ends_with("log left");
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leaves_log).map_err(Failure::of)?;
        perform(&mut connection, &tasks, 0)
    }
}

/// How many bytes of memory the process has: looked up in a file that stays open, since files may run out.
struct Memory(File);

impl Memory {
    fn open() -> std::io::Result<Self> {
        File::open("/proc/self/statm").map(Self)
    }

    fn resident(&self) -> u64 {
        let mut text = [0; 100];
        let length = self.0.read_at(&mut text, 0).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..length]);
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        pages.unwrap_or_default() * rustix::param::page_size() as u64
    }
}
