//! Many threads on many sources, with reloads in between: exact counts, and nobody waits for a source of others.
//!
//! The longer forms take a minute and more:
//!
//! ```text
//! THREADS_FULL_SIZE=1 cargo test --release -p tests --features multi-source --test it multi::threads -- --nocapture --test-threads=1
//! ```
//!
//! With `HELD_SECONDS=30` besides, the source that another holds is held for that long, instead of five seconds.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use database::multi::Control;
use database::{ChatId, DatabaseConfig, DatabaseWrapper, Durability, ErrorKind, MessageFilter, NewMessage, UserId};

use super::{config_of, name, open};
use crate::support::{Scratch, asked, rows_of, sqlite};

/// Whether the longer forms are asked for.
fn full_size() -> bool {
    std::env::var_os("THREADS_FULL_SIZE").is_some()
}

/// Ten sources, each with four chats: those of the source number `n` are `-(n + 1)`, `-(n + 11)` and so on.
fn ten_sources(folder: &Path) -> DatabaseConfig {
    let names: Vec<String> = (0..10).map(|index| format!("s{index}")).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let mapping: Vec<_> = (0..40).map(|index| (-(index + 1), sources[index as usize % 10])).collect();
    let mut config = config_of(folder, &sources, &mapping);
    for source in config.sources.values_mut() {
        source.durability = Durability::Normal;
        source.timeout = Duration::from_secs(30);
    }
    config
}

fn source_of(chat: ChatId) -> String {
    format!("s{}", (-chat.0 - 1) % 10)
}

/// The chats of the sources that come and go.
fn extra_chats() -> impl Iterator<Item = ChatId> {
    (0..7).map(|place| ChatId(-1000 - place))
}

/// A configuration with one more source, which has chats that are mapped nowhere else: all there are for such sources but
/// one, which the default source has meanwhile.
fn with_extra(config: &DatabaseConfig, round: usize) -> DatabaseConfig {
    let mut next = config.clone();
    let mut extra = next.sources[&name("s1")].clone();
    extra.name = name(&format!("extra{}", round % 3));
    extra.path = next.data_dir.join(format!("{}.db", extra.name));
    let left_out = ChatId(-1000 - (round % 7) as i64);
    next.chat_mapping.extend(extra_chats().filter(|chat| *chat != left_out).map(|chat| (chat, extra.name.clone())));
    next.sources.insert(extra.name.clone(), extra);
    next
}

/// The same, and one of the sources has other settings. No chat is moved.
fn variation(config: &DatabaseConfig, round: usize) -> DatabaseConfig {
    let mut next = with_extra(config, round);
    let altered = next.sources.get_mut(&name(&format!("s{}", round % 10))).unwrap();
    altered.max_connections += 1 + round % 2;
    next
}

/// Writes and reads until it is told to stop, as many times as `most` at most; how much it wrote into each chat that no
/// reload leads elsewhere. The chats of sources that come and go get a setting, which is the same wherever they are.
fn work(db: &DatabaseWrapper, thread: i64, stop: &AtomicBool, most: usize) -> Vec<(ChatId, i64)> {
    let mut written = vec![0; 40];
    for turn in 0..most {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let place = (thread as usize * 7 + turn * 3) % 40;
        let chat = ChatId(-(place as i64 + 1));
        let extra = ChatId(-1000 - (turn % 7) as i64);
        let message = NewMessage::text(thread * 1_000_000 + turn as i64, db.now(), UserId(thread), "x".repeat(50));
        db.save_chat_message(chat, &message).unwrap();
        written[place] += 1;
        match turn % 8 {
            0 => drop(db.get_chat_messages_since(chat, &MessageFilter::default()).unwrap()),
            1 => assert!(db.get_chat_totals(chat).unwrap().messages >= written[place]),
            2 => assert!(db.get_all_group_chats().unwrap().missing().is_empty()),
            3 => db.set_setting("turn", "x").unwrap(),
            4 => db.set_chat_setting(extra, "turn", "x").unwrap(),
            5 => drop(db.get_chat_setting(extra, "turn").unwrap()),
            _ => {}
        }
    }
    written.into_iter().enumerate().map(|(place, count)| (ChatId(-(place as i64 + 1)), count)).collect()
}

