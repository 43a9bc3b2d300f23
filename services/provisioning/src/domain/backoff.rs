//! When to try again.

use chrono::TimeDelta;

/// Exponential back-off with a ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failure, in milliseconds.
    pub first_ms: i64,
    /// Longest wait, in milliseconds.
    pub max_ms: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 1_000, max_ms: 300_000 }
    }
}

impl Backoff {
    /// The wait before attempt `attempts + 1`. `spread` (any number, the service's id for example) moves it by up to a
    /// quarter, so that what failed together does not come back together.
    #[must_use]
    pub fn after(&self, attempts: u32, spread: u64) -> TimeDelta {
        let doubled = self.first_ms.saturating_mul(1_i64.checked_shl(attempts.min(40)).unwrap_or(i64::MAX));
        let wait = doubled.clamp(0, self.max_ms);
        let quarter = wait / 4;
        let shift = i64::try_from(spread % 1_000).unwrap_or(0) * quarter / 1_000;
        TimeDelta::milliseconds(wait - quarter + shift)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let backoff = Backoff { first_ms: 1_000, max_ms: 60_000 };
        let waits: Vec<_> = (0..8).map(|n| backoff.after(n, 999).num_milliseconds() / 1_000).collect();
        assert_eq!(waits, [0, 1, 3, 7, 15, 31, 59, 59]);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_ceiling_nor_shorter_than_three_quarters(attempts: u32, spread: u64) {
            let backoff = Backoff::default();
            let wait = backoff.after(attempts, spread).num_milliseconds();
            prop_assert!((750..=300_000).contains(&wait), "{wait}");
        }
    }
}
