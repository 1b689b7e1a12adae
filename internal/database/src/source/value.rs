//! The values that statements take and rows give, independent of the engine below.

use rusqlite::types::{ToSqlOutput, ValueRef as SqliteRef};
use serde::{Deserialize, Serialize};

use crate::ids::{ChatId, MediaId, MessageId, TopicId, UserId};
use crate::time::Timestamp;

/// A value that owns its contents; recorded statements keep their parameters so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(#[serde(with = "exact")] f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// A truth value.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
}

/// A value that borrows its contents: what a statement's parameters are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Bool(truth) => ValueRef::Bool(*truth),
            Self::Time(moment) => ValueRef::Time(*moment),
        }
    }
}

impl ValueRef<'_> {
    /// The same value, owned.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Real(number) => Value::Real(number),
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Blob(bytes) => Value::Blob(bytes.to_vec()),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Time(moment) => Value::Time(moment),
        }
    }

    /// The value's kind, for error messages: never the value itself.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Null => "nothing (NULL)",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a real number",
            Self::Text(_) => "text",
            Self::Blob(_) => "a blob",
            Self::Bool(_) => "a truth value",
            Self::Time(_) => "a time",
        }
    }

    /// What SQLite gives; text that is no UTF-8 comes as a blob.
    pub(crate) fn from_sqlite(value: SqliteRef<'_>) -> ValueRef<'_> {
        match value {
            SqliteRef::Null => ValueRef::Null,
            SqliteRef::Integer(number) => ValueRef::Integer(number),
            SqliteRef::Real(number) => ValueRef::Real(number),
            SqliteRef::Text(bytes) => std::str::from_utf8(bytes).map_or(ValueRef::Blob(bytes), ValueRef::Text),
            SqliteRef::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// Numbers as text, which brings each back as it was: JSON has no infinity, and its readers may round the last bit.
mod exact {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Whether two stored values are the same to the last bit.
pub(crate) fn same(one: SqliteRef<'_>, other: SqliteRef<'_>) -> bool {
    match (one, other) {
        (SqliteRef::Real(one), SqliteRef::Real(other)) => one.to_bits() == other.to_bits(),
        (one, other) => one == other,
    }
}

/// Sets a statement's parameters, numbered from 1.
#[inline]
pub(crate) fn bind(statement: &mut rusqlite::Statement<'_>, params: &[ValueRef<'_>]) -> rusqlite::Result<()> {
    let expected = statement.parameter_count();
    if expected != params.len() {
        return Err(rusqlite::Error::InvalidParameterCount(params.len(), expected));
    }
    for (index, param) in params.iter().enumerate() {
        let text;
        let value = match *param {
            ValueRef::Null => SqliteRef::Null,
            ValueRef::Integer(number) => SqliteRef::Integer(number),
            ValueRef::Real(number) => SqliteRef::Real(number),
            ValueRef::Text(text) => SqliteRef::Text(text.as_bytes()),
            ValueRef::Blob(bytes) => SqliteRef::Blob(bytes),
            ValueRef::Bool(truth) => SqliteRef::Integer(truth.into()),
            ValueRef::Time(moment) => {
                text = moment.to_text();
                SqliteRef::Text(text.as_bytes())
            }
        };
        statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// Sets a statement's parameters, numbered from 1, to values as SQLite gave them: text that is no UTF-8 stays text.
pub(crate) fn bind_stored<'v>(
    statement: &mut rusqlite::Statement<'_>,
    values: impl IntoIterator<Item = SqliteRef<'v>>,
) -> rusqlite::Result<()> {
    let mut given = 0;
    for value in values {
        given += 1;
        statement.raw_bind_parameter(given, ToSqlOutput::Borrowed(value))?;
    }
    let expected = statement.parameter_count();
    if given == expected { Ok(()) } else { Err(rusqlite::Error::InvalidParameterCount(given, expected)) }
}

/// A type that a statement's parameter can be made of. The conversion of each domain type is written here, once.
pub trait ToValue {
    /// The parameter, borrowing from `self`.
    fn to_param(&self) -> ValueRef<'_>;
}

/// A type that a column's value can become.
pub trait FromValue: Sized {
    /// What such a column should hold, for error messages.
    const EXPECTED: &'static str;

    /// The value as this type, or `None` where it does not fit.
    fn from_value(value: ValueRef<'_>) -> Option<Self>;
}

macro_rules! to_value {
    ($($type:ty: $this:ident => $value:expr;)*) => {
        $(impl ToValue for $type {
            fn to_param(&self) -> ValueRef<'_> {
                let $this = self;
                $value
            }
        })*
    };
}

to_value! {
    i64: this => ValueRef::Integer(*this);
    u32: this => ValueRef::Integer((*this).into());
    f64: this => ValueRef::Real(*this);
    bool: this => ValueRef::Bool(*this);
    str: this => ValueRef::Text(this);
    String: this => ValueRef::Text(this);
    Timestamp: this => ValueRef::Time(*this);
    ChatId: this => ValueRef::Integer(this.0);
    UserId: this => ValueRef::Integer(this.0);
    TopicId: this => ValueRef::Integer(this.0);
    MessageId: this => ValueRef::Text(this.as_str());
    MediaId: this => ValueRef::Text(this.as_str());
    Value: this => this.as_ref();
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_param(&self) -> ValueRef<'_> {
        (**self).to_param()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_param(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Null, ToValue::to_param)
    }
}

macro_rules! from_value {
    ($($type:ty, $expected:literal: $pattern:pat => $made:expr;)*) => {
        $(impl FromValue for $type {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                match value {
                    $pattern => $made,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    i64, "an integer": ValueRef::Integer(number) => Some(number);
    u64, "an integer of 0 or more": ValueRef::Integer(number) => u64::try_from(number).ok();
    String, "text": ValueRef::Text(text) => Some(text.to_owned());
    ChatId, "an integer": ValueRef::Integer(id) => Some(Self(id));
    UserId, "an integer": ValueRef::Integer(id) => Some(Self(id));
    TopicId, "an integer": ValueRef::Integer(id) => Some(Self(id));
    MessageId, "text": ValueRef::Text(id) => Some(Self::from(id));
    MediaId, "text": ValueRef::Text(id) => Some(Self::from(id));
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Real(number) => Some(number),
            ValueRef::Integer(number) => Some(number as Self),
            _ => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bool(truth) => Some(truth),
            ValueRef::Integer(0) => Some(false),
            ValueRef::Integer(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for Timestamp {
    const EXPECTED: &'static str = "a time as YYYY-MM-DD HH:MM:SS";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Time(moment) => Some(moment),
            ValueRef::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for Value {
    const EXPECTED: &'static str = "a value";

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        Some(value.to_value())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// The parameters of a statement: `params![chat, key]`, numbered from 1 in the SQL.
#[macro_export]
macro_rules! params {
    ($($param:expr),* $(,)?) => {
        &[$($crate::ToValue::to_param(&$param)),*]
    };
}
