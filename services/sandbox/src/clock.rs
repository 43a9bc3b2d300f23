//! The one place of this crate that looks at the wall clock.
//!
//! The sandbox plays the outside world, so it keeps time of its own: real time for payments, mail and video, and a
//! clock per panel that tests may freeze or shift.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// Real time.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the sandbox is the outside world; its time is the real one")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Time as one panel sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PanelClock {
    /// Follows real time.
    #[default]
    Real,
    /// Follows real time at a distance, in milliseconds.
    Offset(i64),
    /// Stands still.
    Frozen(DateTime<Utc>),
}

impl PanelClock {
    /// The panel's present instant.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        match self {
            Self::Real => now(),
            Self::Offset(ms) => now() + Duration::milliseconds(ms),
            Self::Frozen(at) => at,
        }
    }

    /// A clock that shows `at` right now and keeps running.
    #[must_use]
    pub fn running_from(at: DateTime<Utc>) -> Self {
        Self::Offset((at - now()).num_milliseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_stands_still_and_a_shifted_one_runs() {
        let noon = DateTime::from_timestamp(1_800_000_000, 0).expect("valid");
        assert_eq!(PanelClock::Frozen(noon).now(), noon);
        let shifted = PanelClock::running_from(noon).now();
        assert!((shifted - noon).num_seconds().abs() < 5);
    }
}
