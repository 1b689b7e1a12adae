//! The rows of a database as text, in an order that does not depend on when they were stored.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Result};

/// Which columns are left out: those that tell when the program stored something, not what it stored.
pub type LeaveOut = fn(table: &str, column: &str) -> bool;

/// Nothing is left out: for databases that were filled under a fixed clock, or are compared with themselves.
pub fn nothing(_: &str, _: &str) -> bool {
    false
}

/// Leaves out the times at which rows were stored. The times that history tells of (`updated_at` of chats, people and
/// topics) stay.
pub fn times_of_storing(table: &str, column: &str) -> bool {
    let of_history = matches!(table, "chat_info" | "chat_users" | "chat_topics");
    let of_migrations = table == "settings" && column == "value";
    column == "created_at" || (column == "updated_at" && !of_history) || of_migrations
}

/// Opens a database for looking only. It may be in use by a bot at the same time.
///
/// # Errors
/// The file cannot be opened.
pub fn look(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Every row of every table as a line, `table column=value ...`, ordered. How far imports are and what a file says of
/// itself (`switchyard_*`) is not content and does not come.
///
/// # Errors
/// The database cannot be read.
pub fn dump(path: &Path, leave_out: LeaveOut) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    each_row(&look(path)?, leave_out, |line| lines.push(line))?;
    Ok(lines)
}

/// A number for all the rows of a database: equal for equal rows.
///
/// # Errors
/// The database cannot be read.
pub fn fingerprint(path: &Path, leave_out: LeaveOut) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    each_row(&look(path)?, leave_out, |line| line.hash(&mut hasher))?;
    Ok(hasher.finish())
}

/// The rows of a table as lines, `column=value ...`, in the order of these columns.
///
/// # Errors
/// The database cannot be read.
pub fn table(connection: &Connection, name: &str, order: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    each_row_of(connection, name, Some(order), nothing, |line| lines.push(line))?;
    Ok(lines)
}

fn each_row(connection: &Connection, leave_out: LeaveOut, mut f: impl FnMut(String)) -> Result<()> {
    let is_content = "name NOT LIKE 'switchyard@_%' ESCAPE '@' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'";
    let tables: Vec<String> = connection
        .prepare(&format!("SELECT name FROM sqlite_schema WHERE type = 'table' AND {is_content} ORDER BY name"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for table in tables {
        each_row_of(connection, &table, None, leave_out, |line| f(format!("{table} {line}")))?;
    }
    Ok(())
}

fn each_row_of(
    connection: &Connection,
    table: &str,
    order: Option<&str>,
    leave_out: LeaveOut,
    mut f: impl FnMut(String),
) -> Result<()> {
    let empty = connection.prepare(&format!("SELECT * FROM {table} LIMIT 0"))?;
    let columns: Vec<_> = empty.column_names().map(str::to_owned).collect();
    let kept: Vec<_> = columns.into_iter().filter(|column| !leave_out(table, column)).collect();
    let listed = kept.join(", ");
    let mut statement =
        connection.prepare(&format!("SELECT {listed} FROM {table} ORDER BY {}", order.unwrap_or(&listed)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value = |at: usize| Ok(format!("{}={}", kept[at], text(row.get_ref(at)?)));
        f((0..kept.len()).map(value).collect::<Result<Vec<_>>>()?.join(" "));
    }
    Ok(())
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "-".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => format!("{bytes:?}"),
    }
}
