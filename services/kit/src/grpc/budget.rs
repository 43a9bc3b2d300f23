//! How many calls may be sent again: a share of the real load, so that retries never become the load.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget as _, TpsBudget};

/// At most this often is one call sent, the first time included.
pub const ATTEMPTS_MAX: u32 = 3;
/// Share of calls that may be sent again.
pub const RETRY_RATIO: f32 = 0.2;
/// This many may be sent again each second even when there is hardly any load.
pub const RETRIES_PER_SECOND_MIN: u32 = 2;
/// How long a call counts.
pub const WINDOW: Duration = Duration::from_secs(10);

/// A retry budget; clones share it.
#[derive(Clone)]
pub struct RetryBudget(Arc<TpsBudget>);

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryBudget")
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Arc::new(TpsBudget::new(WINDOW, RETRIES_PER_SECOND_MIN, RETRY_RATIO)))
    }
}

impl RetryBudget {
    /// Counts a first attempt.
    pub fn deposit(&self) {
        self.0.deposit();
    }

    /// Takes one repetition; false when the budget is used up.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_stay_a_fifth_of_the_load() {
        let budget = RetryBudget::default();
        for _ in 0..1_000 {
            budget.deposit();
        }
        let granted = (0..1_000).filter(|_| budget.withdraw()).count();
        assert!((200..=221).contains(&granted), "a fifth and the small floor, got {granted}");
    }
}
