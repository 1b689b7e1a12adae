//! The schema of earlier releases, read from its table: what files of theirs are built from and held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;

use crate::support::{sqlite, tables};

/// A table as its description gives it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) since: u32,
    pub(crate) columns: Vec<Column>,
    key: Vec<String>,
    indexes: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    kind: String,
    not_null: bool,
    default: Option<String>,
    pub(crate) since: u32,
}

fn names(list: &str) -> Vec<String> {
    list.split(", ").map(str::to_owned).collect()
}

/// All tables of version 6, in the order of their names.
pub(crate) fn described() -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut last = String::new();
    for line in include_str!("../../fixtures/schema-6.txt").lines().filter(|line| !line.starts_with('#')) {
        let (word, rest) = line.trim().split_once(' ').unwrap_or_default();
        let table = tables.entry(last.clone()).or_default();
        match word {
            "" => {}
            "table" => {
                let (name, since) = rest.split_once(' ').unwrap();
                last = name.to_owned();
                tables.insert(last.clone(), Table { since: since.parse().unwrap(), ..Table::default() });
            }
            "column" => {
                let (rest, since) = rest.split_once(" since ").unwrap_or((rest, "1"));
                let [name, kind, null, ref default @ ..] = *rest.split(' ').collect::<Vec<_>>() else {
                    panic!("{line}")
                };
                table.columns.push(Column {
                    name: name.to_owned(),
                    kind: kind.to_owned(),
                    not_null: null == "not-null",
                    default: default.first().map(|text| (*text).to_owned()),
                    since: since.parse().unwrap(),
                });
            }
            "key" => table.key = names(rest),
            "index" => {
                let (name, columns) = rest.split_once(": ").unwrap();
                table.indexes.insert(name.to_owned(), names(columns));
            }
            other => panic!("`{other}` says nothing"),
        }
    }
    tables.remove("");
    assert_eq!(tables.len(), 23);
    tables
}

/// A file as a release of a version left it, with two rows in every table.
pub(crate) fn build(path: &Path, version: u32, journal: &str) {
    let connection = sqlite(path);
    connection.pragma_update(None, "journal_mode", journal).unwrap();
    let shown = version.max(1);
    let mut sql = String::new();
    for (name, table) in described().iter().filter(|(_, table)| table.since <= shown) {
        write_table(&mut sql, name, table, shown);
    }
    connection.execute_batch(&sql).unwrap();
    let stored =
        [("db-migration-version", version.to_string()), ("db-migration-last-run", "2024-05-06T07:08:09".into())];
    // A file of version 0 does not say so.
    for (key, value) in stored.into_iter().filter(|_| version > 0) {
        connection.execute("INSERT INTO settings (key, value) VALUES (?1, ?2)", [key, &value]).unwrap();
    }
    connection.close().unwrap();
}

fn write_table(sql: &mut String, name: &str, table: &Table, version: u32) {
    let shown: Vec<_> = table.columns.iter().filter(|column| column.since <= version).collect();
    let declare = |column: &&Column| {
        let not_null = if column.not_null { " NOT NULL" } else { "" };
        let default = column.default.as_ref().map(|text| format!(" DEFAULT {text}")).unwrap_or_default();
        let key = if table.key == [column.name.as_str()] { " PRIMARY KEY" } else { "" };
        format!("{} {}{not_null}{default}{key}", column.name, column.kind)
    };
    let mut lines: Vec<_> = shown.iter().map(declare).collect();
    if table.key.len() > 1 {
        lines.push(format!("PRIMARY KEY ({})", table.key.join(", ")));
    }
    writeln!(sql, "CREATE TABLE {name} ({});", lines.join(", ")).unwrap();
    for (index, columns) in &table.indexes {
        writeln!(sql, "CREATE INDEX {index} ON {name} ({});", columns.join(", ")).unwrap();
    }
    for row in 1..=2 {
        let value = |column: &&Column| match column.kind.as_str() {
            "TIMESTAMP" => format!("'2024-0{row}-03 04:05:06'"),
            "TEXT" => format!("'{} {row}'", column.name),
            "FLOAT" => format!("{row}.5"),
            "BOOLEAN" => (row - 1).to_string(),
            _ => row.to_string(),
        };
        let values: Vec<_> = shown.iter().map(value).collect();
        writeln!(sql, "INSERT INTO {name} VALUES ({});", values.join(", ")).unwrap();
    }
}

/// What a file has, in the terms of the description; what begins with `switchyard_` left out.
pub(crate) fn found(connection: &Connection) -> BTreeMap<String, Table> {
    let names = tables(connection).into_iter().filter(|name| !name.starts_with("switchyard_"));
    names.map(|name| (name.clone(), table(connection, &name))).collect()
}

fn table(connection: &Connection, name: &str) -> Table {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1) ORDER BY cid")
        .unwrap();
    let mut table = Table::default();
    let mut key = Vec::new();
    let mut found = statement.query([name]).unwrap();
    while let Some(row) = found.next().unwrap() {
        let name: String = row.get(0).unwrap();
        let place: u32 = row.get(4).unwrap();
        if place > 0 {
            key.push((place, name.clone()));
        }
        let (kind, not_null, default) = (row.get(1).unwrap(), row.get(2).unwrap(), row.get(3).unwrap());
        table.columns.push(Column { name, kind, not_null, default, since: 0 });
    }
    key.sort();
    table.key = key.into_iter().map(|(_, name)| name).collect();
    let sql = "SELECT l.name, i.name FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) i
               WHERE l.origin = 'c' AND l.name NOT LIKE 'switchyard~_%' ESCAPE '~' ORDER BY l.name, i.seqno";
    let mut statement = connection.prepare(sql).unwrap();
    let mut found = statement.query([name]).unwrap();
    while let Some(row) = found.next().unwrap() {
        let columns: &mut Vec<String> = table.indexes.entry(row.get(0).unwrap()).or_default();
        columns.push(row.get(1).unwrap());
    }
    table
}

/// The description without its history, which no file tells.
pub(crate) fn without_history(mut tables: BTreeMap<String, Table>) -> BTreeMap<String, Table> {
    for table in tables.values_mut() {
        table.since = 0;
        table.columns.iter_mut().for_each(|column| column.since = 0);
    }
    tables
}
