use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::AsyncCommands as _;

use super::{Cache, CacheKey, RedisLink};

/// A cache in Redis, shared by all replicas.
#[derive(Clone, Debug)]
pub struct RedisCache {
    link: RedisLink,
}

impl RedisCache {
    /// A cache behind this link.
    #[must_use]
    pub fn new(link: RedisLink) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let value: Option<Vec<u8>> =
            self.link.call("cache get", |mut redis| async move { redis.get(key.as_str()).await }).await?;
        value.map(Bytes::from)
    }

    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) {
        // Redis refuses a time to live of nothing; a value that is not to be kept need not be sent.
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        if ttl_ms == 0 {
            return;
        }
        let set = |mut redis: redis::aio::ConnectionManager| async move {
            redis.pset_ex::<_, _, ()>(key.as_str(), value.as_ref(), ttl_ms).await
        };
        self.link.call("cache set", set).await;
    }

    async fn delete(&self, key: &CacheKey) {
        self.link.call("cache delete", |mut redis| async move { redis.del::<_, ()>(key.as_str()).await }).await;
    }
}
