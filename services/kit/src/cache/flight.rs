//! After a flush every request would load the same value at once; here the first loads and the others wait for it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Cache, CacheKey};

/// The values being loaded in this process.
#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<HashMap<CacheKey, Arc<tokio::sync::Mutex<()>>>>>);

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl Flights {
    /// The cached value, or what `load` gives, which is then cached for `ttl`. Of several callers that miss the same
    /// key one loads; when that fails, the next one tries.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get_or_load<E, F>(
        &self,
        cache: &dyn Cache,
        key: &CacheKey,
        ttl: Duration,
        load: impl FnOnce() -> F,
    ) -> Result<Bytes, E>
    where
        F: Future<Output = Result<Bytes, E>>,
    {
        if let Some(value) = cache.get(key).await {
            return Ok(value);
        }
        let seat = Seat::take(self, key);
        let turn = seat.lock.lock().await;
        if let Some(value) = cache.get(key).await {
            return Ok(value);
        }
        let value = load().await?;
        cache.set(key, value.clone(), ttl).await;
        drop(turn);
        Ok(value)
    }
}

/// A place in the queue for one key; the last one to leave removes the queue, even when its caller was cancelled.
struct Seat<'a> {
    flights: &'a Flights,
    key: &'a CacheKey,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Seat<'a> {
    fn take(flights: &'a Flights, key: &'a CacheKey) -> Self {
        let mut queues = flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(queues.entry(key.clone()).or_default());
        Self { flights, key, lock }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut queues = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own reference and this one: nobody else is waiting.
        if Arc::strong_count(&self.lock) == 2 {
            queues.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cache::MemoryCache;

    #[tokio::test]
    async fn fault_f22_a_hundred_misses_load_once() {
        let cache = MemoryCache::new(1 << 20);
        let flights = Flights::default();
        let key = CacheKey::of_platform("host", "a");
        let loads = AtomicUsize::new(0);
        let load = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(Bytes::from_static(b"value"))
        };
        let all = (0..100).map(|_| flights.get_or_load(&cache, &key, Duration::from_secs(60), load));
        for value in futures::future::join_all(all).await {
            assert_eq!(value.unwrap(), "value");
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert!(flights.0.lock().unwrap().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn a_failed_load_is_not_remembered() {
        let cache = MemoryCache::new(1 << 20);
        let flights = Flights::default();
        let key = CacheKey::of_platform("host", "a");
        let ttl = Duration::from_secs(60);
        let failed = flights.get_or_load(&cache, &key, ttl, || async { Err::<Bytes, _>("away") }).await;
        assert_eq!(failed, Err("away"));
        let loaded = flights.get_or_load(&cache, &key, ttl, || async { Ok::<_, &str>(Bytes::from_static(b"v")) }).await;
        assert_eq!(loaded.unwrap(), "v");
    }
}
