//! Cached answers.

use serde::Serialize;

use super::from_row;
use crate::time::Timestamp;

/// An entry of the cache storage, which handlers use as they like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheStorageEntry {
    /// Whose entry it is.
    pub namespace: String,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}

from_row!(CacheStorageEntry, "cache_storage", key: ["namespace", "key"], namespace, key, value, updated_at);

/// A cached answer from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheEntry {
    /// What was asked.
    pub key: String,
    /// The answer.
    pub data: String,
    /// When it was first kept.
    pub created_at: Timestamp,
    /// When it was last kept.
    pub updated_at: Timestamp,
}

from_row!(CacheEntry, "cache_*", key: ["key"], key, data, created_at, updated_at);
