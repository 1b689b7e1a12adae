//! What routing costs: finding a chat's source among 10,000 and a million mapped chats, beside a point read of SQLite
//! and beside whole reads through the wrapper; many sources; and a question over all sources, at once and in turn.
//!
//! ```text
//! cargo bench -p database --features multi-source --bench routing
//! ```

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use database::multi::Control;
use database::{
    BadColumn, ChatId, DatabaseConfig, DatabaseWrapper, Form, FromRow, Merge, NewMessage, OnUnavailable, Options,
    PartialResults, ReadTx, Result, Route, Row, SourceConfig, SourceName, UserId, params,
};
use rusqlite::Connection;
use tempfile::TempDir;

/// How far apart the chats' ids are, about: like those of real groups, and in no regular distance.
const STRIDE: i64 = 7_919;

fn name(place: i64) -> SourceName {
    format!("s{place:04}").parse().expect("a name")
}

fn chat(number: i64) -> ChatId {
    let off = number.cast_unsigned().wrapping_mul(0xd6e8_feb8_6659_fd93) >> 52;
    ChatId(-1_001_000_000_000 - number * STRIDE - off.cast_signed())
}

/// So many sources, and so many chats that live in them by turns.
fn config(folder: &Path, sources: i64, chats: i64) -> DatabaseConfig {
    let source = |place| {
        let path = folder.join(format!("{place}.db"));
        let settings =
            SourceConfig { name: name(place), on_unavailable: OnUnavailable::Fail, ..SourceConfig::new(path) };
        (name(place), settings)
    };
    let names: Vec<_> = (0..sources).map(name).collect();
    DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.to_owned(),
        sources: (0..sources).map(source).collect(),
        default_source: name(0),
        chat_mapping: (0..chats).map(|number| (chat(number), names[(number % sources) as usize].clone())).collect(),
        partial_results: PartialResults::Warn,
    }
}

struct Opened {
    db: DatabaseWrapper,
    control: Control,
    config: DatabaseConfig,
    _folder: TempDir,
}

fn open(sources: i64, chats: i64) -> Opened {
    let folder = TempDir::new().expect("a folder");
    let config = config(folder.path(), sources, chats);
    let (db, control) = DatabaseWrapper::open_multi(&config, Options::default()).expect("they open");
    Opened { db, control, config, _folder: folder }
}

/// A walk through all chats in an order that no cache foresees.
struct Walk {
    number: i64,
    of: i64,
}

impl Walk {
    fn next(&mut self) -> ChatId {
        self.number = (self.number + 611_953) % self.of;
        chat(self.number)
    }
}

/// The processor time of this thread: what else the machine does meanwhile is not in it.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// How many calls a thread makes before it is looked whether both had a processor all the while.
const BURST: u64 = 2_000;