/// What all threads wrote is there once, in the chat's source and nowhere else, and each source that came and went was
/// written. Closes the databases.
fn check(folder: &Path, db: DatabaseWrapper, written: &[(ChatId, i64)]) {
    let mut total = 0;
    for chat in (1..=40).map(|chat| ChatId(-chat)) {
        let expected: i64 = written.iter().filter(|(of, _)| *of == chat).map(|(_, count)| count).sum();
        assert_eq!(db.get_chat_totals(chat).unwrap().messages, expected, "{chat}");
        total += expected;
    }
    db.close();
    let (mut found, mut extras) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "db") {
            assert_eq!(path.file_name().unwrap(), "switchyard.lock", "left over");
            continue;
        }
        let connection = sqlite(&path);
        let source = path.file_stem().unwrap().to_str().unwrap();
        for row in connection
            .prepare("SELECT chat_id, COUNT(*), COUNT(DISTINCT message_id) FROM chat_messages GROUP BY chat_id")
            .unwrap()
            .query_map([], |row| Ok((ChatId(row.get(0)?), row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
            .unwrap()
        {
            let (chat, count, distinct) = row.unwrap();
            assert_eq!((source_of(chat).as_str(), count), (source, distinct), "{chat}");
            found += count;
        }
        assert!(!rows_of(&connection, "settings").is_empty());
        if source.starts_with("extra") {
            assert!(!rows_of(&connection, "chat_settings").is_empty(), "{source} was never written");
            extras += 1;
        }
    }
    assert_eq!((found, extras), (total, 3));
}

/// The files in a folder that descriptors of this process lead to.
fn descriptors(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut found: Vec<_> = all
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path.starts_with(folder))
        .collect();
    found.sort();
    found
}

