use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Decision, Limiter, Rate};

/// Keys at which full buckets are swept out.
const KEYS_BEFORE_SWEEP: usize = 10_000;

/// A limiter in this process.
#[derive(Clone, Debug)]
pub struct LocalLimiter {
    started: Instant,
    buckets: Arc<Mutex<Buckets>>,
}

#[derive(Debug)]
struct Buckets {
    /// Key to the microsecond at which its bucket is full again.
    full_at_us: HashMap<String, u64>,
    sweep_at: usize,
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalLimiter {
    /// A limiter with full buckets.
    #[must_use]
    pub fn new() -> Self {
        let buckets = Buckets { full_at_us: HashMap::new(), sweep_at: KEYS_BEFORE_SWEEP };
        Self { started: Instant::now(), buckets: Arc::new(Mutex::new(buckets)) }
    }

    /// As [`Limiter::check`], at once.
    #[must_use]
    pub fn check_now(&self, key: &str, rate: Rate) -> Decision {
        let now_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.full_at_us.get_mut(key) {
            let (decision, full_at_us) = rate.take(*known, now_us);
            *known = full_at_us;
            return decision;
        }
        let (decision, full_at_us) = rate.take(0, now_us);
        if decision.is_allowed() {
            buckets.remember(key, full_at_us, now_us);
        }
        decision
    }
}

impl Buckets {
    /// Keeps a bucket that was not there.
    fn remember(&mut self, key: &str, full_at_us: u64, now_us: u64) {
        if self.full_at_us.len() >= self.sweep_at {
            // A full bucket is as good as none; the next sweep waits until as many have come again.
            self.full_at_us.retain(|_, full_at| *full_at > now_us);
            self.sweep_at = (self.full_at_us.len() * 2).max(KEYS_BEFORE_SWEEP);
        }
        self.full_at_us.insert(key.to_owned(), full_at_us);
    }
}

#[async_trait]
impl Limiter for LocalLimiter {
    async fn check(&self, key: &str, rate: Rate) -> Decision {
        self.check_now(key, rate)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_have_buckets_of_their_own_that_fill_again() {
        let limiter = LocalLimiter::new();
        let rate = Rate::per_minute(2);
        assert!(limiter.check("login:a", rate).await.is_allowed());
        assert!(limiter.check("login:a", rate).await.is_allowed());
        assert_eq!(limiter.check("login:a", rate).await, Decision::Denied { retry_after: Duration::from_secs(30) });
        assert!(limiter.check("login:b", rate).await.is_allowed());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(limiter.check("login:a", rate).await.is_allowed());
        assert!(!limiter.check("login:a", rate).await.is_allowed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_keys_does_not_stay_in_memory() {
        let limiter = LocalLimiter::new();
        for round in 0..5 {
            for key in 0..KEYS_BEFORE_SWEEP {
                let _ = limiter.check_now(&format!("{round}:{key}"), Rate::per_second(1));
            }
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert!(limiter.buckets.lock().unwrap().full_at_us.len() <= KEYS_BEFORE_SWEEP);
    }
}
