//! Comparing the rows that a chat has in two files, table by table, by their keys.

use std::collections::BTreeSet;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use serde::Serialize;

use crate::ids::ChatId;
use crate::route::SourceName;
use crate::source::same;

/// Rows of a chat in a file that is not its home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChatCopy {
    /// The source that has them.
    pub source: String,
    /// How many there are.
    pub rows: u64,
    /// How many have a value that the bot cannot read.
    pub bad_rows: u64,
    /// How many are at home just so.
    pub same: u64,
    /// How many are at home otherwise.
    pub different: u64,
    /// How many are not at home.
    pub only_there: u64,
    /// How many are only at home.
    pub only_at_home: u64,
    /// The first that differ or are on one side only.
    pub differences: Vec<RowDifference>,
}

/// A row that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowDifference {
    /// The table.
    pub table: String,
    /// Which row it is; without what somebody wrote.
    pub row: String,
    /// How it differs: `different`, `only_there` or `only_at_home`.
    pub what: &'static str,
    /// The columns that differ.
    pub columns: Vec<String>,
}

/// A table with rows of chats, as it is in a file.
struct Table {
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

/// The tables about moves, which belong to no chat.
const APART: &str = "'switchyard_routes', 'switchyard_moves', 'switchyard_moved_media'";
/// The columns of texts that name a row and that nobody wrote into a chat.
const SHOWN: [&str; 3] = ["message_id", "date", "is_spam"];

fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = format!(
        "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND c.name = 'chat_id' AND m.name NOT IN ({APART}) ORDER BY m.name"
    );
    let names: Vec<String> = connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let table = |name: String| {
        let mut statement =
            connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk = 0, pk, name")?;
        let found = statement.query_map([&name], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? > 0)))?;
        let found: Vec<(String, bool)> = found.collect::<Result<_, _>>()?;
        let key = found.iter().filter(|(_, is_key)| *is_key).map(|(column, _)| column.clone()).collect();
        Ok(Table { name, columns: found.into_iter().map(|(column, _)| column).collect(), key })
    };
    names.into_iter().map(table).collect()
}

/// The chats that have rows in a file.
pub(super) fn chats(connection: &Connection) -> rusqlite::Result<BTreeSet<ChatId>> {
    let mut chats = BTreeSet::new();
    for Table { name, .. } in tables(connection)? {
        let sql = format!("SELECT DISTINCT chat_id FROM {} WHERE typeof(chat_id) = 'integer'", quoted(&name));
        for chat in connection.prepare(&sql)?.query_map([], |row| row.get(0))? {
            chats.insert(ChatId(chat?));
        }
    }
    Ok(chats)
}

/// How many rows a chat has in a file.
pub(super) fn count(connection: &Connection, chat: ChatId) -> rusqlite::Result<u64> {
    let mut all = 0;
    for Table { name, .. } in tables(connection)? {
        let sql = format!("SELECT COUNT(*) FROM {} WHERE chat_id = ?1", quoted(&name));
        all += connection.query_row(&sql, [chat.0], |row| row.get::<_, i64>(0))?.unsigned_abs();
    }
    Ok(all)
}

/// What a file has of a chat that lives elsewhere; `None` where that is nothing. Where home cannot be read, nothing is said
/// of how the rows are there.
pub(super) fn copy(
    source: &SourceName,
    there: &Connection,
    home: Option<&Connection>,
    chat: ChatId,
    most: usize,
) -> rusqlite::Result<Option<ChatCopy>> {
    let mut copy = ChatCopy { source: source.to_string(), rows: count(there, chat)?, ..ChatCopy::default() };
    if copy.rows == 0 {
        return Ok(None);
    }
    let Some(home) = home else { return Ok(Some(copy)) };
    for table in tables(there)? {
        walk(there, home, &table, chat, |row, columns| match columns {
            None => copy.note(&table, row, "only_there", Vec::new(), most),
            Some(columns) if columns.is_empty() => copy.same += 1,
            Some(columns) => copy.note(&table, row, "different", columns, most),
        })?;
    }
    for table in tables(home)? {
        walk(home, there, &table, chat, |row, columns| {
            if columns.is_none() {
                copy.note(&table, row, "only_at_home", Vec::new(), most);
            }
        })?;
    }
    Ok(Some(copy))
}

impl ChatCopy {
    fn note(&mut self, table: &Table, row: String, what: &'static str, columns: Vec<String>, most: usize) {
        match what {
            "only_there" => self.only_there += 1,
            "different" => self.different += 1,
            _ => self.only_at_home += 1,
        }
        if self.differences.len() < most {
            self.differences.push(RowDifference { table: table.name.clone(), row, what, columns });
        }
    }
}

/// Visits each row that a chat has in a table, with the columns that the other side has otherwise; `None` where that has no
/// such row.
fn walk(
    here: &Connection,
    other: &Connection,
    table: &Table,
    chat: ChatId,
    mut visit: impl FnMut(String, Option<Vec<String>>),
) -> rusqlite::Result<()> {
    let Table { name, columns, key } = table;
    if key.is_empty() {
        // Somebody else's table: none of ours is without a key.
        return Ok(());
    }
    let listed = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let name = quoted(name);
    let order = key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {listed}, rowid FROM {name} WHERE chat_id = ?1 ORDER BY {order}");
    let by_key: Vec<_> = (1..).zip(key).map(|(place, column)| format!("{} IS ?{place}", quoted(column))).collect();
    let find = format!("SELECT {listed} FROM {name} WHERE {}", by_key.join(" AND "));
    // A table or a column that the other side does not have is a row that it does not have.
    let mut find = match other.prepare(&find) {
        Ok(find) => Some(find),
        Err(rusqlite::Error::SqlInputError { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut statement = here.prepare(&sql)?;
    let mut rows = statement.query([chat.0])?;
    while let Some(row) = rows.next()? {
        let keys: Vec<Value> = (0..key.len()).map(|place| row.get(place)).collect::<Result<_, _>>()?;
        let unlike = match &mut find {
            None => None,
            Some(find) => find
                .query_row(params_from_iter(keys), |found| {
                    let mut unlike = Vec::new();
                    for (place, column) in columns.iter().enumerate() {
                        if !same(row.get_ref(place)?, found.get_ref(place)?) {
                            unlike.push(column.clone());
                        }
                    }
                    Ok(unlike)
                })
                .optional()?,
        };
        visit(shown(table, row)?, unlike);
    }
    Ok(())
}

/// The row's name: numbers, and texts that nobody wrote into the chat; else its place in the file.
fn shown(table: &Table, row: &rusqlite::Row<'_>) -> rusqlite::Result<String> {
    let mut parts = Vec::new();
    let mut is_told = true;
    for (place, column) in table.key.iter().enumerate() {
        match row.get_ref(place)? {
            ValueRef::Integer(number) => parts.push(format!("{column}={number}")),
            ValueRef::Text(text) if SHOWN.contains(&column.as_str()) => {
                parts.push(format!("{column}=`{}`", String::from_utf8_lossy(text)));
            }
            _ => is_told = false,
        }
    }
    if !is_told {
        parts.push(format!("rowid={}", row.get::<_, i64>(table.columns.len())?));
    }
    Ok(parts.join(", "))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
