//! Rate limits: so many per time, with a burst, shared by all replicas where Redis is there.
//!
//! The algorithm is GCRA, a token bucket that remembers one instant per key: the time at which the bucket would be full
//! again. Without Redis each process keeps its own buckets, stricter by the number of replicas.

mod bucket;
mod local;
mod redis;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use bucket::Rate;
pub use local::LocalLimiter;
pub use redis::RedisLimiter;

/// What the limiter says about one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead; this many more would be allowed right now.
    Allowed {
        /// What is left of the burst.
        remaining: u32,
    },
    /// Too fast; the next attempt is allowed after this time.
    Denied {
        /// How long to wait.
        retry_after: Duration,
    },
}

impl Decision {
    /// Whether to go ahead.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Counts attempts. Every call that is allowed takes a token; one that is denied takes none.
#[async_trait]
pub trait Limiter: Send + Sync + fmt::Debug {
    /// Takes a token of `key`'s bucket, when there is one. Keys name what is limited and for whom:
    /// `login:ip:203.0.113.7`, `panel:pnl_…`. The limiter always has an answer.
    async fn check(&self, key: &str, rate: Rate) -> Decision;
}
