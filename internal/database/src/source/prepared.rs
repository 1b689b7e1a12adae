//! That cached statements stay prepared: in debug builds every use of one looks whether SQLite had to prepare it again.
//!
//! It may where the schema has changed since. Otherwise something expires statements or keeps their plans from being
//! kept (a value bound to a connection without the stable query planner does), and each call pays for preparing: 36 us
//! instead of 2 for a join.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use rusqlite::{Connection, Statement, StatementStatus};

/// The statements of a connection.
#[derive(Default)]
pub(super) struct Prepared {
    /// What the schema was when each was used last.
    last: RefCell<HashMap<String, i64>>,
    /// Whether the schema was changed here, which may be undone.
    has_changed: Cell<bool>,
}

impl Prepared {
    /// The schema is changed by the next statement. Where that is undone later, all statements are prepared again.
    pub(super) fn changes(&self) {
        self.has_changed.set(true);
    }

    /// Looks at a statement that was used just now.
    ///
    /// # Panics
    /// In debug builds, where it was prepared again although the schema is what it was.
    pub(super) fn used(&self, connection: &Connection, sql: &str, statement: &Statement<'_>) {
        if !cfg!(debug_assertions) {
            return;
        }
        let again = statement.reset_status(StatementStatus::RePrepare);
        let mut last = self.last.borrow_mut();
        if self.has_changed.get() && sql.starts_with("ROLLBACK") {
            last.clear();
            return;
        }
        if again == 0 && last.contains_key(sql) {
            return;
        }
        let now = schema(connection);
        let before = last.insert(sql.to_owned(), now);
        assert!(
            again == 0 || before != Some(now),
            "a cached statement was prepared again, and the schema is the same: {sql}"
        );
    }
}

/// What changes with the schema, that of temporary tables and triggers included.
fn schema(connection: &Connection) -> i64 {
    let version = |database| connection.pragma_query_value(database, "schema_version", |row| row.get::<_, i64>(0));
    let both = version(Some("main")).and_then(|main| Ok(main * 1_000_000 + version(Some("temp"))?));
    // Where it cannot be asked for, as in the middle of a checkpoint: counts as another one.
    both.unwrap_or_else(|_| -i64::from(rusqlite::version_number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
        connection
    }

    fn count(prepared: &Prepared, connection: &Connection) {
        let sql = "SELECT COUNT(*) FROM t";
        let mut statement = connection.prepare_cached(sql).unwrap();
        statement.query_row([], |_| Ok(())).unwrap();
        prepared.used(connection, sql, &statement);
    }

    #[test]
    fn a_schema_that_changes_is_no_fault() {
        let (connection, prepared) = (connection(), Prepared::default());
        for change in
            ["SELECT 1", "ALTER TABLE t ADD COLUMN y", "CREATE TEMP TRIGGER r AFTER DELETE ON t BEGIN SELECT 1; END"]
        {
            connection.execute_batch(change).unwrap();
            count(&prepared, &connection);
            count(&prepared, &connection);
        }
    }

    #[test]
    fn nor_is_one_that_is_undone() {
        let (connection, prepared) = (connection(), Prepared::default());
        let run = |sql: &str| {
            let mut statement = connection.prepare_cached(sql).unwrap();
            statement.raw_execute().unwrap();
            prepared.used(&connection, sql, &statement);
        };
        for _ in 0..3 {
            run("BEGIN");
            run("SAVEPOINT part");
            prepared.changes();
            run("ALTER TABLE t ADD COLUMN y");
            count(&prepared, &connection);
            run("ROLLBACK TO part");
            run("RELEASE part");
            count(&prepared, &connection);
            run("ROLLBACK");
        }
    }

    #[test]
    #[should_panic(expected = "was prepared again")]
    fn a_statement_that_expires_for_no_reason_is_one() {
        let (mut connection, prepared) = (connection(), Prepared::default());
        count(&prepared, &connection);
        // Whatever an authorizer allows has to be asked anew.
        let allow = |_: rusqlite::hooks::AuthContext<'_>| rusqlite::hooks::Authorization::Allow;
        connection.authorizer(Some(allow)).unwrap();
        count(&prepared, &connection);
    }
}
