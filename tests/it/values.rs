//! Each kind of value on its way into a database and out of it, and what is said of one that does not fit.

use database::{BadColumn, FromRow, FromValue, Options, Result, Route, Row, Timestamp, Value, params};

use crate::support::{Recording, Scratch, open, open_with, sqlite, time};

/// One of each kind, and as what SQLite keeps it.
fn kinds() -> [(Value, &'static str); 7] {
    [
        (Value::Null, "null NULL"),
        (Value::Integer(-5), "integer -5"),
        (Value::Real(1.5), "real 1.5"),
        (Value::Text("some text".into()), "text 'some text'"),
        (Value::Blob(vec![0, 255]), "blob X'00FF'"),
        (Value::Bool(true), "integer 1"),
        (Value::Time(time("2026-01-01 10:00:00")), "text '2026-01-01 10:00:00'"),
    ]
}

#[test]
fn each_kind_is_kept_as_sqlite_knows_it_and_a_recorded_write_made_again_keeps_the_same() {
    let (scratch, recording) = (Scratch::new(), Recording::default());
    let db = open_with(&scratch.file("bot.db"), recording.of(Options::default()));
    let made = |tx: &mut database::WriteTx<'_>| {
        tx.execute("CREATE TABLE switchyard_kinds (id INTEGER PRIMARY KEY, v)", params![])?;
        for (id, (value, _)) in (1_i64..).zip(kinds()) {
            tx.execute("INSERT INTO switchyard_kinds (id, v) VALUES (?1, ?2)", params![id, value])?;
        }
        Ok(())
    };
    db.write("test.kinds", Route::Shared, made).unwrap();
    db.close();
    let again = open(&scratch.file("again.db"));
    for operation in recording.take() {
        // As it is kept until it is made again.
        let kept = serde_json::to_string(&operation).unwrap();
        assert!(again.replay(&serde_json::from_str(&kept).unwrap()).unwrap());
    }
    again.close();
    for file in ["bot.db", "again.db"] {
        let connection = sqlite(&scratch.file(file));
        let mut statement =
            connection.prepare("SELECT typeof(v) || ' ' || quote(v) FROM switchyard_kinds ORDER BY id").unwrap();
        let found: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect();
        assert_eq!(found, kinds().map(|(_, kept)| kept), "{file}");
    }
}

/// A row of which a value is asked for as some type.
struct As<T>(T);

impl<T: FromValue> FromRow for As<T> {
    const TABLE: &'static str = "switchyard_kinds";
    const KEY: &'static [&'static str] = &["id", "v"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        Ok(Self(row.get("v")?))
    }
}

/// A row of which a column is asked for that the statement does not have.
#[derive(Debug)]
struct Elsewhere;

impl FromRow for Elsewhere {
    const TABLE: &'static str = "switchyard_kinds";
    const KEY: &'static [&'static str] = &["number"];

    fn from_row(row: &Row<'_>) -> Result<Self, BadColumn> {
        row.get::<i64>("elsewhere").map(|_| Self)
    }
}

#[test]
fn a_value_that_does_not_fit_is_told_by_its_kind() {
    let scratch = Scratch::new();
    let db = open(&scratch.file("bot.db"));
    let sql = "SELECT id, v FROM switchyard_kinds WHERE id = ?1";
    db.write("test.kinds", Route::Shared, |tx| {
        tx.execute("CREATE TABLE switchyard_kinds (id INTEGER PRIMARY KEY, v)", params![])?;
        for (id, (value, _)) in (1_i64..).zip(kinds()) {
            tx.execute("INSERT INTO switchyard_kinds (id, v) VALUES (?1, ?2)", params![id, value])?;
        }
        Ok(())
    })
    .unwrap();
    fn read<T: FromValue>(db: &database::DatabaseWrapper, sql: &str, id: i64) -> Result<Option<T>> {
        let found = db.read("test.read", Route::Shared, |tx| tx.query_one::<As<T>>(sql, params![id]))?;
        Ok(found.map(|row| row.0))
    }
    let said: Vec<_> = (1..=6)
        .map(|id| {
            read::<Timestamp>(&db, sql, id).unwrap_err().to_string().replace("test.read on source `primary`: ", "")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
        table `switchyard_kinds`, column `v`, row id=1, v=nothing (NULL): expected a time as YYYY-MM-DD HH:MM:SS, found nothing (NULL)
        table `switchyard_kinds`, column `v`, row id=2, v=-5: expected a time as YYYY-MM-DD HH:MM:SS, found an integer
        table `switchyard_kinds`, column `v`, row id=3, v=a real number: expected a time as YYYY-MM-DD HH:MM:SS, found a real number
        table `switchyard_kinds`, column `v`, row id=4, v=`some text`: expected a time as YYYY-MM-DD HH:MM:SS, found text
        table `switchyard_kinds`, column `v`, row id=5, v=a blob: expected a time as YYYY-MM-DD HH:MM:SS, found a blob
        table `switchyard_kinds`, column `v`, row id=6, v=1: expected a time as YYYY-MM-DD HH:MM:SS, found an integer
    ");
    assert_eq!(read::<Timestamp>(&db, sql, 7).unwrap(), Some(time("2026-01-01 10:00:00")));
    assert_eq!(read::<Option<Timestamp>>(&db, sql, 1).unwrap(), Some(None));
    assert_eq!((read::<f64>(&db, sql, 2).unwrap(), read::<f64>(&db, sql, 3).unwrap()), (Some(-5.0), Some(1.5)));
    assert!(read::<f64>(&db, sql, 4).is_err() && read::<bool>(&db, sql, 2).is_err());
    assert_eq!(read::<bool>(&db, sql, 6).unwrap(), Some(true));
    let missing = db.read("test.read", Route::Shared, |tx| tx.query_one::<Elsewhere>(sql, params![1_i64])).unwrap_err();
    insta::assert_snapshot!(missing, @"test.read on source `primary`: table `switchyard_kinds`, column `elsewhere`, row number=unknown: expected a column of the statement, found none of that name");
}
