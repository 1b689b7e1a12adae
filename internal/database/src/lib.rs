//! The databases that a group-chat bot's chats live in, behind one wrapper.

mod config;
mod error;
mod gathered;
mod ids;
mod migrate;
mod models;
mod route;
mod single;
mod source;
mod sources;
mod store;
mod time;
mod wrapper;

pub use config::{DatabaseConfig, Form, PartialResults};
pub use error::{Error, ErrorKind, Result};
pub use gathered::{Gathered, Merge, Missing};
pub use ids::{ChatId, MediaId, MessageId, TopicId, UserId};
pub use models::*;
pub use route::{InvalidSourceName, Route, SourceName};
pub use source::{
    BadColumn, Changed, Durability, FromRow, FromValue, OnUnavailable, OpenError, Operation, ReadTx, Refusal, Row,
    SourceConfig, SourceStatus, Step, Tally, ToValue, Value, ValueRef, WriteTx,
};
pub use store::{ImportBatch, ImportProgress, ImportedName, MessagePlace};
pub use time::{Clock, InvalidTimestamp, SystemClock, Timestamp};
pub use wrapper::{DatabaseWrapper, Options, WriteObserver};
