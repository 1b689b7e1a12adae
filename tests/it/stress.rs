//! Sixteen callers at one writer, each failing in every way that there is, on a disk that is full now and then, with
//! another process writing the same file: what was answered is there once, what was refused is not there.
//!
//! It takes a few seconds; `STRESS_SECONDS` says for how long callers go on.

use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use database::{DatabaseWrapper, Error, ErrorKind, Options, Refusal, Route, SourceConfig, WriteTx, params};
use rusqlite::Connection;

use crate::child::{Child, say};
use crate::support::{Recording, Scratch, asked, rows_of, sqlite};

const CALLERS: u64 = 16;
const SECONDS: u64 = 4;
/// Beyond this it is given up, whatever was not seen yet.
const PATIENCE: Duration = Duration::from_secs(90);
/// What rows of the other process are called.
const OTHER: i64 = -1;

/// `stressed` may hold a row twice, `contested` may not, and `latest` comes out otherwise where writes were
/// made in another order.
const SCHEMA: &str = "
    CREATE TABLE stressed (id INTEGER, filling TEXT);
    CREATE INDEX stressed_id ON stressed (id);
    CREATE TABLE contested (id INTEGER PRIMARY KEY);
    CREATE TABLE latest (key INTEGER PRIMARY KEY, id INTEGER);
    CREATE TRIGGER refuses_all BEFORE INSERT ON stressed WHEN NEW.filling = 'refused'
    BEGIN SELECT RAISE(ROLLBACK, 'refused by the trigger'); END;";

/// What can become of a write, each of which has to be seen.
const KINDS: [&str; 9] =
    ["done", "panicked", "not found", "duplicate", "rolled back", "passed over", "too slow", "busy", "full"];

#[derive(Default)]
struct Seen {
    answered: Mutex<Vec<i64>>,
    refused: Mutex<Vec<i64>>,
    /// Of which nobody knows.
    unknown: Mutex<Vec<i64>>,
    kinds: [AtomicUsize; KINDS.len()],
}

impl Seen {
    fn count(&self, kind: &str) {
        let index = KINDS.iter().position(|known| *known == kind).unwrap();
        self.kinds[index].fetch_add(1, Ordering::Relaxed);
    }

    fn has_all(&self) -> bool {
        self.kinds.iter().all(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Keeps what became of the write of an id.
    fn keep(&self, id: i64, answer: Result<(), &Error>) {
        let list = match answer {
            Ok(()) => &self.answered,
            Err(error) if matches!(error.kind(), ErrorKind::OutcomeUnknown { .. }) => &self.unknown,
            Err(_) => &self.refused,
        };
        list.lock().unwrap().push(id);
    }
}

#[test]
fn whatever_fails_around_them_the_answered_are_there_once_and_the_refused_not_at_all() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().unwrap();
    let script = format!("mount -t tmpfs -o size=256m none {folder}; \"$0\" \"$@\"");
    let child = Child::start_in_namespace(&script, &["stress", folder].map(OsStr::new));
    assert_eq!(child.answer(), "all is well");
}

/// The test, where the disk is small.
pub(crate) fn run(folder: &Path) {
    // What the callers' panics say is known.
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(|| stress(folder));
    let reason = |panic: &Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    };
    say(&result.map_or_else(|panic| reason(&panic), |()| "all is well".to_owned()));
}

