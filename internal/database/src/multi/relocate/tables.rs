//! What belongs to a chat: every table that holds rows of chats, and how its rows are found, walked and told apart.

use crate::ids::ChatId;
use crate::source::Watched;

/// A table with rows of chats.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Which rows are a chat's; `?1` is the chat.
    pub(super) owner: &'static str,
    /// The order in which a chat's rows are walked: one that an index has, so that no chunk sorts the rest. Messages
    /// go by date, so that what is read together stays together.
    pub(super) walk: &'static [&'static str],
    /// What tells a row from all others, in any source.
    pub(super) key: &'static [&'static str],
    /// What names a row to people; never a column with what somebody wrote.
    pub(super) shown: &'static [&'static str],
}

impl Table {
    /// Which rows of the table are those of some chats, as triggers say it: `{row}` is the row.
    pub(super) fn watched(&self, chats: &[ChatId]) -> Watched {
        let ids: Vec<_> = chats.iter().map(ToString::to_string).collect();
        let (which, owner) = match self.name {
            "switchyard_meta" => {
                let texts: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
                let texts = texts.join(", ");
                let which =
                    format!("{{row}}.key >= 'took-over' AND {{row}}.key < 'took-over;' AND {{row}}.value IN ({texts})");
                (which, "CAST({row}.value AS INTEGER)")
            }
            _ => (format!("{{row}}.chat_id IN ({})", ids.join(", ")), "{row}.chat_id"),
        };
        Watched { table: self.name, key: self.key, which, owner: owner.to_owned() }
    }
}

/// Where a table stands among those that move.
pub(super) fn place_of(table: &Table) -> usize {
    MOVED.iter().position(|moved| moved.name == table.name).unwrap_or(MOVED.len())
}

const OF_CHAT: &str = "chat_id = ?1";

/// The tables whose rows move with a chat. Media, which belong to messages, move besides.
pub(super) const MOVED: [Table; 15] = [
    Table {
        name: "chat_messages",
        owner: OF_CHAT,
        walk: &["date", "rowid"],
        key: &["chat_id", "message_id"],
        shown: &["chat_id", "message_id"],
    },
    Table {
        name: "chat_users",
        owner: OF_CHAT,
        walk: &["user_id"],
        key: &["chat_id", "user_id"],
        shown: &["chat_id", "user_id"],
    },
    Table {
        name: "chat_settings",
        owner: OF_CHAT,
        walk: &["key"],
        key: &["chat_id", "key"],
        shown: &["chat_id", "key"],
    },
    Table { name: "chat_info", owner: OF_CHAT, walk: &["rowid"], key: &["chat_id"], shown: &["chat_id"] },
    Table {
        name: "chat_stats",
        owner: OF_CHAT,
        walk: &["date"],
        key: &["chat_id", "date"],
        shown: &["chat_id", "date"],
    },
    Table {
        name: "chat_user_stats",
        owner: OF_CHAT,
        walk: &["user_id", "date"],
        key: &["chat_id", "user_id", "date"],
        shown: &["chat_id", "user_id", "date"],
    },
    Table {
        name: "chat_topics",
        owner: OF_CHAT,
        walk: &["topic_id"],
        key: &["chat_id", "topic_id"],
        shown: &["chat_id", "topic_id"],
    },
    Table {
        name: "chat_summarization_cache",
        // No index has a chat's rows in an order that is total; its own key has all chats' in one. The `+` keeps
        // SQLite from finding the chat's rows first and sorting them for every chunk.
        owner: "+chat_id = ?1",
        walk: &["csid"],
        key: &["csid"],
        shown: &["chat_id", "first_message_id", "last_message_id", "rowid"],
    },
    Table {
        name: "spam_messages",
        owner: OF_CHAT,
        walk: &["user_id", "message_id"],
        key: &["chat_id", "user_id", "message_id"],
        shown: &["chat_id", "user_id", "message_id"],
    },
    Table {
        name: "ham_messages",
        owner: OF_CHAT,
        walk: &["user_id", "message_id"],
        key: &["chat_id", "user_id", "message_id"],
        shown: &["chat_id", "user_id", "message_id"],
    },
    Table {
        name: "user_data",
        // As above: its index begins with the person.
        owner: "+chat_id = ?1",
        walk: &["user_id", "chat_id", "key"],
        key: &["user_id", "chat_id", "key"],
        shown: &["chat_id", "user_id", "rowid"],
    },
    Table {
        name: "bayes_tokens",
        owner: OF_CHAT,
        walk: &["rowid"],
        key: &["token", "chat_id"],
        shown: &["chat_id", "rowid"],
    },
    Table {
        name: "bayes_classes",
        owner: OF_CHAT,
        walk: &["rowid"],
        key: &["chat_id", "is_spam"],
        shown: &["chat_id", "is_spam"],
    },
    Table {
        name: "switchyard_imports",
        owner: OF_CHAT,
        walk: &["file"],
        key: &["chat_id", "file"],
        shown: &["chat_id", "rowid"],
    },
    Table {
        // That a supergroup took over what the group had is noted where the group lives; where it took over from another
        // source, with the supergroup.
        name: "switchyard_meta",
        owner: "key >= 'took-over' AND key < 'took-over;' AND value = CAST(?1 AS TEXT)",
        walk: &["key"],
        key: &["key"],
        shown: &["key"],
    },
];

