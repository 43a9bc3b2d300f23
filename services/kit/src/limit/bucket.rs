//! The arithmetic, without time or storage of its own.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Decision;

/// So many per time, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Microseconds for one token to come back; at least 1.
    interval_us: u64,
    burst: NonZeroU32,
}

impl Rate {
    /// `count` in every `per`, all of them at once if they like. Zero counts as one.
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Self {
        let burst = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let per_us = u64::try_from(per.as_micros()).unwrap_or(u64::MAX);
        Self { interval_us: (per_us / u64::from(burst.get())).max(1), burst }
    }

    /// So many a second.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// So many a minute.
    #[must_use]
    pub fn per_minute(count: u32) -> Self {
        Self::new(count, Duration::from_secs(60))
    }

    /// So many an hour.
    #[must_use]
    pub fn per_hour(count: u32) -> Self {
        Self::new(count, Duration::from_secs(3_600))
    }

    /// The same rate with another burst. Zero counts as one.
    #[must_use]
    pub fn burst(self, burst: u32) -> Self {
        Self { burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN), ..self }
    }

    /// How many may come at once.
    #[must_use]
    pub fn burst_size(self) -> u32 {
        self.burst.get()
    }

    /// This process's share when `replicas` of them count on their own: never more together than one would allow,
    /// except that each always allows one at a time.
    #[must_use]
    pub fn shared_by(self, replicas: NonZeroU32) -> Self {
        let interval_us = self.interval_us.saturating_mul(u64::from(replicas.get()));
        Self { interval_us, ..self }.burst(self.burst.get() / replicas)
    }

    pub(super) fn interval_us(self) -> u64 {
        self.interval_us
    }

    /// Takes a token at `now`, given the instant at which the bucket is full again; returns the new one when allowed.
    /// All instants are microseconds of any one clock.
    pub(super) fn take(self, full_at_us: u64, now_us: u64) -> (Decision, u64) {
        let full_at = full_at_us.max(now_us).saturating_add(self.interval_us);
        let capacity = self.interval_us.saturating_mul(u64::from(self.burst.get()));
        let missing = full_at - now_us;
        if missing > capacity {
            let retry_after = Duration::from_micros(missing - capacity);
            return (Decision::Denied { retry_after }, full_at_us);
        }
        let remaining = u32::try_from((capacity - missing) / self.interval_us).unwrap_or(u32::MAX);
        (Decision::Allowed { remaining }, full_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let rate = Rate::per_second(10).burst(3);
        let mut full_at = 0;
        let mut at = |now| {
            let (decision, next) = rate.take(full_at, now);
            full_at = next;
            decision
        };
        let start = 1_000_000;
        assert_eq!(at(start), Decision::Allowed { remaining: 2 });
        assert_eq!(at(start), Decision::Allowed { remaining: 1 });
        assert_eq!(at(start), Decision::Allowed { remaining: 0 });
        assert_eq!(at(start), Decision::Denied { retry_after: Duration::from_millis(100) });
        assert_eq!(at(start + 40_000), Decision::Denied { retry_after: Duration::from_millis(60) });
        assert_eq!(at(start + 100_000), Decision::Allowed { remaining: 0 });
        assert_eq!(at(start + 10_000_000), Decision::Allowed { remaining: 2 });
    }

    #[test]
    fn however_hard_one_tries_no_more_than_rate_and_burst_pass() {
        let rate = Rate::per_hour(10).burst(4);
        let (mut full_at, mut allowed) = (0, 0);
        // Two hours, an attempt every second.
        for second in 0..7_200_u64 {
            let (decision, next) = rate.take(full_at, 1 + second * 1_000_000);
            full_at = next;
            allowed += u32::from(decision.is_allowed());
        }
        assert_eq!(allowed, 4 + 19);
    }

    #[test]
    fn secure_s26_shares_of_replicas_add_up_to_no_more_than_the_whole() {
        let replicas = NonZeroU32::new(4).unwrap();
        let share = Rate::per_second(40).burst(8).shared_by(replicas);
        assert_eq!(share, Rate::per_second(10).burst(2));
        assert_eq!(Rate::per_second(1).shared_by(replicas).burst_size(), 1);
    }

    #[test]
    fn extreme_rates_do_not_wrap() {
        let slowest = Rate::new(1, Duration::MAX).burst(u32::MAX);
        assert!(slowest.take(0, 5).0.is_allowed());
        assert!(slowest.take(u64::MAX, u64::MAX - 1).0.is_allowed());
        assert!(Rate::new(0, Duration::ZERO).burst(0).take(0, 1).0.is_allowed());
    }
}
