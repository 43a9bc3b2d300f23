//! How many calls of one key leave at a time and per second, and who may write.

use std::sync::Arc;
use std::time::Duration;

use ottery_kit::limit::{Decision, Limiter, Rate};
use sqlx::PgPool;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::store::due;

/// Longest sleep between two looks at a limit.
const NAP_MAX: Duration = Duration::from_millis(500);
/// Lease of the right to write with a key that spends credits; longer than any call.
const WRITER_LEASE: Duration = Duration::from_secs(120);

/// The gate of one key.
pub struct Gate {
    key: Uuid,
    bucket: String,
    rate: Rate,
    slots: Arc<Semaphore>,
    limiter: Arc<dyn Limiter>,
    writer: Arc<Mutex<()>>,
    owner: Uuid,
}

/// A place at the panel, held during a call.
pub struct Place {
    _slot: OwnedSemaphorePermit,
}

/// The right to be the only writer of a key, in this process and among replicas.
pub struct Writer {
    pool: PgPool,
    key: Uuid,
    owner: Uuid,
    _guard: OwnedMutexGuard<()>,
}

impl Gate {
    /// A gate with these limits.
    #[must_use]
    pub fn new(key: Uuid, rate_per_second: f64, concurrency: usize, limiter: Arc<dyn Limiter>) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate_per_second.clamp(0.001, 100_000.0));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a small positive number"
        )]
        let burst = rate_per_second.clamp(1.0, 100_000.0).ceil() as u32;
        Self {
            key,
            bucket: format!("panel:{}", key.simple()),
            rate: Rate::new(1, interval).burst(burst),
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            limiter,
            writer: Arc::new(Mutex::new(())),
            owner: Uuid::now_v7(),
        }
    }

    /// Waits for a place and for the rate of this many requests.
    ///
    /// # Panics
    /// Never: the semaphore is not closed.
    pub async fn enter(&self, requests: u32) -> Place {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        for _ in 0..requests {
            while let Decision::Denied { retry_after } = self.limiter.check(&self.bucket, self.rate).await {
                tokio::time::sleep(retry_after.clamp(Duration::from_millis(1), NAP_MAX)).await;
            }
        }
        Place { _slot: slot }
    }

    /// Waits until nobody else writes with this key, in any replica.
    ///
    /// # Errors
    /// The database.
    pub async fn write_alone(&self, pool: &PgPool) -> sqlx::Result<Writer> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        while !due::take_writer(pool, self.key, self.owner, WRITER_LEASE).await? {
            tokio::time::sleep(NAP_MAX).await;
        }
        Ok(Writer { pool: pool.clone(), key: self.key, owner: self.owner, _guard: guard })
    }
}

impl Writer {
    /// Lets the next one write.
    pub async fn done(self) {
        if let Err(error) = due::give_writer(&self.pool, self.key, self.owner).await {
            tracing::warn!(%error, "the right to write stays until its lease ends");
        }
    }
}
