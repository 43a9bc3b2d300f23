//! A brand's test clock: off, or at an instant that only moves forward.

use chrono::{DateTime, TimeDelta, Utc};

/// The furthest one step may go; longer journeys are several steps, so that mistakes stay small.
pub const STEP_MAX: TimeDelta = TimeDelta::days(400);

/// Where a brand's time stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestClock {
    /// The brand lives in real time.
    Off,
    /// Frozen at this instant; everything due by then is done.
    Ready(DateTime<Utc>),
    /// At this instant, with services still working off what became due.
    Advancing {
        /// The brand's time.
        now: DateTime<Utc>,
        /// What is still left, for people.
        waiting_for: String,
    },
}

/// Why a clock does not move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockRefused {
    /// Time only moves forward.
    #[error("the brand's clock stands at {now}; choose a later instant")]
    Backwards {
        /// The brand's time.
        now: DateTime<Utc>,
    },
    /// Another step is under way.
    #[error("the clock is still advancing to {now}, waiting for {waiting_for}; try again when it is ready")]
    Busy {
        /// Where it is going.
        now: DateTime<Utc>,
        /// What is still left.
        waiting_for: String,
    },
    /// Too far for one step.
    #[error("one step covers at most {} days; go there in several steps", STEP_MAX.num_days())]
    TooFar,
}

impl TestClock {
    /// The brand's time, when it has one of its own.
    #[must_use]
    pub fn now(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Off => None,
            Self::Ready(now) | Self::Advancing { now, .. } => Some(*now),
        }
    }

    /// Moves the clock; the first move starts from `real_now`.
    ///
    /// # Errors
    /// [`ClockRefused`] when it is still moving, or `to` is not later, or too far away.
    pub fn advance(&self, to: DateTime<Utc>, real_now: DateTime<Utc>) -> Result<Self, ClockRefused> {
        let from = match self {
            Self::Off => real_now,
            Self::Ready(now) => *now,
            Self::Advancing { now, waiting_for } => {
                return Err(ClockRefused::Busy { now: *now, waiting_for: waiting_for.clone() });
            }
        };
        if to <= from {
            return Err(ClockRefused::Backwards { now: from });
        }
        if to - from > STEP_MAX {
            return Err(ClockRefused::TooFar);
        }
        Ok(Self::Advancing { now: to, waiting_for: "every service".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + day)
    }

    #[test]
    fn time_only_moves_forward() {
        assert_eq!(TestClock::Ready(at(5)).advance(at(5), at(0)), Err(ClockRefused::Backwards { now: at(5) }));
        assert!(TestClock::Ready(at(5)).advance(at(6), at(0)).is_ok());
        assert_eq!(TestClock::Off.advance(at(-1), at(0)), Err(ClockRefused::Backwards { now: at(0) }));
    }

    #[test]
    fn one_step_at_a_time() {
        let moving = TestClock::Off.advance(at(1), at(0)).unwrap();
        assert!(matches!(moving.advance(at(2), at(0)), Err(ClockRefused::Busy { .. })));
        assert_eq!(TestClock::Off.advance(at(401), at(0)), Err(ClockRefused::TooFar));
    }
}
