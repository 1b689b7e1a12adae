//! Noticing which rows change: temporary triggers on a database's one writer, which vanish with it.
//!
//! They note keys, in a table in memory, in the transaction of whoever changes a row: what is undone is noted nowhere. A
//! connection that was opened anew has neither; whoever asks is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::connection::Link;
use super::held::Held;
use super::{Source, Writing};
use crate::error::{ErrorKind, Result};

/// The longest key has so many columns.
pub(crate) const KEY_COLUMNS: usize = 3;

/// Rows that are watched.
pub(crate) struct Watched {
    pub(crate) table: &'static str,
    /// The columns of the key.
    pub(crate) key: &'static [&'static str],
    /// Which rows, as SQL with `{row}` for the row.
    pub(crate) which: String,
    /// Whose they are: an SQL value, in the same way.
    pub(crate) owner: String,
}

/// A value exactly as SQLite has it, to be kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stored {
    Null,
    Integer(i64),
    /// The bits.
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number.to_bits()),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl Stored {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// A row that changed: its place among what is watched, whose it is, and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangedRow {
    pub(crate) owner: i64,
    pub(crate) place: usize,
    pub(crate) key: Vec<Stored>,
}

/// What was noticed.
pub(crate) enum Noticed {
    /// These rows, and whether there are more.
    Rows(Vec<ChangedRow>, bool),
    /// The writer is another one than at the beginning: what changed is not known.
    Lost,
}

/// Notices changes for as long as it is there.
pub(crate) struct Capture {
    /// So that it stays open.
    held: Held,
    number: u64,
    lengths: Vec<usize>,
}

impl Capture {
    /// Begins: every change that is committed after this is noticed.
    pub(crate) fn start(source: &Arc<Source>, watched: &[Watched]) -> Result<Self> {
        const OP: &str = "capture.start";
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let deadline = Instant::now() + source.config().timeout;
        let held = Held::of(source, OP)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lengths = watched.iter().map(|watched| watched.key.len()).collect();
        let capture = Self { held, number, lengths };
        let context = capture.held.database.context(OP);
        let started = capture.held.database.on_writer(OP, deadline, |link| {
            capture.create(&link.connection, watched).map_err(|error| context.sqlite(&error))
        });
        started.map(|()| capture)
    }

    /// The source whose changes are noticed.
    pub(crate) fn source(&self) -> &Arc<Source> {
        self.held.source()
    }

    fn table(&self) -> String {
        format!("switchyard_changed_{}", self.number)
    }