fn stress(folder: &Path) {
    let elsewhere = Scratch::in_memory();
    let (path, copy) = (folder.join("bot.db"), elsewhere.file("copy.db"));
    let config = SourceConfig { timeout: Duration::from_millis(300), ..SourceConfig::new(&path) };
    let recording = Recording::default();
    let db = DatabaseWrapper::open_with(&config, recording.of(Options::default())).unwrap();
    sqlite(&path).execute_batch(SCHEMA).unwrap();
    let mut other = Child::start(&["stress-other", path.to_str().unwrap()].map(OsStr::new));
    assert_eq!(other.line(), "ready");

    let seen = Seen::default();
    let seconds = asked("STRESS_SECONDS", SECONDS);
    let (start, enough) = (Instant::now(), Duration::from_secs(seconds));
    let goes_on = || {
        let passed = start.elapsed();
        passed < enough || !seen.has_all() && passed < enough + PATIENCE
    };
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (db, seen) = (&db, &seen);
            scope.spawn(move || {
                let mut chance = Chance(caller + 1);
                let mut id = i64::try_from(caller).unwrap() << 32;
                while goes_on() {
                    id += 1;
                    call(db, seen, id, &mut chance);
                }
            });
        }
        let ballast = folder.join("ballast");
        while goes_on() {
            std::thread::park_timeout(Duration::from_millis(150));
            // As much as there is room for.
            let _ = std::fs::write(&ballast, vec![1; 256 << 20]);
            std::thread::park_timeout(Duration::from_millis(10));
            std::fs::remove_file(&ballast).unwrap();
        }
    });
    other.finish();
    for (kind, count) in KINDS.iter().zip(&seen.kinds) {
        assert!(count.load(Ordering::Relaxed) > 0, "not seen: {kind}");
    }
    db.close();
    check(&path, &seen);

    // What the observer was told, made again elsewhere, comes to the same.
    sqlite(&path).execute_batch(&format!("DELETE FROM stressed WHERE id = {OTHER}")).unwrap();
    let again =
        DatabaseWrapper::open(&SourceConfig { durability: database::Durability::Normal, ..SourceConfig::new(&copy) });
    let again = again.unwrap();
    sqlite(&copy).execute_batch(SCHEMA).unwrap();
    for operation in recording.take() {
        assert!(again.replay(&operation).unwrap(), "it is refused: {operation:?}");
    }
    again.close();
    if seen.unknown.lock().unwrap().is_empty() {
        for table in ["stressed", "contested", "latest"] {
            assert!(rows_of(&sqlite(&path), table) == rows_of(&sqlite(&copy), table), "{table} differs");
        }
    }
}

/// One write, of a kind that chance chooses.
fn call(db: &DatabaseWrapper, seen: &Seen, id: i64, chance: &mut Chance) {
    let part = |tx: &mut WriteTx<'_>, f: &dyn Fn(&mut WriteTx<'_>) -> Result<(), Error>| {
        insert(tx, id, "filling")?;
        tx.execute(
            "INSERT INTO latest (key, id) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE
             SET id = (latest.id * 31 + excluded.id) % 1000003",
            params![id % 7, id],
        )?;
        f(tx)
    };
    let write_itself =
        |f: &dyn Fn(&mut WriteTx<'_>) -> Result<(), Error>| db.write("test.stress", Route::Shared, |tx| part(tx, f));
    let write = |f: &dyn Fn(&mut WriteTx<'_>) -> Result<(), Error>| match id % 3 {
        0 => write_itself(f),
        _ => db.write_delegated("test.stress", Route::Shared, |tx| part(tx, f)),
    };
    let answer = match chance.below(2_000) {
        0..20 => {
            let ran = catch_unwind(AssertUnwindSafe(|| write(&|_| panic!("on purpose"))));
            match ran {
                Err(panic) => {
                    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
                    seen.count("panicked");
                    seen.refused.lock().unwrap().push(id);
                    return;
                }
                Ok(answer) => answer,
            }
        }
        20..100 => write(&|tx| {
            let changed = tx.execute("UPDATE stressed SET id = 0 WHERE id = -404", params![])?;
            tx.require(changed, Refusal::NotFound)
        }),
        100..400 => return contest(db, seen),
        400..420 => write(&|tx| insert(tx, id, "refused")),
        420..430 => {
            let passed_over = write_itself(&|tx| {
                assert!(insert(tx, id, "refused").is_err());
                // Nothing may be written outside of the transaction.
                let _ = insert(tx, id, "filling");
                Ok(())
            });
            if matches!(&passed_over, Err(error) if matches!(error.kind(), ErrorKind::Statement { .. })) {
                seen.count("passed over");
            }
            passed_over
        }
        // More than there is room for.
        430 => write(&|tx| {
            let big = "INSERT INTO stressed (id, filling) VALUES (?1, zeroblob(270000000))";
            tx.execute(big, params![id]).map(drop)
        }),
        431 => write(&|tx| {
            let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)
                           INSERT INTO stressed (id) SELECT i FROM n WHERE i < 0";
            tx.execute(endless, params![]).map(drop)
        }),
        _ => write(&|_| Ok(())),
    };
    match answer.as_ref().map_err(Error::kind) {
        Ok(()) => seen.count("done"),
        Err(ErrorKind::NotFound) => seen.count("not found"),
        Err(ErrorKind::Constraint { .. }) => seen.count("rolled back"),
        Err(ErrorKind::TimedOut { .. }) => seen.count("too slow"),
        Err(ErrorKind::Busy { .. }) => seen.count("busy"),
        Err(ErrorKind::DiskFull) => seen.count("full"),
        Err(ErrorKind::Statement { .. } | ErrorKind::OutcomeUnknown { .. }) => {}
        Err(other) => panic!("not foreseen: {other}"),
    }
    seen.keep(id, answer.as_ref().copied());
}

