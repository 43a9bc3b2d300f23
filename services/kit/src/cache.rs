//! A cache that may be slow, empty or gone at any moment without anybody noticing more than a little work.
//!
//! Every failure is a miss. A call to Redis gets [`CALL_BUDGET`]; after several failures in a row Redis is left alone
//! for a moment, so that a slow one does not add its budget to every request.

mod flight;
mod key;
mod memory;
mod redis;
mod redis_link;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub use flight::Flights;
pub use key::CacheKey;
pub use memory::MemoryCache;
pub use redis::RedisCache;
pub use redis_link::{CALL_BUDGET, RedisLink, RedisLinkError};

/// Remembers bytes for a while. Never a system of record.
#[async_trait]
pub trait Cache: Send + Sync + fmt::Debug {
    /// What was remembered, when it is still there.
    async fn get(&self, key: &CacheKey) -> Option<Bytes>;

    /// Remembers a value for `ttl`.
    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration);

    /// Forgets a value.
    async fn delete(&self, key: &CacheKey);
}
