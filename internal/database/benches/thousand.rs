//! A thousand sources at once, all of them open: opening and closing them, calls of sixteen threads at any of them, a
//! question over all, and what they take of memory and descriptors.
//!
//! ```text
//! cargo bench -p database --features multi-source --bench thousand
//! ```

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use database::multi::Control;
use database::{
    ChatId, ChatType, DatabaseConfig, DatabaseWrapper, Durability, Form, Health, NewChatInfo, NewMessage,
    OnUnavailable, Options, PartialResults, SourceConfig, SourceName, UserId,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const SOURCES: i64 = 1_000;
const THREADS: i64 = 16;
/// Of each source the file, its log and the index of that, and the file and the log once more for a reader.
const DESCRIPTORS: u64 = 6 * SOURCES.unsigned_abs();

/// The chat that lives in a source.
fn chat(source: i64) -> ChatId {
    ChatId(-1_001_000_000_000 - source)
}

fn name(source: i64) -> SourceName {
    format!("s{source:04}").parse().expect("a name")
}

fn config(folder: &Path) -> DatabaseConfig {
    let source = |number| {
        let settings = SourceConfig {
            name: name(number),
            durability: Durability::Normal,
            on_unavailable: OnUnavailable::Fail,
            ..SourceConfig::new(folder.join(format!("{number}.db")))
        };
        (name(number), settings)
    };
    DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources: (0..SOURCES).map(source).collect(),
        default_source: name(0),
        chat_mapping: (0..SOURCES).map(|number| (chat(number), name(number))).collect(),
        partial_results: PartialResults::Error,
    }
}

/// Calls `calls` times for the sources in turn, from all threads; how long that took.
fn on_threads(calls: i64, call: impl Fn(i64) + Sync) -> Duration {
    let (next, start) = (AtomicI64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return;
                    }
                    call(number);
                }
            });
        }
    });
    start.elapsed()
}

/// Opens all of them: with a reader and, where something is stored in each, with a writer that has written.
fn open(config: &DatabaseConfig) -> (DatabaseWrapper, Control, Duration) {
    let start = Instant::now();
    let (db, control) = DatabaseWrapper::open_multi(config, Options::default()).expect("they open");
    on_threads(SOURCES, |number| {
        db.set_chat_setting(chat(number), "language", "nl").expect("it is written");
        db.get_chat_setting(chat(number), "language").expect("it is read");
    });
    let took = start.elapsed();
    assert!(control.status().sources.iter().all(|one| one.source.health == Health::Open));
    (db, control, took)
}

/// The bytes of memory that this process has, and its descriptors.
fn taken() -> (u64, usize) {
    let of = format!("/proc/{}", std::process::id());
    let statm = Command::new("cat").arg(format!("{of}/statm")).output().expect("Linux").stdout;
    let pages = String::from_utf8_lossy(&statm).split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let descriptors = Path::new(&of).join("fd").read_dir().expect("Linux").count();
    (pages.expect("a number") * rustix::param::page_size() as u64, descriptors)
}

fn thousand(c: &mut Criterion) {
    let most = getrlimit(Resource::Nofile).maximum;
    assert!(most.is_none_or(|most| most > DESCRIPTORS), "{DESCRIPTORS} descriptors are needed, {most:?} are allowed");
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("it is allowed");
    let mut group = c.benchmark_group("1,000 open sources");
    group.sample_size(10);
    let folder = TempDir::new().expect("a folder");
    let config = config(folder.path());
    let before = taken();
    let (db, control, took) = open(&config);
    let (after, started) = (taken(), Instant::now());
    db.close();
    // Criterion can say nothing of what happens once.
    let _ = writeln!(
        std::io::stderr(),
        "making 1,000: {took:.1?}; open they take {} MB and {} descriptors; closing: {:.1?}",
        (after.0 - before.0) / 1_000_000,
        after.1 - before.1,
        started.elapsed()
    );
    drop(control);

    group.bench_function("opening all of them again", |b| {
        b.iter_custom(|rounds| {
            let round = |_| {
                let (db, _control, took) = open(&config);
                db.close();
                took
            };
            (0..rounds).map(round).sum()
        });
    });
    let (db, control, _) = open(&config);
    for number in 0..SOURCES {
        let info = NewChatInfo {
            title: Some("a group".to_owned()),
            username: None,
            chat_type: ChatType::Supergroup,
            is_forum: false,
        };
        db.update_chat_info(chat(number), &info).expect("it is written");
        db.update_chat_user(chat(number), UserId(1), "@ada", "Ada").expect("it is written");
    }
    group.bench_function("a setting read, 16 threads", |b| {
        b.iter_custom(|calls| {
            on_threads(calls.cast_signed(), |number| {
                // (In an order that no cache foresees.)
                black_box(db.get_chat_setting(chat(number * 611 % SOURCES), "language").expect("it is read"));
            })
        });
    });
    let message = AtomicI64::new(0);
    group.bench_function("a message stored, 16 threads", |b| {
        b.iter_custom(|calls| {
            on_threads(calls.cast_signed(), |number| {
                let id = message.fetch_add(1, Ordering::Relaxed);
                let said = NewMessage::text(id, db.now(), UserId(1), "some words that somebody said");
                db.save_chat_message(chat(number * 611 % SOURCES), &said).expect("it is written");
            })
        });
    });
    group.bench_function("all groups, of every source", |b| {
        b.iter(|| assert_eq!(db.get_all_group_chats().expect("read").len(), SOURCES as usize));
    });
    group.bench_function("the status", |b| b.iter(|| black_box(control.status())));
    group.finish();
    db.close();
}

criterion_group!(benches, thousand);
criterion_main!(benches);