/// The tables that no chat takes along, each with the reason.
#[cfg(test)]
pub(super) const STAY: [(&str, &str); 18] = [
    ("media_attachments", "moves by what messages refer to"),
    ("settings", "belongs to no chat"),
    ("delayed_tasks", "is shared, and holds ids only"),
    ("cache_storage", "belongs to no chat"),
    ("cache_weather", "belongs to no chat"),
    ("cache_geocoding", "belongs to no chat"),
    ("cache_yandex_search", "belongs to no chat"),
    ("cache_geocode_maps_search", "belongs to no chat"),
    ("cache_geocode_maps_reverse", "belongs to no chat"),
    ("cache_geocode_maps_lookup", "belongs to no chat"),
    ("switchyard_aliases", "is shared"),
    ("switchyard_sources", "is shared"),
    ("switchyard_routes", "is shared"),
    ("switchyard_moves", "is about moves themselves"),
    ("switchyard_moved_media", "is about moves themselves"),
    ("switchyard_journal", "waits for a source that is away"),
    ("switchyard_made", "is about the journals of others"),
    ("switchyard_parked", "is about the journals of others"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::super::media;
    use super::super::rows::{Layout, Query};
    use super::{MOVED, STAY};
    use crate::{DatabaseWrapper, SourceConfig};

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.db");
        DatabaseWrapper::open(&SourceConfig::new(&path)).unwrap().close();
        (folder, Connection::open(path).unwrap())
    }

    fn strings(connection: &Connection, sql: &str, param: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([param], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn of_every_table_it_is_decided_whether_it_moves() {
        let (_folder, connection) = file();
        let sql = "SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
        let there: BTreeSet<String> = strings(&connection, sql, "table").into_iter().collect();
        let stay = STAY.iter().map(|(name, _)| (*name).to_owned());
        let decided: BTreeSet<String> = MOVED.iter().map(|table| table.name.to_owned()).chain(stay).collect();
        assert_eq!(there, decided, "a table of which it is not decided whether it moves with a chat");
        for table in there.iter().filter(|table| !MOVED.iter().any(|moved| moved.name == **table)) {
            let columns = strings(&connection, "SELECT name FROM pragma_table_info(?1)", table);
            let ours = ["switchyard_routes", "switchyard_moves", "switchyard_moved_media"];
            assert!(!columns.contains(&"chat_id".to_owned()) || ours.contains(&table.as_str()), "{table} stays behind");
        }
    }

    #[test]
    fn the_keys_are_those_of_the_schema() {
        let (_folder, connection) = file();
        for table in &MOVED {
            let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
            assert_eq!(strings(&connection, sql, table.name), table.key, "{}", table.name);
        }
    }

    #[test]
    fn no_chunk_is_found_by_sorting() {
        let (_folder, connection) = file();
        let mut texts = Vec::new();
        for table in &MOVED {
            let columns = strings(&connection, "SELECT name FROM pragma_table_info(?1)", table.name);
            let layout = Layout::new(table, columns);
            texts.push(layout.query);
        }
        texts.push(media::ids_of_messages());
        let texts =
            texts.into_iter().flat_map(|Query { first, alike, next, .. }| [Some(first), alike, Some(next)]).flatten();
        for sql in texts {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step: String = row.get("detail").unwrap();
                assert!(!step.contains("TEMP B-TREE"), "{sql}: {step}");
            }
        }
    }
}