    fn create(&self, connection: &Connection, watched: &[Watched]) -> rusqlite::Result<()> {
        // Keys may hold words of people, which have no business in a file elsewhere.
        connection.execute_batch("PRAGMA temp_store=MEMORY")?;
        let name = self.table();
        let mut sql = format!(
            "CREATE TEMP TABLE {name} (place, owner, a, b, c);
             CREATE INDEX temp.{name}_known ON {name} (place, owner, a, b, c);"
        );
        for (place, Watched { table, key, which, owner }) in watched.iter().enumerate() {
            let note = |row: &str| {
                let mut values: Vec<_> = key.iter().map(|column| format!("{row}.{column}")).collect();
                values.resize(KEY_COLUMNS, "0".to_owned());
                let owner = owner.replace("{row}", row);
                // Not by a conflict: how the outer statement resolves its own counts within triggers as well, and a
                // caller's write must never fail for this.
                let known: Vec<_> =
                    ["a", "b", "c"].iter().zip(&values).map(|(a, value)| format!("{a} IS {value}")).collect();
                format!(
                    "INSERT INTO {name} SELECT {place}, {owner}, {} WHERE NOT EXISTS (
                         SELECT 1 FROM {name} WHERE place = {place} AND owner IS {owner} AND {});",
                    values.join(", "),
                    known.join(" AND ")
                )
            };
            let when = |row: &str| which.replace("{row}", row);
            let begin = |event: &str| format!("CREATE TEMP TRIGGER {name}_{place}_{event} AFTER");
            sql.push_str(&format!(
                "{} INSERT ON main.{table} WHEN {} BEGIN {} END;
                 {} DELETE ON main.{table} WHEN {} BEGIN {} END;
                 {} UPDATE ON main.{table} WHEN {} BEGIN {} END;
                 {} UPDATE ON main.{table} WHEN {} BEGIN {} END;",
                begin("i"),
                when("NEW"),
                note("NEW"),
                begin("d"),
                when("OLD"),
                note("OLD"),
                begin("u"),
                when("OLD"),
                note("OLD"),
                begin("n"),
                when("NEW"),
                note("NEW"),
            ));
        }
        connection.execute_batch(&sql)
    }

    /// Takes what was noticed, so many rows at most, all of it committed. While nobody writes, `meanwhile` is done first:
    /// whoever writes later comes after it.
    pub(crate) fn take(&self, deadline: Instant, most: usize, meanwhile: impl FnOnce()) -> Result<Noticed> {
        const OP: &str = "capture.take";
        let Some(_writing) = Writing::begin() else {
            return Err(self.held.source.error(OP, ErrorKind::NestedWrite));
        };
        let context = self.held.database.context(OP);
        let taken = self.held.database.on_writer(OP, deadline, |link| {
            meanwhile();
            if !self.is_there(link).map_err(|error| context.sqlite(&error))? {
                return Ok(Noticed::Lost);
            }
            self.take_from(&link.connection, most).map_err(|error| context.sqlite(&error))
        });
        match taken {
            Ok(_) if !self.is_whole() => Ok(Noticed::Lost),
            Err(error) if matches!(error.kind(), ErrorKind::Closed) => Ok(Noticed::Lost),
            taken => self.held.source.noticed(&self.held.database, taken),
        }
    }

    /// Whether the source still works on the database that is watched.
    pub(crate) fn is_whole(&self) -> bool {
        self.held.is_whole()
    }

    fn is_there(&self, link: &Link) -> rusqlite::Result<bool> {
        let sql = "SELECT COUNT(*) FROM sqlite_temp_schema WHERE name = ?1";
        link.connection.query_row(sql, [self.table()], |row| row.get::<_, i64>(0)).map(|count| count == 1)
    }

    fn take_from(&self, connection: &Connection, most: usize) -> rusqlite::Result<Noticed> {
        let name = self.table();
        let mut last = 0_i64;
        let sql = format!("SELECT rowid, place, owner, a, b, c FROM temp.{name} ORDER BY rowid LIMIT ?1");
        let mut statement = connection.prepare(&sql)?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = statement.query([limit])?;
        let (mut taken, mut is_more) = (Vec::new(), false);
        while let Some(row) = rows.next()? {
            if taken.len() == most {
                is_more = true;
                break;
            }
            last = row.get(0)?;
            let place = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
            let length = self.lengths.get(place).copied().unwrap_or(KEY_COLUMNS);
            let key = (3..3 + length).map(|column| row.get_ref(column).map(Stored::from)).collect::<Result<_, _>>()?;
            taken.push(ChangedRow { owner: row.get(2)?, place, key });
        }
        drop(rows);
        connection.execute(&format!("DELETE FROM temp.{name} WHERE rowid <= ?1"), [last])?;
        Ok(Noticed::Rows(taken, is_more))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        const OP: &str = "capture.stop";
        let deadline = Instant::now() + self.held.source.config().timeout;
        let name = self.table();
        // With the table its triggers would fail the writes of others, so they go first; a writer that is closed has
        // neither.
        let mut sql = String::new();
        for place in 0..self.lengths.len() {
            for event in ["i", "d", "u", "n"] {
                sql.push_str(&format!("DROP TRIGGER IF EXISTS temp.{name}_{place}_{event};"));
            }
        }
        sql.push_str(&format!("DROP TABLE IF EXISTS temp.{name};"));
        let context = self.held.database.context(OP);
        let stopped = self.held.database.on_writer(OP, deadline, |link| {
            link.connection.execute_batch(&sql).map_err(|error| context.sqlite(&error))
        });
        if let Err(error) = stopped {
            tracing::debug!(%error, "changes are noticed in vain until the database is closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params;
    use crate::source::{Database, SourceConfig};
    use crate::time::SystemClock;

    fn source(folder: &tempfile::TempDir) -> Arc<Source> {
        let config = SourceConfig::new(folder.path().join("bot.db"));
        let deadline = Instant::now() + config.timeout;
        let database = Database::open(&config, None, deadline, &SystemClock, &|_| Ok(())).unwrap();
        Arc::new(Source::opened(config, database))
    }

    fn settings(source: &Arc<Source>) -> Capture {
        let watched = Watched {
            table: "chat_settings",
            key: &["chat_id", "key"],
            which: "{row}.chat_id = -1".to_owned(),
            owner: "{row}.chat_id".to_owned(),
        };
        Capture::start(source, &[watched]).unwrap()
    }

    fn write(source: &Arc<Source>, sql: &str) {
        source.write("test.write", None, |tx| tx.execute(sql, params![]).map(drop)).unwrap();
    }

    fn taken(capture: &Capture, most: usize) -> (Vec<String>, bool) {
        match capture.take(Instant::now() + capture.source().config().timeout, most, || ()).unwrap() {
            Noticed::Lost => panic!("lost"),
            Noticed::Rows(rows, is_more) => {
                let key = |row: &ChangedRow| match &row.key[1] {
                    Stored::Text(text) => String::from_utf8(text.clone()).unwrap(),
                    other => panic!("{other:?}"),
                };
                (rows.iter().map(key).collect(), is_more)
            }
        }
    }

    #[test]
    fn every_way_of_changing_a_row_is_noticed_once_and_what_is_undone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&folder);
        let insert = |chat: i64, key: &str| {
            write(
                &source,
                &format!(
                    "INSERT OR REPLACE INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES ({chat}, '{key}', 'x', '', '')"
                ),
            );
        };
        for key in ["a", "b", "c", "d"] {
            insert(-1, key);
        }
        let capture = settings(&source);
        insert(-1, "a");
        insert(-1, "a");
        insert(-2, "other");
        let upsert =
            "INSERT INTO chat_settings (chat_id, key, value, created_at, updated_at) VALUES (-1, 'a', 'z', '', '')
                      ON CONFLICT (chat_id, key) DO UPDATE SET value = 'z'";
        (0..2).for_each(|_| write(&source, upsert));
        write(&source, "UPDATE chat_settings SET value = 'y' WHERE key = 'b'");
        write(&source, "DELETE FROM chat_settings WHERE key = 'c'");
        write(&source, "UPDATE chat_settings SET key = 'e' WHERE key = 'd'");
        source
            .write::<()>("test.undone", None, |tx| {
                tx.execute("DELETE FROM chat_settings", params![])?;
                Err(source.error("test.undone", ErrorKind::Duplicate))
            })
            .unwrap_err();
        assert_eq!(taken(&capture, 2), (vec!["a".to_owned(), "b".to_owned()], true));
        assert_eq!(taken(&capture, 9), (vec!["c".to_owned(), "d".to_owned(), "e".to_owned()], false));
        assert_eq!(taken(&capture, 9), (vec![], false));
        // All rows at once are no shortcut. (In the order in which they lie in the file.)
        write(&source, "DELETE FROM chat_settings");
        let mut all = taken(&capture, 9).0;
        all.sort();
        assert_eq!(all, ["a", "b", "e"]);
        drop(capture);
        insert(-1, "f");
        source.close();
    }

    #[test]
    fn whoever_loses_the_writer_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&folder);
        let capture = settings(&source);
        source.close();
        let noticed = capture.take(Instant::now() + source.config().timeout, 9, || ()).unwrap();
        assert!(matches!(noticed, Noticed::Lost));
    }
}