/// How much processor time each of the threads took for so many calls, on the average. Of several threads only those
/// bursts count in which all ran at the same time.
fn on_threads(threads: i64, calls: u64, of: i64, call: impl Fn(ChatId) + Sync) -> Duration {
    let mut walks: Vec<_> = (0..threads).map(|thread| Walk { number: thread * of / threads, of }).collect();
    let (mut total, mut done, mut tried) = (Duration::ZERO, 0, 0_u32);
    while done < calls {
        let burst = if threads == 1 { calls } else { BURST.min(calls - done) };
        let ready = AtomicI64::new(0);
        let took: Vec<_> = std::thread::scope(|scope| {
            let run = |walk| {
                let (ready, call) = (&ready, &call);
                scope.spawn(move || one_burst(walk, burst, ready, threads, call))
            };
            let all: Vec<_> = walks.iter_mut().map(run).collect();
            all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        tried += 1;
        let ran =
            |(elapsed, processor): &(Duration, Duration)| *elapsed < *processor * 11 / 10 + Duration::from_micros(2);
        if threads == 1 || took.iter().all(ran) {
            total += took.iter().map(|(_, processor)| *processor).sum::<Duration>() / threads as u32;
            done += burst;
        }
        assert!(tried < 1_000_000, "the machine has no time for {threads} threads at once");
    }
    total
}

/// How long a thread took for its calls, once all are there: by the clock, and of a processor.
fn one_burst(
    walk: &mut Walk,
    calls: u64,
    ready: &AtomicI64,
    threads: i64,
    call: &impl Fn(ChatId),
) -> (Duration, Duration) {
    ready.fetch_add(1, Ordering::SeqCst);
    while ready.load(Ordering::SeqCst) < threads {
        std::hint::spin_loop();
    }
    let (start, begin) = (Instant::now(), processor_time());
    for _ in 0..calls {
        call(walk.next());
    }
    let processor = processor_time() - begin;
    (start.elapsed(), processor)
}

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    let folder = TempDir::new().expect("a folder");
    let one = DatabaseWrapper::open(&SourceConfig::new(folder.path().join("one.db"))).expect("it opens");
    for (chats, of) in [("10,000 chats", 10_000), ("1,000,000 chats", 1_000_000)] {
        let Opened { db, _folder, .. } = open(10, of);
        for threads in [1, 2] {
            group.bench_function(format!("{chats}, {threads} thread(s)"), |b| {
                b.iter_custom(|calls| {
                    on_threads(threads, calls, of, |chat| {
                        black_box(db.source_of(Route::Chat(chat)).is_ok());
                    })
                });
            });
        }
    }
    // What of this is no routing: the walk, and asking the wrapper.
    for threads in [1, 2] {
        group.bench_function(format!("one file, {threads} thread(s)"), |b| {
            b.iter_custom(|calls| {
                on_threads(threads, calls, 1_000_000, |chat| {
                    black_box(one.source_of(Route::Chat(chat)).is_ok());
                })
            });
        });
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("plain.db");
    let plain = Connection::open(&path).expect("it opens");
    plain
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO t SELECT i, i FROM n;",
        )
        .expect("it is filled");
    group.bench_function("plain SQLite, one row by its key", |b| {
        b.iter_custom(|calls| {
            let begin = processor_time();
            let mut walk = Walk { number: 0, of: 10_000 };
            for _ in 0..calls {
                let mut statement = plain.prepare_cached("SELECT x FROM t WHERE id = ?1").expect("it is one");
                walk.next();
                black_box(statement.query_row([walk.number], |row| row.get::<_, String>(0)).expect("a row"));
            }
            processor_time() - begin
        });
    });
    let one = DatabaseWrapper::open(&SourceConfig::new(folder.path().join("one.db"))).expect("it opens");
    let Opened { db: many, _folder, .. } = open(10, 10_000);
    for (sources, db) in [("one file", &one), ("ten sources", &many)] {
        for number in 0..10 {
            db.get_chat_setting(chat(number), "language").expect("it is read");
        }
        for threads in [1, 2] {
            group.bench_function(format!("{sources}, nothing but the way there, {threads} thread(s)"), |b| {
                b.iter_custom(|calls| {
                    on_threads(threads, calls, 10_000, |chat| {
                        db.read("bench.read", Route::Chat(chat), |_| Ok(())).expect("it is read");
                    })
                });
            });
            group.bench_function(format!("{sources}, one setting of a chat, {threads} thread(s)"), |b| {
                b.iter_custom(|calls| {
                    on_threads(threads, calls, 10_000, |chat| {
                        black_box(db.get_chat_setting(chat, "language").expect("it is read"));
                    })
                });
            });
        }
    }
    group.finish();
}

/// A message's place.
struct Place(ChatId, String);

impl FromRow for Place {
    const TABLE: &'static str = "chat_messages";
    const KEY: &'static [&'static str] = &["chat_id", "message_id"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self(row.get("chat_id")?, row.get("message_id")?))
    }
}

fn places(tx: &ReadTx<'_>) -> Result<Vec<Place>> {
    tx.query("SELECT chat_id, message_id FROM chat_messages ORDER BY chat_id, message_id", params![])
}

fn every_source(c: &mut Criterion) {
    let mut group = c.benchmark_group("every of ten sources");
    let merge = Merge {
        chat: |row: &Place| row.0,
        key: |row| (row.0, row.1.clone()),
        order: |row| (row.0, row.1.clone()),
        limit: None,
    };
    for rows in [1, 200, 20_000] {
        let Opened { db, config, _folder, .. } = open(10, 10);
        for number in 0..10 {
            let message = |id| NewMessage::text(id, db.now(), UserId(1), "some words that somebody said");
            let batch: Vec<_> = (0..rows).map(message).collect();
            db.save_chat_messages(chat(number), &batch).expect("they are written");
        }
        let each: Vec<_> = config.sources.keys().map(|name| db.on_source(name.as_str())).collect();
        group.bench_function(format!("{rows} row(s) in each, asked for together"), |b| {
            b.iter(|| black_box(db.read_every("bench.every", &merge, places).expect("read").len()));
        });
        group.bench_function(format!("{rows} row(s) in each, one source after the other and not merged"), |b| {
            b.iter(|| {
                for one in &each {
                    black_box(one.read("bench.one", Route::Shared, places).expect("read").len());
                }
            });
        });
    }
    group.finish();
}

fn thousand_sources(c: &mut Criterion) {
    let mut group = c.benchmark_group("1,000 sources");
    group.sample_size(10);
    let Opened { db, control, config, _folder, .. } = open(1_000, 1_000_000);
    group.bench_function("route, 1,000,000 chats, 1 thread", |b| {
        b.iter_custom(|calls| {
            on_threads(1, calls, 1_000_000, |chat| {
                black_box(db.source_of(Route::Chat(chat)).is_ok());
            })
        });
    });
    let mut other = config.clone();
    other.chat_mapping.remove(&chat(1));
    let mut turn = 0;
    group.bench_function("reload, 1,000,000 chats", |b| {
        b.iter(|| {
            turn += 1;
            control.reload(if turn % 2 == 0 { &config } else { &other }).expect("it is gone over to")
        });
    });
    group.finish();
}

criterion_group!(benches, routes, reads, every_source, thousand_sources);
criterion_main!(benches);
