//! Caches: the handlers' own storage, and answers from elsewhere.

use crate::error::Result;
use crate::models::{CacheEntry, CacheStorageEntry, CacheType};
use crate::route::Route;
use crate::{DatabaseWrapper, params};

impl DatabaseWrapper {
    /// Sets an entry of the cache storage.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn set_cache_storage(&self, namespace: &str, key: &str, value: &str) -> Result<()> {
        self.execute(
            "cache.set_cache_storage",
            Route::Shared,
            "INSERT INTO cache_storage (namespace, key, value, updated_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            params![namespace, key, value, self.now()],
        )
    }

    /// Removes an entry of the cache storage; removing what is not there is fine.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn unset_cache_storage(&self, namespace: &str, key: &str) -> Result<()> {
        self.execute(
            "cache.unset_cache_storage",
            Route::Shared,
            "DELETE FROM cache_storage WHERE namespace = ?1 AND key = ?2",
            params![namespace, key],
        )
    }

    /// All entries of the cache storage.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_cache_storage(&self) -> Result<Vec<CacheStorageEntry>> {
        self.read("cache.get_cache_storage", Route::Shared, |tx| {
            tx.query("SELECT namespace, key, value, updated_at FROM cache_storage ORDER BY namespace, key", params![])
        })
    }

    /// Keeps an answer, in place of an earlier one to the same question.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn set_cache_entry(&self, cache: CacheType, key: &str, data: &str) -> Result<()> {
        let table = cache.table();
        self.execute(
            "cache.set_cache_entry",
            Route::Shared,
            &format!(
                "INSERT INTO {table} (key, data, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (key) DO UPDATE SET data = excluded.data, updated_at = excluded.updated_at"
            ),
            params![key, data, self.now()],
        )
    }

    /// A kept answer, or `None` where there is none or it is older than `ttl` seconds (0 and less: any is too old).
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn get_cache_entry(&self, cache: CacheType, key: &str, ttl: Option<i64>) -> Result<Option<CacheEntry>> {
        let table = cache.table();
        let sql = format!("SELECT key, data, created_at, updated_at FROM {table} WHERE key = ?1");
        let found: Option<CacheEntry> =
            self.read("cache.get_cache_entry", Route::Shared, |tx| tx.query_one(&sql, params![key]))?;
        let oldest = ttl.map(|ttl| (ttl, self.now().saturating_add_seconds(ttl.saturating_neg())));
        Ok(found.filter(|entry| oldest.is_none_or(|(ttl, oldest)| ttl > 0 && entry.updated_at >= oldest)))
    }

    /// Drops all answers of a cache.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn clear_cache(&self, cache: CacheType) -> Result<()> {
        self.execute("cache.clear_cache", Route::Shared, &format!("DELETE FROM {}", cache.table()), params![])
    }
}