/// Waits until there are no more than so many, and for as long as they get fewer.
fn until_at_most(most: usize, descriptors: impl Fn() -> Vec<PathBuf>) {
    let (mut last, mut since) = (usize::MAX, Instant::now());
    loop {
        let open = descriptors();
        let now = open.len();
        if now <= most {
            return;
        }
        if now < last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{now} descriptors stay, which should be {most}: {open:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn sixteen_threads_on_ten_sources_lose_and_double_nothing_through_reloads() {
    let scratch = Scratch::in_memory();
    let config = ten_sources(scratch.path());
    let (db, control) = open(&config);
    let (stop, reloads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let time = Duration::from_secs(if full_size() { 60 } else { 5 });
    let written: Vec<_> = std::thread::scope(|scope| {
        let (db, stop) = (&db, &stop);
        let threads: Vec<_> = (0..16).map(|thread| scope.spawn(move || work(db, thread, stop, usize::MAX))).collect();
        let start = Instant::now();
        for round in 0.. {
            if start.elapsed() > time {
                break;
            }
            control.reload(&variation(&config, round)).unwrap();
            reloads.fetch_add(1, Ordering::Relaxed);
            std::thread::park_timeout(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let reloads = reloads.into_inner();
    assert!(reloads > 20);
    control.reload(&config).unwrap();
    if full_size() {
        let messages: i64 = written.iter().map(|(_, count)| count).sum();
        writeln!(std::io::stderr(), "16 threads, 10 sources, {time:?}: {messages} messages, {reloads} reloads")
            .unwrap();
    }
    check(scratch.path(), db, &written);
}

/// Reloads so many configurations while four threads work as much as they can.
fn reload_under_load(
    db: &DatabaseWrapper,
    control: &Control,
    first: i64,
    rounds: usize,
    next: impl Fn(usize) -> DatabaseConfig,
) -> Vec<(ChatId, i64)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> =
            (first..first + 4).map(|thread| scope.spawn(move || work(db, thread, stop, usize::MAX))).collect();
        for round in 0..rounds {
            let change = control.reload(&next(round)).unwrap();
            assert!(change.rerouted.iter().all(|one| one.chat.0 <= -1000), "{change}");
            // As fast as what is replaced is closed: a process may have a thousand descriptors.
            until_at_most(350, || descriptors(&next(round).data_dir));
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_thousand_reloads_under_full_load_fail_nothing_and_leave_no_descriptor() {
    let scratch = Scratch::in_memory();
    let mut config = ten_sources(scratch.path());
    // A writer and a reader each, so that it is known how many descriptors there are.
    config.sources.values_mut().for_each(|source| source.max_connections = 2);
    let (db, control) = open(&config);
    for chat in 1..=10 {
        db.get_chat_totals(ChatId(-chat)).unwrap();
    }
    let before = descriptors(scratch.path());
    assert!(before.len() > 50);
    let mut written = reload_under_load(&db, &control, 0, 1000, |round| with_extra(&config, round));
    control.reload(&config).unwrap();
    until_at_most(before.len(), || descriptors(scratch.path()));
    assert_eq!(descriptors(scratch.path()), before);

    // Sources in use get other settings: for a moment the new one and the old one are on the same file. SQLite keeps a
    // descriptor of a closed connection for as long as any other has locks on its file, and uses it for the next one.
    // So of the files themselves there may be more now; of their logs, which tell the connections, there are not.
    written.extend(reload_under_load(&db, &control, 4, 100, |round| variation(&config, round)));
    control.reload(&config).unwrap();
    for chat in 1..=10 {
        db.get_chat_totals(ChatId(-chat)).unwrap();
    }
    let logs = |all: Vec<PathBuf>| -> Vec<PathBuf> {
        all.into_iter().filter(|path| path.extension().is_some_and(|ending| ending != "db")).collect()
    };
    until_at_most(logs(before.clone()).len(), || logs(descriptors(scratch.path())));
    check(scratch.path(), db, &written);
    assert!(descriptors(scratch.path()).is_empty());
}

/// The duration that 99 of 100 calls kept within, of callers of the sources that nobody locks.
fn p99(db: &DatabaseWrapper, round: i64, time: Duration) -> Duration {
    let start = Instant::now();
    let mut all: Vec<Duration> = std::thread::scope(|scope| {
        let thread = |thread: i64| {
            scope.spawn(move || {
                let mut took = Vec::new();
                for turn in 0.. {
                    let begin = Instant::now();
                    if begin - start > time {
                        return took;
                    }
                    // The sources 1 to 9.
                    let chat = ChatId(-(2 + turn % 9));
                    let id = (round * 10 + thread) * 1_000_000_000 + turn;
                    db.save_chat_message(chat, &NewMessage::text(id, db.now(), UserId(1), "x")).unwrap();
                    took.push(begin.elapsed());
                }
                took
            })
        };
        [0, 1].map(thread).into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort();
    all[all.len() * 99 / 100]
}

/// Writes into a source that is held, as often as it is told that it is busy.
fn insist(db: &DatabaseWrapper, message: &NewMessage) {
    while let Err(refused) = db.save_chat_message(ChatId(-1), message) {
        assert!(matches!(refused.kind(), ErrorKind::Busy { .. }), "{refused}");
    }
}

#[test]
fn a_source_that_another_holds_does_not_slow_the_others() {
    let scratch = Scratch::in_memory();
    let mut config = ten_sources(scratch.path());
    let timeout = Duration::from_millis(if full_size() { 2_000 } else { 200 });
    config.sources.get_mut(&name("s0")).unwrap().timeout = timeout;
    let (db, control) = open(&config);
    for chat in 1..=10 {
        db.save_chat_message(ChatId(-chat), &NewMessage::text(0, db.now(), UserId(1), "x")).unwrap();
    }
    let seconds = Duration::from_secs(asked("HELD_SECONDS", 5));
    let (time, slack) =
        if full_size() { (seconds, Duration::ZERO) } else { (Duration::from_millis(700), Duration::from_millis(2)) };
    let mut seen = Vec::new();
    for round in 0..5 {
        let quiet = p99(&db, round * 2 + 10, time);
        let (waiting, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let locked = std::thread::scope(|scope| {
            // (In here: where an assertion fails, it lets go before the threads are waited for.)
            let holder = sqlite(&scratch.file("s0.db"));
            holder.busy_timeout(Duration::from_secs(10)).unwrap();
            holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
            for thread in 0..8_i64 {
                let (db, waiting, answered) = (&db, &waiting, &answered);
                scope.spawn(move || {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    insist(db, &NewMessage::text(-(round * 10 + thread + 1), db.now(), UserId(1), "x"));
                    answered.fetch_add(1, Ordering::Relaxed);
                });
            }
            while waiting.load(Ordering::Relaxed) < 8 {
                std::thread::yield_now();
            }
            let locked = p99(&db, round * 2 + 11, time);
            assert_eq!(answered.load(Ordering::Relaxed), 0, "they waited all the time");
            holder.execute_batch("COMMIT").unwrap();
            locked
        });
        assert_eq!(control.counts().outages, 0, "it is not taken for one that is away");
        seen.push((quiet, locked));
        if locked <= 2 * quiet + slack {
            break;
        }
        // Something else may have kept the machine busy just then.
    }
    let (quiet, locked) = *seen.last().unwrap();
    assert!(locked <= 2 * quiet + slack, "{seen:?}");
    if full_size() {
        writeln!(std::io::stderr(), "p99 of the others, quiet and while one is held: {seen:?}").unwrap();
    }
    db.close();
}
