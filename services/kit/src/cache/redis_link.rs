//! The connection to Redis, shared by cache and limiter: a budget per call, and a rest while Redis fails.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::timeout;

use crate::secret::Secret;

/// What a call to Redis may take before it counts as failed.
pub const CALL_BUDGET: Duration = Duration::from_millis(50);
/// Failures in a row after which nobody asks Redis until it has answered a probe.
const FAILURES_MAX: u32 = 3;
/// Time between probes.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// What connecting may take.
const CONNECT_BUDGET: Duration = Duration::from_secs(1);

/// The address of Redis is not usable.
#[derive(Debug, thiserror::Error)]
#[error("the address of Redis is not valid; expected redis://[user:password@]host:port/database")]
pub struct RedisLinkError;

/// A connection that comes back by itself and never makes a caller wait longer than its budget.
#[derive(Clone)]
pub struct RedisLink(Arc<Link>);

struct Link {
    client: redis::Client,
    budget: Duration,
    /// None until Redis was reached for the first time.
    manager: RwLock<Option<ConnectionManager>>,
    failures: AtomicU32,
    /// While true a task of ours probes and everybody else goes on without Redis.
    resting: AtomicBool,
}

impl RedisLink {
    /// Connects, waiting a second at most; that Redis is away is no error, it is then tried in the background.
    ///
    /// # Errors
    /// When the address is not valid.
    pub async fn connect(address: &Secret) -> Result<Self, RedisLinkError> {
        Self::connect_with_budget(address, CALL_BUDGET).await
    }

    /// As [`connect`](Self::connect) with another budget per call.
    ///
    /// # Errors
    /// When the address is not valid.
    pub async fn connect_with_budget(address: &Secret, budget: Duration) -> Result<Self, RedisLinkError> {
        let client = redis::Client::open(address.expose()).map_err(|_| RedisLinkError)?;
        let link = Arc::new(Link {
            client,
            budget,
            manager: RwLock::new(None),
            failures: AtomicU32::new(0),
            resting: AtomicBool::new(false),
        });
        if let Err(reason) = link.renew().await {
            link.rest("connect", &reason);
        }
        Ok(Self(link))
    }

    /// Whether Redis answers, as far as is known. For metrics; nothing depends on it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.0.resting.load(Ordering::Relaxed)
    }

    /// Runs one call within the budget; none when Redis failed, is slow, or is being left alone.
    pub(crate) async fn call<T, F>(&self, what: &'static str, call: impl FnOnce(ConnectionManager) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let link = &self.0;
        if link.resting.load(Ordering::Relaxed) {
            return None;
        }
        let manager = link.manager.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let reason = match timeout(link.budget, call(manager)).await {
            Ok(Ok(value)) => {
                link.failures.store(0, Ordering::Relaxed);
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "over its time budget".to_owned(),
        };
        if link.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            link.rest(what, &reason);
        }
        None
    }
}

impl Link {
    /// Replaces the connection by a fresh one that has answered within the budget. The old one may hang on a
    /// connection that the network has forgotten, which it would not notice for many minutes.
    async fn renew(&self) -> Result<(), String> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_BUDGET))
            // Longer than the budget: an answer that is late for its caller is still taken off in order.
            .set_response_timeout(Some(self.budget.saturating_mul(4).max(Duration::from_secs(1))))
            .set_number_of_retries(1);
        let connect = ConnectionManager::new_with_config(self.client.clone(), config);
        let mut manager = match timeout(CONNECT_BUDGET, connect).await {
            Ok(connected) => connected.map_err(|error| error.to_string())?,
            Err(_) => return Err("no connection in time".to_owned()),
        };
        match timeout(self.budget, redis::cmd("PING").query_async::<()>(&mut manager)).await {
            Ok(answered) => answered.map_err(|error| error.to_string())?,
            Err(_) => return Err("over its time budget".to_owned()),
        }
        *self.manager.write().unwrap_or_else(PoisonError::into_inner) = Some(manager);
        self.failures.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Lets everybody go on without Redis until a probe succeeds.
    fn rest(self: &Arc<Self>, what: &'static str, reason: &str) {
        if !self.resting.swap(true, Ordering::Relaxed) {
            // One line when it begins, not one per request.
            tracing::warn!(redis.call = what, reason, "Redis is away or slow; going on without it");
            tokio::spawn(probe(Arc::downgrade(self)));
        }
    }
}

/// Tries until Redis answers in time, or until nobody holds the link any more.
async fn probe(link: Weak<Link>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let Some(link) = link.upgrade() else { return };
        if link.renew().await.is_ok() {
            link.resting.store(false, Ordering::Relaxed);
            tracing::info!("Redis answers again");
            return;
        }
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}