/// A row that several callers want: whoever is told that it is there must be able to see it.
fn contest(db: &DatabaseWrapper, seen: &Seen) {
    let id = i64::try_from(Chance::near_now()).unwrap();
    let part = |tx: &mut WriteTx<'_>| {
        let inserted = tx.execute("INSERT INTO contested (id) VALUES (?1) ON CONFLICT DO NOTHING", params![id])?;
        tx.require(inserted, Refusal::Duplicate)
    };
    let answer = match id % 2 {
        0 => db.write("test.contest", Route::Shared, part),
        _ => db.write_delegated("test.contest", Route::Shared, part),
    };
    if answer.is_err_and(|error| error.is_duplicate()) {
        seen.count("duplicate");
        let found = db.read("test.contested", Route::Shared, |tx| {
            tx.value::<i64>("contested", "SELECT id FROM contested WHERE id = ?1", params![id])
        });
        // (A reader may be busy.)
        assert!(found.as_ref().map_or(true, Option::is_some), "told of a row that nobody has committed");
    }
}

fn insert(tx: &mut WriteTx<'_>, id: i64, filling: &str) -> Result<(), Error> {
    tx.execute("INSERT INTO stressed (id, filling) VALUES (?1, ?2)", params![id, filling]).map(drop)
}

fn check(path: &Path, seen: &Seen) {
    let connection = sqlite(path);
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let kept = ids(&connection);
    assert!(kept.windows(2).all(|pair| pair[0] != pair[1]), "a row is there twice");
    let is_kept = |id: &i64| kept.binary_search(id).is_ok();
    let (answered, refused) = (seen.answered.lock().unwrap(), seen.refused.lock().unwrap());
    assert_eq!(answered.iter().find(|id| !is_kept(id)), None, "answered, and not there");
    assert_eq!(refused.iter().find(|id| is_kept(id)), None, "refused, and there");
    let unknown = seen.unknown.lock().unwrap().iter().filter(|id| is_kept(id)).count();
    assert_eq!(kept.len(), answered.len() + unknown, "nothing is there that nobody wrote");
}

fn ids(connection: &Connection) -> Vec<i64> {
    let sql = "SELECT id FROM stressed WHERE id <> ?1 ORDER BY id";
    connection.prepare(sql).unwrap().query_map([OTHER], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Another process that writes the same file until it is told to stop, whatever it is answered.
pub(crate) fn other(path: &str, goes_on: &AtomicBool) {
    let db = DatabaseWrapper::open(&SourceConfig::new(path)).unwrap();
    say("ready");
    while goes_on.load(Ordering::Relaxed) {
        match db.write("test.other", Route::Shared, |tx| insert(tx, OTHER, "filling")) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::DiskFull | ErrorKind::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    db.close();
}

/// Numbers by chance, the same ones in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number that others come upon at the same time.
    fn near_now() -> u64 {
        static LATEST: AtomicUsize = AtomicUsize::new(0);
        (LATEST.fetch_add(1, Ordering::Relaxed) / 4) as u64
    }
}
