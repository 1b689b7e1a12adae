//! How it stands in a file that chats have come, and in the default source how often they were moved.

use std::collections::BTreeMap;

use super::{Arrival, Arrivals};
use crate::error::Result;
use crate::ids::ChatId;
use crate::multi::said::Said;
use crate::params;
use crate::source::{BadColumn, FromRow, ReadTx, Row, WriteTx};

/// What the keys of marks begin with.
const HERE: &str = "here:";
/// What the keys of the default source's numbers begin with.
const MOVES: &str = "moves:";

struct MetaRow {
    key: String,
    value: String,
}

impl FromRow for MetaRow {
    const TABLE: &'static str = "switchyard_meta";
    const KEY: &'static [&'static str] = &["key"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self { key: row.get("key")?, value: row.get("value")? })
    }
}

fn read_keys(tx: &ReadTx<'_>, prefix: &str) -> Result<Vec<(ChatId, String)>> {
    if !tx.has_table("switchyard_meta")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT key, value FROM switchyard_meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
    let rows: Vec<MetaRow> = tx.query(sql, params![prefix])?;
    let chat = |key: &str| key.strip_prefix(prefix)?.parse().ok().map(ChatId);
    Ok(rows.into_iter().filter_map(|row| Some((chat(&row.key)?, row.value))).collect())
}

/// What a file says of chats that have come.
pub(in crate::multi) fn read_arrivals(tx: &ReadTx<'_>) -> Result<Arrivals> {
    tx.snapshot()?;
    let parse = |value: &str| {
        let (number, said) = value.split_once(' ').map_or((value, None), |(number, said)| (number, Some(said)));
        Some(Arrival { number: number.parse().ok()?, file_said: Said::parse(said) })
    };
    Ok(read_keys(tx, HERE)?.into_iter().filter_map(|(chat, value)| Some((chat, parse(&value)?))).collect())
}

/// The moves that a default source has counted.
pub(in crate::multi) fn read_counted(tx: &ReadTx<'_>) -> Result<BTreeMap<ChatId, u64>> {
    tx.snapshot()?;
    Ok(read_keys(tx, MOVES)?.into_iter().filter_map(|(chat, value)| Some((chat, value.parse().ok()?))).collect())
}

fn put(tx: &mut WriteTx<'_>, key: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO switchyard_meta (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![key, value]).map(drop)
}

/// Counts a move in the default source, in the transaction that decides it.
pub(in crate::multi) fn count(tx: &mut WriteTx<'_>, chat: ChatId, number: u64) -> Result<()> {
    put(tx, &format!("{MOVES}{chat}"), &number.to_string())
}

/// Lets a file say this of a chat; `None` where it says nothing any more.
pub(super) fn write(tx: &mut WriteTx<'_>, chat: ChatId, arrival: Option<&Arrival>) -> Result<()> {
    let key = format!("{HERE}{chat}");
    let Some(Arrival { number, file_said }) = arrival else {
        return tx.execute("DELETE FROM switchyard_meta WHERE key = ?1", params![key]).map(drop);
    };
    put(tx, &key, &file_said.text().map_or_else(|| number.to_string(), |said| format!("{number} {said}")))
}
