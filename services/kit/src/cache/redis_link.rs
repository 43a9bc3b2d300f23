//! The connection to Redis, shared by cache and limiter: a budget per call and a rest after failures.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::Instant;

use crate::secret::Secret;

/// What a call to Redis may take before it counts as failed.
pub const CALL_BUDGET: Duration = Duration::from_millis(50);
/// Failures in a row after which Redis is left alone for [`REST`].
const FAILURES_MAX: u32 = 3;
/// How long nobody asks Redis after failures; then one request at a time tries again.
const REST: Duration = Duration::from_secs(1);

/// The address of Redis is not usable.
#[derive(Debug, thiserror::Error)]
#[error("the address of Redis is not valid; expected redis://[user:password@]host:port/database")]
pub struct RedisLinkError;

/// A connection that reconnects by itself and never makes a caller wait longer than [`CALL_BUDGET`].
#[derive(Clone)]
pub struct RedisLink {
    manager: ConnectionManager,
    health: Arc<Health>,
}

struct Health {
    started: Instant,
    failures: AtomicU32,
    /// Milliseconds after `started` until which nobody asks.
    rest_until_ms: AtomicU64,
}

impl RedisLink {
    /// A link that connects with its first call; must be made inside a Tokio runtime.
    ///
    /// # Errors
    /// When the address is not valid; that Redis is away is no error.
    pub fn new(address: &Secret) -> Result<Self, RedisLinkError> {
        let client = redis::Client::open(address.expose()).map_err(|_| RedisLinkError)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            // Longer than the budget, so that a late answer is still taken off the connection in order.
            .set_response_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2)
            .set_max_delay(Duration::from_millis(500));
        let manager = ConnectionManager::new_lazy_with_config(client, config).map_err(|_| RedisLinkError)?;
        let health = Health { started: Instant::now(), failures: AtomicU32::new(0), rest_until_ms: AtomicU64::new(0) };
        Ok(Self { manager, health: Arc::new(health) })
    }

    /// Runs one call within the budget; none when Redis failed, is slow, or is being left alone.
    pub(crate) async fn call<T, F>(&self, what: &'static str, call: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if !self.health.may_ask() {
            return None;
        }
        match tokio::time::timeout(CALL_BUDGET, call(self.manager.clone())).await {
            Ok(Ok(value)) => {
                self.health.succeeded();
                Some(value)
            }
            Ok(Err(error)) => {
                self.health.failed(what, &error.to_string());
                None
            }
            Err(_) => {
                self.health.failed(what, "over its time budget");
                None
            }
        }
    }
}

impl Health {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether to ask at all. When the rest is over one caller goes ahead and the others rest until it knows more.
    fn may_ask(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES_MAX {
            return true;
        }
        let until = self.rest_until_ms.load(Ordering::Relaxed);
        let now = self.elapsed_ms();
        now >= until
            && self
                .rest_until_ms
                .compare_exchange(until, now + REST.as_millis() as u64, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn succeeded(&self) {
        if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_MAX {
            tracing::info!("Redis answers again");
        }
    }

    fn failed(&self, what: &'static str, reason: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FAILURES_MAX {
            self.rest_until_ms.store(self.elapsed_ms() + REST.as_millis() as u64, Ordering::Relaxed);
        }
        // One line when it begins, not one per request.
        if failures == FAILURES_MAX {
            tracing::warn!(redis.call = what, reason, "Redis is away or slow; going on without it");
        }
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").finish_non_exhaustive()
    }
}
