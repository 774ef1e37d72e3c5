//! The cache: a Redis server that keeps each report for a while.

use std::time::Duration;

use anyhow::Context;
use deadpool_redis::{Config, Pool, Runtime, redis::AsyncCommands};
use tokio::time::timeout;

/// How long a cache may take. A slower one is of no use.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Cache {
    pool: Pool,
    /// How long a report is kept.
    keep: Duration,
}

impl Cache {
    pub(crate) fn connect(url: String, keep: Duration) -> anyhow::Result<Self> {
        let pool = Config::from_url(url).create_pool(Some(Runtime::Tokio1));
        let pool = pool.context("CACHE_URL")?;
        Ok(Self { pool, keep })
    }

    /// Returns what is stored under the key. A cache that fails has nothing.
    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let get = async { Ok(self.pool.get().await?.get(key).await?) };
        in_time(get).await.unwrap_or_else(|error| {
            tracing::warn!("the cache cannot be read: {error}");
            None
        })
    }

    /// Stores a value, if the cache works.
    pub(crate) async fn set(&self, key: &str, value: &str) {
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        let set = async { Ok(self.pool.get().await?.pset_ex(key, value, keep).await?) };
        let set: anyhow::Result<()> = in_time(set).await;
        if let Err(error) = set {
            tracing::warn!("the cache cannot be written: {error}");
        }
    }
}

async fn in_time<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(PATIENCE, command).await?
}
