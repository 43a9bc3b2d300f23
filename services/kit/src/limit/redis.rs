use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{Decision, Limiter, LocalLimiter, Rate};
use crate::cache::RedisLink;

/// The same arithmetic as [`Rate::take`], where the bucket is; the clock is that of Redis, so replicas agree.
/// Numbers of Lua are exact up to 2^53 microseconds, which lasts until the year 2255.
const TAKE: &str = r"
local interval = tonumber(ARGV[1])
local capacity = interval * tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
if full_at < now then full_at = now end
full_at = full_at + interval
local missing = full_at - now
if missing > capacity then return {0, missing - capacity} end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil(missing / 1000))
return {1, math.floor((capacity - missing) / interval)}
";
/// Longer intervals than this (a year) would leave the exact numbers of Lua.
const INTERVAL_MAX_US: u64 = 365 * 86_400 * 1_000_000;

/// A limiter whose buckets are in Redis; while Redis is away, buckets of this process with its share of the rate.
#[derive(Clone)]
pub struct RedisLimiter {
    link: RedisLink,
    take: Arc<Script>,
    local: LocalLimiter,
    replicas: NonZeroU32,
}

impl RedisLimiter {
    /// A limiter behind this link; `replicas` is how many processes like this one run.
    #[must_use]
    pub fn new(link: RedisLink, replicas: NonZeroU32) -> Self {
        Self { link, take: Arc::new(Script::new(TAKE)), local: LocalLimiter::new(), replicas }
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn check(&self, key: &str, rate: Rate) -> Decision {
        let stored = format!("ottery:limit:{key}");
        let interval_us = rate.interval_us().min(INTERVAL_MAX_US);
        let take = |mut redis| async move {
            let mut call = self.take.key(stored);
            call.arg(interval_us).arg(rate.burst_size());
            call.invoke_async::<(u8, u64)>(&mut redis).await
        };
        match self.link.call("limit check", take).await {
            Some((1, remaining)) => Decision::Allowed { remaining: u32::try_from(remaining).unwrap_or(u32::MAX) },
            Some((_, wait_us)) => Decision::Denied { retry_after: Duration::from_micros(wait_us) },
            None => self.local.check_now(key, rate.shared_by(self.replicas)),
        }
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter").field("replicas", &self.replicas).finish_non_exhaustive()
    }
}
