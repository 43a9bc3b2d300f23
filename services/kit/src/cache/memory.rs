use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;

use super::{Cache, CacheKey};

/// A cache in this process, bounded by the bytes it holds.
#[derive(Clone, Debug)]
pub struct MemoryCache {
    entries: moka::future::Cache<CacheKey, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Bytes,
    ttl: Duration,
}

struct OwnTtl;

impl Expiry<CacheKey, Entry> for OwnTtl {
    fn expire_after_create(&self, _: &CacheKey, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &CacheKey, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl MemoryCache {
    /// A cache that holds about this many bytes of keys and values.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let weight =
            |key: &CacheKey, entry: &Entry| u32::try_from(key.as_str().len() + entry.value.len()).unwrap_or(u32::MAX);
        let entries =
            moka::future::Cache::builder().max_capacity(capacity_bytes).weigher(weight).expire_after(OwnTtl).build();
        Self { entries }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        self.entries.get(key).await.map(|entry| entry.value)
    }

    async fn set(&self, key: &CacheKey, value: Bytes, ttl: Duration) {
        self.entries.insert(key.clone(), Entry { value, ttl }).await;
    }

    async fn delete(&self, key: &CacheKey) {
        self.entries.invalidate(key).await;
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::BrandId;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn values_are_remembered_for_their_time_and_within_their_brand() {
        let cache = MemoryCache::new(1 << 20);
        let [one, two] =
            [1, 2].map(|brand| CacheKey::of_brand(BrandId::from_uuid(Uuid::from_u128(brand)), "theme", "main"));
        cache.set(&one, Bytes::from_static(b"red"), Duration::from_secs(60)).await;
        assert_eq!(cache.get(&one).await.as_deref(), Some(b"red".as_slice()));
        assert_eq!(cache.get(&two).await, None);
        cache.set(&one, Bytes::from_static(b"blue"), Duration::from_millis(20)).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(cache.get(&one).await, None);
        cache.set(&two, Bytes::from_static(b"green"), Duration::from_secs(60)).await;
        cache.delete(&two).await;
        assert_eq!(cache.get(&two).await, None);
    }

    #[test]
    fn keys_do_not_print_what_may_be_a_token() {
        let shown = format!("{:?}", CacheKey::of_platform("session", "hunter2"));
        assert_eq!(shown, "ottery:platform:session:…");
    }
}
